//! Tests of rules: named events, and what a rule should say of them.
//!
//! Relies on `sample` for building the events. A suite belongs to the rule of its folder, or to the one it
//! names. Holds what is wanted and never runs anything: compiling and evaluating is the floor above, which
//! tests the rule as its file has it, without the overrides of a site.

use super::model::{Rule, RuleId, Severity, Status, words};
use super::place::{Place, Report};
use super::read::{Fields, Reader, span_of};
use super::sample::{Samples, TestFacts, read_facts};
use super::shape::{TEST, TESTS};
use super::timeline::{Timeline, check_keys, is_timeline, read_timeline};
use crate::diagnostic::{Code, Diagnostic, Level, Span, did_you_mean};
use crate::limits::SUITE_TESTS_MAX;
use std::collections::BTreeMap;
use toml::de::DeTable;

words! {
    /// What a test wants of the rule.
    Expect {
        /// The rule matches and no exception excuses the event.
        Match = "match",
        /// The rule does not match, or an exception excuses the event.
        NoMatch = "no_match",
        /// The rule cannot decide.
        Indeterminate = "indeterminate",
    }
}

/// The tests of one file.
#[derive(Clone, Debug, PartialEq)]
pub struct Suite {
    /// The rule they are about; it may have mistakes and not be in the catalog.
    pub rule: RuleId,
    /// The file.
    pub place: Place,
    /// The tests without mistakes, in order.
    pub tests: Vec<TestCase>,
    /// The tests with mistakes, in order.
    pub refused: Vec<RefusedTest>,
}

/// A test of no rule.
#[derive(Clone, Debug, PartialEq)]
pub struct Orphan {
    /// The rule that its file names; nothing when it names none.
    pub rule: String,
    /// What people call it.
    pub name: String,
    /// Where it is written.
    pub place: Place,
    /// Why it has no rule.
    pub mistake: String,
}

/// A test that cannot be run as it is written.
#[derive(Clone, Debug, PartialEq)]
pub struct RefusedTest {
    /// What people call it; its number in the file when it has no name.
    pub name: String,
    /// Where it is written.
    pub place: Place,
    /// The first mistake in it.
    pub mistake: String,
}

/// Something that happens, and what is wanted of the rule.
#[derive(Clone, Debug, PartialEq)]
pub struct TestCase {
    /// What people call it.
    pub name: String,
    /// What happens.
    pub scenario: Scenario,
    /// Its name in its file.
    pub place: Place,
}

/// What happens in a test.
#[derive(Clone, Debug, PartialEq)]
pub enum Scenario {
    /// One event.
    Event(Box<EventTest>),
    /// Events at times.
    Timeline(Timeline),
}

/// One event and what is wanted of the rule.
#[derive(Clone, Debug, PartialEq)]
pub struct EventTest {
    /// The event as JSON text; as written when the test uses a file or text unchanged.
    pub event_json: String,
    /// What plugins say of it.
    pub facts: Option<TestFacts>,
    /// The verdict wanted.
    pub expect: Expect,
    /// The title wanted.
    pub title: Option<String>,
    /// The severity wanted.
    pub severity: Option<Severity>,
    /// The parts of the de-duplication key wanted.
    pub dedup_key: Option<Vec<String>>,
    /// Where the verdict wanted is written.
    pub expect_place: Place,
}

/// A suite before its rule is known.
pub(super) struct Draft {
    /// The id named in the file.
    pub(super) rule: Option<(String, Place)>,
    pub(super) place: Place,
    pub(super) tests: Vec<TestCase>,
    pub(super) refused: Vec<RefusedTest>,
    /// What the tests want, also those with mistakes.
    pub(super) expected: Vec<Expect>,
}

/// The tests of a tests file, with the keys `rule`, `events` and `test`.
pub(super) fn read_suite(
    reader: &mut Reader,
    table: &DeTable<'_>,
    samples: &mut Samples<'_>,
) -> Draft {
    let fields = Fields::open(reader, table, &TESTS, Span::new(0, 0));
    let rule = fields
        .text("rule")
        .map(|(id, span)| (id.to_owned(), reader.place(span)));
    Draft {
        rule,
        ..read_tests(reader, &fields, samples)
    }
}

