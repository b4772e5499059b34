//! Answers to findings from the command line: policies that are wrong, what they would have done, and a journal that somebody
//! has touched.

use crate::harness::{Folder, run};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

const POLICY: &str = r#"
[remediation.close]
version = "1.0.0"
description = "Close it."
runbook = "https://example.com"
owner = "security"
on_finding = ["aws-ec2-security-group-open-to-world"]
when = 'event.eventName == "AuthorizeSecurityGroupIngress"'
action = "aws.ec2.revoke_ingress_rule"

[remediation.close.stage]
mode = "auto"

[remediation.close.limits]
per_policy = { max = 2, window = "10m" }
per_account = { max = 5, window = "10m" }
"#;

/// A security group that is opened by an event at a minute.
fn opened(group: u32, rule: u32, minute: u32) -> String {
    let id = format!("sg-{group:017x}");
    json!({
        "eventVersion": "1.10",
        "userIdentity": { "type": "IAMUser", "arn": "arn:aws:iam::111122223333:user/mallory", "accountId": "111122223333", "userName": "mallory" },
        "eventTime": format!("2026-03-01T10:{minute:02}:00Z"),
        "eventSource": "ec2.amazonaws.com",
        "eventName": "AuthorizeSecurityGroupIngress",
        "awsRegion": "eu-central-1",
        "requestParameters": { "groupId": id, "ipPermissions": { "items": [{
            "ipProtocol": "tcp", "fromPort": 22, "toPort": 22, "ipRanges": { "items": [{ "cidrIp": "0.0.0.0/0" }] },
        }] } },
        "responseElements": { "_return": true, "securityGroupRuleSet": { "items": [{
            "groupId": id, "securityGroupRuleId": format!("sgr-{rule:017x}"), "isEgress": false,
            "ipProtocol": "tcp", "fromPort": 22, "toPort": 22, "cidrIpv4": "0.0.0.0/0",
        }] } },
        "eventID": format!("00000000-0000-4000-8000-{:012x}", group * 1_000 + rule * 100 + minute),
        "readOnly": false,
        "eventType": "AwsApiCall",
        "managementEvent": true,
        "recipientAccountId": "111122223333",
    })
    .to_string()
}

#[test]
fn mistakes_in_policies_are_told_with_their_places_and_the_others_run() {
    let folder = Folder::new("answers-wrong");
    let wrong = [
        // (what is there, what takes its place, the line that is named, a word of what is told)
        (
            "owner = \"security\"",
            "owner = \"\"",
            6,
            "`owner` is empty",
        ),
        (
            "version = \"1.0.0\"",
            "version = \"one\"",
            3,
            "is no version",
        ),
        ("owner =", "owners =", 6, "unknown field `owners`"),
        (
            "aws.ec2.revoke_ingress_rule",
            "aws.ec2.explode",
            9,
            "there is no action",
        ),
        (
            "per_account",
            "per_person",
            16,
            "unknown field `per_person`",
        ),
        (
            "per_account = { max = 5, window = \"10m\" }",
            "",
            15,
            "needs `limits.per_account`",
        ),
        (
            "\"10m\" }\nper_account",
            "\"10 minutes\" }\nper_account",
            15,
            "is not a length of time",
        ),
        ("event.eventName ==", "event.eventNam ==", 8, "when:"),
        (
            "event.eventName == \"AuthorizeSecurityGroupIngress\"",
            "event.eventName ==",
            8,
            "when:",
        ),
        (
            "when = 'event.eventName == \"AuthorizeSecurityGroupIngress\"'",
            "",
            9,
            "makes events of the kind that it answers",
        ),
    ];
    for (number, (there, instead, line, word)) in wrong.into_iter().enumerate() {
        let text = POLICY.replacen(there, instead, 1);
        assert_ne!(text, POLICY, "{there}");
        let text = format!(
            "{text}\n{}",
            POLICY.replace("remediation.close", "remediation.other")
        );
        let path = folder.file(&format!("wrong-{number}.toml"), &text);
        let ran = run(&["check", &path]);
        assert_eq!(ran.code, 1, "{word}: {}", ran.stdout);
        assert!(ran.stdout.contains("E6001"), "{}", ran.stdout);
        assert!(ran.stdout.contains(word), "{word}: {}", ran.stdout);
        let place = format!("wrong-{number}.toml:{line}:");
        assert!(
            ran.stdout.contains(&place),
            "{place} {word}: {}",
            ran.stdout
        );
        assert!(ran.stdout.contains("1 policy: 1 error"), "{}", ran.stdout);
    }
    let path = folder.file(
        "idle.toml",
        POLICY.replace("open-to-world", "open-to-wolrd"),
    );
    let rules = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../rules/aws");
    let ran = run(&["check", &path, &rules.display().to_string()]);
    assert_eq!(ran.code, 0, "{}", ran.stdout);
    assert!(ran.stdout.contains("W6001"), "{}", ran.stdout);
}

