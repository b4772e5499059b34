//! The ledger on real servers: who is faster, what is long, what is killed in between.

use super::super::fault::Doing;
use super::super::stream::info_of;
use super::super::{LedgerSettings, NatsConnection, NatsLedger, NatsMembers};
use super::launcher::{NatsServer, Place, cluster};
use super::{Settings, settings};
use std::thread;
use std::time::{Duration, Instant};
use tripline_core::port::{Entry, FaultClass, Ledger, Members, PortFault, Sequence};

fn try_ledger(settings: &Settings) -> Result<NatsLedger, PortFault> {
    let wanted = LedgerSettings {
        prefix: settings.bus.prefix.clone(),
        stream: settings.bus.stream.clone(),
    };
    let connection = NatsConnection::open(&settings.connect)?;
    NatsLedger::open(&connection, &wanted).map(|(ledger, _)| ledger)
}

fn ledger(settings: &Settings) -> NatsLedger {
    try_ledger(settings).unwrap_or_else(|fault| panic!("{fault}: {:?}", fault.source))
}

/// What comes of it once servers that are away were missed.
fn patiently<T>(ask: impl Fn() -> Result<T, PortFault>) -> T {
    let begun = Instant::now();
    loop {
        match ask() {
            Ok(answer) => return answer,
            Err(fault) => assert!(
                fault.class == FaultClass::Retry && begun.elapsed() < Duration::from_secs(60),
                "{fault}: {:?}",
                fault.source
            ),
        }
    }
}

/// Everything after a place.
fn all(ledger: &NatsLedger, mut after: Sequence) -> Vec<Entry> {
    let last = patiently(|| ledger.last());
    let mut found = Vec::new();
    while after < last {
        let some = patiently(|| ledger.read(after));
        after = some.last().map_or(after, |one| one.place);
        found.extend(some);
    }
    found
}

/// Bytes that do not become fewer by packing.
fn noise(count: usize, seed: u64) -> Vec<u8> {
    let mut state = seed | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    (0..count).map(|_| next()).collect()
}

fn class<T>(result: Result<T, PortFault>) -> Option<FaultClass> {
    result.err().map(|fault| fault.class)
}

#[test]
fn whoever_expects_another_entry_is_refused() {
    let place = Place::new("ledger");
    let server = NatsServer::start(place.path(), "");
    let settings = settings(vec![server.url()]);
    let (one, other) = (ledger(&settings), ledger(&settings));
    assert_eq!(one.newest("a").expect("looks"), Sequence(0));
    let first = one.append("a", Some(Sequence(0)), b"1").expect("appends");
    let refused = other.append("a", Some(Sequence(0)), b"2");
    assert_eq!(class(refused), Some(FaultClass::Fenced));
    // Other keys are of no concern.
    let second = other.append("b", Some(Sequence(0)), b"3").expect("appends");
    // Of several messages, the last one counts.
    let long = noise(9 << 20, 7);
    let third = other.append("a", Some(first), &long).expect("appends");
    assert!(third.0 > second.0 + 1);
    let refused = one.append("a", Some(first), &long);
    assert_eq!(class(refused), Some(FaultClass::Fenced));
    assert_eq!(one.newest("a").expect("looks"), third);
    one.append("a", Some(third), b"4").expect("appends");
    one.append("a", None, b"5").expect("appends");
    let found = all(&other, Sequence(0));
    let bytes: Vec<&[u8]> = found.iter().map(|one| &one.bytes[..]).collect();
    assert_eq!(bytes, [b"1", b"3", &long[..], b"4", b"5"]);
    // Also from the middle, and by whoever was somewhere else.
    assert_eq!(all(&one, second), found[2..]);
    assert_eq!(all(&one, first), found[1..]);
    let end = one.last().expect("looks");
    assert!(!one.wait(end, Duration::from_millis(20)).expect("waits"));
    let too_long = vec![0; (256 << 20) + 1];
    assert_eq!(
        class(one.append("a", None, &too_long)),
        Some(FaultClass::Reject)
    );
}

