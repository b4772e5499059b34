//! Where a service begins in a stream that is there, and a stretch that is evaluated again.

use super::killed::findings;
use super::nats::on_nats;
use super::service::Service;
use super::{Folder, RULES, event, folder};
use crate::harness::run;
use crate::launcher::{NatsServer, Place};
use std::thread;
use std::time::Duration;

fn publish(folder: &Folder, all: &[String]) {
    let service = Service::start(folder);
    service.publish(all);
    service.wait_evaluated();
    assert_eq!(service.terminate(), Some(0));
}

fn stops(numbers: std::ops::Range<u64>) -> Vec<String> {
    numbers
        .map(|number| event(number, "Stop", number))
        .collect()
}

/// How many findings there are of events with these numbers or later ones.
fn found(folder: &Folder) -> Vec<String> {
    let service = Service::start(folder);
    service.wait_until("it is ready", || service.text("/readyz").contains("ready"));
    service.wait_evaluated();
    let mut found: Vec<String> = findings(&service)
        .into_values()
        .map(|(_, what)| what)
        .collect();
    found.sort();
    assert_eq!(service.terminate(), Some(0));
    found
}

#[test]
fn a_new_service_begins_where_it_is_told() {
    let place = Place::new("begin");
    let server = NatsServer::start(place.path(), "");
    publish(&on_nats("begin-first", &[&server], ""), &stops(0..10));
    thread::sleep(Duration::from_millis(1_100));
    let between = jiff::Timestamp::now();
    thread::sleep(Duration::from_millis(50));
    publish(
        &on_nats("begin-second", &[&server], "start = \"new\"\n"),
        &stops(10..15),
    );
    for (start, count) in [
        ("\"first\"".to_owned(), 15),
        (format!("\"{between}\""), 5),
        ("8".to_owned(), 8),
        ("\"2026-01-01T00:00:00Z\"".to_owned(), 15),
    ] {
        let folder = on_nats(
            "begin-there",
            &[&server],
            &format!("start = {start}\nreleased = \"keep\"\n"),
        );
        assert_eq!(found(&folder).len(), count, "{start}");
        // It goes on where it was, whatever is said then.
        assert_eq!(found(&folder).len(), count, "{start}");
    }
    let newest = on_nats("begin-new", &[&server], "start = \"new\"\n");
    assert_eq!(found(&newest).len(), 0);
    publish(
        &on_nats("begin-other", &[&server], "start = \"new\"\n"),
        &stops(15..17),
    );
    assert_eq!(found(&newest).len(), 2, "what came while it was away");
    let told = super::nats::refusal(&on_nats("begin-later", &[&server], "start = 4000\n"));
    assert!(
        told.contains("begin at record 4000") && told.contains("the log has records 1 to"),
        "{told}"
    );
}

/// Evaluates a stretch again, and gives what is said.
fn again(folder: &Folder, arguments: &[&str]) -> String {
    let config = format!("{}/tripline.toml", folder.path());
    let mut all = vec!["replay", "--config", &config];
    all.extend(arguments);
    let ran = run(&all);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    ran.stdout
}

/// The same on every bus.
fn evaluates_again(folder: &Folder) {
    let all: Vec<String> = (0..300)
        .map(|number| {
            event(
                number,
                ["Stop", "Start", "Pause"][(number % 3) as usize],
                number % 5,
            )
        })
        .collect();
    publish(folder, &all[..150]);
    thread::sleep(Duration::from_millis(50));
    let between = jiff::Timestamp::now();
    thread::sleep(Duration::from_millis(50));
    publish(folder, &all[150..]);
    let before = found(folder);
    assert!(
        before.iter().any(|one| one.contains("many-starts")),
        "{before:?}"
    );
    // By the same rules there is nothing new, however often.
    for _ in 0..2 {
        let told = again(folder, &["--from", "first"]);
        assert!(
            told.contains("300 events evaluated again, 0 findings new, 0 with more"),
            "{told}"
        );
    }
    assert_eq!(found(folder), before);
    // A rule that was not there.
    let paused = RULES
        .replace("\"Stop\"", "\"Pause\"")
        .replace("stopped", "paused");
    folder.file("rules/paused.toml", &paused);
    let told = again(folder, &["--from", &between.to_string()]);
    assert!(
        told.contains("150 events evaluated again, 50 findings new"),
        "{told}"
    );
    let told = again(folder, &["--from", "first", "--to", &between.to_string()]);
    assert!(
        told.contains("150 events evaluated again, 50 findings new"),
        "{told}"
    );
    let told = again(folder, &["--from", "1", "--to", "3"]);
    assert!(
        told.contains("records 1 to 3") && told.contains("0 findings new"),
        "{told}"
    );
    let after = found(folder);
    assert_eq!(after.len(), before.len() + 100);
    assert!(before.iter().all(|one| after.contains(one)));
    // The service went on where it was, and sinks got each once.
    let service = Service::start(folder);
    service.wait_sent("file");
    assert_eq!(service.get("/v1/status")["tally"]["events"], 0);
    let config = format!("{}/tripline.toml", folder.path());
    let ran = run(&["replay", "--config", &config, "--from", "first"]);
    assert_eq!(ran.code, 2, "while it runs: {}", ran.stdout);
    assert_eq!(service.terminate(), Some(0));
    let sent = std::fs::read_to_string(format!("{}/findings.jsonl", folder.path()))
        .expect("the sink wrote");
    assert_eq!(
        sent.lines()
            .filter(|line| line.contains("\"paused\""))
            .count(),
        100
    );
    let ran = run(&["replay", "--config", &config, "--from", "yesterday"]);
    assert!(
        ran.code == 2 && ran.stderr.contains("is no place in a log"),
        "{}",
        ran.stderr
    );
}

#[test]
fn a_stretch_of_the_embedded_log_is_evaluated_again() {
    evaluates_again(&folder("again-embedded", ""));
}

#[test]
fn what_was_evaluated_is_kept_for_that() {
    for (kept, is_all) in [(8, true), (0, false)] {
        let more = format!("[log]\nsegment_mib = 1\nevaluated_kept_mib = {kept}\n");
        let folder = folder("again-kept", &more);
        let text = "x".repeat(2_000);
        let all: Vec<String> = stops(0..2_000)
            .into_iter()
            .map(|one| one.replace("\"who\"", &format!("\"text\":\"{text}\",\"who\"")))
            .collect();
        for chunk in all.chunks(500) {
            publish(&folder, chunk);
        }
        let told = again(&folder, &["--from", "first"]);
        assert_eq!(
            told.contains("2,000 events evaluated again, 0 findings new"),
            is_all,
            "{told}"
        );
    }
}

#[test]
fn a_stretch_of_a_stream_is_evaluated_again() {
    let place = Place::new("again");
    let server = NatsServer::start(place.path(), "");
    evaluates_again(&on_nats("again-nats", &[&server], ""));
}
