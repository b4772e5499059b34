//! OTLP logs, as JSON and as protobuf: each log record is an event.
//!
//! The event is the body of the record when that is a map, or text that is an object; other bodies are its `message`. Everything else
//! stays in `otel`, with what the resource and the scope say. Time, name and `service.name` fill in what the event does
//! not say itself (`eventTime`, `eventName`, `eventSource`). Records have no ids.

mod wire;

use super::{Entry, Unreadable, has, of_text};
use serde_json::{Map, Value, json as value};
use std::borrow::Cow;

/// What was read of a log record.
#[derive(Debug, Default)]
struct Record {
    time_nanos: u64,
    observed_nanos: u64,
    severity: u64,
    severity_text: String,
    body: Option<Value>,
    attributes: Map<String, Value>,
    flags: u64,
    trace_id: String,
    span_id: String,
    event_name: String,
}

/// What is said of all records of a scope.
#[derive(Clone, Debug, Default)]
struct Around {
    resource: Map<String, Value>,
    scope: Map<String, Value>,
}

/// The events of a request in protobuf. Nothing when there are more than may be.
pub(crate) fn protobuf(
    body: &[u8],
    most: usize,
) -> Result<Option<Vec<Entry<'static>>>, Unreadable> {
    let mut found = Found::of(most);
    wire::request(body, &mut |around, record| found.add(around, record))?;
    Ok(found.entries)
}

/// The events of a request in JSON. Nothing when there are more than may be.
pub(crate) fn json(body: &[u8], most: usize) -> Result<Option<Vec<Entry<'static>>>, Unreadable> {
    let request: Value =
        serde_json::from_slice(body).map_err(|why| Unreadable::malformed(why.to_string()))?;
    if !request.is_object() {
        return Err(Unreadable::malformed("an object is wanted"));
    }
    let mut found = Found::of(most);
    for resource in list(&request, "resourceLogs")? {
        let mut around = Around {
            resource: pairs(&resource["resource"], "attributes")?,
            scope: Map::new(),
        };
        for scope in list(resource, "scopeLogs")? {
            around.scope = scope_of(&scope["scope"])?;
            for one in list(scope, "logRecords")? {
                found.add(&around, record(one)?);
            }
        }
    }
    Ok(found.entries)
}

struct Found {
    most: usize,
    entries: Option<Vec<Entry<'static>>>,
}

impl Found {
    fn of(most: usize) -> Self {
        Self {
            most,
            entries: Some(Vec::new()),
        }
    }

    fn add(&mut self, around: &Around, record: Record) {
        match &mut self.entries {
            Some(entries) if entries.len() < self.most => entries.push(entry(around, record)),
            _ => self.entries = None,
        }
    }
}

fn entry(around: &Around, record: Record) -> Entry<'static> {
    let body: Cow<'_, [u8]> = match &record.body {
        None => b"{}".as_slice().into(),
        Some(Value::String(text)) => of_text(text),
        Some(Value::Object(map)) => value!(map).to_string().into_bytes().into(),
        Some(other) => value!({ "message": other }).to_string().into_bytes().into(),
    };
    let nanos = match record.time_nanos {
        0 => record.observed_nanos,
        nanos => nanos,
    };
    let service = around.resource.get("service.name").and_then(Value::as_str);
    let fills = [
        ("eventTime", time_of(nanos)),
        (
            "eventName",
            Some(record.event_name.clone()).filter(|name| !name.is_empty()),
        ),
        ("eventSource", service.map(str::to_owned)),
    ];
    let mut more: Vec<(&'static str, Value)> = Vec::new();
    for (key, text) in fills {
        if let Some(text) = text
            && !has(&body, key)
        {
            more.push((key, text.into()));
        }
    }
    more.push(("otel", said(around, &record)));
    Entry {
        more,
        ..Entry::plain(body.into_owned().into())
    }
}

/// Everything that is said of a record beside its body.
fn said(around: &Around, record: &Record) -> Value {
    let mut said = Map::new();
    let mut put = |key: &str, value: Value| {
        let is_empty = match &value {
            Value::String(text) => text.is_empty(),
            Value::Object(map) => map.is_empty(),
            Value::Number(number) => number.as_u64() == Some(0),
            _ => false,
        };
        if !is_empty {
            said.insert(key.to_owned(), value);
        }
    };
    let text = |time: Option<String>| Value::from(time.unwrap_or_default());
    put("resource", around.resource.clone().into());
    put("scope", around.scope.clone().into());
    put("attributes", record.attributes.clone().into());
    put("time", text(time_of(record.time_nanos)));
    put("observed_time", text(time_of(record.observed_nanos)));
    put("severity_number", record.severity.into());
    put("severity_text", record.severity_text.as_str().into());
    put("event_name", record.event_name.as_str().into());
    put("trace_id", record.trace_id.as_str().into());
    put("span_id", record.span_id.as_str().into());
    put("flags", record.flags.into());
    said.into()
}

