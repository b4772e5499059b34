//! A service that begins with what was learnt before.

use super::service::Service;
use crate::harness::{Folder, run, tripline};
use crate::learnt::{RULE, days};
use serde_json::Value;
use std::collections::BTreeSet;

fn titles(service: &Service) -> BTreeSet<String> {
    let page = service.get("/v1/findings?limit=1000");
    let all = page["findings"].as_array().expect("a list").iter();
    all.map(|one| one["title"].as_str().expect("a title").to_owned())
        .collect()
}

#[test]
fn a_service_begins_once_with_what_was_learnt() {
    let folder = Folder::new("serve-learnt");
    let path = |name: &str| format!("{}/{name}", folder.path());
    folder.file("rules/calls.toml", RULE);
    folder.file("a.jsonl", days(0, 8));
    let later = days(8, 11);
    folder.file("b.jsonl", &later);
    let (rules, state) = (path("rules"), path("state"));
    let config = |state: &str| {
        let text = format!(
            "data = \"{0}/data\"\nrules.paths = [\"{rules}\"]\nhttp.listen = \"127.0.0.1:0\"\n\
             engine.state_from = \"{state}\"\nengine.snapshot_every = \"300ms\"\n",
            folder.path()
        );
        folder.file("tripline.toml", text);
    };
    let refused = || {
        let config = path("tripline.toml");
        let output = tripline(&["serve", "--config", &config]).output();
        let output = output.expect("the binary starts");
        assert!(!output.status.success());
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    config(&state);
    assert!(
        refused().contains("there is no such folder"),
        "{}",
        refused()
    );
    let learn = ["insights", "learn", "--rules", &rules, "--state", &state];
    assert_eq!(run(&[&learn[..], &[&path("a.jsonl")]].concat()).code, 0);
    let scan = [
        "scan",
        "--rules",
        &rules,
        "--format",
        "jsonl",
        "--state",
        &path("scanned"),
    ];
    let (a, b) = (path("a.jsonl"), path("b.jsonl"));
    run(&[&scan[..], &[&a]].concat());
    let wanted = run(&[&scan[..], &[&b]].concat());
    let wanted: BTreeSet<String> = wanted
        .stdout
        .lines()
        .filter_map(|line| {
            let finding: Value = serde_json::from_str(line).ok()?;
            Some(finding["title"].as_str()?.to_owned())
        })
        .collect();
    assert!(!wanted.is_empty());
    let service = Service::start(&folder);
    let events: Vec<String> = later.lines().map(str::to_owned).collect();
    for chunk in events.chunks(500) {
        service.publish(chunk);
    }
    service.wait_evaluated();
    service.wait_until("the findings of a scan", || titles(&service) == wanted);
    service.terminate();
    // The same again is no mistake: a service is started more than once.
    let service = Service::start(&folder);
    assert_eq!(titles(&service), wanted);
    service.terminate();
    config(&path("scanned"));
    let told = refused();
    assert!(told.contains("remembers something already"), "{told}");
}
