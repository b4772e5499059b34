//! Correlations of Sigma on real logs, when they are at hand: what fires, for which group, and when it first does,
//! equals what others computed.

use serde_json::Value;
use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tripline_core::evaluate::{Evaluator, Observations, RuleSet};
use tripline_core::event::{Event, Parser};
use tripline_core::rule::kind::{EventKey, EventTime, StoredEvent};
use tripline_core::rule::{File, Lists, load_with};
use tripline_core::sigma::{BaseRules, translate};
use tripline_core::state::{State, StateSettings};

fn shared() -> Option<PathBuf> {
    let named = std::env::var_os("TRIPLINE_SHARED").map(PathBuf::from);
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let data = [named, Some(beside)].into_iter().flatten();
    let mut data = data.map(|one| one.join("data"));
    data.find(|one| one.join("expected/sigma_correlation.jsonl").is_file())
}

fn text_of(path: &Path) -> String {
    let mut text = String::new();
    let mut file = std::fs::File::open(path).expect("a file of the shared data opens");
    let read = if path.extension().is_some_and(|kind| kind == "gz") {
        flate2::read::GzDecoder::new(file).read_to_string(&mut text)
    } else {
        file.read_to_string(&mut text)
    };
    read.expect("a file of the shared data is text");
    text
}

/// Rule and group, and when it first fired.
type Fired = BTreeMap<(String, Vec<String>), String>;

fn fired(set: &RuleSet, events: &str) -> Fired {
    let mut evaluator = Evaluator::new(set);
    let mut parser = Parser::new();
    let mut state = State::new(set, StateSettings::default());
    let mut observations = Observations::default();
    for line in events.lines() {
        let document = parser
            .parse(line.as_bytes())
            .expect("the events are events");
        let event = Event::new(document);
        evaluator.evaluate(&event);
        evaluator.observe(&event, &mut observations);
        assert!(observations.faults.is_empty());
        let Some(time) = event.time() else { continue };
        let stored = Arc::new(StoredEvent {
            key: EventKey::new(event.id().as_str()),
            time: EventTime::from(time),
            bytes: line.as_bytes().into(),
            origin: "".into(),
        });
        state.observe(&stored, &observations.all);
    }
    state.complete(EventTime::MAX);
    state.finish();
    let mut fired = Fired::new();
    for told in state.take_told() {
        let finding = told.finding;
        let group = finding
            .pattern
            .map(|pattern| pattern.group)
            .unwrap_or_default();
        let time = finding.event_time.unwrap_or_default();
        let first = fired
            .entry((finding.rule_id, group))
            .or_insert_with(|| time.clone());
        *first = first.clone().min(time);
    }
    fired
}

#[test]
fn correlations_fire_as_others_computed() {
    let Some(data) = shared() else {
        println!("skipped: no shared data at hand; set TRIPLINE_SHARED");
        return;
    };
    let rows: Vec<Value> = text_of(&data.join("expected/sigma_correlation.jsonl"))
        .lines()
        .map(|line| serde_json::from_str(line).expect("rows are JSON"))
        .collect();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut paths: Vec<String> = rows.iter().map(|row| text(&row["rule_file"])).collect();
    paths.sort();
    paths.dedup();
    let files = paths
        .iter()
        .map(|path| File::found(path.clone(), text_of(&data.join(path))));
    let files: Vec<File> = files.collect();
    let catalog = load_with(&[], jiff::civil::date(2026, 1, 1), |_| {
        translate(&files, &[], &Lists::new(), BaseRules::AsTheySay).into_rules()
    });
    let (set, reports) = RuleSet::of_catalog(&catalog);
    assert!(
        catalog.reports.is_empty() && reports.is_empty(),
        "{reports:?}"
    );
    let mut by_file: BTreeMap<String, Fired> = BTreeMap::new();
    for row in &rows {
        let file = text(&row["file"]);
        let found = by_file
            .entry(file.clone())
            .or_insert_with(|| fired(&set, &text_of(&data.join(&file))));
        let group = row["group"]
            .as_array()
            .expect("a group")
            .iter()
            .map(text)
            .collect();
        let time = found.get(&(text(&row["rule_id"]), group)).cloned();
        let expected = row["first_fire_time"].as_str().map(str::to_owned);
        assert_eq!(time, expected, "{row}");
    }
    println!("{} rows, all as expected", rows.len());
}
