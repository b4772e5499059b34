//! `--stats`: what each rule did, and what it costs.
//!
//! Matches are counted in the ordered stage, so duplicates do not count. Undecided verdicts are counted by the
//! threads, by rule and reason and with duplicates: who is one is known only in order, and keeping each until
//! then would fill memory on a foreign log. Rules share
//! an index and equal conditions, so no clock can say what one of them costs in a scan; instead a sample of
//! events is evaluated rule by rule, as each was written, and the mean is shown. It says which rule is
//! expensive, not how long the scan took.

use super::accounting::Accounting;
use crate::terminal::{Shown, cell, columns, counted, grouped};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;
use tripline_core::evaluate::{Evaluator, RuleSet};
use tripline_core::event::Event;
use tripline_core::state::RuleCounters;

/// Events of which every thread samples all, before it samples one in `SAMPLE_EVERY`.
const SAMPLED_FIRST: u64 = 16;
const SAMPLE_EVERY: u64 = 1024;

/// Longer times are not the rule's: the cost limit ends an evaluation before.
const TIME_KEPT_NS_MAX: u64 = 5_000_000;

/// Different reasons kept for one rule.
const FAULTS_KEPT_MAX: usize = 5;

/// Whether anybody asked for statistics: telling why a verdict is undecided means evaluating again, which is
/// too slow where thousands are (events of one source, rules of another).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Statistics {
    Wanted,
    /// Without times.
    Counts,
    Unwanted,
}

impl Statistics {
    /// Whether the thread's event of this number is timed.
    pub(crate) fn samples(self, event: u64) -> bool {
        self == Self::Wanted && (event < SAMPLED_FIRST || event.is_multiple_of(SAMPLE_EVERY))
    }
}

/// Time per rule, from all threads.
#[derive(Default)]
pub(crate) struct RuleTimes {
    nanoseconds: Vec<AtomicU64>,
    events: AtomicU64,
}

impl RuleTimes {
    /// Nothing measured, for so many rules.
    pub(crate) fn new(rules: usize) -> Self {
        let nanoseconds = (0..rules).map(|_| AtomicU64::new(0)).collect();
        Self {
            nanoseconds,
            events: AtomicU64::new(0),
        }
    }

    /// Evaluates every rule by itself on `event`, and notes how long each took.
    pub(crate) fn sample(&self, evaluator: &mut Evaluator<'_>, event: &Event<'_>) {
        for (rule, total) in self.nanoseconds.iter().enumerate() {
            let started = Instant::now();
            std::hint::black_box(evaluator.evaluate_plainly(rule, event));
            let spent = started.elapsed().as_nanos() as u64;
            // A thread that was taken off its core says nothing of the rule.
            if spent < TIME_KEPT_NS_MAX {
                total.fetch_add(spent, Ordering::Relaxed);
            }
        }
        self.events.fetch_add(1, Ordering::Relaxed);
    }

    fn mean(&self, rule: usize) -> Option<u64> {
        let events = self.events.load(Ordering::Relaxed);
        let total = self.nanoseconds.get(rule)?.load(Ordering::Relaxed);
        total.checked_div(events)
    }
}

/// What one rule did.
#[derive(Clone, Debug, Default)]
pub(crate) struct RuleCounts {
    pub(crate) matches: u64,
    pub(crate) indeterminate: u64,
    pub(crate) not_applicable: u64,
    pub(crate) excused: u64,
    faults: BTreeMap<String, u64>,
    faults_left_out: u64,
}

impl RuleCounts {
    /// Notes so many undecided verdicts.
    pub(crate) fn undecided(&mut self, fault: String, count: u64) {
        self.indeterminate += count;
        if let Some(known) = self.faults.get_mut(&fault) {
            *known += count;
        } else if self.faults.len() < FAULTS_KEPT_MAX {
            self.faults.insert(fault, count);
        } else {
            self.faults_left_out += count;
        }
    }

    /// Undecided verdicts by reason, most frequent first.
    pub(crate) fn faults(&self) -> Vec<(&str, u64)> {
        let mut faults: Vec<_> = self
            .faults
            .iter()
            .map(|(fault, count)| (fault.as_str(), *count))
            .collect();
        faults.sort_by_key(|(fault, count)| (std::cmp::Reverse(*count), *fault));
        if self.faults_left_out > 0 {
            faults.push(("other reasons", self.faults_left_out));
        }
        faults
    }
}

