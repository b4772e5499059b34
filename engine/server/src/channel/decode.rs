//! From the body of a request to events: JSON in every usual framing, CloudEvents, `PutAuditEvents`, and what decoder plugins make of
//! anything else.
//!
//! Relies on the splitter of `scan` for where one record ends and the next begins. It finds out what the sender calls an event and
//! what the form of the request says of it; whether the event may come is not its business. What it cannot read is an
//! entry too, so that every answer names it.

pub(crate) mod audit_events;
pub(crate) mod cloud_events;
pub(crate) mod decoder;
pub(crate) mod hec;
pub(crate) mod otlp;

use crate::input::split::{Ending, PieceKind, Splitter};
use crate::scan::nested::pieces_of_at_most;
use serde_json::Value;
use std::borrow::Cow;
use std::io::Read;
use tripline_core::event::{Kind, Parser};

/// An event as a request says it.
#[derive(Clone, Debug)]
pub(crate) struct Entry<'t> {
    /// What tells it from others, where the form of the request has that.
    pub(crate) id: Option<String>,
    /// What is told of the id; the id itself if nothing else is.
    pub(crate) shown_id: Option<String>,
    pub(crate) body: Result<Cow<'t, [u8]>, Unreadable>,
    /// What the form of the request says beside the event.
    pub(crate) more: Vec<(&'static str, Value)>,
}

/// Why something is no event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unreadable {
    pub(crate) code: &'static str,
    pub(crate) words: String,
}

impl Unreadable {
    pub(crate) fn malformed(words: impl Into<String>) -> Self {
        Self {
            code: "malformed",
            words: words.into(),
        }
    }
}

impl<'t> Entry<'t> {
    pub(crate) fn plain(body: Cow<'t, [u8]>) -> Self {
        Self {
            id: None,
            shown_id: None,
            body: Ok(body),
            more: Vec::new(),
        }
    }

    pub(crate) fn broken(why: Unreadable) -> Self {
        Self {
            id: None,
            shown_id: None,
            body: Err(why),
            more: Vec::new(),
        }
    }
}

/// The events of a text: one record, lines of them, an array, or a delivery file. Nothing when there are more than may be.
pub(crate) fn json(text: &[u8], event_bytes_max: usize, most: usize) -> Option<Vec<Entry<'_>>> {
    let mut splitter = Splitter::new(event_bytes_max);
    let mut pieces = Vec::new();
    splitter.split_at_most(text, Ending::Last, &mut pieces, most);
    let mut parser = Parser::new();
    let mut entries = Vec::new();
    for piece in &pieces {
        let bytes = &text[piece.start..piece.end];
        let within = match piece.kind {
            PieceKind::Record => pieces_of_at_most(&mut parser, bytes, most),
            PieceKind::Fault(_) => None,
        };
        match within {
            None => entries.push(entry(piece.kind, bytes)),
            Some(within) => {
                for piece in within {
                    entries.push(entry(piece.kind, &bytes[piece.start..piece.end]));
                }
            }
        }
        if entries.len() > most {
            return None;
        }
    }
    Some(entries)
}

fn entry(kind: PieceKind, bytes: &[u8]) -> Entry<'_> {
    match kind {
        PieceKind::Record => Entry::plain(bytes.into()),
        PieceKind::Fault(fault) => Entry::broken(Unreadable::malformed(fault.to_string())),
    }
}

/// The events in lists that others hold, each on its own. Nothing when there are more than may be.
pub(crate) fn within<'t>(
    entries: Vec<Entry<'t>>,
    path: &str,
    most: usize,
) -> Option<Vec<Entry<'t>>> {
    let mut parser = Parser::new();
    let mut all = Vec::with_capacity(entries.len());
    for entry in entries {
        let found = entry.body.as_ref().ok().and_then(|bytes| {
            let root = parser.parse(bytes).ok()?.root();
            let list = path
                .split('.')
                .try_fold(root, |within, key| within.get(key))?;
            (list.kind() == Kind::Array).then(|| {
                // One more than may be, so that it is seen.
                let room = (most + 1).saturating_sub(all.len());
                let events = list
                    .elements()
                    .take(room)
                    .map(|one| Entry::plain(one.raw().to_vec().into()));
                events.collect::<Vec<_>>()
            })
        });
        match found {
            Some(events) => all.extend(events),
            None => all.push(entry),
        }
        if all.len() > most {
            return None;
        }
    }
    Some(all)
}

/// A text as an event: what it is when it is an object, as forwarders write it, else the message of one.
fn of_text(text: &str) -> Cow<'_, [u8]> {
    let is_object = text.trim_start().starts_with('{')
        && Parser::new()
            .parse(text.as_bytes())
            .is_ok_and(|document| document.root().kind() == Kind::Object);
    match is_object {
        true => text.as_bytes().into(),
        false => serde_json::json!({ "message": text })
            .to_string()
            .into_bytes()
            .into(),
    }
}

/// Whether an event says something itself.
fn has(body: &[u8], key: &str) -> bool {
    let mut parser = Parser::new();
    parser.parse(body).is_ok_and(|document| {
        let found = document.root().get(key);
        found.is_some_and(|value| value.kind() != Kind::Null)
    })
}

/// Why a body is not decompressed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum InflateFault {
    TooLarge,
    Broken(String),
}

/// The body as it was before it was compressed, told by its first bytes.
pub(crate) fn inflate(body: &[u8], max: u64) -> Result<Cow<'_, [u8]>, InflateFault> {
    let broken = |fault: std::io::Error| InflateFault::Broken(fault.to_string());
    let mut reader: Box<dyn Read + '_> = match body {
        [0x1f, 0x8b, ..] => Box::new(flate2::read::MultiGzDecoder::new(body)),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => {
            Box::new(zstd::stream::read::Decoder::with_buffer(body).map_err(broken)?)
        }
        _ => return Ok(body.into()),
    };
    let mut text = Vec::new();
    reader
        .by_ref()
        .take(max + 1)
        .read_to_end(&mut text)
        .map_err(broken)?;
    match text.len() as u64 > max {
        true => Err(InflateFault::TooLarge),
        false => Ok(text.into()),
    }
}

/// Whether a body is compressed in a way that is read.
pub(crate) fn is_compressed(body: &[u8]) -> bool {
    matches!(body, [0x1f, 0x8b, ..] | [0x28, 0xb5, 0x2f, 0xfd, ..])
}

/// The media type of a body, without its parameters, in small letters.
pub(crate) fn content_type(headers: &axum::http::HeaderMap) -> String {
    let given = headers
        .get(axum::http::header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or("");
    let kind = given.split(';').next().unwrap_or("");
    kind.trim().to_ascii_lowercase()
}
