//! One series of which enough is known to be judged.
//!
//! Relies on being told of minutes in order, at least every few minutes. Must never look at another series: what series have in
//! common comes with [`Env`].

use super::change::{Coverage, Test};
use super::extremes::{Days, Extremes, pace};
use super::judge::{DOWN_EXPECTED_LEAST, DOWN_SHORTEST, EVENTS_LEAST, EXCESS_LEAST, Z2_LEAST};
use super::open::Latest;
use super::phase::Phase;
use super::season::{BIN_MINUTES, Learn, Season};
use super::settings::{Settings, WINDOWS_MAX};
use super::spread::Spread;
use super::windows::{BLOCK, BLOCKS, Windows};

/// What all series have in common in a minute.
#[derive(Clone, Debug)]
pub(super) struct Env<'s> {
    pub(super) settings: &'s Settings,
    pub(super) minute: u32,
    /// What windows really span.
    pub(super) lengths: [u32; WINDOWS_MAX],
    /// The windows between which the hours before are seen: up to the first of them, and back to the second.
    pub(super) reference: Option<(usize, usize)>,
    /// The part of each window of which there are records.
    pub(super) delivered: [f32; WINDOWS_MAX],
    /// The part of the half hour before this one, and of this one, of which there are records.
    pub(super) delivered_bins: [f32; 2],
    pub(super) coverage: Coverage,
    /// Where daily maxima of exact probabilities lie, by window: log10 of the windows of a day.
    pub(super) places: [f32; WINDOWS_MAX],
    /// Minutes since too many series were low at once for it to mean anything about one.
    pub(super) since_low: u32,
}

/// Errors of a series that had any.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Errors {
    pub(super) windows: Windows,
    pub(super) spread: [Spread; WINDOWS_MAX],
    pub(super) extremes: [Extremes; WINDOWS_MAX],
    pub(super) days: [f64; 8],
}

/// An insight that is open.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Open {
    pub(super) start: u32,
    pub(super) detected: u32,
    pub(super) sum: f32,
    pub(super) quiet: u32,
    pub(super) baseline: f64,
    pub(super) baseline_minutes: u32,
    pub(super) hit: Hit,
}

/// The most unusual window of a test.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Hit {
    pub(super) window: u8,
    pub(super) observed: f32,
    pub(super) expected: f32,
    pub(super) score: f32,
    pub(super) rarity: f32,
    pub(super) all: [f32; WINDOWS_MAX],
}

/// A series that is judged. What every row touches comes first, in few cache lines, which is what a row costs.
#[derive(Clone, Debug, PartialEq)]
#[repr(C)]
pub(super) struct Warm {
    pub(super) id: u32,
    /// The last minute that it was told of, and the first.
    pub(super) minute: u32,
    pub(super) first: u32,
    /// Calls and errors of the last weeks, decayed.
    pub(super) calls: f32,
    pub(super) failed: f32,
    pub(super) pace: u8,
    /// Whether the last block was low enough to look for missing calls, and enough was expected of it to count.
    pub(super) maybe_low: bool,
    pub(super) active: bool,
    /// The phase is flat for sure and does not learn today.
    pub(super) idle: bool,
    /// Below these sums no window is worth a closer look until the next block; zero when that is not known.
    pub(super) need: [f32; WINDOWS_MAX],
    pub(super) latest: Latest,
    pub(super) open: [Option<Box<Open>>; 3],
    pub(super) errors: Option<Box<Errors>>,
    pub(super) phase: Option<Box<Phase>>,
    pub(super) windows: Windows,
    pub(super) season: Season,
    /// Calls of the last days by number modulo eight.
    pub(super) days: [f64; 8],
    /// Days that the extremes are of, and the kind of the present half hour.
    pub(super) extreme_days: Days,
    pub(super) spread: [Spread; WINDOWS_MAX],
    pub(super) up: [Extremes; WINDOWS_MAX],
    pub(super) down: [Extremes; WINDOWS_MAX],
}

/// Kept by day of calls and errors: a half-life of ten days.
const RATIO_KEPT: f32 = 0.933;
/// Prior errors and calls.
pub(super) const ERRORS_PRIOR: f32 = 0.3;
pub(super) const CALLS_PRIOR: f32 = 20.0;
/// What is expected in the first day is a guess, and residuals from it teach nothing.
const SAMPLE_AGE: u32 = 1440;
/// Minutes of an open insight that residuals are learned from.
const SAMPLE_OPEN: u32 = 60;
/// Calls from which a schedule is looked for.
const PHASE_CALLS: f32 = 40.0;

impl Warm {
    pub(super) fn new(id: u32, first: u32, minute: u32) -> Self {
        Self {
            id,
            minute,
            first,
            windows: Windows::default(),
            season: Season::new(minute, minute.saturating_sub(first)),
            spread: [Spread::new(); WINDOWS_MAX],
            up: [Extremes::default(); WINDOWS_MAX],
            down: [Extremes::default(); WINDOWS_MAX],
            need: [0.0; WINDOWS_MAX],
            maybe_low: true,
            active: true,
            idle: false,
            extreme_days: Days::default(),
            pace: 0,
            days: [0.0; 8],
            calls: 0.0,
            failed: 0.0,
            phase: None,
            errors: None,
            open: [None, None, None],
            latest: Latest::default(),
        }
    }

