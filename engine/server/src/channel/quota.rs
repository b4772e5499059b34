//! How much a channel may push: events and bytes a second with a burst, and events a day.
//!
//! A bucket may be overdrawn by the request that empties it, so that a batch larger than the burst is not refused for ever, and
//! while it is overdrawn whatever comes is refused before its body is read. Rates hold over any time longer than that. Reads no
//! clock.

use super::file::LimitsFile;
use std::sync::{Mutex, PoisonError};
use tripline_core::rule::kind::EventTime;

const DAY_MICROS: i64 = 86_400_000_000;

/// Why not now, and when to come again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Exceeded {
    pub(crate) what: &'static str,
    pub(crate) retry_seconds: u32,
}

/// What was used.
#[derive(Debug, Default)]
pub(crate) struct Quota {
    now: Mutex<Used>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Used {
    events: Bucket,
    bytes: Bucket,
    /// The day, in days after 1970, and its events.
    day: i64,
    day_events: u64,
}

/// What may still be taken; nothing was taken before its first use.
#[derive(Clone, Copy, Debug, Default)]
struct Bucket {
    seen: Option<EventTime>,
    left: f64,
    /// What it was filled by; when that is changed, it begins anew.
    by: (u64, u64),
}

impl Bucket {
    fn fill(&mut self, rate: u64, burst_seconds: u64, now: EventTime) {
        let most = rate as f64 * burst_seconds as f64;
        if self.by != (rate, burst_seconds) {
            self.seen = None;
            self.by = (rate, burst_seconds);
        }
        self.left = match self.seen {
            None => most,
            Some(seen) => {
                let seconds = now.since(seen).micros() as f64 / 1e6;
                (self.left + seconds * rate as f64).min(most)
            }
        };
        self.seen = Some(now);
    }

    /// Takes some; where there is no limit nothing is owed later either.
    fn take(&mut self, amount: u64) {
        if self.by.0 > 0 {
            self.left -= amount as f64;
        }
    }

    fn wait_seconds(&self, rate: u64) -> Option<u32> {
        if self.left > 0.0 {
            return None;
        }
        let seconds = (1.0 - self.left) / rate as f64;
        Some(seconds.ceil().clamp(1.0, 86_400.0) as u32)
    }
}

impl Quota {
    /// Whether anything may come now.
    pub(crate) fn check(&self, limits: &LimitsFile, now: EventTime) -> Result<(), Exceeded> {
        let mut used = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        used.check(limits, now)
    }

    /// Counts what came, unless others used the quota up.
    pub(crate) fn try_take(
        &self,
        limits: &LimitsFile,
        (events, bytes): (u64, u64),
        now: EventTime,
    ) -> Result<(), Exceeded> {
        let mut used = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        used.check(limits, now)?;
        used.take((events, bytes));
        Ok(())
    }

    /// Counts what came.
    pub(crate) fn take(&self, limits: &LimitsFile, (events, bytes): (u64, u64), now: EventTime) {
        let mut used = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        used.fill(limits, now);
        used.take((events, bytes));
    }

    /// Events of the day so far.
    pub(crate) fn today(&self, now: EventTime) -> u64 {
        let used = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        match used.day == day(now) {
            true => used.day_events,
            false => 0,
        }
    }

    /// Goes on with the events of a day, as they were known before a restart.
    pub(crate) fn resume(&self, day: i64, events: u64) {
        let mut used = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        (used.day, used.day_events) = (day, events);
    }
}

impl Used {
    fn check(&mut self, limits: &LimitsFile, now: EventTime) -> Result<(), Exceeded> {
        self.fill(limits, now);
        let rates = [
            ("events_per_second", limits.events_per_second, self.events),
            ("kib_per_second", limits.kib_per_second * 1024, self.bytes),
        ];
        for (what, rate, bucket) in rates {
            if rate > 0
                && let Some(retry_seconds) = bucket.wait_seconds(rate)
            {
                return Err(Exceeded {
                    what,
                    retry_seconds,
                });
            }
        }
        if limits.events_per_day > 0 && self.day_events >= limits.events_per_day {
            let left = DAY_MICROS - now.micros().rem_euclid(DAY_MICROS);
            let retry_seconds = u32::try_from(left / 1_000_000 + 1).unwrap_or(u32::MAX);
            return Err(Exceeded {
                what: "events_per_day",
                retry_seconds,
            });
        }
        Ok(())
    }

