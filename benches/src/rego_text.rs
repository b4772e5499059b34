//! Neutral rules as Rego.
//!
//! One partial set holds the ids of the rules that match, as the usual policies of Rego collect what they refuse. Of an
//! absent field a condition is undefined, and its negation true, which is what the neutral form asks for.

use std::fmt::Write as _;

use serde_json::Value;

use crate::rule::{Condition, Expect, Rule, Test};

/// A module of `package` that puts the id of each rule into the set `deny`; nothing when one of them has a test that is
/// not written here.
#[must_use]
pub fn rego_text<'r>(
    package: &str,
    rules: impl Iterator<Item = (String, &'r Rule)>,
) -> Option<String> {
    let mut text = format!("package {package}\n");
    for (id, rule) in rules {
        let _ = writeln!(text, "\ndeny contains {} if {{", quoted(&id));
        for condition in &rule.conditions {
            let _ = writeln!(text, "    {}", condition_text(condition)?);
        }
        text.push_str("}\n");
    }
    Some(text)
}

fn condition_text(condition: &Condition) -> Option<String> {
    let place = format!("input.{}", condition.path.join("."));
    let test = match &condition.test {
        Test::OneOf(values) if values.len() == 1 => format!("{place} == {}", quoted(&values[0])),
        Test::OneOf(values) => {
            let values: Vec<String> = values.iter().map(|value| quoted(value)).collect();
            format!("{place} in {{{}}}", values.join(", "))
        }
        Test::Prefix(text) => format!("startswith({place}, {})", quoted(text)),
        Test::Contains(text) => format!("contains({place}, {})", quoted(text)),
        Test::Is(value) => format!("{place} == {value}"),
        _ => return None,
    };
    Some(match condition.expect {
        Expect::Pass => test,
        Expect::Fail => format!("not {test}"),
    })
}

/// A string of JSON is one of Rego.
fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rule::Guard;

    #[test]
    fn a_policy_is_written_as_people_write_it() {
        let name = Condition::always(&["eventName"], Test::OneOf(vec!["a".into(), "b".into()]));
        let prefix = Test::Prefix("arn:\"x\"".into());
        let who = Condition::guarded(&["userIdentity", "arn"], prefix, Guard::Has);
        let rule = Rule {
            conditions: vec![name, who.negated()],
        };
        let text = rego_text("bench", std::iter::once(("rule-0".to_owned(), &rule)));
        assert_eq!(
            text.as_deref(),
            Some(
                "package bench\n\ndeny contains \"rule-0\" if {\n    input.eventName in {\"a\", \"b\"}\n    \
                 not startswith(input.userIdentity.arn, \"arn:\\\"x\\\"\")\n}\n"
            )
        );
    }
}
