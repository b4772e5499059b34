//! The functions of the language, by area.
//!
//! A function is found by name when a selector is compiled; which overload is meant is decided by the values when
//! it runs, as fields of events have no types. Functions are pure: they see their arguments and a meter, and pay
//! for their work before doing it. Must never panic on any arguments.
//!
//! [`Function::resolve`] knows every name of [`super::declare`], and no other; a test walks that table.

use super::error::Why;
use super::meter::Meter;
use super::value::Value;

mod convert;
mod format;
mod json;
mod list;
mod math;
mod network;
pub(crate) mod operator;
pub(crate) mod pattern;
pub(crate) mod string;
pub(crate) mod texts;
pub(crate) mod time;

pub(crate) use network::{contains_ip, parse_cidr, parse_ip};

/// How a function is written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Plain,
    Member,
    Either,
}

macro_rules! functions {
    ($($name:ident = $text:literal, $form:ident, $low:literal..=$high:literal;)+) => {
        /// A function that can be called; the receiver counts as its first argument.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        #[allow(missing_docs)] // Each is the function of the name beside it.
        pub enum Function { $($name,)+ }

        const TABLE: &[(Function, &str, Form, usize, usize)] =
            &[$((Function::$name, $text, Form::$form, $low, $high),)+];
    };
}

functions! {
    Size = "size", Either, 1..=1;
    ToBool = "bool", Plain, 1..=1;
    ToBytes = "bytes", Plain, 1..=1;
    ToDouble = "double", Plain, 1..=1;
    ToDuration = "duration", Plain, 1..=1;
    ToDyn = "dyn", Plain, 1..=1;
    ToInt = "int", Plain, 1..=1;
    ToString = "string", Plain, 1..=1;
    ToTimestamp = "timestamp", Plain, 1..=1;
    ToType = "type", Plain, 1..=1;
    ToUint = "uint", Plain, 1..=1;
    Contains = "contains", Member, 2..=2;
    EndsWith = "endsWith", Member, 2..=2;
    StartsWith = "startsWith", Member, 2..=2;
    Matches = "matches", Either, 2..=2;
    CharAt = "charAt", Member, 2..=2;
    Format = "format", Member, 2..=2;
    IndexOf = "indexOf", Member, 2..=3;
    LastIndexOf = "lastIndexOf", Member, 2..=3;
    Join = "join", Member, 1..=2;
    LowerAscii = "lowerAscii", Member, 1..=1;
    UpperAscii = "upperAscii", Member, 1..=1;
    Replace = "replace", Member, 3..=4;
    Reverse = "reverse", Member, 1..=1;
    Split = "split", Member, 2..=3;
    Substring = "substring", Member, 2..=3;
    Trim = "trim", Member, 1..=1;
    Quote = "strings.quote", Plain, 1..=1;
    Glob = "glob", Plain, 2..=2;
    Base64Encode = "base64.encode", Plain, 1..=1;
    Base64Decode = "base64.decode", Plain, 1..=1;
    JsonParse = "json.parse", Plain, 1..=1;
    GetDate = "getDate", Member, 1..=2;
    GetDayOfMonth = "getDayOfMonth", Member, 1..=2;
    GetDayOfWeek = "getDayOfWeek", Member, 1..=2;
    GetDayOfYear = "getDayOfYear", Member, 1..=2;
    GetFullYear = "getFullYear", Member, 1..=2;
    GetHours = "getHours", Member, 1..=2;
    GetMilliseconds = "getMilliseconds", Member, 1..=2;
    GetMinutes = "getMinutes", Member, 1..=2;
    GetMonth = "getMonth", Member, 1..=2;
    GetSeconds = "getSeconds", Member, 1..=2;
    Greatest = "math.greatest", Plain, 1..=1000;
    Least = "math.least", Plain, 1..=1000;
    Abs = "math.abs", Plain, 1..=1;
    Sign = "math.sign", Plain, 1..=1;
    Ceil = "math.ceil", Plain, 1..=1;
    Floor = "math.floor", Plain, 1..=1;
    Round = "math.round", Plain, 1..=1;
    Trunc = "math.trunc", Plain, 1..=1;
    Sqrt = "math.sqrt", Plain, 1..=1;
    IsNan = "math.isNaN", Plain, 1..=1;
    IsInf = "math.isInf", Plain, 1..=1;
    IsFinite = "math.isFinite", Plain, 1..=1;
    BitAnd = "math.bitAnd", Plain, 2..=2;
    BitOr = "math.bitOr", Plain, 2..=2;
    BitXor = "math.bitXor", Plain, 2..=2;
    BitNot = "math.bitNot", Plain, 1..=1;
    BitShiftLeft = "math.bitShiftLeft", Plain, 2..=2;
    BitShiftRight = "math.bitShiftRight", Plain, 2..=2;
    Slice = "slice", Member, 3..=3;
    Flatten = "flatten", Member, 1..=2;
    Sort = "sort", Member, 1..=1;
    Distinct = "distinct", Member, 1..=1;
    First = "first", Member, 1..=1;
    Last = "last", Member, 1..=1;
    Range = "lists.range", Plain, 1..=1;
    OptionalNone = "optional.none", Plain, 0..=0;
    OptionalOf = "optional.of", Plain, 1..=1;
    OptionalOfNonZeroValue = "optional.ofNonZeroValue", Plain, 1..=1;
    OptionalUnwrap = "optional.unwrap", Plain, 1..=1;
    OptionalUnwrapMember = "unwrapOpt", Member, 1..=1;
    HasValue = "hasValue", Member, 1..=1;
    OptionalValue = "value", Member, 1..=1;
    Or = "or", Member, 2..=2;
    OrValue = "orValue", Member, 2..=2;
    ToIp = "ip", Either, 1..=1;
    ToCidr = "cidr", Plain, 1..=1;
    IsIp = "isIP", Plain, 1..=1;
    IsCidr = "isCIDR", Plain, 1..=1;
    IsCanonicalIp = "ip.isCanonical", Plain, 1..=1;
    Family = "family", Member, 1..=1;
    IsUnspecified = "isUnspecified", Member, 1..=1;
    IsLoopback = "isLoopback", Member, 1..=1;
    IsGlobalUnicast = "isGlobalUnicast", Member, 1..=1;
    IsLinkLocalMulticast = "isLinkLocalMulticast", Member, 1..=1;
    IsLinkLocalUnicast = "isLinkLocalUnicast", Member, 1..=1;
    ContainsIp = "containsIP", Member, 2..=2;
    ContainsCidr = "containsCIDR", Member, 2..=2;
    Masked = "masked", Member, 1..=1;
    PrefixLength = "prefixLength", Member, 1..=1;
    InList = "inList", Plain, 2..=2;
    Texts = "texts", Plain, 0..=1;
    Numbers = "numbers", Plain, 1..=1;
    DateParts = "dateParts", Plain, 2..=2;
    HasField = "hasField", Plain, 1..=1;
    IsNullOrAbsent = "isNullOrAbsent", Plain, 1..=1;
    AnyIs = "anyIs", Member, 2..=2;
    AnyStartsWith = "anyStartsWith", Member, 2..=2;
    AnyEndsWith = "anyEndsWith", Member, 2..=2;
    AnyContains = "anyContains", Member, 2..=2;
    AnyLike = "anyLike", Member, 2..=2;
    AnyMatches = "anyMatches", Member, 2..=2;
}

