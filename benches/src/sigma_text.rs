//! Neutral rules as Sigma rules.

use std::fmt::Write as _;

use crate::rule::{Condition, Expect, Rule, Test};

/// The rule as a YAML document, or nothing when Sigma cannot say it.
#[must_use]
pub fn sigma_text(rule: &Rule, number: usize) -> Option<String> {
    let mut detection = String::new();
    let mut terms = Vec::new();
    for (place, condition) in rule.conditions.iter().enumerate() {
        let name = format!("part{place}");
        let _ = writeln!(detection, "  {name}:");
        for line in lines(condition)? {
            let _ = writeln!(detection, "    {line}");
        }
        terms.push(match condition.expect {
            Expect::Pass => name,
            Expect::Fail => format!("not {name}"),
        });
    }
    Some(format!(
        "title: rule {number}\nid: 00000000-0000-4000-8000-{number:012}\nstatus: test\nlogsource:\n  product: aws\n  service: cloudtrail\ndetection:\n{detection}  condition: {}\nlevel: low\n",
        terms.join(" and ")
    ))
}

fn lines(condition: &Condition) -> Option<Vec<String>> {
    let mut path = condition.path.join(".");
    let mut test = &condition.test;
    if let Test::Any(inner, of_element) = test {
        for key in *inner {
            let _ = write!(path, ".{key}");
        }
        test = of_element;
    }
    Some(match test {
        Test::OneOf(values) if values.len() == 1 => vec![format!("{path}: {}", quoted(&values[0]))],
        Test::OneOf(values) => {
            let mut lines = vec![format!("{path}:")];
            lines.extend(values.iter().map(|value| format!("  - {}", quoted(value))));
            lines
        }
        Test::Prefix(text) => vec![format!("{path}|startswith: {}", quoted(text))],
        Test::Contains(text) => vec![format!("{path}|contains: {}", quoted(text))],
        Test::Ends(start, end) => vec![format!("{path}: '{}*{}'", plain(start), plain(end))],
        Test::Parts(first, second) => {
            vec![format!("{path}: '*{}*{}*'", plain(first), plain(second))]
        }
        Test::Is(value) => vec![format!("{path}: {value}")],
        Test::Between(least, most) => {
            vec![
                format!("{path}|gte: {least}"),
                format!("{path}|lte: {most}"),
            ]
        }
        Test::Exists => vec![format!("{path}|exists: true")],
        Test::Regex(pattern) => vec![format!("{path}|re: '{}'", pattern.replace('\'', "''"))],
        Test::Any(..) | Test::SizeModulo { .. } => return None,
    })
}

fn quoted(text: &str) -> String {
    format!("'{}'", plain(text))
}

/// A text without wildcards, within single quotes.
fn plain(text: &str) -> String {
    let escaped = text
        .replace('\\', "\\\\")
        .replace('*', "\\*")
        .replace('?', "\\?");
    escaped.replace('\'', "''")
}
