//! Destinations of channels: events are there before they are acknowledged, and nothing is taken that is not.

use super::channels::{append, bearer, channel, push};
use super::nats::{connect, stream_settings};
use super::service::Service;
use super::{Folder, event, folder, run};
use crate::launcher::{NatsServer, Place};
use serde_json::Value;
use std::collections::BTreeSet;
use std::time::Duration;
use tripline_bus::nats::{NatsBus, NatsConnection};
use tripline_core::port::Bus;

/// A service with a folder and a subject that events of channels may go to.
fn with_destinations(name: &str, server: &NatsServer) -> Folder {
    let more = format!(
        "[nats]\nurls = [\"{}\"]\n\
         [channels.destinations.archive]\ntype = \"folder\"\npath = \"archive\"\n\
         [channels.destinations.siem]\ntype = \"nats\"\nsubject = \"copies.events.0\"\n",
        server.url()
    );
    folder(name, &more)
}

fn lines(folder: &Folder) -> Vec<Value> {
    let path = format!("{}/data/archive", folder.path());
    let files = std::fs::read_dir(path).expect("a folder");
    let mut paths: Vec<_> = files
        .map(|file| file.expect("a file").path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "jsonl"))
        .collect();
    paths.sort();
    let texts = paths
        .iter()
        .map(|path| std::fs::read_to_string(path).expect("text"));
    texts
        .collect::<String>()
        .lines()
        .map(|line| serde_json::from_str(line).expect("a line is JSON"))
        .collect()
}

fn body(from: u64, count: u64) -> Vec<u8> {
    let all: Vec<String> = (from..from + count)
        .map(|number| event(number, "Stop", number))
        .collect();
    all.join("\n").into_bytes()
}

fn to(service: &Service, id: &str) -> String {
    format!("{}/v1/channels/{id}/events", service.url())
}

#[test]
fn what_is_acknowledged_is_in_every_destination() {
    let place = Place::new("placed");
    let server = NatsServer::start(place.path(), "");
    let connection = NatsConnection::open(&connect(&server)).expect("connects");
    let (copies, _) = NatsBus::open(&connection, &stream_settings("copies")).expect("opens");
    let folder = with_destinations("placed", &server);
    let both = bearer(&channel(
        &folder,
        "app",
        "destinations = [\"archive\", \"siem\"]",
    ));
    let none = bearer(&channel(&folder, "other", ""));
    let service = Service::start(&folder);
    let mut told = BTreeSet::new();
    for (id, key, from) in [("app", &both, 0), ("other", &none, 100)] {
        let (status, answer, _) = push(
            &to(&service, id),
            &[("authorization", key)],
            &body(from, 30),
        );
        assert_eq!(
            (status, answer["accepted"].as_u64()),
            (200, Some(30)),
            "{answer}"
        );
        if id == "app" {
            let ids = answer["event_ids"].as_array().expect("a list").iter();
            told.extend(ids.filter_map(|id| Some(id.as_str()?.to_owned())));
        }
    }
    let there = |count: usize| {
        let lines = lines(&folder);
        assert_eq!(lines.len(), count);
        assert!(lines.iter().all(|one| one["ingest"]["channel"] == "app"));
        let ids: BTreeSet<&str> = lines
            .iter()
            .filter_map(|one| one["eventID"].as_str())
            .collect();
        assert_eq!(ids.len(), count);
        // What is known of a stream may be some moments old.
        std::thread::sleep(Duration::from_millis(300));
        assert_eq!(copies.span().expect("it answers").last.0, count as u64);
        ids.into_iter().map(str::to_owned).collect::<BTreeSet<_>>()
    };
    assert_eq!(there(30), told, "by the ids that their sender was told");
    // What is pushed again is there once; what is broken is nowhere.
    let mut again = body(0, 30);
    again.extend(b"\n{\"broken\":\n");
    let (_, answer, _) = push(&to(&service, "app"), &[("authorization", &both)], &again);
    assert_eq!(answer["duplicates"], 30, "{answer}");
    there(30);
    let told = &service.get("/v1/status")["destinations"];
    assert_eq!(
        (&told["archive"]["events"], &told["siem"]["events"]),
        (&30.into(), &30.into())
    );
    let metrics = service.text("/metrics");
    assert!(metrics.contains("tripline_destination_events_total{destination=\"siem\"} 30\n"));
    let ran = run(&["status", "--url", &service.url()]);
    assert!(
        ran.stdout
            .contains("to         archive: 30 events of channels\n"),
        "{}",
        ran.stdout
    );
    service.kill();
    let service = Service::start(&folder);
    let (status, answer, _) = push(
        &to(&service, "app"),
        &[("authorization", &both)],
        &body(25, 10),
    );
    assert_eq!(
        (status, answer["accepted"].as_u64()),
        (200, Some(5)),
        "{answer}"
    );
    there(35);
    assert_eq!(service.terminate(), Some(0));
}

