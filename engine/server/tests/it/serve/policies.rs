//! Policies that take part in decisions: a real component, which misbehaves on some events.

use super::folder;
use super::service::Service;
use crate::harness::Folder;
use crate::plugins::{good, run, under};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// The policy of the template, made to misbehave on some names of events, built once for all tests. It writes a line,
/// so that it needs a grant, and may take as long as it is let.
fn guard() -> &'static Path {
    static BUILT: OnceLock<(Folder, PathBuf)> = OnceLock::new();
    let (_, path) = BUILT.get_or_init(|| {
        let folder = Folder::new("guard");
        good(&folder, &["plugin", "new", "--kind", "policy", "acme/guard"]);
        let source = under(&folder, "guard/src/lib.rs");
        let text = std::fs::read_to_string(&source).expect("there is a source");
        let before = "            if !self.guarded.iter()";
        let after = r#"            assert_ne!(name, "Panic");
            let mut turns = 0_u64;
            while name == "Loop" && std::hint::black_box(turns) < u64::MAX {
                turns += 1;
            }
            if name == "Hoard" {
                std::hint::black_box(vec![1_u8; 1 << 30]);
            }
            if name == "Allow" {
                return Decision::allow("the guard allows it");
            }
            if name == "Odd" {
                return Decision::deny("\u{1b}[31mred\n".repeat(100));
            }
            if !self.guarded.iter()"#;
        let (first, last) = (
            "        Ok(batch.rows().map(decide).collect())",
            "        tripline_plugin::log::debug(\"decided\", &[]);\n        \
             let rows = batch.rows().filter(|row| reads.event_name.get(*row) != Some(\"Short\"));\n        \
             Ok(rows.map(decide).collect())",
        );
        assert!(text.contains(before) && text.contains(first), "{text}");
        let text = text.replace(before, after).replace(first, last);
        std::fs::write(&source, text).expect("it is written");
        let manifest = under(&folder, "guard/plugin.toml");
        let text = std::fs::read_to_string(&manifest).expect("there is a manifest");
        let text = text
            .replace("deadline = \"50ms\"", "deadline = \"5s\"")
            .replace("[capabilities]", "[capabilities]\nlog = true");
        std::fs::write(&manifest, text).expect("it is written");
        good(&folder, &["plugin", "build", "guard"]);
        let path = under(&folder, "guard/acme-guard.wasm");
        (folder, path)
    });
    path
}

const GRANTED: &str = "[trust]\nunsigned = \"allow\"\n[plugins.guard]\npath = \"guard.wasm\"\n\
    [plugins.guard.grant]\nlog = true\n[plugins.guard.limits]\ndeadline = \"200ms\"\n";

const RULE: &str = r#"
id = "guarded"
name = "Guarded calls"
description = "The guard says."
severity = "medium"
status = "experimental"
authors = ["Tripline"]
effect = "policy.guard"
when = 'event.?account.orValue("") != "sandbox"'
"#;

const FIXED: &str = r#"
id = "on-call-may"
name = "On call may"
description = "Somebody has to."
severity = "low"
status = "experimental"
authors = ["Tripline"]
effect = "allow"
when = 'event.?onCall.orValue(false)'
"#;

/// A service's folder with the policy, what the operator says of it, and settings of the service.
fn site(name: &str, operator: &str, settings: &str) -> Folder {
    let folder = folder(name, "");
    std::fs::copy(guard(), under(&folder, "guard.wasm")).expect("the component is there");
    folder.file("plugins.toml", operator);
    folder.file("rules/guarded/rule.toml", RULE);
    folder.file("rules/on-call-may.toml", FIXED);
    let path = folder.path();
    let config = std::fs::read_to_string(format!("{path}/tripline.toml")).expect("it is there");
    let config = format!("rules.plugins = \"{path}/plugins.toml\"\n{settings}{config}");
    folder.file("tripline.toml", config);
    folder
}

