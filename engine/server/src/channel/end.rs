//! The time at which something ends, in the file of a channel: `2027-01-01T00:00:00Z`, as a time of TOML or as text.

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A time with its offset from UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct End(pub(crate) Timestamp);

impl<'de> Deserialize<'de> for End {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Time(toml::value::Datetime),
            Text(String),
        }
        let text = match Written::deserialize(from)? {
            Written::Time(time) => time.to_string(),
            Written::Text(text) => text,
        };
        text.parse().map(Self).map_err(|_| {
            let words = format!(
                "`{}` is no time with an offset; write one such as 2027-01-01T00:00:00Z",
                text.escape_debug()
            );
            serde::de::Error::custom(words)
        })
    }
}

impl Serialize for End {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&self.0)
    }
}
