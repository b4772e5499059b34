//! Who watches the series of a rule: counts are watched by windows of what is counted, measurements by a gauge each.
//!
//! Both know series by number and say the same kinds of things; what differs is here, so that the memory of series needs not ask
//! which it is. Decides nothing.

use super::detect::{Band, Change, Count, Coverage, Detector, Minute, Reading, SeriesId, Settings};
use super::measured::Gauges;
use super::settings::{detector, detector_settings};
use crate::rule::kind::Insight;

pub(super) enum Watching {
    Counts(Detector),
    Measured(Gauges),
}

/// The same question to whoever watches.
macro_rules! either {
    ($of:expr, $one:ident => $asked:expr) => {
        match $of {
            Watching::Counts($one) => $asked,
            Watching::Measured($one) => $asked,
        }
    };
}

impl Watching {
    pub(super) fn new(insight: &Insight) -> Self {
        match insight.value.is_measured() {
            true => Self::Measured(Gauges::new(detector_settings(insight))),
            false => Self::Counts(detector(insight)),
        }
    }

    /// What `snapshot` wrote for a rule that asks the same; nothing of other bytes.
    pub(super) fn restore(insight: &Insight, bytes: &[u8]) -> Option<Self> {
        let settings: Settings = detector_settings(insight);
        Some(match insight.value.is_measured() {
            true => Self::Measured(Gauges::restore(settings, bytes)?),
            false => Self::Counts(Detector::restore(settings, bytes).ok()?),
        })
    }

    pub(super) fn snapshot(&self, out: &mut Vec<u8>) {
        either!(self, one => one.snapshot(out));
    }

    pub(super) fn open_series(&mut self, id: SeriesId, now: Minute) {
        either!(self, one => one.open_series(id, now));
    }

    pub(super) fn close_series(&mut self, id: SeriesId) {
        either!(self, one => one.close_series(id));
    }

    pub(super) fn minute(
        &mut self,
        minute: Minute,
        coverage: Coverage,
        rows: &[Count],
        out: &mut Vec<Change>,
    ) {
        match self {
            Self::Counts(one) => one.minute(minute, coverage, rows, out),
            // Where no value came nothing is known anyway.
            Self::Measured(one) => one.minute(minute, rows, out),
        }
    }

    pub(super) fn reading(&self, id: SeriesId) -> Option<Reading> {
        either!(self, one => one.reading(id))
    }

    /// What is expected of one minute, near the present.
    pub(super) fn expectation(&self, id: SeriesId, minute: Minute) -> Option<Band> {
        match self {
            Self::Counts(one) => one.expectation(id, minute),
            Self::Measured(one) => one.latest(id).map(|(_, band)| band),
        }
    }

    /// The last value of a series that is measured.
    pub(super) fn measured(&self, id: SeriesId) -> Option<f64> {
        match self {
            Self::Counts(_) => None,
            Self::Measured(one) => one.latest(id).map(|(value, _)| value),
        }
    }

    pub(super) fn threshold(&self) -> f64 {
        either!(self, one => one.threshold())
    }

    pub(super) fn set_threshold(&mut self, threshold: f64) {
        either!(self, one => one.set_threshold(threshold));
    }

    pub(super) fn warm_series(&self) -> usize {
        either!(self, one => one.warm_series())
    }

    pub(super) fn bytes(&self) -> usize {
        either!(self, one => one.bytes())
    }
}
