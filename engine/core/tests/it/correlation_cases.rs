//! Labelled cases of public correlation rules, when they are at hand: restated in our kinds they fire as labelled.
//!
//! Each rule is written anew as TOML from what it says of itself, so that loading, feeding and state are all asked: its
//! groups and steps become rules that only signal, a group a `[temporal]` rule over them, a group of which one part is
//! to be absent an `[absence]` rule, a sequence a `[sequence]` rule. The signals of a case are events at their times.
//! The list of disagreements is exact: a case that goes wrong, and one that comes right, fail the test.

use crate::cel_front::shared_folder;
use jiff::civil::date;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use tripline_core::diagnostic::Palette;
use tripline_core::evaluate::{Evaluator, Observations, RuleSet};
use tripline_core::event::{Event, Parser};
use tripline_core::rule::kind::{EventKey, EventTime, StoredEvent};
use tripline_core::rule::{File, TIMELINE_START, load};
use tripline_core::state::{State, StateSettings};

/// Cases that come out otherwise than labelled: their rule, the case's name, and why.
const DISAGREEMENTS: [(&str, &str, &str); 0] = [];

/// The rule that is asked whether it fires.
const ASKED: &str = "asked";

fn lines(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).expect("the file can be read");
    text.lines()
        .map(|line| serde_json::from_str(line).expect("a line is JSON"))
        .collect()
}

fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value[key].as_str().unwrap_or_default()
}

/// Text as TOML has it.
fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

/// One group or step of theirs.
struct Part<'v> {
    name: String,
    signal: &'v str,
    absent: bool,
    repeat: u64,
    /// The fields by whose values it belongs to the others.
    key: Vec<String>,
}

impl Part<'_> {
    /// The rule that signals it.
    fn signal_rule(&self) -> File {
        let when = quoted(&format!("event.signal == {}", quoted(self.signal)));
        let body = format!("when = {when}\nsignal = true\n");
        rule_file(&self.name, &body)
    }

    fn group_by(&self) -> String {
        let values = self.key.iter().map(|field| {
            let expression = format!("event.values[{}]", quoted(field));
            quoted(&expression)
        });
        format!("group_by = [{}]\n", values.collect::<Vec<_>>().join(", "))
    }

    fn step(&self, kind: &str, when: Option<String>) -> String {
        let when = when.map_or(String::new(), |when| format!("when = {}\n", quoted(&when)));
        format!(
            "[[{kind}.step]]\nname = \"{}\"\n{when}rules = [\"{}\"]\n{}repeat = {}\n",
            self.name.replace('-', "_"),
            self.name,
            self.group_by(),
            self.repeat
        )
    }
}

fn rule_file(id: &str, body: &str) -> File {
    let head = format!(
        "id = \"{id}\"\nname = \"A rule\"\ndescription = \"Restated.\"\nseverity = \"low\"\nstatus = \"experimental\"\n"
    );
    File::found(format!("{id}.toml"), head + body)
}

/// The parts under `key`, with the fields that the criteria name for each.
fn parts<'v>(detection: &'v Value, key: &str) -> Option<Vec<Part<'v>>> {
    let parts = detection[key].as_array()?.iter().enumerate();
    let criteria: Vec<&Value> = detection["MatchCriteria"]
        .as_object()
        .into_iter()
        .flatten()
        .flat_map(|(_, matches)| matches.as_array().into_iter().flatten())
        .collect();
    let part = |(number, part): (usize, &'v Value)| {
        let id = text(part, "ID");
        let of_part = criteria
            .iter()
            .filter(|criterion| text(criterion, "GroupID") == id);
        Part {
            name: format!("part-{number}"),
            signal: text(part, "RuleID"),
            absent: part["Absence"].as_bool().unwrap_or(false),
            repeat: part["MinMatchCount"].as_u64().unwrap_or(1),
            key: of_part
                .map(|criterion| text(criterion, "Match").to_owned())
                .collect(),
        }
    };
    Some(parts.map(part).collect())
}

