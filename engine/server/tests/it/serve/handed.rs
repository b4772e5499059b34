//! Plugins that members have from each other, with the rules that ask them.

use super::granted::{OPERATOR, RULE, counter, counting_by};
use super::nats::{member_with, pupil, refusal};

use super::service::Service;
use crate::harness::Folder;
use crate::launcher::{NatsServer, Place};
use crate::plugins::under;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// Steps that tell one version of the plugin from the other.
const STEP: u64 = 1_000_000;

fn other_counter() -> &'static Path {
    static BUILT: OnceLock<(Folder, PathBuf)> = OnceLock::new();
    counting_by(&BUILT, STEP as u32)
}

/// Names an operator's file in the configuration of a member.
fn with_plugins(folder: &Folder, operator: &str) {
    folder.file("plugins.toml", operator);
    let path = folder.path();
    let config = std::fs::read_to_string(format!("{path}/tripline.toml")).expect("it is there");
    let plugins = format!("rules.plugins = \"{path}/plugins.toml\"\n");
    folder.file("tripline.toml", plugins + &config);
}

fn events(name: &str) -> Vec<String> {
    let event = |number: u32| {
        format!(
            r#"{{"eventID":"{name}-{number}","eventTime":"2026-01-06T10:00:00Z","eventName":"Login","who":"user-{number}"}}"#
        )
    };
    (0..48).map(event).collect()
}

/// Where the counter stood at each finding of its rule.
fn counted(service: &Service) -> Vec<u64> {
    let page = service.get("/v1/findings?limit=1000&rule=counted");
    let findings = page["findings"].as_array().expect("a list").iter();
    let title = |one: &serde_json::Value| one["title"].as_str().expect("a title").to_owned();
    let numbers = findings.map(title).map(|title| {
        let number = title.strip_prefix("number ").expect("a number");
        number.parse().expect("a number")
    });
    numbers.collect()
}

fn found(service: &Service, count: usize) -> Vec<u64> {
    service.wait_until("all are found", || counted(service).len() == count);
    counted(service)
}

/// The version that is published, when every partition is at it.
fn settled(service: &Service) -> String {
    let version = || {
        let status = service.get("/v1/status");
        let newest = status["rules"]["published"].as_str()?.to_owned();
        let mut partitions = status["partitions"].as_array()?.iter();
        partitions
            .all(|one| one["rules"]["version"] == newest.as_str())
            .then_some(newest)
    };
    service.wait_until("all partitions are at what is published", || {
        version().is_some()
    });
    version().expect("it was there")
}

#[test]
fn plugins_of_one_member_run_everywhere_with_the_rules_that_ask_them() {
    let place = Place::new("serve-handed");
    let server = NatsServer::start(place.path(), "");
    let teacher = member_with("serve-handed-0", &server, "rules = \"members\"\n");
    std::fs::copy(counter(), under(&teacher, "counter.wasm")).expect("the component is there");
    teacher.file("names.csv", "name,owner\na,b\n");
    teacher.file("rules/counted.toml", RULE);
    with_plugins(&teacher, OPERATOR);
    let first = Service::start(&teacher);
    first.publish(&events("a"));
    first.wait_evaluated();
    assert!(found(&first, 48).iter().all(|number| *number <= 48));
    let before = settled(&first);
    // One that has neither rules nor plugins goes on alone when the first is killed.
    let learner = pupil("serve-handed-1", &server);
    let second = Service::start(&learner);
    assert_eq!(
        second.get("/v1/status")["plugins"]["counter"]["state"],
        "on"
    );
    first.kill();
    second.publish(&events("b"));
    second.wait_evaluated();
    assert!(found(&second, 96).iter().all(|number| *number < STEP));
    // Another component under the same name is another version, in force everywhere from one record on.
    std::fs::copy(other_counter(), under(&teacher, "counter.wasm")).expect("it is there");
    let first = Service::start(&teacher);
    assert_eq!(settled(&first), before);
    let (status, text) = first.post("/v1/reload", "");
    assert_eq!(status, 200, "{text}");
    let after = settled(&second);
    assert_ne!(after, before);
    first.publish(&events("c"));
    first.wait_evaluated();
    second.wait_evaluated();
    let numbers = found(&second, 144);
    let later = numbers.iter().filter(|number| **number >= STEP).count();
    assert_eq!(later, 48, "{numbers:?}");
    // What does not run is not handed on, and says why.
    let secret = "http = [{ host = \"api.example.com\", methods = [\"GET\"], paths = [\"/*\"], secrets = { token = { env = \"HOME\" } } }]\n";
    for (operator, why) in [
        (
            OPERATOR.replace("names.csv", "gone.csv"),
            "gone.csv: cannot be read",
        ),
        (
            format!("{OPERATOR}{secret}"),
            "its secrets are this machine's",
        ),
        (
            OPERATOR.replace("log = true\n", ""),
            "the plugin `counter` did not start: it imports what it was not granted",
        ),
        (OPERATOR.replace("\"allow\"", "\"refuse\""), "mistakes in"),
    ] {
        teacher.file("plugins.toml", operator);
        let (status, text) = first.post("/v1/reload", "");
        assert_eq!(status, 409, "{text}");
        assert!(text.contains(why), "{why}: {text}");
    }
    assert_eq!(settled(&second), after);
    // A machine trusts whom its own file trusts, whatever others hand on.
    let careful = pupil("serve-handed-2", &server);
    with_plugins(&careful, "[trust]\nunsigned = \"refuse\"\n");
    let told = refusal(&careful);
    let why = "the plugin `counter` is off here: the component has no signature";
    assert!(told.contains(why), "{told}");
    for service in [first, second] {
        assert_eq!(service.terminate(), Some(0));
    }
}
