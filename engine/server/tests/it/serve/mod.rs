//! The service as a process: events in by HTTP, findings out, and everything that may happen to it.

mod again;
mod api;
pub(crate) mod channels;
mod doors;
pub(crate) mod encrypted;
mod full;
mod granted;
mod handed;
mod killed;
mod learnt;
pub(crate) mod nats;
mod parted;
mod permitted;
mod placed;
mod policies;
mod proofs;
mod pulled;
pub(crate) mod service;
mod set_aside;
mod sinks;
mod stateful;
mod streamed;
mod traced;
mod watched;

use super::harness::{Folder, run, tripline};
use service::Service;

/// Rules that find at once, and one that remembers.
const RULES: &str = r#"
id = "stopped"
name = "Stopped"
description = "Something was stopped."
severity = "high"
status = "test"
authors = ["Tripline"]
when = 'event.?eventName.orValue("") == "Stop"'

[finding]
title = '{event.?who.orValue("nobody")} stopped it'
"#;

const THRESHOLD: &str = r#"
id = "many-starts"
name = "Many starts"
description = "One user started many things."
severity = "medium"
status = "test"
authors = ["Tripline"]
when = 'event.?eventName.orValue("") == "Start"'
group_by = ['event.?who.orValue("")']

[threshold]
window = "5m"
measure = "events"
is = ">= 3"

[suppress]
window = "30m"
"#;

/// An event of somebody at a minute of a day.
fn event(number: u64, name: &str, who: u64) -> String {
    let second = number * 7;
    format!(
        r#"{{"eventID":"e-{number}","eventTime":"2026-01-02T{:02}:{:02}:{:02}Z","eventName":"{name}","who":"user-{who}"}}"#,
        second / 3600,
        second / 60 % 60,
        second % 60
    )
}

/// So many events, a third of each name.
fn events(count: u64) -> Vec<String> {
    let names = ["Stop", "Start", "Look"];
    (0..count)
        .map(|number| event(number, names[(number % 3) as usize], number * number % 5))
        .collect()
}

/// A folder with the rules and a configuration: findings go to a file.
pub(crate) fn folder(name: &str, more: &str) -> Folder {
    let folder = Folder::new(name);
    folder.file("rules/stopped.toml", RULES);
    folder.file("rules/many-starts.toml", THRESHOLD);
    let path = folder.path();
    let config = format!(
        "data = \"{path}/data\"\n\
         rules.paths = [\"{path}/rules\"]\n\
         http.listen = \"127.0.0.1:0\"\n\
         engine.tick_every = \"200ms\"\n\
         engine.snapshot_every = \"300ms\"\n\
         [sinks.file]\ntype = \"file\"\npath = \"{path}/findings.jsonl\"\n{more}"
    );
    folder.file("tripline.toml", config);
    folder
}

