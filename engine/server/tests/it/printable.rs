//! Nothing that a terminal acts on, or that hides what a text is, is printed: whoever wrote it, and wherever it stands.

use crate::harness::{Folder, Ran, tripline};
use tripline_core::diagnostic::is_printable;

/// An escape sequence of each kind, a change of direction, and what takes no room.
const HOSTILE: &str = "\u{1b}[2J\u{9b}2J\u{202e}\u{200b}\u{2066}\u{ad}";

/// As TOML and JSON write it.
fn escaped() -> String {
    let units = HOSTILE.encode_utf16();
    units.map(|unit| format!("\\u{unit:04x}")).collect()
}

const RULE: &str = r#"
id = "hostile"
name = "NAME HOSTILE"
description = "one HOSTILE\ntwo HOSTILE"
severity = "low"
status = "experimental"
tags = ["HOSTILE"]
authors = ["HOSTILE"]
references = ["https://example.com/HOSTILE"]
false_positives = ["HOSTILE"]
runbook = "do HOSTILE\nthen HOSTILE"
when = 'event.userAgent != "RAW" && event.userAgent != "x"'

[finding]
title = "HOSTILE {event.userAgent}"
dedup_key = ["event.userAgent"]

[finding.context]
agent = "event.userAgent"

[[exceptions]]
name = "HOSTILE"
owner = "HOSTILE"
reason = "HOSTILE"
when = 'event.userAgent == "excused"'
"#;

const TESTS: &str = r#"
[events.agent]
set = { userAgent = "a HOSTILE" }

[events.excused]
set = { userAgent = "excused" }

[[test]]
name = "NAME HOSTILE"
event = "agent"
expect = "no_match"

[[test]]
name = "title HOSTILE"
event = "agent"
expect = "match"
title = "HOSTILE"

[[test]]
name = "excused HOSTILE"
event = "excused"
expect = "match"
"#;

const COUNTING: &str = r#"
id = "counting"
name = "HOSTILE"
description = "HOSTILE"
severity = "low"
status = "experimental"
when = 'has(event.userAgent)'
group_by = ["event.userAgent"]

[threshold]
window = "1h"
is = ">= 1"
"#;

fn workplace() -> Folder {
    let folder = Folder::new("printable");
    let fill = |text: &str| {
        let raw: String = HOSTILE.chars().filter(|one| *one > '\u{9f}').collect();
        text.replace("HOSTILE", &escaped()).replace("RAW", &raw)
    };
    folder.file("rules/hostile/rule.toml", fill(RULE));
    folder.file("rules/hostile/tests.toml", fill(TESTS));
    folder.file("rules/counting/rule.toml", fill(COUNTING));
    folder.file(
        "broken/rule.toml",
        fill(&RULE.replace(
            "severity = \"low\"",
            "severity = \"HOSTILE\"\n\"k HOSTILE\" = 1",
        )),
    );
    let events = fill(
        "{\"eventID\":\"id HOSTILE\",\"userAgent\":\"b HOSTILE\",\"eventTime\":\"2024-01-02T03:04:05Z\",\"userIdentity\":{\"arn\":\"HOSTILE\"},\"sourceIPAddress\":\"HOSTILE\",\"awsRegion\":\"HOSTILE\"}\n{\"userAgent\":[\"HOSTILE\"]}\n[1]\n",
    );
    folder.file("events.jsonl", &events);
    folder.file(
        "expect.toml",
        fill("[[expect]]\nrule = \"HOSTILE\"\nfindings = 3\n[[expect]]\nrule = \"hostile\"\nkeys = [[\"HOSTILE\"]]\n"),
    );
    folder.file(
        "labels.jsonl",
        fill("{\"rule_id\":\"HOSTILE\",\"event_id\":\"id HOSTILE\",\"label\":\"tp\",\"note\":\"HOSTILE\"}\n"),
    );
    folder.file("bad.toml", fill("\"k HOSTILE\" = \"HOSTILE\"\n"));
    if cfg!(unix) {
        folder.file(&format!("odd/{HOSTILE}.jsonl"), events);
        folder.file(&format!("odd/{HOSTILE}.toml"), "values=[\"a\"]");
    }
    folder
}

