//! What the user of the service must be permitted is what README says: enough, and nothing that is not needed.

use super::nats::{member, on_nats};
use super::service::Service;
use super::{Folder, event};
use crate::launcher::{NatsServer, Place};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;
use tripline_bus::nats::{
    ConnectSettings, LedgerSettings, Login, NatsBus, NatsConnection, NatsLedger, NatsMembers,
    NatsSettings, Publisher, Released, Secret, StreamSettings, Tls,
};
use tripline_core::port::{
    Bus, Delivered, Ledger, Members, NewRecord, Partition, PortFault, ReadMax, RecordKind, Sequence,
};
use tripline_core::rule::kind::EventTime;

/// What one process may publish on, what it may beside that when the work is shared, and when findings are answered then.
fn listed() -> [Vec<String>; 3] {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../README.md");
    let readme = std::fs::read_to_string(path).expect("there is a README");
    let mut blocks = readme.split("```conf\n").skip(1).map(|rest| {
        let block = rest.split("```").next().unwrap_or_default();
        let lines = block.lines().map(str::trim);
        lines
            .filter_map(|line| line.strip_prefix('"')?.split('"').next())
            .map(str::to_owned)
            .collect::<Vec<String>>()
    });
    let mut next = || blocks.next().expect("what is needed");
    let (alone, shared, mut answering) = (next(), next(), next());
    let known: Vec<String> = answering
        .iter()
        .map(|one| one.replace("tripline-remediation", "tripline-known"))
        .collect();
    answering.extend(known);
    [alone, shared, answering]
}

/// A server whose user `service` may do this and nothing else.
fn permitting(place: &Path, publish: &[String], inbox: &str, more: &str) -> NatsServer {
    std::fs::create_dir_all(place).expect("a folder");
    let subjects: Vec<String> = publish.iter().map(|one| format!("\"{one}\"")).collect();
    let more = format!(
        "accounts {{ A: {{ jetstream: enabled, users: [ {{ user: service, password: x, permissions: {{ \
         publish: [{}], subscribe: [{inbox}]{more} }} }}, {{ user: all, password: x }} ] }} }}\n",
        subjects.join(", ")
    );
    NatsServer::start(place, &more)
}

fn password(folder: &Folder) {
    let path = folder.file("password", "x\n");
    let config = std::fs::read_to_string(format!("{}/tripline.toml", folder.path()));
    let config = config.expect("it is there").replace(
        "[nats]\n",
        &format!("[nats]\nuser = \"service\"\npassword_file = \"{path}\"\n"),
    );
    folder.file("tripline.toml", config);
}

#[test]
fn a_user_with_what_is_listed_is_enough() {
    let place = Place::new("permitted");
    let [alone, shared, answering] = listed();
    assert!(
        alone.len() == 7 && shared.len() > 15,
        "{alone:?} {shared:?}"
    );
    let server = permitting(&place.path().join("alone"), &alone, "\"_INBOX.>\"", "");
    let folder = on_nats("permitted", &[&server], "released = \"purge\"\n");
    password(&folder);
    let service = Service::start(&folder);
    service.publish(&[event(1, "Stop", 1), event(2, "Look", 1)]);
    service.wait_for(2);
    assert_eq!(super::killed::findings(&service).len(), 1);
    assert_eq!(service.terminate(), Some(0));

    let mut both: Vec<String> = alone
        .iter()
        .flat_map(|one| {
            (0..4).map(|number| {
                one.replace("events.0", &format!("events.{number}"))
                    .replace("events-0", &format!("events-{number}"))
            })
        })
        .collect();
    both.extend(shared);
    let all: Vec<String> = both.iter().chain(&answering).cloned().collect();
    let server = permitting(&place.path().join("shared"), &both, "\"_INBOX.>\"", "");
    let members = ["permitted-one", "permitted-two"].map(|name| member(name, &server));
    let services = members.each_ref().map(|folder| {
        password(folder);
        Service::start(folder)
    });
    services[1].publish(&super::nats::events_of_many(300));
    services[1].wait_evaluated();
    let [one, two] = services;
    assert_eq!(one.terminate(), Some(0));
    two.publish(&super::nats::events_of_many(600)[300..]);
    two.wait_evaluated();
    two.wait_until("all of it is found", || {
        super::killed::findings(&two)
            .values()
            .filter(|(_, what)| what.contains("stopped"))
            .count()
            == 200
    });
    assert_eq!(two.terminate(), Some(0));

    let server = permitting(&place.path().join("answering"), &all, "\"_INBOX.>\"", "");
    let folder = member("permitted-answering", &server);
    password(&folder);
    let config = std::fs::read_to_string(format!("{}/tripline.toml", folder.path()));
    let config = config.expect("it is there") + "[remediation]\nenabled = true\n";
    folder.file("tripline.toml", config);
    let service = Service::start(&folder);
    service.wait_until("it acts", || {
        service.get("/v1/remediation")["members"]["acts"] == true
    });
    let turn = |off: bool| {
        format!("{{\"scope\":\"all\",\"off\":{off},\"by\":\"bob\",\"reason\":\"a test\"}}")
    };
    for off in [true, false] {
        let (status, text) = service.post("/v1/remediation/switch", turn(off));
        assert_eq!(status, 200, "{text}");
    }
    service.wait_until("that it was switched is told", || {
        service.get("/v1/status")["tally"]["events"] == 2
    });
    assert_eq!(service.terminate(), Some(0));
}

