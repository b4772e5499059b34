//! All series of one insight, and what they have in common.
//!
//! A series of which little is known is a slot of 24 bytes. It becomes warm, with all that [`super::series`] learns, when
//! there are three events within four hours or twenty in all: before that nothing could be said about it. Rows are judged in the
//! minute they come with; what must happen without rows (closing, missing calls, seasons) happens to every fifth warm series a
//! minute, so a minute never does work for all. A queue of due series would say the same with a heap to keep.

use super::change::{Band, Change, ChangeKind, Count, Coverage, Minute, Reading, SeriesId};
use super::change::{SeriesState, Test};
use super::onset::{Direction, Line, onset};
use super::series::{Env, Hit, Open, Warm};
use super::settings::{Settings, SettingsFault, WINDOWS_MAX};
use super::windows::{BLOCK, BLOCKS, Windows};

/// Minutes for which it takes longer to tell that calls are missing: until a weekend was seen.
const DOWN_LATER: u32 = 7 * 1440;
/// No warm series.
pub(super) const NONE: u32 = u32::MAX;
/// Minutes in which each warm series has its turn.
const TURNS: u32 = 5;
/// Events within four hours, and in all, that make a series warm.
const EPISODE_EVENTS: f32 = 3.0;
const EPISODE_MINUTES: u32 = 240;
const KNOWN_EVENTS: f32 = 20.0;
/// The year 6053: beyond, minutes are no time.
const MINUTE_MAX: u32 = u32::MAX / 2;
/// Counts above this are taken for it: sums of them stay exact enough.
const COUNT_MAX: f64 = 1e12;
/// The part of active series that may be low before that says nothing about one, and how many at least.
const LOW_PART: f32 = 0.15;
const LOW_LEAST: u32 = 3;

/// A series of which little is known, or where the rest of it is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Slot {
    pub(super) warm: u32,
    pub(super) first: u32,
    pub(super) last: u32,
    pub(super) calls: f32,
    pub(super) errors: f32,
    /// First minute of the last hours, and what was counted in them.
    pub(super) begin: u32,
    pub(super) episode: f32,
}

/// Rows that were not taken, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dropped {
    /// Counts that are negative, infinite or no number.
    pub unsound: u64,
    /// Rows of series that are not open.
    pub unknown: u64,
    /// Minutes that came again, too late, or from beyond any calendar, whole.
    pub minutes_late: u64,
}

/// Finds what is unusual in many series.
#[derive(Clone, Debug)]
pub struct Detector {
    pub(super) settings: Settings,
    pub(super) slots: Vec<Option<Slot>>,
    pub(super) warm: Vec<Option<Box<Warm>>>,
    pub(super) free: Vec<u32>,
    /// Warm series with an open insight.
    pub(super) open: Vec<u32>,
    /// The last minute taken.
    pub(super) minute: Option<u32>,
    /// Whether each of the last minutes was missing, by number modulo 512.
    pub(super) missing: [u64; 8],
    /// Active and low series of this round of turns.
    pub(super) active: u32,
    pub(super) low: u32,
    /// When many were low at once.
    pub(super) low_at: u32,
    pub(super) dropped: Dropped,
}

impl Detector {
    /// Nothing is known yet.
    pub fn new(settings: Settings) -> Result<Self, SettingsFault> {
        settings.validate()?;
        Ok(Self::with(settings))
    }

    /// The same with settings that are known to be sound.
    pub(super) fn with(settings: Settings) -> Self {
        Self {
            settings,
            slots: Vec::new(),
            warm: Vec::new(),
            free: Vec::new(),
            open: Vec::new(),
            minute: None,
            missing: [0; 8],
            active: 0,
            low: 0,
            low_at: 0,
            dropped: Dropped::default(),
        }
    }

    /// A new series, whose first event is about to come. One that is open already begins anew.
    pub fn open_series(&mut self, id: SeriesId, now: Minute) {
        self.close_series(id);
        let index = id.0 as usize;
        if index >= self.slots.len() {
            self.slots.resize(index + 1, None);
        }
        let slot = Slot {
            warm: NONE,
            first: now.0,
            last: now.0,
            calls: 0.0,
            errors: 0.0,
            begin: now.0,
            episode: 0.0,
        };
        self.slots[index] = Some(slot);
    }

    /// A series gave way; an insight that is open on it is forgotten without an end.
    pub fn close_series(&mut self, id: SeriesId) {
        let Some(slot) = self.slots.get_mut(id.0 as usize) else {
            return;
        };
        if let Some(Slot { warm, .. }) = slot.take()
            && warm != NONE
        {
            self.warm[warm as usize] = None;
            self.free.push(warm);
            self.open.retain(|open| *open != warm);
        }
    }

