//! What is expected of a series at a time of the week.
//!
//! Half hours of the week, each shrunk towards what its part of the day and the whole series show, so that three weeks of
//! few calls suffice and no calendar, time zone or kind of day needs to be declared. Over it lies a level that follows
//! in a day and a half. Bins are learned as they were counted: divided by the level, they and it would drift apart. When a half hour looks much more like the quietest day of the
//! week than like its own, it is a holiday of this series: nothing is learned from it but that, because the day after
//! would look unusual otherwise. Must never divide by what may be zero. A table of 96 half hours for two kinds of
//! days takes less memory and needs to know when Sunday begins where the callers live.

use super::half::Half;
use super::phase::Phase;
use super::spread::Spread;

/// Half hours of a week, and of a day.
pub(super) const WEEK: usize = 336;
const DAY: usize = 48;
pub(super) const BIN_MINUTES: u32 = 30;
/// Half hours of the past whose expectation is kept: enough for windows of eight hours.
const PAST: usize = 17;
/// What a week before counts against this one.
const WEEK_KEPT: f32 = 0.8;
/// Half-life of the level: 36 hours, per half hour.
const LEVEL_KEPT: f32 = 0.990_42;
/// Events of prior belief in the level, in a half hour of the day, in a bin, in a part of a day.
const LEVEL_PRIOR: f32 = 8.0;
const HOUR_PRIOR: f32 = 3.0;
const BIN_PRIOR: f32 = 6.0;
const PART_PRIOR: f32 = 4.0;
const ALL_PRIOR: f32 = 0.3;
/// Half hours of a part of a day.
const PART: usize = 6;

/// From here on it is a holiday, and no surer than that.
const HOLIDAY: f32 = 1.5;
const HOLIDAY_MAX: f32 = 5.0;

/// A half hour teaches no more than so many times what was expected and so many deviations.
const LEARN_TIMES: f32 = 2.0;
const LEARN_DEVIATIONS: f32 = 6.0;
/// Weeks, weighted, of which a half hour of the week learns even when it is unusual: the first weekend is.
const TIMES_LEAST: f32 = 1.9;
/// Half hours of silence of everything that still count as a past: two weeks.
const SKIP_MAX: u32 = 2 * WEEK as u32;

/// What may be learned of a half hour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Learn {
    All,
    /// It was unusual.
    Nothing,
}

/// The learned expectation of one series.
#[derive(Clone, Debug, PartialEq)]
#[repr(C)]
pub(super) struct Season {
    /// The half hour that is not over.
    pub(super) current: f32,
    /// Level: observed and expected, decayed.
    pub(super) observed: f32,
    pub(super) expected: f32,
    /// How much the last half hours look like a holiday: a log likelihood ratio within bounds.
    pub(super) holiday: f32,
    /// First and present half hour since the epoch.
    pub(super) born: u32,
    pub(super) now: u32,
    /// Sum of all bins.
    pub(super) total: f32,
    /// Whether hours are taken for even, because a phase says what they are like.
    pub(super) sharp: bool,
    /// Expected rate per minute at the edges of the last half hours, and its integral up to them.
    pub(super) edges: [f32; PAST + 1],
    pub(super) sums: [f32; PAST + 1],
    /// Rates of the half hours before, now, next and after, and of the quietest day now, next and after.
    pub(super) rates: [f32; 4],
    pub(super) quiets: [f32; 3],
    pub(super) bins: [Half; WEEK],
}

impl Season {
    pub(super) fn new(minute: u32, past_minutes: u32) -> Self {
        let now = minute / BIN_MINUTES;
        let born = now.saturating_sub(past_minutes / BIN_MINUTES);
        let mut season = Self {
            bins: [Half(0); WEEK],
            total: 0.0,
            observed: 0.0,
            expected: 0.0,
            holiday: 0.0,
            current: 0.0,
            born,
            now,
            edges: [0.0; PAST + 1],
            sums: [0.0; PAST + 1],
            rates: [0.0; 4],
            quiets: [0.0; 3],
            sharp: false,
        };
        season.refresh_all();
        season
    }

