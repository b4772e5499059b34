//! Seconds and days of events, and which of them still count.
//!
//! Seconds are counted from 2000 on in 32 bits, which reach the year 2136; what is earlier or later counts as the
//! nearest end, as in the memory of first-seen rules. A day is the generation by which things are forgotten: what
//! was last seen on a day before the oldest that counts is as if it had never been.

/// 2000-01-01, in seconds after 1970.
pub(super) const EPOCH_SECONDS: i64 = 946_684_800;
pub(super) const DAY_SECONDS: u32 = 86_400;

/// When a sight is, and what counts then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Moment {
    /// Second of the sight.
    pub(super) second: u32,
    /// Second of the latest sight so far, this one too.
    pub(super) clock: u32,
    /// The oldest day that counts.
    pub(super) oldest: u32,
}

impl Moment {
    pub(super) fn new(time_seconds: i64, clock: u32, history_days: u16) -> Self {
        let second = second_of(time_seconds);
        let clock = clock.max(second);
        Self {
            second,
            clock,
            oldest: day_of(clock).saturating_sub(u32::from(history_days)),
        }
    }

    /// Day of the sight.
    pub(super) fn day(&self) -> u32 {
        day_of(self.second)
    }

    /// Whether what was last seen at a second still counts.
    pub(super) fn counts(&self, last: u32) -> bool {
        day_of(last) >= self.oldest
    }

    /// Whether something that was given up, last seen at a second (or never), would still count.
    pub(super) fn lost(&self, last: u32) -> bool {
        last != 0 && self.counts(last)
    }
}

pub(super) fn second_of(time_seconds: i64) -> u32 {
    let seconds = time_seconds.saturating_sub(EPOCH_SECONDS);
    u32::try_from(seconds.max(0)).unwrap_or(u32::MAX)
}

pub(super) fn time_of(second: u32) -> i64 {
    i64::from(second) + EPOCH_SECONDS
}

pub(super) fn day_of(second: u32) -> u32 {
    second / DAY_SECONDS
}

/// Whether so many days lie between two seconds.
pub(super) fn days_between(from: u32, to: u32, days: u16) -> bool {
    to.saturating_sub(from) >= u32::from(days).saturating_mul(DAY_SECONDS)
}
