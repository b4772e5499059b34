//! Running the tests that stand beside rules.
//!
//! A test is about the rule as its author shipped it: overrides of a site do not make a shipped test fail.
//! Relies on the same rule set and evaluator that events meet, so a passing test is a statement about the
//! product and not about a test harness. A failing test carries the selector's tree with its values.

use super::explain::Reason;
use super::outcome::Outcome;
use super::{Evaluator, RuleIndex, RuleSet};
use crate::event::{Event, Parser};
use crate::rule::{Catalog, Expect, Place, Rule, Suite, TestCase};
use crate::wire::Finding;

/// What came of one test.
#[derive(Clone, Debug, PartialEq)]
pub struct TestResult {
    /// The rule.
    pub rule_id: String,
    /// The test.
    pub name: String,
    /// Where the test is written.
    pub place: Place,
    /// What went wrong; nothing when it passed.
    pub failure: Option<Failure>,
}

/// Why a test failed.
#[derive(Clone, Debug, PartialEq)]
pub struct Failure {
    /// One line per expectation that was not met.
    pub mismatches: Vec<String>,
    /// The selector's tree on the test's event, when the verdict was not as expected.
    pub reason: Option<Reason>,
    /// The exception that excused the event, when one did.
    pub excused_by: Option<String>,
}

/// Runs every test of a catalog. A test whose rule has mistakes fails and says so.
pub fn run_tests(catalog: &Catalog) -> Vec<TestResult> {
    let mut parser = Parser::new();
    let mut results = Vec::new();
    for suite in &catalog.suites {
        match catalog.rules.iter().find(|rule| rule.id == suite.rule) {
            Some(rule) => run_suite(suite, rule, catalog, &mut parser, &mut results),
            None => results.extend(suite.tests.iter().map(|test| {
                failed(
                    suite,
                    test,
                    "the rule has mistakes; `tripline check` shows them".to_owned(),
                )
            })),
        }
    }
    results
}

fn run_suite(
    suite: &Suite,
    rule: &Rule,
    catalog: &Catalog,
    parser: &mut Parser,
    results: &mut Vec<TestResult>,
) {
    let schema = |source: &str| catalog.schema(source);
    let (set, reports) = RuleSet::compile(vec![rule.as_shipped()], &catalog.lists, &schema);
    if let Some(report) = reports.first() {
        let message = format!("the rule does not compile: {}", report.diagnostic.message);
        results.extend(
            suite
                .tests
                .iter()
                .map(|test| failed(suite, test, message.clone())),
        );
        return;
    }
    let mut evaluator = Evaluator::new(&set);
    for test in &suite.tests {
        let document = match parser.parse(test.event_json.as_bytes()) {
            Ok(document) => document,
            Err(malformed) => {
                results.push(failed(
                    suite,
                    test,
                    format!("the event is no event: {malformed}"),
                ));
                continue;
            }
        };
        let failure = run_test(test, &Event::new(document), &mut evaluator);
        results.push(TestResult {
            failure,
            ..passed(suite, test)
        });
    }
}

fn run_test(test: &TestCase, event: &Event<'_>, evaluator: &mut Evaluator<'_>) -> Option<Failure> {
    let rule = RuleIndex(0);
    let found = evaluator.evaluate(event);
    let (matched, excused) = (!found.matched.is_empty(), !found.excused.is_empty());
    // Tests speak of the selector, whatever the event looks like.
    let undecided = !found.indeterminate.is_empty() || !found.not_applicable.is_empty();
    let verdict = match (matched, undecided) {
        (true, _) => Outcome::True,
        (_, true) => Outcome::Unknown,
        _ => Outcome::False,
    };
    let expected = match test.expect {
        Expect::Match => Outcome::True,
        Expect::NoMatch => Outcome::False,
        Expect::Indeterminate => Outcome::Unknown,
    };
    if verdict != expected {
        let mut line = format!("expected {expected}, found {verdict}");
        if verdict == Outcome::Unknown {
            line = format!("{line}: {}", evaluator.fault(rule, event));
        }
        return Some(Failure {
            mismatches: vec![line],
            reason: Some(evaluator.explain(rule, event)),
            excused_by: excused.then(|| evaluator.excused_by(rule, event)).flatten(),
        });
    }
    if !matched {
        return None;
    }
    let mismatches = compare(test, &evaluator.finding(rule, event));
    (!mismatches.is_empty()).then_some(Failure {
        mismatches,
        reason: None,
        excused_by: None,
    })
}

fn compare(test: &TestCase, finding: &Finding) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = |what: &str, expected: String, found: String| {
        if expected != found {
            lines.push(format!("{what}: expected {expected}, found {found}"));
        }
    };
    if let Some(title) = &test.title {
        line(
            "title",
            format!("{title:?}"),
            format!("{:?}", finding.title),
        );
    }
    if let Some(severity) = &test.severity {
        line("severity", severity.to_string(), finding.severity.clone());
    }
    if let Some(key) = &test.dedup_key {
        line(
            "dedup_key",
            format!("{key:?}"),
            format!("{:?}", finding.dedup_key),
        );
    }
    for note in &finding.notes {
        lines.push(note.clone());
    }
    lines
}

fn passed(suite: &Suite, test: &TestCase) -> TestResult {
    TestResult {
        rule_id: suite.rule.to_string(),
        name: test.name.clone(),
        place: test.place.clone(),
        failure: None,
    }
}

fn failed(suite: &Suite, test: &TestCase, message: String) -> TestResult {
    let failure = Failure {
        mismatches: vec![message],
        reason: None,
        excused_by: None,
    };
    TestResult {
        failure: Some(failure),
        ..passed(suite, test)
    }
}
