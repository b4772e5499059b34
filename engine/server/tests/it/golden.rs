//! Whole outputs, compared with files. `TRIPLINE_BLESS=1` writes the files anew.

use crate::harness::{Folder, Ran, data, run, run_with_stdin, seen};
use std::path::Path;

/// Compares what a command says with `golden/NAME.txt`.
pub(crate) fn check(name: &str, ran: &Ran) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/it/golden")
        .join(name);
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).display().to_string();
    let mut text = format!("exit {}\n", ran.code);
    for (stream, content) in [("stdout", &ran.stdout), ("stderr", &ran.stderr)] {
        if !content.is_empty() {
            text.push_str(&format!("--- {stream}\n{content}"));
        }
    }
    let text = text
        .replace(&root, ".")
        .replace(env!("CARGO_PKG_VERSION"), "VERSION");
    if std::env::var_os("TRIPLINE_BLESS").is_some() {
        std::fs::write(&path, &text).expect("the golden file can be written");
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        golden == text,
        "{name} differs (TRIPLINE_BLESS=1 accepts it):\n{text}"
    );
}

fn scan(format: &str) -> Ran {
    run(&[
        "scan",
        "--now",
        "2024-06-01T00:00:00Z",
        "--rules",
        &data("rules"),
        "--format",
        format,
        &data("events.jsonl"),
    ])
}

#[test]
fn scan_in_every_format() {
    for format in ["pretty", "jsonl", "ocsf", "sarif"] {
        check(&format!("scan-{format}.txt"), &scan(format));
    }
}

#[test]
fn scan_in_colour() {
    let ran = run(&[
        "--color",
        "always",
        "scan",
        "--rules",
        &data("rules"),
        &data("events.jsonl"),
    ]);
    check("scan-colour.txt", &ran);
}

#[test]
fn rules_list_and_show() {
    let rules = data("rules");
    check(
        "rules-list.txt",
        &run(&["rules", "list", "--rules", &rules]),
    );
    check(
        "rules-show.txt",
        &run(&["rules", "show", "--rules", &rules, "seen"]),
    );
    check(
        "rules-show-unknown.txt",
        &run(&["rules", "show", "--rules", &rules, "sen"]),
    );
}

#[test]
fn coverage() {
    check(
        "coverage.txt",
        &run(&["coverage", "--rules", &data("rules")]),
    );
    let ran = run(&[
        "coverage",
        "--rules",
        &data("rules"),
        "--format",
        "navigator",
    ]);
    let layer: serde_json::Value = serde_json::from_str(&ran.stdout).expect("JSON");
    assert_eq!(layer["domain"], "enterprise-attack");
    assert_eq!(layer["techniques"][0]["techniqueID"], "T1562.008");
}

#[test]
fn overview() {
    check("help.txt", &run(&["--help"]));
    check("help-scan.txt", &run(&["scan", "--help"]));
}

#[test]
fn check_shows_all_mistakes_of_all_files() {
    let mistakes = data("mistakes");
    let now = ["--now", "2024-06-01T00:00:00Z"];
    check(
        "check.txt",
        &run(&[&["check"], &now[..], &[&mistakes]].concat()),
    );
    let json = run(&[&["check", "--format", "json"], &now[..], &[&mistakes]].concat());
    check("check-json.txt", &json);
    let overrides = run(&["check", &data("rules"), &data("overrides")]);
    check("check-overrides.txt", &overrides);
    let page = run(&["check", "--explain", "e1001"]);
    assert!(page.stdout.starts_with("# E1001"), "{}", page.stdout);
    check(
        "check-explain-unknown.txt",
        &run(&["check", "--explain", "E1002x"]),
    );
}

#[test]
fn test_shows_the_parts_of_a_condition() {
    let ran = run(&["test", &data("mistakes/failing")]);
    check("test-failing.txt", &ran);
    check("test-passing.txt", &run(&["test", &data("rules")]));
    let one = run(&["test", &data("rules/seen/rule.toml")]);
    assert_eq!(one.stdout, "2 passed, 0 failed\n");
}

