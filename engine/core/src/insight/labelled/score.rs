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

impl Measure {
    /// Hits among hits and false alarms.
    pub fn precision(&self) -> f64 {
        part(self.hits.len(), self.hits.len() + self.false_alarms.len())
    }

    /// Hits among labels.
    pub fn recall(&self) -> f64 {
        part(self.hits.len(), self.labels)
    }

    /// The harmonic mean of both.
    pub fn f1(&self) -> f64 {
        let (p, r) = (self.precision(), self.recall());
        if p + r > 0.0 {
            2.0 * p * r / (p + r)
        } else {
            0.0
        }
    }

    /// False alarms of one series in a week.
    pub fn false_alarms_per_series_week(&self) -> f64 {
        self.false_alarms.len() as f64 / self.series_weeks
    }

    /// Delays in minutes: the median, and that of nine in ten.
    pub fn delays(&self) -> Option<(f64, u32)> {
        let mut all = self.hits.values().copied().collect::<Vec<_>>();
        all.sort_unstable();
        let last = all.len().checked_sub(1)?;
        let middle = f64::from(all[last / 2] + all[all.len() / 2]) / 2.0;
        Some((middle, all[last.min((0.9 * all.len() as f64) as usize)]))
    }
}

fn part(some: usize, all: usize) -> f64 {
    if all > 0 {
        some as f64 / all as f64
    } else {
        0.0
    }
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

/// What thresholds can do.
#[derive(Clone, Debug, PartialEq)]
pub struct Swept {
    /// The threshold of the best F1, and the measure there.
    pub best: (f64, Measure),
    /// For each budget of false alarms per series-week, the threshold of the highest recall, and the measure there.
    pub budgets: Vec<(f64, Option<(f64, Measure)>)>,
}

/// Thresholds looked at: all scores, or about so many of them.
const CUTS: usize = 400;

/// Tries all thresholds; nothing if nothing was found.
pub fn sweep(set: &Set, found: &[Found], budgets: &[f64]) -> Option<Swept> {
    let mut cuts = found.iter().map(|found| found.score).collect::<Vec<_>>();
    cuts.sort_by(f64::total_cmp);
    cuts.dedup();
    let last = *cuts.last()?;
    if cuts.len() > CUTS {
        cuts = cuts
            .iter()
            .copied()
            .step_by(cuts.len() / CUTS + 1)
            .chain([last])
            .collect();
    }
    let all = cuts
        .iter()
        .map(|cut| (*cut, measure(set, found, *cut)))
        .collect::<Vec<_>>();
    let mut best = all.first()?;
    for one in &all {
        if one.1.f1() > best.1.f1() {
            best = one;
        }
    }
    let within = |budget: f64| {
        let mut most: Option<&(f64, Measure)> = None;
        for one in all
            .iter()
            .filter(|one| one.1.false_alarms_per_series_week() <= budget)
        {
            if most.is_none_or(|most| one.1.recall() > most.1.recall()) {
                most = Some(one);
            }
        }
        (budget, most.cloned())
    };
    let budgets = budgets.iter().map(|budget| within(*budget)).collect();
    Some(Swept {
        best: best.clone(),
        budgets,
    })
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
