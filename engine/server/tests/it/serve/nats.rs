//! The service on a bus of NATS: killed and paused servers, what others publish, and what is refused.

use super::killed::{findings, send, settled, unchanging};
use super::service::Service;
use super::{Folder, event, events, folder, run, tripline};
use crate::launcher::{NatsServer, Place, cluster};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use tripline_bus::nats::{
    ConnectSettings, LedgerSettings, Login, NatsBus, NatsConnection, NatsLedger, NatsSettings,
    Publisher, Released, StreamSettings, Tls,
};
use tripline_core::port::{Bus, Delivered, Ledger, Partition, ReadMax, Sequence};

/// How often the server is killed.
const ROUNDS: u64 = 50;

/// Events sent together.
const AT_A_TIME: usize = 10;

/// What whoever sends waits between two requests.
const PAUSE: Duration = Duration::from_millis(5);

/// A folder whose service takes its events from a stream.
pub(super) fn on_nats(name: &str, servers: &[&NatsServer], more: &str) -> Folder {
    let urls: Vec<String> = servers
        .iter()
        .map(|one| format!("\"{}\"", one.url()))
        .collect();
    let bus = format!(
        "[bus]\ntype = \"nats\"\n[nats]\nurls = [{}]\nsize_max_mib = 512\n{more}",
        urls.join(", ")
    );
    folder(name, &bus)
}

pub(super) fn connect(server: &NatsServer) -> ConnectSettings {
    ConnectSettings {
        urls: vec![server.url()],
        login: Login::None,
        tls: Tls::default(),
        name: "trial".to_owned(),
    }
}

/// What an undisturbed service finds in its own log: another bus must not matter.
pub(super) fn found_undisturbed(all: &[String]) -> BTreeMap<String, (u64, String)> {
    let folder = folder("serve-nats-calm", "");
    let service = Service::start(&folder);
    for chunk in all.chunks(500) {
        service.publish(chunk);
    }
    service.wait_for(all.len() as u64);
    let found = settled(&service);
    assert_eq!(service.terminate(), Some(0));
    found
}

pub(super) fn assert_same(
    wanted: &BTreeMap<String, (u64, String)>,
    found: &BTreeMap<String, (u64, String)>,
) {
    let differs = |one: &BTreeMap<String, (u64, String)>,
                   other: &BTreeMap<String, (u64, String)>|
     -> Vec<String> {
        let missing = one
            .iter()
            .filter(|(id, count)| other.get(*id) != Some(count));
        missing
            .map(|(id, (count, what))| format!("{id} ({count}, {what})"))
            .collect()
    };
    let (missing, more) = (differs(wanted, found), differs(found, wanted));
    assert!(
        missing.is_empty() && more.is_empty(),
        "missing or different {missing:?}, too many or different {more:?}"
    );
}

/// Sends everything while something disturbs the servers, and gives what was found.
pub(super) fn found_while(
    folder: &Folder,
    (all, pause): (&[String], Duration),
    disturb: impl FnOnce(&AtomicBool),
) -> BTreeMap<String, (u64, String)> {
    let service = Mutex::new(Some(Service::start(folder)));
    let (acknowledged, is_over) = (AtomicUsize::new(0), AtomicBool::new(false));
    thread::scope(|scope| {
        scope.spawn(|| {
            for chunk in all.chunks(AT_A_TIME) {
                send(&service, chunk);
                acknowledged.fetch_add(chunk.len(), Ordering::Relaxed);
                thread::sleep(pause);
            }
            is_over.store(true, Ordering::Relaxed);
        });
        disturb(&is_over);
    });
    assert_eq!(acknowledged.into_inner(), all.len());
    let service = service.into_inner().expect("nobody panicked");
    let service = service.expect("it runs");
    service.wait_for(all.len() as u64);
    let found = settled(&service);
    assert_eq!(findings(&service), found);
    let dead = service.get("/v1/dead-letters");
    assert_eq!(
        dead["dead_letters"].as_array().map(Vec::len),
        Some(0),
        "{dead}"
    );
    let status = service.get("/v1/status");
    assert_eq!(status["tally"]["lost"], 0, "{status}");
    assert_eq!(service.terminate(), Some(0));
    found
}

#[test]
fn a_server_that_is_killed_again_and_again_loses_nothing_and_doubles_nothing() {
    let all = events(3_000);
    let wanted = found_undisturbed(&all);
    assert!(wanted.len() > 1_000, "{}", wanted.len());
    let place = Place::new("serve-killed");
    let mut server = NatsServer::start(place.path(), "");
    let folder = on_nats("serve-nats-killed", &[&server], "");
    let begun = Instant::now();
    let found = found_while(&folder, (&all, PAUSE), |is_over| {
        let mut kills = 0;
        while kills < ROUNDS && (kills < 10 || begun.elapsed() < Duration::from_secs(120)) {
            thread::sleep(Duration::from_millis(40 + kills * 37 % 97));
            server.kill();
            server.run();
            kills += 1;
            if is_over.load(Ordering::Relaxed) && kills >= ROUNDS / 2 {
                break;
            }
        }
        println!("killed {kills} times in {:?}", begun.elapsed());
    });
    assert_same(&wanted, &found);
}