/// A test that cannot be run is one that failed, not one that is not there.
#[test]
fn tests_with_mistakes_are_counted() {
    let folder = Folder::new("refused");
    let text = std::fs::read_to_string(data("rules/seen/rule.toml")).expect("a rule");
    let untested = run(&["test", &folder.file("untested/seen/rule.toml", &text)]);
    assert!(
        untested.stderr.contains("no test was found"),
        "{}",
        untested.stderr
    );
    let rule = folder.file("seen/rule.toml", &text);
    let tests = "[[test]]\nname = \"gone\"\nevent = \"gone\"\nexpect = \"match\"\n";
    let tests = folder.file("seen/tests.toml", tests);
    let ran = run(&["test", &rule, &tests]);
    assert_eq!(ran.code, 1);
    let words = "the test is not run, as it has a mistake: there is no event `gone`";
    assert!(ran.stdout.contains("FAILED seen: gone\n"), "{}", ran.stdout);
    assert!(ran.stdout.contains(words), "{}", ran.stdout);
    assert!(
        ran.stdout.ends_with("0 passed, 1 failed\n"),
        "{}",
        ran.stdout
    );
    assert!(!ran.stderr.contains("no test was found"), "{}", ran.stderr);
}

#[test]
fn steps_are_shown_by_name() {
    let folder = Folder::new("steps");
    let rules = data("rules-that-remember");
    let event = "{\"eventID\":\"e1\",\"eventName\":\"In\",\"user\":\"u\",\"address\":\"a\"}\n";
    let event = folder.file("event.jsonl", event);
    let ran = run(&["explain", "--rule", "in-order", "--rules", &rules, &event]);
    check("explain-sequence.txt", &ran);
    let ran = run(&["rules", "show", "--rules", &rules, "in-order"]);
    check("rules-show-sequence.txt", &ran);
}

#[test]
fn explain_shows_what_decided() {
    let folder = Folder::new("explain");
    let events = folder.file(
        "events.jsonl",
        "{\"eventID\":\"e1\",\"eventName\":\"Seen\",\"n\":1}\n{\"eventID\":\"e2\",\"eventName\":\"Seen\"}\n{\"eventID\":\"e3\",\"eventName\":\"Seen\",\"n\":77}\n",
    );
    for (record, name) in [("1", "no-match"), ("2", "indeterminate"), ("3", "excused")] {
        let event = format!("{events}:{record}");
        let rules = data("mistakes/failing");
        let ran = run(&["explain", "--rule", "failing", "--rules", &rules, &event]);
        check(&format!("explain-{name}.txt"), &ran);
    }
    let ran = run(&[
        "explain",
        "--rule",
        "seen",
        "--rules",
        &data("rules"),
        &events,
    ]);
    check("explain-match.txt", &ran);
    let arguments = [
        "explain",
        "--format",
        "json",
        "--rule",
        "seen",
        "--rules",
        &data("rules"),
        &events,
    ];
    check("explain-json.txt", &run(&arguments));
    let foreign = folder.file("foreign.json", "{\"startTime\":\"t\"}");
    let rules = data("rules-of-sources");
    let ran = run(&[
        "explain",
        "--rule",
        "read-only",
        "--rules",
        &rules,
        &foreign,
    ]);
    check("explain-not-applicable.txt", &ran);
    let wrapped = format!(
        "{{\"Records\":[{}]}}\n{{\"x\":1,\"Records\":[{},{}]}}\n",
        seen(1),
        seen(2),
        seen(3)
    );
    let wrapped = format!("{}:3", folder.file("wrapped.json", wrapped));
    let ran = run(&[
        "explain",
        "--rule",
        "seen",
        "--rules",
        &data("rules"),
        &wrapped,
    ]);
    assert!(
        ran.stdout.starts_with("seen on event id-3: match\n"),
        "{}{}",
        ran.stdout,
        ran.stderr
    );
    let arguments = [
        "explain",
        "--rule",
        "seen",
        "--rules",
        &data("rules"),
        &format!("{events}:9"),
    ];
    let ran = run(&arguments);
    assert_eq!(ran.code, 2);
    assert!(
        ran.stderr
            .contains("record 9 was asked for, and there are 3"),
        "{}",
        ran.stderr
    );
}

