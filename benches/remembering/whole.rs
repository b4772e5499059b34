//! The section `remember`: everything together, from bytes to findings.

use std::hint::black_box;
use std::sync::Arc;

use tripline_benches::cel_text::{Dialect, cel_text};
use tripline_benches::remember::remembering;
use tripline_benches::set::{Flavour, rules};
use tripline_benches::vocabulary::Vocabulary;
use tripline_core::evaluate::{Evaluator, Observations, RuleSet};
use tripline_core::event::{Event, Parser};
use tripline_core::rule::kind::{EventKey, EventTime, StoredEvent};
use tripline_core::state::{State, StateSettings};

use crate::report::{Table, number, per_second};
use crate::round::{Round, corpus};
use crate::stream::rule_set;
use crate::timing::{median, timed};

/// Events between two moments at which time goes on, as in a batch of the pipeline.
const BATCH: usize = 256;

/// How far an event goes.
#[derive(Clone, Copy, PartialEq, PartialOrd)]
enum Stage {
    Evaluated,
    Observed,
    Remembered,
}

pub(crate) fn tables(round: &Round) -> Vec<Table> {
    let corpus = corpus(round);
    let step = (corpus.len() / 5000).max(1);
    let vocabulary = Vocabulary::gather(corpus.iter().step_by(step).map(Vec::as_slice));
    let plain = plain(&vocabulary);
    let remembers = remembering(&vocabulary, 200, 13);
    let both = [plain.clone(), remembers.clone()].concat();
    // Rules of risk add up what the mixed ones detect, and stand for nothing without them.
    let mut alone = remembers;
    alone.retain(|(_, text)| !text.contains("[risk]"));
    let alone_name = format!("{} that remember", alone.len());
    let mut table = Table::new(
        "1,000 mixed rules and 200 that remember, from bytes to findings",
        &[
            "rules",
            "as far as",
            "ns/event",
            "events/s",
            "x P",
            "observations/event",
            "findings",
            "state MiB",
        ],
    );
    let mut row = |name: &str, stage: Stage, as_far: &str, texts: &[(String, String)]| {
        let set = rule_set(texts);
        let measured = measure(&set, &corpus, stage, round.ours.passes);
        table.row(vec![
            name.to_owned(),
            as_far.to_owned(),
            number(measured.nanoseconds),
            per_second(measured.nanoseconds),
            number(measured.nanoseconds / measured.floor),
            number(measured.observations as f64 / corpus.len() as f64),
            number(measured.findings as f64),
            number(measured.bytes as f64 / (1 << 20) as f64),
        ]);
    };
    row("1,000", Stage::Evaluated, "evaluated", &plain);
    row(&alone_name, Stage::Evaluated, "evaluated", &alone);
    row(&alone_name, Stage::Observed, "observed", &alone);
    row(&alone_name, Stage::Remembered, "findings", &alone);
    row("1,000 + 200", Stage::Evaluated, "evaluated", &both);
    row("1,000 + 200", Stage::Observed, "observed", &both);
    row("1,000 + 200", Stage::Remembered, "findings", &both);
    vec![table]
}

fn plain(vocabulary: &Vocabulary) -> Vec<(String, String)> {
    let drawn = rules(vocabulary, Flavour::Mixed, 1000, 11);
    let text = |(number, rule): (usize, &tripline_benches::rule::Rule)| {
        let when = cel_text(rule, Dialect::Tripline);
        let id = format!("rule-{number}");
        let text = format!(
            "id = \"{id}\"\nname = \"Rule {number}\"\ndescription = \"Drawn for a benchmark.\"\nseverity = \"low\"\n\
             status = \"experimental\"\nsource = \"aws.cloudtrail\"\nwhen = '''\n{when}\n'''\n"
        );
        (id, text)
    };
    drawn.iter().enumerate().map(text).collect()
}

#[derive(Default)]
struct Measured {
    nanoseconds: f64,
    floor: f64,
    observations: usize,
    findings: usize,
    bytes: usize,
}

fn measure(set: &RuleSet, corpus: &[Vec<u8>], stage: Stage, passes: usize) -> Measured {
    let mut measured = Measured::default();
    let (mut own, mut floors) = (Vec::new(), Vec::new());
    let each = |time: std::time::Duration| time.as_nanos() as f64 / corpus.len() as f64;
    for _ in 0..passes {
        let (_, time) = timed(|| corpus.iter().map(|bytes| floor(bytes)).sum::<usize>());
        floors.push(each(time));
        // Giving all memory back at once at the end is not part of the work.
        let ((pass, state), time) = timed(|| pass(set, corpus, stage));
        drop(state);
        own.push(each(time));
        measured = pass;
    }
    measured.nanoseconds = median(own);
    measured.floor = median(floors);
    measured
}

/// The floor: the whole text parsed by sonic-rs.
fn floor(bytes: &[u8]) -> usize {
    let value: sonic_rs::Value = sonic_rs::from_slice(bytes).expect("the corpus is JSON");
    usize::from(sonic_rs::JsonValueTrait::is_null(black_box(&value)))
}

/// Once through the corpus, with a state of its own.
fn pass<'s>(set: &'s RuleSet, corpus: &[Vec<u8>], stage: Stage) -> (Measured, State<'s>) {
    let mut parser = Parser::new();
    let mut evaluator = Evaluator::new(set);
    let mut state = State::new(set, StateSettings::default());
    let mut observations = Observations::default();
    let mut measured = Measured::default();
    let mut newest = EventTime::MIN;
    for (number, bytes) in corpus.iter().enumerate() {
        let document = parser.parse(bytes).expect("the corpus is JSON");
        let event = Event::new(document);
        black_box(evaluator.evaluate(&event));
        if stage >= Stage::Observed {
            evaluator.observe(&event, &mut observations);
            measured.observations += observations.all.len();
        }
        if stage >= Stage::Remembered {
            if !observations.all.is_empty() {
                let time = event.time().map_or(newest, EventTime::from);
                newest = newest.max(time);
                let stored = Arc::new(StoredEvent {
                    key: EventKey::new(event.id().as_str()),
                    time,
                    bytes: bytes.as_slice().into(),
                    origin: "".into(),
                });
                state.observe(&stored, &observations.all);
            }
            if number % BATCH == BATCH - 1 {
                state.advance(newest);
                measured.findings += state.take_told().len();
            }
        }
    }
    if stage >= Stage::Remembered {
        let counters = state.counters();
        assert_eq!((counters.late(), counters.faults()), (0, 0), "{counters:?}");
        measured.bytes = state.bytes();
        state.complete(EventTime::MAX);
        state.finish();
        measured.findings += state.take_told().len();
    }
    (measured, state)
}
