//! What plugins did in a run, for people.

use super::hosted::Hosted;
use crate::terminal::{counted, grouped};
use std::fmt::Write as _;
use tripline_host::grant::metrics::Observed;
use tripline_host::manifest::World;

/// Warnings about plugins that gave no answers; with `all`, a line about each plugin.
pub(crate) fn told<'h>(hosted: impl Iterator<Item = &'h Hosted>, all: bool) -> String {
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
            let each = |of: u64| did.time.as_nanos() as f64 / of.max(1) as f64;
            let calls = counted(did.calls, "call");
            let asked = match one.plugin.manifest().world {
                World::Decoder => format!("{calls}, {:.0} ns a call", each(did.calls)),
                _ => {
                    let rows = counted(did.rows, "event");
                    format!("{rows}, {calls}, {:.0} ns an event", each(did.rows))
                }
            };
            let _ = writeln!(
                out,
                "plugin `{}`: {asked}, {}, at most {} KiB of memory",
                one.alias,
                counted(did.instances, "instance"),
                did.memory_bytes_max / 1024
            );
            let metrics = one.plugin.shared().metrics();
            for reading in metrics.readings() {
                let Observed {
                    count,
                    sum,
                    least,
                    greatest,
                } = reading.observed;
                let name = &reading.name;
                let _ = write!(
                    out,
                    "plugin `{}`: {name} {}",
                    one.alias,
                    grouped(reading.total)
                );
                if count > 0 {
                    let mean = sum / count as f64;
                    let count = counted(count, "value");
                    let _ = write!(
                        out,
                        ", {count} from {least} to {greatest}, {mean} on average"
                    );
                }
                out.push('\n');
            }
            if metrics.refused() > 0 {
                let _ = writeln!(
                    out,
                    "plugin `{}`: {} refused: the manifest has no metric of the name, or it is no number",
                    one.alias,
                    counted(metrics.refused(), "value")
                );
            }
        }
    }
    out
}
