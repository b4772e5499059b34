//! OTLP logs in protobuf, read by the numbers that the published messages have.
//!
//! Relies on `prost` for numbers and lengths. What has an unknown number is passed over, as the format demands. Nothing is believed of a
//! length but what is there. Rejected: generated messages, whose macros have half of the workspace built anew, and that
//! keep all of a request a second time.

use super::super::Unreadable;
use super::{Around, Record};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use prost::encoding::{WireType, decode_key, decode_varint, encode_varint};
use serde_json::{Map, Number, Value};
use std::fmt::Write;

/// How deep values may be.
const DEPTH_MAX: usize = 64;

/// What a field holds.
#[derive(Clone, Copy)]
enum Held<'b> {
    Number(u64),
    Bytes(&'b [u8]),
}

/// The fields of a message, one after the other.
struct Fields<'b>(&'b [u8]);

fn broken(words: &'static str) -> Unreadable {
    Unreadable::malformed(words)
}

impl<'b> Fields<'b> {
    fn take(&mut self, count: u64) -> Result<&'b [u8], Unreadable> {
        let count = usize::try_from(count).ok();
        let split = count.and_then(|count| self.0.split_at_checked(count));
        let (taken, rest) = split.ok_or_else(|| broken("a field is longer than its message"))?;
        self.0 = rest;
        Ok(taken)
    }

    fn little_endian(&mut self, count: u64) -> Result<u64, Unreadable> {
        let bytes = self.take(count)?.iter().rev();
        Ok(bytes.fold(0, |value, byte| (value << 8) | u64::from(*byte)))
    }

    fn varint(&mut self) -> Result<u64, Unreadable> {
        decode_varint(&mut self.0).map_err(|why| Unreadable::malformed(why.to_string()))
    }

    fn next(&mut self) -> Result<Option<(u32, Held<'b>)>, Unreadable> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let (number, kind) =
            decode_key(&mut self.0).map_err(|why| Unreadable::malformed(why.to_string()))?;
        let held = match kind {
            WireType::Varint => Held::Number(self.varint()?),
            WireType::SixtyFourBit => Held::Number(self.little_endian(8)?),
            WireType::ThirtyTwoBit => Held::Number(self.little_endian(4)?),
            WireType::LengthDelimited => {
                let length = self.varint()?;
                Held::Bytes(self.take(length)?)
            }
            WireType::StartGroup | WireType::EndGroup => return Err(broken("groups are not read")),
        };
        Ok(Some((number, held)))
    }
}