#[test]
fn three_servers_lose_nothing_while_one_is_away() {
    let all = events(1_500);
    let wanted = found_undisturbed(&all);
    let place = Place::new("serve-three");
    let mut servers = cluster(place.path());
    let all_servers: Vec<&NatsServer> = servers.iter().collect();
    let folder = on_nats("serve-nats-three", &all_servers, "replicas = 3\n");
    wait_for_cluster(&servers[0]);
    let found = found_while(&folder, (&all, PAUSE), |_| {
        for server in &mut servers {
            thread::sleep(Duration::from_millis(500));
            server.kill();
            thread::sleep(Duration::from_secs(2));
            server.run();
            thread::sleep(Duration::from_secs(2));
            // Its connections stay open, and nothing comes through them.
            server.signal("STOP");
            thread::sleep(Duration::from_secs(3));
            server.signal("CONT");
            thread::sleep(Duration::from_secs(1));
        }
    });
    assert_same(&wanted, &found);
}

pub(super) fn wait_for_cluster(server: &NatsServer) {
    let mut settings = stream_settings("quorum");
    settings.stream.replicas = 3;
    let begun = Instant::now();
    let connection = NatsConnection::open(&connect(server)).expect("connects");
    while let Err(fault) = NatsBus::open(&connection, &settings) {
        assert!(
            begun.elapsed() < Duration::from_secs(60),
            "{fault}: {:?}",
            fault.source
        );
        thread::sleep(Duration::from_millis(100));
    }
}

/// A stream for what a sink publishes, which a bus can read.
pub(super) fn stream_settings(prefix: &str) -> NatsSettings {
    NatsSettings {
        prefix: prefix.to_owned(),
        partition: Partition(0),
        stream: StreamSettings {
            replicas: 1,
            bytes_max: 64 << 20,
            age_max: None,
            event_bytes_max: 1 << 20,
            duplicate_window: Duration::from_secs(120),
            may_create: true,
        },
        released: Released::Keep,
    }
}

#[test]
fn what_others_publish_is_evaluated_and_what_is_no_event_is_set_aside() {
    let place = Place::new("serve-foreign");
    let server = NatsServer::start(place.path(), "");
    let connection = NatsConnection::open(&connect(&server)).expect("connects");
    let (sink, _) = NatsBus::open(&connection, &stream_settings("found")).expect("opens");
    let folder = on_nats(
        "serve-nats-foreign",
        &[&server],
        "released = \"purge\"\n[sinks.stream]\ntype = \"nats\"\nsubject = \"found.events.0\"\n",
    );
    let service = Service::start(&folder);
    let publisher = Publisher::new(connection);
    let publish = |id: &str, body: &[u8]| {
        publisher
            .publish("tripline.events.0", id, body.to_vec())
            .expect("publishes");
    };
    publish("1", event(1, "Stop", 1).as_bytes());
    publish("1", event(1, "Stop", 1).as_bytes());
    publish("2", b"{\"eventName\": \"Stop\"");
    publish("3", b"\xff\xfe\x00");
    publish("4", b"");
    publish("5", event(2, "Stop", 2).as_bytes());
    service.publish(&[event(3, "Stop", 3)]);
    service.wait_for(3);
    service.wait_sent("stream");
    let dead = service.get("/v1/dead-letters");
    let dead = dead["dead_letters"].as_array().expect("a list");
    assert_eq!(dead.len(), 3, "{dead:?}");
    for letter in dead {
        assert_eq!(letter["attributes"]["channel"], "nats", "{letter}");
    }
    assert_eq!(findings(&service).len(), 3);
    let mut read = Delivered::default();
    let max = ReadMax {
        records: 100,
        bytes: 1 << 20,
    };
    sink.read(Sequence(0), max, &mut read).expect("reads");
    let told: Vec<String> = read
        .records
        .iter()
        .map(|one| {
            let finding: serde_json::Value =
                serde_json::from_slice(read.payload(one)).expect("JSON");
            finding["rule_id"].as_str().expect("a rule").to_owned()
        })
        .collect();
    assert_eq!(told, ["stopped"; 3]);
    let long = format!("{{\"a\":\"{}\"}}", "x".repeat(8 << 20));
    let (status, text) = service.post("/v1/events", long);
    assert_eq!(status, 400, "{text}");
    assert_eq!(service.terminate(), Some(0));
}