    /// The level now, against what the bins say.
    pub(super) fn level(&self) -> f32 {
        (self.observed + LEVEL_PRIOR) / (self.expected + LEVEL_PRIOR)
    }

    /// How often each bin was seen.
    fn seen(&self) -> Seen {
        let age = self.now.saturating_sub(self.born);
        let full = age / WEEK as u32;
        let (less, more) = (weeks(full), weeks(full + 1));
        Seen {
            born: self.born as usize % WEEK,
            rest: age as usize % WEEK,
            less: BIN_MINUTES as f32 * less,
            more: BIN_MINUTES as f32 * more,
        }
    }

    /// Mean rate over the whole week.
    pub(super) fn mean(&self) -> f32 {
        self.mean_of(&self.seen())
    }

    fn mean_of(&self, seen: &Seen) -> f32 {
        let minutes = WEEK as f32 * seen.less + seen.rest as f32 * (seen.more - seen.less);
        (self.total + ALL_PRIOR) / minutes.max(BIN_MINUTES as f32)
    }

    /// Rate of a bin after shrinkage, and the rate of the quietest day at that time.
    fn rate(&self, bin: usize, seen: &Seen) -> (f32, f32) {
        let hour = bin % DAY;
        let part = hour / PART * PART;
        let day = bin / DAY;
        let (mut all, mut all_minutes, mut sum, mut sum_minutes) = (0.0, 0.0, 0.0, 0.0);
        let mut daily = [(0.0, 0.0); 7];
        for (other, (calls, minutes)) in daily.iter_mut().enumerate() {
            all += self.bins[other * DAY + hour].get();
            all_minutes += seen.minutes(other * DAY + hour);
            for bin in other * DAY + part..other * DAY + part + PART {
                *calls += self.bins[bin].get();
                *minutes += seen.minutes(bin);
            }
            sum += *calls;
            sum_minutes += *minutes;
        }
        let hourly = (all + HOUR_PRIOR) / (all_minutes + HOUR_PRIOR / self.mean_of(seen));
        let average = sum / sum_minutes.max(1.0);
        let factor =
            |(calls, minutes): (f32, f32)| (calls + PART_PRIOR) / (average * minutes + PART_PRIOR);
        let quiet = daily
            .iter()
            .map(|day| factor(*day))
            .fold(f32::INFINITY, f32::min);
        let prior = hourly * factor(daily[day]);
        let rate = (self.bins[bin].get() + BIN_PRIOR) / (seen.minutes(bin) + BIN_PRIOR / prior);
        (rate, hourly * quiet)
    }

    /// Computes what is expected around the present half hour anew: the half hour after the next is new, the three before
    /// it were computed when it was their turn.
    fn refresh(&mut self) {
        let seen = self.seen();
        let present = self.now as usize % WEEK;
        self.rates.copy_within(1.., 0);
        self.quiets.copy_within(1.., 0);
        (self.rates[3], self.quiets[2]) = self.rate((present + 2) % WEEK, &seen);
        let rates = self.rates;
        self.edges.copy_within(1.., 0);
        let last = self.sums[1];
        self.sums.copy_within(1.., 0);
        for sum in &mut self.sums {
            *sum -= last;
        }
        // The edge between two half hours, over kernels of 1/4, 1/2, 1/4 around each of both.
        self.edges[PAST] = 0.125 * (rates[0] + rates[3]) + 0.375 * (rates[1] + rates[2]);
        if self.sharp {
            let first = present.is_multiple_of(2);
            let hour = if first {
                rates[1] + rates[2]
            } else {
                rates[0] + rates[1]
            } / 2.0;
            self.edges[PAST - 1] = hour;
            self.edges[PAST] = hour;
        }
        let mass = (self.edges[PAST - 1] + self.edges[PAST]) / 2.0 * BIN_MINUTES as f32;
        self.sums[PAST] = self.sums[PAST - 1] + mass;
    }

