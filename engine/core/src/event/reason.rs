//! Why bytes are no event.
//!
//! Relies on nothing. Each reason is counted and shown by its name, so names are part of what users see and
//! are never reused with another meaning. A closed enum rather than error text: the readers of input count
//! refusals by reason, and text would be counted by accident of its wording.

use std::fmt;

use crate::limits;

/// What is wrong with bytes that were to be one event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// The bytes are not UTF-8.
    NotUtf8,
    /// The text ends before the object does.
    Truncated,
    /// The text is longer than [`limits::EVENT_BYTES_MAX`].
    TooLong,
    /// Arrays and objects nest deeper than [`limits::EVENT_DEPTH_MAX`].
    TooDeep,
    /// One object has the same key twice, as written or after unescaping.
    DuplicateKey,
    /// A number has no finite value as a double.
    NumberOutOfRange,
    /// `NaN` or `Infinity` where a value should be.
    NotANumber,
    /// The text is another JSON value than an object.
    NotAnObject,
    /// Anything else that RFC 8259 does not allow.
    Syntax,
}

impl Reason {
    /// Every reason, in the order of declaration.
    pub const ALL: [Reason; 9] = [
        Reason::NotUtf8,
        Reason::Truncated,
        Reason::TooLong,
        Reason::TooDeep,
        Reason::DuplicateKey,
        Reason::NumberOutOfRange,
        Reason::NotANumber,
        Reason::NotAnObject,
        Reason::Syntax,
    ];

    /// The name under which this reason is counted.
    pub fn as_str(self) -> &'static str {
        match self {
            Reason::NotUtf8 => "not_utf8",
            Reason::Truncated => "truncated",
            Reason::TooLong => "too_long",
            Reason::TooDeep => "too_deep",
            Reason::DuplicateKey => "duplicate_key",
            Reason::NumberOutOfRange => "number_out_of_range",
            Reason::NotANumber => "not_a_number",
            Reason::NotAnObject => "not_an_object",
            Reason::Syntax => "syntax",
        }
    }

    /// The reason in words: a lowercase fragment.
    pub fn sentence(self) -> String {
        match self {
            Reason::NotUtf8 => "not UTF-8".to_owned(),
            Reason::Truncated => "the text ends before the event does".to_owned(),
            Reason::TooLong => format!("longer than {} bytes", limits::EVENT_BYTES_MAX),
            Reason::TooDeep => format!("nested deeper than {} levels", limits::EVENT_DEPTH_MAX),
            Reason::DuplicateKey => "a key appears twice in one object".to_owned(),
            Reason::NumberOutOfRange => "a number too large for a double".to_owned(),
            Reason::NotANumber => "NaN and Infinity are not JSON".to_owned(),
            Reason::NotAnObject => "not a JSON object".to_owned(),
            Reason::Syntax => "not JSON".to_owned(),
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// Bytes that are no event: why, and where the first mistake is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// What is wrong.
    pub reason: Reason,
    /// Byte offset of the mistake; the length of the text when it ends too early.
    pub offset: usize,
}

impl Malformed {
    #[cold]
    #[inline(never)]
    pub(super) fn new(reason: Reason, offset: usize) -> Malformed {
        Malformed { reason, offset }
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{} (at byte {})",
            self.reason.sentence(),
            self.offset
        )
    }
}

impl std::error::Error for Malformed {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_distinct_and_all_is_complete() {
        let mut names: Vec<&str> = Reason::ALL.iter().map(|reason| reason.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Reason::ALL.len());
        assert_eq!(Reason::ALL[Reason::Syntax as usize], Reason::Syntax);
    }

    #[test]
    fn reads_well_after_failed_to() {
        let malformed = Malformed::new(Reason::DuplicateKey, 17);
        assert_eq!(
            malformed.to_string(),
            "a key appears twice in one object (at byte 17)"
        );
    }
}
