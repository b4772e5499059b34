//! Backtests: reports, baselines, expectations, labels and proposals.

use crate::golden::check;
use crate::harness::{Folder, Ran, run, run_with_stdin, tripline};
use crate::real_data::shared;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

const LISTED: &str = r#"
when = 'event.eventName == "ListBuckets"'
[finding]
title = "{event.userIdentity.arn} lists buckets"
dedup_key = ['event.userIdentity.arn']
"#;

const BURST: &str = r#"
when = 'event.eventName == "ListBuckets"'
group_by = ['event.userIdentity.arn']
[threshold]
window = "10m"
is = ">= 3"
"#;

const DELETED: &str = r#"
when = 'event.eventName == "DeleteBucket"'
[finding]
title = "{event.requestParameters.bucketName} deleted"
dedup_key = ['event.requestParameters.bucketName']
"#;

const NEVER: &str = r#"
when = 'event.eventName == "Never"'
"#;

pub(crate) fn rule(folder: &Folder, version: &str, id: &str, severity: &str, text: &str) {
    let head = format!(
        "id = \"{id}\"\nname = \"Rule {id}\"\ndescription = \"A rule of this test.\"\nseverity = \"{severity}\"\nstatus = \"experimental\"\n"
    );
    folder.file(&format!("{version}/{id}/rule.toml"), head + text);
}

fn event(number: u64, name: &str, who: &str, address: &str) -> String {
    let (hour, minute) = (number / 20 % 24, number * 3 % 60);
    let day = 1 + number / 480;
    format!(
        r#"{{"eventID":"00000000-0000-0000-0000-{number:012}","eventTime":"2024-03-{day:02}T{hour:02}:{minute:02}:00Z","eventName":"{name}","eventSource":"s3.amazonaws.com","sourceIPAddress":"{address}","userAgent":"aws-cli","userIdentity":{{"arn":"arn:aws:iam::1:{who}"}},"requestParameters":{{"bucketName":"b{number}"}}}}"#
    )
}