#[test]
fn more_events_than_one_append_holds_are_taken() {
    let place = Place::new("serve-bulk");
    let server = NatsServer::start(place.path(), "");
    let folder = on_nats("serve-nats-bulk", &[&server], "");
    let service = Service::start(&folder);
    let all = events(5_000);
    let (status, text) = service.post("/v1/events", all.join("\n"));
    assert_eq!(status, 200, "{text}");
    let answer: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(answer["durability"], "process");
    assert_eq!(answer["accepted"], 5_000);
    service.wait_for(5_000);
    assert_eq!(service.terminate(), Some(0));
    // It goes on where it was, and nothing is evaluated twice.
    let service = Service::start(&folder);
    service.publish(&[event(9_000, "Look", 1)]);
    service.wait_for(1);
    assert_eq!(service.get("/v1/status")["tally"]["events"], 1);
    assert_eq!(service.terminate(), Some(0));
}

/// What a service that cannot start says.
pub(super) fn refusal(folder: &Folder) -> String {
    let config = format!("{}/tripline.toml", folder.path());
    let output = tripline(&["serve", "--config", &config]).output();
    let output = output.expect("the binary runs");
    assert_eq!(output.status.code(), Some(2));
    String::from_utf8(output.stderr).expect("text")
}

#[test]
fn what_is_not_as_it_must_be_is_told_before_anything_runs() {
    let place = Place::new("serve-refused");
    let mut server = NatsServer::start(place.path(), "");
    let missing = on_nats("serve-nats-missing", &[&server], "create = false\n");
    let told = refusal(&missing);
    assert!(told.contains("the log cannot be opened"), "{told}");
    assert!(told.contains("nats stream add tripline-events-0"), "{told}");
    let folder = on_nats("serve-nats-used", &[&server], "");
    let service = Service::start(&folder);
    service.publish(&[event(1, "Stop", 1)]);
    service.wait_for(1);
    assert_eq!(service.terminate(), Some(0));
    let smaller = on_nats("serve-nats-smaller", &[&server], "age_max = \"1d\"\n");
    let told = refusal(&smaller);
    assert!(
        told.contains("max age is 604800s and must be 86400s; change it with `nats stream edit tripline-events-0 --max-age=86400s`"),
        "{told}"
    );
    // Another stream of the same name.
    server.kill();
    std::fs::remove_dir_all(place.path().join("alone")).expect("gone");
    server.run();
    let told = refusal(&folder);
    assert!(
        told.contains("its positions are of another stream"),
        "{told}"
    );
    let config = std::fs::read_to_string(format!("{}/tripline.toml", folder.path()));
    let config = config
        .expect("it is there")
        .replace("type = \"nats\"", "type = \"embedded\"");
    folder.file("tripline.toml", config);
    let told = refusal(&folder);
    assert!(told.contains("are of a stream of NATS"), "{told}");
}

/// A service that shares the work, with rules whose keys name what events are parted by.
pub(super) fn member(name: &str, server: &NatsServer) -> Folder {
    member_with(name, server, "")
}

/// The same with more in `[store]`, and after it.
pub(super) fn member_with(name: &str, server: &NatsServer, more: &str) -> Folder {
    let folder = on_nats(
        name,
        &[server],
        &format!("partitions = 4\npartition_by = \"who\"\n[store]\nshared = true\n{more}"),
    );
    part(&folder);
    folder
}

fn part(folder: &Folder) {
    let parted = super::THRESHOLD
        .replace("event.?who.orValue(\"\")", "event.who")
        .replace("window = \"30m\"", "window = \"30m\"\nby = [\"event.who\"]");
    folder.file("rules/many-starts.toml", parted);
}

/// Events of many, who belong into all partitions.
pub(super) fn events_of_many(count: u64) -> Vec<String> {
    let names = ["Stop", "Start", "Look"];
    (0..count)
        .map(|number| {
            // Without an order, so that groups come and go.
            let who = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
            event(number, names[(number % 3) as usize], who % 12)
        })
        .collect()
}

/// Moves time on in all partitions, and gives the findings when they no longer change.
fn settled_everywhere(service: &Service) -> BTreeMap<String, (u64, String)> {
    for minute in 0..300 {
        let later: Vec<String> = (0..16)
            .map(|who| {
                format!(
                    r#"{{"eventID":"later-{minute}-{who}","eventTime":"2026-01-03T{:02}:{:02}:00Z","eventName":"Later","who":"user-{who}"}}"#,
                    minute / 60,
                    minute % 60
                )
            })
            .collect();
        service.publish(&later);
    }
    unchanging(service)
}