#[test]
fn nothing_is_taken_while_a_destination_is_away_and_other_channels_go_on() {
    let place = Place::new("placed-away");
    let mut server = NatsServer::start(place.path(), "");
    let connection = NatsConnection::open(&connect(&server)).expect("connects");
    let (copies, _) = NatsBus::open(&connection, &stream_settings("copies")).expect("opens");
    let folder = with_destinations("placed-away", &server);
    let away = bearer(&channel(
        &folder,
        "app",
        "destinations = [\"archive\", \"siem\"]",
    ));
    let here = bearer(&channel(&folder, "other", "destinations = [\"archive\"]"));
    server.kill();
    let service = Service::start(&folder);
    let (status, answer, _) = push(
        &to(&service, "app"),
        &[("authorization", &away)],
        &body(0, 10),
    );
    assert_eq!(status, 503, "{answer}");
    assert_eq!(answer["accepted"], 0, "{answer}");
    assert!(answer.to_string().contains("siem"), "{answer}");
    assert!(
        service.get("/v1/status")["partitions"][0]["last"]
            .as_u64()
            .unwrap_or(0)
            == 0
    );
    let (status, answer, _) = push(
        &to(&service, "other"),
        &[("authorization", &here)],
        &body(0, 10),
    );
    assert_eq!(
        (status, answer["accepted"].as_u64()),
        (200, Some(10)),
        "{answer}"
    );
    let told = &service.get("/v1/status")["destinations"]["siem"];
    assert!(
        told["failures"].as_u64() >= Some(1) && told["last_error"]["message"].is_string(),
        "{told}"
    );
    server.run();
    // Whoever was not answered sends it again, to where it was and to where it was not.
    service.wait_until("it is taken", || {
        let (status, answer, _) = push(
            &to(&service, "app"),
            &[("authorization", &away)],
            &body(0, 10),
        );
        status == 200 && answer["accepted"] == 10
    });
    service.wait_until("the copies are there", || {
        copies.span().is_ok_and(|span| span.last.0 == 10)
    });
    let app: BTreeSet<String> = lines(&folder)
        .iter()
        .filter(|one| one["ingest"]["channel"] == "app")
        .map(|one| one["eventID"].to_string())
        .collect();
    assert_eq!(app.len(), 10);
    assert_eq!(service.terminate(), Some(0));
}

#[test]
fn destinations_that_there_are_not_are_told() {
    let place = Place::new("placed-unknown");
    let server = NatsServer::start(place.path(), "");
    let folder = with_destinations("placed-unknown", &server);
    let config = format!("{}/tripline.toml", folder.path());
    let new = |id: &str, destination: &str| {
        let words = ["channels", "new", id, "--source", "x", "--config", &config];
        run(&[&words[..], &["--destination", destination]].concat())
    };
    let ran = new("app", "nowhere");
    assert_eq!(ran.code, 2, "{}", ran.stdout);
    let words = "destinations: the configuration of the service has no [channels.destinations.nowhere]; it has archive, siem";
    assert!(ran.stderr.contains(words), "{}", ran.stderr);
    assert_eq!(new("app", "archive").code, 0);
    let service = Service::start(&folder);
    let text = "source = \"x\"\ndestinations = [\"nowhere\"]\n";
    let path = format!("{}/v1/channels/app", service.url());
    let (status, answer) = put(&path, text);
    assert!(
        status == 400 && answer.contains("nowhere"),
        "{status} {answer}"
    );
    append(&folder, "app", "[limits]\nevents_max = 5");
    // One that is broken by hand stays as it was, and says why.
    folder.file("data/channels/app.toml", text);
    service.wait_until("it is told", || {
        service.get("/v1/channels")["broken"]
            .to_string()
            .contains("nowhere")
    });
    let ran = run(&["channels", "list", "--config", &config]);
    assert!(
        ran.code == 1 && ran.stderr.contains("nowhere"),
        "{} {}",
        ran.code,
        ran.stderr
    );
    assert_eq!(service.terminate(), Some(0));
}

fn put(url: &str, text: &str) -> (u16, String) {
    let config = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .proxy(None)
        .build();
    let mut answer = config.new_agent().put(url).send(text).expect("it answers");
    let text = answer.body_mut().read_to_string().expect("text");
    (answer.status().as_u16(), text)
}
