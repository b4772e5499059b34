//! Rules that remember, from the command line: order, state from one run to the next, death at any moment.

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

#[test]
fn state_goes_on_from_one_scan_to_the_next() {
    let folder = workplace("remember-state");
    let path = |name: &str| format!("{}/{name}", folder.path());
    let whole = scan(&folder, &[&path("all.jsonl"), "--state", &path("whole")]);
    let mut parts = BTreeSet::new();
    for number in 0..4 {
        let log = path(&format!("logs/{number}.jsonl"));
        let found = scan(&folder, &[&log, "--state", &path("parts")]);
        assert!(parts.is_disjoint(&found), "a finding came in two scans");
        parts.extend(found);
    }
    assert!(
        parts == whole,
        "{} in parts, {} in one",
        parts.len(),
        whole.len()
    );
    // Once more is nothing new.
    let again = scan(&folder, &[&path("all.jsonl"), "--state", &path("whole")]);
    assert_eq!(again, BTreeSet::new());
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

#[test]
fn live_input_is_told_before_it_ends_and_once() {
    let folder = workplace("remember-live");
    let path = |name: &str| format!("{}/{name}", folder.path());
    let whole = scan(&folder, &[&path("all.jsonl")]);
    let rules = path("rules");
    let ran = run(&[
        "scan",
        "--live",
        "--rules",
        &rules,
        "--format",
        "jsonl",
        &path("all.jsonl"),
    ]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let id = |line: &str| {
        let finding: Value = serde_json::from_str(line).expect("a line is JSON");
        (
            finding["finding_id"].to_string(),
            finding["revision"].as_u64().unwrap_or(0),
        )
    };
    let told: Vec<(String, u64)> = ran.stdout.lines().map(id).collect();
    let first: BTreeSet<String> = told
        .iter()
        .filter(|(_, revision)| *revision == 0)
        .map(|(id, _)| id.clone())
        .collect();
    let wanted: BTreeSet<String> = whole.iter().map(|line| id(line).0).collect();
    assert!(
        first == wanted,
        "{} told, {} wanted",
        first.len(),
        wanted.len()
    );
    assert!(
        told.iter().any(|(_, revision)| *revision == 1),
        "nothing was told again"
    );
}

#[test]
fn live_input_that_is_interrupted_goes_on_from_there() {
    live_input_goes_on_after("-TERM");
    // Under `nohup`, tests and what they start are meant to outlive their terminal.
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    if ignored.is_some_and(|mask| mask & 1 == 1) {
        println!("skipped: SIGHUP is ignored here");
    } else {
        live_input_goes_on_after("-HUP");
    }
}

fn live_input_goes_on_after(signal: &str) {
    let folder = workplace("remember-interrupted");
    let path = |name: &str| format!("{}/{name}", folder.path());
    let live = |state: &str| {
        let mut arguments = vec!["scan", "--live", "--format", "jsonl"]
            .into_iter()
            .map(str::to_owned)
            .collect::<Vec<_>>();
        arguments.extend(["--now", "2030-01-01T00:00:00Z", "--rules"].map(str::to_owned));
        arguments.extend([path("rules"), "--state".to_owned(), path(state)]);
        arguments
    };
    let told = |stdout: &str| -> BTreeSet<String> {
        let id = |line: &str| {
            let finding: Value = serde_json::from_str(line).expect("a line is JSON");
            format!("{} {}", finding["finding_id"], finding["revision"])
        };
        stdout.lines().map(id).collect()
    };
    let whole = [live("whole"), vec![path("all.jsonl")]].concat();
    let whole = run(&whole.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(whole.code, 0, "{}", whole.stderr);
    // Input that does not end, until something was found.
    let endless = [live("parts"), vec!["-".to_owned()]].concat();
    let endless: Vec<&str> = endless.iter().map(String::as_str).collect();
    let mut child = tripline(&endless)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    let mut stdin = child.stdin.take().expect("it has standard input");
    for number in 0..2 {
        let log = std::fs::read(path(&format!("logs/{number}.jsonl"))).expect("a log");
        stdin
            .write_all(&log)
            .and_then(|()| stdin.write_all(b"\n"))
            .expect("it reads");
    }
    let mut stdout = BufReader::new(child.stdout.take().expect("it has standard output"));
    let mut first = String::new();
    stdout.read_line(&mut first).expect("it finds something");
    let pid = child.id().to_string();
    let asked = std::process::Command::new("kill")
        .args([signal, &pid])
        .status();
    assert!(asked.expect("kill runs").success());
    stdout.read_to_string(&mut first).expect("it ends");
    let ended = child.wait_with_output().expect("it ends");
    assert_eq!(ended.status.code(), Some(130));
    drop(stdin);
    let before = told(&first);
    assert!(!before.is_empty());
    // All of it again: what was read before is known, and told no second time.
    let rest = [live("parts"), vec![path("all.jsonl")]].concat();
    let rest = run(&rest.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(rest.code, 0, "{}", rest.stderr);
    let after = told(&rest.stdout);
    assert!(before.is_disjoint(&after), "a finding was told twice");
    let both: BTreeSet<String> = before.union(&after).cloned().collect();
    let whole = told(&whole.stdout);
    assert!(
        both == whole,
        "{} and {} of {}",
        before.len(),
        after.len(),
        whole.len()
    );
}

#[test]
fn a_scan_that_dies_at_any_moment_changes_nothing() {
    let folder = workplace("remember-death");
    let path = |name: &str| format!("{}/{name}", folder.path());
    let first = scan(&folder, &[&path("logs/0.jsonl"), "--state", &path("sound")]);
    let second = scan(
        &folder,
        &[
            &path("logs/1.jsonl"),
            &path("logs/2.jsonl"),
            "--state",
            &path("sound"),
        ],
    );
    assert!(!first.is_empty() && !second.is_empty());
    let again = scan(&folder, &[&path("logs/0.jsonl"), "--state", &path("state")]);
    assert_eq!(again, first);
    let rules = path("rules");
    let (mut died, mut pause) = (0, Duration::from_millis(2));
    // Longer and longer, until a scan is faster than its death.
    let completed = loop {
        let mut child = tripline(&[
            "scan",
            "--rules",
            &rules,
            "--format",
            "jsonl",
            "--now",
            "2030-01-01T00:00:00Z",
            "--state",
            &path("state"),
            &path("logs/1.jsonl"),
            &path("logs/2.jsonl"),
        ])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the binary starts");
        let stdout = child.stdout.take().expect("it has standard output");
        let reader = std::thread::spawn(|| std::io::read_to_string(stdout).unwrap_or_default());
        std::thread::sleep(pause);
        let _ = child.kill();
        let status = child.wait().expect("it ends");
        let text = reader.join().expect("the reader ends");
        if status.success() {
            break findings(&text);
        }
        died += 1;
        pause = pause * 5 / 4 + Duration::from_millis(1);
    };
    assert!(died >= 3, "it died only {died} times");
    // The last one may have died between its snapshot and its end; then all was found before.
    assert!(
        completed == second || completed.is_empty(),
        "{} findings, not {}",
        completed.len(),
        second.len()
    );
    let read = |name: &str| std::fs::read(path(name)).expect("there is a snapshot");
    assert!(read("state/state.snapshot") == read("sound/state.snapshot"));
}

#[test]
fn state_that_cannot_be_read_is_refused_and_kept() {
    let folder = workplace("remember-damage");
    let path = |name: &str| format!("{}/{name}", folder.path());
    scan(&folder, &[&path("logs/0.jsonl"), "--state", &path("state")]);
    let snapshot = path("state/state.snapshot");
    let mut bytes = std::fs::read(&snapshot).expect("there is a snapshot");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&snapshot, &bytes).expect("it can be written");
    let rules = path("rules");
    let ran = run(&[
        "scan",
        "--rules",
        &rules,
        "--state",
        &path("state"),
        &path("logs/1.jsonl"),
    ]);
    assert_eq!(ran.code, 2);
    assert!(
        ran.stderr.contains("state.snapshot") && ran.stderr.contains("checksum"),
        "{}",
        ran.stderr
    );
    assert_eq!(std::fs::read(&snapshot).expect("it is still there"), bytes);
}

#[test]
fn a_changed_rule_begins_anew_and_the_others_go_on() {
    let folder = workplace("remember-change");
    let path = |name: &str| format!("{}/{name}", folder.path());
    scan(&folder, &[&path("logs/0.jsonl"), "--state", &path("state")]);
    let burst = path("rules/burst/rule.toml");
    let text = std::fs::read_to_string(&burst).expect("the rule is there");
    std::fs::write(
        &burst,
        text.replace("readOnly == false", "readOnly != true"),
    )
    .expect("it can be written");
    std::fs::remove_dir_all(path("rules/no-end")).expect("the rule can go");
    let rules = path("rules");
    let ran = run(&[
        "scan",
        "--rules",
        &rules,
        "--state",
        &path("state"),
        &path("logs/1.jsonl"),
    ]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(
        ran.stderr
            .contains("the rule `burst` looks at something else now"),
        "{}",
        ran.stderr
    );
    assert!(
        ran.stderr.contains("the rule `no-end` is not in force"),
        "{}",
        ran.stderr
    );
    assert!(
        !ran.stderr.contains("`new-call`") && !ran.stderr.contains("`reads`"),
        "{}",
        ran.stderr
    );
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

#[test]
fn what_was_scanned_before_is_told_when_it_comes_late() {
    let folder = workplace("remember-again");
    let path = |name: &str| format!("{}/{name}", folder.path());
    let (rules, all, state) = (path("rules"), path("all.jsonl"), path("state"));
    let scan = [
        "scan",
        "--rules",
        &rules,
        "--now",
        "2030-01-01T00:00:00Z",
        "--state",
        &state,
        &all,
    ];
    let hint = "scanned before with this state";
    assert!(!run(&scan).stdout.contains(hint));
    let again = run(&scan);
    assert!(again.stdout.contains(hint), "{}", again.stdout);
    assert!(again.stdout.starts_with("0 findings"), "{}", again.stdout);
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

#[test]
fn state_stays_where_it_was_when_findings_or_events_are_lost() {
    let folder = workplace("remember-lost");
    let path = |name: &str| format!("{}/{name}", folder.path());
    let whole = scan(&folder, &[&path("all.jsonl"), "--state", &path("whole")]);
    let (rules, state, all) = (path("rules"), path("state"), path("all.jsonl"));
    let arguments = [
        "scan", "--rules", &rules, "--format", "jsonl", "--state", &state, &all,
    ];
    // Nobody takes more than the first finding.
    let mut child = tripline(&arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    let mut stdout = BufReader::new(child.stdout.take().expect("it has standard output"));
    stdout
        .read_line(&mut String::new())
        .expect("it finds something");
    drop(stdout);
    let ended = child.wait_with_output().expect("it ends");
    let told = String::from_utf8_lossy(&ended.stderr);
    assert!(told.contains("the state is left as it was"), "{told}");
    // The end of an input is missing.
    folder.file("broken.jsonl.gz", [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3]);
    let broken = path("broken.jsonl.gz");
    let ran = run(&[&arguments[..], &[&broken]].concat());
    assert_eq!(ran.code, 2, "{}", ran.stderr);
    assert!(
        ran.stderr.contains("the state is left as it was"),
        "{}",
        ran.stderr
    );
    // Statistics that cannot be written are known before anything is told.
    let nowhere = path("nowhere/stats.txt");
    let ran = run(&[&arguments[..], &["--stats-output", &nowhere]].concat());
    assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{}", ran.stderr);
    assert!(scan(&folder, &[&all, "--state", &state]) == whole);
}

#[test]
fn what_earlier_scans_left_out_is_not_told_again() {
    let folder = workplace("remember-counts");
    let path = |name: &str| format!("{}/{name}", folder.path());
    let (rules, state) = (path("rules"), path("state"));
    let mut late = Vec::new();
    for log in ["logs/0.jsonl", "logs/0.jsonl", "logs/1.jsonl"] {
        let ran = run(&["scan", "--rules", &rules, "--state", &state, &path(log)]);
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        late.push((ran.stdout + &ran.stderr).contains("came later than"));
    }
    assert_eq!(late, [false, true, false]);
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

/// The state's own files are no input, even where its folder is scanned, and nothing else of the folder is left out.
#[test]
fn state_among_the_input_is_left_out() {
    let folder = workplace("remember-inside");
    let path = |name: &str| format!("{}/{name}", folder.path());
    for state in ["logs/state", "logs"] {
        for round in 0..2 {
            let ran = run(&[
                "scan",
                "--rules",
                &path("rules"),
                "--now",
                "2030-01-01T00:00:00Z",
                "--state",
                &path(state),
                &path("logs"),
            ]);
            assert_eq!(ran.code, 0, "{}", ran.stderr);
            let told = ran.stderr.contains("its files are no input");
            assert_eq!(told, round > 0, "{}", ran.stderr);
            assert!(ran.stdout.contains(" + 0 rejected"), "{}", ran.stdout);
        }
        std::fs::remove_file(path(&format!("{state}/state.snapshot"))).expect("it is there");
    }
    let state = path("logs/state");
    let ran = run(&["scan", "--rules", &path("rules"), "--state", &state, &state]);
    assert!(
        ran.code == 2 && ran.stderr.contains("holds no file to read"),
        "{ran:?}"
    );
}

/// A link that somebody laid where the state is written does not lead it elsewhere.
#[cfg(unix)]
#[test]
fn state_is_not_written_through_a_link() {
    let folder = workplace("remember-link");
    let path = |name: &str| format!("{}/{name}", folder.path());
    let scan = || {
        run(&[
            "scan",
            "--rules",
            &path("rules"),
            "--now",
            "2030-01-01T00:00:00Z",
            "--state",
            &path("state"),
            &path("logs/0.jsonl"),
        ])
    };
    let theirs = folder.file("theirs", "theirs");
    let writing = path("state/state.snapshot.writing");
    std::fs::create_dir(path("state")).expect("it can be made");
    std::os::unix::fs::symlink(&theirs, &writing).expect("a link");
    let ran = scan();
    assert!(
        ran.code == 2 && ran.stderr.contains("state.snapshot.writing"),
        "{ran:?}"
    );
    assert_eq!(
        std::fs::read_to_string(&theirs).expect("it is there"),
        "theirs"
    );
    assert!(!std::path::Path::new(&path("state/state.snapshot")).exists());
    std::fs::remove_file(&writing).expect("it can go");
    folder.file("state/state.snapshot.writing", "of a run that died");
    let ran = scan();
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(!std::path::Path::new(&writing).exists());
}

/// What was counted on a finding of a rule that is gone for good is told, as there is no rule to tell it of any more.
#[test]
fn what_was_counted_for_a_rule_that_is_gone_is_told() {
    let folder = Folder::new("remember-gone");
    let path = |name: &str| format!("{}/{name}", folder.path());
    let head = |id: &str| {
        format!(
            "id = \"{id}\"\nname = \"Rule {id}\"\ndescription = \"A probe.\"\nseverity = \"low\"\n\
             status = \"experimental\"\nwhen = 'event.eventName == \"Seen\"'\n"
        )
    };
    let suppressed = head("gone") + "[suppress]\nwindow = \"1d\"\nby = ['event.eventName']\n";
    folder.file("rules/gone/rule.toml", suppressed);
    let counted = "group_by = ['event.eventName']\n[threshold]\nwindow = \"1m\"\nis = \">= 9\"\n";
    folder.file("rules/stays/rule.toml", head("stays") + counted);
    let scan = |day: &str| {
        let event = |number: u8| {
            format!(
                "{{\"eventID\":\"{day}-{number}\",\"eventName\":\"Seen\",\"eventTime\":\"{day}T0{number}:00:00Z\"}}\n"
            )
        };
        let input = folder.file("in.jsonl", (0..4).map(event).collect::<String>());
        let ran = run(&[
            "scan",
            "--rules",
            &path("rules"),
            "--state",
            &path("state"),
            "--now",
            "2030-01-01T00:00:00Z",
            &input,
        ]);
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        ran.stderr
    };
    // The last event waits for what may come late.
    scan("2024-01-01");
    std::fs::remove_dir_all(path("rules/gone")).expect("the rule can go");
    let told = scan("2024-06-01");
    assert!(
        told.contains("`gone` is not in force") && !told.contains("more detections"),
        "{told}"
    );
    let told = scan("2024-06-02");
    assert!(
        told.contains("`gone` was not in force for 90 days"),
        "{told}"
    );
    let words = "state: 2 more detections of the rule `gone` until 2024-01-01T02:00:00Z belonged to its finding ";
    assert!(
        told.contains(words) && told.contains("(Rule gone)"),
        "{told}"
    );
    assert!(!scan("2024-06-03").contains("gone"));
}