    /// What was not taken.
    pub fn dropped(&self) -> Dropped {
        self.dropped
    }

    /// Takes the counts of one complete minute, sorted by series. Minutes between the last and this one were silent.
    pub fn minute(
        &mut self,
        minute: Minute,
        coverage: Coverage,
        rows: &[Count],
        out: &mut Vec<Change>,
    ) {
        let now = minute.0;
        let last = self.minute.unwrap_or(now.saturating_sub(1));
        if self.minute.is_some_and(|last| now <= last) || now > MINUTE_MAX {
            self.dropped.minutes_late += 1;
            return;
        }
        // Silence beyond the longest window is passed over by each series when its turn comes.
        let skipped = (last + 1..now).take((BLOCKS as u32 * BLOCK) as usize);
        for silent in skipped {
            self.step(silent, Coverage::Delivered, &[], out);
        }
        if now - last > 512 {
            self.missing = [0; 8];
        }
        self.step(now, coverage, rows, out);
    }

    fn step(&mut self, now: u32, coverage: Coverage, rows: &[Count], out: &mut Vec<Change>) {
        self.minute = Some(now);
        let (word, bit) = (now as usize / 64 % 8, now % 64);
        self.missing[word] &= !(1 << bit);
        if coverage == Coverage::Missing {
            self.missing[word] |= 1 << bit;
        }
        let begin = out.len();
        let settings = std::mem::take(&mut self.settings);
        let env = self.env(&settings, now, coverage);
        for row in rows {
            self.row(&env, row, out);
        }
        self.turns(&env, out);
        self.ends(&env, out);
        self.settings = settings;
        out[begin..].sort_by_key(|change| (change.series, change.test, change.kind));
    }