    fn take(&mut self, (events, bytes): (u64, u64)) {
        self.events.take(events);
        self.bytes.take(bytes);
        self.day_events += events;
    }

    fn fill(&mut self, limits: &LimitsFile, now: EventTime) {
        self.events
            .fill(limits.events_per_second, limits.burst_seconds, now);
        self.bytes
            .fill(limits.kib_per_second * 1024, limits.burst_seconds, now);
        if self.day != day(now) {
            (self.day, self.day_events) = (day(now), 0);
        }
    }
}

/// The day of a time, in days after 1970, UTC.
pub(crate) fn day(time: EventTime) -> i64 {
    time.micros().div_euclid(DAY_MICROS)
}

#[cfg(test)]
mod tests {
    use super::{Exceeded, LimitsFile, Quota};
    use tripline_core::rule::kind::{EventTime, Period};

    fn after(start: EventTime, millis: i64) -> EventTime {
        start.plus(Period::from_millis(millis))
    }

    fn limits() -> LimitsFile {
        LimitsFile {
            events_per_second: 10,
            burst_seconds: 2,
            ..LimitsFile::default()
        }
    }

    #[test]
    fn rates_hold_and_bursts_are_taken() {
        let (limits, quota) = (limits(), Quota::default());
        let start = EventTime::from_micros(1_767_225_600_000_000);
        let mut taken = 0;
        for millis in (0..100_000).step_by(100) {
            let now = after(start, millis);
            if quota.check(&limits, now).is_ok() {
                quota.take(&limits, (5, 0), now);
                taken += 5;
            }
        }
        // Ten a second for 100 seconds, and the burst.
        assert!((1_015..=1_025).contains(&taken), "{taken}");
    }

    #[test]
    fn what_is_larger_than_the_burst_is_taken_and_paid_for() {
        let (limits, quota) = (limits(), Quota::default());
        let start = EventTime::from_micros(1_767_225_600_000_000);
        assert_eq!(quota.check(&limits, start), Ok(()));
        quota.take(&limits, (120, 0), start);
        let expected = Exceeded {
            what: "events_per_second",
            retry_seconds: 11,
        };
        assert_eq!(quota.check(&limits, start), Err(expected));
        assert!(quota.check(&limits, after(start, 9_900)).is_err());
        assert_eq!(quota.check(&limits, after(start, 11_000)), Ok(()));
    }

    #[test]
    fn a_limit_that_is_set_later_begins_then() {
        let (limits, quota) = (limits(), Quota::default());
        let start = EventTime::from_micros(1_767_225_600_000_000);
        quota.take(&LimitsFile::default(), (9_000, 1 << 30), start);
        assert_eq!(quota.check(&limits, start), Ok(()));
        assert_eq!(quota.try_take(&limits, (30, 0), start), Ok(()));
        assert!(quota.try_take(&limits, (1, 0), start).is_err());
    }

    #[test]
    fn days_end_at_midnight() {
        let limits = LimitsFile {
            events_per_day: 100,
            ..LimitsFile::default()
        };
        let quota = Quota::default();
        let evening = EventTime::from_micros(1_767_225_600_000_000 - 60_000_000);
        quota.take(&limits, (100, 0), evening);
        assert_eq!(
            quota.check(&limits, evening),
            Err(Exceeded {
                what: "events_per_day",
                retry_seconds: 61
            })
        );
        assert_eq!(quota.today(evening), 100);
        assert_eq!(quota.check(&limits, after(evening, 60_000)), Ok(()));
        assert_eq!(quota.today(after(evening, 60_000)), 0);
    }
}