/// Sends a chunk to any of several until one acknowledges it.
fn send_to_any(members: &[Mutex<Option<Service>>], mut number: usize, chunk: &[String]) {
    loop {
        number += 1;
        let answer = {
            let member = members[number % members.len()]
                .lock()
                .expect("nobody panicked");
            let post = |service: &Service| service.try_post("/v1/events", chunk.join("\n"));
            member.as_ref().and_then(post)
        };
        match answer {
            Some((200, _)) => return,
            _ => thread::sleep(Duration::from_millis(5)),
        }
    }
}

/// What one finds that nobody disturbs and that has everything in one log.
fn found_by_one(name: &str, all: &[String]) -> BTreeMap<String, (u64, String)> {
    let calm = folder(name, "");
    part(&calm);
    let service = Service::start(&calm);
    for chunk in all.chunks(500) {
        service.publish(chunk);
    }
    service.wait_for(all.len() as u64);
    let found = settled_everywhere(&service);
    assert_eq!(service.terminate(), Some(0));
    found
}

/// Sends everything to members that are killed and ended all the time, and now and then come back with nothing.
fn killed_while_they_work(folders: &[Folder], all: &[String]) -> Vec<Service> {
    killed_while(folders, all, |_, _| {})
}

/// The same, and something else is done in each round by a member that runs.
fn killed_while(
    folders: &[Folder],
    all: &[String],
    mut meanwhile: impl FnMut(u64, &Service),
) -> Vec<Service> {
    let members: Vec<Mutex<Option<Service>>> = folders
        .iter()
        .map(|folder| Mutex::new(Some(Service::start(folder))))
        .collect();
    let is_over = AtomicBool::new(false);
    let begun = Instant::now();
    let (mut killed, mut ended) = (0, 0);
    thread::scope(|scope| {
        scope.spawn(|| {
            for (number, chunk) in all.chunks(AT_A_TIME).enumerate() {
                send_to_any(&members, number, chunk);
                thread::sleep(Duration::from_millis(40));
            }
            is_over.store(true, Ordering::Relaxed);
        });
        let mut round = 0;
        while !is_over.load(Ordering::Relaxed) {
            thread::sleep(Duration::from_millis(1_000 + round * 137 % 900));
            let number = (round * 7 % 3) as usize;
            let mut member = members[number].lock().expect("nobody panicked");
            let running = member.take().expect("it runs");
            meanwhile(round, &running);
            // One of three goes in order, and one of nine comes back with nothing.
            if round % 3 == 2 {
                assert_eq!(running.terminate(), Some(0));
                ended += 1;
            } else {
                running.kill();
                killed += 1;
            }
            if round % 9 == 4 {
                std::fs::remove_dir_all(format!("{}/data", folders[number].path()))
                    .expect("it is there");
            }
            *member = Some(Service::start(&folders[number]));
            round += 1;
        }
    });
    println!(
        "{killed} members killed, {ended} ended in order in {:?}",
        begun.elapsed()
    );
    members
        .into_iter()
        .map(|one| one.into_inner().expect("nobody panicked").expect("it runs"))
        .collect()
}

#[test]
fn members_that_are_killed_leave_their_work_to_the_others() {
    let all = events_of_many(4_000);
    let wanted = found_by_one("serve-members-calm", &all);
    let starts = wanted
        .values()
        .filter(|(_, what)| what.contains("many-starts"));
    let (groups, counted) = starts.fold((0, 0), |(groups, all), (count, _)| {
        (groups + 1, all + count)
    });
    assert!(groups > 20, "{groups} {counted}");

    let place = Place::new("serve-members");
    let server = NatsServer::start(place.path(), "");
    let folders: Vec<Folder> = (0..3)
        .map(|number| member(&format!("serve-member-{number}"), &server))
        .collect();
    let services = killed_while_they_work(&folders, &all);
    services[0].wait_evaluated();
    let found = settled_everywhere(&services[0]);
    for service in &services {
        let dead = service.get("/v1/dead-letters");
        assert_eq!(
            dead["dead_letters"].as_array().map(Vec::len),
            Some(0),
            "{dead}"
        );
    }
    assert_same(&wanted, &found);
    // Everybody has all of it, and together they sent all of it.
    for service in &services {
        service.wait_until("it has what the others have", || findings(service) == found);
        service.wait_sent("file");
    }
    let held: u64 = services
        .iter()
        .map(|service| {
            let status = service.get("/v1/status");
            let partitions = status["partitions"].as_array().expect("a list");
            partitions.iter().filter(|one| one["held"] == true).count() as u64
        })
        .sum();
    assert_eq!(held, 4, "every partition is held once");
    let mut sent = std::collections::BTreeSet::new();
    for folder in &folders {
        let path = format!("{}/findings.jsonl", folder.path());
        let text = std::fs::read_to_string(path).unwrap_or_default();
        for line in text.lines() {
            let Ok(one) = serde_json::from_str::<serde_json::Value>(line) else {
                continue;
            };
            sent.insert(one["finding_id"].as_str().expect("an id").to_owned());
        }
    }
    assert!(found.keys().eq(sent.iter()), "{} sent", sent.len());
    for service in services {
        assert_eq!(service.terminate(), Some(0));
    }
}