/// The tests under the keys `events` and `test` of any file.
pub(super) fn read_tests(
    reader: &mut Reader,
    fields: &Fields<'_, '_>,
    samples: &mut Samples<'_>,
) -> Draft {
    samples.read(reader, fields);
    let place = reader.place(Span::new(0, 0));
    let mut draft = Draft {
        rule: None,
        place,
        tests: Vec::new(),
        refused: Vec::new(),
        expected: Vec::new(),
    };
    let tables = fields.tables("test");
    if reader.within(
        "tests in one file",
        tables.len(),
        SUITE_TESTS_MAX,
        Span::new(0, 0),
    ) {
        for (number, (table, span)) in (1u32..).zip(tables) {
            let (errors, reports) = (reader.errors(), reader.reports.len());
            let fields = Fields::open(reader, table, &TEST, span);
            let test = if is_timeline(table) {
                read_timeline_test(reader, table, &fields, samples, &mut draft)
            } else {
                read_test(reader, table, &fields, samples, &mut draft)
            };
            match test.filter(|_| reader.errors() == errors) {
                Some(test) => draft.tests.push(test),
                None => {
                    let refused = refused(reader, &fields, number, reports);
                    draft.refused.push(refused);
                }
            }
        }
    }
    samples.report_unused(reader);
    draft
}

/// The `number`th test of the file, whose mistakes are among the reports from the `reports`th on. One without is based
/// on an event whose mistakes were told before.
fn refused(reader: &Reader, fields: &Fields<'_, '_>, number: u32, reports: usize) -> RefusedTest {
    let own = reader.reports.iter().skip(reports);
    let mut errors = own.filter(|one| one.diagnostic.level == Level::Error);
    let mistake = errors.next().map(|one| one.diagnostic.message.clone());
    let (name, span) = match fields.text("name") {
        Some((name, span)) => (name.to_owned(), span),
        None => (format!("test {number}"), fields.span),
    };
    RefusedTest {
        name,
        place: reader.place(span),
        mistake: mistake.unwrap_or_else(|| "its events have mistakes".to_owned()),
    }
}

fn read_timeline_test(
    reader: &mut Reader,
    table: &DeTable<'_>,
    fields: &Fields<'_, '_>,
    samples: &mut Samples<'_>,
    draft: &mut Draft,
) -> Option<TestCase> {
    check_keys(reader, table, fields);
    let wanted = fields.tables("findings").len();
    draft.expected.push(if wanted > 0 {
        Expect::Match
    } else {
        Expect::NoMatch
    });
    let timeline = read_timeline(reader, fields, samples);
    let (name, at) = fields.text("name")?;
    note_repeated(reader, draft, name, at);
    Some(TestCase {
        name: name.to_owned(),
        scenario: Scenario::Timeline(timeline?),
        place: reader.place(at),
    })
}

fn note_repeated(reader: &mut Reader, draft: &Draft, name: &str, at: Span) {
    if let Some(first) = draft.tests.iter().find(|test| test.name == name) {
        let message = format!("two tests are called `{name}`");
        reader.report(
            Diagnostic::new(Code::Repeated, at, message)
                .with_label(first.place.span, "the first one"),
        );
    }
}

