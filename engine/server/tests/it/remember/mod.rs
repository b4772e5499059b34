//! Rules that remember, from the command line: order, state from one run to the next, death at any moment.

mod live;
mod state;

use crate::harness::{Folder, run, tripline};
use serde_json::Value;
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::Stdio;
use std::time::Duration;

const RULES: [(&str, &str); 4] = [
    (
        "burst",
        r#"
when = 'event.readOnly == false'
group_by = ['event.?userIdentity.?arn.orValue("")']
[threshold]
window = "10m"
is = ">= 5"
"#,
    ),
    (
        "new-call",
        r#"
when = 'has(event.eventName)'
[first_seen]
of = ['event.?userIdentity.?arn.orValue("")', 'event.eventName']
learning = "1h"
"#,
    ),
    (
        "reads",
        r#"
when = 'event.readOnly == true'
[suppress]
window = "2h"
by = ['event.eventSource']
"#,
    ),
    (
        "no-end",
        r#"
when = 'event.eventName == "AssumeRole"'
group_by = ['event.awsRegion']
[absence]
of = 'event.eventName == "StopLogging"'
within = "30m"
"#,
    ),
];

/// A folder with the rules above and a day of sample events in four files.
fn workplace(name: &str) -> Folder {
    let folder = Folder::new(name);
    for (id, text) in RULES {
        let head = format!(
            "id = \"{id}\"\nname = \"{id}\"\ndescription = \"A rule of this test.\"\nseverity = \"low\"\nstatus = \"experimental\"\n"
        );
        folder.file(&format!("rules/{id}/rule.toml"), head + text);
    }
    let sample = run(&["sample", "--events", "2400", "--seed", "7"]);
    assert_eq!(sample.code, 0, "{}", sample.stderr);
    let events: Vec<&str> = sample.stdout.lines().collect();
    assert_eq!(events.len(), 2400);
    for (number, part) in events.chunks(600).enumerate() {
        folder.file(&format!("logs/{number}.jsonl"), part.join("\n"));
    }
    folder.file("all.jsonl", events.join("\n"));
    // Every event once more, in an order that has nothing to do with time.
    let mut mixed: Vec<&str> = Vec::with_capacity(events.len());
    for start in 0..61 {
        mixed.extend(events.iter().skip(start).step_by(61).rev());
    }
    folder.file("mixed.jsonl", mixed.join("\n"));
    folder
}

fn scan(folder: &Folder, arguments: &[&str]) -> BTreeSet<String> {
    let rules = format!("{}/rules", folder.path());
    let fixed = [
        "scan",
        "--rules",
        &rules,
        "--format",
        "jsonl",
        "--now",
        "2030-01-01T00:00:00Z",
    ];
    let ran = run(&[&fixed[..], arguments].concat());
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    findings(&ran.stdout)
}

/// Findings without their places.
fn findings(stdout: &str) -> BTreeSet<String> {
    let lines: Vec<&str> = stdout.lines().collect();
    let all: BTreeSet<String> = lines
        .iter()
        .map(|line| {
            let mut finding: Value = serde_json::from_str(line).expect("a line is JSON");
            let object = finding.as_object_mut().expect("an object");
            object.remove("file");
            object.remove("line");
            finding.to_string()
        })
        .collect();
    assert_eq!(all.len(), lines.len(), "a finding came twice");
    all
}

#[test]
fn order_threads_and_files_change_nothing() {
    let folder = workplace("remember-order");
    let path = |name: &str| format!("{}/{name}", folder.path());
    let whole = scan(&folder, &[&path("all.jsonl")]);
    for rule in RULES.map(|(id, _)| id) {
        let of_rule = format!("\"rule_id\":\"{rule}\"");
        assert!(
            whole.iter().any(|one| one.contains(&of_rule)),
            "{rule} found nothing"
        );
    }
    assert!(whole.iter().any(|one| one.contains("\"suppressed\"")));
    for (arguments, what) in [
        (vec![path("mixed.jsonl")], "another order"),
        (vec![path("logs")], "four files"),
        (vec![path("logs"), path("mixed.jsonl")], "everything twice"),
        (
            vec!["--no-dedup".to_owned(), path("mixed.jsonl"), path("logs")],
            "twice, and every record",
        ),
        (
            vec!["--threads".to_owned(), "7".to_owned(), path("logs")],
            "seven threads",
        ),
    ] {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let found = scan(&folder, &arguments);
        assert!(
            found == whole,
            "{what}: {} findings, not {}",
            found.len(),
            whole.len()
        );
    }
}

