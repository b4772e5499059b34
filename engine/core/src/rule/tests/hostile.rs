//! Files that are made to hurt: each is read in bounded time and memory and ends in a report.

use crate::diagnostic::Code;
use crate::limits::{
    FILE_DIAGNOSTICS_MAX, LIST_FILE_BYTES_MAX, LIST_VALUE_BYTES_MAX, OVERRIDES_MAX,
    RULE_CONTEXT_MAX, RULE_DEDUP_KEY_MAX, RULE_EXCEPTIONS_MAX, RULE_FILE_BYTES_MAX,
    SUITE_EVENT_CHAIN_MAX, SUITE_TESTS_MAX, TEMPLATE_PARTS_MAX,
};
use crate::rule::{Catalog, File, format, load};
use jiff::civil::date;

const RULE: &str = "id = 'a'\nname = 'A'\ndescription = 'A.'\nseverity = 'low'\nstatus = 'test'\n";

fn read(path: &str, text: &str) -> Catalog {
    load(&[File::found(path, text)], date(2026, 1, 1))
}

/// Wants this diagnostic among the reports of a file, and no more reports than a person can use.
fn check(text: &str, code: Code) {
    let catalog = read("a.toml", text);
    let codes: Vec<Code> = catalog
        .reports
        .iter()
        .map(|report| report.diagnostic.code)
        .collect();
    assert!(codes.contains(&code), "{code:?} is not among {codes:?}");
    assert!(codes.len() <= FILE_DIAGNOSTICS_MAX + 1);
    for report in &catalog.reports {
        let end = report.diagnostic.span.end as usize;
        assert!(end <= report.source.text.len() + 1, "{end}");
    }
    let _ = format("a.toml", text);
}

#[test]
fn deep_and_long_toml_is_refused() {
    check(&format!("a = {}", "[".repeat(100_000)), Code::TomlSyntax);
    check(
        &format!("a = {}", "{a = ".repeat(100_000)),
        Code::TomlSyntax,
    );
    check(&format!("{}a = 1", "a.".repeat(100_000)), Code::TomlSyntax);
    check(
        &format!("[{}a]\nb = 1", "a.".repeat(100_000)),
        Code::TomlSyntax,
    );
    check(&"\0".repeat(1000), Code::TomlSyntax);
    check("id = \"\0\"\nwhen = 'true'", Code::TomlSyntax);
    check(&"x".repeat(RULE_FILE_BYTES_MAX + 1), Code::Bound);
    check(&"]\n".repeat(100_000), Code::Bound);
    let keys: String = (0..20_000)
        .map(|number| format!("key{number} = 1\n"))
        .collect();
    check(&format!("{RULE}when = 'true'\n{keys}"), Code::Bound);
}

#[test]
fn parts_of_rules_are_bounded() {
    let title = "{a}".repeat(TEMPLATE_PARTS_MAX + 1);
    check(
        &format!("{RULE}when = 'true'\nfinding.title = '{title}'"),
        Code::Bound,
    );
    let braces = "{".repeat(100_001);
    check(
        &format!("{RULE}when = 'true'\nfinding.title = '{braces}'"),
        Code::TemplateSyntax,
    );
    let key = "'a', ".repeat(RULE_DEDUP_KEY_MAX + 1);
    check(
        &format!("{RULE}when = 'true'\nfinding.dedup_key = [{key}]"),
        Code::Bound,
    );
    let facts: String = (0..=RULE_CONTEXT_MAX)
        .map(|number| format!("f{number} = 'a'\n"))
        .collect();
    check(
        &format!("{RULE}when = 'true'\n[finding.context]\n{facts}"),
        Code::Bound,
    );
    let exceptions = "[[exceptions]]\nname = 'a'\nwhen = 'true'\n".repeat(RULE_EXCEPTIONS_MAX + 1);
    check(&format!("{RULE}when = 'true'\n{exceptions}"), Code::Bound);
    let parentheses = "(".repeat(50_000);
    check(
        &format!("{RULE}when = '{parentheses}'"),
        Code::SelectorTooLarge,
    );
}