fn text(bytes: &[u8]) -> Result<String, Unreadable> {
    let text = std::str::from_utf8(bytes).map_err(|_| broken("a text is not UTF-8"))?;
    Ok(text.to_owned())
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::new();
    for byte in bytes {
        // Writing to a text does not fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// Hands over every log record of a request.
pub(super) fn request(body: &[u8], add: &mut dyn FnMut(&Around, Record)) -> Result<(), Unreadable> {
    let mut fields = Fields(body);
    while let Some(field) = fields.next()? {
        if let (1, Held::Bytes(bytes)) = field {
            of_resource(bytes, add)?;
        }
    }
    Ok(())
}

/// What is said of them may stand behind the records.
fn of_resource(bytes: &[u8], add: &mut dyn FnMut(&Around, Record)) -> Result<(), Unreadable> {
    let mut around = Around::default();
    let mut fields = Fields(bytes);
    while let Some(field) = fields.next()? {
        if let (1, Held::Bytes(resource)) = field {
            around.resource = pairs(resource, 1, 0)?;
        }
    }
    let mut fields = Fields(bytes);
    while let Some(field) = fields.next()? {
        if let (2, Held::Bytes(scope)) = field {
            of_scope(scope, &mut around, add)?;
        }
    }
    Ok(())
}

fn of_scope(
    bytes: &[u8],
    around: &mut Around,
    add: &mut dyn FnMut(&Around, Record),
) -> Result<(), Unreadable> {
    around.scope = Map::new();
    let mut fields = Fields(bytes);
    while let Some(field) = fields.next()? {
        if let (1, Held::Bytes(scope)) = field {
            around.scope = scope_of(scope)?;
        }
    }
    let mut fields = Fields(bytes);
    while let Some(field) = fields.next()? {
        if let (2, Held::Bytes(one)) = field {
            add(around, record(one)?);
        }
    }
    Ok(())
}

fn scope_of(bytes: &[u8]) -> Result<Map<String, Value>, Unreadable> {
    let mut said = Map::new();
    let mut fields = Fields(bytes);
    while let Some(field) = fields.next()? {
        let key = match field.0 {
            1 => "name",
            2 => "version",
            _ => continue,
        };
        if let Held::Bytes(bytes) = field.1
            && !bytes.is_empty()
        {
            said.insert(key.to_owned(), text(bytes)?.into());
        }
    }
    let attributes = pairs(bytes, 3, 0)?;
    if !attributes.is_empty() {
        said.insert("attributes".to_owned(), attributes.into());
    }
    Ok(said)
}

fn record(bytes: &[u8]) -> Result<Record, Unreadable> {
    let mut record = Record {
        attributes: pairs(bytes, 6, 0)?,
        ..Record::default()
    };
    let mut fields = Fields(bytes);
    while let Some(field) = fields.next()? {
        match field {
            (1, Held::Number(nanos)) => record.time_nanos = nanos,
            (2, Held::Number(number)) => record.severity = number,
            (3, Held::Bytes(bytes)) => record.severity_text = text(bytes)?,
            (5, Held::Bytes(bytes)) => record.body = any(bytes, 0)?,
            (8, Held::Number(flags)) => record.flags = flags,
            (9, Held::Bytes(bytes)) => record.trace_id = hex(bytes),
            (10, Held::Bytes(bytes)) => record.span_id = hex(bytes),
            (11, Held::Number(nanos)) => record.observed_nanos = nanos,
            (12, Held::Bytes(bytes)) => record.event_name = text(bytes)?,
            _ => {}
        }
    }
    Ok(record)
}

/// Keys and values that are in a message under a number.
fn pairs(bytes: &[u8], wanted: u32, depth: usize) -> Result<Map<String, Value>, Unreadable> {
    let mut map = Map::new();
    let mut fields = Fields(bytes);
    while let Some((number, held)) = fields.next()? {
        let Held::Bytes(pair) = held else { continue };
        if number != wanted {
            continue;
        }
        let (mut key, mut value) = (String::new(), Value::Null);
        let mut parts = Fields(pair);
        while let Some(part) = parts.next()? {
            match part {
                (1, Held::Bytes(bytes)) => key = text(bytes)?,
                (2, Held::Bytes(bytes)) => value = any(bytes, depth)?.unwrap_or(Value::Null),
                _ => {}
            }
        }
        map.insert(key, value);
    }
    Ok(map)
}

fn any(bytes: &[u8], depth: usize) -> Result<Option<Value>, Unreadable> {
    if depth == DEPTH_MAX {
        return Err(broken("values are too deep"));
    }
    let mut found = None;
    let mut fields = Fields(bytes);
    while let Some(field) = fields.next()? {
        found = Some(match field {
            (1, Held::Bytes(bytes)) => text(bytes)?.into(),
            (2, Held::Number(number)) => (number != 0).into(),
            // Negative numbers have all 64 bits.
            (3, Held::Number(number)) => (number as i64).into(),
            (4, Held::Number(bits)) => {
                let double = f64::from_bits(bits);
                let number = Number::from_f64(double).map(Value::Number);
                number.unwrap_or_else(|| double.to_string().into())
            }
            (5, Held::Bytes(bytes)) => {
                let mut values = Vec::new();
                let mut parts = Fields(bytes);
                while let Some(part) = parts.next()? {
                    if let (1, Held::Bytes(bytes)) = part {
                        values.push(any(bytes, depth + 1)?.unwrap_or(Value::Null));
                    }
                }
                values.into()
            }
            (6, Held::Bytes(bytes)) => pairs(bytes, 1, depth + 1)?.into(),
            (7, Held::Bytes(bytes)) => STANDARD.encode(bytes).into(),
            _ => continue,
        });
    }
    Ok(found)
}

/// A message within another.
pub(super) fn nested(number: u64, bytes: &[u8]) -> Vec<u8> {
    let mut all = Vec::new();
    encode_varint(number << 3 | 2, &mut all);
    encode_varint(bytes.len() as u64, &mut all);
    all.extend_from_slice(bytes);
    all
}

/// A message of a number and a text, as `Status` and `ExportLogsPartialSuccess` both are.
pub(super) fn counted(number: u64, words: &str) -> Vec<u8> {
    let mut all = Vec::new();
    encode_varint(1 << 3, &mut all);
    encode_varint(number, &mut all);
    all.extend(nested(2, words.as_bytes()));
    all
}
