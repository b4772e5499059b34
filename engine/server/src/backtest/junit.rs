//! A backtest as JUnit XML, for the test reports of build servers: a case for each rule, expectation and label.
//!
//! Text from events is made printable and then escaped: XML has no way at all to write most control characters.

use super::labels::{About, Label, Outcome, Truth};
use super::report::Report;
use crate::terminal::{Shown, counted};

/// How a case ended.
enum End {
    Passed,
    Failed(String),
    /// It could not be said.
    Broken(String),
    Skipped(String),
}

struct Suite {
    name: &'static str,
    cases: Vec<(String, String, End)>,
}

/// The document.
pub(crate) fn to_junit(report: &Report<'_>) -> String {
    let mut suites = vec![rules(report)];
    if let Some(judged) = &report.expectations {
        let cases = judged.iter().map(|one| {
            let end = match &one.failure {
                None => End::Passed,
                Some(found) => End::Failed(format!("expected {}: {found}", one.expected)),
            };
            (one.rule.clone(), one.expected.clone(), end)
        });
        suites.push(Suite {
            name: "expectations",
            cases: cases.collect(),
        });
    }
    if let Some(labels) = &report.labels {
        let cases = labels.labels.iter().map(label);
        suites.push(Suite {
            name: "labels",
            cases: cases.collect(),
        });
    }
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let all = suites.iter().flat_map(|suite| &suite.cases);
    out.push_str(&format!(
        "<testsuites name=\"tripline backtest\" {}>\n",
        totals(all)
    ));
    for suite in &suites {
        out.push_str(&format!(
            "  <testsuite name=\"{}\" {}>\n",
            suite.name,
            totals(suite.cases.iter())
        ));
        for (class, name, end) in &suite.cases {
            out.push_str(&case(class, name, end));
        }
        out.push_str("  </testsuite>\n");
    }
    out.push_str("</testsuites>\n");
    out
}

fn rules(report: &Report<'_>) -> Suite {
    let in_force = (0..report.tallies.len()).map(|rule| {
        let tally = &report.tallies[rule];
        let name = format!(
            "{} about {}",
            counted(tally.findings, "finding"),
            match tally.keys.len() {
                1 => "1 entity".to_owned(),
                count => format!("{count} entities"),
            }
        );
        (report.id(rule).to_owned(), name, End::Passed)
    });
    let broken = report.broken.iter().map(|file| {
        let words = "has errors: what has one is not used, be it a rule, a test or a list; tripline check tells";
        let name = "has no errors".to_owned();
        (file.clone(), name, End::Broken(words.to_owned()))
    });
    Suite {
        name: "rules",
        cases: in_force.chain(broken).collect(),
    }
}

fn label((label, outcome): &(Label, Outcome)) -> (String, String, End) {
    let about = match &label.about {
        About::Event(id) => format!("event {id}"),
        About::Finding(id) => format!("finding {id:032x}"),
    };
    let end = match (outcome, label.truth) {
        (Outcome::NotRead, _) => End::Skipped("the event is not among the input".to_owned()),
        (Outcome::Missed, Truth::True) => End::Failed("labelled true and not found".to_owned()),
        (Outcome::NoRule, Truth::True) => {
            End::Failed("no rule with this id is in force".to_owned())
        }
        _ => End::Passed,
    };
    let name = format!("{about} is a {}", label.truth.as_str());
    (label.rule.clone(), name, end)
}

fn totals<'c>(cases: impl Iterator<Item = &'c (String, String, End)>) -> String {
    let (mut tests, mut failures, mut errors, mut skipped) = (0, 0, 0, 0);
    for (_, _, end) in cases {
        tests += 1;
        failures += u64::from(matches!(end, End::Failed(_)));
        errors += u64::from(matches!(end, End::Broken(_)));
        skipped += u64::from(matches!(end, End::Skipped(_)));
    }
    format!("tests=\"{tests}\" failures=\"{failures}\" errors=\"{errors}\" skipped=\"{skipped}\"")
}

fn case(class: &str, name: &str, end: &End) -> String {
    let head = format!(
        "    <testcase classname=\"{}\" name=\"{}\"",
        escaped(class),
        escaped(name)
    );
    let inner = match end {
        End::Passed => return format!("{head}/>\n"),
        End::Failed(words) => format!("<failure message=\"{}\"/>", escaped(words)),
        End::Broken(words) => format!("<error message=\"{}\"/>", escaped(words)),
        End::Skipped(words) => format!("<skipped message=\"{}\"/>", escaped(words)),
    };
    format!("{head}>{inner}</testcase>\n")
}

fn escaped(text: &str) -> String {
    let mut out = String::new();
    for one in Shown(text).to_string().chars() {
        match one {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    #[test]
    fn text_is_escaped() {
        let check = |text: &str, expected: &str| assert_eq!(super::escaped(text), expected);
        check("a<b & \"c\">", "a&lt;b &amp; &quot;c&quot;&gt;");
        check("\u{0}\u{1b}[2J\u{ffff}", "\\u{0}\\u{1b}[2J\u{fffd}");
    }
}
