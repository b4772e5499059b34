//! How unusual the windows of a series are.
//!
//! Relies on what [`super::series`] learned. A window is looked at closely only when its sum lies well above or below what was
//! expected, because nine of ten do not; what was found is noted as the day's highest, for [`super::extremes`]. Must never
//! say anything of windows that are partly unknown when calls are missing: records may be.

use super::change::Test;
use super::series::{CALLS_PRIOR, ERRORS_PRIOR, Env, Hit, Warm};
use super::settings::WINDOWS_MAX;
use super::tail;

/// Fewer events are rare, not many.
pub(super) const EVENTS_LEAST: f32 = 3.0;
pub(super) const EXCESS_LEAST: f32 = 2.4;
/// Below this many deviations, squared, no score is worth its computation.
pub(super) const Z2_LEAST: f32 = 2.25;
/// Windows shorter than this are not looked at for missing calls, nor those where few are expected.
pub(super) const DOWN_SHORTEST: u32 = 15;
pub(super) const DOWN_EXPECTED_LEAST: f32 = 4.0;
/// A window is not looked at for missing calls when so many minutes before it many series were low at once.
const LOW_MARGIN: u32 = 20;
/// log10 of how many tests the windows of one kind amount to.
const TESTS: f32 = 0.4;

impl Warm {
    /// The most unusual window of more calls.
    pub(super) fn judge_up(&mut self, env: &Env<'_>) -> Hit {
        let mut sums = [0.0; WINDOWS_MAX];
        self.windows
            .sums(&env.settings.windows, self.minute, &mut sums);
        let mut hit = Hit::default();
        let count = env.settings.windows.len();
        let below = sums[..count]
            .iter()
            .zip(&self.need)
            .all(|(sum, need)| sum < need);
        if sums[count - 1] < EVENTS_LEAST || (below && !self.is_open()) {
            self.keep(Test::Up, &hit);
            return hit;
        }
        let pace = self.pace as usize;
        let mut means = [0.0; WINDOWS_MAX];
        self.means(env, &env.lengths, self.minute, &sums, &mut means);
        for index in 0..env.settings.windows.len() {
            let observed = sums[index];
            if observed < EVENTS_LEAST {
                continue;
            }
            let expected = means[index];
            let spread = &self.spread[index];
            let excess = observed - expected;
            if excess < EXCESS_LEAST || excess * excess < Z2_LEAST * spread.variance(expected) {
                continue;
            }
            let size = spread.size(expected);
            let score = tail::above(f64::from(observed), f64::from(expected), size) as f32;
            self.up[index].note(pace, score);
            let rarity = self.up[index].rarity(score, pace, &self.extreme_days, env.places[index]);
            hit.offer(index, observed, expected, score, rarity);
        }
        hit.finish();
        self.keep(Test::Up, &hit);
        hit
    }

    /// The most unusual window of fewer calls.
    pub(super) fn judge_down(&mut self, env: &Env<'_>) -> Hit {
        let mut hit = Hit::default();
        if !self.maybe_low || self.season.recent() < DOWN_EXPECTED_LEAST {
            return hit;
        }
        let pace = self.pace as usize;
        let (mut sums, mut means) = ([0.0; WINDOWS_MAX], [0.0; WINDOWS_MAX]);
        self.windows
            .sums(&env.settings.windows, self.minute, &mut sums);
        let phase = self.phase.as_deref();
        self.season
            .means(&env.lengths, self.minute, phase, &mut means);
        for (index, window) in env.settings.windows.iter().enumerate() {
            if *window < DOWN_SHORTEST
                || env.delivered[index] < 0.99
                || env.since_low < *window + LOW_MARGIN
            {
                continue;
            }
            let expected = means[index];
            if expected < DOWN_EXPECTED_LEAST {
                continue;
            }
            let observed = sums[index];
            let spread = &self.spread[index];
            let missing = expected - observed;
            if missing <= 0.0 || missing * missing < 0.5 * spread.variance(expected) {
                continue;
            }
            let size = spread.size(expected);
            let score = tail::below(f64::from(observed), f64::from(expected), size) as f32;
            self.down[index].note(pace, score);
            let rarity =
                self.down[index].rarity(score, pace, &self.extreme_days, env.places[index]);
            hit.offer(index, observed, expected, score, rarity);
        }
        hit.finish();
        self.keep(Test::Down, &hit);
        hit
    }

    /// The most unusual window of errors among the calls.
    pub(super) fn judge_errors(&mut self, env: &Env<'_>) -> Hit {
        let mut hit = Hit::default();
        let minute = self.minute;
        // While an insight on errors is open, its own are not among those learned.
        let own = if self.open[Test::Errors as usize].is_some() {
            0.0
        } else {
            1.0
        };
        let (days, pace) = (self.extreme_days, self.pace as usize);
        let Some(errors) = &mut self.errors else {
            return hit;
        };
        for (index, window) in env.settings.windows.iter().enumerate() {
            let observed = errors.windows.sum(*window, minute);
            if observed < EVENTS_LEAST {
                continue;
            }
            let calls = self.windows.sum(*window, minute);
            // A burst must not explain itself.
            let before = (self.failed - own * observed).max(0.0) + ERRORS_PRIOR;
            let expected = calls * before / ((self.calls - own * calls).max(0.0) + CALLS_PRIOR);
            let spread = &errors.spread[index];
            let excess = observed - expected;
            if excess < EXCESS_LEAST || excess * excess < Z2_LEAST * spread.variance(expected) {
                continue;
            }
            let size = spread.size(expected);
            let score = tail::above(f64::from(observed), f64::from(expected), size) as f32;
            errors.extremes[index].note(pace, score);
            let rarity = errors.extremes[index].rarity(score, pace, &days, env.places[index]);
            hit.offer(index, observed, expected, score, rarity);
        }
        hit.finish();
        self.keep(Test::Errors, &hit);
        hit
    }
}

impl Hit {
    fn offer(&mut self, index: usize, observed: f32, expected: f32, score: f32, rarity: f32) {
        self.all[index] = rarity;
        if rarity > self.rarity {
            self.window = index as u8;
            self.observed = observed;
            self.expected = expected;
            self.score = score;
            self.rarity = rarity;
        }
    }

    fn finish(&mut self) {
        self.rarity = (self.rarity - TESTS).max(0.0);
    }
}