/// Whether a function is called on a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Called {
    /// `name(a)`
    Plain,
    /// `a.name()`
    OnValue,
}

impl Function {
    /// The function of this name that takes so many arguments, the receiver included.
    pub fn resolve(name: &str, called: Called, count: usize) -> Option<Function> {
        let unwanted = match called {
            Called::Plain => Form::Member,
            Called::OnValue => Form::Plain,
        };
        let found = TABLE.iter().find(|(_, text, form, low, high)| {
            *text == name && *form != unwanted && (*low..=*high).contains(&count)
        })?;
        Some(found.0)
    }

    /// Whether this asks for a part of a moment.
    pub fn is_time_part(self) -> bool {
        (Self::GetDate..=Self::GetSeconds).contains(&self)
    }

    /// Whether any function has this name.
    pub fn exists(name: &str) -> bool {
        TABLE.iter().any(|(_, text, ..)| *text == name)
    }

    /// The name, with its namespace.
    pub fn name(self) -> &'static str {
        TABLE
            .iter()
            .find(|(function, ..)| *function == self)
            .map_or("", |(_, name, ..)| name)
    }
}

/// Calls a function on its arguments, the receiver first. Lazy ones (`or`, `orValue`) are nodes of their own.
pub(crate) fn call<'e>(
    function: Function,
    arguments: &[Value<'e>],
    meter: &mut Meter,
) -> Result<Value<'e>, Why> {
    use Function as F;
    match function {
        F::Size
        | F::ToBool
        | F::ToBytes
        | F::ToDouble
        | F::ToDyn
        | F::ToInt
        | F::ToString
        | F::ToType
        | F::ToUint => convert::call(function, arguments, meter),
        F::ToTimestamp
        | F::ToDuration
        | F::GetDate
        | F::GetDayOfMonth
        | F::GetDayOfWeek
        | F::GetDayOfYear
        | F::GetFullYear
        | F::GetHours
        | F::GetMilliseconds
        | F::GetMinutes
        | F::GetMonth
        | F::GetSeconds => time::call(function, arguments, meter),
        F::Greatest
        | F::Least
        | F::Abs
        | F::Sign
        | F::Ceil
        | F::Floor
        | F::Round
        | F::Trunc
        | F::Sqrt
        | F::IsNan
        | F::IsInf
        | F::IsFinite
        | F::BitAnd
        | F::BitOr
        | F::BitXor
        | F::BitNot
        | F::BitShiftLeft
        | F::BitShiftRight => math::call(function, arguments, meter),
        F::Slice
        | F::Flatten
        | F::Sort
        | F::Distinct
        | F::First
        | F::Last
        | F::Range
        | F::OptionalUnwrap
        | F::OptionalUnwrapMember => list::call(function, arguments, meter),
        F::ToIp
        | F::ToCidr
        | F::IsIp
        | F::IsCidr
        | F::IsCanonicalIp
        | F::Family
        | F::IsUnspecified
        | F::IsLoopback
        | F::IsGlobalUnicast
        | F::IsLinkLocalMulticast
        | F::IsLinkLocalUnicast
        | F::ContainsIp
        | F::ContainsCidr
        | F::Masked
        | F::PrefixLength => network::call(function, arguments, meter),
        F::Contains if matches!(arguments, [Value::Cidr(_), _]) => {
            network::call(F::ContainsIp, arguments, meter)
        }
        F::Reverse if matches!(arguments, [Value::List(_)]) => {
            list::call(function, arguments, meter)
        }
        F::JsonParse => json::parse(arguments, meter),
        F::Format => format::call(arguments, meter),
        F::OptionalNone => Ok(Value::Optional(None)),
        F::OptionalOf => one(arguments).map(|value| Value::some(value.clone())),
        F::OptionalOfNonZeroValue => one(arguments).map(|value| match value.is_zero() {
            true => Value::Optional(None),
            false => Value::some(value.clone()),
        }),
        F::HasValue => match one(arguments)? {
            Value::Optional(inner) => Ok(Value::Bool(inner.is_some())),
            _ => Err(Why::NoSuchOverload),
        },
        F::OptionalValue => match one(arguments)? {
            Value::Optional(Some(inner)) => Ok((**inner).clone()),
            Value::Optional(None) => Err(Why::NoValue),
            _ => Err(Why::NoSuchOverload),
        },
        F::Or | F::OrValue => match arguments {
            [Value::Optional(None), other] => Ok(other.clone()),
            [Value::Optional(Some(_)), _] if function == F::Or => Ok(arguments[0].clone()),
            [Value::Optional(Some(inner)), _] => Ok((**inner).clone()),
            _ => Err(Why::NoSuchOverload),
        },
        F::InList | F::Texts | F::Numbers | F::DateParts | F::HasField | F::IsNullOrAbsent => {
            Err(Why::BadArgument)
        }
        F::AnyIs
        | F::AnyStartsWith
        | F::AnyEndsWith
        | F::AnyContains
        | F::AnyLike
        | F::AnyMatches => {
            let ask = function.ask().ok_or(Why::NoSuchOverload)?;
            texts::any(ask, arguments, meter)
        }
        _ => string::call(function, arguments, meter),
    }
}

fn one<'a, 'e>(arguments: &'a [Value<'e>]) -> Result<&'a Value<'e>, Why> {
    arguments.first().ok_or(Why::NoSuchOverload)
}

#[cfg(test)]
mod tests {
    use super::{Called, Function};
    use crate::selector::declare;

    #[test]
    fn every_declared_function_is_there_and_no_other() {
        for overload in declare::all() {
            if overload.name.starts_with(['_', '-', '!']) || overload.name == "cel.index" {
                continue;
            }
            let called = if overload.member {
                Called::OnValue
            } else {
                Called::Plain
            };
            let found = Function::resolve(overload.name, called, overload.params.len());
            assert!(found.is_some(), "{}", overload.signature);
        }
        for (function, name, ..) in super::TABLE {
            let declared = !declare::overloads(name, true).is_empty()
                || !declare::overloads(name, false).is_empty();
            assert!(declared, "{function:?}");
        }
    }
}
