//! CloudEvents 1.0 over HTTP: structured, binary and batch mode, in JSON.
//!
//! The data is the event. What the envelope says fills in what the event does not say itself (`eventTime`, `eventSource`,
//! `eventName`), and stays whole in `cloudEvent`. Source and id together are what tells one event from another, as the
//! specification has it.

use super::{Entry, Unreadable, json};
use axum::http::HeaderMap;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};
use std::borrow::Cow;
use tripline_core::event::{Json, Kind, Parser};

/// How a request holds CloudEvents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Structured,
    Batch,
    Binary,
}

/// How a request holds CloudEvents, if it does.
pub(crate) fn mode(headers: &HeaderMap) -> Option<Mode> {
    let kind = super::content_type(headers);
    match kind.as_str() {
        "application/cloudevents+json" => Some(Mode::Structured),
        "application/cloudevents-batch+json" => Some(Mode::Batch),
        _ if headers.contains_key("ce-specversion") => Some(Mode::Binary),
        _ => None,
    }
}

/// The events of a structured or batched body.
pub(crate) fn structured(
    text: &[u8],
    event_bytes_max: usize,
    most: usize,
) -> Option<Vec<Entry<'_>>> {
    let envelopes = json(text, event_bytes_max, most)?;
    let mut parser = Parser::new();
    let entries = envelopes.into_iter().map(|envelope| match &envelope.body {
        Err(_) => envelope,
        Ok(bytes) => {
            let read = of_envelope(&mut parser, bytes);
            read.unwrap_or_else(Entry::broken)
        }
    });
    Some(entries.collect())
}

/// The event of a request whose head is the envelope.
pub(crate) fn binary<'t>(headers: &HeaderMap, body: &'t [u8]) -> Entry<'t> {
    let mut attributes = Map::new();
    for (name, value) in headers {
        let Some(name) = name.as_str().strip_prefix("ce-") else {
            continue;
        };
        let decoded = value
            .to_str()
            .ok()
            .and_then(super::super::auth::percent_decoded)
            .and_then(|bytes| String::from_utf8(bytes).ok());
        match decoded {
            Some(text) => attributes.insert(name.to_owned(), text.into()),
            None => {
                return Entry::broken(Unreadable::malformed(format!(
                    "the header ce-{name} is no text"
                )));
            }
        };
    }
    let kind = super::content_type(headers);
    let is_json = kind.is_empty() || kind == "application/json" || kind.ends_with("+json");
    let data: Cow<'t, [u8]> = match is_json {
        true => body.into(),
        false => match std::str::from_utf8(body) {
            Ok(text) => Value::from(text).to_string().into_bytes().into(),
            Err(_) => Value::from(STANDARD.encode(body))
                .to_string()
                .into_bytes()
                .into(),
        },
    };
    finish(attributes, data).unwrap_or_else(Entry::broken)
}

fn of_envelope(parser: &mut Parser, bytes: &[u8]) -> Result<Entry<'static>, Unreadable> {
    let document = parser
        .parse(bytes)
        .map_err(|why| Unreadable::malformed(why.to_string()))?;
    let mut attributes = Map::new();
    let mut data = None;
    for (key, value) in document.root().entries() {
        match key.decode().as_ref() {
            "data" => data = Some(value.raw().to_vec()),
            "data_base64" => {
                let text = value.as_text().map(|text| text.decode().into_owned());
                let decoded = text.and_then(|text| STANDARD.decode(text).ok());
                let decoded = decoded
                    .ok_or_else(|| Unreadable::malformed("data_base64 is not base64".to_owned()))?;
                data = Some(decoded);
            }
            name => {
                // What was parsed is read again; numbers of extensions are small.
                let value = serde_json::from_slice(value.raw()).unwrap_or(Value::Null);
                attributes.insert(name.to_owned(), value);
            }
        }
    }
    let data = data.unwrap_or_else(|| b"{}".to_vec());
    finish(attributes, data.into())
}

fn finish<'t>(
    attributes: Map<String, Value>,
    data: Cow<'t, [u8]>,
) -> Result<Entry<'t>, Unreadable> {
    let text = |name: &str| attributes.get(name).and_then(Value::as_str);
    match text("specversion") {
        Some("1.0") => {}
        Some(other) => {
            let words = format!(
                "CloudEvents {} are not read; send 1.0",
                super::super::allow::short(other)
            );
            return Err(Unreadable::malformed(words));
        }
        None => return Err(Unreadable::malformed("specversion is missing")),
    }
    let required = |name: &str| match text(name) {
        Some(text) if !text.is_empty() => Ok(text.to_owned()),
        _ => Err(Unreadable::malformed(format!(
            "the attribute `{name}` is missing, empty or no text"
        ))),
    };
    let (id, source, kind) = (required("id")?, required("source")?, required("type")?);
    let time = text("time").map(str::to_owned);
    let mut parser = Parser::new();
    let is_value = data.iter().find(|byte| !byte.is_ascii_whitespace());
    let is_object = is_value == Some(&b'{');
    let data: Cow<'t, [u8]> = match is_object {
        true => data,
        // A record is an object.
        false => {
            let value: Value = serde_json::from_slice(&data)
                .map_err(|why| Unreadable::malformed(format!("the data is no JSON: {why}")))?;
            serde_json::json!({ "data": value })
                .to_string()
                .into_bytes()
                .into()
        }
    };
    let mut more = Vec::new();
    {
        let document = parser
            .parse(&data)
            .map_err(|why| Unreadable::malformed(why.to_string()))?;
        let root = document.root();
        let mut fill = |key: &'static str, value: Option<String>| {
            if let Some(value) = value
                && is_absent(root, key)
            {
                more.push((key, Value::from(value)));
            }
        };
        fill("eventTime", time);
        fill("eventSource", Some(source.clone()));
        fill("eventName", Some(kind));
        if is_absent(root, "cloudEvent") {
            more.push(("cloudEvent", Value::Object(attributes.clone())));
        }
    }
    Ok(Entry {
        id: Some(format!("{source}\n{id}")),
        shown_id: Some(id),
        body: Ok(data),
        more,
    })
}

fn is_absent(event: Json<'_>, key: &str) -> bool {
    event
        .get(key)
        .is_none_or(|value| value.kind() == Kind::Null)
}
