//! Comparisons with a number, as text: `>= 10`.

use super::super::read::{Fields, Reader};
use crate::diagnostic::{Code, Diagnostic};
use std::fmt;

/// A relation and the number on its right side.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Comparison {
    /// The relation.
    pub relation: Relation,
    /// The right side.
    pub number: f64,
}

/// How a value relates to a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relation {
    /// `>=`
    AtLeast,
    /// `>`
    Above,
    /// `<=`
    AtMost,
    /// `<`
    Below,
    /// `==`
    Equal,
    /// `!=`
    Unequal,
}

/// What a comparison says of values between two bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sense {
    /// It holds of some and not of others.
    Tells,
    /// It holds of none.
    Never,
    /// It holds of all.
    Always,
}

/// Longest first, so that `>=` is not read as `>`.
const SIGNS: [(&str, Relation); 6] = [
    (">=", Relation::AtLeast),
    ("<=", Relation::AtMost),
    ("==", Relation::Equal),
    ("!=", Relation::Unequal),
    (">", Relation::Above),
    ("<", Relation::Below),
];

impl Comparison {
    /// Reads `>= 10`.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let (sign, relation) = SIGNS.iter().find(|(sign, _)| text.starts_with(sign))?;
        let number: f64 = text[sign.len()..].trim().parse().ok()?;
        number.is_finite().then_some(Self {
            relation: *relation,
            number,
        })
    }

    /// Whether it holds of a value.
    pub fn holds(&self, value: f64) -> bool {
        match self.relation {
            Relation::AtLeast => value >= self.number,
            Relation::Above => value > self.number,
            Relation::AtMost => value <= self.number,
            Relation::Below => value < self.number,
            Relation::Equal => value == self.number,
            Relation::Unequal => value != self.number,
        }
    }

    /// Whether more can only help: once it holds, a higher value holds too.
    pub fn is_rising(&self) -> bool {
        matches!(self.relation, Relation::AtLeast | Relation::Above)
    }

    /// What it says of the values from `low` to `high`, both among them.
    pub(super) fn sense(&self, low: f64, high: f64) -> Sense {
        let number = self.number;
        let outside = number < low || number > high;
        let (never, always) = match self.relation {
            Relation::AtLeast => (number > high, number <= low),
            Relation::Above => (number >= high, number < low),
            Relation::AtMost => (number < low, number >= high),
            Relation::Below => (number <= low, number > high),
            Relation::Equal => (outside, false),
            Relation::Unequal => (false, outside),
        };
        match (never, always) {
            (true, _) => Sense::Never,
            (_, true) => Sense::Always,
            _ => Sense::Tells,
        }
    }

    /// The comparison that holds of the same whole numbers, with a whole number where there is one: of `> 9.5` it is
    /// `>= 10`.
    pub(super) fn of_whole_numbers(&self) -> Self {
        let (relation, number) = match self.relation {
            Relation::AtLeast => (Relation::AtLeast, self.number.ceil()),
            Relation::Above => (Relation::AtLeast, self.number.floor() + 1.0),
            Relation::AtMost => (Relation::AtMost, self.number.floor()),
            Relation::Below => (Relation::AtMost, self.number.ceil() - 1.0),
            other => (other, self.number),
        };
        Self { relation, number }
    }

    /// The lowest whole number of which it holds, for relations that rise.
    pub fn least_count(&self) -> u64 {
        self.of_whole_numbers().number.max(0.0) as u64
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = SIGNS.iter().find(|(_, one)| *one == self.relation);
        write!(f, "{} {}", sign.map_or("", |(sign, _)| sign), self.number)
    }
}

/// The comparison under a key; nothing when it is missing or wrong.
pub(super) fn read(reader: &mut Reader, fields: &Fields<'_, '_>, name: &str) -> Option<Comparison> {
    let (text, span) = fields.text(name)?;
    let comparison = Comparison::parse(text);
    if comparison.is_none() {
        let message = format!("`{name}` is no comparison with a number");
        reader.report(
            Diagnostic::new(Code::ComparisonSyntax, span, message)
                .with_caret("expected such as `>= 10`, `> 0.5`, `== 3`"),
        );
    }
    comparison
}

#[cfg(test)]
mod tests {
    use super::{Comparison, Sense};

    #[test]
    fn comparisons_are_read_and_hold() {
        for (text, value, expected) in [
            (">= 10", 10.0, true),
            (">10", 10.0, false),
            ("<= 2", 2.0, true),
            ("< 2", 2.0, false),
            ("== 0.5", 0.5, true),
            ("!= 1", 1.0, false),
        ] {
            let comparison = Comparison::parse(text).expect(text);
            assert_eq!(comparison.holds(value), expected, "{text}");
            assert_eq!(Comparison::parse(&comparison.to_string()), Some(comparison));
        }
        for text in ["", "10", ">= ", ">= x", "=> 3", ">= inf", ">= NaN"] {
            assert_eq!(Comparison::parse(text), None, "{text}");
        }
        let least = |text: &str| Comparison::parse(text).expect(text).least_count();
        assert_eq!(
            (least(">= 10"), least("> 10"), least("> 9.5")),
            (10, 11, 10)
        );
    }

    #[test]
    fn comparisons_that_say_nothing_are_told() {
        for (text, (low, high), expected) in [
            ("> 1", (0.0, 1.0), Sense::Never),
            (">= 1", (0.0, 1.0), Sense::Tells),
            (">= 0", (0.0, 1.0), Sense::Always),
            ("> 0", (0.0, 1.0), Sense::Tells),
            ("< 0", (0.0, 1.0), Sense::Never),
            ("<= 0", (0.0, 1.0), Sense::Tells),
            ("<= 1", (0.0, 1.0), Sense::Always),
            ("< 1", (0.0, 1.0), Sense::Tells),
            ("== 1.5", (0.0, 1.0), Sense::Never),
            ("!= 1.5", (0.0, 1.0), Sense::Always),
            ("!= 1", (0.0, 1.0), Sense::Tells),
        ] {
            let comparison = Comparison::parse(text).expect(text);
            assert_eq!(comparison.sense(low, high), expected, "{text}");
        }
        for (text, expected) in [
            ("> 9.5", ">= 10"),
            ("> 9", ">= 10"),
            (">= 9.5", ">= 10"),
            ("< 10", "<= 9"),
            ("< 9.5", "<= 9"),
            ("<= 9.5", "<= 9"),
            ("== 9.5", "== 9.5"),
        ] {
            let comparison = Comparison::parse(text).expect(text);
            assert_eq!(
                comparison.of_whole_numbers().to_string(),
                expected,
                "{text}"
            );
        }
    }
}