    /// Computes all of it anew.
    pub(super) fn refresh_all(&mut self) {
        let now = self.now;
        for back in (0..=PAST as u32 + 4).rev() {
            self.now = now.saturating_sub(back);
            self.refresh();
        }
        self.now = now;
    }

    /// The integral of the expected rate up to a place, in minutes since the first edge; before the level.
    fn integral(&self, at: f32) -> f32 {
        // The share of a phase may lie in the next half hour, which is then like this one.
        let last = if self.sharp { PAST + 1 } else { PAST };
        let at = at.clamp(0.0, (last as u32 * BIN_MINUTES) as f32);
        let bin = ((at / BIN_MINUTES as f32) as usize).min(PAST - 1);
        let within = at - (bin as u32 * BIN_MINUTES) as f32;
        if self.sharp {
            return self.sums[bin]
                + (self.sums[bin + 1] - self.sums[bin]) / BIN_MINUTES as f32 * within;
        }
        let slope = (self.edges[bin + 1] - self.edges[bin]) / (2 * BIN_MINUTES) as f32;
        self.sums[bin] + within * (self.edges[bin] + slope * within)
    }

    /// Where a minute lies after the first edge; with a phase, where its share of the hour puts it.
    fn place(&self, minute: u32, phase: Option<&Phase>) -> f32 {
        let base = (self.now + 1).saturating_sub(PAST as u32) * BIN_MINUTES;
        match phase {
            Some(phase) => {
                let hour = minute - minute % 60;
                hour as f32 - base as f32 + phase.share(minute % 60)
            }
            None => minute.saturating_sub(base) as f32,
        }
    }

    /// What is expected from the start of one minute to that of another, at the present level.
    pub(super) fn between(&self, from: u32, to: u32, phase: Option<&Phase>) -> f32 {
        let until = self.integral(self.place(to, phase));
        (until - self.integral(self.place(from, phase))).max(0.0) * self.level()
    }

    /// What is expected of windows of those lengths that end with a minute.
    pub(super) fn means(
        &self,
        lengths: &[u32],
        minute: u32,
        phase: Option<&Phase>,
        out: &mut [f32],
    ) {
        let (level, until) = (self.level(), self.integral(self.place(minute + 1, phase)));
        for (length, out) in lengths.iter().zip(out) {
            let from = (minute + 1).saturating_sub(*length);
            *out = (until - self.integral(self.place(from, phase))).max(0.0) * level;
        }
    }

    /// What is expected of the last hours up to the end of this half hour.
    pub(super) fn recent(&self) -> f32 {
        self.sums[PAST] * self.level()
    }

    /// The expected rate now and on average, both before the level.
    pub(super) fn pace(&self) -> (f32, f32) {
        (
            (self.sums[PAST] - self.sums[PAST - 1]) / BIN_MINUTES as f32,
            self.mean(),
        )
    }

    /// The present half hour is over. `delivered` is the part of it of which there are records; nothing is learned of a
    /// half hour that is `Learn::Nothing`.
    pub(super) fn close(
        &mut self,
        delivered: f32,
        learn: Learn,
        phase: Option<&Phase>,
        spread: &Spread,
    ) {
        let bin = self.now as usize % WEEK;
        let level = self.level();
        let begin = self.now * BIN_MINUTES;
        let expected = self.between(begin, begin + BIN_MINUTES, phase);
        let usual = expected / level;
        let deviation = f32::sqrt(spread.variance(expected));
        let observed = self.current + (1.0 - delivered) * expected;
        self.current = 0.0;
        let quiet = (self.quiets[0] * BIN_MINUTES as f32).min(usual);
        let times = self.seen().minutes(bin) / BIN_MINUTES as f32;
        let delivered = delivered > 0.1;
        // A half hour that was not seen before has nothing to measure a level against.
        if learn == Learn::All && delivered && times > 0.5 {
            self.compare(observed, expected, quiet * level);
            if self.holiday <= HOLIDAY {
                let most = 3.0 * expected + 5.0 * f32::sqrt(expected + 1.0);
                let bounded = observed.clamp(0.3 * expected, most);
                self.observed = self.observed * LEVEL_KEPT + bounded;
                self.expected = self.expected * LEVEL_KEPT + usual;
            }
        }
        let usual_now = learn == Learn::Nothing || self.holiday > HOLIDAY;
        let learned = if !delivered || (usual_now && times > TIMES_LEAST) {
            expected
        } else if times < 0.5 {
            // Until then what is expected is a guess.
            observed
        } else {
            observed.min(LEARN_TIMES * expected + LEARN_DEVIATIONS * deviation + 5.0)
        };
        let before = self.bins[bin].get();
        self.bins[bin] = Half::new(WEEK_KEPT * before + learned);
        self.total += self.bins[bin].get() - before;
        self.now += 1;
        self.refresh();
    }

