//! `format`: a text with clauses filled from a list.
//!
//! The clauses are those of the strings extension: `%s %d %f %e %b %o %x %X %%`, with a precision for `%f` and
//! `%e`. What a clause cannot show is an error, never a guess.

use std::fmt::Write as _;

use super::time;
use crate::selector::error::Why;
use crate::selector::meter::Meter;
use crate::selector::value::{Value, double_text};

/// Most digits after the point.
const PRECISION_MAX: usize = 100;

/// Deepest value that `%s` shows.
const SHOWN_DEPTH_MAX: usize = 128;

pub(super) fn call<'e>(arguments: &[Value<'e>], meter: &mut Meter) -> Result<Value<'e>, Why> {
    let [Value::String(text), Value::List(list)] = arguments else {
        return Err(Why::NoSuchOverload);
    };
    let mut out = Output {
        text: String::new(),
        meter,
    };
    let mut items = list.iter();
    let mut rest: &str = text;
    while let Some(at) = rest.find('%') {
        out.push(&rest[..at])?;
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('%') {
            out.push("%")?;
            rest = after;
            continue;
        }
        let (precision, after) = precision(rest)?;
        let clause = after.chars().next().ok_or(Why::BadFormat)?;
        rest = &after[clause.len_utf8()..];
        let item = items.next().ok_or(Why::BadFormat)?;
        out.clause(clause, precision, &item)?;
    }
    out.push(rest)?;
    Ok(Value::owned_text(out.text))
}

fn precision(text: &str) -> Result<(Option<usize>, &str), Why> {
    let Some(after) = text.strip_prefix('.') else {
        return Ok((None, text));
    };
    let length = after.bytes().take_while(u8::is_ascii_digit).count();
    let value = after[..length].parse().map_err(|_| Why::BadFormat)?;
    if value > PRECISION_MAX {
        return Err(Why::BadFormat);
    }
    Ok((Some(value), &after[length..]))
}

struct Output<'m> {
    text: String,
    meter: &'m mut Meter,
}

impl Output<'_> {
    fn push(&mut self, text: &str) -> Result<(), Why> {
        self.meter.charge(1 + text.len() as u64 / 10)?;
        self.text.push_str(text);
        Ok(())
    }

    fn clause(
        &mut self,
        clause: char,
        precision: Option<usize>,
        item: &Value<'_>,
    ) -> Result<(), Why> {
        let shown = match (clause, item) {
            ('s', _) => return self.shown(item, 0),
            ('d', Value::Int(value)) => value.to_string(),
            ('d', Value::Uint(value)) => value.to_string(),
            ('d' | 'f' | 'e', Value::Double(value)) if !value.is_finite() => double_text(*value),
            ('f', _) => format!("{:.*}", precision.unwrap_or(6), number(item)?),
            ('e', _) => scientific(number(item)?, precision.unwrap_or(6)),
            ('b', Value::Int(value)) => signed(*value, |magnitude| format!("{magnitude:b}")),
            ('b', Value::Uint(value)) => format!("{value:b}"),
            ('b', Value::Bool(value)) => u8::from(*value).to_string(),
            ('o', Value::Int(value)) => signed(*value, |magnitude| format!("{magnitude:o}")),
            ('o', Value::Uint(value)) => format!("{value:o}"),
            ('x' | 'X', _) => {
                let lower = hexadecimal(item, self.meter)?;
                if clause == 'X' {
                    lower.to_ascii_uppercase()
                } else {
                    lower
                }
            }
            _ => return Err(Why::BadFormat),
        };
        self.push(&shown)
    }

    /// `%s`: text without quotes, lists and maps with theirs, map entries in the order of their keys' text.
    fn shown(&mut self, item: &Value<'_>, depth: usize) -> Result<(), Why> {
        if depth > SHOWN_DEPTH_MAX {
            return Err(Why::BadFormat);
        }
        match item {
            Value::String(text) => self.push(text),
            Value::Bytes(bytes) => self.push(&String::from_utf8_lossy(bytes)),
            Value::Null => self.push("null"),
            Value::Bool(value) => self.push(if *value { "true" } else { "false" }),
            Value::Int(value) => self.push(&value.to_string()),
            Value::Uint(value) => self.push(&value.to_string()),
            Value::Double(value) => self.push(&double_text(*value)),
            Value::Timestamp(value) => self.push(&time::timestamp_text(*value)),
            Value::Duration(value) => self.push(&time::duration_text(*value)),
            Value::Type(value) => self.push(value.name()),
            Value::List(list) => {
                self.push("[")?;
                for (index, item) in list.iter().enumerate() {
                    if index > 0 {
                        self.push(", ")?;
                    }
                    self.shown(&item, depth + 1)?;
                }
                self.push("]")
            }
            Value::Map(map) => {
                let mut entries = Vec::with_capacity(map.len().min(1024));
                for (key, value) in map.entries() {
                    let mut shown = Output {
                        text: String::new(),
                        meter: self.meter,
                    };
                    shown.shown(&key, depth + 1)?;
                    entries.push((shown.text, value));
                }
                entries.sort_by(|left, right| left.0.cmp(&right.0));
                self.push("{")?;
                for (index, (key, value)) in entries.iter().enumerate() {
                    self.push(if index > 0 { ", " } else { "" })?;
                    self.push(key)?;
                    self.push(": ")?;
                    self.shown(value, depth + 1)?;
                }
                self.push("}")
            }
            Value::Optional(_) | Value::Ip(_) | Value::Cidr(_) => Err(Why::BadFormat),
        }
    }
}

fn number(item: &Value<'_>) -> Result<f64, Why> {
    match item {
        Value::Double(value) => Ok(*value),
        Value::Int(value) => Ok(*value as f64),
        Value::Uint(value) => Ok(*value as f64),
        _ => Err(Why::BadFormat),
    }
}

/// With a sign and at least two digits of exponent, as C has it.
fn scientific(value: f64, precision: usize) -> String {
    let text = format!("{value:.precision$e}");
    let Some((digits, exponent)) = text.split_once('e') else {
        return text;
    };
    let (sign, exponent) = match exponent.strip_prefix('-') {
        Some(exponent) => ('-', exponent),
        None => ('+', exponent),
    };
    format!("{digits}e{sign}{exponent:0>2}")
}

fn signed(value: i64, show: impl Fn(u64) -> String) -> String {
    let sign = if value < 0 { "-" } else { "" };
    format!("{sign}{}", show(value.unsigned_abs()))
}

fn hexadecimal(item: &Value<'_>, meter: &mut Meter) -> Result<String, Why> {
    let bytes: &[u8] = match item {
        Value::Int(value) => return Ok(signed(*value, |magnitude| format!("{magnitude:x}"))),
        Value::Uint(value) => return Ok(format!("{value:x}")),
        Value::String(text) => text.as_bytes(),
        Value::Bytes(bytes) => bytes,
        _ => return Err(Why::BadFormat),
    };
    meter.charge_bytes(bytes.len())?;
    let mut out = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        let _ = write!(out, "{byte:02x}");
    }
    Ok(out)
}
