//! What a person is told at the end of a scan.

use crate::output::pretty::severity_colour;
use crate::scan::accounting::{Accounting, RejectedRecord};
use crate::terminal::{Shown, counted, grouped};
use std::collections::BTreeMap;
use tripline_core::diagnostic::Palette;
use tripline_core::rule::Severity;
use tripline_core::state::StateCounters;

/// Faults of inputs that are shown one by one.
const FAULTS_SHOWN: usize = 10;

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    Complete,
    /// Stopped at rejected input.
    Strict,
    Interrupted,
}

/// Findings by severity, records by what became of them, and what was rejected.
pub(crate) fn summary(accounting: &Accounting, ending: Ending, palette: &Palette) -> String {
    let mut out = String::new();
    let Palette {
        bold,
        warning,
        reset,
        ..
    } = palette;
    for notice in notices(accounting) {
        out.push_str(&format!("{warning}warning{reset}: {notice}\n"));
    }
    match ending {
        Ending::Complete => {}
        Ending::Strict => {
            out.push_str(&format!(
                "{warning}stopped{reset}: input was rejected and --strict is on\n"
            ));
        }
        Ending::Interrupted => {
            out.push_str(&format!(
                "{warning}interrupted{reset}: this is what was found so far\n"
            ));
        }
    }
    let total = accounting.findings_total();
    out.push_str(&format!("{bold}{}{reset}", counted(total, "finding")));
    let severities: Vec<String> = Severity::ALL
        .iter()
        .rev()
        .filter_map(|severity| {
            let count = accounting.findings.get(severity.as_str())?;
            let colour = severity_colour(severity.as_str(), palette);
            Some(format!("{colour}{} {severity}{reset}", grouped(*count)))
        })
        .collect();
    if !severities.is_empty() {
        out.push_str(&format!(": {}", severities.join(", ")));
    }
    out.push('\n');
    out.push_str(&records(accounting));
    out
}

/// What became of records, for runs that look for something else than findings.
pub(crate) fn of_records(accounting: &Accounting, palette: &Palette) -> String {
    let Palette { warning, reset, .. } = palette;
    let mut out = String::new();
    for notice in notices(accounting) {
        out.push_str(&format!("{warning}warning{reset}: {notice}\n"));
    }
    out.push_str(&records(accounting));
    out
}

fn records(accounting: &Accounting) -> String {
    let counts = &accounting.total;
    let mut out = format!(
        "{} read from {} = {} matched + {} unmatched",
        counted(counts.read, "record"),
        counted(accounting.inputs_read, "input"),
        grouped(counts.matched),
        grouped(counts.unmatched),
    );
    out.push_str(&format!(" + {}", counted(counts.duplicates, "duplicate")));
    out.push_str(&format!(" + {} rejected", grouped(counts.rejected_total())));
    let reasons: Vec<String> = counts
        .rejected
        .iter()
        .map(|(reason, count)| format!("{} {reason}", grouped(*count)))
        .collect();
    if !reasons.is_empty() {
        out.push_str(&format!(" ({})", reasons.join(", ")));
    }
    out.push('\n');
    if accounting.findings_of_memory > 0 {
        out.push_str(&format!(
            "{} from rules that remember, which observed {}; observed is not matched\n",
            counted(accounting.findings_of_memory, "finding"),
            counted(counts.observed, "record"),
        ));
    }
    if accounting.indeterminate > 0 {
        let verdicts = counted(accounting.indeterminate, "verdict");
        out.push_str(&format!(
            "{verdicts} could not be decided; --stats tells why\n"
        ));
    }
    if accounting.not_applicable > 0 {
        let verdicts = counted(accounting.not_applicable, "verdict");
        out.push_str(&format!(
            "{verdicts} not applicable: the event is of another source than the rule\n"
        ));
    }
    if accounting.excused > 0 {
        let matches = if accounting.excused == 1 {
            "match was"
        } else {
            "matches were"
        };
        out.push_str(&format!(
            "{} {matches} excused by an exception\n",
            grouped(accounting.excused)
        ));
    }
    if accounting.skipped > 0 {
        let verdicts = counted(accounting.skipped, "verdict");
        out.push_str(&format!(
            "{verdicts} passed over, because a plugin gave no answer\n"
        ));
    }
    if let Some(state) = &accounting.state {
        out.push_str(&remembered(state, accounting.state_is_kept));
    }
    if accounting.inputs_empty > 0 {
        let inputs = if accounting.inputs_empty == 1 {
            "input was"
        } else {
            "inputs were"
        };
        out.push_str(&format!(
            "{} {inputs} empty\n",
            grouped(accounting.inputs_empty)
        ));
    }
    out
}

/// What of the observations of rules that remember did not go as a person would expect.
fn remembered(state: &StateCounters, is_kept: bool) -> String {
    let line = |count: u64, one: &str, many: &str| match count {
        0 => String::new(),
        1 => format!("1 {one}\n"),
        count => format!("{} {many}\n", grouped(count)),
    };
    let mut out = line(
        state.late(),
        "observation came later than its rule allows and was left out",
        "observations came later than their rules allow and were left out",
    );
    if is_kept && state.late() > 0 {
        out.push_str("  (events that were scanned before with this state come late, and do not count twice)\n");
    }
    for (count, one, many) in [
        (
            state.faults(),
            "observation had no key or value and was left out; --stats tells why",
            "observations had no key or value and were left out; --stats tells why",
        ),
        (
            state.undecided(),
            "condition about earlier steps could not be decided and did not hold; --stats tells why",
            "conditions about earlier steps could not be decided and did not hold; --stats tells why",
        ),
        (
            state.timeless,
            "event has no time, so rules that remember left it out",
            "events have no time, so rules that remember left them out",
        ),
        (
            state.future,
            "event is from the future, so rules that remember left it out",
            "events are from the future, so rules that remember left them out",
        ),
        (
            state.evicted(),
            "remembered group gave way for want of room",
            "remembered groups gave way for want of room",
        ),
        (
            state.groups_cut,
            "group of an event with too many was left out",
            "groups of events with too many were left out",
        ),
        (
            if is_kept { state.pending() } else { 0 },
            "observation waits in the state for later events",
            "observations wait in the state for later events",
        ),
    ] {
        out.push_str(&line(count, one, many));
    }
    out
}

/// The first rejected records of each kind, then how many more there are; then faults of inputs.
fn notices(accounting: &Accounting) -> Vec<String> {
    let mut by_reason: BTreeMap<&str, Vec<&RejectedRecord>> = BTreeMap::new();
    for one in &accounting.rejections {
        by_reason
            .entry(one.rejection.as_str())
            .or_default()
            .push(one);
    }
    let mut notices = Vec::new();
    for (reason, shown) in by_reason {
        notices.extend(shown.iter().map(|one| Shown(&one.to_text()).to_string()));
        let total = accounting.total.rejected.get(reason).copied().unwrap_or(0);
        let left_out = total.saturating_sub(shown.len() as u64);
        if left_out > 0 {
            notices.push(format!("{} more {reason}", grouped(left_out)));
        }
    }
    for (file, words) in accounting.faults.iter().take(FAULTS_SHOWN) {
        notices.push(format!("{}: {}", Shown(file), Shown(words)));
    }
    let left_out = accounting.faults_total.saturating_sub(FAULTS_SHOWN as u64);
    if left_out > 0 {
        notices.push(format!("{} with faults", counted(left_out, "more input")));
    }
    notices
}
