//! The bus on NATS beside real servers.

// The service's tests use more of it.
#[allow(dead_code)]
mod launcher;
mod ledger;
mod refusals;

use super::{
    ConnectSettings, Login, NatsBus, NatsConnection, NatsSettings, Opened, Publisher, Released,
    StreamSettings, Tls,
};
use launcher::{NatsServer, Place, cluster};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use tripline_core::port::{
    Bus, Delivered, Durability, FaultClass, NewRecord, Partition, PortFault, ReadMax, RecordKind,
    Sequence, conformance,
};
use tripline_core::rule::kind::EventTime;

const ALL: ReadMax = ReadMax {
    records: 100_000,
    bytes: 64 << 20,
};

/// What a trial opens.
#[derive(Clone)]
struct Settings {
    connect: ConnectSettings,
    bus: NatsSettings,
}

fn settings(urls: Vec<String>) -> Settings {
    Settings {
        connect: ConnectSettings {
            urls,
            login: Login::None,
            tls: Tls::default(),
            name: "trial".to_owned(),
        },
        bus: NatsSettings {
            prefix: "trial".to_owned(),
            partition: Partition(0),
            stream: StreamSettings {
                replicas: 1,
                bytes_max: 256 << 20,
                age_max: None,
                event_bytes_max: 4 << 20,
                duplicate_window: Duration::from_secs(120),
                may_create: true,
            },
            released: Released::Keep,
        },
    }
}

fn try_open(settings: &Settings) -> Result<(NatsBus, Opened), PortFault> {
    NatsBus::open(&NatsConnection::open(&settings.connect)?, &settings.bus)
}

fn open(settings: &Settings) -> NatsBus {
    let opened = try_open(settings);
    opened.map(|(bus, _)| bus).unwrap_or_else(|fault| {
        panic!(
            "{fault}: {:?}",
            fault.source.as_ref().map(ToString::to_string)
        )
    })
}

fn event(payload: &[u8]) -> NewRecord<'_> {
    NewRecord {
        kind: RecordKind::Event,
        taken: EventTime::from_micros(1),
        attributes: b"{}",
        payload,
    }
}

/// Everything after a place, waited for; payloads as text.
fn read_until(bus: &NatsBus, last: u64) -> Vec<String> {
    let begun = Instant::now();
    let (mut all, mut at) = (Vec::new(), Sequence(0));
    while at.0 < last {
        assert!(begun.elapsed() < Duration::from_secs(60), "{at} of {last}");
        let mut read = Delivered::default();
        if bus.read(at, ALL, &mut read).is_err() {
            thread::sleep(Duration::from_millis(20));
            continue;
        }
        assert_eq!(read.lost, []);
        for record in &read.records {
            assert_eq!(record.sequence, at.next());
            at = record.sequence;
            all.push(String::from_utf8_lossy(read.payload(record)).into_owned());
        }
    }
    all
}

#[test]
fn one_server_does_what_every_bus_must() {
    for released in [Released::Keep, Released::Purge] {
        let place = Place::new("alone");
        let server = NatsServer::start(place.path(), "");
        let mut settings = settings(vec![server.url()]);
        settings.bus.released = released;
        conformance::bus(&mut || Box::new(open(&settings)));
        assert_eq!(open(&settings).durability(), Durability::Process);
    }
}

#[test]
fn three_servers_do_what_every_bus_must() {
    let place = Place::new("three");
    let servers = cluster(place.path());
    let mut settings = settings(servers.iter().map(NatsServer::url).collect());
    settings.bus.stream.replicas = 3;
    wait_for_quorum(&settings);
    conformance::bus(&mut || Box::new(open(&settings)));
    assert_eq!(open(&settings).durability(), Durability::Replicated);
}

