//! Running a timeline in virtual time, on the state that events meet in production.
//!
//! Events arrive in the order written, and time has come as far as the newest of them, so a rule's lateness is at work.
//! When the last one has come time goes on until nothing more can happen.

use super::{Failure, failure_of, with_facts};
use crate::evaluate::{Evaluator, Observations, RuleIndex, RuleSet};
use crate::event::{Event, Parser};
use crate::rule::kind::{EventKey, EventTime, Period, StoredEvent};
use crate::rule::{Moment, TIMELINE_START, TestFacts, Timeline, Wanted, at_time};
use crate::state::{State, StateSettings};
use crate::wire::Finding;
use std::sync::Arc;

/// What went wrong, if anything did.
pub(super) fn run(timeline: &Timeline, rule: RuleIndex, set: &RuleSet) -> Option<Failure> {
    let mut trial = Trial {
        evaluator: Evaluator::new(set),
        parser: Parser::new(),
        state: State::new(set, StateSettings::default()),
        observations: Observations::default(),
        newest: EventTime::MIN,
        arrived: 0,
        at_once: Vec::new(),
        faults: Vec::new(),
    };
    for moment in &timeline.moments {
        if let Err(message) = trial.moment(moment, rule) {
            return Some(failure_of(vec![message]));
        }
    }
    trial.state.complete(EventTime::MAX);
    trial.state.finish();
    let told = trial.state.take_told().into_iter();
    let mut found: Vec<Finding> = trial.at_once;
    found.extend(
        told.filter(|told| told.rule == rule)
            .map(|told| told.finding),
    );
    found.sort_by_key(|finding| {
        finding
            .event_time
            .as_deref()
            .and_then(|time| time.parse::<jiff::Timestamp>().ok())
    });
    let mut mismatches = compare(&timeline.findings, &found);
    if !mismatches.is_empty() {
        mismatches.extend(trial.faults);
    }
    (!mismatches.is_empty()).then(|| failure_of(mismatches))
}

struct Trial<'r> {
    evaluator: Evaluator<'r>,
    parser: Parser,
    state: State<'r>,
    observations: Observations,
    newest: EventTime,
    arrived: u64,
    /// Findings of a rule that remembers nothing.
    at_once: Vec<Finding>,
    /// Why the rule was not told of an event.
    faults: Vec<String>,
}

/// Reasons shown for events that a rule was not told of.
const FAULTS_SHOWN: usize = 3;

impl Trial<'_> {
    fn moment(&mut self, moment: &Moment, rule: RuleIndex) -> Result<(), String> {
        for number in 0..moment.repeat {
            let offset = moment.every.micros().saturating_mul(number as i64);
            let time = TIMELINE_START.plus(moment.at);
            let time = EventTime::from_micros(time.micros().saturating_add(offset));
            if let Some(text) = &moment.event_json {
                self.arrived += 1;
                let id = format!("00000000-0000-4000-8000-{:012x}", self.arrived);
                let id = (!moment.keeps_id).then_some(id.as_str());
                let text = at_time(text, time, id).ok_or("the event is no JSON object")?;
                self.event(&text, moment.facts.as_ref(), rule)?;
            }
            self.newest = self.newest.max(time);
            self.state.advance(self.newest);
        }
        Ok(())
    }

    fn event(
        &mut self,
        text: &str,
        facts: Option<&TestFacts>,
        rule: RuleIndex,
    ) -> Result<(), String> {
        let document = self
            .parser
            .parse(text.as_bytes())
            .map_err(|malformed| format!("the event is no event: {malformed}"))?;
        let mut of_facts = Parser::new();
        let event = with_facts(Event::new(document), facts, &mut of_facts);
        let found = self.evaluator.evaluate(&event);
        let at_once = found.matched.contains(&rule) && self.evaluator.rule(rule).finds_at_once();
        self.evaluator.observe(&event, &mut self.observations);
        if at_once {
            self.at_once.push(self.evaluator.finding(rule, &event));
        }
        for fault in self
            .observations
            .faults
            .iter()
            .filter(|fault| fault.rule == rule)
        {
            if self.faults.len() < FAULTS_SHOWN {
                self.faults
                    .push(format!("an event was left out: {}", fault.reason));
            }
        }
        let stored = Arc::new(StoredEvent {
            key: EventKey::new(event.id().as_str()),
            time: event.time().map_or(self.newest, EventTime::from),
            bytes: text.as_bytes().into(),
            origin: "".into(),
        });
        self.state.observe(&stored, &self.observations.all);
        Ok(())
    }
}