#[test]
fn many_append_at_once_and_everybody_sees_the_same() {
    const EACH: u64 = 60;
    let place = Place::new("ledger-many");
    let mut server = NatsServer::start(place.path(), "");
    let settings = settings(vec![server.url()]);
    let reader = ledger(&settings);
    thread::scope(|scope| {
        for number in 0..3u64 {
            let settings = &settings;
            scope.spawn(move || {
                let own = ledger(settings);
                let (mut done, mut tried) = (0, 0);
                while done < EACH {
                    tried += 1;
                    assert!(tried < 100_000, "others are always faster");
                    let Ok(newest) = own.newest("key") else {
                        continue;
                    };
                    let entry = format!("{} {number} {done}", newest.0);
                    match own.append("key", Some(newest), entry.as_bytes()) {
                        Ok(_) => done += 1,
                        Err(fault) => assert!(
                            matches!(fault.class, FaultClass::Fenced | FaultClass::Retry),
                            "{fault}: {:?}",
                            fault.source
                        ),
                    }
                }
            });
        }
        for _ in 0..5 {
            thread::sleep(Duration::from_millis(150));
            server.kill();
            server.run();
        }
    });
    let found = all(&reader, Sequence(0));
    let mut newest = 0;
    let mut counts = [0u64; 3];
    for entry in &found {
        let text = String::from_utf8(entry.bytes.clone()).expect("text");
        let parts: Vec<u64> = text
            .split(' ')
            .map(|part| part.parse().expect("a number"))
            .collect();
        assert_eq!(parts[0], newest, "each has seen the one before it");
        newest = entry.place.0;
        let count = &mut counts[parts[1] as usize];
        // One whose answer was lost is there twice, as whoever appended it did not look.
        assert!(parts[2] == *count || parts[2] + 1 == *count, "{text}");
        *count = parts[2] + 1;
    }
    assert_eq!(counts, [EACH; 3]);
    assert_eq!(all(&ledger(&settings), Sequence(0)), found);
}

#[test]
fn a_ledger_that_is_shortened_begins_later_and_still_knows_who_was_the_newest() {
    let place = Place::new("ledger-shortened");
    let mut server = NatsServer::start(place.path(), "");
    let settings = settings(vec![server.url()]);
    let (one, other) = (ledger(&settings), ledger(&settings));
    assert_eq!(one.first().expect("looks"), Sequence(1));
    let first = one.append("a", Some(Sequence(0)), b"1").expect("appends");
    // Of several messages.
    let long = noise(3 << 20, 7);
    let second = one.append("b", Some(Sequence(0)), &long).expect("appends");
    let third = one.append("a", Some(first), b"3").expect("appends");
    let fourth = one.append("b", Some(second), b"4").expect("appends");
    assert_eq!(all(&other, Sequence(0)).len(), 4);
    one.purge(second).expect("shortens");
    one.purge(first).expect("changes nothing");
    for _ in 0..2 {
        assert_eq!(other.first().expect("looks"), third);
        assert_eq!(other.last().expect("looks"), fourth);
        let bytes: Vec<Vec<u8>> = all(&other, second)
            .into_iter()
            .map(|one| one.bytes)
            .collect();
        assert_eq!(bytes, [b"3", b"4"]);
        assert_eq!(one.newest("a").expect("looks"), third);
        let refused = one.append("a", Some(first), b"x");
        assert_eq!(class(refused), Some(FaultClass::Fenced));
        // What is gone is not passed over.
        assert_eq!(class(other.read(first)), Some(FaultClass::Stop));
        server.kill();
        server.run();
        patiently(|| other.last());
    }
    let fifth = patiently(|| one.append("a", Some(third), b"5"));
    assert_eq!(fifth, fourth.next());
}

