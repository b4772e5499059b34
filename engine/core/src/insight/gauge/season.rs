//! The day of a series: what is usual at each half-hour, and how far a value is from that.
//!
//! What for: a night's value at noon is unusual though it is usual at night, and nothing else here would notice it.
//!
//! Relies on stamps alone, not on a cadence: rows of a half-hour are averaged whenever they come, hours without rows change
//! nothing. A value is held against the span of three neighbouring half-hours, so that a rise which comes ten minutes early is
//! no surprise. Where there is no daily season the means of all half-hours are alike and the reading is the
//! distance from the level; nobody has to say which it is. Must never learn much from a single day.
//! Rejected: a week of bins, which most series are too young for.

use super::GaugeSettings;
use super::recent::Recent;
use serde::{Deserialize, Serialize};

/// Half-hours of a day.
const BINS: usize = 48;
const BIN_SECONDS: i64 = 1800;
const DAY_SECONDS: i64 = 86_400;
/// Days of a half-hour that must have been seen.
const DAYS_MIN: u32 = 2;
/// Rows over which what is outside is averaged: a whole afternoon is off, not one row of it.
const ROWS: usize = 36;
/// How fast the usual distance follows, in the long run, and its least share of the spread.
const USUAL_RATE: f64 = 0.001;
const SPREAD_SHARE: f64 = 0.02;
/// Rows from which on a distance is cut to `CUT` usual ones, and a value to `CUT` spreads around what is usual.
const CUT_FROM: f64 = 100.0;
const CUT: f64 = 8.0;

/// One half-hour of the day.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Bin {
    mean: f64,
    days: u32,
    /// The day whose rows are being averaged, their mean and number.
    day: i64,
    today: f64,
    rows: u32,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Season {
    bins: Vec<Bin>,
    outside: Recent,
    usual: f64,
    rows: f64,
}

fn bin_of(time: i64) -> usize {
    (time.rem_euclid(DAY_SECONDS) / BIN_SECONDS) as usize
}

impl Season {
    pub(super) fn new() -> Self {
        Self {
            bins: vec![Bin::default(); BINS],
            outside: Recent::new(),
            usual: 0.0,
            rows: 0.0,
        }
    }

    pub(super) fn is_sound(&self) -> bool {
        self.bins.len() == BINS && self.outside.is_sound(ROWS)
    }

    pub(super) fn bytes(&self) -> usize {
        size_of::<Self>() + self.bins.capacity() * size_of::<Bin>() + self.outside.bytes()
    }

    /// What is usual at this time of day.
    pub(super) fn usual(&self, time: i64) -> Option<f64> {
        let bin = &self.bins[bin_of(time)];
        (bin.days >= DAYS_MIN).then_some(bin.mean)
    }

    /// How far the last rows were outside of what is usual at their times, in usual distances, on a logarithmic
    /// footing; takes the row in.
    pub(super) fn reading(
        &mut self,
        time: i64,
        value: f64,
        spread: f64,
        settings: &GaugeSettings,
    ) -> Option<f64> {
        let mut reading = None;
        if let Some(outside) = self.outside(time, value) {
            let usual = self.usual.max(spread * SPREAD_SHARE);
            self.outside.push(outside, ROWS);
            if let Some(mean) = self.outside.mean(ROWS) {
                reading = Some(if usual > 0.0 {
                    (mean.abs() / usual).asinh()
                } else {
                    0.0
                });
            }
            self.rows += 1.0;
            let cut = if self.rows > CUT_FROM {
                CUT * usual
            } else {
                f64::MAX
            };
            let taken = outside.abs().min(cut);
            self.usual += (1.0 / self.rows).max(USUAL_RATE) * (taken - self.usual);
        }
        let reach = if self.rows > CUT_FROM {
            CUT * spread
        } else {
            f64::MAX
        };
        self.learn(time, value, reach, settings);
        reading
    }

    /// How far a value is outside of what is usual around this time of day, upward or downward.
    fn outside(&self, time: i64, value: f64) -> Option<f64> {
        let at = bin_of(time);
        let usual = self.usual(time)?;
        let (mut low, mut high) = (usual, usual);
        for near in [(at + BINS - 1) % BINS, (at + 1) % BINS] {
            let bin = &self.bins[near];
            if bin.days > 0 {
                (low, high) = (low.min(bin.mean), high.max(bin.mean));
            }
        }
        Some((value - high).max(0.0) + (value - low).min(0.0))
    }

    /// Takes a value in, cut to `reach` around what is usual.
    fn learn(&mut self, time: i64, value: f64, reach: f64, settings: &GaugeSettings) {
        let day = time.div_euclid(DAY_SECONDS);
        let bin = &mut self.bins[bin_of(time)];
        if bin.day != day || bin.rows == 0 {
            if bin.rows > 0 {
                bin.days = bin.days.saturating_add(1);
                let rate = (1.0 / f64::from(bin.days)).max(settings.season_rate);
                bin.mean += rate * (bin.today - bin.mean);
            }
            (bin.day, bin.today, bin.rows) = (day, 0.0, 0);
        }
        let usual = bin.days > 0;
        let taken = if usual {
            value.clamp(bin.mean - reach, bin.mean + reach)
        } else {
            value
        };
        bin.rows = bin.rows.saturating_add(1);
        bin.today += (taken - bin.today) / f64::from(bin.rows);
    }
}