#[test]
fn overrides_cannot_pile_up_exceptions() {
    let exceptions: String = (0..200)
        .map(|number| format!("[[override.exceptions]]\nname = 'e{number}'\nwhen = 'true'\n"))
        .collect();
    let one = format!("[[override]]\nrule = 'a'\n{exceptions}");
    let files = [
        File::found("a.toml", format!("{RULE}when = 'true'\n")),
        File::found("b.toml", one.clone()),
        File::found("c.toml", one),
    ];
    let catalog = load(&files, date(2026, 1, 1));
    assert_eq!(catalog.rules[0].exceptions.len(), RULE_EXCEPTIONS_MAX);
    assert!(
        catalog
            .reports
            .iter()
            .any(|report| report.diagnostic.code == Code::Bound)
    );
}

#[test]
fn events_cannot_multiply() {
    let chain: String = (0..SUITE_EVENT_CHAIN_MAX + 4)
        .map(|number| format!("[events.e{number}]\nextends = 'e{}'\n", number + 1))
        .collect();
    check(
        &format!("{chain}[[test]]\nname = 't'\nevent = 'e0'\nexpect = 'match'"),
        Code::Bound,
    );
    let test =
        |number: usize| format!("[[test]]\nname = 't{number}'\nevent = 'big'\nexpect = 'match'\n");
    let many: String = (0..=SUITE_TESTS_MAX).map(test).collect();
    check(&format!("[events.big]\njson = '{{}}'\n{many}"), Code::Bound);
    let big = "x".repeat(900_000);
    let tests: String = (0..100).map(test).collect();
    let text = format!("rule = 'a'\n[events.big]\njson = '{{\"a\": \"{big}\"}}'\n{tests}");
    check(&text, Code::Bound);
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    check(
        &format!("test = []\n[events.a]\njson = '{{\"a\": {deep}}}'"),
        Code::EventJson,
    );
}

#[test]
fn files_that_are_no_text_or_say_nothing_are_told() {
    let good = format!("{RULE}when = 'true'");
    let files = [
        File::not_text("b/rule.toml"),
        File::found("c/tests.toml", ""),
        File::found("d/rule.toml", "# nothing yet\n"),
        File::found("rules/a/rule.toml", good),
        // Nobody asks for it.
        File::not_text("a/recorded.json"),
    ];
    let catalog = load(&files, date(2026, 11, 21));
    assert_eq!(catalog.rules.len(), 1);
    let told: Vec<_> = catalog
        .reports
        .iter()
        .map(|one| (one.source.name.as_str(), one.diagnostic.message.as_str()))
        .collect();
    assert_eq!(
        told,
        [
            ("b/rule.toml", "this file is not UTF-8 text"),
            ("c/tests.toml", "this file says nothing"),
            ("d/rule.toml", "this file says nothing"),
        ]
    );
}

#[test]
fn overrides_of_a_file_are_bounded() {
    let file = |count: usize| format!("override = [{}]", "{rule='a'},".repeat(count));
    let catalog = read("overrides.toml", &file(OVERRIDES_MAX + 1));
    assert!(catalog.overrides.is_empty());
    let [report] = catalog.reports.as_slice() else {
        panic!("one report: {:?}", catalog.reports);
    };
    assert_eq!(report.diagnostic.code, Code::Bound);
    assert_eq!(
        report.diagnostic.message,
        "20001 overrides in one file are too many"
    );
}

#[test]
fn list_files_are_bounded() {
    let text = |bytes: usize| format!("value\na,{}", "x".repeat(bytes - 8));
    let catalog = read("lists/l.csv", &text(LIST_FILE_BYTES_MAX));
    assert_eq!(catalog.lists["l"].values(), ["a"]);
    assert!(catalog.reports.is_empty(), "{:?}", catalog.reports);
    let catalog = read("lists/l.csv", &text(LIST_FILE_BYTES_MAX + 1));
    assert!(catalog.lists.is_empty());
    assert_eq!(catalog.reports[0].diagnostic.code, Code::Bound);
}

