//! When things happen: hours of the day and days of the week, in UTC.
//!
//! Office services follow working hours and rest at weekends, night services run their batches from
//! midnight to five, steady ones breathe a little. Timestamps come from the running sum of all that, so
//! events are in order by construction, however many there are.

use jiff::{SignedDuration, Timestamp};

/// How a service's use goes with the hours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rhythm {
    Steady,
    Office,
    Night,
}

pub(super) const HOURS_PER_WEEK: usize = 168;

impl Rhythm {
    pub(super) fn from_name(name: &str) -> Option<Self> {
        match name {
            "steady" => Some(Self::Steady),
            "office" => Some(Self::Office),
            "night" => Some(Self::Night),
            _ => None,
        }
    }

    /// The share of its peak, in per cent. Hour 0 is Monday 00:00 UTC.
    pub(super) fn level(self, hour_of_week: usize) -> u64 {
        let hour = hour_of_week % 24;
        let weekend = hour_of_week >= 120;
        match self {
            Self::Steady => 55 + daylight(hour) * if weekend { 15 } else { 45 } / 100,
            Self::Office if weekend => 6 + daylight(hour) / 10,
            Self::Office => 8 + daylight(hour) * 92 / 100,
            Self::Night if hour < 5 => 100,
            Self::Night => 18 + daylight(hour) / 8,
        }
    }
}

/// How much of the people is at work, in per cent.
pub(super) fn daylight(hour: usize) -> u64 {
    const LEVEL: [u64; 24] = [
        4, 3, 2, 2, 4, 10, 30, 62, 90, 100, 98, 92, 80, 88, 96, 94, 86, 70, 48, 32, 22, 15, 10, 6,
    ];
    LEVEL[hour % 24]
}

/// The hour of the week, 0 is Monday 00:00 UTC.
pub(super) fn hour_of_week(time: Timestamp) -> usize {
    // 1970-01-01 was a Thursday, three days after a Monday.
    let hours = time.as_second().div_euclid(3600) + 72;
    usize::try_from(hours.rem_euclid(168)).unwrap_or(0)
}

/// Spreads events over a span of whole hours.
#[derive(Debug, Clone)]
pub(super) struct Timeline {
    start: Timestamp,
    /// Running sums of the hours' weights.
    sums: Vec<u64>,
    cursor: usize,
}

impl Timeline {
    pub(super) fn new(start: Timestamp, hours: u32, level: impl Fn(usize) -> u64) -> Self {
        let first = hour_of_week(start);
        let mut sum = 0;
        let sums = (0..hours as usize).map(|hour| {
            sum += level((first + hour) % HOURS_PER_WEEK).max(1);
            sum
        });
        Self {
            start,
            sums: sums.collect(),
            cursor: 0,
        }
    }

    /// The time at a share of all that happens, `part / whole`. Parts must not fall from call to call.
    pub(super) fn at(&mut self, part: u64, whole: u64) -> Timestamp {
        let total = self.sums.last().copied().unwrap_or(1);
        let exact = u128::from(part) * u128::from(total) * 3600 / u128::from(whole.max(1));
        let reached = u64::try_from(exact / 3600).unwrap_or(u64::MAX);
        while self.cursor + 1 < self.sums.len() && self.sums[self.cursor] <= reached {
            self.cursor += 1;
        }
        let before = if self.cursor == 0 {
            0
        } else {
            self.sums[self.cursor - 1]
        };
        let width = self.sums[self.cursor].saturating_sub(before).max(1);
        let within = exact.saturating_sub(u128::from(before) * 3600) / u128::from(width);
        let seconds = self.cursor as i64 * 3600 + i64::try_from(within).unwrap_or(0).min(3599);
        self.start
            .checked_add(SignedDuration::from_secs(seconds))
            .unwrap_or(self.start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_week_starts_on_monday() {
        let check = |time: &str, expected: usize| {
            assert_eq!(
                hour_of_week(time.parse().expect("a time")),
                expected,
                "{time}"
            );
        };
        check("2026-01-05T00:00:00Z", 0);
        check("2026-01-05T13:59:59Z", 13);
        check("2026-01-11T23:00:00Z", 167);
    }

    #[test]
    fn times_rise_and_follow_the_levels() {
        let start: Timestamp = "2026-01-05T00:00:00Z".parse().expect("a time");
        let level = |hour: usize| if hour == 1 { 90 } else { 10 };
        let mut timeline = Timeline::new(start, 2, level);
        let times: Vec<i64> = (0..100)
            .map(|part| timeline.at(part, 100).as_second() - start.as_second())
            .collect();
        assert!(times.is_sorted());
        assert_eq!(times.iter().filter(|time| **time < 3600).count(), 10);
        assert!(*times.last().expect("not empty") < 7200);
    }

    #[test]
    fn offices_are_empty_at_night_and_at_weekends() {
        assert!(Rhythm::Office.level(9) > 5 * Rhythm::Office.level(3));
        assert!(Rhythm::Office.level(9) > 5 * Rhythm::Office.level(129));
        assert!(Rhythm::Night.level(2) > 3 * Rhythm::Night.level(12));
    }
}
