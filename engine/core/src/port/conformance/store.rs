//! What every store must do.
//!
//! One function after the other on one store, each with a partition and names of its own, so that what one leaves does
//! not matter to the next. Order matters in two places: retention comes last, since it forgets what the others left.

use crate::port::{
    Checkpoint, Commit, Committed, DeadFilter, DeadLetter, DeadNumber, DeadReason, Epoch,
    FaultClass, FindingFilter, KeptEvent, Partition, PortFault, Sequence, SnapshotKept, Store,
    StoredFinding,
};
use crate::rule::kind::EventTime;
use crate::wire::{FINDING_VERSION, Finding, Pattern, SuppressedCount};

type Open<'a> = &'a mut dyn FnMut() -> Box<dyn Store>;

const HOUR: i64 = 3_600_000_000;

/// Demands of a store what the trait says. `open` opens the same store each time, empty at first; the one opened before
/// is gone by then.
pub fn store(open: Open<'_>) {
    fencing(open);
    positions(open);
    identity(open);
    outgoing(open);
    sinks(open);
    dead_letters(open);
    filters(open);
    snapshots(open);
    odd_values(open);
    refusals(open);
    retention(open);
}

/// A finding with little in it.
pub fn finding(id: &str, rule: &str, counted: u64) -> Finding {
    Finding {
        version: FINDING_VERSION,
        finding_id: id.to_owned(),
        rule_id: rule.to_owned(),
        rule_version: "0123456789abcdef".to_owned(),
        rule_name: "a rule".to_owned(),
        severity: "high".to_owned(),
        title: format!("found {id}"),
        dedup_key: Vec::new(),
        event_id: format!("event-of-{id}"),
        event_time: Some("2026-01-01T00:00:00Z".to_owned()),
        context: serde_json::Map::new(),
        attack: Vec::new(),
        notes: Vec::new(),
        pattern: None,
        suppressed: (counted > 0).then(|| SuppressedCount {
            count: counted,
            last: "2026-01-01T00:00:00Z".to_owned(),
        }),
        revision: 0,
    }
}

/// A dead letter.
pub fn dead_letter(sequence: u64, payload: &[u8]) -> DeadLetter {
    DeadLetter {
        partition: Partition(1),
        sequence: Sequence(sequence),
        taken: EventTime::from_micros(5),
        reason: DeadReason::Malformed {
            detail: "no JSON".to_owned(),
        },
        bytes: payload.len() as u64,
        attributes: b"{}".to_vec(),
        payload: payload.to_vec(),
    }
}

fn take(store: &dyn Store, partition: u32) -> Checkpoint {
    store.take_over(Partition(partition)).expect("takes over")
}

fn commit_of(partition: u32, epoch: Epoch, position: u64, findings: Vec<Finding>) -> Commit {
    Commit {
        partition: Partition(partition),
        epoch,
        position: Sequence(position),
        findings,
        ..Commit::default()
    }
}

fn class<T: std::fmt::Debug>(result: Result<T, PortFault>) -> FaultClass {
    result.expect_err("is refused").class
}

fn newest(store: &dyn Store) -> u64 {
    store.newest().expect("has a newest").0
}

fn outgoing_after(store: &dyn Store, after: u64) -> Vec<StoredFinding> {
    store
        .outgoing(Sequence(after), usize::MAX)
        .expect("tells what goes out")
}

fn fencing(open: Open<'_>) {
    let store = open();
    let commit = commit_of(1, Epoch(0), 1, Vec::new());
    assert_eq!(class(store.commit(&commit)), FaultClass::Fenced);
    let commit = commit_of(1, Epoch(1), 1, Vec::new());
    assert_eq!(class(store.commit(&commit)), FaultClass::Fenced);
    let first = take(&*store, 1);
    assert_eq!(
        (first.epoch, first.position, first.starts),
        (Epoch(1), Sequence(0), 1)
    );
    assert_eq!(first.snapshot, None);
    let second = take(&*store, 1);
    assert_eq!((second.epoch, second.starts), (Epoch(2), 2));
    let before = newest(&*store);
    let stale = commit_of(1, first.epoch, 9, vec![finding("stale", "fencing", 0)]);
    assert_eq!(class(store.commit(&stale)), FaultClass::Fenced);
    assert_eq!(store.finding("stale").expect("reads"), None);
    assert_eq!(newest(&*store), before, "nothing of it is there");
    let snapshot = SnapshotKept {
        position: Sequence(0),
        bytes: vec![1],
    };
    assert_eq!(
        class(store.keep_snapshot(Partition(1), first.epoch, &snapshot)),
        FaultClass::Fenced
    );
    // Another partition has epochs of its own.
    assert_eq!(take(&*store, 2).epoch, Epoch(1));
    drop(store);
    let store = open();
    assert_eq!(
        class(store.commit(&commit_of(1, Epoch(1), 9, Vec::new()))),
        FaultClass::Fenced
    );
    store
        .commit(&commit_of(1, second.epoch, 9, Vec::new()))
        .expect("the last holder commits");
    let third = take(&*store, 1);
    assert_eq!((third.epoch, third.position), (Epoch(3), Sequence(9)));
}

