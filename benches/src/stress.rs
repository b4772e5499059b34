//! The stress family: rule sets in which an index finds nothing to hold on to.

use std::collections::BTreeSet;

use tripline_core::sample::Random;

use crate::cel_text::{Dialect, cel_text, escaped};
use crate::rule::{Condition, Guard, Rule, Test};
use crate::vocabulary::{Vocabulary, text};

/// What makes the set hard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stress {
    /// Every rule has the same equality, the most frequent name, and a wildcard.
    HotField,
    /// `contains` only.
    Contains,
    /// `matches` only.
    Regex,
    /// Negations, existence and numeric ranges only.
    NoEquality,
    /// Arithmetic only: plain residual CEL.
    Residual,
}

impl Stress {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::HotField,
        Self::Contains,
        Self::Regex,
        Self::NoEquality,
        Self::Residual,
    ];

    /// Its name in tables.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::HotField => "hot field",
            Self::Contains => "contains only",
            Self::Regex => "regex only",
            Self::NoEquality => "no equality",
            Self::Residual => "residual only",
        }
    }

    /// `count` rules, all distinct.
    #[must_use]
    pub fn rules(self, vocabulary: &Vocabulary, count: usize, seed: u64) -> Vec<Rule> {
        let mut random = Random::new(seed);
        let mut seen = BTreeSet::new();
        let drawn = (0..count * 2).map(|number| Rule {
            conditions: self.conditions(vocabulary, number, &mut random),
        });
        drawn
            .filter(|rule| seen.insert(cel_text(rule, Dialect::Standard)))
            .take(count)
            .collect()
    }

    fn conditions(
        self,
        vocabulary: &Vocabulary,
        number: usize,
        random: &mut Random,
    ) -> Vec<Condition> {
        let arn: &[&str] = &["userIdentity", "arn"];
        match self {
            Self::HotField => vec![
                Condition::always(&["eventName"], Test::OneOf(vec!["AssumeRole".to_owned()])),
                Condition::always(
                    &["userAgent"],
                    Test::Contains(literal(vocabulary, number, random)),
                ),
            ],
            Self::Contains => {
                let test = Test::Contains(literal(vocabulary, number, random));
                vec![Condition::guarded(arn, test, Guard::Has)]
            }
            Self::Regex => {
                let literal = escaped(&literal(vocabulary, number, random));
                let pattern = format!("assumed-role/.*{literal}[a-z0-9-]*/.*[0-9]{{3}}$");
                vec![Condition::guarded(arn, Test::Regex(pattern), Guard::Has)]
            }
            Self::NoEquality => vec![
                Condition::guarded(
                    &["requestParameters", "maxResults"],
                    Test::Between(i64::try_from(number).unwrap_or(0) % 997, 1000),
                    Guard::Has,
                ),
                Condition::always(
                    &["awsRegion"],
                    Test::OneOf(vec![random.one_of(&vocabulary.regions).clone()]),
                )
                .negated(),
                Condition::always(
                    &["eventName"],
                    Test::OneOf(vec![
                        random.one_of(&vocabulary.pairs).1.clone(),
                        format!("N{number}"),
                    ]),
                )
                .negated(),
            ],
            Self::Residual => vec![Condition::always(
                &["userAgent"],
                Test::SizeModulo {
                    factor: i64::try_from(number).unwrap_or(0) + 7,
                    modulo: 10_007,
                    remainder: i64::try_from(random.below(10_007)).unwrap_or(0),
                },
            )],
        }
    }
}

/// A literal that is distinct by its number; every fourth occurs in the corpus.
fn literal(vocabulary: &Vocabulary, number: usize, random: &mut Random) -> String {
    if number.is_multiple_of(4)
        && let Some(arn) = text(vocabulary.event(random), &["userIdentity", "arn"])
        && let Some(tail) = arn.get(arn.len().saturating_sub(14)..)
    {
        return tail.to_owned();
    }
    format!(
        "{}-{number}",
        random.one_of(&["svc", "worker", "tool", "agent"])
    )
}
