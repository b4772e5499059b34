//! What a record is called and when it happened.
//!
//! Relies on the names of CloudTrail (`eventID`, `eventTime`), of common shippers (`@timestamp`) and of the
//! EventBridge envelope. The record within an envelope is the event; the envelope only fills in what the record
//! does not say. Must never invent: an event without an id is named by its bytes, an event without a
//! readable time has none.

use std::borrow::Cow;
use std::fmt;

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::document::{Document, Json, Kind};
use super::facts::Facts;
use crate::limits::EVENT_ID_BYTES_MAX;

/// No record of its own has this key; every EventBridge envelope has.
pub(super) const ENVELOPE_KEY: &str = "detail-type";

/// One immutable record of something that happened.
#[derive(Clone, Copy, Debug)]
pub struct Event<'d> {
    document: Document<'d>,
    root: Json<'d>,
    envelope: Option<Envelope<'d>>,
    facts: Option<Facts<'d>>,
}

/// What EventBridge wraps around a record.
#[derive(Clone, Copy, Debug)]
pub struct Envelope<'d>(Json<'d>);

impl<'d> Envelope<'d> {
    /// The envelope with everything in it, the record too.
    pub fn root(self) -> Json<'d> {
        self.0
    }

    /// The delivery's id, which is not the record's.
    pub fn id(self) -> Option<EventId<'d>> {
        name_in(self.0, "id")
    }

    /// When EventBridge says it happened.
    pub fn time(self) -> Option<Timestamp> {
        time_in(self.0, "time")
    }
}

/// The name of an event: its own, its envelope's, or the hash of its bytes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventId<'d>(Cow<'d, str>);

impl EventId<'_> {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name as owned text.
    pub fn into_string(self) -> String {
        self.0.into_owned()
    }
}

impl fmt::Display for EventId<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl<'d> Event<'d> {
    /// The event of a document: its root, or what the EventBridge envelope holds under `detail`. An object is
    /// an envelope when it has a string `detail-type` and an object `detail`.
    pub fn new(document: Document<'d>) -> Event<'d> {
        let outer = document.root();
        let detail = if document.may_be_envelope() {
            record_in(outer)
        } else {
            None
        };
        match detail {
            Some(root) => Event {
                document,
                root,
                envelope: Some(Envelope(outer)),
                facts: None,
            },
            None => Event {
                document,
                root: outer,
                envelope: None,
                facts: None,
            },
        }
    }

    /// The record.
    pub fn root(&self) -> Json<'d> {
        self.root
    }

    /// The document that the record is in.
    pub fn document(&self) -> Document<'d> {
        self.document
    }

    /// What was around the record.
    pub fn envelope(&self) -> Option<Envelope<'d>> {
        self.envelope
    }

    /// The event with what plugins said of it.
    pub fn with_facts(self, facts: Facts<'d>) -> Event<'d> {
        Event {
            facts: Some(facts),
            ..self
        }
    }

    /// What plugins said of the event, when any was asked.
    pub fn facts(&self) -> Option<Facts<'d>> {
        self.facts
    }

    /// The exact bytes of the record.
    pub fn raw(&self) -> &'d [u8] {
        self.root.raw()
    }

    /// The name: `eventID`, else the envelope's `id`, else `sha256:` and the hash of the record's bytes.
    /// Borrowed where there is a name without escapes; hashing happens only when asked for and needed.
    pub fn id(&self) -> EventId<'d> {
        name_in(self.root, "eventID")
            .or_else(|| self.envelope?.id())
            .unwrap_or_else(|| content_id(self.raw()))
    }

    /// When it happened: `eventTime`, else `@timestamp`, else the envelope's `time`; the first of them that is
    /// an RFC 3339 time.
    pub fn time(&self) -> Option<Timestamp> {
        time_in(self.root, "eventTime")
            .or_else(|| time_in(self.root, "@timestamp"))
            .or_else(|| self.envelope?.time())
    }
}

fn record_in(outer: Json<'_>) -> Option<Json<'_>> {
    outer
        .get(ENVELOPE_KEY)
        .filter(|name| name.kind() == Kind::String)?;
    outer
        .get("detail")
        .filter(|detail| detail.kind() == Kind::Object)
}

/// The non-empty string under `key`, if it is short enough for a name.
fn name_in<'d>(object: Json<'d>, key: &str) -> Option<EventId<'d>> {
    let name = object.get(key)?.as_text()?;
    if name.raw().is_empty() {
        return None;
    }
    let name = name.decode();
    (name.len() <= EVENT_ID_BYTES_MAX).then_some(EventId(name))
}

fn time_in(object: Json<'_>, key: &str) -> Option<Timestamp> {
    let text = object.get(key)?.as_text()?.decode();
    text.parse().ok().or_else(|| last_time(&text))
}

/// Of times the last that can be told, for one in the hours of the year 9999 that lie beyond it: an event with such
/// a time, which stands for "never" in some systems, is from the future and not without a time.
fn last_time(text: &str) -> Option<Timestamp> {
    let rest = text.strip_prefix("9999-12-3")?;
    let year_before: Option<Timestamp> = format!("9998-12-3{rest}").parse().ok();
    year_before.map(|_| Timestamp::MAX)
}

fn content_id(bytes: &[u8]) -> EventId<'static> {
    let mut name = String::from("sha256:");
    for byte in Sha256::digest(bytes) {
        for half in [byte >> 4, byte & 0xF] {
            name.extend(char::from_digit(u32::from(half), 16));
        }
    }
    EventId(Cow::Owned(name))
}
