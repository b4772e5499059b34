//! Places in a log as people give them: `first`, `new`, the number of a record, or a time.

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

/// Where something begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// The oldest record that there is.
    First,
    /// What comes from now on.
    New,
    /// The record of this number.
    Record(u64),
    /// The first record that was taken at or after this time.
    Time(Timestamp),
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(number @ 1..) = text.parse() {
            return Ok(Self::Record(number));
        }
        match text {
            "first" => Ok(Self::First),
            "new" => Ok(Self::New),
            time => time.parse().map(Self::Time).map_err(|_| {
                format!(
                    "`{}` is no place in a log; give first, new, the number of a record from 1, or a time such as 2026-01-02T15:04:05Z",
                    text.escape_debug()
                )
            }),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::First => f.write_str("first"),
            Self::New => f.write_str("new"),
            Self::Record(number) => number.fmt(f),
            Self::Time(time) => time.fmt(f),
        }
    }
}

impl<'de> Deserialize<'de> for Place {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Given {
            Number(u64),
            Text(String),
        }
        let text = match Given::deserialize(from)? {
            Given::Number(number) => number.to_string(),
            Given::Text(text) => text,
        };
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl Serialize for Place {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.to_string().serialize(to)
    }
}
