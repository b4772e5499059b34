//! Sigma rules from the command line; and, when the answers of others are at hand, agreement with them event by event.

use crate::harness::{Folder, run};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io::Read;
use std::path::{Path, PathBuf};

const RULE: &str = "title: Trail stopped
id: 11111111-2222-3333-4444-555555555555
status: test
author: Somebody
license: MIT
logsource: {product: aws, service: cloudtrail}
detection:
  selection:
    eventName: [StopLogging, DeleteTrail]
    userIdentity.arn|contains: ':USER/'
  filter:
    errorCode|exists: true
  condition: selection and not filter
level: high
";

const EVENTS: &str = r#"{"eventID":"1","eventName":"stoplogging","userIdentity":{"arn":"arn:aws:iam::1:user/x"}}
{"eventID":"2","eventName":"StopLogging","errorCode":"AccessDenied","userIdentity":{"arn":"arn:aws:iam::1:user/x"}}
{"eventID":"3","eventName":"DeleteTrail","userIdentity":[{"arn":7},{"arn":"x:user/y"}]}
{"eventID":"4","eventName":"Other"}
"#;

/// Rule and event id of every finding.
fn found(stdout: &str) -> Vec<(String, String)> {
    let findings = stdout.lines().map(|line| {
        let finding: Value = serde_json::from_str(line).expect("a finding is JSON");
        let text = |key: &str| finding[key].as_str().unwrap_or_default().to_owned();
        (text("rule_id"), text("event_id"))
    });
    findings.collect()
}