/// Until the servers have found each other nothing can be made.
fn wait_for_quorum(settings: &Settings) {
    let begun = Instant::now();
    while let Err(fault) = try_open(settings) {
        assert!(
            begun.elapsed() < Duration::from_secs(60),
            "{fault}: {:?}",
            fault.source
        );
        thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn appends_of_many_are_whole_and_waiting_wakes() {
    let place = Place::new("many");
    let server = NatsServer::start(place.path(), "");
    let bus = open(&settings(vec![server.url()]));
    let (threads, batches, of) = (4, 25, 8);
    thread::scope(|scope| {
        scope.spawn(|| {
            let begun = Instant::now();
            assert!(
                bus.wait(Sequence(0), Duration::from_secs(60))
                    .expect("waits")
            );
            assert!(begun.elapsed() < Duration::from_secs(30), "it woke late");
        });
        for thread in 0..threads {
            let bus = &bus;
            scope.spawn(move || {
                for batch in 0..batches {
                    let texts: Vec<String> = (0..of)
                        .map(|number| format!("{thread}.{batch}.{number}"))
                        .collect();
                    let records: Vec<_> = texts.iter().map(|text| event(text.as_bytes())).collect();
                    bus.append(&records).expect("appends");
                }
            });
        }
    });
    let all = read_until(&bus, threads * batches * of);
    for together in all.chunks(of as usize) {
        let (first, _) = together[0].rsplit_once('.').expect("numbered");
        for (number, text) in together.iter().enumerate() {
            assert_eq!(*text, format!("{first}.{number}"), "nobody came between");
        }
    }
}

#[test]
fn what_is_acknowledged_outlives_the_server_and_is_there_once() {
    let place = Place::new("killed");
    let mut server = NatsServer::start(place.path(), "");
    let bus = open(&settings(vec![server.url()]));
    let (appended, is_over) = (AtomicUsize::new(0), AtomicBool::new(false));
    let kills = thread::scope(|scope| {
        scope.spawn(|| {
            for round in 0..150 {
                let texts: Vec<String> = (0..=round % 5)
                    .map(|number| format!("{round}.{number}"))
                    .collect();
                let records: Vec<_> = texts.iter().map(|text| event(text.as_bytes())).collect();
                let first = bus.append(&records).expect("tried until it is there").first;
                let before = appended.fetch_add(records.len(), Ordering::Relaxed) as u64;
                assert_eq!(first.0, before + 1, "each append is there once");
                thread::sleep(Duration::from_millis(5));
            }
            is_over.store(true, Ordering::Relaxed);
        });
        let mut kills = 0;
        while !is_over.load(Ordering::Relaxed) {
            // Long enough to be connected again, now and then; a different moment each time.
            thread::sleep(Duration::from_millis(200 + kills * 137 % 397));
            server.kill();
            server.run();
            kills += 1;
        }
        kills
    });
    let all = read_until(&bus, appended.load(Ordering::Relaxed) as u64);
    assert!(kills >= 3, "{kills}");
    let wanted: Vec<String> = (0..150)
        .flat_map(|round| (0..=round % 5).map(move |number| format!("{round}.{number}")))
        .collect();
    assert!(
        all == wanted,
        "killed {kills} times; {} of {}",
        all.len(),
        wanted.len()
    );
}

#[test]
fn records_by_themselves_are_there_once_and_in_order_while_nothing_fails() {
    let place = Place::new("each");
    let mut server = NatsServer::start(place.path(), "");
    let bus = open(&settings(vec![server.url()]));
    assert!(bus.append_each(&[]).places.is_empty());
    let mut wanted: Vec<String> = Vec::new();
    for round in 0..10 {
        let texts: Vec<String> = (0..1000).map(|one| format!("{round}.{one}")).collect();
        let records: Vec<_> = texts.iter().map(|text| event(text.as_bytes())).collect();
        let each = bus.append_each(&records);
        assert!(each.fault.is_none(), "{:?}", each.fault);
        let first = wanted.len() as u64 + 1;
        let places = (first..).map(|one| Some(Sequence(one)));
        assert!(each.places.iter().copied().eq(places.take(1000)));
        wanted.extend(texts);
    }
    // Several that are more together than the client holds at a time.
    thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                for _ in 0..3 {
                    let each = bus.append_each(&vec![event(b"of several"); 1000]);
                    assert!(each.fault.is_none(), "{:?}", each.fault);
                    assert!(each.places.is_sorted());
                }
            });
        }
    });
    wanted.resize(wanted.len() + 18_000, "of several".to_owned());
    assert!(read_until(&bus, wanted.len() as u64) == wanted);
    // A record that no server takes does not keep the others out.
    let long = vec![b' '; 64 << 20];
    let each = bus.append_each(&[event(b"before"), event(&long), event(b"behind")]);
    let fault = each.fault.expect("too long");
    assert_eq!(fault.class, FaultClass::Reject);
    let last = wanted.len() as u64;
    let places = [Some(Sequence(last + 1)), None, Some(Sequence(last + 2))];
    assert_eq!(each.places, places);
    wanted.extend(["before".to_owned(), "behind".to_owned()]);

    // What several senders were told is true, however often the server goes.
    let is_over = AtomicBool::new(false);
    let (kills, told) = thread::scope(|scope| {
        let senders: Vec<_> = (0..3)
            .map(|sender| {
                let bus = &bus;
                scope.spawn(move || {
                    let mut told = Vec::new();
                    for round in 0..60 {
                        let texts: Vec<String> = (0..40)
                            .map(|one| format!("killed {sender}.{round}.{one}"))
                            .collect();
                        let records: Vec<_> =
                            texts.iter().map(|text| event(text.as_bytes())).collect();
                        let each = bus.append_each(&records);
                        assert!(each.fault.is_none(), "{:?}", each.fault);
                        let places = each.places.into_iter().flatten();
                        told.extend(places.zip(texts));
                        thread::sleep(Duration::from_millis(10));
                    }
                    told
                })
            })
            .collect();
        let killing = scope.spawn(|| {
            let mut kills = 0;
            while !is_over.load(Ordering::Relaxed) {
                thread::sleep(Duration::from_millis(200 + kills * 137 % 397));
                server.kill();
                server.run();
                kills += 1;
            }
            kills
        });
        let all = senders.into_iter().map(|one| one.join().expect("it sent"));
        let told: Vec<(Sequence, String)> = all.flatten().collect();
        is_over.store(true, Ordering::Relaxed);
        (killing.join().expect("it ends"), told)
    });
    assert!(kills >= 3, "{kills}");
    assert_eq!(told.len(), 3 * 60 * 40);
    let count = wanted.len() + told.len();
    let all = read_until(&bus, count as u64);
    assert_eq!(all.len(), count, "each is there once");
    for (place, text) in told {
        assert_eq!(all.get(place.0 as usize - 1), Some(&text));
    }
}

