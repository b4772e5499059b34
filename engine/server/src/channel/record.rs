//! The record of an event that came through a channel: what the sender said, and what the engine says of it.
//!
//! The fields `eventID` and `ingest` are the engine's: whatever a sender has under these names is not taken over.
//! Everything else is byte for byte as it came.

use super::Channel;
use super::auth::Verified;
use super::auth::hex;
use super::file::Ids;
use super::ids::{self, Key};
use super::intake::Kept;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::IpAddr;
use tripline_core::event::Json;
use tripline_core::rule::kind::EventTime;

/// Fields that no sender sets.
pub(crate) const OWNED: [&str; 2] = ["eventID", "ingest"];

/// How a request came.
#[derive(Clone, Debug)]
pub(crate) struct Arrival {
    pub(crate) verified: Verified,
    /// Nothing where it came from a file or a subject.
    pub(crate) address: Option<IpAddr>,
    pub(crate) time: EventTime,
    /// What of the request's headers the channel's mapping may look at.
    pub(crate) headers: BTreeMap<String, String>,
}

impl Arrival {
    /// What of it is kept with an event that is set aside.
    pub(super) fn kept(&self, shown_id: Option<String>) -> Kept {
        Kept {
            sender: self.verified.sender.clone(),
            verified: self.verified.how.to_string(),
            subject: self.verified.subject.clone(),
            time: self.time.micros(),
            address: self.address,
            shown_id,
            headers: self.headers.clone(),
        }
    }

    /// As it was kept.
    pub(crate) fn of_kept(kept: Kept) -> Self {
        Self {
            verified: Verified {
                sender: kept.sender,
                how: kept.verified.into(),
                subject: kept.subject,
                message: None,
                region: None,
            },
            address: kept.address,
            time: EventTime::from_micros(kept.time),
            headers: kept.headers,
        }
    }
}

/// The id of an event, of the channel and the id that its sender gave: the same whenever it is sent again.
pub(crate) fn event_id(channel: &str, id: &[u8]) -> String {
    event_id_of(ids::key(channel, id))
}

fn event_id_of(key: Key) -> String {
    let mut bytes = key.to_be_bytes();
    // A UUID of version 8, whose bits are nobody else's business.
    bytes[6] = (bytes[6] & 0x0f) | 0x80;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    let text = hex(&bytes);
    format!(
        "{}-{}-{}-{}-{}",
        &text[..8],
        &text[8..12],
        &text[12..16],
        &text[16..20],
        &text[20..]
    )
}

/// The longest id that is told apart from others.
const ID_BYTES_MAX: usize = 1024;

/// What an event has at the path of its id, if it is text or a number.
pub(crate) fn own_id(event: Json<'_>, path: &str) -> Option<String> {
    let found = path
        .split('.')
        .try_fold(event, |within, key| within.get(key))?;
    let text = match found.as_text() {
        Some(text) => text.decode().into_owned(),
        None => found.as_integer()?.to_string(),
    };
    (!text.is_empty() && text.len() <= ID_BYTES_MAX).then_some(text)
}

/// An event with what the form of its request says beside it, which goes before the sender's own fields of these names.
pub(crate) fn with_more(event: Json<'_>, more: &[(&'static str, Value)]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(event.raw().len() + 256);
    bytes.push(b'{');
    for (key, value) in more {
        push(&mut bytes, key, value);
    }
    rest(&mut bytes, event, |key| {
        more.iter().any(|(name, _)| *name == key)
    });
    bytes
}

/// Writes the fields of an event that are not left out, and ends the object.
fn rest(bytes: &mut Vec<u8>, event: Json<'_>, is_left_out: impl Fn(&str) -> bool) {
    for (key, value) in event.entries() {
        if is_left_out(&key.decode()) {
            continue;
        }
        bytes.push(b'"');
        bytes.extend_from_slice(key.raw().as_bytes());
        bytes.extend_from_slice(b"\":");
        bytes.extend_from_slice(value.raw());
        bytes.push(b',');
    }
    if bytes.last() == Some(&b',') {
        bytes.pop();
    }
    bytes.push(b'}');
}

/// The ids of an event: the one that the engine gives it, and the one that its sender did, as it may be shown.
#[derive(Clone, Copy)]
pub(crate) struct Names<'n> {
    pub(crate) event: &'n str,
    pub(crate) sender: Option<&'n str>,
}

/// What the engine says of every event of a request: the block `ingest`, without its end.
pub(crate) fn ingest(channel: &Channel, arrival: &Arrival) -> String {
    let verified = &arrival.verified;
    let mut ingest = json!({
        "channel": channel.id,
        "source": channel.file.source,
        "sender": verified.sender,
        "verified": verified.how,
        "time": arrival.time.to_string(),
    });
    if let Some(address) = arrival.address {
        ingest["address"] = address.to_canonical().to_string().into();
    }
    if let Some(subject) = &verified.subject {
        ingest["subject"] = subject.as_str().into();
    }
    let mut text = ingest.to_string();
    text.pop();
    text
}

/// The record: what the engine says, then what the sender said. `sent` is what was sent before it was mapped, where that is kept.
pub(crate) fn build(
    ingest: &str,
    (event, sent): (Json<'_>, Option<&[u8]>),
    names: Names<'_>,
) -> Vec<u8> {
    let raw = event.raw();
    let mut bytes = Vec::with_capacity(raw.len() + ingest.len() + 128);
    bytes.push(b'{');
    push(&mut bytes, "eventID", &Value::from(names.event));
    bytes.extend_from_slice(b"\"ingest\":");
    bytes.extend_from_slice(ingest.as_bytes());
    let mut more = |key: &str, text: &str| {
        let text = Value::from(text);
        bytes.extend_from_slice(format!(",\"{key}\":{text}").as_bytes());
    };
    if let Some(id) = names.sender {
        more("id", id);
    }
    if let Some(sent) = sent {
        // As text: a value would be written in another way than it came.
        more("sent", &String::from_utf8_lossy(sent));
    }
    bytes.extend_from_slice(b"},");
    rest(&mut bytes, event, |key| OWNED.contains(&key));
    bytes
}

fn push(into: &mut Vec<u8>, key: &str, value: &Value) {
    // Text and values of JSON are always written.
    into.extend_from_slice(format!("\"{key}\":{value},").as_bytes());
}

/// The id that the engine gives an event.
pub(crate) fn given_id(channel: &Channel, key: Key, own: Option<&str>) -> String {
    match (channel.file.ids, own) {
        (Ids::Own, Some(own)) => own.to_owned(),
        _ => event_id_of(key),
    }
}