    pub(super) fn env<'s>(&self, settings: &'s Settings, now: u32, coverage: Coverage) -> Env<'s> {
        let none = self.missing.iter().all(|word| *word == 0);
        let part = |from: u32, to: u32| {
            if none || to <= from {
                return 1.0;
            }
            let missing =
                (from..to).filter(|at| self.missing[*at as usize / 64 % 8] >> (at % 64) & 1 == 1);
            1.0 - missing.count() as f32 / (to - from) as f32
        };
        let mut delivered = [1.0; WINDOWS_MAX];
        let mut lengths = [1; WINDOWS_MAX];
        for (index, window) in settings.windows.iter().enumerate() {
            lengths[index] = Windows::length(*window, now);
            delivered[index] = part((now + 1).saturating_sub(lengths[index]), now + 1);
        }
        let bin = now / 30 * 30;
        Env {
            settings,
            minute: now,
            delivered,
            delivered_bins: [part(bin.saturating_sub(30), bin), part(bin, now + 1)],
            lengths,
            reference: reference(settings),
            coverage,
            places: settings_places(settings),
            since_low: now.saturating_sub(self.low_at),
        }
    }

    fn row(&mut self, env: &Env<'_>, row: &Count, out: &mut Vec<Change>) {
        let sound = |count: f64| count.is_finite() && count >= 0.0;
        if !sound(row.calls) || !sound(row.errors) {
            self.dropped.unsound += 1;
            return;
        }
        let Some(Some(slot)) = self.slots.get_mut(row.series.0 as usize) else {
            self.dropped.unknown += 1;
            return;
        };
        let calls = row.calls.min(COUNT_MAX) as f32;
        let errors = row.errors.min(row.calls).min(COUNT_MAX) as f32;
        if slot.warm == NONE {
            if env.minute > slot.last + EPISODE_MINUTES {
                slot.episode = 0.0;
            }
            if slot.episode == 0.0 {
                slot.begin = env.minute;
            }
            slot.episode += calls;
            slot.calls += calls;
            slot.errors += errors;
            if slot.episode < EPISODE_EVENTS && slot.calls < KNOWN_EVENTS {
                slot.last = env.minute;
                return;
            }
            self.promote(env, row.series.0, calls, errors);
        }
        let Some(Some(Slot { warm: index, .. })) = self.slots.get(row.series.0 as usize) else {
            return;
        };
        let index = *index;
        let Some(Some(warm)) = self.warm.get_mut(index as usize) else {
            return;
        };
        warm.advance(env, env.minute);
        warm.add(calls, errors);
        if env.minute < warm.first + env.settings.warm_up {
            return;
        }
        let watch = env.settings.watch;
        if watch.up {
            let hit = warm.judge_up(env);
            Self::judged(&mut self.open, index, warm, env, Test::Up, hit, out);
        }
        if watch.errors && errors > 0.0 {
            let hit = warm.judge_errors(env);
            Self::judged(&mut self.open, index, warm, env, Test::Errors, hit, out);
        }
    }

    /// Makes a series warm, with what its slot remembers.
    fn promote(&mut self, env: &Env<'_>, id: u32, calls: f32, errors: f32) {
        let Some(Some(slot)) = self.slots.get_mut(id as usize) else {
            return;
        };
        let begin = slot.begin.max(slot.first).min(env.minute);
        let mut warm = Box::new(Warm::new(id, slot.first, begin));
        warm.remember(slot.calls - slot.episode, slot.errors - errors);
        // Of up to two events before this one, the first came at the beginning and the other last.
        let recent = slot.episode - calls;
        let early = recent.min(1.0);
        if early > 0.0 {
            warm.add(early, 0.0);
            warm.advance(env, slot.last.max(begin).min(env.minute));
            warm.add(recent - early, 0.0);
        }
        let index = match self.free.pop() {
            Some(index) => index,
            None => {
                self.warm.push(None);
                self.warm.len() as u32 - 1
            }
        };
        slot.warm = index;
        self.warm[index as usize] = Some(warm);
    }

    /// Opens an insight, or goes on with one.
    fn judged(
        open: &mut Vec<u32>,
        index: u32,
        warm: &mut Warm,
        env: &Env<'_>,
        test: Test,
        hit: Hit,
        out: &mut Vec<Change>,
    ) {
        let theta = env.settings.threshold as f32;
        if hit.rarity < theta || warm.open[test as usize].is_some() {
            return;
        }
        let window = env.settings.windows[hit.window as usize];
        let length = Windows::length(window, env.minute);
        let more = (hit.observed - hit.expected) / 2.0 / length as f32;
        let rate = hit.expected / length as f32;
        let season = |from: u32, to: u32| warm.season.between(from, to, warm.phase.as_deref());
        let even = |from: u32, to: u32| rate * (to - from) as f32;
        let up = Line { part: 1.0, more };
        let down = Line {
            part: (1.0 + hit.observed / hit.expected.max(1e-6)) / 2.0,
            more: 0.0,
        };
        let (now, more, fewer) = (env.minute, Direction::More, Direction::Fewer);
        let (start, sum) = match (test, &warm.errors) {
            (Test::Up, _) => onset(&warm.windows, now, length, up, more, &season),
            (Test::Down, _) => onset(&warm.windows, now, length, down, fewer, &season),
            (Test::Errors, Some(errors)) => onset(&errors.windows, now, length, up, more, &even),
            (Test::Errors, None) => return,
        };
        let (baseline, baseline_minutes) = warm.baseline(test, start, sum);
        let opened = Open {
            start,
            detected: env.minute,
            sum,
            quiet: 0,
            baseline,
            baseline_minutes,
            hit,
        };
        if !warm.is_open() {
            open.push(index);
        }
        out.push(change(warm.id, env, test, ChangeKind::Start, &opened));
        warm.open[test as usize] = Some(Box::new(opened));
    }

    /// What happens to warm series without a row, a fifth of them each minute.
    fn turns(&mut self, env: &Env<'_>, out: &mut Vec<Change>) {
        let mut index = (env.minute % TURNS) as usize;
        while index < self.warm.len() {
            if let Some(warm) = &mut self.warm[index] {
                warm.advance(env, env.minute);
                if let Some(low) = warm.is_low(env) {
                    self.active += 1;
                    self.low += u32::from(low);
                }
                if env.settings.watch.down
                    && env.minute >= warm.first + env.settings.warm_up + DOWN_LATER
                {
                    let hit = warm.judge_down(env);
                    Self::judged(
                        &mut self.open,
                        index as u32,
                        warm,
                        env,
                        Test::Down,
                        hit,
                        out,
                    );
                }
            }
            index += TURNS as usize;
        }
        if env.minute % TURNS == TURNS - 1 {
            let low = self.low >= LOW_LEAST && self.low as f32 > LOW_PART * self.active as f32;
            if low {
                self.low_at = env.minute;
            }
            (self.active, self.low) = (0, 0);
        }
    }

    /// Goes on with open insights, and ends them.
    fn ends(&mut self, env: &Env<'_>, out: &mut Vec<Change>) {
        let mut kept = 0;
        for at in 0..self.open.len() {
            let index = self.open[at];
            let Some(Some(warm)) = self.warm.get_mut(index as usize) else {
                continue;
            };
            warm.advance(env, env.minute);
            for test in Test::ALL {
                if let Some((kind, ended)) = warm.follow(env, test) {
                    out.push(change(warm.id, env, test, kind, &ended));
                }
            }
            if warm.is_open() {
                self.open[kept] = index;
                kept += 1;
            }
        }
        self.open.truncate(kept);
    }

    fn get(&self, id: SeriesId) -> Option<(&Slot, Option<&Warm>)> {
        let slot = self.slots.get(id.0 as usize)?.as_ref()?;
        let warm = self
            .warm
            .get(slot.warm as usize)
            .and_then(|warm| warm.as_deref());
        Some((slot, warm))
    }

    /// What a rule may read of a series.
    pub fn reading(&self, id: SeriesId) -> Option<Reading> {
        let (slot, warm) = self.get(id)?;
        let now = self.minute.unwrap_or(slot.last);
        let Some(warm) = warm else {
            let warming = now < slot.first.saturating_add(self.settings.warm_up);
            let state = if warming {
                SeriesState::Warming
            } else {
                SeriesState::Quiet
            };
            let minutes = now.saturating_sub(slot.first).clamp(1, 10_080);
            return Some(Reading {
                state,
                score: 0.0,
                rarity: 0.0,
                test: Test::Up,
                window_minutes: 0,
                observed: 0.0,
                expected: 0.0,
                baseline_average: f64::from(slot.calls) / f64::from(minutes),
            });
        };
        let env = self.env(&self.settings, warm.minute, Coverage::Delivered);
        Some(warm.read(&env, now))
    }

    /// What is expected of one minute, near the present.
    pub fn expectation(&self, id: SeriesId, minute: Minute) -> Option<Band> {
        let (slot, warm) = self.get(id)?;
        Some(match warm {
            Some(warm) => warm.band(minute.0),
            None => {
                let age = minute.0.saturating_sub(slot.first).max(1440);
                let expected = (f64::from(slot.calls) + 0.3) / f64::from(age);
                Band {
                    expected,
                    low: 0.0,
                    high: 1.0,
                }
            }
        })
    }

    /// Memory that is held, in bytes.
    pub fn bytes(&self) -> usize {
        let warm = self
            .warm
            .iter()
            .flatten()
            .map(|warm| warm.bytes())
            .sum::<usize>();
        size_of::<Self>()
            + self.slots.capacity() * size_of::<Option<Slot>>()
            + self.warm.capacity() * size_of::<Option<Box<Warm>>>()
            + (self.free.capacity() + self.open.capacity()) * size_of::<u32>()
            + warm
    }
}