/// The ledger, as others than its members see it.
fn ledger(server: &NatsServer) -> NatsLedger {
    let connection = NatsConnection::open(&connect(server)).expect("connects");
    let settings = LedgerSettings {
        prefix: "tripline".to_owned(),
        stream: StreamSettings {
            bytes_max: 0,
            event_bytes_max: 960 << 10,
            ..stream_settings("tripline").stream
        },
    };
    NatsLedger::open(&connection, &settings).expect("opens").0
}

#[test]
fn the_ledger_is_shortened_while_members_are_killed_and_newcomers_have_all_of_it() {
    let all = events_of_many(3_000);
    let wanted = found_by_one("serve-shortened-calm", &all);
    let place = Place::new("serve-shortened");
    let server = NatsServer::start(place.path(), "");
    let few = "shorten_every = 15\n";
    let folders: Vec<Folder> = (0..3)
        .map(|number| member_with(&format!("serve-shortened-{number}"), &server, few))
        .collect();
    let services = killed_while_they_work(&folders, &all);
    services[0].wait_evaluated();
    let found = settled_everywhere(&services[0]);
    assert_same(&wanted, &found);
    let ledger = ledger(&server);
    let first = ledger.first().expect("looks");
    let last = ledger.last().expect("looks");
    println!("entries {} to {} of {} are there", first.0, last.0, last.0);
    assert!(first.0 > last.0 / 2, "{} to {}", first.0, last.0);
    // One begins with nothing, and one that was away for long comes back.
    let newcomer = member_with("serve-shortened-newcomer", &server, few);
    let newcomer = Service::start(&newcomer);
    newcomer.wait_until("it has what the others have", || {
        findings(&newcomer) == found
    });
    let mut services = services;
    let away = services.remove(0);
    away.kill();
    let later = event(999_999, "Stop", 3);
    // A server that has much to do may be slow to acknowledge; what is sent again is found once.
    let send = |event: &str| {
        newcomer.wait_until("it is acknowledged", || {
            let answer = newcomer.try_post("/v1/events", event);
            answer.is_some_and(|(status, _)| status == 200)
        });
    };
    send(&later);
    let was = ledger.last().expect("looks").0;
    newcomer.wait_until("the ledger is shortened beyond who is away", || {
        send(&event(999_998, "Stop", 3));
        ledger.first().expect("looks").0 > was
    });
    let back = Service::start(&folders[0]);
    back.wait_until("it has what the others have", || {
        findings(&back) == findings(&newcomer) && findings(&back).len() > found.len()
    });
    let names = ledger.names().expect("lists");
    let images = names
        .iter()
        .filter(|name| name.starts_with("image-") && !name.contains('.'));
    assert!(images.count() <= 3, "{names:?}");
    for service in services.into_iter().chain([newcomer, back]) {
        assert_eq!(service.terminate(), Some(0));
    }
}

/// A member that has its rules from others, and no files of its own unless it is given some.
pub(super) fn pupil(name: &str, server: &NatsServer) -> Folder {
    let folder = member_with(name, server, "rules = \"members\"\n");
    for file in ["stopped.toml", "many-starts.toml"] {
        std::fs::remove_file(format!("{}/rules/{file}", folder.path())).expect("it is there");
    }
    folder
}

/// The rule about what was stopped, under another name each time.
fn rename(folder: &Folder, name: &str) {
    let rule = super::RULES.replace("\"stopped\"", &format!("\"stopped-{name}\""));
    folder.file("rules/stopped.toml", rule);
}

