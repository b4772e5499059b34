//! What a detector found, against what was there.
//!
//! The rules are those of the scorer of the shared sample, to the digit: a find hits a label of its key if it starts no earlier than
//! five minutes before it and was decided between its start and ten minutes after its end; later finds of the same
//! label, or starting before its grace ends, are repeats; finds of the warm-up, of ignored spans and around gaps do not count;
//! all others are false alarms. One threshold holds for all keys. Must never look at counts.

use super::{Kind, Label, Set};
use std::collections::BTreeMap;

/// Something that a detector found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Found {
    /// The number of the key.
    pub key: usize,
    /// First minute of the unusual activity.
    pub start: u32,
    /// The last minute that had to be complete.
    pub detected_at: u32,
    /// How unusual.
    pub score: f64,
}

/// How well a detector did, at one threshold.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Measure {
    /// All labels.
    pub labels: usize,
    /// Labels that were found, with the delay in minutes, by number of the label.
    pub hits: BTreeMap<usize, u32>,
    /// Finds that were none.
    pub false_alarms: Vec<Found>,
    /// Finds of what had been found, or just after it.
    pub repeats: usize,
    /// Finds that do not count.
    pub ignored: usize,
    /// Weeks of all series that were scored.
    pub series_weeks: f64,
}

/// Minutes that a find may start before its label, and be decided after it.
const EARLY: u32 = 5;
const LATE: u32 = 10;
/// Minutes after a label, and after a gap, of which finds do not count.
const AFTER_LABEL: u32 = 60;
const AFTER_GAP: u32 = 15;

enum Verdict {
    Hit(usize),
    Repeat,
    Ignored,
    FalseAlarm,
}

fn verdict(set: &Set, labels: &[(usize, &Label)], found: &Found) -> Verdict {
    let (start, at) = (found.start, found.detected_at);
    let mut soft = false;
    for (number, label) in labels {
        let near = start + EARLY >= label.start;
        if near && (label.start..=label.end + LATE).contains(&at) {
            return Verdict::Hit(*number);
        }
        soft |= near && start < label.grace_end.max(label.end + AFTER_LABEL);
    }
    let within = |(from, until): (u32, u32)| (from..until).contains(&start);
    let span = set
        .ignored
        .iter()
        .any(|(key, span)| *key == found.key && within(*span));
    let gap = set
        .gaps
        .iter()
        .any(|(from, until)| within((*from, until + AFTER_GAP)));
    match () {
        () if soft => Verdict::Repeat,
        () if at < set.warm_until || span || gap => Verdict::Ignored,
        () => Verdict::FalseAlarm,
    }
}

/// Measures finds of at least that score.
pub fn measure(set: &Set, found: &[Found], least: f64) -> Measure {
    let mut by_key: BTreeMap<usize, Vec<(usize, &Label)>> = BTreeMap::new();
    for (number, label) in set.labels.iter().enumerate() {
        by_key.entry(label.key).or_default().push((number, label));
    }
    let mut order = found
        .iter()
        .filter(|found| found.score >= least)
        .collect::<Vec<_>>();
    order.sort_by_key(|found| (found.detected_at, found.start));
    let mut result = Measure {
        labels: set.labels.len(),
        series_weeks: set.series_weeks(),
        ..Measure::default()
    };
    for found in order {
        let labels = by_key.get(&found.key).map_or(&[][..], Vec::as_slice);
        match verdict(set, labels, found) {
            Verdict::Hit(label) if result.hits.contains_key(&label) => result.repeats += 1,
            Verdict::Hit(label) => {
                let delay = (found.detected_at + 1).saturating_sub(set.labels[label].start);
                result.hits.insert(label, delay.max(1));
            }
            Verdict::Repeat => result.repeats += 1,
            Verdict::Ignored => result.ignored += 1,
            Verdict::FalseAlarm => result.false_alarms.push(*found),
        }
    }
    result
}

/// Labels and hits of each kind.
pub type Breakdown = BTreeMap<Kind, (usize, usize)>;

/// Labels and hits of each kind.
pub fn breakdown(set: &Set, measure: &Measure) -> Breakdown {
    let mut kinds = Breakdown::new();
    for (number, label) in set.labels.iter().enumerate() {
        let (labels, hits) = kinds.entry(label.kind).or_default();
        *labels += 1;
        *hits += usize::from(measure.hits.contains_key(&number));
    }
    kinds
}