#[test]
fn overrides_change_what_a_scan_says() {
    let folder = Folder::new("overrides");
    let events = folder.file("events.jsonl", format!("{}\n{}\n", seen(1), seen(2)));
    let ran = run(&[
        "scan",
        "--rules",
        &data("rules"),
        "--rules",
        &data("overrides"),
        &events,
    ]);
    assert!(
        ran.stdout.contains("LOW           Seen 1"),
        "{}",
        ran.stdout
    );
    assert!(
        ran.stdout.contains("1 match was excused by an exception"),
        "{}",
        ran.stdout
    );
    let show = run(&[
        "rules",
        "show",
        "--rules",
        &data("rules"),
        "--rules",
        &data("overrides"),
        "seen",
    ]);
    check("rules-show-overridden.txt", &show);
}

#[test]
fn fmt_rewrites_what_is_not_canonical() {
    let folder = Folder::new("fmt");
    let messy = "status='stable'\nid   = \"seen\"\nname=\"Event seen\"\ndescription=\"d\"\nseverity=\"low\"\nauthors=[\"a\"]\nwhen='event.eventName==\"Seen\"'\n";
    let path = folder.file("rule.toml", messy);
    let ran = run(&["fmt", "--check", &path]);
    assert_eq!(ran.code, 1);
    assert_eq!(
        std::fs::read_to_string(&path).expect("the file"),
        messy,
        "--check changes nothing"
    );
    assert_eq!(run(&["fmt", &path]).code, 0);
    assert_eq!(run(&["fmt", "--check", &path]).code, 0);
    let piped = run_with_stdin(&["fmt", "-"], messy.as_bytes());
    assert_eq!(
        piped.stdout,
        std::fs::read_to_string(&path).expect("the file")
    );
    assert!(
        piped.stdout.starts_with("id = \"seen\"\n"),
        "{}",
        piped.stdout
    );
    assert_eq!(run_with_stdin(&["fmt", "-"], b"id = [").code, 1);
}