#[test]
fn a_backtest_counts_as_the_service_would_have() {
    let folder = Folder::new("answers-backtest");
    let policy = folder.file("policy.toml", POLICY);
    let events = [
        // The same bad state twice, the second time within the cool-down, then three groups within ten minutes: the third has to wait.
        opened(1, 1, 0),
        opened(1, 1, 1),
        opened(2, 1, 2),
        opened(3, 1, 3),
        // Long after.
        opened(4, 1, 40),
    ];
    let events = folder.file("events.jsonl", events.join("\n"));
    let arguments = [
        "remediate",
        "backtest",
        "--json",
        "--policies",
        &policy,
        &events,
    ];
    let ran = run(&arguments);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let told: Value = serde_json::from_str(ran.stdout.trim()).expect("JSON");
    let counts = [
        "findings",
        "actions",
        "repeated",
        "resources",
        "principals",
        "peak",
    ];
    let counts: Vec<u64> = counts
        .iter()
        .map(|name| told[name].as_u64().expect("a number"))
        .collect();
    assert_eq!(counts, [5, 3, 0, 3, 1, 2], "{told}");
    let held: u64 = told["held"]
        .as_object()
        .expect("held")
        .values()
        .filter_map(Value::as_u64)
        .sum();
    assert_eq!(held, 1, "{told}");
    assert_eq!(told["suppressed"], json!({ "cool-down": 1 }));
    assert_eq!(told["days"], json!({ "2026-03-01": 3 }));
    let ran = run(&[&arguments[..], &["--fail-over"]].concat());
    assert_eq!(ran.code, 1);
    let ran = run(&["remediate", "plan", "--policies", &policy, &events]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(
        ran.stdout.contains("sg-00000000000000001"),
        "{}",
        ran.stdout
    );
    assert!(ran.stdout.contains("4 actions"), "{}", ran.stdout);
}

#[test]
fn a_journal_that_somebody_touched_is_found_out() {
    let folder = Folder::new("answers-audit");
    let kept = format!("{}/journal", folder.path());
    let ran = run(&["remediate", "demo", "--keep", &kept]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let ran = run(&["remediate", "audit", "verify", &kept]);
    assert_eq!(ran.code, 0, "{}", ran.stdout);
    assert!(ran.stdout.starts_with("whole: "), "{}", ran.stdout);
    let path = Path::new(&kept).join("journal-000000000001.jsonl");
    let whole = fs::read_to_string(&path).expect("the journal");
    let lines: Vec<&str> = whole.split_inclusive('\n').collect();
    let mut swapped = lines.clone();
    swapped.swap(2, 3);
    let mut fewer = lines.clone();
    fewer.remove(4);
    let touched = [
        whole.replacen("mallory", "mallard", 1),
        whole.replacen("\"approve\"", "\"deny\"", 1),
        swapped.concat(),
        fewer.concat(),
        format!("{whole}{}", lines[1]),
    ];
    for text in touched {
        assert_ne!(text, whole);
        fs::write(&path, text).expect("writes");
        let ran = run(&["remediate", "audit", "verify", &kept]);
        assert_eq!(ran.code, 1, "{}", ran.stdout);
        assert!(ran.stdout.starts_with("NOT WHOLE"), "{}", ran.stdout);
    }
    // The last record is the checkpoint: who kept a copy of it sees that the end is gone.
    let last: Value = serde_json::from_str(lines.last().expect("a line")).expect("JSON");
    let copy = folder.file(
        "copy.jsonl",
        format!("{}\n", canonical(&last["entry"]["checkpoint"])),
    );
    fs::write(&path, &whole).expect("writes");
    let ran = run(&[
        "remediate",
        "audit",
        "verify",
        &kept,
        "--checkpoints",
        &copy,
    ]);
    assert_eq!(ran.code, 0, "{}", ran.stdout);
    fs::write(&path, lines[..4].concat()).expect("writes");
    let ran = run(&["remediate", "audit", "verify", &kept]);
    assert_eq!(ran.code, 0, "{}", ran.stdout);
    let ran = run(&[
        "remediate",
        "audit",
        "verify",
        &kept,
        "--checkpoints",
        &copy,
    ]);
    assert_eq!(ran.code, 1, "{}", ran.stdout);
    assert!(ran.stdout.contains("its end was removed"), "{}", ran.stdout);
}

fn canonical(value: &Value) -> String {
    tripline_remediation::plan::canonical(value)
}

#[test]
fn history_is_learnt_and_what_would_be_answered_is_not_taken_for_good() {
    let folder = Folder::new("answers-learn");
    let trail = |name: &str, minute: u32, value: &str| {
        json!({
            "eventTime": format!("2026-03-01T{:02}:{:02}:00Z", 10 + minute / 60, minute % 60),
            "eventSource": "iam.amazonaws.com",
            "eventName": name,
            "awsRegion": "us-east-1",
            "eventID": format!("00000000-0000-4000-8000-{minute:012}"),
            "userIdentity": { "type": "IAMUser", "arn": "arn:aws:iam::111122223333:user/ops", "accountId": "111122223333" },
            "requestParameters": { "roleName": "deploy", "policyDocument": value, "assumeRolePolicyDocument": value },
            "recipientAccountId": "111122223333",
            "readOnly": false,
        })
        .to_string()
    };
    let good = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111122223333:root"},"Action":"sts:AssumeRole"}]}"#;
    let bad = good.replace("111122223333", "999988887777");
    let mut lines = vec![trail("CreateRole", 1, good)];
    // More than versions are held, each long after the one before.
    lines.extend((1..8).map(|hour| trail("UpdateAssumeRolePolicy", hour * 60, &bad)));
    let events = folder.file("events.jsonl", lines.join("\n"));
    let data = format!("{}/data", folder.path());
    for round in ["first", "again"] {
        let ran = run(&["remediate", "learn", "--data", &data, &events]);
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        let words = "8 events read, 8 of them said what something is like, 7 of which";
        assert!(ran.stdout.contains(words), "{round}: {}", ran.stdout);
    }
    let known = fs::read(format!("{data}/remediation/known.json")).expect("what is known");
    let shadow = tripline_remediation::shadow::Shadow::from_bytes(&known, Default::default())
        .expect("reads");
    let arn = "arn:aws:iam::111122223333:role/deploy";
    let known = tripline_remediation::action::LastKnown::before(
        &shadow,
        arn,
        "assume_role_policy",
        i64::MAX,
    );
    let known = known.expect("is known");
    assert_eq!(
        known.value,
        serde_json::from_str::<Value>(good).expect("JSON")
    );
    let ran = run(&["remediate", "learn", "--data", &data, "-"]);
    assert_eq!(ran.code, 2);
}

#[test]
fn actions_describe_themselves() {
    let ran = run(&["remediate", "actions", "--json"]);
    let all: Vec<Value> = serde_json::from_str(&ran.stdout).expect("JSON");
    assert!(all.len() >= 45, "{}", all.len());
    let ran = run(&["remediate", "actions", "aws.ec2.revoke_ingress_rule"]);
    assert!(ran.stdout.contains("group_id"), "{}", ran.stdout);
    let ran = run(&["remediate", "actions", "aws.ec2.explode"]);
    assert_eq!(ran.code, 2);
}
