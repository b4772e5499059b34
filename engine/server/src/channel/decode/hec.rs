//! Splunk's HTTP Event Collector: objects one after the other, each with an event and what is said of it, and raw lines.
//!
//! The event is what is under `event` when that is an object, or text that is one; other text and values are its `message`. Everything
//! said of it stays whole in `splunk`, and its `time` is the `eventTime` of an event that has none. What Splunk refuses is
//! refused with Splunk's own reasons.

use super::{Entry, Unreadable, has, json, of_text};
use serde_json::{Map, Value};
use std::borrow::Cow;
use tripline_core::event::{Json, Kind, Parser};

/// Keys of what is said of an event, as Splunk has them.
const SAID: [&str; 5] = ["host", "source", "sourcetype", "index", "fields"];

/// Why Splunk refuses an event.
pub(crate) const EVENT_MISSING: &str = "event_missing";
pub(crate) const EVENT_BLANK: &str = "event_blank";
pub(crate) const FIELDS: &str = "fields_not_flat";

fn refused(code: &'static str, words: &str) -> Unreadable {
    Unreadable {
        code,
        words: words.to_owned(),
    }
}

/// The events of a body of `/services/collector/event`. Nothing when there are more than may be.
pub(crate) fn events(text: &[u8], event_bytes_max: usize, most: usize) -> Option<Vec<Entry<'_>>> {
    let envelopes = json(text, event_bytes_max, most)?;
    let mut parser = Parser::new();
    let entries = envelopes.into_iter().map(|envelope| match &envelope.body {
        Err(_) => envelope,
        Ok(bytes) => of_envelope(&mut parser, bytes).unwrap_or_else(Entry::broken),
    });
    Some(entries.collect())
}

/// The lines of a body of `/services/collector/raw`, with what its address says of them.
pub(crate) fn raw<'t>(
    text: &'t [u8],
    said: &Map<String, Value>,
    most: usize,
) -> Option<Vec<Entry<'t>>> {
    let lines = text.split(|byte| *byte == b'\n');
    let mut entries = Vec::new();
    for line in lines.map(<[u8]>::trim_ascii).filter(|one| !one.is_empty()) {
        if entries.len() == most {
            return None;
        }
        let of_line = |line: &'t [u8]| {
            let text =
                std::str::from_utf8(line).map_err(|_| Unreadable::malformed("no UTF-8 text"))?;
            finish(of_text(text), said.clone())
        };
        entries.push(of_line(line).unwrap_or_else(Entry::broken));
    }
    Some(entries)
}

fn of_envelope(parser: &mut Parser, bytes: &[u8]) -> Result<Entry<'static>, Unreadable> {
    let document = parser
        .parse(bytes)
        .map_err(|why| Unreadable::malformed(why.to_string()))?;
    let root = document.root();
    if root.kind() != Kind::Object {
        return Err(Unreadable::malformed("an object with an event is wanted"));
    }
    let event = root
        .get("event")
        .ok_or_else(|| refused(EVENT_MISSING, "the key `event` is missing"))?;
    let blank = || refused(EVENT_BLANK, "`event` is blank");
    let body: Vec<u8> = match event.kind() {
        Kind::Object => event.raw().to_vec(),
        Kind::Null => return Err(blank()),
        _ => match event.as_text() {
            Some(text) => {
                let text = text.decode();
                if text.trim().is_empty() {
                    return Err(blank());
                }
                of_text(&text).into_owned()
            }
            None => [b"{\"message\":", event.raw(), b"}"].concat(),
        },
    };
    let mut said = Map::new();
    for key in SAID.into_iter().chain(["time"]) {
        if let Some(value) = root.get(key) {
            said.insert(key.to_owned(), value_of(value));
        }
    }
    if let Some(fields) = root.get("fields")
        && !is_flat(fields)
    {
        let words = "`fields` is an object of texts, numbers and lists of them";
        return Err(refused(FIELDS, words));
    }
    finish(Cow::Owned(body), said)
}

fn is_flat(fields: Json<'_>) -> bool {
    let is_plain = |one: Json<'_>| !matches!(one.kind(), Kind::Object | Kind::Array);
    fields.kind() == Kind::Object
        && fields
            .entries()
            .all(|(_, value)| match value.kind() == Kind::Array {
                true => value.elements().all(is_plain),
                false => is_plain(value),
            })
}

/// What was parsed is read again, as it is kept beside the event.
fn value_of(value: Json<'_>) -> Value {
    serde_json::from_slice(value.raw()).unwrap_or(Value::Null)
}

