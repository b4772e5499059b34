//! Lengths of time as people write them: `500ms`, `10s`, `15m`, `4h`, `7d`.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A length of time in microseconds, not negative.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Period(pub i64);

const UNITS: [(&str, i64); 5] = [
    ("ms", 1_000),
    ("s", 1_000_000),
    ("m", 60_000_000),
    ("h", 3_600_000_000),
    ("d", 86_400_000_000),
];

/// No period is longer: ten years.
const MAX: i64 = 3_650 * 86_400_000_000;

impl Period {
    /// So many seconds.
    pub const fn seconds(seconds: i64) -> Self {
        Self(seconds * 1_000_000)
    }

    /// Reads it; what is wrong when it cannot be read.
    pub fn parse(text: &str) -> Result<Self, String> {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        let scale = UNITS.iter().find(|(name, _)| *name == unit);
        let parsed = number.parse::<i64>().ok().zip(scale);
        let length = parsed.and_then(|(number, (_, scale))| number.checked_mul(*scale));
        match length {
            Some(length) if length <= MAX => Ok(Self(length)),
            _ => Err(format!(
                "`{text}` is not a length of time; write a whole number with ms, s, m, h or d, as in `15m`, at most 3650d"
            )),
        }
    }
}

impl std::fmt::Display for Period {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let fits = UNITS.iter().rev().find(|(_, scale)| self.0 % scale == 0);
        match fits {
            Some((name, scale)) if self.0 > 0 => write!(to, "{}{name}", self.0 / scale),
            _ => write!(to, "{}ms", self.0 / 1_000),
        }
    }
}

impl Serialize for Period {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&self.to_string())
    }
}

impl<'de> Deserialize<'de> for Period {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn periods_are_read_and_written_alike() {
        for text in ["500ms", "10s", "90s", "15m", "4h", "7d", "0ms"] {
            let period = Period::parse(text).expect("is a period");
            assert_eq!(Period::parse(&period.to_string()), Ok(period), "{text}");
        }
        assert_eq!(Period::parse("90s").expect("is one").to_string(), "90s");
        assert_eq!(Period::parse("60s").expect("is one").to_string(), "1m");
        for text in ["", "m", "5", "-5m", "5 m", "5w", "99999999d", "1.5h"] {
            assert!(Period::parse(text).is_err(), "{text}");
        }
    }
}