fn login(server: &NatsServer) -> Result<NatsConnection, PortFault> {
    NatsConnection::open(&ConnectSettings {
        urls: vec![server.url()],
        login: Login::User {
            name: "service".to_owned(),
            password: Secret::new("x"),
        },
        tls: Tls::default(),
        name: "trial".to_owned(),
    })
}

/// Does everything that services do, and gives all that is said to be amiss.
fn faults_of_everything(server: &NatsServer) -> Vec<String> {
    let mut faults = Vec::new();
    let mut told = |result: Result<(), PortFault>| {
        if let Err(fault) = result {
            faults.push(match &fault.source {
                Some(source) => format!("{fault}: {source}"),
                None => fault.to_string(),
            });
        }
    };
    let connection = login(server).expect("connects");
    let stream = StreamSettings {
        replicas: 1,
        bytes_max: 16 << 20,
        age_max: None,
        event_bytes_max: 1 << 20,
        duplicate_window: Duration::from_secs(120),
        may_create: true,
    };
    let settings = NatsSettings {
        prefix: "tripline".to_owned(),
        partition: Partition(0),
        stream: stream.clone(),
        released: Released::Purge,
    };
    let record = NewRecord {
        kind: RecordKind::Event,
        taken: EventTime::from_micros(1),
        attributes: b"{}",
        payload: b"{}",
    };
    match NatsBus::open(&connection, &settings) {
        Err(fault) => told(Err(fault)),
        Ok((bus, _)) => {
            told(bus.append(&[record, record]).map(|_| ()));
            let max = ReadMax {
                records: 10,
                bytes: 1 << 20,
            };
            told(bus.read(Sequence(0), max, &mut Delivered::default()));
            told(bus.release(Sequence(2)));
        }
    }
    let ledger = LedgerSettings {
        prefix: "tripline".to_owned(),
        stream: StreamSettings {
            bytes_max: 0,
            ..stream
        },
    };
    match NatsLedger::open(&connection, &ledger) {
        Err(fault) => told(Err(fault)),
        Ok((ledger, _)) => {
            told(ledger.append("0", None, b"entry").map(|_| ()));
            told(ledger.newest("0").map(|_| ()));
            told(ledger.last().map(|_| ()));
            told(ledger.read(Sequence(0)).map(|_| ()));
            told(ledger.keep("one", &[7; 300_000]));
            told(ledger.kept("one").map(|_| ()));
            told(ledger.names().map(|_| ()));
            told(ledger.forget("one"));
            told(ledger.first().map(|_| ()));
            told(ledger.purge(Sequence(0)));
        }
    }
    match NatsMembers::open(&connection, "tripline", 1) {
        Err(fault) => told(Err(fault)),
        Ok(members) => {
            told(members.announce("me", b"{}"));
            told(members.present().map(|_| ()));
            told(members.leave("me"));
        }
    }
    faults
}

#[test]
fn what_is_not_permitted_is_named() {
    let place = Place::new("not-permitted");
    let [alone, shared, _] = listed();
    let mut all = alone;
    all.extend(shared);
    let server = permitting(&place.path().join("all"), &all, "\"_INBOX.>\"", "");
    assert_eq!(faults_of_everything(&server), Vec::<String>::new());
    drop(server);
    let next = AtomicUsize::new(0);
    let wrong = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while let Some(missing) = all.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let others: Vec<String> =
                        all.iter().filter(|one| *one != missing).cloned().collect();
                    let number = all
                        .iter()
                        .position(|one| one == missing)
                        .unwrap_or_default();
                    let folder = place.path().join(number.to_string());
                    let server = permitting(&folder, &others, "\"_INBOX.>\"", "");
                    let faults = faults_of_everything(&server);
                    let begin = missing.trim_end_matches(['>', '*']);
                    let names = |fault: &String| {
                        fault.contains(begin) && fault.contains("does not permit it")
                    };
                    // Nobody waits for an answer to that, nor for flow control.
                    let is_silent =
                        missing.contains("CONSUMER.DELETE") || missing.starts_with("$JS.FC");
                    if faults.iter().any(names) == is_silent || (is_silent && !faults.is_empty()) {
                        wrong
                            .lock()
                            .expect("nobody panicked")
                            .push((missing, faults));
                    }
                }
            });
        }
    });
    let wrong = wrong.into_inner().expect("nobody panicked");
    assert!(wrong.is_empty(), "{wrong:#?}");
    // Without an inbox nothing is answered, and that is said.
    let server = permitting(&place.path().join("deaf"), &all, "\"x\"", "");
    let faults = faults_of_everything(&server);
    assert!(
        !faults.is_empty() && faults.iter().all(|one| one.contains("_INBOX.")),
        "{faults:#?}"
    );
}

#[test]
fn a_refusal_is_told_to_whoever_asked() {
    let place = Place::new("told-apart");
    let [alone, ..] = listed();
    let server = permitting(place.path(), &alone, "\"_INBOX.>\"", "");
    let connection = login(&server).expect("connects");
    let publisher = Publisher::new(connection.clone());
    let fault = publisher
        .publish("elsewhere", "1", b"{}".to_vec())
        .expect_err("not permitted");
    assert!(
        fault
            .source
            .is_some_and(|words| words.to_string().contains("Publish to \"elsewhere\""))
    );
    let answer = |_| async { Vec::new() };
    let fault = connection
        .answer("may.i", "tripline", answer)
        .expect_err("not permitted");
    assert!(
        fault
            .source
            .is_some_and(|words| words.to_string().contains("Subscription to \"may.i\""))
    );
}