fn read_test(
    reader: &mut Reader,
    table: &DeTable<'_>,
    fields: &Fields<'_, '_>,
    samples: &mut Samples<'_>,
    draft: &mut Draft,
) -> Option<TestCase> {
    for (key, what) in [("event", "which event?"), ("expect", "what is wanted?")] {
        if !table.contains_key(key) {
            let message = format!("a test needs the key `{key}`: {what}");
            let help = "Give `event` and `expect`, or `[[test.timeline]]` and `[[test.findings]]`.";
            reader.report(Diagnostic::new(Code::MissingKey, fields.span, message).with_help(help));
        }
    }
    let wanted = fields.text("expect");
    let expect = wanted.and_then(|(word, span)| Some((Expect::from_word(word)?, span)));
    draft.expected.extend(expect.map(|(expect, _)| expect));
    let event = fields
        .text("event")
        .and_then(|(name, span)| samples.event(reader, name, span));
    let dedup_key = read_texts(reader, fields, "dedup_key");
    let ((name, at), (expect, expect_at), event_json) = (fields.text("name")?, expect?, event?);
    note_repeated(reader, draft, name, at);
    if expect != Expect::Match {
        for key in ["title", "severity", "dedup_key"] {
            let Some(value) = fields.value(key) else {
                continue;
            };
            let message = format!("`{key}` is wanted of an event that should not match");
            reader.report(
                Diagnostic::new(Code::TestPointless, span_of(value), message)
                    .with_help("Only a match has a finding; this is never compared."),
            );
        }
    }
    let scenario = Scenario::Event(Box::new(EventTest {
        event_json,
        facts: read_facts(reader, fields),
        expect,
        title: fields.string("title"),
        severity: fields
            .text("severity")
            .and_then(|(word, _)| Severity::from_word(word)),
        dedup_key,
        expect_place: reader.place(expect_at),
    }));
    Some(TestCase {
        name: name.to_owned(),
        scenario,
        place: reader.place(at),
    })
}

/// The parts of a wanted key: strings, where the empty one is a good value.
pub(super) fn read_texts(
    reader: &mut Reader,
    fields: &Fields<'_, '_>,
    name: &str,
) -> Option<Vec<String>> {
    let items = fields.value(name)?.get_ref().as_array()?;
    let mut key = Vec::with_capacity(items.len());
    for item in items.iter() {
        match item.get_ref().as_str() {
            Some(text) => key.push(text.to_owned()),
            None => reader.report(
                Diagnostic::new(
                    Code::WrongType,
                    span_of(item),
                    "a part of a key is no string",
                )
                .with_help("Parts of a key are compared as text: write `\"1\"`, not `1`."),
            ),
        }
    }
    Some(key)
}

/// Most suggestions of rule ids for suites that name a rule that is not there.
const SEARCHES_MAX: usize = 50;

/// Finds the rule of each draft, and says which rules lack tests. Tests of a rule with mistakes are kept, so that
/// the runner can say that they could not run, and so are tests of no rule.
pub(super) fn assign(
    drafts: Vec<Draft>,
    rules: &[Rule],
    known: &BTreeMap<String, Place>,
) -> (Vec<Suite>, Vec<Orphan>, Vec<Report>) {
    let mut folders: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (id, place) in known {
        folders
            .entry(folder_of(&place.source.name))
            .or_default()
            .push(id);
    }
    let (mut suites, mut orphans, mut reports) = (Vec::new(), Vec::new(), Vec::new());
    let mut expected: BTreeMap<String, Vec<Expect>> = BTreeMap::new();
    for draft in drafts {
        // Each search walks over all ids: the first few mistakes get one.
        let searched = if reports.len() < SEARCHES_MAX {
            known.len()
        } else {
            0
        };
        match rule_of(&draft, known, &folders, searched) {
            Ok(id) => {
                expected
                    .entry(id.clone())
                    .or_default()
                    .extend(&draft.expected);
                suites.extend(RuleId::new(&id).map(|rule| Suite {
                    rule,
                    place: draft.place,
                    tests: draft.tests,
                    refused: draft.refused,
                }));
            }
            Err(report) => {
                orphans.extend(orphaned(&draft, &report.diagnostic.message));
                reports.push(*report);
            }
        }
    }
    for suite in &suites {
        let rule = rules.iter().find(|rule| rule.id == suite.rule);
        if rule.is_some_and(|rule| rule.memory.is_some()) {
            reports.extend(suite.tests.iter().filter_map(uncompared));
        }
    }
    let trusted = |rule: &&Rule| matches!(rule.status, Status::Stable | Status::Test);
    for rule in rules.iter().filter(trusted) {
        let tests = expected
            .get(rule.id.as_str())
            .map_or(&[][..], Vec::as_slice);
        reports.extend(too_few(rule, tests));
    }
    (suites, orphans, reports)
}

