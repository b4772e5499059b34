//! How rare a reading is, judged by the greatest readings of earlier stretches of the same series.
//!
//! What for: readings of different kinds (a value, a mean over an hour, a distance from known shapes) and of different
//! series cannot be compared; the chance that a stretch of rows shows as much can. Rows are taken in blocks, the
//! greatest reading of each block is remembered by mean and variance, and a Gumbel distribution with these moments says
//! how likely a block is to reach a reading (block maxima: Gumbel, Statistics of Extremes, 1958). Maxima of blocks are used
//! and not all readings because neighbouring rows are alike: a hundred rows of one hump are one observation.
//!
//! Two lengths of block are used, a few hours of rows and four times that, and both must find a reading rare: a backup
//! that makes a spike each night is a record for its block, and an ordinary day.
//!
//! Relies on readings being finite and on a logarithmic footing, so that heavy tails become straight ones. Must never
//! learn from a reading in full that it calls impossible: what is taken in is cut, or the first outage would teach that outages
//! are usual. Rejected: peaks over a threshold with a generalised Pareto tail, whose shape is not found from a dozen peaks.

use super::GaugeSettings;
use serde::{Deserialize, Serialize};

/// Euler's constant: the mean of a Gumbel distribution lies this many scales above its location.
const GUMBEL_MEAN: f64 = 0.577_215_664_901_532_9;
/// Beyond this many scales the chance is the exponential itself, to all digits.
const STRAIGHT: f64 = 30.0;
/// Blocks after which what is taken in is cut.
const CUT_FROM: f64 = 4.0;
/// Long blocks needed before they have a say.
const LONG_MIN: f64 = 2.0;

/// How rare a reading is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Rarity {
    /// `-log10` of how often a past as long as the one remembered would show this.
    pub(super) strangeness: f64,
    /// `-log10` of the chance that so many rows show this.
    pub(super) day: f64,
}

/// One kind of reading and its past.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Tail {
    short: Blocks,
    long: Blocks,
}

impl Tail {
    pub(super) fn new() -> Self {
        Self {
            short: Blocks::new(),
            long: Blocks::new(),
        }
    }

    /// How rare a reading is; `blocks_min` blocks must have been seen. `day_rows` are the rows of a day.
    pub(super) fn rarity(
        &self,
        reading: f64,
        blocks_min: f64,
        day_rows: f64,
        settings: &GaugeSettings,
    ) -> Option<Rarity> {
        if self.short.blocks < blocks_min {
            return None;
        }
        let rows = f64::from(settings.block_rows);
        let short = self.short.surprise(reading, 0.0, settings);
        let mut rarity = Rarity {
            strangeness: short - (self.short.blocks + 1.0).log10(),
            day: short - (day_rows / rows).max(1.0).log10(),
        };
        if self.long.blocks >= LONG_MIN {
            let long = self.long.surprise(reading, settings.doubt, settings);
            let rows = rows * f64::from(settings.long_blocks);
            rarity.strangeness = rarity
                .strangeness
                .min(long - (self.long.blocks + 1.0).log10());
            rarity.day = rarity.day.min(long - (day_rows / rows).max(1.0).log10());
        }
        Some(rarity)
    }

    /// The reading from which short blocks alone would call it as strange as this.
    pub(super) fn reading_at(&self, strangeness: f64, settings: &GaugeSettings) -> f64 {
        let surprise = strangeness + (self.short.blocks + 1.0).log10();
        let (location, scale) = self.short.shape(0.0, settings);
        location + scale * surprise.max(0.0) * std::f64::consts::LN_10
    }

    pub(super) fn learn(&mut self, reading: f64, settings: &GaugeSettings) {
        self.short
            .learn(reading, settings.block_rows, settings.blocks_max, settings);
        let rows = settings.block_rows.saturating_mul(settings.long_blocks);
        let most = settings.blocks_max / f64::from(settings.long_blocks);
        self.long.learn(reading, rows, most.max(LONG_MIN), settings);
    }
}

/// Greatest readings of blocks of one length.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Blocks {
    blocks: f64,
    mean: f64,
    variance: f64,
    /// Greatest reading of the block at hand, and its rows.
    greatest: f64,
    rows: u32,
}

impl Blocks {
    fn new() -> Self {
        Self {
            blocks: 0.0,
            mean: 0.0,
            variance: 0.0,
            greatest: f64::MIN,
            rows: 0,
        }
    }

    /// Deviation of the greatest readings, as if some blocks had been seen before with the usual one.
    fn spread(&self, settings: &GaugeSettings) -> f64 {
        let before = settings.prior_blocks * settings.prior_spread * settings.prior_spread;
        let all = self.blocks + settings.prior_blocks;
        ((self.blocks * self.variance + before) / all).sqrt()
    }

    /// Location and scale, the scale widened by `doubt` while blocks are few.
    fn shape(&self, doubt: f64, settings: &GaugeSettings) -> (f64, f64) {
        let scale = self.spread(settings) * 6.0_f64.sqrt() / std::f64::consts::PI;
        let scale = scale * (1.0 + doubt / self.blocks.max(1.0));
        (self.mean - GUMBEL_MEAN * scale, scale)
    }

    /// `-log10` of the chance that a block shows this reading.
    fn surprise(&self, reading: f64, doubt: f64, settings: &GaugeSettings) -> f64 {
        let (location, scale) = self.shape(doubt, settings);
        let above = (reading - location) / scale;
        if above > STRAIGHT {
            return above / std::f64::consts::LN_10;
        }
        -(-(-(-above).exp()).exp_m1()).log10()
    }

    fn learn(&mut self, reading: f64, rows: u32, most: f64, settings: &GaugeSettings) {
        self.greatest = self.greatest.max(reading);
        self.rows = self.rows.saturating_add(1);
        if self.rows < rows {
            return;
        }
        let mut taken = self.greatest;
        if self.blocks >= CUT_FROM {
            taken = taken.min(self.mean + settings.cut * self.spread(settings));
        }
        self.blocks = (self.blocks + 1.0).min(most);
        let rate = 1.0 / self.blocks;
        let off = taken - self.mean;
        self.mean += rate * off;
        self.variance = (1.0 - rate) * (self.variance + rate * off * off);
        self.greatest = f64::MIN;
        self.rows = 0;
    }
}
