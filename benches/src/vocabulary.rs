//! The values that rules are written with, gathered from a sample of the corpus.

use std::collections::BTreeSet;

use serde_json::Value;
use tripline_core::sample::Random;

/// What was seen.
#[derive(Debug)]
pub struct Vocabulary {
    /// The sampled events.
    pub events: Vec<Value>,
    /// Distinct pairs of source and name.
    pub pairs: Vec<(String, String)>,
    /// Distinct accounts.
    pub accounts: Vec<String>,
    /// Distinct regions.
    pub regions: Vec<String>,
    /// Distinct error codes.
    pub errors: Vec<String>,
    /// Distinct user agents.
    pub agents: Vec<String>,
    /// Distinct principals, as ARN prefixes up to the session or the user.
    pub principals: Vec<String>,
    /// Distinct types of `userIdentity`.
    pub identity_types: Vec<String>,
}

impl Vocabulary {
    /// Gathers from the events, which must be JSON objects; others are passed over.
    #[must_use]
    pub fn gather<'a>(events: impl Iterator<Item = &'a [u8]>) -> Self {
        let events: Vec<Value> = events
            .filter_map(|bytes| serde_json::from_slice(bytes).ok())
            .collect();
        let texts = |path: &[&str]| -> Vec<String> {
            let found: BTreeSet<&str> = events
                .iter()
                .filter_map(|event| text(event, path))
                .collect();
            found.into_iter().map(str::to_owned).collect()
        };
        let pairs: BTreeSet<(String, String)> = events
            .iter()
            .filter_map(|event| {
                let source = text(event, &["eventSource"])?;
                Some((source.to_owned(), text(event, &["eventName"])?.to_owned()))
            })
            .collect();
        let principals: BTreeSet<String> = events.iter().filter_map(principal).collect();
        Self {
            pairs: pairs.into_iter().collect(),
            accounts: texts(&["recipientAccountId"]),
            regions: texts(&["awsRegion"]),
            errors: texts(&["errorCode"]),
            agents: texts(&["userAgent"]),
            principals: principals.into_iter().collect(),
            identity_types: texts(&["userIdentity", "type"]),
            events,
        }
    }

    /// One of the sampled events.
    pub fn event(&self, random: &mut Random) -> &Value {
        random.one_of(&self.events)
    }
}

/// A text of an event.
#[must_use]
pub fn text<'e>(event: &'e Value, path: &[&str]) -> Option<&'e str> {
    path.iter()
        .try_fold(event, |value, key| value.get(key))?
        .as_str()
}

/// The ARN of an event's principal without the session: `arn:…:assumed-role/name/`.
#[must_use]
pub fn principal(event: &Value) -> Option<String> {
    let arn = text(event, &["userIdentity", "arn"])?;
    let mut slashes = arn.match_indices('/').map(|(place, _)| place);
    slashes.next()?;
    Some(
        slashes
            .next()
            .map_or_else(|| arn.to_owned(), |second| arn[..=second].to_owned()),
    )
}