/// The tests of a file that belongs to no rule, in order.
fn orphaned(draft: &Draft, mistake: &str) -> Vec<Orphan> {
    let rule = draft.rule.as_ref().map(|(id, _)| id.as_str());
    let tests = draft.tests.iter().map(|one| (&one.name, &one.place));
    let refused = draft.refused.iter().map(|one| (&one.name, &one.place));
    let orphan = |(name, place): (&String, &Place)| Orphan {
        rule: rule.unwrap_or_default().to_owned(),
        name: name.clone(),
        place: place.clone(),
        mistake: mistake.to_owned(),
    };
    let mut orphans: Vec<Orphan> = tests.chain(refused).map(orphan).collect();
    orphans.sort_by_key(|one| one.place.span.start);
    orphans
}

fn folder_of(path: &str) -> &str {
    path.rsplit_once(['/', '\\'])
        .map_or("", |(folder, _)| folder)
}

fn rule_of(
    draft: &Draft,
    known: &BTreeMap<String, Place>,
    folders: &BTreeMap<&str, Vec<&str>>,
    searched: usize,
) -> Result<String, Box<Report>> {
    let (span, message, help) = match &draft.rule {
        Some((id, _)) if known.contains_key(id) => return Ok(id.clone()),
        Some((id, place)) => {
            let message = format!("there is no rule `{id}` to test");
            let candidates = known.keys().take(searched).map(String::as_str);
            let help = match did_you_mean(id, candidates) {
                Some(near) => format!("Did you mean `{near}`?"),
                None => "The rule was renamed, or its file is not among the paths.".to_owned(),
            };
            (place.span, message, help)
        }
        None => match folders
            .get(folder_of(&draft.place.source.name))
            .map(Vec::as_slice)
        {
            Some([id]) => return Ok((*id).to_owned()),
            Some(_) => (
                draft.place.span,
                "these tests lie beside several rules".to_owned(),
                "Say which one they are about: `rule = \"id\"` at the top.".to_owned(),
            ),
            None => (
                draft.place.span,
                "these tests lie beside no rule".to_owned(),
                "Put them into the folder of their rule, or name it: `rule = \"id\"` at the top."
                    .to_owned(),
            ),
        },
    };
    let diagnostic = Diagnostic::new(Code::TestsWithoutRule, span, message).with_help(help);
    Err(Box::new(Report {
        source: draft.place.source.clone(),
        diagnostic,
    }))
}

/// What a test of one event wants of a finding, where the rule makes none of one event: it counts it, or takes a step.
fn uncompared(test: &TestCase) -> Option<Report> {
    let Scenario::Event(event) = &test.scenario else {
        return None;
    };
    let wanted = [
        ("title", event.title.is_some()),
        ("severity", event.severity.is_some()),
        ("dedup_key", event.dedup_key.is_some()),
    ];
    let (key, _) = wanted.into_iter().find(|(_, wanted)| *wanted)?;
    let message = format!("`{key}` is wanted of one event, and the rule remembers several");
    let help = "One event has no finding yet, so this is never compared. Say it of `[[test.findings]]`, after a \
                `[[test.timeline]]`.";
    let diagnostic = Diagnostic::new(Code::TestPointless, test.place.span, message).with_help(help);
    Some(Report {
        source: test.place.source.clone(),
        diagnostic,
    })
}

fn too_few(rule: &Rule, tests: &[Expect]) -> Option<Report> {
    let missing: Vec<&str> = [
        (Expect::Match, "one that matches"),
        (Expect::NoMatch, "one that does not"),
    ]
    .into_iter()
    .filter(|(expect, _)| !tests.contains(expect))
    .map(|(_, words)| words)
    .collect();
    if missing.is_empty() {
        return None;
    }
    let message = format!(
        "the {} rule `{}` lacks a test: {}",
        rule.status,
        rule.id,
        missing.join(", ")
    );
    let diagnostic = Diagnostic::new(Code::TestsTooFew, rule.place.span, message)
        .with_help("Add it to `tests.toml` beside the rule, or make its status `experimental`.");
    Some(Report {
        source: rule.place.source.clone(),
        diagnostic,
    })
}