#[test]
fn rules_of_one_member_are_in_force_everywhere_from_one_record_on() {
    let all = events_of_many(3_000);
    let place = Place::new("serve-versions");
    let server = NatsServer::start(place.path(), "");
    let teacher = member_with("serve-versions-0", &server, "rules = \"members\"\n");
    rename(&teacher, "0");
    // Whoever is first has files; the others need none.
    let first = Service::start(&teacher);
    first.wait_until("its rules are published", || {
        first.get("/v1/status")["rules"]["published"].is_string()
    });
    let published = first.get("/v1/status")["rules"]["published"].clone();
    assert_eq!(first.terminate(), Some(0));
    let folders: Vec<Folder> = (1..4)
        .map(|number| pupil(&format!("serve-versions-{number}"), &server))
        .collect();
    let mut versions = 1;
    let services = killed_while(&folders, &all, |round, service| {
        if round % 2 == 1 {
            return;
        }
        // Any member may publish what its files say. It is killed or ended at once.
        let number = (round * 7 % 3) as usize;
        let rules = &folders[number];
        part(rules);
        rename(rules, &versions.to_string());
        let (status, text) = service.post("/v1/reload", "");
        assert_eq!(status, 200, "{text}");
        versions += 1;
    });
    println!("{versions} versions");
    assert!(versions > 4, "{versions}");
    services[0].wait_evaluated();
    let found = settled_everywhere(&services[0]);
    // Each event was evaluated with one version: none is found by two, and none by no version.
    let mut by_rule: BTreeMap<String, u64> = BTreeMap::new();
    let mut events: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (_, what) in found.values() {
        let (rule, event) = what.split_once(" of ").expect("both");
        if !rule.contains("many-starts") {
            events
                .entry(event.to_owned())
                .or_default()
                .push(rule.to_owned());
            *by_rule.entry(rule.to_owned()).or_default() += 1;
        }
    }
    println!("{by_rule:?}");
    let twice: Vec<_> = events.iter().filter(|(_, rules)| rules.len() > 1).collect();
    assert!(twice.is_empty(), "{twice:?}");
    assert_eq!(events.len(), 1_000);
    assert!(by_rule.len() > 2, "several versions found something");
    // What is remembered goes on through all of them.
    let calm = found_by_one("serve-versions-calm", &all);
    let starts = |found: &BTreeMap<String, (u64, String)>| -> BTreeMap<String, (u64, String)> {
        let of_rule = found
            .iter()
            .filter(|(_, (_, what))| what.contains("many-starts"));
        of_rule
            .map(|(id, what)| (id.clone(), what.clone()))
            .collect()
    };
    assert_same(&starts(&calm), &starts(&found));
    // All partitions are at the newest, and nothing older is kept.
    services[0].wait_until("all partitions are at what is published", || {
        let status = services[0].get("/v1/status");
        let newest = &status["rules"]["published"];
        let partitions = status["partitions"].as_array().expect("a list");
        partitions
            .iter()
            .all(|one| one["rules"]["version"] == *newest)
    });
    assert_ne!(
        services[0].get("/v1/status")["rules"]["published"],
        published
    );
    let ledger = ledger(&server);
    services[0].wait_until("only the newest is kept", || {
        let names = ledger.names().expect("lists");
        names
            .iter()
            .filter(|name| name.starts_with("rules-"))
            .count()
            <= 2
    });
    // The command does what a reload does, and says what it came to.
    rename(&folders[0], "told");
    let before = services[0].get("/v1/status")["rules"]["published"].clone();
    let told = run(&["rules", "publish", "--url", &services[0].url()]);
    let newest = services[0].get("/v1/status")["rules"]["published"].clone();
    assert_ne!(newest, before);
    let words = format!(
        "version {} published: ",
        newest.as_str().expect("a version")
    );
    assert_eq!(told.code, 0, "{}", told.stderr);
    assert!(told.stdout.starts_with(&words), "{}", told.stdout);
    // A mistake refuses all of them, and nothing changes.
    let newest = services[0].get("/v1/status")["rules"]["published"].clone();
    folders[0].file(
        "rules/stopped.toml",
        "id = \"stopped\"\nwhen = 'nothing('\n",
    );
    part(&folders[0]);
    let (status, text) = services[0].post("/v1/reload", "");
    assert_eq!(status, 409, "{text}");
    let told = run(&["rules", "publish", "--url", &services[0].url()]);
    assert_eq!(told.code, 2, "{}", told.stdout);
    assert!(told.stderr.contains("mistakes in"), "{}", told.stderr);
    assert_eq!(services[0].get("/v1/status")["rules"]["published"], newest);
    for service in services {
        assert_eq!(service.terminate(), Some(0));
    }
}

/// A member whose rule about starts counts what is in a list, and which keeps what it remembers only when it ends in order.
fn counting(name: &str, server: &NatsServer, list: &str) -> Folder {
    let folder = member_with(name, server, "rules = \"members\"\n");
    let path = folder.path();
    let config = std::fs::read_to_string(format!("{path}/tripline.toml"));
    let lists = format!("rules.lists = [\"starts={path}/starts.json\"]\nrules.paths");
    let config = config
        .expect("it is there")
        .replace("\"300ms\"", "\"1h\"")
        .replace("rules.paths", &lists);
    folder.file("tripline.toml", config);
    folder.file("starts.json", list);
    let rule = super::THRESHOLD
        .replace(
            "event.?eventName.orValue(\"\") == \"Start\"",
            "inList(\"starts\", event.?eventName.orValue(\"\"))",
        )
        .replace("event.?who.orValue(\"\")", "event.who")
        .replace("window = \"30m\"", "window = \"30m\"\nby = [\"event.who\"]");
    folder.file("rules/many-starts.toml", rule);
    folder
}