fn time_of(nanos: u64) -> Option<String> {
    if nanos == 0 {
        return None;
    }
    let time = jiff::Timestamp::from_nanosecond(i128::from(nanos)).ok()?;
    Some(time.to_string())
}

fn list<'v>(within: &'v Value, key: &str) -> Result<&'v [Value], Unreadable> {
    match &within[key] {
        Value::Null => Ok(&[]),
        Value::Array(list) => Ok(list),
        _ => Err(Unreadable::malformed(format!("`{key}` is no list"))),
    }
}

fn text(within: &Value, key: &str) -> String {
    within[key].as_str().unwrap_or("").to_owned()
}

/// A whole number, which 64 bits make a text in JSON.
fn whole(within: &Value, key: &str) -> Result<u64, Unreadable> {
    let found = match &within[key] {
        Value::Null => Some(0),
        Value::Number(number) => number.as_u64(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    };
    found.ok_or_else(|| Unreadable::malformed(format!("`{key}` is no whole number")))
}

fn scope_of(scope: &Value) -> Result<Map<String, Value>, Unreadable> {
    let mut said = Map::new();
    for key in ["name", "version"] {
        let text = text(scope, key);
        if !text.is_empty() {
            said.insert(key.to_owned(), text.into());
        }
    }
    let attributes = pairs(scope, "attributes")?;
    if !attributes.is_empty() {
        said.insert("attributes".to_owned(), attributes.into());
    }
    Ok(said)
}

fn record(one: &Value) -> Result<Record, Unreadable> {
    if !one.is_object() {
        return Err(Unreadable::malformed("a log record is an object"));
    }
    Ok(Record {
        time_nanos: whole(one, "timeUnixNano")?,
        observed_nanos: whole(one, "observedTimeUnixNano")?,
        // Names of severities are not what the encoding has, but some send them.
        severity: whole(one, "severityNumber").unwrap_or(0),
        severity_text: text(one, "severityText"),
        body: any(&one["body"])?,
        attributes: pairs(one, "attributes")?,
        flags: whole(one, "flags")?,
        trace_id: text(one, "traceId"),
        span_id: text(one, "spanId"),
        event_name: text(one, "eventName"),
    })
}

fn pairs(within: &Value, key: &str) -> Result<Map<String, Value>, Unreadable> {
    let mut map = Map::new();
    for pair in list(within, key)? {
        let value = any(&pair["value"])?.unwrap_or(Value::Null);
        map.insert(text(pair, "key"), value);
    }
    Ok(map)
}

/// A value, of which its key says what it is. The parser bounded how deep it may be.
fn any(one: &Value) -> Result<Option<Value>, Unreadable> {
    let Some(map) = one.as_object() else {
        return match one.is_null() {
            true => Ok(None),
            false => Err(Unreadable::malformed("a value is an object with one key")),
        };
    };
    let Some((key, held)) = map.iter().next() else {
        return Ok(None);
    };
    let wrong = || Unreadable::malformed(format!("`{key}` does not hold what it says"));
    let found = match key.as_str() {
        "stringValue" | "bytesValue" if held.is_string() => held.clone(),
        "boolValue" if held.is_boolean() => held.clone(),
        "intValue" => match held {
            Value::String(text) => text.parse::<i64>().map_err(|_| wrong())?.into(),
            Value::Number(number) if number.is_i64() => held.clone(),
            _ => return Err(wrong()),
        },
        "doubleValue" if held.is_number() || held.is_string() => held.clone(),
        "arrayValue" => {
            let read = |one: &Value| Ok(any(one)?.unwrap_or(Value::Null));
            let values: Result<Vec<Value>, Unreadable> =
                list(held, "values")?.iter().map(read).collect();
            values?.into()
        }
        "kvlistValue" => pairs(held, "values")?.into(),
        _ => return Err(wrong()),
    };
    Ok(Some(found))
}

/// What was not taken, in protobuf: nothing when everything was.
pub(crate) fn partial_success(rejected: u64, words: &str) -> Vec<u8> {
    match rejected {
        0 => Vec::new(),
        rejected => wire::nested(1, &wire::counted(rejected, words)),
    }
}

/// Why a request is not taken, in protobuf.
pub(crate) fn status(code: u64, words: &str) -> Vec<u8> {
    wire::counted(code, words)
}

#[cfg(test)]
mod tests;