fn positions(open: Open<'_>) {
    let store = open();
    let epoch = take(&*store, 10).epoch;
    let committed = store
        .commit(&commit_of(10, epoch, 7, Vec::new()))
        .expect("takes an empty commit");
    assert_eq!(committed, Committed::default());
    assert_eq!(
        class(store.commit(&commit_of(10, epoch, 6, vec![finding("back", "p", 0)]))),
        FaultClass::Reject
    );
    assert_eq!(store.finding("back").expect("reads"), None);
    drop(store);
    let store = open();
    // The first take-over after the position moved is the first start; one that does not move it does not count.
    let taken = take(&*store, 10);
    assert_eq!((taken.position, taken.starts), (Sequence(7), 1));
    store
        .commit(&commit_of(10, taken.epoch, 7, Vec::new()))
        .expect("takes a commit that stays");
    let taken = take(&*store, 10);
    assert_eq!((taken.position, taken.starts), (Sequence(7), 2));
    drop(store);
    let store = open();
    let taken = take(&*store, 10);
    assert_eq!(taken.starts, 3);
    let mut well = commit_of(10, taken.epoch, 7, Vec::new());
    well.is_well_started = true;
    store.commit(&well).expect("takes a commit that says so");
    let taken = take(&*store, 10);
    assert_eq!((taken.position, taken.starts), (Sequence(7), 1));
    store
        .commit(&commit_of(10, taken.epoch, u64::MAX, Vec::new()))
        .expect("goes as far as there are numbers");
    let taken = take(&*store, 10);
    assert_eq!((taken.position, taken.starts), (Sequence(u64::MAX), 1));
}

fn identity(open: Open<'_>) {
    let store = open();
    let epoch = take(&*store, 20).epoch;
    let before = newest(&*store);
    let commit = |store: &dyn Store, findings| {
        store
            .commit(&commit_of(20, epoch, 1, findings))
            .expect("commits")
    };
    let counts = |new, renewed| Committed { new, renewed };
    let one = || finding("identity", "identity", 0);
    assert_eq!(commit(&*store, vec![one()]), counts(1, 0));
    assert_eq!(commit(&*store, vec![one(), one()]), counts(0, 0));
    assert_eq!(newest(&*store), before + 1);
    // More was counted on it; how often it was told before does not matter.
    let mut more = finding("identity", "identity", 5);
    more.revision = 40;
    assert_eq!(commit(&*store, vec![more.clone()]), counts(0, 1));
    let stored = store.finding("identity").expect("reads").expect("is there");
    assert_eq!(
        (stored.number.0, stored.finding.revision),
        (before + 2, 1),
        "a version of its own, one revision on"
    );
    more.revision = 1;
    assert_eq!(stored.finding, more);
    // Less or the same is nothing new.
    let less = finding("identity", "identity", 4);
    assert_eq!(commit(&*store, vec![less, more]), counts(0, 0));
    // Within one commit the same rule holds, in order.
    let many = [3, 1, 3, 8]
        .map(|counted| finding("twice", "identity", counted))
        .to_vec();
    assert_eq!(commit(&*store, many), counts(1, 1));
    drop(store);
    let store = open();
    let stored = store.finding("twice").expect("reads").expect("is there");
    assert_eq!((stored.number.0, stored.finding.revision), (before + 4, 1));
    let told: Vec<(u64, String, u32)> = outgoing_after(&*store, before)
        .into_iter()
        .map(|one| (one.number.0, one.finding.finding_id, one.finding.revision))
        .collect();
    let wanted = [("identity", 0), ("identity", 1), ("twice", 0), ("twice", 1)];
    let wanted: Vec<_> = (before + 1..)
        .zip(wanted)
        .map(|(number, (id, revision))| (number, id.to_owned(), revision))
        .collect();
    assert_eq!(told, wanted, "every version goes out once, in order");
    assert_eq!(store.finding("nobody").expect("reads"), None);
    assert_eq!(store.finding("").expect("reads"), None);
}