#[test]
fn what_must_be_done_again_is_done_with_the_rules_that_did_it_first() {
    let place = Place::new("serve-again");
    let server = NatsServer::start(place.path(), "");
    let first = counting("serve-again-0", &server, "[\"Start\", \"Begin\"]");
    let first = Service::start(&first);
    let users = 12;
    let send = |service: &Service, phase: u64, name: &str| {
        let some: Vec<String> = (0..users)
            .map(|who| event(phase * users + who, name, who))
            .collect();
        service.publish(&some);
    };
    send(&first, 0, "Start");
    send(&first, 1, "Begin");
    first.wait_evaluated();
    let old = first.get("/v1/status")["rules"]["published"].clone();
    first.kill();
    // The other one has its own files in force before anybody misses the first one. They do not count what began.
    let other = counting("serve-again-1", &server, "[\"Start\"]");
    let other = Service::start(&other);
    let (status, text) = other.post("/v1/reload", "");
    assert_eq!(status, 200, "{text}");
    other.wait_until("all partitions are at what is published", || {
        let status = other.get("/v1/status");
        let newest = &status["rules"]["published"];
        let partitions = status["partitions"].as_array().expect("a list");
        *newest != old
            && partitions.iter().all(|one| {
                one["rules"]["version"] == *newest && one["rules"]["after"].as_u64() > Some(0)
            })
    });
    send(&other, 2, "Start");
    other.wait_evaluated();
    // Two that the first rules saw and one that the second did.
    let found = settled_everywhere(&other);
    let starts = found
        .values()
        .filter(|(_, what)| what.contains("many-starts"));
    assert_eq!(starts.count() as u64, users, "{found:?}");
    assert_eq!(other.terminate(), Some(0));
}

#[test]
fn whoever_cannot_load_the_rules_takes_no_part_and_says_why() {
    let place = Place::new("serve-lacks");
    let server = NatsServer::start(place.path(), "");
    let teacher = member_with("serve-lacks-0", &server, "rules = \"members\"\n");
    let service = Service::start(&teacher);
    service.publish(&[event(1, "Stop", 1)]);
    service.wait_evaluated();
    let ledger = ledger(&server);
    let names = ledger.names().expect("lists");
    let name = names.iter().find(|name| name.starts_with("rules-"));
    ledger
        .keep(name.expect("it is there"), b"damaged")
        .expect("keeps");
    // One without files cannot begin; one that has some waits until it may publish them.
    let told = refusal(&pupil("serve-lacks-1", &server));
    assert!(told.contains("it is damaged"), "{told}");
    let other = member_with("serve-lacks-2", &server, "rules = \"members\"\n");
    rename(&other, "again");
    let other = Service::start(&other);
    let status = other.get("/v1/status");
    other.wait_until("the others hear why", || {
        let others = service.get("/v1/status")["others"].clone();
        let mut others = others.as_object().into_iter().flatten();
        others.any(|(_, one)| {
            let why = one["lacks_rules"].as_str().unwrap_or_default();
            why.contains("it is damaged")
        })
    });
    assert!(
        status["partitions"]
            .as_array()
            .expect("a list")
            .iter()
            .all(|one| one["held"] == false)
    );
    let (code, text) = other.post("/v1/reload", "");
    assert_eq!(code, 200, "{text}");
    other.wait_until("it takes part", || {
        let status = other.get("/v1/status");
        let mut partitions = status["partitions"].as_array().expect("a list").iter();
        partitions.any(|one| one["held"] == true)
    });
    for number in 2..40 {
        other.publish(&[event(number, "Stop", number)]);
    }
    other.wait_evaluated();
    other.wait_until("all are found", || findings(&other).len() == 39);
    for service in [service, other] {
        assert_eq!(service.terminate(), Some(0));
    }
}

#[test]
fn rules_that_would_see_a_part_are_refused_or_told() {
    let place = Place::new("serve-parts");
    let server = NatsServer::start(place.path(), "");
    let folder = on_nats("serve-nats-parts", &[&server], "partitions = 2\n");
    let told = refusal(&folder);
    assert!(
        told.contains("many-starts: group_by does not name `event.recipientAccountId`"),
        "{told}"
    );
    let allowed = on_nats(
        "serve-nats-allowed",
        &[&server],
        "partitions = 2\ninexact_rules = \"allow\"\n",
    );
    let service = Service::start(&allowed);
    service.publish(&[event(1, "Stop", 1)]);
    service.wait_for(1);
    assert_eq!(service.terminate(), Some(0));
    // Others who part in another way are told so.
    let first = member("serve-nats-first", &server);
    let service = Service::start(&first);
    assert_eq!(service.terminate(), Some(0));
    let other = on_nats(
        "serve-nats-other",
        &[&server],
        "partitions = 3\npartition_by = \"who\"\n[store]\nshared = true\n",
    );
    part(&other);
    let told = refusal(&other);
    assert!(
        told.contains("others part events in another way: 4 by who and not 3 by who"),
        "{told}"
    );
}

