//! What plugins did in a run, for people.

use super::hosted::Hosted;
use crate::terminal::{counted, grouped};
use std::fmt::Write as _;

/// Warnings about plugins that gave no answers; with `all`, a line about each plugin.
pub(crate) fn told(hosted: &[Hosted], all: bool) -> String {
    let mut out = String::new();
    for one in hosted {
        let did = one.plugin.statistics();
        if did.rows_faulted > 0 {
            let faults = did.faults.iter();
            let faults =
                faults.map(|(name, count)| format!("{} {}", grouped(*count), name.as_str()));
            let faults: Vec<String> = faults.collect();
            let _ = writeln!(
                out,
                "warning: plugin `{}` gave no answer for {} of {}; failed calls: {}",
                one.alias,
                grouped(did.rows_faulted),
                counted(did.rows, "event"),
                faults.join(", ")
            );
        }
        if all {
            let per_event = did.time.as_nanos() as f64 / did.rows.max(1) as f64;
            let _ = writeln!(
                out,
                "plugin `{}`: {}, {}, {per_event:.0} ns an event, {}, at most {} KiB of memory",
                one.alias,
                counted(did.rows, "event"),
                counted(did.calls, "call"),
                counted(did.instances, "instance"),
                did.memory_bytes_max / 1024
            );
        }
    }
    out
}
