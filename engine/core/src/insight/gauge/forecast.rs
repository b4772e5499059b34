//! What the next value should be, from a level that follows slowly, and by how much that is usually wrong.
//!
//! What for: its mistakes are a reading of their own (a jump is one whatever the level it starts from), and it says what is
//! expected. Relies on finite values and a spread below which mistakes are not told apart. Must never widen much
//! for one mistake: those are cut before they are averaged.

use serde::{Deserialize, Serialize};

/// How fast the level follows: half of a step in 14 rows.
const LEVEL_RATE: f64 = 0.05;
/// How fast the usual mistake follows, in the long run.
const MISTAKE_RATE: f64 = 0.002;
/// Mistakes from here on are cut to `CUT` usual ones.
const CUT_FROM: f64 = 30.0;
const CUT: f64 = 8.0;
/// The usual mistake is at least this share of the spread.
const SPREAD_SHARE: f64 = 0.01;

#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(super) struct Forecast {
    level: f64,
    mistake: f64,
    rows: f64,
}

impl Forecast {
    pub(super) fn level(&self) -> f64 {
        self.level
    }

    /// The usual mistake.
    pub(super) fn usual(&self, spread: f64) -> f64 {
        self.mistake.max(spread * SPREAD_SHARE)
    }

    /// The mistake of this row in usual ones, on a logarithmic footing; then takes the row in.
    pub(super) fn reading(&mut self, value: f64, spread: f64) -> Option<f64> {
        if self.rows < 1.0 {
            (self.level, self.rows) = (value, 1.0);
            return None;
        }
        let mistake = (value - self.level).abs();
        let usual = self.usual(spread);
        let reading = if usual > 0.0 {
            (mistake / usual).asinh()
        } else {
            0.0
        };
        let taken = if self.rows > CUT_FROM {
            mistake.min(CUT * usual)
        } else {
            mistake
        };
        self.mistake += (1.0 / self.rows).max(MISTAKE_RATE) * (taken - self.mistake);
        self.rows += 1.0;
        self.level += LEVEL_RATE * (value - self.level);
        Some(reading)
    }
}
