//! Running the tests that stand beside rules.
//!
//! A test is about the rule as its author shipped it: overrides of a site do not make a shipped test fail.
//! Relies on the same rule set and evaluator that events meet, so a passing test is a statement about the
//! product and not about a test harness. A failing test carries the selector's tree with its values.

use crate::diagnostic::Level;
use crate::evaluate::{Evaluator, Outcome, Reason, RuleIndex, RuleSet};
use crate::event::{Event, Facts, Parser};
use crate::rule::kind::{Asks, Kind};
use crate::rule::{
    Catalog, EventTest, Expect, Place, RefusedTest, Rule, Scenario, Suite, TestCase, TestFacts,
};
use crate::wire::Finding;
use std::collections::BTreeSet;

#[cfg(test)]
mod tests;
mod timeline;

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

/// Runs every test of a catalog. A test that has mistakes, whose rule has, or that has no rule, is not run: it fails and
/// says so.
pub fn run_tests(catalog: &Catalog) -> Vec<TestResult> {
    let mut parser = Parser::new();
    let mut results = Vec::new();
    for suite in &catalog.suites {
        let first = results.len();
        results.extend(suite.refused.iter().map(|test| refused(suite, test)));
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
        results[first..].sort_by_key(|result| result.place.span.start);
    }
    results.extend(catalog.orphans.iter().map(|orphan| TestResult {
        rule_id: orphan.rule.clone(),
        name: orphan.name.clone(),
        place: orphan.place.clone(),
        failure: Some(failure_of(vec![format!(
            "the test is not run: {}",
            orphan.mistake
        )])),
    }));
    results
}

fn run_suite(
    suite: &Suite,
    rule: &Rule,
    catalog: &Catalog,
    parser: &mut Parser,
    results: &mut Vec<TestResult>,
) {
    let (set, reports) = RuleSet::of_rules(with_feeders(rule, catalog), catalog);
    let place = set.rules().iter().position(|one| one.rule.id == rule.id);
    let Some(index) = place else {
        let mistake = reports.iter().find(|report| {
            report.diagnostic.level == Level::Error && report.source == rule.place.source
        });
        let message = match mistake {
            Some(report) => format!("the rule has a mistake: {}", report.diagnostic.message),
            None => "the rule is off".to_owned(),
        };
        let tests = suite.tests.iter();
        results.extend(tests.map(|test| failed(suite, test, message.clone())));
        return;
    };
    let index = RuleIndex(index as u32);
    let is_asking = set.is_asking(index);
    let mut evaluator = Evaluator::new(&set);
    for test in &suite.tests {
        let failure = match &test.scenario {
            Scenario::Event(_) if is_asking => Some(failure_of(vec![
                "the rule asks what is known at the event's time, which one event does not tell: write a \
                 `[[test.timeline]]`"
                    .to_owned(),
            ])),
            Scenario::Event(event) => run_event_test(event, index, &mut evaluator, parser),
            Scenario::Timeline(timeline) => timeline::run(timeline, index, &set),
        };
        results.push(TestResult {
            failure,
            ..passed(suite, test)
        });
    }
}

/// The rule as shipped, and before it the rules whose detections it takes, and those whose they take.
fn with_feeders(rule: &Rule, catalog: &Catalog) -> Vec<Rule> {
    let mut wanted: BTreeSet<&str> = BTreeSet::from([rule.id.as_str()]);
    let mut waiting: Vec<&Rule> = vec![rule];
    let asks = Asks::of(rule);
    let answers = |one: &&Rule| match one.memory.as_ref().map(|memory| &memory.kind) {
        Some(Kind::Insight(_)) => asks.insight,
        Some(Kind::Entity(_)) => asks.entity,
        _ => false,
    };
    let answering = catalog.rules.iter().filter(answers);
    waiting.extend(answering.filter(|one| wanted.insert(one.id.as_str())));
    while let Some(next) = waiting.pop() {
        for reference in next.inputs.iter().flat_map(|input| &input.rules) {
            let named = catalog
                .rules
                .iter()
                .filter(|one| reference.names(one.id.as_str()));
            waiting.extend(named.filter(|one| wanted.insert(one.id.as_str())));
        }
    }
    let rules = catalog
        .rules
        .iter()
        .filter(|one| wanted.contains(one.id.as_str()));
    rules.map(Rule::as_shipped).collect()
}

fn run_event_test(
    test: &EventTest,
    rule: RuleIndex,
    evaluator: &mut Evaluator<'_>,
    parser: &mut Parser,
) -> Option<Failure> {
    let mut of_facts = Parser::new();
    match parser.parse(test.event_json.as_bytes()) {
        Ok(document) => {
            let event = with_facts(Event::new(document), test.facts.as_ref(), &mut of_facts);
            run_test(test, rule, &event, evaluator)
        }
        Err(malformed) => Some(failure_of(vec![format!(
            "the event is no event: {malformed}"
        )])),
    }
}

/// The event with what a test says that plugins say of it.
fn with_facts<'d>(
    event: Event<'d>,
    facts: Option<&'d TestFacts>,
    parser: &'d mut Parser,
) -> Event<'d> {
    let Some(facts) = facts else { return event };
    match parser.parse(facts.json.as_bytes()) {
        Ok(answers) => event.with_facts(Facts::new(answers.root(), &facts.failed)),
        Err(_) => event,
    }
}

fn failure_of(mismatches: Vec<String>) -> Failure {
    Failure {
        mismatches,
        reason: None,
        excused_by: None,
    }
}

fn run_test(
    test: &EventTest,
    rule: RuleIndex,
    event: &Event<'_>,
    evaluator: &mut Evaluator<'_>,
) -> Option<Failure> {
    let found = evaluator.evaluate(event);
    let observed = found.observed.iter().any(|(one, _)| *one == rule);
    let matched = found.matched.contains(&rule) || observed;
    let excused = found.excused.contains(&rule);
    // Tests speak of the selector, whatever the event looks like.
    let undecided = found.indeterminate.contains(&rule) || found.not_applicable.contains(&rule);
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
    // What a rule that remembers looks at is no finding yet.
    if !matched || observed {
        return None;
    }
    let mismatches = compare(test, &evaluator.finding(rule, event));
    (!mismatches.is_empty()).then_some(Failure {
        mismatches,
        reason: None,
        excused_by: None,
    })
}

fn compare(test: &EventTest, finding: &Finding) -> Vec<String> {
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

fn refused(suite: &Suite, test: &RefusedTest) -> TestResult {
    TestResult {
        rule_id: suite.rule.to_string(),
        name: test.name.clone(),
        place: test.place.clone(),
        failure: Some(failure_of(vec![format!(
            "the test is not run, as it has a mistake: {}",
            test.mistake
        )])),
    }
}

fn failed(suite: &Suite, test: &TestCase, message: String) -> TestResult {
    TestResult {
        failure: Some(failure_of(vec![message])),
        ..passed(suite, test)
    }
}