/// The longest window of at most an hour, and one of at least three hours.
fn reference(settings: &Settings) -> Option<(usize, usize)> {
    let long = settings.windows.iter().position(|window| *window >= 180)?;
    let short = settings.windows.iter().rposition(|window| *window <= 60)?;
    Some((short, long))
}

/// log10 of the windows of a day.
fn settings_places(settings: &Settings) -> [f32; WINDOWS_MAX] {
    let mut places = [0.0; WINDOWS_MAX];
    for (window, place) in settings.windows.iter().zip(&mut places) {
        *place = f32::log10(1440.0 / *window as f32);
    }
    places
}

fn change(id: u32, env: &Env<'_>, test: Test, kind: ChangeKind, open: &Open) -> Change {
    let duration = (env.minute + 1)
        .saturating_sub(open.start + open.quiet)
        .max(1);
    let windows = env.settings.windows.iter().zip(open.hit.all);
    let theta = env.settings.threshold as f32;
    Change {
        series: SeriesId(id),
        minute: Minute(env.minute),
        kind,
        test,
        window_minutes: env.settings.windows[open.hit.window as usize],
        start: Minute(open.start),
        duration_minutes: duration,
        insight_average: f64::from(open.sum) / f64::from(duration),
        baseline_average: open.baseline,
        baseline_duration_minutes: open.baseline_minutes,
        observed: f64::from(open.hit.observed),
        expected: f64::from(open.hit.expected),
        probability: f64::powf(10.0, -f64::from(open.hit.score)),
        score: f64::from(open.hit.rarity),
        windows: windows
            .filter(|(_, rarity)| *rarity >= theta)
            .map(|(window, rarity)| (*window, rarity))
            .collect(),
    }
}