/// What is answered about some events.
fn decide(service: &Service, events: &[&str]) -> Value {
    let (status, text) = service.post("/v1/decide", events.join("\n"));
    assert_eq!(status, 200, "{text}");
    serde_json::from_str(&text).expect("JSON")
}

/// The decision about one event, and the rule in a list of the answer.
fn one(service: &Service, event: &str, list: &str) -> (String, Value) {
    let answer = decide(service, &[event]);
    let first = &answer["decisions"][0];
    let rules = first[list].as_array().cloned().unwrap_or_default();
    let guarded = rules.into_iter().find(|one| one["rule_id"] == "guarded");
    let word = first["decision"].as_str().expect("a decision").to_owned();
    (word, guarded.unwrap_or(Value::Null))
}

const ROOT: &str = r#"{"eventName":"StopLogging","userIdentity":{"type":"Root"},"onCall":true}"#;

#[test]
fn a_policy_allows_refuses_wants_approval_and_abstains() {
    let folder = site("policy-says", GRANTED, "");
    let service = Service::start(&folder);
    let check = |event: &str, decision: &str, reason: &str| {
        let (word, rule) = one(&service, event, "rules");
        assert_eq!(word, decision, "{event}: {rule}");
        assert_eq!(rule["reason"].as_str().unwrap_or(""), reason, "{event}");
        rule
    };
    let denied = check(ROOT, "deny", "the root user does not call StopLogging");
    assert_eq!(denied["plugin"], "guard", "{denied}");
    assert_eq!(denied["effect"], "deny", "deny goes before allow: {denied}");
    let asked = check(
        r#"{"eventName":"StopLogging","userIdentity":{"type":"IAMUser","arn":"arn:a"},"onCall":true}"#,
        "require_approval",
        "arn:a calls StopLogging",
    );
    assert_eq!(asked["obligations"]["approvers"], "security", "{asked}");
    let allowed = check(r#"{"eventName":"Allow"}"#, "allow", "the guard allows it");
    assert!(allowed["obligations"].is_null(), "{allowed}");
    assert_eq!(
        check(r#"{"eventName":"GetObject"}"#, "allow", ""),
        Value::Null
    );
    let odd = one(&service, r#"{"eventName":"Odd"}"#, "rules").1;
    let reason = odd["reason"].as_str().expect("a reason");
    assert!(
        reason.len() <= 512 && !reason.contains(char::is_control),
        "{reason}"
    );
    // It is not asked about what its rule is not about.
    let sandbox = r#"{"eventName":"Panic","account":"sandbox"}"#;
    assert_eq!(
        one(&service, sandbox, "undecided"),
        ("allow".to_owned(), Value::Null)
    );
    assert_eq!(service.terminate(), Some(0));
}

#[test]
fn a_policy_that_gives_no_answer_decides_as_its_rule_says() {
    let folder = site("policy-fails", GRANTED, "");
    let service = Service::start(&folder);
    let events = [
        ("Panic", "the plugin trapped: unreachable"),
        ("Loop", "the plugin took longer than 200 ms"),
        ("Hoard", "the plugin needs more than"),
        (
            "Short",
            "the plugin's output is wrong: 0 decisions for 1 rows",
        ),
    ];
    let check = |list: &str, decision: &str, effect: &str| {
        for (name, reason) in events {
            let event = format!(r#"{{"eventName":"{name}"}}"#);
            let (word, rule) = one(&service, &event, list);
            assert_eq!(word, decision, "{name}: {rule}");
            assert_eq!(rule["plugin"], "guard", "{name}: {rule}");
            assert_eq!(rule["effect"], effect, "{name}: {rule}");
            let told = rule["reason"].as_str().unwrap_or("");
            assert!(told.contains(reason), "{name}: {told}");
        }
    };
    check("undecided", "deny", "undecided");
    let plugin = &service.get("/v1/status")["plugins"]["guard"];
    assert_eq!(plugin["state"], "on", "{plugin}");
    assert_eq!(plugin["events_without_answer"], events.len(), "{plugin}");
    assert_eq!(plugin["faults"]["trap"], 1, "{plugin}");
    assert!(plugin["memory_bytes_max"].as_u64() > Some(0), "{plugin}");
    let metrics = service.text("/metrics");
    for line in [
        "tripline_plugin_events_total{plugin=\"guard\"} 4\n",
        "tripline_plugin_calls_failed_total{plugin=\"guard\",fault=\"deadline\"} 1\n",
        "tripline_plugin_off{plugin=\"guard\"} 0\n",
    ] {
        assert!(metrics.contains(line), "{metrics}");
    }
    // One bad event is not the others' trouble.
    let answer = decide(
        &service,
        &[
            r#"{"eventName":"Panic"}"#,
            r#"{"eventName":"Allow"}"#,
            ROOT,
            r#"{"eventName":"Loop"}"#,
            r#"{"eventName":"GetObject"}"#,
        ],
    );
    let words: Vec<&str> = (0..5)
        .map(|at| answer["decisions"][at]["decision"].as_str().expect("one"))
        .collect();
    assert_eq!(
        words,
        ["deny", "allow", "deny", "deny", "allow"],
        "{answer}"
    );
    assert_eq!(answer["decisions"][2]["undecided"], serde_json::json!([]));
    assert_eq!(answer["decisions"][4]["rules"], serde_json::json!([]));
    for (on_error, list, decision, effect) in [
        ("skip", "skipped", "allow", "undecided"),
        ("fail-closed", "rules", "deny", "deny"),
    ] {
        let rule = RULE.replace("effect =", &format!("on_error = \"{on_error}\"\neffect ="));
        folder.file("rules/guarded/rule.toml", rule);
        assert_eq!(service.post("/v1/reload", "").0, 200);
        check(list, decision, effect);
    }
    assert_eq!(service.terminate(), Some(0));
}

#[test]
fn the_deadline_of_a_decision_holds_whatever_a_plugin_does() {
    let patient = GRANTED.replace("200ms", "5s");
    let folder = site("policy-late", &patient, "decisions.deadline = \"400ms\"\n");
    let service = Service::start(&folder);
    assert_eq!(one(&service, ROOT, "rules").0, "deny", "it is warm");
    let many = vec![r#"{"eventName":"Loop"}"#; 100];
    for events in [&many[..1], &many[..]] {
        let begun = Instant::now();
        let answer = decide(&service, events);
        let took = begun.elapsed();
        assert!(took < Duration::from_secs(3), "{took:?}");
        assert_eq!(answer["decision"], "deny", "{answer}");
        let first = &answer["decisions"][0];
        // On a machine that is too busy to answer in time at all, the default does.
        if first["is_default"] != true {
            let rule = &first["undecided"][0];
            assert_eq!(rule["plugin"], "guard", "{answer}");
            let reason = rule["reason"].as_str().unwrap_or("");
            assert!(
                reason.contains("took longer than 3") || reason.contains("no time left"),
                "{reason}"
            );
        }
    }
    assert_eq!(service.terminate(), Some(0));
}

#[test]
fn a_policy_that_fails_on_everything_is_switched_off_and_told() {
    let folder = site("policy-breaker", GRANTED, "");
    let service = Service::start(&folder);
    let panic = vec![r#"{"eventName":"Panic"}"#; 100];
    let off = "the plugin is switched off for";
    service.wait_until("it is switched off", || {
        let answer = decide(&service, &panic);
        answer.to_string().contains(off)
    });
    let (word, rule) = one(&service, r#"{"eventName":"Allow"}"#, "undecided");
    // One call in eight tries whether it works again.
    if rule != Value::Null {
        assert_eq!(word, "deny", "{rule}");
        assert!(
            rule["reason"].as_str().unwrap_or("").contains(off),
            "{rule}"
        );
    }
    assert_eq!(service.terminate(), Some(0));
}

#[test]
fn a_policy_that_is_not_let_run_does_not_let_pass() {
    let ungranted = GRANTED.replace("[plugins.guard.grant]\nlog = true\n", "");
    let folder = site("policy-ungranted", &ungranted, "");
    let service = Service::start(&folder);
    let (word, rule) = one(&service, r#"{"eventName":"Allow"}"#, "undecided");
    assert_eq!(word, "deny", "{rule}");
    assert_eq!(rule["plugin"], "guard");
    assert_eq!(
        rule["reason"], "plugin `guard` gave no answer: it did not start",
        "{rule}"
    );
    assert_eq!(service.terminate(), Some(0));
    // Nobody signed it, and the operator does not say that this is well: rules that ask it are off.
    let refused = GRANTED.replace("unsigned = \"allow\"", "unsigned = \"refuse\"");
    let folder = site("policy-refused", &refused, "");
    let service = Service::start(&folder);
    let (word, rule) = one(&service, r#"{"eventName":"Allow"}"#, "undecided");
    assert_eq!(word, "deny", "{rule}");
    let reason = rule["reason"].as_str().unwrap_or("");
    assert!(
        reason.contains("the rule is off for its mistakes"),
        "{rule}"
    );
    assert_eq!(service.terminate(), Some(0));
}

fn asks<'w>(words: &[&'w str]) -> Vec<&'w str> {
    [words, &["--plugins", "plugins.toml"]].concat()
}

#[test]
fn rules_with_a_policy_are_checked_tested_explained_and_find() {
    let folder = site("policy-rules", GRANTED, "");
    let tests = r#"
rule = "guarded"

[events.call]
json = '{"eventName":"StopLogging"}'

[[test]]
name = "it is refused"
event = "call"
facts = { policy = { guard = { effect = "deny", reason = "no" } } }
expect = "match"

[[test]]
name = "no opinion"
event = "call"
facts = { policy = {} }
expect = "no_match"

[[test]]
name = "no answer"
event = "call"
facts = { failed = ["guard"] }
expect = "indeterminate"
"#;
    folder.file("rules/guarded/tests.toml", tests);
    good(&folder, &asks(&["check", "rules/"]));
    let ran = good(&folder, &asks(&["test", "rules/"]));
    assert!(ran.stdout.contains("3 passed, 0 failed"), "{}", ran.stdout);
    folder.file("event.json", ROOT);
    let explain = [
        "explain",
        "--rules",
        "rules/",
        "--rule",
        "guarded",
        "event.json",
    ];
    let ran = good(&folder, &asks(&explain));
    let said = "policy.guard = deny: the root user does not call StopLogging";
    assert!(ran.stdout.contains(said), "{}", ran.stdout);
    folder.file(
        "events.jsonl",
        format!("{ROOT}\n{{\"eventName\":\"GetObject\"}}\n"),
    );
    let scan = [
        "scan",
        "--rules",
        "rules/guarded/",
        "--format",
        "jsonl",
        "events.jsonl",
    ];
    let ran = good(&folder, &asks(&scan));
    assert_eq!(
        ran.stdout.lines().count(),
        1,
        "{}{}",
        ran.stdout,
        ran.stderr
    );
    let wrong = RULE.replace("when = '", "when = 'has(detect.guard) && ");
    folder.file("rules/guarded/rule.toml", wrong);
    let ran = run(&folder, &asks(&["check", "rules/"]));
    assert_eq!(ran.code, 1);
    assert!(
        ran.stdout.contains("`guard` is a policy, not a detector"),
        "{}",
        ran.stdout
    );
    let ran = run(
        &folder,
        &[
            "plugin",
            "new",
            "--lang",
            "go",
            "--kind",
            "policy",
            "acme/other",
        ],
    );
    assert_eq!(ran.code, 2);
    assert!(
        ran.stderr
            .contains("there is no template of kind `policy` for go")
            && ran.stderr.contains("In rust there is one"),
        "{}",
        ran.stderr
    );
}
