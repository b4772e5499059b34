//! Insights that are open on a series: how they go on, end, and what is learned of them.
//!
//! Nothing is learned while an insight is open; when it ends, what was counted in it gives way to what was expected, or the
//! long windows would show it again. When it stays for a day it becomes the rule instead. Must never end an insight on a
//! minute of which there are no records.

use super::change::{Band, ChangeKind, Coverage, Reading, SeriesState, Test};
use super::series::{Env, Hit, Open, Warm};
use super::windows::{BLOCK, BLOCKS, Windows};

/// The window over which an insight is watched for its end.
const WATCH: u32 = 15;
/// Minutes of the baseline before the present day.
const BASELINE_DAYS: u32 = 7;
/// So much must be expected of an hour, and so many deviations missing, squared, for a series to count as low.
pub(super) const LOW_EXPECTED_LEAST: f32 = 8.0;
const LOW_Z2: f32 = 3.0;
/// Minutes after which the latest judgement says nothing about the present.
const LATEST_MINUTES: u32 = 5;

/// The latest judgement of a series.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Latest {
    pub(super) minute: u32,
    pub(super) test: u8,
    pub(super) window: u8,
    pub(super) observed: f32,
    pub(super) expected: f32,
    pub(super) rarity: f32,
}

impl Warm {
    /// Keeps a judgement for readers: the most unusual of its minute.
    pub(super) fn keep(&mut self, test: Test, hit: &Hit) {
        if self.latest.minute == self.minute && self.latest.rarity >= hit.rarity {
            return;
        }
        self.latest = Latest {
            minute: self.minute,
            test: test as u8,
            window: hit.window,
            observed: hit.observed,
            expected: hit.expected,
            rarity: hit.rarity,
        };
    }

    /// Takes over what a slot remembers: calls and errors somewhere in its past.
    pub(super) fn remember(&mut self, earlier: f32, errors: f32) {
        if earlier > 0.0 {
            self.season.spread_evenly(earlier);
            let days = (self.minute - self.first) as f32 / 1440.0;
            // They are taken to lie in the week before the last one, at worst: a baseline that is there, not when.
            let day = if days > 1.0 {
                self.minute / 1440 - 1
            } else {
                self.minute / 1440
            };
            self.days[day as usize % 8] += f64::from(earlier);
        }
        self.calls = earlier;
        // Nothing stood out on any day since the first, or it would be warm already.
        self.extreme_days.quiet((self.minute - self.first) / 1440);
        self.failed = errors.max(0.0);
    }

    /// Average per minute before a start, of so many minutes; `sum` was counted since.
    pub(super) fn baseline(&self, test: Test, start: u32, sum: f32) -> (f64, u32) {
        let days = match (test, &self.errors) {
            (Test::Errors, Some(errors)) => &errors.days,
            _ => &self.days,
        };
        let from = (self.minute / 1440).saturating_sub(BASELINE_DAYS) * 1440;
        let minutes = start.saturating_sub(from).max(1);
        let before = days.iter().sum::<f64>() - f64::from(sum);
        (before.max(0.0) / f64::from(minutes), minutes)
    }

    /// Whether much less than expected was counted in the last hour, if enough was expected.
    pub(super) fn is_low(&self, env: &Env<'_>) -> Option<bool> {
        let (short, _) = env.reference?;
        if !self.maybe_low {
            return self.active.then_some(false);
        }
        if self.season.recent() < LOW_EXPECTED_LEAST {
            return None;
        }
        let until = env.minute + 1;
        let from = until.saturating_sub(env.lengths[short]);
        let expected = self.season.between(from, until, self.phase.as_deref());
        if expected < LOW_EXPECTED_LEAST {
            return None;
        }
        let missing = expected - self.windows.sum(env.settings.windows[short], env.minute);
        let surprising = missing * missing > LOW_Z2 * self.spread[short].variance(expected);
        Some(missing > 0.4 * expected && surprising)
    }

    /// One more minute of an open insight; its end, if this is it.
    pub(super) fn follow(&mut self, env: &Env<'_>, test: Test) -> Option<(ChangeKind, Open)> {
        let mut open = self.open[test as usize].as_deref().copied()?;
        if open.detected == env.minute {
            return None;
        }
        let counts = match (test, &self.errors) {
            (Test::Errors, Some(errors)) => &errors.windows,
            _ => &self.windows,
        };
        open.sum += counts.sum(1, env.minute);
        if env.coverage == Coverage::Delivered {
            open.quiet = if self.goes_on(env, test, &open) {
                0
            } else {
                open.quiet + 1
            };
        }
        let age = (env.minute + 1).saturating_sub(open.start);
        if open.quiet >= env.settings.close_after {
            self.open[test as usize] = None;
            self.forget(env, test, open.start);
            return Some((ChangeKind::End, open));
        }
        if age >= env.settings.absorb_after {
            self.open[test as usize] = None;
            self.absorb(env, test);
            return Some((ChangeKind::Absorbed, open));
        }
        self.open[test as usize] = Some(Box::new(open));
        None
    }

