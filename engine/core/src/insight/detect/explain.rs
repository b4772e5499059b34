//! How each window of a series looks in its last minute, for people who ask why it is, or is not, unusual.
//!
//! The same sums, expectations and tails that decide, without what makes deciding cheap: no window is left out for being near its
//! expectation. Must never change what is remembered.

use super::change::{SeriesId, Test};
use super::detector::Detector;
use super::series::{CALLS_PRIOR, ERRORS_PRIOR, Env, Warm};
use super::settings::WINDOWS_MAX;
use super::{Coverage, tail};

/// One window.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WindowSeen {
    /// Its length.
    pub minutes: u32,
    /// More calls, fewer, or errors.
    pub test: Test,
    /// What was counted in it.
    pub observed: f64,
    /// What was expected of it.
    pub expected: f64,
    /// Chance of as much, or as little.
    pub probability: f64,
    /// -log10 of the chance that this series shows that on one day.
    pub surprise: f64,
}

/// How a series looks.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    /// How it stands against its season lately: 1 is as usual.
    pub level: f64,
    /// All windows.
    pub windows: Vec<WindowSeen>,
}

impl Detector {
    /// How a series looks as of the last minute; nothing of one of which too little is known.
    pub fn seen(&self, id: SeriesId) -> Option<Seen> {
        let slot = self.slots.get(id.0 as usize)?.as_ref()?;
        let warm = self.warm.get(slot.warm as usize)?.as_ref()?;
        let mut warm = warm.clone();
        let now = self.minute.unwrap_or(warm.minute).max(warm.minute);
        let env = self.env(&self.settings, now, Coverage::Delivered);
        warm.advance(&env, now);
        Some(Seen {
            level: f64::from(warm.season.level()),
            windows: warm.look(&env),
        })
    }
}

impl Warm {
    fn look(&self, env: &Env<'_>) -> Vec<WindowSeen> {
        let settings = env.settings;
        let pace = self.pace as usize;
        let (mut sums, mut means) = ([0.0; WINDOWS_MAX], [0.0; WINDOWS_MAX]);
        self.windows.sums(&settings.windows, self.minute, &mut sums);
        self.means(env, &env.lengths, self.minute, &sums, &mut means);
        let mut all = Vec::new();
        let watch = settings.watch;
        let of_calls = settings.windows.iter().enumerate();
        for (index, minutes) in of_calls.filter(|_| watch.up || watch.down) {
            let (observed, expected) = (sums[index], means[index]);
            let size = self.spread[index].size(expected);
            // What nobody watches for is not held against a series.
            let rises = watch.up && (observed >= expected || !watch.down);
            let (test, extremes) = if rises {
                (Test::Up, &self.up[index])
            } else {
                (Test::Down, &self.down[index])
            };
            let tail = if rises { tail::above } else { tail::below };
            let score = tail(f64::from(observed), f64::from(expected), size);
            let rarity = extremes.rarity(score as f32, pace, &self.extreme_days, env.places[index]);
            all.push(WindowSeen {
                minutes: *minutes,
                test,
                observed: f64::from(observed),
                expected: f64::from(expected),
                probability: f64::powf(10.0, -score),
                surprise: f64::from(rarity.max(0.0)),
            });
        }
        let Some(errors) = self.errors.as_ref().filter(|_| watch.errors) else {
            return all;
        };
        for (index, minutes) in settings.windows.iter().enumerate() {
            let observed = errors.windows.sum(*minutes, self.minute);
            let calls = self.windows.sum(*minutes, self.minute);
            let before = (self.failed - observed).max(0.0) + ERRORS_PRIOR;
            let expected = calls * before / ((self.calls - calls).max(0.0) + CALLS_PRIOR);
            let size = errors.spread[index].size(expected);
            let score = tail::above(f64::from(observed), f64::from(expected), size);
            let extremes = &errors.extremes[index];
            let rarity = extremes.rarity(score as f32, pace, &self.extreme_days, env.places[index]);
            all.push(WindowSeen {
                minutes: *minutes,
                test: Test::Errors,
                observed: f64::from(observed),
                expected: f64::from(expected),
                probability: f64::powf(10.0, -score),
                surprise: f64::from(rarity.max(0.0)),
            });
        }
        all
    }
}