fn outgoing(open: Open<'_>) {
    let store = open();
    let epoch = take(&*store, 30).epoch;
    let before = newest(&*store);
    for batch in 0..10_u64 {
        let findings = (0..batch)
            .map(|one| finding(&format!("out-{batch}-{one}"), "outgoing", 0))
            .collect();
        store
            .commit(&commit_of(30, epoch, batch, findings))
            .expect("commits");
    }
    let wanted: Vec<String> = (0..10)
        .flat_map(|batch| (0..batch).map(move |one| format!("out-{batch}-{one}")))
        .collect();
    drop(store);
    let store = open();
    assert_eq!(newest(&*store), before + 45);
    let mut after = before;
    let mut got = Vec::new();
    loop {
        let some = store.outgoing(Sequence(after), 7).expect("reads");
        assert!(some.len() <= 7);
        let Some(last) = some.last() else { break };
        assert!(some[0].number.0 > after);
        after = last.number.0;
        got.extend(some.into_iter().map(|one| one.finding.finding_id));
    }
    assert_eq!(got, wanted);
    assert!(
        store
            .outgoing(Sequence(before), 0)
            .expect("reads")
            .is_empty()
    );
    assert!(outgoing_after(&*store, u64::MAX).is_empty());
    // Numbers go on where they were.
    let epoch = take(&*store, 30).epoch;
    store
        .commit(&commit_of(
            30,
            epoch,
            9,
            vec![finding("out-last", "outgoing", 0)],
        ))
        .expect("commits");
    let stored = store.finding("out-last").expect("reads").expect("is there");
    assert_eq!(stored.number.0, before + 46);
}

fn sinks(open: Open<'_>) {
    let store = open();
    let top = newest(&*store);
    assert!(top >= 3, "what came before left findings");
    assert_eq!(store.sink_position("mail").expect("reads"), Sequence(0));
    assert!(
        store.sinks().expect("reads").is_empty(),
        "asking makes no sink"
    );
    let reach =
        |store: &dyn Store, sink: &str, position| store.sink_reached(sink, Sequence(position), &[]);
    reach(&*store, "mail", 3).expect("moves");
    reach(&*store, "mail", 2).expect("stays");
    reach(&*store, "über/pager", 0).expect("is known");
    assert_eq!(class(reach(&*store, "mail", top + 1)), FaultClass::Reject);
    assert_eq!(class(reach(&*store, "", 1)), FaultClass::Reject);
    drop(store);
    let store = open();
    assert_eq!(store.sink_position("mail").expect("reads"), Sequence(3));
    let known = store.sinks().expect("reads");
    let wanted = [("mail", 3), ("über/pager", 0)];
    assert_eq!(
        known,
        wanted.map(|(sink, position)| (sink.to_owned(), Sequence(position)))
    );
    assert!(store.forget_sink("über/pager").expect("forgets"));
    assert!(!store.forget_sink("über/pager").expect("is not there"));
    assert!(store.forget_sink("mail").expect("forgets"));
    drop(store);
    let store = open();
    assert!(store.sinks().expect("reads").is_empty());
    assert_eq!(store.sink_position("mail").expect("reads"), Sequence(0));
}

