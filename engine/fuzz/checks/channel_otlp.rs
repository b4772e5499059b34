//! Any bytes as log records of OpenTelemetry, in protobuf and in JSON: reading never panics, gives no more than may be, and whatever
//! becomes an event is an object of JSON.

use crate::channel::decode::{Entry, otlp};
use serde_json::Value;

const MOST: usize = 64;

/// Holds the input to the claims above.
pub(crate) fn run(bytes: &[u8]) {
    if let Ok(Some(entries)) = otlp::protobuf(bytes, MOST) {
        check(&entries);
    }
    if let Ok(Some(entries)) = otlp::json(bytes, MOST) {
        check(&entries);
    }
}

fn check(entries: &[Entry<'_>]) {
    assert!(entries.len() <= MOST);
    for entry in entries {
        let Ok(body) = &entry.body else { continue };
        match serde_json::from_slice::<Value>(body) {
            Ok(value) => assert!(value.is_object(), "{value}"),
            Err(why) => assert!(why.to_string().starts_with("recursion"), "{why}"),
        }
    }
}
