//! What rules say of one record, and the shapes of what they find.
//!
//! Findings of the rules come in turns when they take much memory; those of a baseline beside them do not.

use super::{Examination, Examined, Found, Record};
use crate::output::Sighting;
use crate::pipeline::Resume;
use crate::scan::outlet::Shape;
use crate::scan::remember::Observed;
use crate::scan::statistics::Statistics;
use tripline_core::evaluate::{Evaluated, Evaluator, Observations, RuleIndex, RuleSet};
use tripline_core::rule::Severity;

/// Evaluates a record, and shapes and renders what is found.
pub(super) fn judge<S: Shape>(
    evaluator: &mut Evaluator<'_>,
    shared: &Examination<'_, S>,
    record: &Record<'_>,
    out: &mut Examined<S::Shaped>,
) {
    let verdicts = evaluator.evaluate(record.event);
    let rules = shared.rules.rules();
    let at_once = |rule: &RuleIndex| rules[rule.0 as usize].finds_at_once();
    if record.given == 0 && !verdicts.matched.iter().all(at_once) {
        out.quietly.push(record.number);
    }
    let matched: Vec<RuleIndex> = verdicts.matched.iter().copied().filter(at_once).collect();
    if record.given == 0 {
        let undecided = [verdicts.indeterminate, verdicts.exception_faults].concat();
        note_verdicts(&verdicts, shared, record, out);
        if !undecided.is_empty() {
            out.undecided.push((record.number, undecided.len() as u32));
        }
        if shared.statistics != Statistics::Unwanted {
            for rule in undecided {
                let fault = evaluator.fault(rule, record.event);
                *out.undecided_by_fault.entry((rule.0, fault)).or_default() += 1;
            }
        }
    }
    for (finding, rule) in (0u32..).zip(matched).skip(record.given as usize) {
        let first = finding == record.given;
        if out.found_bytes > shared.findings_bytes_max && !first {
            let record = out.begun - 1;
            out.left = Some(Resume { record, ..out.from }.at_finding(finding));
            return;
        }
        let found = find(evaluator, (shared.rules, shared.shape), record, rule);
        out.found_bytes += S::bytes(&found.shaped);
        out.found.push(found);
    }
}

/// What the baseline says of a record all of whose findings are in. Its findings do not come in turns: who compares
/// versions keeps little of each.
pub(super) fn judge_beside<S: Shape>(
    evaluator: &mut Evaluator<'_>,
    observations: &mut Observations,
    shared: &Examination<'_, S>,
    record: &Record<'_>,
    out: &mut Examined<S::Shaped>,
) {
    let Some(rules) = shared.baseline else { return };
    let matched = evaluator.evaluate(record.event).matched.to_vec();
    // Before findings: what rules that remember are told is about the event evaluated last.
    evaluator.observe(record.event, observations);
    if !observations.is_empty() {
        let Record { event, bytes, .. } = record;
        let line = record.place.line;
        let observed = Observed::new(record.number, event, bytes, line, observations);
        out.beside.observed.push(observed);
    }
    let at_once = |rule: &RuleIndex| rules.rules()[rule.0 as usize].finds_at_once();
    for rule in matched.into_iter().filter(at_once) {
        let found = find(evaluator, (rules, shared.shape), record, rule);
        out.found_bytes += S::bytes(&found.shaped);
        out.beside.found.push(found);
    }
}

/// Counts what an exception excused and what does not concern the event.
fn note_verdicts<S: Shape>(
    verdicts: &Evaluated<'_>,
    shared: &Examination<'_, S>,
    record: &Record<'_>,
    out: &mut Examined<S::Shaped>,
) {
    let excused = verdicts.excused.iter();
    out.excused
        .extend(excused.map(|rule| (record.number, rule.0)));
    if !verdicts.skipped.is_empty() {
        let count = verdicts.skipped.len() as u32;
        out.skipped.push((record.number, count));
    }
    if verdicts.not_applicable.is_empty() {
        return;
    }
    let count = verdicts.not_applicable.len() as u32;
    out.not_applicable.push((record.number, count));
    if shared.statistics != Statistics::Unwanted {
        let rules = shared.rules.rules().len();
        out.not_applicable_by_rule.resize(rules, 0);
        for rule in verdicts.not_applicable {
            out.not_applicable_by_rule[rule.0 as usize] += 1;
        }
    }
}

/// The finding of a rule that matches, in its shape.
fn find<S: Shape>(
    evaluator: &mut Evaluator<'_>,
    (rules, shape): (&RuleSet, &S),
    record: &Record<'_>,
    rule: RuleIndex,
) -> Found<S::Shaped> {
    let finding = evaluator.finding(rule, record.event);
    let shaped = shape.shape(&Sighting {
        finding: &finding,
        rule: rule.0 as usize,
        description: &rules.rules()[rule.0 as usize].rule.description,
        event: record.event,
        bytes: record.bytes,
        file: record.place.file,
        physical_line: record.place.line,
    });
    let severity = Severity::from_word(&finding.severity)
        .unwrap_or(rules.rules()[rule.0 as usize].rule.severity);
    Found {
        record: record.number,
        rule: rule.0,
        severity,
        shaped,
    }
}