fn dead_letters(open: Open<'_>) {
    let store = open();
    let epoch = take(&*store, 40).epoch;
    let all = |store: &dyn Store, after: DeadNumber, max| {
        store
            .dead_letters(&DeadFilter { after, max })
            .expect("reads")
    };
    assert!(all(&*store, DeadNumber(0), 10).is_empty());
    let no_text = [0xff, 0xfe, 0, b'\n', 0xc3, 0x28];
    let mut commit = commit_of(40, epoch, 1, Vec::new());
    commit.dead = vec![dead_letter(1, b"one"), dead_letter(2, &no_text)];
    commit.dead[1].attributes = no_text.to_vec();
    store.commit(&commit).expect("commits");
    let mut of_sink = dead_letter(3, b"{}");
    of_sink.reason = DeadReason::Sink {
        sink: "pager".to_owned(),
        detail: "410 gone".to_owned(),
    };
    store
        .sink_reached("dead-sink", Sequence(1), std::slice::from_ref(&of_sink))
        .expect("moves");
    assert!(store.forget_sink("dead-sink").expect("forgets"));
    drop(store);
    let store = open();
    let letters = all(&*store, DeadNumber(0), 10);
    let [(first, one), (second, two), (third, three)] = &letters[..] else {
        panic!("{letters:?}")
    };
    assert!(first < second && second < third);
    assert_eq!([one, two], [&commit.dead[0], &commit.dead[1]]);
    assert_eq!(*three, of_sink);
    assert_eq!(all(&*store, *first, 1), letters[1..2]);
    assert!(all(&*store, DeadNumber(u64::MAX), 1).is_empty());
    assert_eq!(
        store.dead_letter(*second).expect("reads").as_ref(),
        Some(two)
    );
    let dropped = store
        .drop_dead_letters(&[*second, *second, DeadNumber(u64::MAX), *first])
        .expect("drops");
    assert_eq!(dropped, 2, "each that was there, once");
    assert_eq!(store.dead_letter(*second).expect("reads"), None);
    drop(store);
    let store = open();
    assert_eq!(all(&*store, DeadNumber(0), 10), letters[2..]);
    // What is too long to keep is cut, and still says how long it was.
    let mut commit = commit_of(40, take(&*store, 40).epoch, 2, Vec::new());
    commit.dead = vec![dead_letter(4, &vec![b'x'; 3 << 20])];
    store.commit(&commit).expect("commits");
    let (number, long) = all(&*store, *third, 1).remove(0);
    assert!(number > *third, "numbers are not used again");
    assert_eq!(long.bytes, 3 << 20);
    assert!(!long.payload.is_empty() && long.payload.len() < 3 << 20);
    assert!(commit.dead[0].payload.starts_with(&long.payload));
    assert_eq!(
        store.drop_dead_letters(&[number, *third]).expect("drops"),
        2
    );
    assert_eq!(store.dead_given_way().expect("reads"), 0);
}

fn filters(open: Open<'_>) {
    let store = open();
    let epoch = take(&*store, 50).epoch;
    let before = newest(&*store);
    let of = |id: &str, rule: &str, severity: &str, time: Option<&str>| {
        let mut made = finding(id, rule, 0);
        made.severity = severity.to_owned();
        made.event_time = time.map(str::to_owned);
        made
    };
    let findings = vec![
        of("f1", "left", "low", Some("2026-03-01T00:00:00Z")),
        of("f2", "right", "high", Some("2026-03-01T00:00:00.5Z")),
        of("f3", "left", "critical", None),
        of("f4", "left", "high", Some("2026-02-28T23:59:59.999Z")),
        finding("f1", "left", 1),
    ];
    store
        .commit(&commit_of(50, epoch, 1, findings))
        .expect("commits");
    let ids = |filter: &FindingFilter| {
        let mut ids = Vec::new();
        let mut filter = filter.clone();
        loop {
            let page = store.findings(&filter).expect("reads");
            assert!(page.found.len() <= filter.max);
            for one in page.found {
                if one.number.0 > before {
                    ids.push(one.finding.finding_id);
                }
            }
            match page.next {
                Some(next) => assert!(filter.before.is_none_or(|before| next <= before)),
                None => return ids,
            }
            assert_ne!(filter.before, page.next, "it goes on");
            filter.before = page.next;
        }
    };
    let most = |max| FindingFilter {
        max,
        ..FindingFilter::default()
    };
    for max in [1, 2, 100] {
        assert_eq!(
            ids(&most(max)),
            ["f1", "f4", "f3", "f2"],
            "newest version first"
        );
    }
    let of_rule = FindingFilter {
        rule: Some("left".to_owned()),
        ..most(1)
    };
    assert_eq!(ids(&of_rule), ["f1", "f4", "f3"]);
    let severe = FindingFilter {
        severities: vec!["critical".to_owned(), "low".to_owned()],
        ..most(9)
    };
    assert_eq!(ids(&severe), ["f3"], "as its newest version has it");
    let march: jiff::Timestamp = "2026-03-01T00:00:00Z".parse().expect("a time");
    let since = FindingFilter {
        since: Some(EventTime::from_micros(march.as_microsecond())),
        ..most(9)
    };
    assert_eq!(ids(&since), ["f2"], "compared as times, not as texts");
    let early = FindingFilter {
        before: Some(Sequence(before + 3)),
        ..most(9)
    };
    assert_eq!(ids(&early), ["f2"], "the old version of f1 is not shown");
}

