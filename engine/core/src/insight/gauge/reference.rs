//! Where the values of a series usually lie: middle and spread of its past, and a footing on which values are compared.
//!
//! What for: `place` says how far a value lies from the middle, in spreads, on a logarithmic footing (`asinh`): bytes, money
//! and latencies have tails that fall like a power, and these become straight lines there, while values near the middle
//! are hardly bent. It is the same for a series in bytes and in megabytes, or shifted by a constant.
//!
//! Relies on: finite values. The past is thinned (one row in a few), so that a bounded ring covers days. Middle and spread
//! come from ranks, which one outage does not move; where most values are equal, the mean of what is not extreme takes over,
//! and a share of the whole range is the least. Must never divide by a spread of nothing. Rejected: running mean and deviation, which
//! one spike of a thousand deviations blinds for weeks.

use super::GaugeSettings;
use serde::{Deserialize, Serialize};

/// Ranks between which the bulk lies.
const BULK: (f64, f64) = (0.15, 0.85);
/// Share of values, by distance from the middle, of which the mean distance is taken.
const NOT_EXTREME: f64 = 0.97;
/// Rows at the start of which every one is kept.
const START_ROWS: u64 = 64;
/// Of all values kept, the ranks are found anew after so many more were kept.
const RENEW_KEPT: u64 = 4;
/// Rows after which the older of two ranges is forgotten.
const RANGE_ROWS: u64 = 8192;
/// Differences below this share of the size of the values are rounding.
const ROUNDING: f64 = 1e-12;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Reference {
    kept: Vec<f64>,
    next: u32,
    rows: u64,
    middle: f64,
    /// The spread by ranks, and the one in use.
    ranked: f64,
    spread: f64,
    /// Least and greatest value of this stretch of rows and of the one before.
    range: (f64, f64),
    range_before: (f64, f64),
}

impl Reference {
    pub(super) fn new() -> Self {
        let nothing = (f64::MAX, f64::MIN);
        Self {
            kept: Vec::new(),
            next: 0,
            rows: 0,
            middle: 0.0,
            ranked: 0.0,
            spread: 0.0,
            range: nothing,
            range_before: nothing,
        }
    }

    /// Whether a snapshot can be gone on with.
    pub(super) fn is_sound(&self, settings: &GaugeSettings) -> bool {
        self.kept.is_empty() == (self.rows == 0) && self.kept.len() <= settings.kept_max as usize
    }

    pub(super) fn bytes(&self) -> usize {
        size_of::<Self>() + self.kept.capacity() * size_of::<f64>()
    }

    pub(super) fn spread(&self) -> f64 {
        self.spread
    }

    /// Where a value lies, in spreads from the middle, on a logarithmic footing.
    pub(super) fn place(&self, value: f64) -> f64 {
        if self.spread > 0.0 {
            ((value - self.middle) / self.spread).asinh()
        } else {
            0.0
        }
    }

    pub(super) fn learn(&mut self, value: f64, settings: &GaugeSettings) {
        self.keep(value, settings);
        self.widen(settings);
    }

    fn keep(&mut self, value: f64, settings: &GaugeSettings) {
        if self.rows.is_multiple_of(RANGE_ROWS) {
            self.range_before = self.range;
            self.range = (value, value);
        }
        self.range = (self.range.0.min(value), self.range.1.max(value));
        self.rows = self.rows.saturating_add(1);
        let start = self.rows <= START_ROWS;
        if !start && !self.rows.is_multiple_of(u64::from(settings.keep_every)) {
            return;
        }
        let most = settings.kept_max as usize;
        if self.kept.len() < most {
            self.kept.push(value);
        } else {
            let next = self.next as usize % most;
            self.kept[next] = value;
            self.next = (next + 1) as u32;
        }
        if start
            || self
                .rows
                .is_multiple_of(u64::from(settings.keep_every) * RENEW_KEPT)
        {
            self.renew();
        }
    }

    fn renew(&mut self) {
        let mut ranked = self.kept.clone();
        ranked.sort_unstable_by(f64::total_cmp);
        let last = (ranked.len() - 1) as f64;
        let at = |share: f64| ranked[(last * share) as usize];
        self.middle = at(0.5);
        let bulk = (at(BULK.1) - at(BULK.0)) / 2.0;
        for value in &mut ranked {
            *value = (*value - self.middle).abs();
        }
        ranked.sort_unstable_by(f64::total_cmp);
        let usual = ((ranked.len() as f64 * NOT_EXTREME).ceil() as usize).max(1);
        let distance = ranked[..usual].iter().sum::<f64>() / usual as f64;
        self.ranked = bulk.max(distance);
    }

    /// The spread, a share of the range at the least: of a constant that moves, the range is all that is known.
    fn widen(&mut self, settings: &GaugeSettings) {
        let range = self.range.1.max(self.range_before.1) - self.range.0.min(self.range_before.0);
        let spread = self.ranked.max(range * settings.range_share);
        let rounding = self.range.0.abs().max(self.range.1.abs()) * ROUNDING;
        self.spread = if spread > rounding { spread } else { 0.0 };
    }
}
