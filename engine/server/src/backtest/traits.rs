//! The fields of events by which exceptions tell findings apart: who, from where, with what.
//!
//! Of the event of a finding only these are kept, as a small JSON object in their places, so that the CEL of an
//! exception gives on it what it gives on the event. A value that is long is left out: nobody would write an
//! exception for it.

use serde_json::{Map, Value};
use tripline_core::event::Json;

/// Whether traits are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Traits {
    Kept,
    Unwanted,
}

/// The longest value that is kept.
const VALUE_BYTES_MAX: usize = 512;

/// Paths, most telling first: of CloudTrail, GitHub, Okta and Kubernetes audit logs.
pub(crate) const PATHS: &[&[&str]] = &[
    &["userIdentity", "arn"],
    &["userIdentity", "principalId"],
    &["userIdentity", "invokedBy"],
    &["actor"],
    &["actor", "alternateId"],
    &["user", "username"],
    &["sourceIPAddress"],
    &["actor_ip"],
    &["client", "ipAddress"],
    &["userAgent"],
    &["user_agent"],
    &["client", "userAgent", "rawUserAgent"],
];

/// Paths whose value is an address.
pub(crate) const ADDRESSES: &[&[&str]] = &[
    &["sourceIPAddress"],
    &["actor_ip"],
    &["client", "ipAddress"],
];

/// The traits of an event as JSON.
pub(crate) fn traits_of(root: Json<'_>) -> String {
    let mut out = Map::new();
    for path in PATHS {
        let mut here = Some(root);
        for name in *path {
            here = here.and_then(|one| one.get(name));
        }
        if let Some(text) = here.and_then(|one| one.as_text()) {
            let text = text.decode();
            if text.len() <= VALUE_BYTES_MAX {
                put(&mut out, path, &text);
            }
        }
    }
    Value::Object(out).to_string()
}

fn put(out: &mut Map<String, Value>, path: &[&str], text: &str) {
    match path {
        [] => {}
        [last] => {
            out.insert((*last).to_owned(), text.into());
        }
        [first, rest @ ..] => {
            let inner = out
                .entry(*first)
                .or_insert_with(|| Value::Object(Map::new()));
            if let Value::Object(inner) = inner {
                put(inner, rest, text);
            }
        }
    }
}

/// The value at a path of traits.
pub(crate) fn value_at<'v>(traits: &'v Value, path: &[&str]) -> Option<&'v str> {
    let mut here = traits;
    for name in path {
        here = here.get(name)?;
    }
    here.as_str()
}
