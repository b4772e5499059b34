//! Why an evaluation has no value.
//!
//! Errors are as common as values over sparse events, so they are a few bytes and carry no text: `node` says where,
//! `why` says what, and the words are made when somebody asks.

use std::fmt;

use super::program::NodeId;
use crate::event::FieldId;

/// An expression has no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EvalError {
    /// What went wrong.
    pub why: Why,
    /// Where, in the program.
    pub node: NodeId,
}

/// What went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The event does not have the field.
    AbsentField(FieldId),
    /// The map does not have the key.
    NoSuchKey,
    /// The list does not have the position.
    IndexOutOfRange,
    /// The operator or function does not take such values.
    NoSuchOverload,
    /// Something that is neither true nor false is used as a condition.
    NotABool,
    /// A number is divided by zero.
    DivisionByZero,
    /// The result does not fit the type.
    Overflow,
    /// A time or number is outside of what the type can hold.
    OutOfRange,
    /// Text that cannot be read as what it should be.
    BadText,
    /// An argument that the function does not take.
    BadArgument,
    /// A map literal has a key twice.
    RepeatedKey,
    /// A value that cannot be the key of a map.
    BadKey,
    /// `optional.none()` has no value.
    NoValue,
    /// A regular expression that cannot be compiled.
    BadPattern,
    /// A `format` text that cannot be followed.
    BadFormat,
    /// The budget of the selector is used up.
    CostExceeded,
    /// A name that nothing has.
    UnknownName,
    /// A function that does not exist.
    UnknownFunction,
}

impl Why {
    /// A stable word for counting.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AbsentField(_) => "absent_field",
            Self::NoSuchKey => "no_such_key",
            Self::IndexOutOfRange => "index_out_of_range",
            Self::NoSuchOverload => "no_such_overload",
            Self::NotABool => "not_a_bool",
            Self::DivisionByZero => "division_by_zero",
            Self::Overflow => "overflow",
            Self::OutOfRange => "out_of_range",
            Self::BadText => "bad_text",
            Self::BadArgument => "bad_argument",
            Self::RepeatedKey => "repeated_key",
            Self::BadKey => "bad_key",
            Self::NoValue => "no_value",
            Self::BadPattern => "bad_pattern",
            Self::BadFormat => "bad_format",
            Self::CostExceeded => "cost_exceeded",
            Self::UnknownName => "unknown_name",
            Self::UnknownFunction => "unknown_function",
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::AbsentField(_) => "the event does not have the field",
            Self::NoSuchKey => "no such key",
            Self::IndexOutOfRange => "index out of range",
            Self::NoSuchOverload => {
                "no such overload: the operator or function does not take values of these types"
            }
            Self::NotABool => "the condition is neither true nor false",
            Self::DivisionByZero => "division by zero",
            Self::Overflow => "the result does not fit its type",
            Self::OutOfRange => "out of range",
            Self::BadText => "the text cannot be read as the wanted type",
            Self::BadArgument => "the function does not take this argument",
            Self::RepeatedKey => "the map has the same key twice",
            Self::BadKey => "a map cannot have such a key",
            Self::NoValue => "the optional has no value",
            Self::BadPattern => "the regular expression cannot be compiled",
            Self::BadFormat => "the format text cannot be followed",
            Self::CostExceeded => "the cost limit is reached",
            Self::UnknownName => "nothing has this name",
            Self::UnknownFunction => "there is no such function",
        })
    }
}