    pub(super) fn is_open(&self) -> bool {
        self.open.iter().any(|open| open.is_some())
    }

    /// Takes what was counted in the minute that it has been advanced to.
    pub(super) fn add(&mut self, calls: f32, errors: f32) {
        let minute = self.minute;
        self.windows.add(minute, calls);
        self.season.current += calls;
        self.days[minute as usize / 1440 % 8] += f64::from(calls);
        let learns = self.open[Test::Errors as usize].is_none();
        if learns {
            self.calls += calls;
        }
        if self.phase.is_none() && self.calls > PHASE_CALLS {
            self.phase = Some(Box::default());
        }
        if let Some(phase) = &mut self.phase
            && !self.idle
            && self.open[Test::Up as usize].is_none()
        {
            phase.add(minute, calls);
        }
        if errors > 0.0 {
            self.failed += if learns { errors } else { 0.0 };
            let kept = self.errors.get_or_insert_with(|| {
                Box::new(Errors {
                    windows: Windows::default(),
                    spread: [Spread::new(); WINDOWS_MAX],
                    extremes: [Extremes::default(); WINDOWS_MAX],
                    days: [0.0; 8],
                })
            });
            kept.windows.add(minute, errors);
            kept.days[minute as usize / 1440 % 8] += f64::from(errors);
        }
    }

    /// Lets time pass up to the start of a minute.
    pub(super) fn advance(&mut self, env: &Env<'_>, minute: u32) {
        if minute <= self.minute {
            return;
        }
        if minute - self.minute > BLOCKS as u32 * BLOCK {
            self.skip(env, minute);
            return;
        }
        while self.minute < minute {
            let next = self.minute + 1;
            if next.is_multiple_of(BLOCK) {
                self.close_block(env, self.minute / BLOCK);
                if next.is_multiple_of(BIN_MINUTES) {
                    self.close_half_hour(env);
                }
                if next.is_multiple_of(1440) {
                    self.close_day(env, next);
                }
            }
            self.minute = next;
            self.windows.next_minute(next);
            if let Some(errors) = &mut self.errors {
                errors.windows.next_minute(next);
            }
        }
    }

    /// Everything was silent for longer than the windows are: nothing is learned of it but that time passed.
    fn skip(&mut self, env: &Env<'_>, minute: u32) {
        let days = minute / 1440 - self.minute / 1440;
        self.windows = Windows::default();
        for _ in 0..days.min(8) {
            self.close_day(env, (self.minute / 1440 + 1) * 1440);
            self.minute = (self.minute / 1440 + 1) * 1440;
        }
        if days >= 8 {
            self.days = [0.0; 8];
        }
        self.minute = minute;
        self.season.skip(minute);
        if let Some(errors) = &mut self.errors {
            errors.windows = Windows::default();
            if days >= 8 {
                errors.days = [0.0; 8];
            }
        }
    }

    fn learn(&self) -> Learn {
        if self.is_open() {
            Learn::Nothing
        } else {
            Learn::All
        }
    }

    fn close_block(&mut self, env: &Env<'_>, number: u32) {
        let last = self.minute;
        // Bursts are part of how a series strays, hours of something else are not.
        let open = self.open.iter().flatten();
        let brief = open
            .map(|open| last - open.start.min(last))
            .all(|minutes| minutes < SAMPLE_OPEN);
        (self.need, self.maybe_low, self.active) = ([0.0; WINDOWS_MAX], true, true);
        if brief && env.delivered_bins[1] > 0.99 {
            self.sample(env, last);
        }
        let windows = &env.settings.windows;
        self.windows.close_block(number, windows);
        if let Some(errors) = &mut self.errors {
            errors.windows.close_block(number, windows);
        }
    }

    /// Residuals of all windows that end with this minute, for the spread.
    fn sample(&mut self, env: &Env<'_>, last: u32) {
        let mut sums = [0.0; WINDOWS_MAX];
        let mut failed = [0.0; WINDOWS_MAX];
        let windows = &env.settings.windows;
        self.windows.sums(windows, last, &mut sums);
        if let Some(errors) = &self.errors {
            errors.windows.sums(windows, last, &mut failed);
        }
        let mut means = [0.0; WINDOWS_MAX];
        self.means(env, windows, last, &sums, &mut means);
        if !self.season.sharp && env.delivered[windows.len() - 1] > 0.99 {
            self.bound(env, &sums, &means);
        }
        let ratio = self.ratio();
        for (index, window) in windows.iter().enumerate() {
            // Overlapping samples say little new: each window is sampled once in its own length, or hourly.
            if *window > BLOCK && !(last + 1).is_multiple_of((*window).min(60)) {
                continue;
            }
            if env.delivered[index] < 0.99 || last + 1 < self.first + (*window).max(SAMPLE_AGE) {
                continue;
            }
            let mean = means[index];
            self.spread[index].add(sums[index], mean);
            if let Some(errors) = &mut self.errors
                && sums[index] > 0.0
            {
                errors.spread[index].add(failed[index], sums[index] * ratio);
            }
        }
    }

