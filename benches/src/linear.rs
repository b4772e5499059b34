//! The reference: every rule on every event, one after the other, over `serde_json::Value`.

use serde_json::Value;

use crate::rule::{Condition, Expect, Rule, Test};

/// Whether the rule matches the event.
#[must_use]
pub fn matches(rule: &Rule, event: &Value) -> bool {
    rule.conditions
        .iter()
        .all(|condition| holds(condition, event))
}

fn holds(condition: &Condition, event: &Value) -> bool {
    let found = condition
        .path
        .iter()
        .try_fold(event, |value, key| value.get(key));
    let passed = found.is_some_and(|value| !value.is_null() && passes(&condition.test, value));
    passed == (condition.expect == Expect::Pass)
}

fn passes(test: &Test, value: &Value) -> bool {
    match test {
        Test::Exists => true,
        Test::Is(expected) => value.as_bool() == Some(*expected),
        Test::Between(least, most) => value
            .as_i64()
            .is_some_and(|number| (*least..=*most).contains(&number)),
        Test::Any(inner, test) => value.as_array().is_some_and(|elements| {
            elements.iter().any(|element| {
                let found = inner.iter().try_fold(element, |value, key| value.get(key));
                found.is_some_and(|value| passes(test, value))
            })
        }),
        _ => value.as_str().is_some_and(|text| text_passes(test, text)),
    }
}

fn text_passes(test: &Test, text: &str) -> bool {
    match test {
        Test::OneOf(values) => values.iter().any(|value| value == text),
        Test::Prefix(prefix) => text.starts_with(prefix.as_str()),
        Test::Contains(part) => text.contains(part.as_str()),
        Test::Ends(start, end) => text.starts_with(start.as_str()) && text.ends_with(end.as_str()),
        Test::Parts(first, second) => text
            .find(first.as_str())
            .is_some_and(|place| text[place + first.len()..].contains(second.as_str())),
        Test::SizeModulo {
            factor,
            modulo,
            remainder,
        } => {
            let size = i64::try_from(text.chars().count()).unwrap_or(i64::MAX);
            size.wrapping_mul(*factor) % modulo == *remainder
        }
        // Only the stress family has them, and there the `cel` crate is the reference.
        Test::Regex(_) | Test::Exists | Test::Is(_) | Test::Between(..) | Test::Any(..) => false,
    }
}
