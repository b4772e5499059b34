//! What a gauge is told beforehand: one set of values for all series.
//!
//! What for: nobody should have to tune a series. Each value is here, with its reason, and not in the code that uses it, so
//! that a bench can move one by a quarter and say what that costs. Relies on nothing. Must never hold
//! anything about one series: cadence, level, spread and season are learned.

use serde::{Deserialize, Serialize};

/// Settings of a gauge; the default is meant for every series.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct GaugeSettings {
    /// Strangeness from which a reading is unusual: `-log10` of how many such readings a past as long as the
    /// one remembered would be expected to show. Scores are half there.
    pub alarm: f64,
    /// After something unusual, nothing else is told as new for so many rows,
    pub quiet_rows: u32,
    /// or for this long, whichever is over first,
    pub quiet_seconds: i64,
    /// but for so many rows at the least.
    pub quiet_rows_least: u32,
    /// Rows of a short block: what of a hump of neighbouring rows counts once.
    pub block_rows: u32,
    /// Short blocks of a long one: at five minutes, most of a day.
    pub long_blocks: u32,
    /// Short blocks after which the older weigh less: at five minutes, a month.
    pub blocks_max: f64,
    /// Blocks' worth of belief in `prior_spread`.
    pub prior_blocks: f64,
    /// Deviation of the greatest readings of blocks where nothing is known.
    pub prior_spread: f64,
    /// A greatest reading is taken in up to so many deviations above the mean.
    pub cut: f64,
    /// Widens the tail of long blocks, of which there are few, by this share over their number.
    pub doubt: f64,
    /// Short blocks before the day's shape has a say: it needs days where others need hours.
    pub season_blocks_min: f64,
    /// How fast the day's shape follows, a day.
    pub season_rate: f64,
    /// Values kept of the past.
    pub kept_max: u32,
    /// One row in so many is kept.
    pub keep_every: u32,
    /// The spread is at least this share of the range.
    pub range_share: f64,
    /// Shapes kept.
    pub shapes_max: u32,
    /// A stretch is a shape of its own from this share of the usual distance on.
    pub shape_apart: f64,
}

impl Default for GaugeSettings {
    fn default() -> Self {
        Self {
            alarm: -0.22,
            quiet_rows: 200,
            quiet_seconds: 2 * 86_400,
            quiet_rows_least: 40,
            block_rows: 48,
            long_blocks: 4,
            blocks_max: 200.0,
            prior_blocks: 6.0,
            prior_spread: 0.3,
            cut: 4.0,
            doubt: 3.0,
            season_blocks_min: 16.0,
            season_rate: 0.1,
            kept_max: 384,
            keep_every: 4,
            range_share: 0.03,
            shapes_max: 96,
            shape_apart: 1.0,
        }
    }
}

impl GaugeSettings {
    /// The same, with what nothing could work with made to fit.
    pub(super) fn bounded(mut self) -> Self {
        let usual = Self::default();
        let bound = |value: &mut f64, low: f64, high: f64, usual: f64| {
            *value = if value.is_nan() {
                usual
            } else {
                value.clamp(low, high)
            };
        };
        bound(&mut self.alarm, -9.0, 300.0, usual.alarm);
        bound(&mut self.blocks_max, 2.0, 1e9, usual.blocks_max);
        bound(&mut self.prior_blocks, 0.1, 1e9, usual.prior_blocks);
        bound(&mut self.prior_spread, 1e-3, 1e3, usual.prior_spread);
        bound(&mut self.cut, 0.0, 1e3, usual.cut);
        bound(&mut self.doubt, 0.0, 1e3, usual.doubt);
        bound(
            &mut self.season_blocks_min,
            2.0,
            1e9,
            usual.season_blocks_min,
        );
        bound(&mut self.season_rate, 0.0, 1.0, usual.season_rate);
        bound(&mut self.range_share, 1e-6, 1.0, usual.range_share);
        bound(&mut self.shape_apart, 0.0, 1e3, usual.shape_apart);
        self.block_rows = self.block_rows.clamp(1, 1 << 20);
        self.long_blocks = self.long_blocks.clamp(1, 1 << 10);
        self.kept_max = self.kept_max.clamp(1, 1 << 16);
        self.keep_every = self.keep_every.clamp(1, 1 << 16);
        self.shapes_max = self.shapes_max.clamp(1, 1 << 16);
        self
    }
}
