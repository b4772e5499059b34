//! `json.parse`: JSON text in a field, as values.
//!
//! Audit records carry policies and requests as JSON text. Numbers become what an event's numbers become, a key
//! that comes twice is refused as it is in events, and nesting is bounded by the parser. Values are owned, as the
//! text may be one that the expression made.

use std::fmt;
use std::sync::Arc;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use crate::selector::error::Why;
use crate::selector::meter::Meter;
use crate::selector::value::{Entries, MapValue, Value};

/// The value that the text is.
pub(super) fn parse<'e>(arguments: &[Value<'e>], meter: &mut Meter) -> Result<Value<'e>, Why> {
    let [Value::String(text)] = arguments else {
        return Err(Why::NoSuchOverload);
    };
    meter.charge(1 + text.len() as u64 / 4)?;
    let Parsed(value) = serde_json::from_str(text).map_err(|_| Why::BadText)?;
    Ok(value)
}

struct Parsed(Value<'static>);

impl<'de> Deserialize<'de> for Parsed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor).map(Parsed)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value<'static>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Self::Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Self::Value, E> {
        Ok(Value::Int(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Self::Value, E> {
        Ok(i64::try_from(value).map_or(Value::Uint(value), Value::Int))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Self::Value, E> {
        Ok(Value::Double(value))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Value::owned_text(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
        let mut items = Vec::new();
        while let Some(Parsed(item)) = access.next_element()? {
            items.push(item);
        }
        Ok(Value::list(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
        let mut entries = Vec::new();
        while let Some((key, Parsed(value))) = access.next_entry::<String, Parsed>()? {
            entries.push((Value::owned_text(key), value));
        }
        let entries = Entries::new(entries).map_err(|_| A::Error::custom("a key comes twice"))?;
        Ok(Value::Map(MapValue::Shared(Arc::new(entries))))
    }
}