/// Time, principal and call of an event.
fn call(line: &str) -> (jiff::Timestamp, (String, String)) {
    let event: Value = serde_json::from_str(line).expect("a line is JSON");
    let arn = event["userIdentity"]["arn"]
        .as_str()
        .unwrap_or("")
        .to_owned();
    let time = event["eventTime"].as_str().expect("a time");
    (
        time.parse().expect("a time"),
        (arn, event["eventName"].to_string()),
    )
}

#[test]
fn seeding_learns_and_reports_nothing() {
    let folder = workplace("remember-seed");
    let path = |name: &str| format!("{}/{name}", folder.path());
    let seeded = scan(
        &folder,
        &[
            "--seed",
            "--state",
            &path("state"),
            &path("logs/0.jsonl"),
            &path("logs/1.jsonl"),
        ],
    );
    assert_eq!(seeded, BTreeSet::new());
    let new_calls = |found: &BTreeSet<String>| {
        let of_rule = found
            .iter()
            .filter(|one| one.contains("\"rule_id\":\"new-call\""));
        of_rule.count()
    };
    let after = scan(
        &folder,
        &[
            "--state",
            &path("state"),
            &path("logs/2.jsonl"),
            &path("logs/3.jsonl"),
        ],
    );
    // What the rule should know, counted by hand; what is late at the end waits for another scan.
    let calls = |numbers: [usize; 2]| {
        let mut calls = Vec::new();
        for number in numbers {
            let text =
                std::fs::read_to_string(path(&format!("logs/{number}.jsonl"))).expect("a log");
            calls.extend(text.lines().map(call));
        }
        calls
    };
    let mut known: BTreeSet<_> = calls([0, 1]).into_iter().map(|(_, call)| call).collect();
    let later = calls([2, 3]);
    let newest = later.iter().map(|(time, _)| *time).max().expect("an event");
    let due = newest - jiff::SignedDuration::from_mins(10);
    let seen = later.iter().filter(|(time, _)| *time <= due);
    let expected = seen.filter(|(_, call)| known.insert(call.clone())).count();
    assert!(expected > 0);
    assert_eq!(new_calls(&after), expected);
    let without = run(&["scan", "--seed", &path("logs/2.jsonl")]);
    assert_eq!(without.code, 2, "{}", without.stderr);
}

/// Observed is not matched: every record is in one place of the account, and findings of rules that remember are told
/// beside it.
#[test]
fn what_is_observed_is_accounted_for() {
    let folder = workplace("remember-account");
    let path = |name: &str| format!("{}/{name}", folder.path());
    for id in ["no-end", "reads"] {
        std::fs::remove_dir_all(path(&format!("rules/{id}"))).expect("the rule can go");
    }
    let (rules, all) = (path("rules"), path("all.jsonl"));
    let scan = [
        "scan",
        "--rules",
        &rules,
        "--now",
        "2030-01-01T00:00:00Z",
        &all,
    ];
    let ran = run(&[
        &scan[..],
        &["--format", "jsonl", "--stats-format", "json", "--stats"],
    ]
    .concat());
    let statistics: Value = ran
        .stderr
        .lines()
        .last()
        .and_then(|line| serde_json::from_str(line).ok())
        .expect("statistics are JSON");
    let summary = &statistics["summary"];
    let findings = ran.stdout.lines().count();
    assert!(findings > 0);
    assert_eq!(summary["findings"], findings);
    assert_eq!(summary["findings_of_rules_that_remember"], findings);
    for records in [&summary["records"], &statistics["inputs"][0]] {
        let count = |name: &str| records[name].as_u64().expect("a count");
        assert_eq!(count("matched"), 0, "{records}");
        assert_eq!(
            count("read"),
            count("unmatched") + count("duplicates"),
            "{records}"
        );
        assert_eq!(count("observed"), count("unmatched"), "{records}");
    }
    let unmatched = summary["records"]["unmatched"].as_u64().expect("a count");
    let ran = run(&[&scan[..], &["--stats"]].concat());
    let grouped = |count: u64| format!("{},{:03}", count / 1000, count % 1000);
    let wanted = format!(
        "\n{} findings from rules that remember, which observed {} records; observed is not matched\n",
        grouped(findings as u64),
        grouped(unmatched)
    );
    let end = ran.stdout.lines().rev().take(3).collect::<Vec<_>>();
    assert!(ran.stdout.contains(&wanted), "{wanted}{end:?}");
    assert!(
        ran.stderr.contains("rejected    observed\n"),
        "{}",
        ran.stderr
    );
    // With rules about single events only, nothing is told of others.
    let single = crate::harness::data("rules");
    let ran = run(&["scan", "--rules", &single, "--stats", &all]);
    assert!(!(ran.stdout + &ran.stderr).contains("observed"));
}