fn snapshots(open: Open<'_>) {
    let store = open();
    let epoch = take(&*store, 60).epoch;
    let keep = |store: &dyn Store, epoch, position, bytes: &[u8]| {
        let snapshot = SnapshotKept {
            position: Sequence(position),
            bytes: bytes.to_vec(),
        };
        store.keep_snapshot(Partition(60), epoch, &snapshot)
    };
    let kept = |store: &dyn Store| {
        let taken = take(store, 60);
        let snapshot = taken.snapshot.expect("a snapshot");
        (taken.epoch, snapshot.position.0, snapshot.bytes)
    };
    assert_eq!(class(keep(&*store, epoch, 1, b"ahead")), FaultClass::Reject);
    store
        .commit(&commit_of(60, epoch, 10, Vec::new()))
        .expect("commits");
    keep(&*store, epoch, 5, b"five").expect("keeps");
    keep(&*store, epoch, 9, b"").expect("keeps nothing at all");
    keep(&*store, epoch, 8, b"older").expect("leaves it aside");
    drop(store);
    let store = open();
    let (epoch, position, bytes) = kept(&*store);
    assert_eq!((position, &bytes[..]), (9, &b""[..]));
    keep(&*store, epoch, 9, b"the same records").expect("keeps the newer one");
    assert_eq!(kept(&*store).2, b"the same records");
    let (epoch, ..) = kept(&*store);
    let large: Vec<u8> = (0..9_000_000_u32).map(|one| (one >> 7) as u8).collect();
    keep(&*store, epoch, 10, &large).expect("keeps a large one");
    drop(store);
    let store = open();
    let (_, position, bytes) = kept(&*store);
    assert_eq!(position, 10);
    assert!(bytes == large, "every byte of it");
    assert_eq!(take(&*store, 61).snapshot, None, "others have none");
}

fn odd_values(open: Open<'_>) {
    let store = open();
    let epoch = take(&*store, 70).epoch;
    let mut odd = finding("odd \u{0}\u{10ffff}\"\\\n", "odd", 0);
    odd.title = "\u{202e}\u{0}😀".to_owned();
    odd.context.insert(
        "number".to_owned(),
        serde_json::json!([1e300, -0.0, u64::MAX]),
    );
    odd.pattern = Some(Pattern {
        kind: "risk".to_owned(),
        group: vec![String::new()],
        start: String::new(),
        end: String::new(),
        count: u64::MAX,
        value: 0.1 + 0.2,
        event_ids: (0..100).map(|one| format!("odd-{one}")).collect(),
    });
    let mut long = finding("long", "odd", 0);
    long.title = "y".repeat(3 << 20);
    let mut commit = commit_of(70, epoch, 1, vec![odd.clone(), long.clone()]);
    let event = |id: &str, bytes: &[u8]| KeptEvent {
        id: id.to_owned(),
        bytes: bytes.to_vec(),
    };
    let large = vec![b'z'; 16 << 20];
    let no_text = [0xff, 0, 0xfe];
    commit.events = vec![
        event("large", &large),
        event("no text", &no_text),
        event("empty", b""),
        event("again", b"first"),
        event("again", b"second"),
        event(&"i".repeat(4096), b"long id"),
    ];
    store.commit(&commit).expect("commits");
    drop(store);
    let store = open();
    let read = |id: &str| store.finding(id).expect("reads").expect("is there").finding;
    assert_eq!(read(&odd.finding_id), odd);
    assert!(read("long") == long);
    let read = |id: &str| store.event(id).expect("reads");
    assert!(read("large") == Some(large), "every byte of it");
    assert_eq!(read("no text"), Some(no_text.to_vec()));
    assert_eq!(read("empty"), Some(Vec::new()));
    assert_eq!(read("again"), Some(b"second".to_vec()));
    assert_eq!(read(&"i".repeat(4096)), Some(b"long id".to_vec()));
    assert_eq!(read("nobody"), None);
    assert_eq!(read(""), None);
}