#[test]
fn what_is_kept_is_there_whole() {
    let place = Place::new("ledger-kept");
    let server = NatsServer::start(place.path(), "");
    let settings = settings(vec![server.url()]);
    let (one, other) = (ledger(&settings), ledger(&settings));
    assert_eq!(one.kept("state-0-1").expect("looks"), None);
    assert!(one.names().expect("lists").is_empty());
    let bytes = noise(5 << 20, 3);
    one.keep("state-0-1", &bytes).expect("keeps");
    one.keep("state-0-2", b"").expect("keeps");
    assert_eq!(other.kept("state-0-1").expect("looks"), Some(bytes));
    assert_eq!(other.kept("state-0-2").expect("looks"), Some(Vec::new()));
    let mut names = other.names().expect("lists");
    names.sort();
    assert_eq!(names, ["state-0-1", "state-0-2"]);
    other.forget("state-0-1").expect("forgets");
    other.forget("state-0-9").expect("forgets");
    assert_eq!(one.kept("state-0-1").expect("looks"), None);
    assert_eq!(one.names().expect("lists"), ["state-0-2"]);
    // Nothing stays of what is forgotten, however much there was.
    let messages = || {
        let connection = &NatsConnection::open(&settings.connect).expect("connects").0;
        let doing = Doing::new("look");
        let info = connection.block_on(info_of(connection, "OBJ_trial-state", &doing));
        info.expect("looks").expect("is there").state.messages
    };
    let before = messages();
    for _ in 0..5 {
        one.keep("state-0-3", b"a").expect("keeps");
        one.forget("state-0-3").expect("forgets");
    }
    assert_eq!(messages(), before);
}

#[test]
fn three_servers_keep_a_ledger_while_one_is_away() {
    let place = Place::new("ledger-three");
    let mut servers = cluster(place.path());
    let mut settings = settings(servers.iter().map(NatsServer::url).collect());
    settings.bus.stream.replicas = 3;
    let begun = Instant::now();
    let ledger = loop {
        match try_ledger(&settings) {
            Ok(ledger) => break ledger,
            Err(fault) => assert!(
                begun.elapsed() < Duration::from_secs(60),
                "{fault}: {:?}",
                fault.source
            ),
        }
        thread::sleep(Duration::from_millis(100));
    };
    let mut newest = Sequence(0);
    for number in 0..30u64 {
        match number {
            10 => servers[0].kill(),
            20 => {
                servers[0].run();
                servers[1].kill();
            }
            _ => {}
        }
        let entry = number.to_string();
        newest = loop {
            match ledger.append("key", Some(newest), entry.as_bytes()) {
                Ok(place) => break place,
                Err(fault) if fault.class == FaultClass::Retry => {}
                // The try before came after all.
                Err(fault) if fault.class == FaultClass::Fenced => {
                    let found = all(&ledger, newest);
                    assert_eq!(found.len(), 1);
                    assert_eq!(found[0].bytes, entry.as_bytes());
                    break found[0].place;
                }
                Err(fault) => panic!("{fault}: {:?}", fault.source),
            }
            assert!(begun.elapsed() < Duration::from_secs(120), "takes too long");
        };
    }
    let found = all(&ledger, Sequence(0));
    let numbers: Vec<String> = found
        .into_iter()
        .map(|one| String::from_utf8(one.bytes).expect("text"))
        .collect();
    let wanted: Vec<String> = (0..30).map(|number| number.to_string()).collect();
    assert_eq!(numbers, wanted);
}

#[test]
fn whoever_falls_silent_is_gone() {
    let place = Place::new("members");
    let server = NatsServer::start(place.path(), "");
    let settings = settings(vec![server.url()]);
    let connection = NatsConnection::open(&settings.connect).expect("connects");
    let open = || NatsMembers::open(&connection, "trial", 1).expect("opens");
    let (one, other) = (open(), open());
    let present = || other.present().expect("looks");
    assert_eq!(present(), []);
    one.announce("anna", b"1").expect("says");
    one.announce("anna", b"2").expect("says");
    other.announce("berta", b"3").expect("says");
    let wanted = [
        ("anna".to_owned(), b"2".to_vec()),
        ("berta".to_owned(), b"3".to_vec()),
    ];
    let mut found = present();
    found.sort();
    assert_eq!(found, wanted);
    one.leave("anna").expect("leaves");
    assert_eq!(present(), wanted[1..]);
    let begun = Instant::now();
    while !present().is_empty() {
        assert!(begun.elapsed() < Duration::from_secs(30), "it stays");
        thread::sleep(Duration::from_millis(200));
    }
    assert!(begun.elapsed() > Duration::from_secs(2));
}