#[test]
fn questions_are_answered_by_message() {
    let place = Place::new("serve-asked");
    let server = NatsServer::start(place.path(), "");
    let urls = format!("[nats]\nurls = [\"{}\"]\n", server.url());
    let folder = folder(
        "serve-nats-asked",
        &format!("{urls}[decisions]\nsubject = \"may.i\"\n"),
    );
    let rule = super::RULES
        .replace("when =", "effect = \"deny\"\nwhen =")
        .replace("\"stopped\"", "\"no-stopping\"");
    folder.file("rules/no-stopping.toml", rule);
    let service = Service::start(&folder);
    let ask = |body: &str| ask(&server, "may.i", body).expect("is answered");
    let denied = ask(&event(1, "Stop", 1));
    assert_eq!(denied["decision"], "deny", "{denied}");
    assert_eq!(ask(&event(2, "Look", 1))["decision"], "allow");
    assert_eq!(ask("{")["error"], "bad_request");
    assert_eq!(
        service.get("/v1/status")["decisions"]["by_effect"]["deny"],
        1
    );
    assert_eq!(service.terminate(), Some(0));
    assert_eq!(self::ask(&server, "may.i", "{}"), None);
}

/// What is answered to a question, asked as the protocol of NATS is written; nothing when nobody answers for a second.
pub(crate) fn ask(server: &NatsServer, subject: &str, question: &str) -> Option<serde_json::Value> {
    let mut stream = TcpStream::connect(("127.0.0.1", server.port)).expect("connects");
    let patience = Duration::from_secs(if question == "{}" { 1 } else { 30 });
    stream.set_read_timeout(Some(patience)).expect("a timeout");
    let said = format!(
        "CONNECT {{\"verbose\":false}}\r\nSUB answers 1\r\nPUB {subject} answers {}\r\n{question}\r\n",
        question.len()
    );
    stream.write_all(said.as_bytes()).expect("asks");
    let mut lines = BufReader::new(stream);
    loop {
        let mut line = String::new();
        lines.read_line(&mut line).ok()?;
        let Some(rest) = line.trim().strip_prefix("MSG answers 1 ") else {
            continue;
        };
        let mut answer = vec![0; rest.parse().expect("a length")];
        lines.read_exact(&mut answer).expect("the answer");
        return serde_json::from_slice(&answer).ok();
    }
}

#[test]
fn a_service_whose_server_is_away_says_that_it_is_not_ready() {
    let place = Place::new("serve-unready");
    let mut server = NatsServer::start(place.path(), "");
    let folder = on_nats("serve-unready", &[&server], "");
    let service = Service::start(&folder);
    let is_ready = || service.get("/readyz")["status"] == "ready";
    service.wait_until("it is ready", is_ready);
    let status = || run(&["status", "--url", &service.url()]);
    assert_eq!(status().code, 0);
    server.kill();
    service.wait_until("it is told", || {
        service
            .text("/readyz")
            .contains("the log of partition 0 cannot be looked at")
    });
    let told = status();
    assert_eq!(told.code, 1, "{}", told.stdout);
    assert!(
        told.stdout.starts_with("service    not ready,")
            && told
                .stdout
                .contains("the log of partition 0 cannot be looked at"),
        "{}",
        told.stdout
    );
    service.wait_until("its log says so", || service.said().contains("not ready"));
    server.run();
    service.wait_until("it is ready again", is_ready);
    service.wait_until("its log says so", || service.said().contains("ready again"));
    assert_eq!(service.terminate(), Some(0));
}

#[test]
fn a_service_whose_stream_is_deleted_ends_though_nothing_comes() {
    let place = Place::new("serve-deleted");
    let server = NatsServer::start(place.path(), "");
    let folder = on_nats("serve-deleted", &[&server], "");
    let service = Service::start(&folder);
    let is_ready = || service.get("/readyz")["status"] == "ready";
    service.wait_until("it is ready", is_ready);
    // Its reader has a consumer, and waits for what nobody sends.
    service.publish(&events(3));
    service.wait_for(3);
    let gone = ask(&server, "$JS.API.STREAM.DELETE.tripline-events-0", "").expect("is answered");
    assert_eq!(gone["success"], true, "{gone}");
    let (code, said) = service.ended();
    // The reader may notice before whoever looks now and then.
    assert!(code != Some(0), "{said}");
    assert!(
        said.contains("was deleted while the service used it"),
        "{said}"
    );
}