#[test]
fn lists_are_bounded() {
    let long = "x".repeat(LIST_VALUE_BYTES_MAX + 1);
    let catalog = read("lists/l.csv", &format!("a\n{long}\nb\n"));
    assert_eq!(catalog.lists["l"].values(), ["a", "b"]);
    assert_eq!(catalog.reports[0].diagnostic.code, Code::Bound);
    let same = "a\n".repeat(100_000);
    let catalog = read("lists/l.csv", &same);
    assert_eq!(catalog.reports.len(), FILE_DIAGNOSTICS_MAX + 1);
    let catalog = read("lists/l.json", &"[".repeat(100_000));
    assert_eq!(catalog.reports[0].diagnostic.code, Code::ListSyntax);
    let catalog = read("lists/l.json", &format!("[{}]", "\"a\",".repeat(100_000)));
    assert!(catalog.reports.len() <= FILE_DIAGNOSTICS_MAX + 1);
}

#[test]
fn many_rules_and_overrides_are_read_in_linear_time() {
    let mut files: Vec<File> = (0..2000)
        .map(|number| {
            File::found(
                format!("r{number}.toml"),
                format!(
                    "{}when = 'true'",
                    RULE.replace("'a'", &format!("'a{number}'"))
                ),
            )
        })
        .collect();
    let overrides: String = (0..2000)
        .map(|number| format!("[[override]]\nrule = 'b{number}'\n"))
        .collect();
    files.push(File::found("o.toml", overrides));
    let catalog = load(&files, date(2026, 1, 1));
    assert_eq!(catalog.rules.len(), 2000);
}

const PIECES: [&str; 24] = [
    "'",
    "\"",
    "'''",
    "\"\"\"",
    "\\",
    "\n",
    "\r\n",
    "{",
    "}",
    "[",
    "]",
    "[[",
    "]]",
    "=",
    ".",
    ",",
    "#",
    "\0",
    "é",
    "\\u00e9",
    "when",
    "[events.a]\n",
    "[[test]]\n",
    "0x",
];

const SEED: &str = r#"# Head.

id = "a"
name = "A"
description = """
Long. \u00e9
"""
severity = "low"
status = "stable"
attack = ["TA0005/T1562.008"]
when = "event.a == \"é\" && event.b"

[finding]
title = 'T {event.a} {{x}} {"}"}'
dedup_key = ["event.a", 'event["b"]'] # key

[[exceptions]]
name = "x"
list = "l"
value = 'event.a'
expires = 2027-01-31

[events.a]
json = '{"a": [1, {"b": null}]}'
remove = ["a.0"]
set = { a.b = 1, c = [1.5, true, 1979-05-27] }

[events.b]
extends = "a"

[[test]]
name = "t"
event = "b"
expect = "match"
"#;

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig {
        cases: 400, failure_persistence: None, ..proptest::prelude::ProptestConfig::default()
    })]

    #[test]
    fn damaged_files_are_read_without_a_panic(
        edits in proptest::collection::vec((0..SEED.len(), 0..12usize, 0..PIECES.len()), 1..6),
        path in proptest::sample::select(vec!["a/rule.toml", "lists/l.toml", "lists/l.csv", "lists/l.json"]),
    ) {
        let mut text = SEED.to_owned();
        for (at, length, piece) in edits {
            let boundary = |at: usize| (at.min(text.len())..=text.len()).find(|at| text.is_char_boundary(*at));
            let start = boundary(at).unwrap_or(text.len());
            let end = boundary(start + length).unwrap_or(text.len());
            text.replace_range(start..end, PIECES[piece]);
        }
        let catalog = read(path, &text);
        for report in &catalog.reports {
            let span = report.diagnostic.span;
            proptest::prop_assert!(span.start <= span.end && span.end as usize <= text.len() + 1);
            report.render(crate::diagnostic::Palette::PLAIN);
            report.to_json();
        }
        if let Ok(once) = format("a.toml", &text) {
            proptest::prop_assert_eq!(format("a.toml", &once), Ok(once));
        }
    }
}