#[test]
fn site_lists_come_from_files() {
    let folder = Folder::new("lists");
    let rule = std::fs::read_to_string(data("rules/seen/rule.toml")).expect("the rule");
    let when = r#"when = 'inList("numbers", string(event.n))'"#;
    let rule = folder.file(
        "rules/listed.toml",
        rule.replace(r#"when = 'event.eventName == "Seen"'"#, when),
    );
    let events = folder.file("events.jsonl", format!("{}\n{}\n", seen(1), seen(2)));
    let without = run(&["scan", "--rules", &rule, &events]);
    assert_eq!(without.code, 2, "{}", without.stdout);
    assert!(without.stderr.contains("numbers"), "{}", without.stderr);
    for (name, text) in [
        ("numbers.csv", "value\n2\n3\n"),
        ("numbers.json", "[\"2\", \"3\"]"),
        ("numbers.toml", "values = [\"2\", \"3\"]\n"),
    ] {
        let list = format!("numbers={}", folder.file(name, text));
        let ran = run(&["scan", "--rules", &rule, "--list", &list, &events]);
        assert!(
            ran.stdout.contains("Seen 2") && !ran.stdout.contains("Seen 1"),
            "{name}: {ran:?}"
        );
    }
}

#[test]
fn statistics() {
    let scan = [
        "scan",
        "--rules",
        &data("mistakes/failing"),
        "--stats-format",
        "json",
        "--stats",
    ];
    let ran = run(&[&scan[..], &[&data("events.jsonl")]].concat());
    let text = ran.stderr.lines().last().unwrap_or_default();
    let statistics: serde_json::Value = serde_json::from_str(text).expect("JSON");
    let rule = &statistics["rules"][0];
    assert_eq!(
        (&rule["rule_id"], &rule["matches"]),
        (&"failing".into(), &0.into()),
        "{text}"
    );
    assert_eq!(rule["indeterminate"], 1, "{text}");
    assert_eq!(rule["indeterminate_by_reason"][0]["count"], 1, "{text}");
    assert!(
        rule["nanoseconds_per_event"]
            .as_u64()
            .is_some_and(|time| time > 0),
        "{text}"
    );
    assert_eq!(
        statistics["inputs"][0]["rejected_by_reason"]["not_an_object"], 1,
        "{text}"
    );
    let ran = run(&[
        "scan",
        "--rules",
        &data("rules"),
        "--stats",
        &data("events.jsonl"),
    ]);
    assert!(
        ran.stderr.contains("rule     matches  indeterminate"),
        "{}",
        ran.stderr
    );
}

/// The bundled rules are sound and pass their tests, and the demo finds something.
#[test]
fn bundled_rules_and_demo() {
    let ran = run(&["check"]);
    assert_eq!(ran.code, 0, "{}", ran.stdout);
    let ran = run(&["test"]);
    assert!(
        ran.stdout.ends_with(" passed, 0 failed\n"),
        "{}",
        ran.stdout
    );
    let ran = run(&["scan", "--demo"]);
    assert_eq!(ran.code, 0);
    assert!(ran.stdout.contains("CRITICAL"), "{}", ran.stdout);
    for kind in [
        "rule",
        "tests",
        "overrides",
        "list",
        "fields",
        "plugin",
        "plugins",
    ] {
        let schema: serde_json::Value =
            serde_json::from_str(&run(&["schema", kind]).stdout).expect("JSON");
        assert!(schema["$schema"].is_string(), "{kind}");
    }
}

/// The documents are what their formats say, not only the same as yesterday.
#[test]
fn sarif_and_ocsf_are_well_formed() {
    let sarif: serde_json::Value = serde_json::from_str(&scan("sarif").stdout).expect("JSON");
    assert_eq!(sarif["version"], "2.1.0");
    let run = &sarif["runs"][0];
    let rules = run["tool"]["driver"]["rules"].as_array().expect("rules");
    for result in run["results"].as_array().expect("results") {
        let index = result["ruleIndex"].as_u64().expect("an index") as usize;
        assert_eq!(rules[index]["id"], result["ruleId"]);
        assert!(["error", "warning", "note"].contains(&result["level"].as_str().unwrap_or("")));
        let region = &result["locations"][0]["physicalLocation"]["region"];
        assert!(region["startLine"].as_u64().is_some_and(|line| line > 0));
        assert!(result["partialFingerprints"]["findingId/v1"].is_string());
    }
    assert_eq!(run["results"].as_array().map(Vec::len), Some(2));
    for line in scan("ocsf").stdout.lines() {
        let event: serde_json::Value = serde_json::from_str(line).expect("JSON");
        let uid = |name: &str| event[name].as_u64().expect("a number");
        assert_eq!(uid("class_uid") / 1000, uid("category_uid"));
        assert_eq!(uid("type_uid"), uid("class_uid") * 100 + uid("activity_id"));
        assert!(event["time"].is_i64() && event["metadata"]["product"]["name"] == "Tripline");
        assert!(
            event["finding_info"]["uid"].is_string() && event["evidences"][0]["data"].is_object()
        );
    }
}

#[test]
fn sarif_without_findings_is_a_document() {
    let folder = Folder::new("sarif");
    let path = folder.file("none.json", "{}");
    let ran = run(&[
        "scan",
        "--format",
        "sarif",
        "--rules",
        &data("rules"),
        &path,
    ]);
    let sarif: serde_json::Value = serde_json::from_str(&ran.stdout).expect("JSON");
    assert_eq!(
        sarif["runs"][0]["results"].as_array().map(Vec::len),
        Some(0)
    );
}
