//! Any bytes as what a forwarder of Splunk sends: reading never panics, and whatever becomes an event is an object of JSON.

use crate::channel::decode::{Entry, hec};
use serde_json::{Map, Value};
use tripline_core::event::{Kind, Parser, Reason};

const EVENT_BYTES_MAX: usize = 8 * 1024;
const MOST: usize = 64;

/// Holds the input to the claims above.
pub(crate) fn run(bytes: &[u8]) {
    if let Some(entries) = hec::events(bytes, EVENT_BYTES_MAX, MOST) {
        check(&entries);
    }
    let mut said = Map::new();
    said.insert("host".to_owned(), Value::from("web-1"));
    let lines = bytes.split(|byte| *byte == b'\n');
    let count = lines.filter(|line| !line.trim_ascii().is_empty()).count();
    match hec::raw(bytes, &said, MOST) {
        None => assert!(count > MOST),
        Some(entries) => {
            assert_eq!(entries.len(), count);
            check(&entries);
        }
    }
}

fn check(entries: &[Entry<'_>]) {
    assert!(entries.len() <= MOST);
    for body in entries.iter().filter_map(|entry| entry.body.as_ref().ok()) {
        match Parser::new().parse(body) {
            Ok(document) => assert_eq!(document.root().kind(), Kind::Object),
            // What is within a message is one level deeper than it was.
            Err(why) => assert_eq!(why.reason, Reason::TooDeep, "{why:?}"),
        }
    }
}