    /// Whether the last minutes are more like the insight than like what was expected.
    fn goes_on(&mut self, env: &Env<'_>, test: Test, open: &Open) -> bool {
        let from = (env.minute + 1).saturating_sub(WATCH);
        let calls = self.windows.sum(WATCH, env.minute);
        let part = open.hit.expected / open.hit.observed.max(1e-6);
        let usual = match test {
            Test::Errors => calls * self.ratio(),
            _ => self
                .season
                .between(from, env.minute + 1, self.phase.as_deref()),
        };
        match test {
            Test::Down => {
                let middle = usual * (1.0 + 1.0 / part.max(1.0)) / 2.0;
                calls <= middle
            }
            Test::Up | Test::Errors => {
                let observed = match (test, &self.errors) {
                    (Test::Errors, Some(errors)) => errors.windows.sum(WATCH, env.minute),
                    _ => calls,
                };
                let length =
                    Windows::length(env.settings.windows[open.hit.window as usize], env.minute);
                let excess = (open.hit.observed - open.hit.expected) / length as f32;
                let long = env.settings.windows[open.hit.window as usize] > WATCH;
                if long && observed - usual > 0.5 * excess * WATCH as f32 {
                    return true;
                }
                let hit = if test == Test::Up {
                    self.judge_up(env)
                } else {
                    self.judge_errors(env)
                };
                let short = env.settings.windows.iter().zip(hit.all);
                let most = short
                    .filter(|(window, _)| **window <= WATCH)
                    .map(|(_, rarity)| rarity);
                most.fold(0.0, f32::max) > env.settings.threshold as f32 / 2.0
            }
        }
    }

    /// Puts what was expected in the place of what was counted since `start`.
    fn forget(&mut self, env: &Env<'_>, test: Test, start: u32) {
        let now = env.minute;
        let ratio = self.ratio();
        let phase = self.phase.as_deref();
        let oldest = (now / BLOCK + 1).saturating_sub(BLOCKS as u32);
        let season = &self.season;
        let usual = |from: u32, to: u32, counts: f32| match test {
            Test::Errors => counts * ratio,
            _ => season.between(from, to, phase),
        };
        let calls = self.windows.clone();
        let windows = match (test, &mut self.errors) {
            (Test::Errors, Some(errors)) => &mut errors.windows,
            _ => &mut self.windows,
        };
        for number in (start / BLOCK).max(oldest)..now / BLOCK {
            let value = usual(number * BLOCK, (number + 1) * BLOCK, calls.at_block(number));
            windows.set_block(number, value);
        }
        windows.sum_over(now / BLOCK, &env.settings.windows);
        let begin = now / BLOCK * BLOCK;
        windows.block = usual(begin, now + 1, calls.block);
        for minute in start.max((now + 1).saturating_sub(WATCH + 1))..=now {
            windows.set_single(minute, usual(minute, minute + 1, calls.sum(1, minute)));
        }
    }

    /// What is observed is the rule from now on.
    fn absorb(&mut self, env: &Env<'_>, test: Test) {
        let longest = env.settings.windows.len() - 1;
        let window = env.settings.windows[longest];
        let calls = self.windows.sum(window, env.minute);
        if test == Test::Errors {
            let errors = self
                .errors
                .as_ref()
                .map_or(0.0, |errors| errors.windows.sum(window, env.minute));
            self.failed = self.calls * (errors + 0.3) / (calls + 20.0);
            return;
        }
        let expected = self.expected(env, longest);
        let factor = (calls + 2.0) / (expected + 2.0);
        self.season.scale(factor.clamp(0.01, 1e6));
    }

    pub(super) fn read(&self, env: &Env<'_>, now: u32) -> Reading {
        let settings = env.settings;
        let warming = now < self.first.saturating_add(settings.warm_up);
        let state = match (self.is_open(), warming) {
            (true, _) => SeriesState::Open,
            (false, true) => SeriesState::Warming,
            (false, false) => SeriesState::Quiet,
        };
        let latest = &self.latest;
        let stale = !self.is_open() && now > latest.minute + LATEST_MINUTES;
        let rarity = if stale { 0.0 } else { f64::from(latest.rarity) };
        let minutes = now
            .saturating_sub(self.first)
            .clamp(1, BASELINE_DAYS * 1440 + now % 1440);
        Reading {
            state,
            score: 1.0 - f64::powf(10.0, -rarity),
            rarity,
            test: Test::ALL
                .get(latest.test as usize)
                .copied()
                .unwrap_or(Test::Up),
            window_minutes: settings
                .windows
                .get(latest.window as usize)
                .copied()
                .unwrap_or(0),
            observed: f64::from(latest.observed),
            expected: f64::from(latest.expected),
            baseline_average: self.days.iter().sum::<f64>() / f64::from(minutes),
        }
    }

    /// What is expected of a minute of the week: near the present exactly, else by its half hour.
    pub(super) fn band(&self, minute: u32) -> Band {
        let expected = self.season.at(minute, self.phase.as_deref());
        let deviation = f64::sqrt(f64::from(self.spread[0].variance(expected).min(f32::MAX)));
        let expected = f64::from(expected);
        Band {
            expected,
            low: (expected - 3.0 * deviation).max(0.0),
            high: expected + 3.0 * deviation,
        }
    }

    /// Memory that is held, in bytes.
    pub(super) fn bytes(&self) -> usize {
        let phase = self.phase.as_ref().map_or(0, |phase| phase.bytes());
        let errors = if self.errors.is_some() {
            size_of::<super::series::Errors>()
        } else {
            0
        };
        let open = self.open.iter().flatten().count() * size_of::<Open>();
        size_of::<Self>() + phase + errors + open
    }
}