fn compare(wanted: &[Wanted], found: &[Finding]) -> Vec<String> {
    let mut lines = Vec::new();
    if wanted.len() != found.len() {
        let lacking = format!(
            "expected {}, found {}",
            findings(wanted.len()),
            findings(found.len())
        );
        lines.push(lacking);
    }
    for (number, (wanted, finding)) in wanted.iter().zip(found).enumerate() {
        compare_one(number + 1, wanted, finding, &mut lines);
    }
    for (number, finding) in found.iter().enumerate().skip(wanted.len()) {
        lines.push(format!(
            "finding {} was not expected: {}",
            number + 1,
            in_words(finding)
        ));
    }
    lines
}

fn findings(count: usize) -> String {
    match count {
        0 => "no finding".to_owned(),
        1 => "1 finding".to_owned(),
        count => format!("{count} findings"),
    }
}

/// A finding in one line.
fn in_words(finding: &Finding) -> String {
    let mut words = format!(
        "at {}",
        offset_of(finding).map_or("?".to_owned(), |at| at.to_string())
    );
    if let Some(pattern) = &finding.pattern {
        words.push_str(&format!(
            ", group {:?}, count {}",
            pattern.group, pattern.count
        ));
    }
    format!("{words}, {:?}", finding.title)
}

/// When a finding came to hold, after the start.
fn offset_of(finding: &Finding) -> Option<Period> {
    let time: jiff::Timestamp = finding.event_time.as_deref()?.parse().ok()?;
    Some(EventTime::from(time).since(TIMELINE_START))
}

fn compare_one(number: usize, wanted: &Wanted, finding: &Finding, lines: &mut Vec<String>) {
    let mut line = |what: &str, expected: String, found: String| {
        if expected != found {
            lines.push(format!(
                "finding {number}, {what}: expected {expected}, found {found}"
            ));
        }
    };
    if let Some(at) = wanted.at {
        let found = offset_of(finding).map_or("no time".to_owned(), |at| at.to_string());
        line("at", at.to_string(), found);
    }
    let pattern = finding.pattern.as_ref();
    if let Some(group) = &wanted.group {
        let found = pattern
            .map(|pattern| pattern.group.as_slice())
            .unwrap_or_default();
        line("group", format!("{group:?}"), format!("{found:?}"));
    }
    if let Some(count) = wanted.count {
        let found = pattern.map_or(1, |pattern| pattern.count);
        line("count", count.to_string(), found.to_string());
    }
    if let Some(title) = &wanted.title {
        line(
            "title",
            format!("{title:?}"),
            format!("{:?}", finding.title),
        );
    }
    if let Some(severity) = &wanted.severity {
        line("severity", severity.to_string(), finding.severity.clone());
    }
    if let Some(key) = &wanted.dedup_key {
        line(
            "dedup_key",
            format!("{key:?}"),
            format!("{:?}", finding.dedup_key),
        );
    }
    if let Some(suppressed) = wanted.suppressed {
        let found = finding
            .suppressed
            .as_ref()
            .map_or(0, |suppressed| suppressed.count);
        line("suppressed", suppressed.to_string(), found.to_string());
    }
    for note in &finding.notes {
        lines.push(format!("finding {number}: {note}"));
    }
}