/// Times beyond the last that can be told are in the future; groups and plurals read well.
#[test]
fn odd_events_are_told_well() {
    let folder = Folder::new("remember-odd");
    let rule = RULES[0].1.replace(">= 5", ">= 1");
    for (id, text) in [("burst", &rule), ("quiet", &rule.replace("false", "true"))] {
        let head = format!(
            "id = \"{id}\"\nname = \"{id}\"\ndescription = \"d\"\nseverity = \"low\"\nstatus = \"experimental\"\n"
        );
        folder.file(&format!("rules/{id}/rule.toml"), head + text);
    }
    let event = |time: &str| format!("{{\"readOnly\":false,\"eventTime\":\"{time}\"}}\n");
    let times = [
        "9999-12-31T23:59:59Z",
        "9998-12-31T23:59:59Z",
        "2024-01-01T00:00:00Z",
    ];
    let name = "日本.jsonl";
    folder.file(name, times.map(event).concat());
    folder.file("latin.jsonl", "");
    let output = tripline(&["scan", "--rules", "rules", "--stats", name, "latin.jsonl"])
        .current_dir(folder.path())
        .output();
    let ran = crate::harness::Ran::from(output.expect("the binary runs"));
    assert!(
        ran.stdout.contains("2 events are from the future"),
        "{}",
        ran.stdout
    );
    assert!(!ran.stdout.contains("no time"), "{}", ran.stdout);
    let blank_ended = ran.stderr.lines().find(|line| line.ends_with(' '));
    assert_eq!(blank_ended, None);
    assert!(
        ran.stdout.contains("\n  group       \"\"\n"),
        "{}",
        ran.stdout
    );
    assert!(
        ran.stderr.contains("1 observed, 1 detection, 1 group\n"),
        "{}",
        ran.stderr
    );
    assert!(
        ran.stderr.contains("\n日本.jsonl            3 "),
        "{}",
        ran.stderr
    );
    assert!(
        ran.stderr.contains("\nlatin.jsonl           0 "),
        "{}",
        ran.stderr
    );
}

/// What is scanned again with its state is late, and no rule is told of it.
#[test]
fn late_records_are_not_observed() {
    let folder = workplace("remember-late-again");
    let path = |name: &str| format!("{}/{name}", folder.path());
    let observed = || {
        let scan = [
            "scan",
            "--rules",
            &path("rules"),
            "--now",
            "2030-01-01T00:00:00Z",
        ]
        .map(str::to_owned);
        let more = [
            "--state",
            &path("state"),
            "--stats",
            "--stats-format",
            "json",
        ]
        .map(str::to_owned);
        let all = [&scan[..], &more[..], &[path("logs/0.jsonl")]].concat();
        let ran = run(&all.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        let line = ran.stderr.lines().last().expect("statistics");
        let statistics: Value = serde_json::from_str(line).expect("statistics are JSON");
        statistics["summary"]["records"]["observed"]
            .as_u64()
            .expect("a count")
    };
    assert!(observed() > 0);
    assert_eq!(observed(), 0);
}