/// Two versions of rules, and a day of events: a scanner lists buckets every three minutes, people now and then.
fn workplace(name: &str) -> Folder {
    let folder = Folder::new(name);
    for (version, severity, deleted, least) in [
        ("rules", "high", "deleted", 3),
        ("old", "low", "was deleted", 4),
    ] {
        rule(&folder, version, "listed", "low", LISTED);
        rule(
            &folder,
            version,
            "burst",
            "medium",
            &BURST.replace(">= 3", &format!(">= {least}")),
        );
        rule(
            &folder,
            version,
            "deleted",
            severity,
            &DELETED.replace("} deleted", &format!("}} {deleted}")),
        );
    }
    rule(&folder, "rules", "never", "low", NEVER);
    rule(
        &folder,
        "old",
        "only-old",
        "low",
        &NEVER.replace("Never", "DeleteBucket"),
    );
    let mut events = Vec::new();
    for number in 0..60 {
        events.push(event(
            number,
            "ListBuckets",
            "role/scanner",
            &format!("192.0.2.{}", number % 4),
        ));
    }
    for number in 100..104 {
        events.push(event(
            number,
            "ListBuckets",
            &format!("user/person-{number}"),
            "198.51.100.7",
        ));
    }
    for number in 200..203 {
        events.push(event(number, "DeleteBucket", "user/mallory", "203.0.113.9"));
    }
    events.push(event(200, "DeleteBucket", "user/mallory", "203.0.113.9"));
    events.push("not json".to_owned());
    // Without bucketName `deleted` still matches; its title and key cannot be told.
    events.push(r#"{"eventName":"DeleteBucket","eventTime":"2024-03-09T00:00:00Z"}"#.to_owned());
    events.push(r#"{"noName":"\u001b[31mred"}"#.to_owned());
    folder.file("events.jsonl", events.join("\n"));
    folder
}

pub(crate) fn backtest(folder: &Folder, arguments: &[&str]) -> Ran {
    let fixed = [
        "backtest",
        "--rules",
        "rules",
        "--against",
        "events.jsonl",
        "--now",
        "2024-06-01T00:00:00Z",
    ];
    let output = tripline(&[&fixed[..], arguments].concat())
        .current_dir(folder.path())
        .output()
        .expect("the binary runs");
    output.into()
}

pub(crate) fn json(folder: &Folder, arguments: &[&str]) -> Value {
    let ran = backtest(folder, &[&["--format", "json"], arguments].concat());
    assert!(ran.code <= 1, "{ran:?}");
    serde_json::from_str(&ran.stdout).expect("the report is JSON")
}

const EXPECT: &str = r#"
others = "none"
[[expect]]
rule = "listed"
at_least = 60
at_most = 200
[[expect]]
rule = "listed"
at_least = 100
[[expect]]
rule = "deleted"
findings = 4
keys = [["b200"], ["b201"], ["b299"]]
[[expect]]
rule = "lisetd"
findings = 1
"#;

#[test]
fn reports_in_every_format() {
    let folder = workplace("backtest-formats");
    folder.file("expect.toml", EXPECT);
    folder.file(
        "labels.csv",
        "rule_id,event_id,label,note\n\
         listed,00000000-0000-0000-0000-000000000100,tp,a person\n\
         listed,00000000-0000-0000-0000-000000000001,fp,\"our scanner, known\"\n\
         deleted,00000000-0000-0000-0000-000000000100,tp,\n\
         deleted,00000000-0000-0000-0000-00000000ffff,tp,not among these\n\
         gone,00000000-0000-0000-0000-000000000100,fp,\n",
    );
    for format in ["text", "json", "junit"] {
        let arguments = [
            "--format",
            format,
            "--baseline",
            "old",
            "--expect",
            "expect.toml",
            "--labels",
            "labels.csv",
        ];
        let ran = backtest(&folder, &arguments);
        assert_eq!(ran.code, 1, "{ran:?}");
        check(&format!("backtest-{format}.txt"), &ran);
    }
    check("help-backtest.txt", &run(&["backtest", "--help"]));
}

#[test]
fn threads_change_nothing() {
    let folder = workplace("backtest-threads");
    let sample = run(&["sample", "--events", "3000", "--seed", "5"]);
    folder.file("more/a.jsonl", &sample.stdout);
    folder.file("more/b.jsonl", &sample.stdout);
    let with = |threads: &str| {
        let arguments = [
            "--against",
            "more",
            "--baseline",
            "old",
            "--threads",
            threads,
        ];
        json(&folder, &arguments).to_string()
    };
    let one = with("1");
    for threads in ["2", "7"] {
        assert!(with(threads) == one, "{threads} threads say something else");
    }
}

/// What a backtest counts is what a scan finds.
#[test]
fn counts_are_those_of_a_scan() {
    let folder = workplace("backtest-scan");
    let report = json(&folder, &["--baseline", "old"]);
    for (version, path) in [("rules", "rules"), ("old", "old")] {
        let output = tripline(&["scan", "--rules", path, "--format", "jsonl", "events.jsonl"])
            .current_dir(folder.path())
            .output()
            .expect("the binary runs");
        let ran = Ran::from(output);
        let mut counts: BTreeMap<String, u64> = BTreeMap::new();
        for line in ran.stdout.lines() {
            let finding: Value = serde_json::from_str(line).expect("JSON");
            let rule = finding["rule_id"].as_str().expect("a rule");
            *counts.entry(rule.to_owned()).or_default() += 1;
        }
        if version == "rules" {
            for rule in report["rules"].as_array().expect("rules") {
                let id = rule["rule_id"].as_str().expect("an id");
                let wanted = counts.get(id).copied().unwrap_or(0);
                assert_eq!(rule["findings"].as_u64(), Some(wanted), "{id}");
            }
        }
        let number = |name: &str| {
            report["baseline"]["counts"][name]
                .as_u64()
                .expect("a count")
        };
        let own = if version == "rules" { "new" } else { "gone" };
        let total = number(own) + number("changed") + number("same");
        assert_eq!(total, counts.values().sum::<u64>(), "{version}");
    }
    assert_eq!(report["summary"]["records"]["rejected"], 1);
    assert_eq!(report["summary"]["records"]["duplicates"], 1);
}

fn git(folder: &Folder, arguments: &[&str]) {
    let status = Command::new("git")
        .args([
            "-c",
            "user.name=a",
            "-c",
            "user.email=a@example.com",
            "-c",
            "init.defaultBranch=main",
        ])
        .args(arguments)
        .current_dir(folder.path())
        .env_remove("GIT_DIR")
        .output()
        .expect("git runs");
    assert!(status.status.success(), "{status:?}");
}

#[test]
fn a_commit_is_a_baseline() {
    // Outside of any repository but its own, wherever the build's folder lies.
    let folder = workplace("backtest-git");
    git(&folder, &["init", "--quiet"]);
    let path = |name: &str| format!("{}/{name}", folder.path());
    std::fs::rename(path("rules"), path("new")).expect("it can be moved");
    std::fs::rename(path("old"), path("rules")).expect("it can be moved");
    folder.file("rules/lists/known.toml", "values = [\"a\"]\n");
    folder.file("rules/.hidden/rule.toml", "not TOML at all");
    git(&folder, &["add", "--all"]);
    git(&folder, &["commit", "--quiet", "--message", "old"]);
    std::fs::rename(path("rules"), path("old")).expect("it can be moved");
    std::fs::rename(path("new"), path("rules")).expect("it can be moved");
    let by_path = json(&folder, &["--baseline", "old"]);
    for reference in ["HEAD", "main", "HEAD~0"] {
        let mut by_commit = json(&folder, &["--baseline", reference]);
        assert_eq!(by_commit["baseline"]["name"], reference);
        by_commit["baseline"]["name"] = "old".into();
        assert_eq!(by_commit, by_path);
    }
    // A rule file by itself, from below the top.
    let output = tripline(&[
        "backtest",
        "--rules",
        "rule.toml",
        "--against",
        "../../events.jsonl",
        "--baseline",
        "HEAD",
        "--format",
        "json",
    ])
    .current_dir(path("rules/deleted"))
    .output()
    .expect("the binary runs");
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(report["baseline"]["counts"]["changed"], 4, "{output:?}");
    for (reference, words) in [
        ("nowhere", "neither a path nor a commit"),
        ("--help", "neither a path nor a commit"),
        ("HEAD:rules", "neither a path nor a commit"),
    ] {
        let ran = backtest(&folder, &[&format!("--baseline={reference}")]);
        assert_eq!(ran.code, 2, "{ran:?}");
        assert!(ran.stderr.contains(words), "{}", ran.stderr);
    }
    rule(&folder, "fresh", "listed", "low", LISTED);
    let ran = backtest(&folder, &["--rules", "fresh", "--baseline", "HEAD"]);
    assert!(
        ran.code == 2 && ran.stderr.contains("that commit has no fresh"),
        "{ran:?}"
    );
    let ran = backtest(
        &folder,
        &["--rules", "rules/*/rule.toml", "--baseline", "HEAD"],
    );
    assert!(
        ran.code == 2 && ran.stderr.contains("is a pattern"),
        "{ran:?}"
    );
    let output = tripline(&[
        "backtest",
        "--rules",
        "rules",
        "--against",
        "events.jsonl",
        "--baseline",
        "HEAD",
    ])
    .current_dir(folder.path())
    .env("PATH", "/nowhere")
    .output()
    .expect("the binary runs");
    let ran = Ran::from(output);
    assert!(
        ran.code == 2 && ran.stderr.contains("failed to run git"),
        "{ran:?}"
    );
}

#[test]
fn broken_rules_on_one_side_are_told() {
    let folder = workplace("backtest-broken");
    folder.file("old/listed/rule.toml", "id = 3");
    let ran = backtest(&folder, &["--baseline", "old"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    for words in [
        "errors in the baseline; what has one is not used, be it a rule, a test or a list: old/listed/rule.toml",
        "only in the rules: listed, never",
        "65 new, 5 gone",
    ] {
        assert!(ran.stdout.contains(words), "{words}: {}", ran.stdout);
    }
    assert!(
        ran.stderr.contains("old/listed/rule.toml"),
        "{}",
        ran.stderr
    );
    folder.file("rules/burst/rule.toml", "id = 3");
    for format in ["text", "json", "junit"] {
        let ran = backtest(&folder, &["--format", format]);
        assert_eq!(ran.code, 1, "{ran:?}");
    }
    let junit = backtest(&folder, &["--format", "junit"]).stdout;
    assert!(junit.contains("<error message=\"has errors"), "{junit}");
    assert!(junit.contains("failures=\"0\" errors=\"1\""), "{junit}");
    // A rule whose tests or lists have mistakes is not off.
    rule(&folder, "rules", "burst", "medium", BURST);
    folder.file("rules/burst/tests.toml", "[[test]]\nname = 3\n");
    let junit = backtest(&folder, &["--format", "junit"]).stdout;
    let tests = "classname=\"rules/burst/tests.toml\" name=\"has no errors\"";
    assert!(
        junit.contains(tests) && !junit.contains("are off"),
        "{junit}"
    );
    assert!(junit.contains("classname=\"burst\""), "{junit}");
    let text = backtest(&folder, &[]).stdout;
    assert!(
        text.contains("be it a rule, a test or a list: rules/burst/tests.toml"),
        "{text}"
    );
    std::fs::remove_file(format!("{}/rules/burst/tests.toml", folder.path())).expect("it can go");
    folder.file("rules/burst/rule.toml", "id = 3");
    // A mistake that both versions have is told once, one of the baseline by itself too.
    folder.file("old/burst/rule.toml", "id = 3");
    let ran = backtest(&folder, &["--baseline", "old"]);
    let times = |words: &str| ran.stderr.matches(words).count();
    assert_eq!(
        times("rules/burst/rule.toml:"),
        times("old/listed/rule.toml:")
    );
    assert!(times("rules/burst/rule.toml:") > 0, "{}", ran.stderr);
    assert_eq!(times("old/burst/rule.toml:"), 0, "{}", ran.stderr);
}

#[test]
fn baselines_that_are_none_are_told() {
    let folder = workplace("backtest-no-baseline");
    std::fs::create_dir(format!("{}/empty", folder.path())).expect("a folder");
    for (baseline, words) in [
        (
            &["empty"][..],
            "what --baseline names cannot be read as rules: empty: holds no file",
        ),
        (
            &["events.jsonl"],
            "--baseline names cannot be read as rules: events.jsonl: holds no .toml",
        ),
        (
            &["old", "nowhere"],
            "--baseline nowhere: no such file or folder",
        ),
    ] {
        let named: Vec<&str> = baseline
            .iter()
            .flat_map(|one| ["--baseline", one])
            .collect();
        let ran = backtest(&folder, &named);
        assert!(
            ran.code == 2 && ran.stderr.contains(words),
            "{baseline:?}: {ran:?}"
        );
    }
    let ran = backtest(&folder, &["--baseline", "ol*"]);
    assert!(ran.stdout.contains("Compared with ol*"), "{ran:?}");
}

#[test]
fn the_head_of_the_table_fits_narrow_terminals() {
    let folder = workplace("backtest-narrow");
    for (columns, above) in [("100", false), ("60", true)] {
        let arguments = ["backtest", "--rules", "rules", "--against", "events.jsonl"];
        let output = tripline(&arguments)
            .current_dir(folder.path())
            .env("COLUMNS", columns)
            .output();
        let ran = Ran::from(output.expect("the binary runs"));
        assert_eq!(
            ran.stdout.contains("\nhistograms by "),
            above,
            "{}",
            ran.stdout
        );
    }
}

#[test]
fn hostile_files_are_refused() {
    let folder = workplace("backtest-hostile");
    for (option, text, words) in [
        (
            "--expect",
            "[[expect]]\nrule = 1",
            "not what expectations look like",
        ),
        ("--expect", "{", "not what expectations look like"),
        (
            "--labels",
            "a,b\n1,2\n",
            "the first line must name the columns",
        ),
        ("--labels", "", "holds no label"),
    ] {
        let path = folder.file("file", text);
        let ran = backtest(&folder, &[option, &path]);
        assert!(ran.code == 2 && ran.stderr.contains(words), "{ran:?}");
    }
    for option in ["--expect", "--labels", "--against"] {
        let ran = backtest(&folder, &[option, "nowhere"]);
        assert!(ran.code == 2 && ran.stderr.contains("nowhere"), "{ran:?}");
    }
    let ran = backtest(&folder, &["--output", "no/such/folder"]);
    assert_eq!(ran.code, 2, "{ran:?}");
    let text = format!(
        "{}\n",
        event(1, "ListBuckets", "user/\\u001b[2J\\u202e", "::1")
    );
    let rules = format!("{}/rules", folder.path());
    let ran = run_with_stdin(
        &[
            "backtest",
            "--rules",
            &rules,
            "--baseline",
            &format!("{}/old", folder.path()),
            "--against",
            "-",
        ],
        text.as_bytes(),
    );
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(
        !ran.stdout.contains(['\u{1b}', '\u{202e}']),
        "{}",
        ran.stdout
    );
}

#[test]
fn expectations_that_are_met() {
    let folder = workplace("backtest-met");
    folder.file(
        "expect.json",
        r#"{"expect": [{"rule": "listed", "at_least": 1, "at_most": 64}, {"rule": "never", "findings": 0, "keys": []}]}"#,
    );
    let ran = backtest(&folder, &["--expect", "expect.json"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.stdout.contains("4 met, 0 not"), "{}", ran.stdout);
}

/// Labels for the findings of `listed`: the scanner's are false, but for those of `true_numbers`; people's are true.
fn labels(folder: &Folder, true_numbers: &[u64]) {
    let mut text = "rule_id,event_id,label\n".to_owned();
    for number in (0..60).chain(100..104) {
        let label = if number >= 100 || true_numbers.contains(&number) {
            "tp"
        } else {
            "fp"
        };
        text.push_str(&format!(
            "listed,00000000-0000-0000-0000-{number:012},{label}\n"
        ));
    }
    folder.file("labels.csv", text);
}

#[test]
fn proposals_are_tried_and_pass_the_check() {
    let folder = workplace("backtest-propose");
    labels(&folder, &[]);
    for arguments in [&[][..], &["--labels", "labels.csv"]] {
        let report = json(
            &folder,
            &[&["--propose", "proposed.toml"], arguments].concat(),
        );
        let proposals = report["proposals"].as_array().expect("proposals");
        let first = &proposals[0];
        assert_eq!(first["rule_id"], "listed", "{first}");
        assert!(
            first["when"]
                .as_str()
                .expect("CEL")
                .contains("role/scanner"),
            "{first}"
        );
        assert_eq!((&first["removes"], &first["of"]), (&60.into(), &64.into()));
        assert!(proposals.iter().all(|one| one["rule_id"] != "burst"));
        assert_eq!(report["noisy_without_proposal"], serde_json::json!([]));
        let folder_path = folder.path();
        let checked = run(&[
            "check",
            &format!("{folder_path}/rules"),
            &format!("{folder_path}/proposed.toml"),
        ]);
        assert_eq!(checked.code, 0, "{}", checked.stdout);
        assert!(
            checked.stdout.contains("has no owner and no reason"),
            "{}",
            checked.stdout
        );
        let with = json(&folder, &["--rules", "proposed.toml"]);
        let rules = with["rules"].as_array().expect("rules");
        let listed = rules
            .iter()
            .find(|one| one["rule_id"] == "listed")
            .expect("it is there");
        assert_eq!(listed["findings"], 4);
    }
}

#[test]
fn proposals_do_not_replace_what_a_person_wrote() {
    let folder = workplace("backtest-propose-over");
    let path = format!("{}/proposed.toml", folder.path());
    let propose = || backtest(&folder, &["--propose", "proposed.toml"]);
    assert_eq!(propose().code, 0);
    let proposed = std::fs::read_to_string(&path).expect("it was written");
    assert_eq!(propose().code, 0, "nobody answers for them yet");
    let mine = "[[override]]\nrule = \"listed\"\nenabled = false\n".to_owned();
    let answered = proposed.replacen("# owner", "owner", 1);
    assert_ne!(answered, proposed);
    for (text, words) in [
        (mine, "that no backtest wrote"),
        (String::new(), "that no backtest wrote"),
        (answered, "somebody answers"),
    ] {
        folder.file("proposed.toml", &text);
        let ran = propose();
        assert!(ran.code == 2 && ran.stderr.contains(words), "{ran:?}");
        assert_eq!(std::fs::read_to_string(&path).expect("it is there"), text);
    }
}

#[test]
fn a_proposal_never_hides_what_is_labelled_true() {
    let folder = workplace("backtest-keep");
    // The scanner's role was used once by somebody else, from an address of its own network.
    labels(&folder, &[7]);
    let report = json(
        &folder,
        &["--labels", "labels.csv", "--propose", "proposed.toml"],
    );
    let proposals = report["proposals"].as_array().expect("proposals");
    assert!(!proposals.is_empty());
    for proposal in proposals {
        let when = proposal["when"].as_str().expect("CEL");
        assert!(
            when.contains("sourceIPAddress")
                && !when.contains("192.0.2.3\"")
                && !when.contains("cidr"),
            "{when}"
        );
    }
    let with = json(
        &folder,
        &["--rules", "proposed.toml", "--labels", "labels.csv"],
    );
    let listed = &with["labels"]["rules"][0];
    assert_eq!(
        (&listed["true_found"], &listed["true_not_found"]),
        (&5.into(), &0.into())
    );
    assert_eq!(listed["false_found"], 14);
    // All addresses of the scanner are true once: nothing can be proposed.
    std::fs::remove_file(format!("{}/proposed.toml", folder.path())).expect("it was written");
    labels(&folder, &[0, 1, 2, 3]);
    let ran = backtest(
        &folder,
        &["--labels", "labels.csv", "--propose", "proposed.toml"],
    );
    assert!(ran.stderr.contains("nothing to propose"), "{ran:?}");
    assert!(!Path::new(&format!("{}/proposed.toml", folder.path())).exists());
}

#[test]
fn verdicts_follow_labels() {
    let folder = workplace("backtest-labels");
    labels(&folder, &[]);
    let report = json(&folder, &["--labels", "labels.csv"]);
    let listed = &report["labels"]["rules"][0];
    assert_eq!(listed["verdict"], "tune", "{listed}");
    assert_eq!(listed["precision"], 4.0 / 64.0);
    assert_eq!(listed["recall"], 1.0);
    // The rule does not see people any more.
    rule(
        &folder,
        "rules",
        "listed",
        "low",
        &LISTED.replace("\"'", "\" && event.userIdentity.arn.contains(\"role\")'"),
    );
    let ran = backtest(&folder, &["--labels", "labels.csv"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(
        ran.stdout
            .contains("tune listed: 4 labelled true are not found"),
        "{}",
        ran.stdout
    );
}

/// Nothing differs from itself, and what proposals are said to remove is gone when they are applied.
#[test]
fn real_logs_are_backtested() {
    let Some(events) = shared("data/events") else {
        println!("skipped: no real logs at hand; set TRIPLINE_SHARED");
        return;
    };
    let rules = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../rules")
        .display()
        .to_string();
    let inputs = ["invictus", "stratus"].map(|one| events.join(one).display().to_string());
    let folder = Folder::new("backtest-real");
    let proposed = format!("{}/proposed.toml", folder.path());
    let with = |more: &[&str]| {
        let fixed = [
            "backtest",
            "--format",
            "json",
            "--rules",
            &rules,
            "--against",
            &inputs[0],
            &inputs[1],
        ];
        let ran = run(&[&fixed[..], more].concat());
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        serde_json::from_str::<Value>(&ran.stdout).expect("JSON")
    };
    let before = with(&["--baseline", &rules, "--propose", &proposed]);
    let counts = &before["baseline"]["counts"];
    assert_eq!(
        (&counts["new"], &counts["gone"], &counts["changed"]),
        (&0.into(), &0.into(), &0.into())
    );
    let checked = run(&["check", &rules, &proposed]);
    assert_eq!(checked.code, 0, "{}", checked.stdout);
    let after = with(&["--rules", &proposed]);
    let found = |report: &Value, rule: &Value| -> u64 {
        let rules = report["rules"].as_array().expect("rules");
        let one = rules
            .iter()
            .find(|one| one["rule_id"] == *rule)
            .expect("the rule");
        one["findings"].as_u64().expect("a count")
    };
    let proposals = before["proposals"].as_array().expect("proposals");
    assert!(!proposals.is_empty());
    for proposal in proposals {
        let rule = &proposal["rule_id"];
        let removes = proposal["removes"].as_u64().expect("a count");
        let (was, is) = (found(&before, rule), found(&after, rule));
        assert!(was - is >= removes, "{proposal}: {was} before, {is} after");
    }
    println!("{} proposals on real logs", proposals.len());
}