    /// Calls of a past of which no times are known.
    pub(super) fn spread_evenly(&mut self, calls: f32) {
        let share = calls / WEEK as f32;
        self.bins = [Half::new(share); WEEK];
        self.total = self.bins.iter().map(|bin| bin.get()).sum();
        self.refresh_all();
    }

    /// What is expected of one minute of the week.
    pub(super) fn at(&self, minute: u32, phase: Option<&Phase>) -> f32 {
        let bin = minute / BIN_MINUTES;
        if bin <= self.now && bin + PAST as u32 > self.now {
            return self.between(minute, minute + 1, phase);
        }
        self.rate(bin as usize % WEEK, &self.seen()).0 * self.level()
    }

    /// Time passed of which nothing is known but that nothing happened to any series. More than two weeks of it are an
    /// outage and do not count as a past.
    pub(super) fn skip(&mut self, minute: u32) {
        let bin = minute / BIN_MINUTES;
        let passed = bin.saturating_sub(self.now);
        if passed > SKIP_MAX {
            self.born += passed / WEEK as u32 * WEEK as u32;
        }
        self.current = 0.0;
        self.now = bin;
        self.refresh_all();
    }

    /// Whether this half hour looks like the quietest day rather than like itself.
    fn compare(&mut self, observed: f32, expected: f32, quiet: f32) {
        self.holiday *= 0.9;
        if quiet < 0.6 * expected && quiet > 0.0 {
            // Counts wander by a third, which a likelihood of Poisson would take for certainty.
            let weight = 1.0 / (1.0 + 0.1 * expected);
            let gain = observed * f32::ln(quiet / expected) + expected - quiet;
            self.holiday = (self.holiday + gain * weight).clamp(-HOLIDAY_MAX, HOLIDAY_MAX);
        }
    }

    /// What was observed is the rule from now on.
    pub(super) fn scale(&mut self, factor: f32) {
        for bin in &mut self.bins {
            *bin = Half::new(bin.get() * factor);
        }
        self.total = self.bins.iter().map(|bin| bin.get()).sum();
        let numbers = self
            .edges
            .iter_mut()
            .chain(&mut self.sums)
            .chain(&mut self.rates);
        numbers
            .chain(&mut self.quiets)
            .for_each(|number| *number *= factor);
    }
}

/// Minutes of which bins were seen, weighted by week.
struct Seen {
    born: usize,
    rest: usize,
    less: f32,
    more: f32,
}

impl Seen {
    fn minutes(&self, bin: usize) -> f32 {
        let since = if bin >= self.born {
            bin - self.born
        } else {
            bin + WEEK - self.born
        };
        if since < self.rest {
            self.more
        } else {
            self.less
        }
    }
}

/// Weight of so many weeks.
fn weeks(times: u32) -> f32 {
    const SUMS: [f32; 12] = [
        0.0, 1.0, 1.8, 2.44, 2.952, 3.361_6, 3.689_28, 3.951_424, 4.161_139, 4.328_911, 4.463_129,
        4.570_503,
    ];
    SUMS.get(times as usize).copied().unwrap_or(4.75)
}