/// Things within a time in any order, one of which may have to be absent.
fn restate_group(detection: &Value, parts: &[Part<'_>]) -> Option<File> {
    let within = format!("{}m", detection["LookbackWindowMinutes"].as_u64()?);
    let (absent, present): (Vec<&Part<'_>>, Vec<&Part<'_>>) =
        parts.iter().partition(|part| part.absent);
    match (present.as_slice(), absent.as_slice()) {
        ([_, _, ..], []) => {
            let steps: String = present
                .iter()
                .map(|part| part.step("temporal", None))
                .collect();
            let body = format!("[temporal]\nwithin = \"{within}\"\n{steps}");
            Some(rule_file(ASKED, &body))
        }
        ([one], [missed]) if one.repeat == 1 => Some(absence(one, missed, &within, "either")),
        _ => None,
    }
}

fn absence(one: &Part<'_>, missed: &Part<'_>, within: &str, order: &str) -> File {
    let body = format!(
        "rules = [\"{}\"]\n{}[absence]\nrules = [\"{}\"]\n{}within = \"{within}\"\norder = \"{order}\"\n",
        one.name,
        one.group_by(),
        missed.name,
        missed.group_by(),
    );
    rule_file(ASKED, &body)
}

/// One thing after another, each within a time of the one before.
fn restate_sequence(detection: &Value, parts: &mut [Part<'_>]) -> Option<File> {
    let transitions = detection["Transitions"].as_array()?;
    if transitions.len() + 1 != parts.len() {
        return None;
    }
    let mut minutes = Vec::new();
    for (number, transition) in transitions.iter().enumerate() {
        minutes.push(transition["WithinTimeFrameMinutes"].as_u64()?);
        let matches = transition["Match"].as_array()?;
        let side = |name: &str| -> Vec<String> {
            let fields = matches.iter();
            let field =
                |one: &Value| text(one, if one[name].is_null() { "On" } else { name }).to_owned();
            fields.map(field).collect()
        };
        let (from, to) = (side("From"), side("To"));
        if number > 0 && parts[number].key != from {
            return None;
        }
        parts[number].key = from;
        parts[number + 1].key = to;
    }
    let within = format!("{}m", minutes.iter().sum::<u64>());
    if let [first, second] = &*parts {
        match (first.absent, second.absent) {
            (false, true) => return Some(absence(first, second, &within, "after")),
            (true, false) => return Some(absence(second, first, &within, "before")),
            _ => {}
        }
    }
    if parts.iter().any(|part| part.absent) {
        return None;
    }
    let step = |(number, part): (usize, &Part<'_>)| {
        let when = (minutes.len() > 1 && number > 0).then(|| {
            format!(
                "timestamp(event.eventTime) - timestamp(step.part_{}.eventTime) < duration(\"{}m\")",
                number - 1,
                minutes[number - 1]
            )
        });
        part.step("sequence", when)
    };
    let steps: String = parts.iter().enumerate().map(step).collect();
    let body = format!("[sequence]\nwithin = \"{within}\"\n{steps}");
    Some(rule_file(ASKED, &body))
}

/// The files of a rule of theirs restated; nothing when our kinds cannot say it.
fn restate(rule: &Value) -> Option<Vec<File>> {
    let detection = &rule["Detection"][0];
    let (main, parts) = match parts(detection, "Group") {
        Some(parts) => (restate_group(detection, &parts)?, parts),
        None => {
            let mut parts = parts(detection, "Sequence")?;
            (restate_sequence(detection, &mut parts)?, parts)
        }
    };
    let mut files: Vec<File> = parts.iter().map(Part::signal_rule).collect();
    files.push(main);
    Some(files)
}

/// The signals of a case as events, in the order of time.
fn events(case: &Value, signals: &BTreeMap<&str, &str>) -> Vec<(EventTime, String)> {
    let mut events = Vec::new();
    for output in case["rule_outputs"].as_array().into_iter().flatten() {
        let signal = signals[text(output, "ID")];
        for (field, values) in output["Matches"].as_object().into_iter().flatten() {
            for (value, times) in values.as_object().into_iter().flatten() {
                for time in times.as_array().into_iter().flatten() {
                    let time = match time {
                        Value::String(time) => {
                            EventTime::from(time.parse::<jiff::Timestamp>().expect("a time"))
                        }
                        minutes => {
                            let minutes = minutes.as_i64().expect("whole minutes");
                            EventTime::from_micros(TIMELINE_START.micros() + minutes * 60_000_000)
                        }
                    };
                    let event = json!({
                        "eventID": format!("event-{}", events.len()),
                        "eventTime": time.to_string(),
                        "signal": signal,
                        "values": { field: value },
                    });
                    events.push((time, event.to_string()));
                }
            }
        }
    }
    events.sort();
    events
}

/// Whether the restated rule fires on the events.
fn fires(files: &[File], events: &[(EventTime, String)]) -> bool {
    let catalog = load(files, date(2026, 1, 1));
    let (set, reports) = RuleSet::of_catalog(&catalog);
    let mistakes: String = catalog
        .reports
        .iter()
        .chain(&reports)
        .map(|report| report.render(Palette::PLAIN))
        .collect();
    assert_eq!(mistakes, "");
    let mut evaluator = Evaluator::new(&set);
    let mut state = State::new(&set, StateSettings::default());
    let (mut parser, mut observations) = (Parser::new(), Observations::default());
    for (time, text) in events {
        let event = Event::new(parser.parse(text.as_bytes()).expect("an event is JSON"));
        evaluator.evaluate(&event);
        evaluator.observe(&event, &mut observations);
        assert!(observations.faults.is_empty(), "{:?}", observations.faults);
        let stored = StoredEvent {
            key: EventKey::new(event.id().as_str()),
            time: *time,
            bytes: text.as_bytes().into(),
            origin: "".into(),
        };
        state.observe(&Arc::new(stored), &observations.all);
        state.advance(*time);
    }
    state.complete(EventTime::MAX);
    state.finish();
    state
        .take_told()
        .iter()
        .any(|told| told.finding.rule_id == ASKED)
}

#[test]
fn restated_correlations_fire_as_labelled() {
    let Some(folder) = shared_folder().map(|shared| shared.join("data/panther")) else {
        println!("skipped: no labelled cases at hand; set TRIPLINE_SHARED");
        return;
    };
    let rules = lines(&folder.join("correlation_rules.dev.jsonl"));
    let cases = lines(&folder.join("correlation_cases.dev.jsonl"));
    let (mut right, mut wrong) = (0, Vec::new());
    for case in &cases {
        let id = text(case, "rule_id");
        let rule = rules.iter().find(|rule| text(rule, "RuleID") == id);
        let rule = rule.expect("every case has its rule");
        let detection = &rule["Detection"][0];
        let all = ["Group", "Sequence"].map(|key| detection[key].as_array().into_iter().flatten());
        let signals = all.into_iter().flatten();
        let signals = signals.map(|part| (text(part, "ID"), text(part, "RuleID")));
        let found = restate(rule).map(|files| fires(&files, &events(case, &signals.collect())));
        if found == case["expected"].as_bool() {
            right += 1;
        } else {
            wrong.push((id, text(case, "name")));
        }
    }
    println!("{right} of {} correlation cases as labelled", cases.len());
    let known = DISAGREEMENTS.map(|(id, name, _)| (id, name));
    assert_eq!(wrong, known);
    assert!(100 * right >= 97 * cases.len());
}
