//! Values as text for people, and as JSON for findings.
//!
//! The text of a value is CEL that reads as the same value where the language has such a form, so that an
//! explanation can be pasted back. JSON has fewer kinds: bytes become base64, times become their text, and
//! numbers that JSON cannot hold (NaN, infinity) become text.

use std::fmt;

use base64::Engine as _;

use super::{Cidr, MapValue, Value};
use crate::selector::function::time;
use crate::selector::literal;

/// Longest text of a value that is shown in full; more is cut with an ellipsis.
const SHOWN_CHARS_MAX: usize = 2_000;

impl fmt::Display for Value<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = Bounded {
            out: String::new(),
            left: SHOWN_CHARS_MAX,
        };
        let _ = write_value(&mut out, self);
        formatter.write_str(&out.out)
    }
}

/// Stops taking text when full, so that showing a huge value is cheap.
struct Bounded {
    out: String,
    left: usize,
}

impl Bounded {
    fn push(&mut self, text: &str) -> fmt::Result {
        for c in text.chars() {
            if self.left == 0 {
                if !self.out.ends_with('…') {
                    self.out.push('…');
                }
                return Err(fmt::Error);
            }
            self.left -= 1;
            self.out.push(c);
        }
        Ok(())
    }
}

fn write_value(out: &mut Bounded, value: &Value<'_>) -> fmt::Result {
    match value {
        Value::Null => out.push("null"),
        Value::Bool(value) => out.push(if *value { "true" } else { "false" }),
        Value::Int(value) => out.push(&value.to_string()),
        Value::Uint(value) => out.push(&format!("{value}u")),
        Value::Double(value) => out.push(&double_literal(*value)),
        Value::String(text) => {
            let end = text
                .char_indices()
                .nth(out.left + 1)
                .map_or(text.len(), |(at, _)| at);
            out.push(&literal::quoted(&text[..end]))
        }
        Value::Bytes(bytes) => out.push(&literal::quoted_bytes(
            &bytes[..bytes.len().min(out.left + 1)],
        )),
        Value::List(list) => {
            out.push("[")?;
            for (index, item) in list.iter().enumerate() {
                if index > 0 {
                    out.push(", ")?;
                }
                write_value(out, &item)?;
            }
            out.push("]")
        }
        Value::Map(map) => write_map(out, map),
        Value::Timestamp(value) => {
            out.push(&format!("timestamp(\"{}\")", time::timestamp_text(*value)))
        }
        Value::Duration(value) => {
            out.push(&format!("duration(\"{}\")", time::duration_text(*value)))
        }
        Value::Type(value) => out.push(value.name()),
        Value::Optional(None) => out.push("optional.none()"),
        Value::Optional(Some(value)) => {
            out.push("optional.of(")?;
            write_value(out, value)?;
            out.push(")")
        }
        Value::Ip(value) => out.push(&format!("ip(\"{value}\")")),
        Value::Cidr(value) => out.push(&format!("cidr(\"{value}\")")),
    }
}

fn write_map(out: &mut Bounded, map: &MapValue<'_>) -> fmt::Result {
    out.push("{")?;
    for (index, (key, value)) in map.entries().enumerate() {
        if index > 0 {
            out.push(", ")?;
        }
        write_value(out, &key)?;
        out.push(": ")?;
        write_value(out, &value)?;
    }
    out.push("}")
}

impl fmt::Display for Cidr {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.address, self.prefix)
    }
}

/// A double as a literal; what no literal spells is a conversion.
fn double_literal(value: f64) -> String {
    if value.is_finite() {
        return format!("{value:?}");
    }
    format!("double(\"{}\")", double_text(value))
}

/// A double as `string(double)` gives it: shortest text that reads as the same number, with an exponent where
/// C's `%g` has one.
pub(crate) fn double_text(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "Infinity" } else { "-Infinity" }.to_owned();
    }
    let magnitude = value.abs();
    if magnitude != 0.0 && !(1e-4..1e21).contains(&magnitude) {
        let text = format!("{value:e}");
        let Some((digits, exponent)) = text.split_once('e') else {
            return text;
        };
        let (sign, exponent) = match exponent.strip_prefix('-') {
            Some(exponent) => ('-', exponent),
            None => ('+', exponent),
        };
        return format!("{digits}e{sign}{exponent:0>2}");
    }
    format!("{value}")
}

impl Value<'_> {
    /// As JSON; keys that are no text become their text.
    pub fn to_json(&self) -> serde_json::Value {
        use serde_json::Value as Out;
        match self {
            Value::Null | Value::Optional(None) => Out::Null,
            Value::Bool(value) => Out::Bool(*value),
            Value::Int(value) => Out::from(*value),
            Value::Uint(value) => Out::from(*value),
            Value::Double(value) => serde_json::Number::from_f64(*value)
                .map_or_else(|| Out::String(double_text(*value)), Out::Number),
            Value::String(text) => Out::String((**text).to_owned()),
            Value::Bytes(bytes) => {
                Out::String(base64::engine::general_purpose::STANDARD.encode(&**bytes))
            }
            Value::List(list) => list.iter().map(|item| item.to_json()).collect(),
            Value::Map(map) => map
                .entries()
                .map(|(key, value)| (key_text(&key), value.to_json()))
                .collect::<serde_json::Map<_, _>>()
                .into(),
            Value::Timestamp(value) => Out::String(time::timestamp_text(*value)),
            Value::Duration(value) => Out::String(time::duration_text(*value)),
            Value::Type(value) => Out::String(value.name().to_owned()),
            Value::Optional(Some(value)) => value.to_json(),
            Value::Ip(value) => Out::String(value.to_string()),
            Value::Cidr(value) => Out::String(value.to_string()),
        }
    }
}

fn key_text(key: &Value<'_>) -> String {
    match key {
        Value::String(text) => (**text).to_owned(),
        Value::Uint(value) => value.to_string(),
        other => other.to_string(),
    }
}
