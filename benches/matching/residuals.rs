//! What one residual condition costs, by kind.
//!
//! A hundred rules of a kind on events that have all fields, less what one such rule costs with everything around
//! it, by the number of rules between. The least of several passes, not the median: a pass is short, and whatever
//! disturbs it only adds. The floor P is measured in turn with them, on the events of the corpus, and its least taken too.

use std::hint::black_box;

use serde_json::Value;
use tripline_benches::residual::{KINDS, events};
use tripline_core::evaluate::RuleSet;

use crate::floor;
use crate::ours::{self, Scan};
use crate::peers::Cel;
use crate::report::{Table, number};
use crate::timing::timed;

const RULES: usize = 101;
const EVENTS: usize = 3000;
const PASSES: usize = 9;

/// Events of the corpus that the floor is measured on.
const EVENTS_OF_FLOOR: usize = 3000;

/// Events for the `cel` crate, which takes ten times as long.
const EVENTS_OF_PEER: usize = 300;

pub(crate) fn table(corpus: &[Vec<u8>]) -> Table {
    let mut table = Table::new(
        "one residual condition, by kind",
        &["kind", "ns", "x P", "cel 0.15 ns", "condition"],
    );
    let events = events(EVENTS, 5);
    let corpus = &corpus[..corpus.len().min(EVENTS_OF_FLOOR)];
    for kind in KINDS {
        let texts: Vec<String> = (0..RULES).map(|number| kind.condition(number)).collect();
        let (many, one) = (set(&texts), set(&texts[..1]));
        let between = (RULES - 1) as f64;
        let [all, alone, floor] = of_ours([&many, &one], &events, corpus);
        let each = (all - alone) / between;
        let peer = Cel::compile_texts(&texts)
            .filter(|cel| agrees(cel, &many, &events[..EVENTS_OF_PEER]))
            .zip(Cel::compile_texts(&texts[..1]))
            .map(|(many, one)| {
                let events = &events[..EVENTS_OF_PEER];
                (of_peer(&many, events) - of_peer(&one, events)) / between
            });
        table.row(vec![
            kind.name.to_owned(),
            number(each),
            format!("{:.3}", each / floor),
            peer.map_or("–".to_owned(), number),
            format!("`{}`", kind.text.replace('|', "\\|")),
        ]);
    }
    table
}

fn set(conditions: &[String]) -> RuleSet {
    let conditions = conditions.iter().map(String::as_str);
    ours::compile(&ours::read(&ours::files_of(conditions)))
}

/// Nanoseconds an event of two rule sets, and of the floor on an event of the corpus, measured in turn.
fn of_ours(sets: [&RuleSet; 2], events: &[Vec<u8>], corpus: &[Vec<u8>]) -> [f64; 3] {
    let mut scans = sets.map(Scan::new);
    let mut least = [f64::INFINITY; 3];
    for _ in 0..PASSES {
        for (scan, least) in scans.iter_mut().zip(&mut least) {
            let pass = || events.iter().map(|event| scan.count(event)).sum();
            *least = least.min(once(events.len(), pass));
        }
        let pass = || corpus.iter().map(|event| floor(event)).sum();
        least[2] = least[2].min(once(corpus.len(), pass));
    }
    least
}

fn of_peer(cel: &Cel, events: &[Vec<u8>]) -> f64 {
    least(events.len(), || {
        events.iter().map(|event| cel.count(event)).sum()
    })
}

fn least(events: usize, mut pass: impl FnMut() -> usize) -> f64 {
    let times = (0..PASSES).map(|_| once(events, &mut pass));
    times.fold(f64::INFINITY, f64::min)
}

fn once(events: usize, pass: impl FnOnce() -> usize) -> f64 {
    timed(|| black_box(pass())).1.as_nanos() as f64 / events as f64
}

/// Whether the peer finds the same matches; where it lacks a function it finds none.
fn agrees(cel: &Cel, set: &RuleSet, events: &[Vec<u8>]) -> bool {
    let mut scan = Scan::new(set);
    let mut decided = 0;
    let same = events.iter().all(|bytes| {
        let event: Value = serde_json::from_slice(bytes).expect("the events are JSON");
        decided += cel.decided(&event);
        scan.matches(bytes).0 == cel.matches(&event).collect::<Vec<_>>()
    });
    same && decided == events.len() * RULES
}