fn refusals(open: Open<'_>) {
    let store = open();
    let epoch = take(&*store, 80).epoch;
    let before = newest(&*store);
    let good = || finding("refused with others", "refusals", 0);
    let mut long = finding("too long", "refusals", 0);
    long.title = "y".repeat(5 << 20);
    for bad in [
        long,
        finding("", "refusals", 0),
        finding(&"i".repeat(5000), "r", 0),
    ] {
        let commit = commit_of(80, epoch, 1, vec![good(), bad]);
        assert_eq!(class(store.commit(&commit)), FaultClass::Reject);
    }
    let mut commit = commit_of(80, epoch, 1, vec![good()]);
    commit.events = vec![KeptEvent {
        id: "too large".to_owned(),
        bytes: vec![0; (16 << 20) + 1],
    }];
    assert_eq!(class(store.commit(&commit)), FaultClass::Reject);
    assert_eq!(newest(&*store), before);
    assert_eq!(store.finding("refused with others").expect("reads"), None);
    let taken = take(&*store, 80);
    assert_eq!(taken.position, Sequence(0), "all or nothing");
    store
        .commit(&commit_of(80, taken.epoch, 1, vec![good()]))
        .expect("and it goes on");
}

fn retention(open: Open<'_>) {
    let store = open();
    let at = EventTime::from_micros;
    let start = 1_000 * HOUR;
    let epoch = take(&*store, 90).epoch;
    let before = newest(&*store);
    let commit = |store: &dyn Store, hour: i64, ids: &[&str], cited: &str| {
        store.set_now(at(start + hour * HOUR));
        let findings = ids.iter().map(|id| {
            let mut made = finding(id, "retention", u64::try_from(hour).expect("after 0"));
            made.event_id = cited.to_owned();
            made
        });
        let mut commit = commit_of(90, epoch, 1, findings.collect());
        commit.dead = vec![dead_letter(1, format!("dead-{hour}").as_bytes())];
        if hour < 2 {
            commit.events = vec![KeptEvent {
                id: cited.to_owned(),
                bytes: b"cited".to_vec(),
            }];
        }
        store.commit(&commit).expect("commits");
    };
    let there = |store: &dyn Store, id: &str| store.finding(id).expect("reads").is_some();
    let event = |store: &dyn Store, id: &str| store.event(id).expect("reads").is_some();
    commit(&*store, 0, &["old", "renewed"], "shared");
    commit(&*store, 1, &["second"], "alone");
    commit(&*store, 5, &["third", "renewed"], "shared");
    // The clock does not go back.
    store.set_now(at(0));
    commit(&*store, 6, &["fourth"], "none");
    let top = newest(&*store);
    store
        .sink_reached("slow", Sequence(before + 2), &[])
        .expect("moves");
    drop(store);

    let store = open();
    // Everything from before this function, and nothing of it.
    store.forget_before(at(start)).expect("forgets");
    assert!(!there(&*store, "identity") && !event(&*store, "large"));
    assert!(there(&*store, "old") && event(&*store, "shared"));
    // All of it is old enough, but the slow sink has yet to take what comes after two.
    let gone = store.forget_before(at(start + 50 * HOUR)).expect("forgets");
    assert_eq!(
        gone, 1,
        "the old one; of the renewed one a newer version waits"
    );
    assert!(!there(&*store, "old") && there(&*store, "renewed"));
    assert!(there(&*store, "second") && event(&*store, "alone"));
    assert_eq!(outgoing_after(&*store, 0).len() as u64, top - before - 2);
    let letters = DeadFilter {
        after: DeadNumber(0),
        max: 9,
    };
    assert!(store.dead_letters(&letters).expect("reads").is_empty());
    drop(store);

    let store = open();
    assert!(store.forget_sink("slow").expect("forgets"));
    let gone = store.forget_before(at(start + 5 * HOUR)).expect("forgets");
    assert_eq!(gone, 1, "only what is older; what was stored then stays");
    assert!(!there(&*store, "second") && there(&*store, "third"));
    assert!(!event(&*store, "alone"), "nothing cites it any more");
    assert!(event(&*store, "shared"), "cited again later");
    let gone = store.forget_before(at(start + 9 * HOUR)).expect("forgets");
    assert_eq!(gone, 3);
    assert!(!event(&*store, "shared"));
    assert!(
        store
            .findings(&FindingFilter {
                max: 9,
                ..FindingFilter::default()
            })
            .expect("reads")
            .found
            .is_empty()
    );
    drop(store);

    // Nothing is left, and still no number is used twice; positions stay.
    let store = open();
    assert_eq!(newest(&*store), top);
    let taken = take(&*store, 90);
    assert_eq!(taken.position, Sequence(1));
    store
        .commit(&commit_of(
            90,
            taken.epoch,
            2,
            vec![finding("old", "retention", 0)],
        ))
        .expect("commits");
    let stored = store.finding("old").expect("reads").expect("is new again");
    assert_eq!((stored.number.0, stored.finding.revision), (top + 1, 0));
}
