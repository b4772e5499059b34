//! What must be found, worked out the naive way from the log as it is in the end.
//!
//! Knows no batches, threads, commits or restarts: every rule is evaluated on every event without the index, and what
//! rules remember is told everything before it may answer anything. So it agrees with the pipeline only where the pipeline
//! is right, as long as no event comes later than its rule allows.

use crate::bus::Kept;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tripline_core::evaluate::{Evaluator, Observations, Outcome, RuleIndex, RuleSet};
use tripline_core::event::{Event, Parser};
use tripline_core::port::RecordKind;
use tripline_core::rule::kind::{EventKey, EventTime, Period, StoredEvent};

use tripline_core::state::{State, StateSettings, Telling};

/// What must be found.
#[derive(Debug, Default, PartialEq)]
pub struct Wanted {
    /// Findings by id, with how many more detections are counted on each.
    pub findings: BTreeMap<String, u64>,
    /// Places of records that are no events.
    pub malformed: BTreeSet<u64>,
}

/// The rules in force from a place in the log on.
pub struct InForce<'r> {
    /// After this record.
    pub after: u64,
    /// The rules.
    pub rules: &'r RuleSet,
}

/// What must be found in this log. Rules that remember are those of the last rule set.
pub fn audit(log: &[Kept], in_force: &[InForce<'_>]) -> Wanted {
    let mut wanted = Wanted::default();
    let mut parser = Parser::new();
    let last = in_force.last().expect("some rules are in force").rules;
    let settings = StateSettings {
        telling: Telling::Once,
        ..StateSettings::default()
    };
    let mut state = State::new(last, settings);
    let mut observer = Evaluator::new(last);
    let mut evaluators: Vec<Evaluator<'_>> = in_force
        .iter()
        .map(|one| Evaluator::new(one.rules))
        .collect();
    let mut newest = EventTime::MIN;
    for (at, kept) in log.iter().enumerate() {
        let sequence = at as u64 + 1;
        if kept.kind == RecordKind::Tick {
            continue;
        }
        let Ok(document) = parser.parse(&kept.payload) else {
            wanted.malformed.insert(sequence);
            continue;
        };
        let event = Event::new(document);
        let now = in_force.partition_point(|one| one.after < sequence) - 1;
        let rules = in_force[now].rules;
        let evaluator = &mut evaluators[now];
        for (number, rule) in rules.rules().iter().enumerate() {
            if rule.finds_at_once() && evaluator.evaluate_plainly(number, &event) == Outcome::True {
                let finding = evaluator.finding(RuleIndex(number as u32), &event);
                wanted.findings.insert(finding.finding_id, 0);
            }
        }
        let Some(time) = event.time().map(EventTime::from) else {
            continue;
        };
        newest = newest.max(time);
        let mut observations = Observations::default();
        observer.evaluate(&event);
        observer.observe(&event, &mut observations);
        let stored = Arc::new(StoredEvent {
            key: EventKey::new(event.id().as_str()),
            time,
            bytes: kept.payload.clone().into(),
            origin: "".into(),
        });
        state.observe(&stored, &observations.all);
    }
    state.complete(newest.plus(Period::from_days(1)));
    state.finish();
    for told in state.take_told() {
        let count = told.finding.suppressed.map_or(0, |one| one.count);
        wanted.findings.insert(told.finding.finding_id, count);
    }
    wanted
}