/// More is on its way than the client holds, to a server that does not read.
#[test]
fn a_silent_server_holds_nobody_longer_than_an_append_may_take() {
    let place = Place::new("silent");
    let server = NatsServer::start(place.path(), "");
    let bus = open(&settings(vec![server.url()]));
    bus.append(&[event(b"it works")]).expect("taken");
    server.signal("STOP");
    thread::scope(|scope| {
        for _ in 0..5 {
            // Whoever waited for the server to go on would wait for ever.
            scope.spawn(|| {
                let payload = vec![b'x'; 4_000];
                let each = bus.append_each(&vec![event(&payload); 1000]);
                let fault = each.fault.expect("nobody answers");
                assert_eq!(fault.class, FaultClass::Retry, "{fault}");
            });
        }
    });
    server.signal("CONT");
    let begun = Instant::now();
    while bus.append_each(&[event(b"it works again")]).fault.is_some() {
        assert!(begun.elapsed() < Duration::from_secs(90));
    }
}

#[test]
fn what_the_stream_no_longer_has_is_told() {
    let place = Place::new("holes");
    let server = NatsServer::start(place.path(), "");
    let settings = settings(vec![server.url()]);
    let bus = open(&settings);
    for number in 0..10 {
        bus.append(&[event(format!("{number}").as_bytes())])
            .expect("appends");
    }
    let context = &bus.core.connection.context;
    bus.core.connection.block_on(async {
        let stream = context
            .get_stream("trial-events-0")
            .await
            .expect("it is there");
        for sequence in [1, 2, 6] {
            stream.delete_message(sequence).await.expect("deletes");
        }
    });
    let mut read = Delivered::default();
    bus.read(Sequence(0), ALL, &mut read).expect("reads");
    let places: Vec<u64> = read.records.iter().map(|one| one.sequence.0).collect();
    assert_eq!(places, [3, 4, 5, 7, 8, 9, 10]);
    let lost: Vec<_> = read.lost.iter().map(|(range, _)| range.clone()).collect();
    assert_eq!(lost, [1..3, 6..7]);
    assert_eq!(
        read.lost[0].1,
        "the stream trial-events-0 no longer has them: they expired, were purged or were deleted before they were read"
    );
}

#[test]
fn what_others_publish_is_read_as_events() {
    let place = Place::new("foreign");
    let server = NatsServer::start(place.path(), "");
    let settings = settings(vec![server.url()]);
    let bus = open(&settings);
    let publisher = Publisher::new(NatsConnection::open(&settings.connect).expect("connects"));
    for id in ["a", "b", "a"] {
        publisher
            .publish("trial.events.0", id, b"{\"x\":1}".to_vec())
            .expect("publishes");
    }
    assert!(
        bus.wait(Sequence(0), Duration::from_secs(10))
            .expect("waits")
    );
    assert_eq!(read_until(&bus, 2).len(), 2, "the same id is taken once");
    let mut read = Delivered::default();
    bus.read(Sequence(0), ALL, &mut read).expect("reads");
    let first = &read.records[0];
    assert_eq!(read.attributes(first), br#"{"channel":"nats"}"#);
    assert!(first.taken > EventTime::from_micros(1_700_000_000_000_000));
    let refused = publisher.publish("nobody.takes.this", "x", Vec::new());
    assert_eq!(refused.expect_err("no stream").class, FaultClass::Retry);
}
