//! Observations made up without events being parsed, so that state alone is measured.

use std::sync::Arc;
use std::time::Duration;

use jiff::civil::date;
use tripline_core::evaluate::{Observation, RuleIndex, RuleSet};
use tripline_core::rule::kind::{Captured, EventKey, EventTime, StoredEvent};
use tripline_core::rule::{File, load};
use tripline_core::state::{State, StateSettings};

use crate::timing::timed;

/// Events between two looks at the clock of events.
const CHUNK: usize = 1000;

/// Compiles rule files without mistakes.
pub(crate) fn rule_set(texts: &[(String, String)]) -> RuleSet {
    let file = |(id, text): &(String, String)| File::found(format!("{id}/rule.toml"), text.clone());
    let files: Vec<File> = texts.iter().map(file).collect();
    let catalog = load(&files, date(2026, 1, 1));
    let (set, reports) = RuleSet::of_catalog(&catalog);
    let mistakes = catalog.reports.iter().chain(&reports);
    assert_eq!(
        set.rules().len(),
        texts.len(),
        "{:?}",
        mistakes.map(|one| &one.diagnostic).collect::<Vec<_>>()
    );
    set
}

/// A rule of these lines.
pub(crate) fn rule(id: &str, body: &str) -> (String, String) {
    let text = format!(
        "id = \"{id}\"\nname = \"{id}\"\ndescription = \"For a benchmark.\"\nseverity = \"low\"\n\
         status = \"experimental\"\n{body}"
    );
    (id.to_owned(), text)
}

pub(crate) fn settings(bytes_max: usize) -> StateSettings {
    StateSettings {
        bytes_max,
        ..StateSettings::default()
    }
}

/// 128 bits that depend on a number and on nothing else.
pub(crate) fn mixed(number: u64) -> u128 {
    let half = |seed: u64| {
        let mut word = number
            .wrapping_add(seed)
            .wrapping_mul(0x9E37_79B9_7F4A_7C15);
        word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        u128::from(word ^ (word >> 31))
    };
    half(1) << 64 | half(0x1234_5678_9ABC_DEF0)
}

/// What the n-th event is to a rule.
pub(crate) struct Step {
    pub(crate) input: u16,
    pub(crate) detected_by: u64,
    pub(crate) group: u128,
    pub(crate) captured: Captured,
}

/// Sends so many events, one every millisecond, and gives the time it took; making them up is not in it.
pub(crate) fn send(
    state: &mut State<'_>,
    (from, count): (usize, usize),
    text: &[u8],
    step: &dyn Fn(u64) -> Step,
) -> Duration {
    let mut total = Duration::ZERO;
    let mut chunk: Vec<(Arc<StoredEvent>, Observation)> = Vec::with_capacity(CHUNK);
    let mut number = from;
    while number < from + count {
        chunk.clear();
        let end = (number + CHUNK).min(from + count);
        chunk.extend((number..end).map(|number| made_up(number as u64, text, step)));
        number = end;
        let (_, time) = timed(|| {
            for (event, observation) in chunk.drain(..) {
                state.observe(&event, &[observation]);
            }
            state.advance(time_of(number as u64));
        });
        total += time;
        state.take_told();
    }
    total
}

fn made_up(
    number: u64,
    text: &[u8],
    step: &dyn Fn(u64) -> Step,
) -> (Arc<StoredEvent>, Observation) {
    let Step {
        input,
        detected_by,
        group,
        captured,
    } = step(number);
    let event = StoredEvent {
        key: EventKey::new(&format!("00000000-0000-4000-8000-{number:012x}")),
        time: time_of(number),
        bytes: text.into(),
        origin: "".into(),
    };
    let observation = Observation {
        rule: RuleIndex(0),
        input,
        detected_by,
        group,
        captured,
    };
    (Arc::new(event), observation)
}

fn time_of(number: u64) -> EventTime {
    EventTime::from_micros(1_800_000_000_000_000 + number as i64 * 1000)
}
