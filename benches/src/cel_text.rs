//! Neutral rules as CEL text.
//!
//! Written as authors write it: fields that may be absent are guarded, with `has` in one half of the rules and
//! with optional selection in the other. The `cel` crate has no `glob`, so a wildcard with two parts is a
//! regular expression there, and only `has` is used, which it evaluates faster.

use std::fmt::Write as _;

use crate::rule::{Condition, Expect, Guard, Rule, Test};

/// For whom the text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// Tripline: with optional selection and `glob`.
    Tripline,
    /// Standard CEL, for the `cel` crate.
    Standard,
}

/// Top-level keys that every CloudTrail record has.
const ALWAYS: [&str; 9] = [
    "eventSource",
    "eventName",
    "awsRegion",
    "sourceIPAddress",
    "userAgent",
    "userIdentity",
    "readOnly",
    "requestParameters",
    "recipientAccountId",
];

/// The rule as one expression.
#[must_use]
pub fn cel_text(rule: &Rule, dialect: Dialect) -> String {
    let conditions: Vec<String> = rule
        .conditions
        .iter()
        .map(|condition| condition_text(condition, dialect))
        .collect();
    conditions.join(" && ")
}

fn condition_text(condition: &Condition, dialect: Dialect) -> String {
    let negated = condition.expect == Expect::Fail;
    let guard = match (condition.guard, dialect) {
        (Guard::Optional, Dialect::Standard) => Guard::Has,
        (guard, _) => guard,
    };
    let place = format!("event.{}", condition.path.join("."));
    let plain = match guard {
        Guard::None => test_text(&place, &condition.test, dialect),
        Guard::Optional => test_text(&optional(condition), &condition.test, dialect),
        Guard::Has => {
            let mut text = guards(condition.path);
            if condition.test != Test::Exists {
                let _ = write!(text, " && {}", test_text(&place, &condition.test, dialect));
            }
            text
        }
    };
    match (negated, guard, &condition.test) {
        (false, _, _) => plain,
        (true, Guard::None, Test::OneOf(values)) if values.len() == 1 => {
            format!("{place} != {}", quoted(&values[0]))
        }
        (true, Guard::None | Guard::Optional, Test::OneOf(_)) => format!("!({plain})"),
        (true, Guard::None | Guard::Optional, _) => format!("!{plain}"),
        (true, Guard::Has, _) => format!("!({plain})"),
    }
}

/// `has` for every step that may be absent.
fn guards(path: &[&str]) -> String {
    let mut steps = Vec::new();
    for end in 1..=path.len() {
        if end > 1 || !ALWAYS.contains(&path[0]) {
            steps.push(format!("has(event.{})", path[..end].join(".")));
        }
    }
    steps.join(" && ")
}

fn optional(condition: &Condition) -> String {
    let mut text = String::from("event");
    for (place, key) in condition.path.iter().enumerate() {
        text.push_str(if place == 0 && ALWAYS.contains(key) {
            "."
        } else {
            ".?"
        });
        text.push_str(key);
    }
    let default = match condition.test {
        Test::Between(..) => "-1",
        Test::Any(..) => "[]",
        Test::Is(_) => "false",
        _ => "\"\"",
    };
    let _ = write!(text, ".orValue({default})");
    text
}

fn test_text(place: &str, test: &Test, dialect: Dialect) -> String {
    match test {
        Test::OneOf(values) if values.len() == 1 => format!("{place} == {}", quoted(&values[0])),
        Test::OneOf(values) => {
            let values: Vec<String> = values.iter().map(|value| quoted(value)).collect();
            format!("{place} in [{}]", values.join(", "))
        }
        Test::Prefix(text) => format!("{place}.startsWith({})", quoted(text)),
        Test::Contains(text) => format!("{place}.contains({})", quoted(text)),
        Test::Ends(start, end) => {
            format!(
                "({place}.startsWith({}) && {place}.endsWith({}))",
                quoted(start),
                quoted(end)
            )
        }
        Test::Parts(first, second) => match dialect {
            Dialect::Tripline => {
                format!("glob({place}, {})", quoted(&format!("*{first}*{second}*")))
            }
            Dialect::Standard => {
                let pattern = format!("(?s){}.*{}", escaped(first), escaped(second));
                format!("{place}.matches({})", quoted(&pattern))
            }
        },
        Test::Is(true) => place.to_owned(),
        Test::Is(false) => format!("!{place}"),
        Test::Between(least, most) => format!("{place} >= {least} && {place} <= {most}"),
        Test::Exists => format!("has({place})"),
        Test::Any(inner, test) => {
            let mut item = String::from("item");
            let mut guard = String::new();
            for key in *inner {
                item = format!("{item}.{key}");
                let _ = write!(guard, "has({item}) && ");
            }
            format!(
                "{place}.exists(item, {guard}{})",
                test_text(&item, test, dialect)
            )
        }
        Test::Regex(pattern) => format!("{place}.matches({})", quoted(pattern)),
        Test::SizeModulo {
            factor,
            modulo,
            remainder,
        } => {
            format!("size({place}) * {factor} % {modulo} == {remainder}")
        }
    }
}

/// A CEL string literal.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// A rule file with this selector, as a person would keep it.
#[must_use]
pub fn rule_file(number: usize, when: &str) -> String {
    format!(
        "id = \"rule-{number}\"\nname = \"Rule {number}\"\ndescription = \"Drawn for a benchmark.\"\nseverity = \"low\"\nstatus = \"experimental\"\nsource = \"aws.cloudtrail\"\nwhen = '''\n{when}\n'''\n"
    )
}

/// A text as a regular expression.
#[must_use]
pub fn escaped(text: &str) -> String {
    let mut pattern = String::new();
    for character in text.chars() {
        if !character.is_alphanumeric() && !" -_/:,;<>=@!\"'~`%&#".contains(character) {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(condition: Condition, tripline: &str, standard: &str) {
        let rule = Rule {
            conditions: vec![condition],
        };
        assert_eq!(cel_text(&rule, Dialect::Tripline), tripline);
        assert_eq!(cel_text(&rule, Dialect::Standard), standard);
    }

    #[test]
    fn absent_fields_are_guarded_in_both_ways() {
        let arn = &["userIdentity", "arn"];
        let prefix = || Test::Prefix("a".to_owned());
        let has = r#"!(has(event.userIdentity.arn) && event.userIdentity.arn.startsWith("a"))"#;
        check(
            Condition::guarded(arn, prefix(), Guard::Has).negated(),
            has,
            has,
        );
        check(
            Condition::guarded(arn, prefix(), Guard::Optional).negated(),
            r#"!event.userIdentity.?arn.orValue("").startsWith("a")"#,
            has,
        );
    }

    #[test]
    fn wildcards_and_arrays_are_written_out() {
        check(
            Condition::always(
                &["userAgent"],
                Test::Parts("a".to_owned(), "b.c".to_owned()),
            ),
            r#"glob(event.userAgent, "*a*b.c*")"#,
            r#"event.userAgent.matches("(?s)a.*b\\.c")"#,
        );
        let any = Test::Any(&["port"], Box::new(Test::Between(1, 2)));
        check(
            Condition::guarded(&["requestParameters", "items"], any, Guard::Has),
            "has(event.requestParameters.items) && event.requestParameters.items.exists(item, has(item.port) && item.port >= 1 && item.port <= 2)",
            "has(event.requestParameters.items) && event.requestParameters.items.exists(item, has(item.port) && item.port >= 1 && item.port <= 2)",
        );
    }
}