/// The statistics as a table.
pub(crate) fn to_text(
    rules: &RuleSet,
    counts: &[RuleCounts],
    times: &RuleTimes,
    accounting: &Accounting,
) -> String {
    let width = rules
        .rules()
        .iter()
        .map(|one| one.rule.id.as_str().len())
        .max()
        .unwrap_or(4);
    let mut out = format!(
        "{:<width$}  {:>10}  {:>13}  {:>14}  {:>8}  {:>9}\n",
        "rule", "matches", "indeterminate", "not applicable", "excused", "ns/event"
    );
    let mut order: Vec<usize> = (0..counts.len()).collect();
    order.sort_by_key(|rule| {
        let one = &counts[*rule];
        (
            std::cmp::Reverse((one.matches, one.indeterminate, one.excused)),
            *rule,
        )
    });
    for rule in order {
        let one = &counts[rule];
        let time = times.mean(rule).map_or("-".to_owned(), grouped);
        out.push_str(&format!(
            "{:<width$}  {:>10}  {:>13}  {:>14}  {:>8}  {:>9}\n",
            rules.rules()[rule].rule.id.as_str(),
            grouped(one.matches),
            grouped(one.indeterminate),
            grouped(one.not_applicable),
            grouped(one.excused),
            time,
        ));
        if let Some(state) = state_of(accounting, rules.rules()[rule].rule.id.as_str()) {
            let told = remembered(state);
            if !told.is_empty() {
                out.push_str(&format!("{:<width$}  {told}\n", ""));
            }
            for (reason, count) in &state.reasons {
                out.push_str(&format!(
                    "{:<width$}  {:>25}  {}\n",
                    "",
                    grouped(*count),
                    Shown(reason)
                ));
            }
        }
        for (fault, count) in one.faults() {
            out.push_str(&format!(
                "{:<width$}  {:>25}  {}\n",
                "",
                grouped(count),
                Shown(fault)
            ));
        }
    }
    out.push('\n');
    out.push_str(&inputs_table(accounting));
    out
}

/// What became of what a rule remembers; nothing of a rule that does not.
fn state_of<'a>(accounting: &'a Accounting, rule: &str) -> Option<&'a RuleCounters> {
    let rules = &accounting.state.as_ref()?.rules;
    rules
        .iter()
        .find(|(id, _)| id == rule)
        .map(|(_, counters)| counters)
}

/// The counters of one rule that remembers, those that are not zero.
fn remembered(state: &RuleCounters) -> String {
    let mut told = Vec::new();
    for (count, one, many) in [
        (state.observed, "observed", "observed"),
        (state.duplicates, "duplicate", "duplicates"),
        (state.late, "late", "late"),
        (state.faults, "without key", "without key"),
        (state.undecided, "undecided", "undecided"),
        (state.detections, "detection", "detections"),
        (state.suppressed, "suppressed", "suppressed"),
        (state.groups, "group", "groups"),
        (state.evicted + state.dropped, "gave way", "gave way"),
        (state.pending, "waiting", "waiting"),
    ] {
        let words = if count == 1 { one } else { many };
        if count > 0 {
            told.push(format!("{} {words}", grouped(count)));
        }
    }
    told.join(", ")
}

/// The account of every input. What rules that remember observed is told where there are such rules.
fn inputs_table(accounting: &Accounting) -> String {
    let names = accounting.inputs.iter();
    let names = names.map(|one| columns(&Shown(&one.file).to_string()));
    let width = names.max().unwrap_or(5).clamp(5, 60);
    let remembers = accounting.state.is_some();
    let row = |name: &str, counts: [&str; 6]| {
        let mut out = cell(name, width);
        for count in counts.iter().take(if remembers { 6 } else { 5 }) {
            out.push_str(&format!("  {count:>10}"));
        }
        out
    };
    let head = [
        "read",
        "matched",
        "unmatched",
        "duplicate",
        "rejected",
        "observed",
    ];
    let mut out = row("input", head) + "\n";
    for input in &accounting.inputs {
        let counts = &input.counts;
        let numbers = [
            counts.read,
            counts.matched,
            counts.unmatched,
            counts.duplicates,
            counts.rejected_total(),
            counts.observed,
        ];
        let numbers = numbers.map(grouped);
        out.push_str(&row(&input.file, numbers.each_ref().map(String::as_str)));
        let reasons: Vec<String> = counts
            .rejected
            .iter()
            .map(|(reason, count)| format!("{reason} {count}"))
            .collect();
        if !reasons.is_empty() {
            out.push_str(&format!("  {}", reasons.join(", ")));
        }
        if let Some((name, _)) = &input.fault {
            out.push_str(&format!("  {name}"));
        }
        out.push('\n');
    }
    let left_out = accounting.inputs_read - accounting.inputs.len() as u64;
    if left_out > 0 {
        out.push_str(&format!("and {}\n", counted(left_out, "more input")));
    }
    out
}

/// The statistics as one JSON object.
pub(crate) fn to_json(
    rules: &RuleSet,
    counts: &[RuleCounts],
    times: &RuleTimes,
    accounting: &Accounting,
) -> Value {
    let rules: Vec<Value> = counts
        .iter()
        .enumerate()
        .map(|(rule, one)| {
            let faults = one.faults();
            json!({
                "rule_id": rules.rules()[rule].rule.id.as_str(),
                "matches": one.matches,
                "indeterminate": one.indeterminate,
                "not_applicable": one.not_applicable,
                "excused": one.excused,
                "indeterminate_by_reason": faults
                    .iter()
                    .map(|(fault, count)| json!({ "reason": fault, "count": count }))
                    .collect::<Vec<_>>(),
                "nanoseconds_per_event": times.mean(rule),
                "state": state_of(accounting, rules.rules()[rule].rule.id.as_str()),
            })
        })
        .collect();
    let inputs: Vec<Value> = accounting
        .inputs
        .iter()
        .map(|input| {
            let mut value = input.counts.to_json();
            value["file"] = json!(input.file);
            value["fault"] = json!(input.fault.as_ref().map(|(name, _)| name));
            value
        })
        .collect();
    json!({ "summary": accounting.to_json(), "rules": rules, "inputs": inputs })
}
