//! Lengths of time in the configuration: `500ms`, `90s`, `1h30m`, `90d`.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::time::Duration;
use tripline_core::rule::kind::Period;

/// A length of time, as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Length {
    text: String,
    period: Period,
}

impl Length {
    /// As rules have it.
    pub(crate) fn period(&self) -> Period {
        self.period
    }

    /// As threads have it.
    pub(crate) fn duration(&self) -> Duration {
        Duration::from_micros(self.period.micros().max(0) as u64)
    }

    fn parse(text: &str) -> Option<Self> {
        let period = Self::period_of(text)?;
        let text = text.to_owned();
        (period > Period::ZERO).then_some(Self { text, period })
    }

    fn is_nothing(text: &str) -> bool {
        Self::period_of(text) == Some(Period::ZERO)
    }

    fn period_of(text: &str) -> Option<Period> {
        Some(match text.strip_suffix("ms") {
            Some(millis) => Period::from_millis(
                millis
                    .parse()
                    .ok()
                    .filter(|millis| (0..=1_000_000_000).contains(millis))?,
            ),
            None => Period::parse(text)?,
        })
    }
}

impl<'de> Deserialize<'de> for Length {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        Self::parse(&text).ok_or_else(|| {
            let shown = text.escape_debug();
            let words = match Self::is_nothing(&text) {
                true => format!("`{shown}` is no time at all; give something longer"),
                false => {
                    format!("`{shown}` is no length of time; write 500ms, 30s, 10m, 1h30m or 90d")
                }
            };
            serde::de::Error::custom(words)
        })
    }
}

impl Serialize for Length {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.text.serialize(to)
    }
}
