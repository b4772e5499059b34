//! The detector on labelled series, at several thresholds.
//!
//! What a detector learns depends on what it took for unusual, so each threshold is a run of its own. Figures of several sets are
//! added up: one threshold holds for all keys of all sets. Must not tell the detector anything that a collector does not know; of
//! gaps in the delivery it does.

use super::{Breakdown, Found, Measure, Set, breakdown, measure};
use crate::insight::detect::{
    ChangeKind, Count, Coverage, Detector, Minute, SeriesId, Settings, SettingsFault,
};

/// The thresholds that are tried when nobody says.
pub const THRESHOLDS: [f64; 12] = [
    1.75, 2.0, 2.25, 2.5, 2.75, 3.0, 3.25, 3.5, 4.0, 4.5, 5.0, 6.0,
];

/// The sets at one threshold, added up.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Trial {
    /// The threshold.
    pub threshold: f64,
    /// Labels of all sets.
    pub labels: usize,
    /// Labels that were found.
    pub hits: usize,
    /// Finds that were none.
    pub false_alarms: usize,
    /// Weeks of all series that were scored.
    pub series_weeks: f64,
    /// Delays of the hits, in minutes, rising.
    pub delays: Vec<u32>,
    /// Labels and hits of each kind.
    pub kinds: Breakdown,
}

impl Trial {
    /// Hits among hits and false alarms.
    pub fn precision(&self) -> f64 {
        share(self.hits, self.hits + self.false_alarms)
    }

    /// Hits among labels.
    pub fn recall(&self) -> f64 {
        share(self.hits, self.labels)
    }

    /// The harmonic mean of both.
    pub fn f1(&self) -> f64 {
        let (precision, recall) = (self.precision(), self.recall());
        match precision + recall {
            0.0 => 0.0,
            sum => 2.0 * precision * recall / sum,
        }
    }

    /// False alarms of one series in a week.
    pub fn false_alarms_per_series_week(&self) -> f64 {
        self.false_alarms as f64 / self.series_weeks.max(f64::MIN_POSITIVE)
    }

    /// The delay that so large a part of the hits does not exceed, in minutes.
    pub fn delay(&self, part: f64) -> Option<u32> {
        let last = self.delays.len().checked_sub(1)?;
        let at = (part * self.delays.len() as f64) as usize;
        self.delays.get(at.min(last)).copied()
    }

    /// Adds what a detector was measured by in a set.
    pub fn add(&mut self, set: &Set, measure: &Measure) {
        self.labels += measure.labels;
        self.hits += measure.hits.len();
        self.false_alarms += measure.false_alarms.len();
        self.series_weeks += measure.series_weeks;
        self.delays.extend(measure.hits.values());
        self.delays.sort_unstable();
        for (kind, (labels, hits)) in breakdown(set, measure) {
            let known = self.kinds.entry(kind).or_default();
            *known = (known.0 + labels, known.1 + hits);
        }
    }
}

fn share(some: usize, all: usize) -> f64 {
    match all {
        0 => 0.0,
        all => some as f64 / all as f64,
    }
}

/// What the detector finds in a set.
pub fn detect(set: &Set, settings: Settings) -> Result<Vec<Found>, SettingsFault> {
    let mut detector = Detector::new(settings)?;
    let mut is_open = vec![false; set.keys.len()];
    let (mut rows, mut changes) = (Vec::new(), Vec::new());
    for (minute, at) in (set.begin..set.end).zip(0usize..) {
        rows.clear();
        for (key, counts) in (0u32..).zip(&set.counts) {
            let Some((calls, errors)) = counts.get(at).copied().filter(|(calls, _)| *calls > 0)
            else {
                continue;
            };
            let series = SeriesId(key);
            if !std::mem::replace(&mut is_open[key as usize], true) {
                detector.open_series(series, Minute(minute));
            }
            rows.push(Count {
                series,
                calls: f64::from(calls),
                errors: f64::from(errors),
            });
        }
        let is_missing = set
            .gaps
            .iter()
            .any(|(from, to)| (*from..*to).contains(&minute));
        let coverage = if is_missing {
            Coverage::Missing
        } else {
            Coverage::Delivered
        };
        detector.minute(Minute(minute), coverage, &rows, &mut changes);
    }
    let starts = changes
        .iter()
        .filter(|change| change.kind == ChangeKind::Start);
    let found = starts.map(|change| Found {
        key: change.series.0 as usize,
        start: change.start.0,
        detected_at: change.minute.0,
        score: change.score,
    });
    Ok(found.collect())
}

/// Adds up what the detector finds in all sets at one threshold.
pub fn trial(sets: &[Set], threshold: f64) -> Result<Trial, SettingsFault> {
    let mut trial = Trial {
        threshold,
        ..Trial::default()
    };
    for set in sets {
        let settings = Settings {
            threshold,
            ..Settings::default()
        };
        trial.add(set, &measure(set, &detect(set, settings)?, 0.0));
    }
    Ok(trial)
}

/// The trial of the best F1.
pub fn best(trials: &[Trial]) -> Option<&Trial> {
    trials
        .iter()
        .max_by(|left, right| left.f1().total_cmp(&right.f1()))
}

/// The trial of the highest recall with at most so many false alarms per series-week.
pub fn within(trials: &[Trial], budget: f64) -> Option<&Trial> {
    let all = trials.iter();
    let all = all.filter(|trial| trial.false_alarms_per_series_week() <= budget);
    all.max_by(|left, right| left.recall().total_cmp(&right.recall()))
}
