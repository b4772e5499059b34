//! What was set aside stays until it is done or dropped, however often it is tried again.

use super::service::Service;
use super::{events, folder, run};

/// A rule that cannot be decided on events without this field.
const UNDECIDED: &str = r#"
id = "undecided"
name = "Undecided"
description = "Asks for a field that is not there."
severity = "low"
status = "test"
authors = ["Tripline"]
when = "event.nowhere == 'x'"

[finding]
title = "'never'"
"#;

#[test]
fn an_event_that_is_tried_again_in_vain_is_set_aside_again() {
    let folder = folder("set-aside", "");
    folder.file("rules/undecided.toml", UNDECIDED);
    let mut service = Service::start(&folder);
    service.publish(&events(30));
    service.wait_for(30);
    let numbers = |service: &Service| -> Vec<u64> {
        let letters = service.get("/v1/dead-letters");
        let letters = letters["dead_letters"].as_array().expect("a list").iter();
        letters.filter_map(|one| one["number"].as_u64()).collect()
    };
    let mut before = numbers(&service);
    let first = before.len();
    assert!((1..30).contains(&first), "the first few: {first}");
    for round in 0..4 {
        let retried = run(&["dlq", "--url", &service.url(), "retry", "--all"]);
        assert_eq!(retried.stdout.lines().count(), first, "{}", retried.stdout);
        service.wait_until("they are set aside again", || {
            let now = numbers(&service);
            now.len() == first && now.iter().all(|one| !before.contains(one))
        });
        before = numbers(&service);
        if round == 1 {
            assert_eq!(service.terminate(), Some(0));
            service = Service::start(&folder);
        }
    }
    // With the rule mended they are done with.
    folder.file(
        "rules/undecided.toml",
        UNDECIDED.replace("event.nowhere", "event.?nowhere.orValue('')"),
    );
    assert_eq!(service.post("/v1/reload", "").0, 200);
    let retried = run(&["dlq", "--url", &service.url(), "retry", "--all"]);
    assert_eq!(retried.code, 0, "{}", retried.stderr);
    service.wait_evaluated();
    assert!(numbers(&service).is_empty());
    assert_eq!(service.terminate(), Some(0));
}
