//! A backtest as one JSON document. Fields are only ever added.

use super::compare::differences;
use super::histogram::day;
use super::keep::KeptFinding;
use super::labels::{About, LabelReport, Outcome, Truth};
use super::report::{Report, Versions};
use crate::scan::outlet::Side;
use jiff::Timestamp;
use serde_json::{Value, json};
use tripline_core::evaluate::RuleSet;

/// Findings that are listed of each kind of difference.
const LISTED_MAX: usize = 1000;

/// The document.
pub(crate) fn to_json(report: &Report<'_>) -> Value {
    let mut document = json!({
        "version": 1,
        "summary": report.accounting.to_json(),
        "rules": (0..report.tallies.len()).map(|rule| of_rule(report, rule)).collect::<Vec<_>>(),
        "broken_files": report.broken,
        "met": report.is_met(),
    });
    if let Some(versions) = &report.baseline {
        document["baseline"] = of_versions(report, versions);
    }
    if let Some(judged) = &report.expectations {
        let one = judged.iter().map(|one| {
            json!({
                "rule_id": one.rule,
                "expected": one.expected,
                "met": one.failure.is_none(),
                "found": one.failure,
            })
        });
        document["expectations"] = one.collect();
    }
    if let Some(labels) = &report.labels {
        document["labels"] = of_labels(labels);
    }
    if let Some(proposals) = &report.proposals {
        let one = proposals.tried.iter().map(|one| {
            json!({
                "rule_id": one.rule,
                "name": one.name,
                "when": one.when,
                "removes": one.removes,
                "removes_labelled_false": one.removes_false,
                "of": one.of,
                "keeps_labelled_true": one.keeps_true,
                "tried_on": one.tried_on.as_str(),
            })
        });
        document["proposals"] = one.collect();
        let without = &proposals.without;
        document["noisy_without_proposal"] = without.keys().map(String::as_str).collect();
        let reasons = without.iter();
        let reasons = reasons.map(|(rule, why)| (rule.clone(), Value::from(why.as_str())));
        document["noisy_without_proposal_reasons"] = Value::Object(reasons.collect());
    }
    document
}

fn time(second: Option<i64>) -> Option<String> {
    let time = Timestamp::from_second(second?).ok()?;
    Some(time.to_string())
}

fn of_rule(report: &Report<'_>, rule: usize) -> Value {
    let (tally, counts) = (&report.tallies[rule], &report.counts[rule]);
    let days: serde_json::Map<String, Value> = tally
        .days
        .iter()
        .map(|(second, count)| (day(*second), (*count).into()))
        .collect();
    let keys = tally.noisiest(report.keeper, report.top).into_iter();
    let keys = keys.map(|(key, count)| {
        let parts = super::keep::key_parts(report.keeper.texts.text(key));
        json!({ "dedup_key": parts, "findings": count })
    });
    let reasons: serde_json::Map<String, Value> = counts
        .faults()
        .into_iter()
        .map(|(reason, count)| (reason.to_owned(), count.into()))
        .collect();
    json!({
        "rule_id": report.id(rule),
        "severity": report.rules.rules()[rule].rule.severity.as_str(),
        "signal": report.rules.rules()[rule].rule.signal,
        "findings": tally.findings,
        "entities": tally.keys.len(),
        "first": time(tally.first),
        "last": time(tally.last),
        "by_day": days,
        "top_keys": keys.collect::<Vec<_>>(),
        "undecided": counts.indeterminate,
        "undecided_by_reason": reasons,
        "not_applicable": counts.not_applicable,
        "excused": counts.excused,
    })
}

fn of_finding(report: &Report<'_>, finding: &KeptFinding, rules: &RuleSet) -> Value {
    let keeper = report.keeper;
    json!({
        "rule_id": rules.rules()[finding.rule as usize].rule.id.as_str(),
        "event_id": keeper.event_id(finding),
        "event_time": time(finding.seconds),
        "severity": finding.severity.as_str(),
        "title": keeper.texts.text(finding.title),
        "dedup_key": keeper.key(finding),
        "count": finding.count,
        "finding_id": format!("{:032x}", finding.finding_id),
        "file": keeper.texts.text(finding.file),
        "line": finding.position,
    })
}

fn of_versions(report: &Report<'_>, versions: &Versions<'_>) -> Value {
    let (now, before) = (
        report.findings(Side::Rules),
        report.findings(Side::Baseline),
    );
    let comparison = &versions.comparison;
    let list = |numbers: &[u32], findings: &[KeptFinding], rules: &RuleSet| -> Vec<Value> {
        let listed = numbers.iter().take(LISTED_MAX);
        let one = |at: &u32| of_finding(report, &findings[*at as usize], rules);
        listed.map(one).collect()
    };
    let changed = comparison.changed.iter().take(LISTED_MAX);
    let changed = changed.map(|(was, is)| {
        let (was, is) = (&before[*was as usize], &now[*is as usize]);
        let names = differences(was, is).into_iter();
        json!({
            "differs": names.map(|one| one.as_str()).collect::<Vec<_>>(),
            "before": of_finding(report, was, versions.rules),
            "now": of_finding(report, is, report.rules),
        })
    });
    json!({
        "name": versions.name,
        "broken_files": versions.broken,
        "rules_added": versions.added,
        "rules_removed": versions.removed,
        "counts": {
            "new": comparison.new.len(),
            "gone": comparison.gone.len(),
            "changed": comparison.changed.len(),
            "same": comparison.same,
        },
        "listed_at_most": LISTED_MAX,
        "new": list(&comparison.new, now, report.rules),
        "gone": list(&comparison.gone, before, versions.rules),
        "changed": changed.collect::<Vec<_>>(),
    })
}

fn of_labels(labels: &LabelReport) -> Value {
    let rules = labels.rules.iter().map(|(rule, counts)| {
        let (verdict, reason) = counts.verdict();
        json!({
            "rule_id": rule,
            "true_found": counts.true_found,
            "true_not_found": counts.true_missed,
            "false_found": counts.false_found,
            "not_read": counts.not_read,
            "precision": counts.precision(),
            "recall": counts.recall(),
            "verdict": verdict,
            "reason": reason,
        })
    });
    let missed = labels.labels.iter().filter(|(label, outcome)| {
        label.truth == Truth::True && matches!(outcome, Outcome::Missed | Outcome::NoRule)
    });
    let missed = missed.take(LISTED_MAX).map(|(label, outcome)| {
        let mut one = json!({
            "rule_id": label.rule,
            "label": label.truth.as_str(),
            "outcome": outcome.as_str(),
            "note": label.note,
        });
        match &label.about {
            About::Event(id) => one["event_id"] = json!(id),
            About::Finding(id) => one["finding_id"] = json!(format!("{id:032x}")),
        }
        one
    });
    json!({
        "rules": rules.collect::<Vec<_>>(),
        "true_not_found": missed.collect::<Vec<_>>(),
    })
}
