//! Counters for the operator. See `wit/metrics.wit`.
//!
//! The names are those of the manifest, so that no plugin can make series without end.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// The counters of one plugin.
#[derive(Debug, Default)]
pub struct Metrics {
    series: BTreeMap<String, Series>,
    refused: AtomicU64,
}

#[derive(Debug, Default)]
struct Series {
    total: AtomicU64,
    observed: Mutex<Observed>,
}

/// What was told of one name.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Observed {
    /// How often.
    pub count: u64,
    /// All together.
    pub sum: f64,
    /// The least; 0 when nothing was told.
    pub least: f64,
    /// The greatest; 0 when nothing was told.
    pub greatest: f64,
}

/// The state of one name.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    /// As in the manifest.
    pub name: String,
    /// The sum of what was added.
    pub total: u64,
    /// What was told.
    pub observed: Observed,
}

impl Metrics {
    /// Counters of these names.
    pub fn new(names: &[String]) -> Self {
        let series = names.iter().map(|name| (name.clone(), Series::default()));
        Self {
            series: series.collect(),
            refused: AtomicU64::new(0),
        }
    }

    /// Adds to a counter, which stays at its greatest value rather than begin anew.
    pub fn add(&self, name: &str, delta: u64) {
        match self.series.get(name) {
            Some(series) => {
                let add = |total: u64| Some(total.saturating_add(delta));
                let (set, get) = (Ordering::Relaxed, Ordering::Relaxed);
                let _ = series.total.fetch_update(set, get, add);
            }
            None => self.refuse(),
        }
    }

    /// Tells a value; one that is no number is refused.
    pub fn observe(&self, name: &str, value: f64) {
        let Some(series) = self.series.get(name).filter(|_| value.is_finite()) else {
            return self.refuse();
        };
        let mut observed = series
            .observed
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let is_first = observed.count == 0;
        let Observed {
            least, greatest, ..
        } = *observed;
        *observed = Observed {
            count: observed.count.saturating_add(1),
            // Two finite numbers may add up to one that is not.
            sum: (observed.sum + value).clamp(f64::MIN, f64::MAX),
            least: if is_first { value } else { least.min(value) },
            greatest: if is_first { value } else { greatest.max(value) },
        };
    }

    pub(super) fn refuse(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    /// How often a name was unknown or a value no number.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// All of them, by name.
    pub fn readings(&self) -> Vec<Reading> {
        let readings = self.series.iter().map(|(name, series)| Reading {
            name: name.clone(),
            total: series.total.load(Ordering::Relaxed),
            observed: *series
                .observed
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
        });
        readings.collect()
    }
}
