//! Rules and events of different sources: what cannot be decided there is told apart, and nothing is lost.

use tripline_core::evaluate::{Evaluator, RuleSet};
use tripline_core::event::{Event, Parser};
use tripline_core::rule::{Catalog, File, load};
use tripline_core::rule_test::run_tests;

const VPN: &str = r#"
id = "example.vpn"
title = "VPN session log"
marks = ["session.id", "gateway"]

[fields]
session = { type = "object", presence = "always" }
"session.id" = { type = "string", presence = "always" }
gateway = { type = "string", presence = "sometimes" }
"#;

fn rule(id: &str, source: &str, when: &str) -> File {
    let text = format!(
        "id = \"{id}\"\nname = \"a\"\ndescription = \"a\"\nseverity = \"low\"\nstatus = \"experimental\"\n\
         {source}\nwhen = '''{when}'''\n"
    );
    File::found(format!("rules/{id}/rule.toml"), text)
}

fn catalog(more: Vec<File>) -> Catalog {
    let mut files = vec![
        File::found("vpn.toml", VPN),
        rule(
            "trail-absent",
            "source = \"aws.cloudtrail\"",
            "event.eventName == \"A\"",
        ),
        rule(
            "trail-holds",
            "source = \"aws.cloudtrail\"",
            "event.?userAgent.orValue(\"\") == \"x\"",
        ),
        rule(
            "trail-either",
            "source = \"aws.cloudtrail\"",
            "event.eventName == \"A\" || event.?userAgent.orValue(\"\") == \"x\"",
        ),
        rule(
            "vpn-absent",
            "source = \"example.vpn\"",
            "event.gateway == \"g\"",
        ),
        rule("no-source", "", "event.eventName == \"A\""),
        rule(
            "no-schema",
            "source = \"some.thing\"",
            "event.eventName == \"A\"",
        ),
    ];
    files.extend(more);
    load(&files, jiff::civil::date(2026, 1, 1))
}

/// Which rules match an event, which are undecided, and which do not concern it.
fn check(event: &str, matched: &[&str], indeterminate: &[&str], not_applicable: &[&str]) {
    let catalog = catalog(Vec::new());
    let schema = |source: &str| catalog.schema(source);
    let (set, reports) = RuleSet::compile(catalog.rules.clone(), &catalog.lists, &schema);
    assert!(reports.is_empty(), "{reports:?}");
    let mut parser = Parser::new();
    let document = parser.parse(event.as_bytes()).expect("an event");
    let mut evaluator = Evaluator::new(&set);
    let found = evaluator.evaluate(&Event::new(document));
    for (found, wanted) in [
        (found.matched, matched),
        (found.indeterminate, indeterminate),
        (found.not_applicable, not_applicable),
    ] {
        let found: Vec<&str> = found
            .iter()
            .map(|rule| set.rules()[rule.0 as usize].rule.id.as_str())
            .collect();
        assert_eq!(found, wanted, "{event}");
    }
}

#[test]
fn what_is_undecided_on_events_of_another_source_is_not_applicable() {
    check(
        r#"{"startTime":"t"}"#,
        &[],
        &["no-source", "no-schema"],
        &["trail-absent", "trail-either", "vpn-absent"],
    );
    check(
        r#"{"session":{"id":"1"}}"#,
        &[],
        &["vpn-absent", "no-source", "no-schema"],
        &["trail-absent", "trail-either"],
    );
}

#[test]
fn a_rule_that_matches_does_so_on_any_event() {
    check(
        r#"{"userAgent":"x"}"#,
        &["trail-holds", "trail-either"],
        &["no-source", "no-schema"],
        &["trail-absent", "vpn-absent"],
    );
}

/// Records that lack much of what their schema promises still are their source's.
#[test]
fn one_mark_is_enough() {
    for event in [
        r#"{"eventVersion":"1.11"}"#,
        r#"{"eventSource":null}"#,
        r#"{"detail-type":"x","detail":{"eventVersion":"1"}}"#,
    ] {
        check(
            event,
            &[],
            &["trail-absent", "trail-either", "no-source", "no-schema"],
            &["vpn-absent"],
        );
    }
    check(
        r#"{"session":"id","gateway":1}"#,
        &[],
        &["no-source", "no-schema"],
        &["trail-absent", "trail-either"],
    );
}

#[test]
fn rule_tests_speak_of_the_selector() {
    let tests = "[events.bare]\njson = '{}'\n[[test]]\nname = \"bare\"\nevent = \"bare\"\nexpect = \"indeterminate\"\n";
    let catalog = catalog(vec![File::found("rules/trail-absent/tests.toml", tests)]);
    let results = run_tests(&catalog);
    assert_eq!(results.len(), 1);
    assert!(results[0].failure.is_none(), "{:?}", results[0].failure);
}