#[test]
fn the_demo_shows_findings_and_ends() {
    let ran = run(&[
        "serve",
        "--demo",
        "--demo-once",
        "--demo-rate",
        "20000",
        "--listen",
        "127.0.0.1:0",
    ]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(ran.stdout.contains("CRITICAL"), "{}", ran.stdout);
    assert!(
        ran.stdout.contains("at          findings:1\n"),
        "{}",
        ran.stdout
    );
    assert!(
        ran.stderr.contains("listening on http://127.0.0.1:"),
        "{}",
        ran.stderr
    );
}

#[test]
fn what_is_published_is_found_as_a_scan_finds_it() {
    let folder = folder("serve-scan", "");
    let service = Service::start(&folder);
    let all = events(2_000).join("\n");
    let input = folder.file("input.jsonl", &all);
    let ran = run(&["publish", "--url", &service.url(), &input]);
    assert_eq!(
        (ran.code, ran.stdout.as_str()),
        (0, "2,000 events taken, durable: fsync\n"),
        "{}",
        ran.stderr
    );
    service.wait_for(2_000);
    service.wait_sent("file");
    let rules = format!("{}/rules/stopped.toml", folder.path());
    let scanned = run(&["scan", "--rules", &rules, "--format", "jsonl", &input]);
    let ids = |text: &str, rule: &str| -> Vec<String> {
        let findings = text
            .lines()
            .map(|line| serde_json::from_str::<serde_json::Value>(line).expect("JSON"));
        let own = findings.filter(|one| one["rule_id"] == rule);
        own.map(|one| one["finding_id"].as_str().expect("an id").to_owned())
            .collect()
    };
    let found = std::fs::read_to_string(format!("{}/findings.jsonl", folder.path()))
        .expect("the sink wrote");
    let scanned = ids(&scanned.stdout, "stopped");
    assert_eq!(scanned.len(), 667);
    assert_eq!(
        ids(&found, "stopped"),
        scanned,
        "the same in the same order"
    );
    // Once, and once more with what was counted on it.
    assert_eq!(ids(&found, "many-starts").len(), 2);
    let shown = run(&[
        "findings",
        "--url",
        &service.url(),
        "--limit",
        "3",
        "--rule",
        "stopped",
    ]);
    assert_eq!(shown.stdout.lines().count(), 4, "{}", shown.stdout);
    let one = run(&["findings", "--url", &service.url(), &scanned[0]]);
    assert!(
        one.stdout.contains("\"e-0\"") && one.stdout.contains("\"events\""),
        "{}",
        one.stdout
    );
    let status = run(&["status", "--url", &service.url()]);
    assert!(
        status.stdout.contains("2,000 evaluated"),
        "{}",
        status.stdout
    );
    assert_eq!(service.terminate(), Some(0));
}

#[test]
fn what_rules_remember_goes_on_after_a_restart() {
    let folder = folder("serve-remember", "");
    let one = |number: u64| event(number, "Start", 1);
    let mut service = Service::start(&folder);
    service.publish(&[one(0), one(1)]);
    service.wait_for(2);
    assert_eq!(service.terminate(), Some(0));
    service = Service::start(&folder);
    // Enough others, later than the lateness of the rule, to move time.
    let later: Vec<String> = (200..220).map(|number| event(number, "Look", 2)).collect();
    service.publish(&[one(2)]);
    service.publish(&later);
    service.wait_until("the third start is found", || {
        let found = std::fs::read_to_string(format!("{}/findings.jsonl", folder.path()))
            .unwrap_or_default();
        found.contains("many-starts")
    });
    assert_eq!(service.terminate(), Some(0));
}

#[test]
fn rules_are_read_again_and_bad_ones_refused() {
    let folder = folder("serve-reload", "");
    let service = Service::start(&folder);
    service.publish(&[event(0, "Stop", 1), event(1, "Pause", 1)]);
    service.wait_for(2);
    let paused = RULES
        .replace("\"Stop\"", "\"Pause\"")
        .replace("stopped", "paused");
    folder.file("rules/paused.toml", &paused);
    let answer = service.post("/v1/reload", "");
    assert!(answer.1.contains("3 rules in force"), "{answer:?}");
    service.publish(&[event(2, "Pause", 1)]);
    service.wait_for(3);
    service.wait_sent("file");
    let found = std::fs::read_to_string(format!("{}/findings.jsonl", folder.path()))
        .expect("the sink wrote");
    let paused: Vec<&str> = found
        .lines()
        .filter(|line| line.contains("\"paused\""))
        .collect();
    assert!(
        paused.len() == 1 && paused[0].contains("e-2"),
        "from the reload on: {found}"
    );
    folder.file("rules/broken.toml", "id = \"broken\"\nwhen = 'event.'\n");
    let answer = service.post("/v1/rules/publish", "");
    assert_eq!(answer.0, 409, "{answer:?}");
    assert!(answer.1.contains("store.rules"), "{answer:?}");
    let answer = service.post("/v1/reload", "");
    assert_eq!(answer.0, 409, "{answer:?}");
    assert!(answer.1.contains("broken.toml"), "{answer:?}");
    service.publish(&[event(3, "Pause", 1)]);
    service.wait_for(4);
    let status = service.get("/v1/status");
    assert_eq!(status["rules"]["in_force"], 3);
    assert_eq!(status["rules"]["reloads_refused"], 1);
    assert_eq!(service.terminate(), Some(0));
}

#[test]
fn two_processes_do_not_share_the_data() {
    let folder = folder("serve-twice", "");
    let service = Service::start(&folder);
    let second = tripline(&[
        "serve",
        "--config",
        &format!("{}/tripline.toml", folder.path()),
    ])
    .output();
    let second = second.expect("it runs");
    assert_eq!(second.status.code(), Some(2));
    let words = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(words.contains("log") && words.contains("data"), "{words}");
    assert_eq!(service.terminate(), Some(0));
}

#[test]
fn what_is_wrong_is_told_before_anything_runs() {
    let folder = folder("serve-wrong", "");
    for (config, expected) in [
        (
            "[log]\ndurability = \"never\"\n".to_owned(),
            "line 2, column 14",
        ),
        (
            format!("data = \"{}/rules/stopped.toml\"\n", folder.path()),
            "the folder cannot be made",
        ),
        (
            "[http]\ntoken_file = \"/nowhere\"\n".to_owned(),
            "http.token_file: /nowhere: cannot be read",
        ),
        ("[rules]\npaths = [\"/nowhere\"]\n".to_owned(), "/nowhere"),
    ] {
        let path = folder.file("wrong.toml", &config);
        let data = format!("{}/wrong-data", folder.path());
        let mut arguments = vec!["serve", "--config", &path];
        if !config.starts_with("data") {
            arguments.extend(["--data", &data]);
        }
        let ran = run(&arguments);
        assert_eq!(ran.code, 2, "{config}: {}", ran.stderr);
        assert!(ran.stderr.contains(expected), "{config}: {}", ran.stderr);
    }
}