#[test]
fn nothing_hostile_is_printed() {
    let folder = workplace();
    let odd = format!("odd/{HOSTILE}.jsonl");
    let nowhere = format!("nowhere{HOSTILE}");
    let backtest = "backtest --rules rules --against events.jsonl --expect expect.toml --labels labels.jsonl --baseline rules";
    let mut commands: Vec<Vec<&str>> = [
        "scan --rules rules --stats events.jsonl",
        "scan --rules rules --stats --stats-format json --format jsonl events.jsonl",
        "scan --rules rules --format sarif events.jsonl",
        "scan --rules rules --format ocsf events.jsonl",
        "explain --rules rules --rule hostile events.jsonl",
        "explain --rules rules --rule hostile events.jsonl:2",
        "explain --rules rules --rule hostile --format json events.jsonl",
        "explain --rules rules --rule counting events.jsonl",
        "test rules",
        "test --format json rules",
        "rules list --rules rules",
        "rules list --rules rules --format json",
        "rules show --rules rules hostile",
        "rules show --rules rules --format json hostile",
        "check rules",
        "check --format json rules",
        "check broken",
        "check --format json broken",
        "coverage --rules rules",
        "fmt --check odd",
        backtest,
        "backtest --rules rules --against events.jsonl --expect bad.toml",
        "scan --rules broken events.jsonl",
    ]
    .map(|command| command.split(' ').collect())
    .into();
    let with = |more: &'static str| backtest.split(' ').chain(more.split(' ')).collect();
    commands.push(with("--format json"));
    commands.push(with("--format junit"));
    commands.push(vec!["scan", "--rules", "rules", "--stats", &odd]);
    commands.push(vec!["backtest", "--rules", "rules", "--against", &odd]);
    for options in [
        &["scan", "--rules", "rules"][..],
        &["check"],
        &["explain", "--rule", "hostile"],
    ] {
        commands.push([options, &[nowhere.as_str()]].concat());
    }
    for command in commands {
        let output = tripline(&command).current_dir(folder.path()).output();
        let ran = Ran::from(output.expect("the binary runs"));
        let told = format!("{}{}", ran.stdout, ran.stderr);
        assert!(told.len() > 1, "{command:?} says nothing");
        let hostile = told.chars().find(|one| *one != '\n' && !is_printable(*one));
        assert_eq!(hostile, None, "{command:?}:\n{}", told.escape_debug());
    }
}

/// The same notation everywhere, and data that says the same.
#[test]
fn what_is_hostile_is_shown_in_one_notation() {
    let folder = workplace();
    let with = |command: &str| {
        let arguments: Vec<&str> = command.split(' ').collect();
        let output = tripline(&arguments).current_dir(folder.path()).output();
        Ran::from(output.expect("the binary runs")).stdout
    };
    let shown: String = HOSTILE
        .chars()
        .map(|one| match is_printable(one) {
            true => one.to_string(),
            false => one.escape_unicode().to_string(),
        })
        .collect();
    let scan = with("scan --rules rules events.jsonl");
    assert!(scan.contains(&format!("{shown} b {shown}\n")), "{scan}");
    assert!(!scan.contains('\u{fffd}'), "{scan}");
    for command in [
        "rules show --rules rules hostile",
        "rules list --rules rules",
        "test rules",
        "explain --rules rules --rule hostile events.jsonl",
    ] {
        let told = with(command);
        assert!(told.contains(&shown), "{command}: {told}");
    }
    let finding = with("scan --rules rules --format jsonl events.jsonl");
    let finding = finding.lines().next().expect("a finding");
    let finding: serde_json::Value = serde_json::from_str(finding).expect("JSON");
    assert_eq!(finding["context"]["agent"], format!("b {HOSTILE}"));
    assert_eq!(finding["event"]["userAgent"], format!("b {HOSTILE}"));
}

/// Messages about arguments repeat them.
#[test]
fn arguments_are_told_printable() {
    let folder = Folder::new("printable-arguments");
    let hostile = format!("x{HOSTILE}\n");
    for arguments in [
        &["scan", "--format", &hostile][..],
        &["scan", "--threads", &hostile],
        &["scan", &format!("--{hostile}")],
        &["scan", "--now", &hostile, "-"],
        &[&hostile],
        &["--color", "always", "scan", "--format", &hostile],
    ] {
        let output = tripline(arguments).current_dir(folder.path()).output();
        let ran = Ran::from(output.expect("the binary runs"));
        assert_eq!(ran.code, 2, "{ran:?}");
        let bad = ran
            .stderr
            .chars()
            .find(|one| !is_printable(*one) && *one != '\n');
        assert_eq!(bad, None, "{}", ran.stderr);
        assert!(
            ran.stderr.contains("x\\u{1b}[2J\\u{9b}2J\\u{202e}"),
            "{}",
            ran.stderr
        );
    }
}
