//! Records as messages: the bytes are the body, everything else is headers.
//!
//! ```text
//! Tripline-Kind: tick                         absent for events
//! Tripline-Taken: 1767225600000001            microseconds; absent: when the server took the message
//! Tripline-Attributes: {"channel":"api"}      absent: nothing is known
//! Tripline-Attributes-Hex: 7b0a7d             the same, where a header cannot hold them
//! ```
//!
//! A message without these headers is an event of a publisher that does not know us. What is in them is believed, except
//! that a tick cannot be further ahead than clocks differ: who may publish on the subject is trusted with events, not with
//! time. Rejected: an envelope around the body, which would make every other publisher and reader learn it.

use super::limits::TICK_AHEAD;
use async_nats::HeaderMap;
use bytes::Bytes;
use tripline_core::port::{NewRecord, RecordKind};
use tripline_core::rule::kind::{EventTime, Period};

const KIND: &str = "Tripline-Kind";
const TAKEN: &str = "Tripline-Taken";
const ATTRIBUTES: &str = "Tripline-Attributes";
const ATTRIBUTES_HEX: &str = "Tripline-Attributes-Hex";
const TICK: &str = "tick";

/// What is known of messages that others published.
const FOREIGN: &[u8] = br#"{"channel":"nats"}"#;

/// A message as it is handed on.
#[derive(Debug)]
pub(super) struct Received {
    pub(super) sequence: u64,
    pub(super) kind: RecordKind,
    pub(super) taken: EventTime,
    pub(super) attributes: Vec<u8>,
    pub(super) payload: Bytes,
}

impl Received {
    pub(super) fn new(
        sequence: u64,
        published: EventTime,
        headers: Option<&HeaderMap>,
        payload: Bytes,
    ) -> Self {
        let get = |name: &str| Some(headers?.get(name)?.as_str());
        let taken = get(TAKEN).and_then(|text| text.parse().ok());
        let is_ours = taken.is_some();
        let taken = taken.map_or(published, EventTime::from_micros);
        let mut taken = taken.clamp(EventTime::MIN, EventTime::MAX);
        let kind = match get(KIND) {
            Some(TICK) if is_ours => RecordKind::Tick,
            _ => RecordKind::Event,
        };
        if kind == RecordKind::Tick {
            let ahead = Period::from_seconds(TICK_AHEAD.as_secs() as i64);
            taken = taken.min(published.plus(ahead));
        }
        let attributes = match (get(ATTRIBUTES), get(ATTRIBUTES_HEX)) {
            (Some(text), _) => text.as_bytes().to_vec(),
            (None, Some(hex)) => bytes_of(hex).unwrap_or_default(),
            (None, None) if is_ours => Vec::new(),
            (None, None) => FOREIGN.to_vec(),
        };
        Self {
            sequence,
            kind,
            taken,
            attributes,
            payload,
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.attributes.len() + self.payload.len()
    }

    pub(super) fn as_new(&self) -> NewRecord<'_> {
        NewRecord {
            kind: self.kind,
            taken: self.taken,
            attributes: &self.attributes,
            payload: &self.payload,
        }
    }
}

/// The headers of a record.
pub(super) fn headers(record: &NewRecord<'_>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(TAKEN, record.taken.micros().to_string());
    if record.kind == RecordKind::Tick {
        headers.insert(KIND, TICK);
    }
    if !record.attributes.is_empty() {
        match as_header(record.attributes) {
            Some(text) => headers.insert(ATTRIBUTES, text),
            None => headers.insert(ATTRIBUTES_HEX, hex_of(record.attributes)),
        }
    }
    headers
}

/// Bytes as they are, when they survive being a header: blanks around them would not.
fn as_header(bytes: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(bytes).ok()?;
    let is_plain = text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    (is_plain && text.trim() == text).then_some(text)
}

fn hex_of(bytes: &[u8]) -> String {
    use std::fmt::Write;
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        // Writing to memory does not fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

fn bytes_of(hex: &str) -> Option<Vec<u8>> {
    let digits = hex.as_bytes();
    if !digits.len().is_multiple_of(2) {
        return None;
    }
    let digit = |byte: u8| char::from(byte).to_digit(16);
    digits
        .chunks(2)
        .map(|two| Some((digit(two[0])? * 16 + digit(two[1])?) as u8))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{Received, headers};
    use async_nats::HeaderMap;
    use proptest::prelude::*;
    use tripline_core::port::{NewRecord, RecordKind};
    use tripline_core::rule::kind::EventTime;

    const PUBLISHED: EventTime = EventTime::from_micros(1_767_225_600_000_000);

    proptest! {
        #[test]
        fn records_come_back(
            is_tick: bool, taken in i64::MIN / 4..1_767_225_600_000_000,
            attributes in proptest::collection::vec(any::<u8>(), 0..40),
            payload in proptest::collection::vec(any::<u8>(), 0..40),
        ) {
            let kind = if is_tick { RecordKind::Tick } else { RecordKind::Event };
            let taken = EventTime::from_micros(taken);
            let record = NewRecord { kind, taken, attributes: &attributes, payload: &payload };
            let back = Received::new(7, PUBLISHED, Some(&headers(&record)), payload.clone().into());
            prop_assert_eq!((back.sequence, back.kind, back.taken), (7, kind, taken));
            prop_assert_eq!((&back.attributes[..], &back.payload[..]), (&attributes[..], &payload[..]));
        }
    }

    #[test]
    fn what_others_publish_is_an_event_of_when_the_server_took_it() {
        let mut foreign = HeaderMap::new();
        foreign.insert("Tripline-Kind", "tick");
        foreign.insert("Content-Type", "application/json");
        for headers in [None, Some(&foreign)] {
            let back = Received::new(1, PUBLISHED, headers, "{}".into());
            assert_eq!((back.kind, back.taken), (RecordKind::Event, PUBLISHED));
            assert_eq!(back.attributes, br#"{"channel":"nats"}"#);
        }
    }

    #[test]
    fn nobody_moves_time_by_a_tick() {
        let mut forged = HeaderMap::new();
        forged.insert("Tripline-Kind", "tick");
        forged.insert("Tripline-Taken", i64::MAX.to_string());
        let back = Received::new(1, PUBLISHED, Some(&forged), "".into());
        assert_eq!(
            back.taken,
            EventTime::from_micros(PUBLISHED.micros() + 60_000_000)
        );
    }
}
