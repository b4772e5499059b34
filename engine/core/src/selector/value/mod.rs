//! The values of the language, borrowed from the event or the program wherever they can be.
//!
//! A [`Value`] is a small enum: cloning one copies a few words or counts a reference. JSON lists and objects stay
//! cursors into the event; only what an expression builds is owned. Relies on [`crate::event`] for cursors.
//!
//! Must never allocate for reading a field, comparing or asking for a size; and must never decide what a number
//! is by its text: an event's integers are int (uint above the largest int), everything else is double.
//! A tree of owned values per event was rejected: making it costs more than evaluating a thousand rules.

use std::fmt;
use std::net::IpAddr;
use std::ops::Deref;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use crate::event::{Json, Kind, Number};

mod compare;
mod display;
mod list;
mod map;

pub use list::ListValue;
pub use map::{Entries, MapValue};

pub(crate) use map::is_key;

pub(crate) use compare::{charge_lookup, compare_keys, compare_numbers, equals, order};
pub(crate) use display::double_text;

/// A value that an expression can have.
#[derive(Clone, Debug)]
pub enum Value<'e> {
    /// `null`
    Null,
    /// `true`, `false`
    Bool(bool),
    /// 64-bit integer.
    Int(i64),
    /// Unsigned 64-bit integer.
    Uint(u64),
    /// 64-bit floating point.
    Double(f64),
    /// Text.
    String(StringValue<'e>),
    /// Bytes.
    Bytes(BytesValue<'e>),
    /// A list.
    List(ListValue<'e>),
    /// A map.
    Map(MapValue<'e>),
    /// A moment between the years 1 and 9999.
    Timestamp(Moment),
    /// A length of time.
    Duration(SignedDuration),
    /// A type.
    Type(ValueType),
    /// A value or nothing.
    Optional(Option<Arc<Value<'e>>>),
    /// An IP address.
    Ip(IpAddr),
    /// A range of IP addresses.
    Cidr(Cidr),
}

/// Text, borrowed or shared.
#[derive(Clone)]
pub enum StringValue<'e> {
    /// In the event or the program.
    Borrowed(&'e str),
    /// Built by an expression, or decoded from escapes.
    Shared(Arc<str>),
}

/// Bytes, borrowed or shared.
#[derive(Clone, Debug)]
pub enum BytesValue<'e> {
    /// In the program, or the bytes of borrowed text.
    Borrowed(&'e [u8]),
    /// Built by an expression.
    Shared(Arc<[u8]>),
}

/// A range of IP addresses: an address, its host bits kept, and how many leading bits count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cidr {
    /// As written, host bits included.
    pub address: IpAddr,
    /// Leading bits that are the network.
    pub prefix: u8,
}

/// A moment between the years 1 and 9999, to the nanosecond. Not jiff's, whose range ends a day earlier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment {
    seconds: i64,
    nanosecond: u32,
}

impl Moment {
    /// 1970-01-01T00:00:00Z.
    pub const EPOCH: Moment = Moment {
        seconds: 0,
        nanosecond: 0,
    };
    /// 0001-01-01T00:00:00Z, in seconds.
    pub const SECONDS_MIN: i64 = -62_135_596_800;
    /// 9999-12-31T23:59:59Z, in seconds.
    pub const SECONDS_MAX: i64 = 253_402_300_799;

    /// The moment so many seconds after 1970 and nanoseconds after that; `None` outside of the range.
    pub fn new(seconds: i64, nanosecond: u32) -> Option<Moment> {
        let inside = (Self::SECONDS_MIN..=Self::SECONDS_MAX).contains(&seconds);
        if inside && nanosecond < 1_000_000_000 {
            Some(Moment {
                seconds,
                nanosecond,
            })
        } else {
            None
        }
    }

    /// Seconds after 1970, rounded towards the past.
    pub fn seconds(self) -> i64 {
        self.seconds
    }

    /// Nanoseconds after [`Self::seconds`].
    pub fn nanosecond(self) -> u32 {
        self.nanosecond
    }

    /// As jiff has it; the last moment that jiff has for those beyond.
    pub fn to_timestamp(self) -> Timestamp {
        Timestamp::new(self.seconds, self.nanosecond.cast_signed()).unwrap_or(Timestamp::MAX)
    }
}

/// What kind of value a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)] // Each is the kind of the variant of [`Value`] with the same name.
pub enum ValueType {
    Null,
    Bool,
    Int,
    Uint,
    Double,
    String,
    Bytes,
    List,
    Map,
    Timestamp,
    Duration,
    Type,
    Optional,
    Ip,
    Cidr,
}

impl ValueType {
    const ALL: [ValueType; 15] = [
        ValueType::Null,
        ValueType::Bool,
        ValueType::Int,
        ValueType::Uint,
        ValueType::Double,
        ValueType::String,
        ValueType::Bytes,
        ValueType::List,
        ValueType::Map,
        ValueType::Timestamp,
        ValueType::Duration,
        ValueType::Type,
        ValueType::Optional,
        ValueType::Ip,
        ValueType::Cidr,
    ];

    /// The name that expressions use.
    pub fn name(self) -> &'static str {
        match self {
            Self::Null => "null_type",
            Self::Bool => "bool",
            Self::Int => "int",
            Self::Uint => "uint",
            Self::Double => "double",
            Self::String => "string",
            Self::Bytes => "bytes",
            Self::List => "list",
            Self::Map => "map",
            Self::Timestamp => "google.protobuf.Timestamp",
            Self::Duration => "google.protobuf.Duration",
            Self::Type => "type",
            Self::Optional => "optional_type",
            Self::Ip => "net.IP",
            Self::Cidr => "net.CIDR",
        }
    }

    /// The type with this name.
    pub fn named(name: &str) -> Option<ValueType> {
        Self::ALL.into_iter().find(|one| one.name() == name)
    }
}

impl<'e> Value<'e> {
    /// Borrowed text.
    pub fn text(text: &'e str) -> Self {
        Value::String(StringValue::Borrowed(text))
    }

    /// Text that was built.
    pub fn owned_text(text: impl Into<Arc<str>>) -> Self {
        Value::String(StringValue::Shared(text.into()))
    }

    /// Bytes that were built.
    pub fn owned_bytes(bytes: impl Into<Arc<[u8]>>) -> Self {
        Value::Bytes(BytesValue::Shared(bytes.into()))
    }

    /// A list that was built.
    pub fn list(items: Vec<Value<'e>>) -> Self {
        Value::List(ListValue::Shared(items.into()))
    }

    /// An optional with a value.
    pub fn some(value: Value<'e>) -> Self {
        Value::Optional(Some(Arc::new(value)))
    }

    /// The value of a part of an event. Text with escapes is decoded, everything else borrowed.
    #[inline]
    pub fn from_json(json: Json<'e>) -> Self {
        match json.kind() {
            Kind::String => match json.as_text() {
                Some(text) if !text.is_escaped() => Value::text(text.raw()),
                Some(text) => Value::owned_text(text.decode().into_owned()),
                None => Value::Null,
            },
            Kind::Null => Value::Null,
            Kind::Bool => Value::Bool(json.as_bool() == Some(true)),
            Kind::Number => match json.as_number() {
                Some(Number::Int(value)) => Value::Int(value),
                Some(Number::Uint(value)) => Value::Uint(value),
                Some(Number::Double(value)) => Value::Double(value),
                None => Value::Null,
            },
            Kind::Array => Value::List(ListValue::Json(json)),
            Kind::Object => Value::Map(MapValue::Json(json)),
        }
    }

    /// The same value, its text and parts borrowed.
    #[inline]
    pub(crate) fn borrow(&'e self) -> Value<'e> {
        match self {
            Value::String(text) => Value::String(StringValue::Borrowed(text)),
            Value::Bytes(bytes) => Value::Bytes(BytesValue::Borrowed(bytes)),
            Value::List(ListValue::Shared(items)) => Value::List(ListValue::Borrowed(items)),
            Value::Map(MapValue::Shared(entries)) => Value::Map(MapValue::Borrowed(entries)),
            other => other.clone(),
        }
    }

    /// What kind of value this is.
    pub fn value_type(&self) -> ValueType {
        match self {
            Value::Null => ValueType::Null,
            Value::Bool(_) => ValueType::Bool,
            Value::Int(_) => ValueType::Int,
            Value::Uint(_) => ValueType::Uint,
            Value::Double(_) => ValueType::Double,
            Value::String(_) => ValueType::String,
            Value::Bytes(_) => ValueType::Bytes,
            Value::List(_) => ValueType::List,
            Value::Map(_) => ValueType::Map,
            Value::Timestamp(_) => ValueType::Timestamp,
            Value::Duration(_) => ValueType::Duration,
            Value::Type(_) => ValueType::Type,
            Value::Optional(_) => ValueType::Optional,
            Value::Ip(_) => ValueType::Ip,
            Value::Cidr(_) => ValueType::Cidr,
        }
    }

    /// The text, when this is text.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Value::String(text) => Some(text),
            _ => None,
        }
    }

    /// Whether this is what an absent value would be: null, false, zero, empty. `optional.ofNonZeroValue`
    /// makes nothing of it.
    pub(crate) fn is_zero(&self) -> bool {
        match self {
            Value::Null => true,
            Value::Bool(value) => !value,
            Value::Int(value) => *value == 0,
            Value::Uint(value) => *value == 0,
            Value::Double(value) => *value == 0.0,
            Value::String(text) => text.is_empty(),
            Value::Bytes(bytes) => bytes.is_empty(),
            Value::List(list) => list.is_empty(),
            Value::Map(map) => map.is_empty(),
            Value::Timestamp(time) => *time == Moment::EPOCH,
            Value::Duration(time) => time.is_zero(),
            Value::Optional(inner) => inner.is_none(),
            Value::Type(_) | Value::Ip(_) | Value::Cidr(_) => false,
        }
    }

    /// About how many parts this value has in memory, for bounds; never walks JSON.
    pub(crate) fn weight(&self) -> usize {
        match self {
            Value::String(text) => text.len() / 16 + 1,
            Value::Bytes(bytes) => bytes.len() / 16 + 1,
            Value::List(list) => list.len() + 1,
            Value::Map(map) => map.len() + 1,
            _ => 1,
        }
    }
}

impl Deref for StringValue<'_> {
    type Target = str;

    #[inline]
    fn deref(&self) -> &str {
        match self {
            Self::Borrowed(text) => text,
            Self::Shared(text) => text,
        }
    }
}

impl fmt::Debug for StringValue<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, formatter)
    }
}

impl<'e> StringValue<'e> {
    /// A piece of the text, borrowed when the whole is.
    pub(crate) fn slice(&self, range: std::ops::Range<usize>) -> StringValue<'e> {
        match self {
            Self::Borrowed(text) => Self::Borrowed(text.get(range).unwrap_or("")),
            Self::Shared(text) => Self::Shared(text.get(range).unwrap_or("").into()),
        }
    }
}

impl Deref for BytesValue<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Borrowed(bytes) => bytes,
            Self::Shared(bytes) => bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Value, ValueType};

    #[test]
    fn a_value_is_small_and_every_type_has_its_own_name() {
        assert!(size_of::<Value<'_>>() <= 56, "{}", size_of::<Value<'_>>());
        for one in ValueType::ALL {
            assert_eq!(ValueType::named(one.name()), Some(one));
        }
    }
}