#[test]
fn sigma_rules_are_scanned_as_they_are_and_converted() {
    let folder = Folder::new("sigma");
    let rule = folder.file("rules/trail.yml", RULE.as_bytes());
    folder.file("rules/notes.txt", b"nothing");
    let events = folder.file("events.jsonl", EVENTS.as_bytes());
    let rules = format!("{}/rules", folder.path());
    let id = "11111111-2222-3333-4444-555555555555";
    let ran = run(&["scan", "--sigma", &rules, "--format", "jsonl", &events]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let expected = [(id, "1"), (id, "3")].map(|(a, b)| (a.to_owned(), b.to_owned()));
    assert_eq!(found(&ran.stdout), expected);

    let out = format!("{}/native", folder.path());
    let ran = run(&["sigma", "convert", &rule, "-o", &out]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{}", ran.stdout);
    let ran = run(&["check", &out]);
    assert_eq!(ran.code, 0, "{}", ran.stdout);
    let ran = run(&["scan", "--rules", &out, "--format", "jsonl", &events]);
    let ids: Vec<String> = found(&ran.stdout)
        .into_iter()
        .map(|(_, event)| event)
        .collect();
    assert_eq!(ids, ["1", "3"]);
    let text = std::fs::read_to_string(format!("{out}/trail-stopped/rule.toml")).expect("written");
    for kept in ["Somebody", "MIT", id, "experimental"] {
        assert!(text.contains(kept), "{text}");
    }

    let ran = run(&["explain", "--sigma", &rule, "--rule", id, &events]);
    assert!(ran.stdout.contains("match"), "{}", ran.stdout);
}

#[test]
fn what_cannot_be_mapped_is_told_and_the_rest_goes_on() {
    let folder = Folder::new("sigma-bad");
    folder.file("rules/good.yml", RULE.as_bytes());
    let bad = RULE
        .replace("|contains", "|containz")
        .replace("11111111", "22222222");
    folder.file("rules/bad.yml", bad.as_bytes());
    let events = folder.file("events.jsonl", EVENTS.as_bytes());
    let rules = format!("{}/rules", folder.path());
    let ran = run(&["scan", "--sigma", &rules, "--format", "jsonl", &events]);
    assert_eq!(found(&ran.stdout).len(), 2, "{}", ran.stderr);
    assert!(ran.stderr.contains("error[E5004]"), "{}", ran.stderr);
    assert!(ran.stderr.contains("bad.yml:10:5"), "{}", ran.stderr);
    let ran = run(&["check", "--sigma", &rules]);
    assert_eq!(ran.code, 1, "{}", ran.stdout);
    folder.file("empty/notes.txt", b"nothing");
    let empty = format!("{}/empty", folder.path());
    let ran = run(&["scan", "--sigma", &empty, &events]);
    assert_eq!(ran.code, 2, "{}", ran.stderr);
}

#[test]
fn ids_that_are_taken_are_refused_by_convert_as_by_check() {
    let folder = Folder::new("sigma-twice");
    folder.file("rules/a.yml", RULE.as_bytes());
    let other = RULE
        .replace("Trail stopped", "Other")
        .replace("StopLogging", "Other");
    folder.file("rules/b.yml", other.as_bytes());
    let of = "title: Many\ncorrelation: {type: event_count, rules: [11111111-2222-3333-4444-555555555555], timespan: 1h, condition: {gte: 2}}\n";
    folder.file("rules/c.yml", of.as_bytes());
    let rules = format!("{}/rules", folder.path());
    let out = format!("{}/native", folder.path());
    let ran = run(&["sigma", "convert", &rules, "-o", &out]);
    assert_eq!(ran.code, 1, "{}", ran.stdout);
    assert!(ran.stdout.contains("2 rules written"), "{}", ran.stdout);
    assert!(ran.stdout.contains("1 document refused"), "{}", ran.stdout);
    let checked = run(&["check", "--sigma", &rules]);
    assert_eq!(checked.code, 1, "{}", checked.stdout);
    for told in ["error[E0009]", "b.yml:2:5", "a.yml:2:5"] {
        assert!(ran.stderr.contains(told), "{}", ran.stderr);
        assert!(checked.stdout.contains(told), "{}", checked.stdout);
    }
    let text = std::fs::read_to_string(format!("{out}/many/rule.toml")).expect("written");
    assert!(text.contains("[\"trail-stopped\"]"), "{text}");
    assert_eq!(run(&["check", &out]).code, 0);
}

#[test]
fn samples_of_sigma_rules_become_tests() {
    let folder = Folder::new("sigma-samples");
    let lines = [
        "regression_tests_path: ../../data/trail/info.yml",
        "custom_attributes:",
        "  rsigma.exemplars:",
        "    - name: another call",
        "      expect: no-match",
        "      event: {eventName: ListTrails, userIdentity: {arn: 'x:user/y'}}",
    ];
    let rule = format!("{RULE}{}\n", lines.join("\n"));
    let rule = folder.file("rules/aws/trail.yml", rule.as_bytes());
    let test = |kind: &str, file: &str, more: &str| {
        format!("  - name: {file}\n    type: {kind}\n    path: data/trail/{file}\n{more}")
    };
    let info = [
        "regression_tests_info:\n".to_owned(),
        test("json", "stop.json", "    match_count: 1\n"),
        test("ndjson", "two.json", "    match_count: 2\n"),
        test("evtx", "stop.evtx", ""),
        test("json", "none.json", ""),
        test("json", "text.json", ""),
        test("json", "../../../etc/x.json", ""),
        test("json", "piped.json", "    pipelines: [fields.yml]\n"),
    ];
    folder.file("data/trail/info.yml", info.concat().as_bytes());
    let stop = r#"{"eventName":"StopLogging","userIdentity":{"arn":"x:user/y"}}"#;
    folder.file("data/trail/stop.json", stop.as_bytes());
    folder.file(
        "data/trail/two.json",
        format!("{stop}\n{stop}\n").as_bytes(),
    );
    folder.file("data/trail/text.json", b"stopped");
    let out = format!("{}/native", folder.path());
    let ran = run(&["sigma", "convert", &rule, "-o", &out]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let left_out = [
        "`stop.evtx`: `evtx` is no JSON",
        "none.json: cannot be read",
        "`text.json`: it is no JSON object",
        "leads out of the rule's folders",
        "`piped.json`: it is of the rule that `fields.yml` changes",
    ];
    for told in left_out {
        assert!(ran.stderr.contains(told), "{told}: {}", ran.stderr);
    }
    assert_eq!(ran.stderr.matches("warning[W5004]").count(), left_out.len());
    assert!(ran.stderr.contains("info.yml:10:"), "{}", ran.stderr);
    let ran = run(&["test", &out]);
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    assert!(ran.stdout.contains('4'), "{}", ran.stdout);
    // Tested in both ways, it keeps the status that it has.
    let text = std::fs::read_to_string(format!("{out}/trail-stopped/rule.toml")).expect("written");
    assert!(text.contains("status = \"test\""), "{text}");

    folder.file("data/trail/info.yml", b"");
    std::fs::remove_file(format!("{}/data/trail/info.yml", folder.path())).expect("removed");
    let out = format!("{}/again", folder.path());
    let ran = run(&["sigma", "convert", &rule, "-o", &out]);
    assert!(
        ran.stderr.contains("which lists its samples"),
        "{}",
        ran.stderr
    );
}

#[test]
fn pipelines_and_lists_change_sigma_rules() {
    let folder = Folder::new("sigma-pipeline");
    let rule = RULE
        .replace("eventName:", "Action:")
        .replace("'USER/'", "x")
        .replace("arn|contains: ':USER/'", "arn|expand|contains: '%people%'");
    let rule = folder.file("rule.yml", rule.as_bytes());
    let events = folder.file("events.jsonl", EVENTS.as_bytes());
    let list = folder.file("people.csv", b"user/x\n");
    let pipeline = folder.file(
        "fields.yml",
        b"transformations:\n  - id: a\n    type: field_name_mapping\n    mapping:\n      Action: eventName\n",
    );
    let list = format!("people={list}");
    let arguments = [
        "scan",
        "--sigma",
        &rule,
        "--sigma-pipeline",
        &pipeline,
        "--list",
        &list,
        "--format",
        "jsonl",
        &events,
    ];
    let ran = run(&arguments);
    assert_eq!(found(&ran.stdout).len(), 1, "{}", ran.stderr);
}

fn shared() -> Option<PathBuf> {
    let named = std::env::var_os("TRIPLINE_SHARED").map(PathBuf::from);
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let data = [named, Some(beside)].into_iter().flatten();
    let mut data = data.map(|one| one.join("data"));
    data.find(|one| one.join("expected/sigma_matches.jsonl").is_file())
}

fn text_of(path: &Path) -> String {
    let mut text = String::new();
    let file = std::fs::File::open(path).expect("a file of the shared data opens");
    let read = if path.extension().is_some_and(|kind| kind == "gz") {
        flate2::read::GzDecoder::new(file).read_to_string(&mut text)
    } else {
        std::io::BufReader::new(file).read_to_string(&mut text)
    };
    read.expect("a file of the shared data is text");
    text
}

/// File, line from 0, rule.
type Match = (String, u64, String);

#[test]
fn matches_equal_those_that_others_found() {
    let Some(data) = shared() else {
        println!("skipped: no shared data at hand; set TRIPLINE_SHARED");
        return;
    };
    let row = |line: &str| serde_json::from_str::<Value>(line).expect("rows are JSON");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let expected: BTreeSet<Match> = text_of(&data.join("expected/sigma_matches.jsonl"))
        .lines()
        .map(row)
        .map(|row| {
            let line = row["line"].as_u64().expect("a line");
            (text(&row["file"]), line, text(&row["rule_id"]))
        })
        .collect();
    let manifest = row(&text_of(&data.join("expected/manifest.json")));
    let folder = Folder::new("sigma-agrees");
    let rules = ["sigmahq/rules/cloud/aws", "suzaku-aws"];
    let rules = rules.map(|path| data.join("sigma").join(path).display().to_string());
    let mut actual: BTreeSet<Match> = BTreeSet::new();
    for file in manifest["event_files"].as_array().expect("files") {
        let name = text(&file["file"]);
        let mut events = text_of(&data.join(&name));
        // These hold the event beside what is said about it.
        if name.starts_with("panther") || name.contains("eventbridge") {
            let event = |line: &str| format!("{}\n", row(line)["event"]);
            events = events.lines().map(event).collect();
        }
        let path = folder.file("events.jsonl", events.as_bytes());
        let arguments = [
            "scan",
            "--sigma-base-rules",
            "--sigma",
            &rules[0],
            "--sigma",
            &rules[1],
            "--format",
            "jsonl",
            "--no-dedup",
            &path,
        ];
        let ran = run(&arguments);
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        for finding in ran.stdout.lines().map(row) {
            let line = finding["line"].as_u64().expect("a line") - 1;
            actual.insert((name.clone(), line, text(&finding["rule_id"])));
        }
    }
    let differing: Vec<&Match> = expected.symmetric_difference(&actual).collect();
    assert!(differing.is_empty(), "{}", json!(differing));
    println!("{} matches, all as expected", actual.len());
}
