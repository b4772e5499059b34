//! The three verdicts and their algebra.
//!
//! CEL's `&&` and `||` absorb errors exactly as strong Kleene logic does when an error reads as *unknown*:
//! `and` is the smaller, `or` the larger, `not` turns the order round. That lattice is distributive, so a
//! selector may be rearranged into alternatives of conjunctions without changing any verdict, which is what
//! the index relies on. Ternary and arithmetic do not absorb; they are never taken apart.

use std::fmt;

/// What one condition, or one whole selector, says of one event. Ordered `False < Unknown < True`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Outcome {
    /// It does not hold.
    False = 0,
    /// It could not be decided: a field is absent, a type is wrong, a bound was reached.
    Unknown = 1,
    /// It holds.
    True = 2,
}

impl Outcome {
    /// CEL's `!`.
    pub fn negated(self) -> Self {
        match self {
            Self::False => Self::True,
            Self::Unknown => Self::Unknown,
            Self::True => Self::False,
        }
    }

    /// Negates when `negate` says so.
    pub(crate) fn negated_if(self, negate: bool) -> Self {
        if negate { self.negated() } else { self }
    }
}

impl From<bool> for Outcome {
    fn from(holds: bool) -> Self {
        if holds { Self::True } else { Self::False }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::False => "no match",
            Self::Unknown => "indeterminate",
            Self::True => "match",
        })
    }
}