fn finish(body: Cow<'_, [u8]>, mut said: Map<String, Value>) -> Result<Entry<'_>, Unreadable> {
    let mut more = Vec::new();
    if let Some(time) = said.remove("time") {
        let told = time_of(&time);
        let told = told.ok_or_else(|| Unreadable::malformed("`time` is no time in seconds"))?;
        if !has(&body, "eventTime") {
            more.push(("eventTime", Value::from(told)));
        }
        said.insert("time".to_owned(), time);
    }
    if !said.is_empty() {
        more.push(("splunk", Value::Object(said)));
    }
    Ok(Entry {
        more,
        ..Entry::plain(body)
    })
}

/// Seconds after 1970 as a number or text, as forwarders write both, to the microsecond.
fn time_of(value: &Value) -> Option<String> {
    let text = match value {
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.trim().to_owned(),
        _ => return None,
    };
    let seconds: f64 = text.parse().ok().filter(|one: &f64| one.is_finite())?;
    let are_digits = |text: &str| !text.is_empty() && text.bytes().all(|one| one.is_ascii_digit());
    let micros = match text.split_once('.') {
        // A double has no room for the microseconds of this century's nanoseconds, so digits are read as they stand.
        Some((whole, digits)) if are_digits(whole) && are_digits(digits) => {
            let part: i64 = format!("{digits:0<6}").get(..6)?.parse().ok()?;
            whole
                .parse::<i64>()
                .ok()?
                .checked_mul(1_000_000)?
                .checked_add(part)?
        }
        _ => (seconds * 1e6) as i64,
    };
    let time = jiff::Timestamp::from_microsecond(micros).ok()?;
    Some(time.to_string())
}

#[cfg(test)]
mod tests {
    use super::{Entry, events, raw};
    use serde_json::Value;

    /// The events of a body with what is put beside them, or why not.
    fn told(entries: Option<Vec<Entry<'_>>>) -> Vec<String> {
        let one = |entry: Entry<'_>| match entry.body {
            Ok(body) => {
                let more: Vec<String> = entry
                    .more
                    .iter()
                    .map(|(key, value)| format!("{key}={value}"))
                    .collect();
                format!("{} {}", String::from_utf8_lossy(&body), more.join(" "))
            }
            Err(why) => why.code.to_owned(),
        };
        entries
            .expect("not too many")
            .into_iter()
            .map(one)
            .collect()
    }

    #[track_caller]
    fn check(body: &str, expected: &[&str]) {
        assert_eq!(told(events(body.as_bytes(), 1 << 20, 100)), expected);
    }

    #[test]
    fn objects_one_after_the_other() {
        check(
            r#"{"event":{"a":1},"time":1767225600.25,"host":"h"}{"event":"text"}
               {"event":"{\"b\":2}","fields":{"x":"y","z":[1,2]}} {"event":7}"#,
            &[
                r#"{"a":1} eventTime="2026-01-01T00:00:00.25Z" splunk={"host":"h","time":1767225600.25}"#,
                r#"{"message":"text"} "#,
                r#"{"b":2} splunk={"fields":{"x":"y","z":[1,2]}}"#,
                r#"{"message":7} "#,
            ],
        );
        check(
            r#"[{"event":{"a":1,"eventTime":"t"},"time":"1767225600"},{"event":"x"}]"#,
            &[
                r#"{"a":1,"eventTime":"t"} splunk={"time":"1767225600"}"#,
                r#"{"message":"x"} "#,
            ],
        );
    }

    #[test]
    fn refused_with_the_reasons_of_splunk() {
        check(r#"{"host":"h"}"#, &["event_missing"]);
        check(
            r#"{"event":""}{"event":null}"#,
            &["event_blank", "event_blank"],
        );
        check(
            r#"{"event":"x","fields":{"a":{"b":1}}}"#,
            &["fields_not_flat"],
        );
        check(r#"{"event":"x","fields":[1]}"#, &["fields_not_flat"]);
        check(r#"{"event":"x","time":"soon"}"#, &["malformed"]);
        check(r#"{"event":"x","time":1e300}"#, &["malformed"]);
        check(r#"{"event":"#, &["malformed"]);
        assert!(events(b"{\"event\":1}\n{\"event\":2}", 1 << 20, 1).is_none());
    }

    #[test]
    fn raw_lines() {
        let said = serde_json::Map::from_iter([("host".to_owned(), Value::from("h"))]);
        assert_eq!(
            told(raw(b"one\r\n\n{\"a\":1}\n\xff\n", &said, 10)),
            [
                r#"{"message":"one"} splunk={"host":"h"}"#,
                r#"{"a":1} splunk={"host":"h"}"#,
                "malformed",
            ]
        );
        assert!(raw(b"1\n2\n3", &said, 2).is_none());
    }
}
