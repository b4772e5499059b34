//! Lengths of time and moments of events, both in whole microseconds.
//!
//! Event times need not fit what jiff can hold, and windows are compared billions of times, so both are plain
//! integers. Finer than a microsecond no audit source is; what is, is rounded down.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A length of time, in microseconds.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Period(i64);

const SECOND: i64 = 1_000_000;

/// Units, longest first, with their lengths in seconds.
const UNITS: [(&str, i64); 5] = [
    ("w", 7 * 86_400),
    ("d", 86_400),
    ("h", 3_600),
    ("m", 60),
    ("s", 1),
];

impl Period {
    /// No time at all.
    pub const ZERO: Self = Self(0);
    /// Longer than anything.
    pub const FOREVER: Self = Self(i64::MAX / 4);

    /// So many seconds.
    pub const fn from_seconds(seconds: i64) -> Self {
        Self(seconds * SECOND)
    }

    /// So many milliseconds.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis * (SECOND / 1000))
    }

    /// So many days.
    pub const fn from_days(days: i64) -> Self {
        Self::from_seconds(days * 86_400)
    }

    /// In microseconds.
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// In seconds.
    pub fn seconds(self) -> f64 {
        self.0 as f64 / SECOND as f64
    }

    /// Reads `90s`, `1h30m`, `2w`: whole numbers with units, longest unit first, each at most once.
    pub fn parse(text: &str) -> Option<Self> {
        let (mut rest, mut total, mut units) = (text, 0i64, &UNITS[..]);
        while !rest.is_empty() {
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            let number: i64 = rest[..digits].parse().ok()?;
            rest = &rest[digits..];
            let at = units.iter().position(|(unit, _)| rest.starts_with(unit))?;
            total = number.checked_mul(units[at].1)?.checked_add(total)?;
            rest = &rest[units[at].0.len()..];
            units = &units[at + 1..];
        }
        let known = !text.is_empty();
        Some(Self(total.checked_mul(SECOND)?)).filter(|_| known)
    }
}

/// As it is written: `1h30m`.
impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut seconds = self.0 / SECOND;
        if seconds == 0 {
            return f.write_str("0s");
        }
        for (unit, length) in UNITS.iter().skip(1) {
            if seconds / length > 0 {
                write!(f, "{}{unit}", seconds / length)?;
            }
            seconds %= length;
        }
        Ok(())
    }
}

/// When an event happened, in microseconds after 1970.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct EventTime(i64);

impl EventTime {
    /// Before every event.
    pub const MIN: Self = Self(i64::MIN / 4);
    /// After every event.
    pub const MAX: Self = Self(i64::MAX / 4);

    /// So many microseconds after 1970.
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// Microseconds after 1970.
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// So much later.
    pub fn plus(self, period: Period) -> Self {
        Self(self.0.saturating_add(period.0))
    }

    /// So much earlier.
    pub fn minus(self, period: Period) -> Self {
        Self(self.0.saturating_sub(period.0))
    }

    /// The last moment before.
    pub fn just_before(self) -> Self {
        Self(self.0.saturating_sub(1))
    }

    /// The time from `earlier` to here; nothing when that is later.
    pub fn since(self, earlier: Self) -> Period {
        Period(self.0.saturating_sub(earlier.0).max(0))
    }

    /// As a timestamp, within what jiff can hold.
    pub fn to_timestamp(self) -> Timestamp {
        Timestamp::from_microsecond(self.0).unwrap_or(if self.0 < 0 {
            Timestamp::MIN
        } else {
            Timestamp::MAX
        })
    }
}

impl From<Timestamp> for EventTime {
    fn from(time: Timestamp) -> Self {
        Self(time.as_microsecond())
    }
}

impl fmt::Display for EventTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_timestamp().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::Period;

    #[test]
    fn periods_are_read_and_written() {
        for (text, seconds) in [
            ("90s", 90),
            ("1h30m", 5_400),
            ("2w", 1_209_600),
            ("30d", 2_592_000),
            ("0s", 0),
            ("1w1d1h1m1s", 694_861),
        ] {
            let period = Period::parse(text).expect(text);
            assert_eq!(period, Period::from_seconds(seconds), "{text}");
            assert_eq!(Period::parse(&period.to_string()), Some(period), "{text}");
        }
        for text in [
            "",
            "5",
            "m",
            "5x",
            "1m1h",
            "1h1h",
            "-5m",
            "1.5h",
            "5 m",
            "99999999999999999999s",
            "9223372036854775807w",
            "٣s",
        ] {
            assert_eq!(Period::parse(text), None, "{text}");
        }
    }
}