    /// Says up to which sums, and whether for missing calls, the next block needs a closer look: expectations move
    /// little in five minutes unless there is a schedule.
    fn bound(&mut self, env: &Env<'_>, sums: &[f32], means: &[f32]) {
        self.maybe_low = false;
        for (index, window) in env.settings.windows.iter().enumerate() {
            let spread = &self.spread[index];
            let least = means[index]
                * if *window > DOWN_SHORTEST {
                    NEXT_LONG
                } else {
                    NEXT_SHORT
                };
            let excess = f32::sqrt(Z2_LEAST * spread.variance(least)).max(EXCESS_LEAST);
            self.need[index] = (least + excess).max(EVENTS_LEAST);
            let missing = means[index] - sums[index];
            if *window >= DOWN_SHORTEST && means[index] >= DOWN_EXPECTED_LEAST / 2.0 {
                self.maybe_low |=
                    missing > 0.0 && missing * missing > 0.4 * spread.variance(means[index]);
            }
        }
        self.active = env
            .reference
            .is_some_and(|(short, _)| means[short] >= super::open::LOW_EXPECTED_LEAST);
    }

    fn close_half_hour(&mut self, env: &Env<'_>) {
        let learn = self.learn();
        let near = env.reference.map_or(0, |(short, _)| short);
        let spread = &self.spread[near];
        self.season
            .close(env.delivered_bins[0], learn, self.phase.as_deref(), spread);
        for index in 0..env.settings.windows.len() {
            self.spread[index].fit();
        }
        let (rate, mean) = self.season.pace();
        self.pace = pace(rate, mean) as u8;
        self.extreme_days.visit(self.pace as usize);
    }

    /// A day is over; `next` is the first minute of the one after.
    fn close_day(&mut self, env: &Env<'_>, next: u32) {
        self.days[next as usize / 1440 % 8] = 0.0;
        let theta = env.settings.threshold as f32;
        let mut errors = self.errors.as_deref_mut();
        if let Some(errors) = &mut errors {
            errors.days[next as usize / 1440 % 8] = 0.0;
        }
        for index in 0..env.settings.windows.len() {
            let prior = env.places[index];
            self.up[index].close_day(&self.extreme_days, theta, prior);
            self.down[index].close_day(&self.extreme_days, theta, prior);
            self.spread[index].close_day();
            if let Some(errors) = &mut errors {
                errors.extremes[index].close_day(&self.extreme_days, theta, prior);
                errors.spread[index].close_day();
            }
        }
        self.extreme_days.close();
        self.extreme_days.visit(self.pace as usize);
        self.calls *= RATIO_KEPT;
        self.failed *= RATIO_KEPT;
        if let Some(phase) = &mut self.phase {
            let looks = (next / 1440).is_multiple_of(IDLE_DAYS);
            self.idle = !looks && !phase.is_on() && phase.gain < IDLE_GAIN;
        }
        if let Some(phase) = &mut self.phase
            && phase.close_day()
        {
            self.season.sharp = phase.is_on();
            self.season.refresh_all();
        }
    }

    /// Errors expected per call.
    pub(super) fn ratio(&self) -> f32 {
        (self.failed + ERRORS_PRIOR) / (self.calls + CALLS_PRIOR)
    }

    /// What is expected of a window that ends with the present minute.
    pub(super) fn expected(&self, env: &Env<'_>, index: usize) -> f32 {
        let length = Windows::length(env.settings.windows[index], self.minute);
        let from = (self.minute + 1).saturating_sub(length);
        let mean = self
            .season
            .between(from, self.minute + 1, self.phase.as_deref());
        mean * env.delivered[index]
    }

    /// What is expected of all windows that end with a minute, given how the hours before went.
    pub(super) fn means(
        &self,
        env: &Env<'_>,
        lengths: &[u32],
        minute: u32,
        sums: &[f32],
        out: &mut [f32; WINDOWS_MAX],
    ) {
        self.season
            .means(lengths, minute, self.phase.as_deref(), out);
        for (mean, delivered) in out.iter_mut().zip(&env.delivered) {
            *mean *= delivered;
        }
        if let Some((short, long)) = env.reference {
            let (seen, usual) = (sums[long] - sums[short], out[long] - out[short]);
            let wander = self.spread[long].wander;
            let part = wander * usual / (wander * usual + 1.0 + self.spread[short].clump);
            let local = 1.0 + part * (seen / usual.max(1e-6) - 1.0);
            let local = local.clamp(0.3, 3.0);
            out[..=short].iter_mut().for_each(|mean| *mean *= local);
        }
    }
}

/// How little of an expectation may be left five minutes later, for windows longer than fifteen minutes and others.
const NEXT_LONG: f32 = 0.8;
const NEXT_SHORT: f32 = 0.93;
/// A phase that did so much worse than a flat hour looks again on one day of these.
const IDLE_GAIN: f32 = -50.0;
const IDLE_DAYS: u32 = 4;
