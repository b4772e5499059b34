//! Capabilities refuse as carefully as they give.

use super::events::{EventRows, Value};
use super::kv::{Kv, Stores};
use super::limits::*;
use super::log::Level;
use super::*;
use crate::manifest::KvBounds;
use crate::operator::{Rights, SecretSource};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

#[derive(Debug, Default)]
struct Hand(AtomicU64);

impl Clock for Hand {
    fn now_ms(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

struct Rows;

impl EventRows for Rows {
    fn rows(&self) -> u32 {
        2
    }

    fn get(&self, row: u32, path: &str) -> Value {
        match path {
            "nan" => Value::Float(f64::NAN),
            _ => Value::Text(format!("{row}.{path}")),
        }
    }

    fn raw(&self, row: u32) -> Vec<u8> {
        vec![row as u8]
    }
}

fn call(rights: Rights) -> Call {
    let kv = rights.kv.map(|bounds| Arc::new(Kv::new(bounds)));
    let means = Means {
        base: Path::new("."),
        clock: Arc::new(Hand(AtomicU64::new(7))),
        kv,
        secret: &|_: &SecretSource| None,
        requests_per_minute: 1,
    };
    let shared = Shared::open(rights, means).expect("nothing is needed");
    let deadline = Instant::now() + Duration::from_secs(5);
    Call::new(Arc::new(shared), Some(Arc::new(Rows)), deadline)
}

fn check_fault<T: std::fmt::Debug>(found: Result<T, Fault>, kind: FaultKind, expected: &str) {
    let fault = found.expect_err(expected);
    assert!(
        fault.kind == kind && fault.message.contains(expected),
        "wanted {expected}: {fault}"
    );
}

#[test]
fn what_is_not_granted_is_not_given() {
    let mut call = call(Rights::default());
    call.log(Level::Error, "hello", &[]);
    call.metric_add("a", 1);
    call.metric_observe("a", 1.0);
    assert_eq!(call.now_ms(), 0);
    assert!(call.random(1).is_err());
    let key = ["a".to_owned()];
    check_fault(call.kv_get(&key), FaultKind::Denied, "`kv` is not granted");
    check_fault(
        call.kv_set(&[("a".into(), vec![])], 1),
        FaultKind::Denied,
        "`kv`",
    );
    check_fault(call.kv_add("a", 1, 1), FaultKind::Denied, "`kv`");
    check_fault(call.kv_delete(&key), FaultKind::Denied, "`kv`");
    check_fault(
        call.lookup_columns("a"),
        FaultKind::NotFound,
        "no table `a`",
    );
    check_fault(
        call.lookup_find("a\u{1b}", &key),
        FaultKind::NotFound,
        "no table `a\\u{1b}`",
    );
    check_fault(
        call.event_get(0, "a"),
        FaultKind::Denied,
        "`events` is not granted",
    );
    check_fault(
        call.event_raw(0),
        FaultKind::Denied,
        "`events` is not granted",
    );
    check_fault(
        call.http_send(&http::Request::default()),
        FaultKind::Denied,
        "`http` is not granted",
    );
    assert_eq!(call.shared().metrics().refused(), 2);
    let log = call.into_log();
    assert_eq!((log.lines.len(), log.dropped), (0, 1));
}

#[test]
fn tables_and_secrets_that_are_not_there_stop_the_plugin() {
    let rights = Rights {
        lookup: vec![("hosts".into(), "not-there.csv".into())],
        ..Rights::default()
    };
    let means = Means {
        base: Path::new("/nowhere"),
        clock: Arc::new(SystemClock),
        kv: None,
        secret: &|_: &SecretSource| None,
        requests_per_minute: 1,
    };
    let fault = Shared::open(rights, means)
        .err()
        .expect("there is no such file");
    let told = "the table `hosts` cannot be read: /nowhere/not-there.csv";
    assert_eq!(fault.to_string(), told);
}

#[test]
fn lines_are_escaped_and_bounded() {
    let rights = || Rights {
        log: true,
        ..Rights::default()
    };
    let mut one = call(rights());
    let fields = [("user\n".to_owned(), "\u{1b}[2J\u{202e}".to_owned())];
    one.log(Level::Warn, "a\r\nb", &fields);
    one.log(Level::Info, &"ä".repeat(10_000), &fields);
    one.log(Level::Info, &"\u{0}".repeat(1 << 20), &[]);
    one.log(
        Level::Info,
        "",
        &vec![(String::new(), String::new()); 100_000],
    );
    let log = one.take_log();
    assert_eq!((log.lines.len(), log.cut, log.dropped), (4, 3, 0));
    assert_eq!(log.lines[0].message, "a\\u{d}\\u{a}b");
    let shown = ("user\\u{a}".to_owned(), "\\u{1b}[2J\\u{202e}".to_owned());
    assert_eq!(log.lines[0].fields, [shown]);
    assert_eq!(
        (log.lines[1].message.len(), log.lines[1].fields.len()),
        (1024, 0)
    );
    assert!(log.lines[2].message.len() <= 1024 && log.lines[2].message.ends_with("\\u{0}"));
    assert_eq!(log.lines[3].fields.len(), 512);
    assert_eq!(one.take_log(), log::CallLog::default());

    let mut flood = call(rights());
    for _ in 0..10_000 {
        flood.log(Level::Trace, &"x".repeat(900), &[]);
    }
    let log = flood.take_log();
    let bytes: usize = log.lines.iter().map(|line| line.message.len()).sum();
    assert!(
        bytes <= LOG_CALL_BYTES_MAX && bytes > LOG_CALL_BYTES_MAX - 1100,
        "{bytes}"
    );
    assert_eq!(log.dropped + log.lines.len() as u64, 10_000);
    for _ in 0..100_000 {
        flood.log(Level::Trace, "", &[]);
    }
    assert!(flood.take_log().lines.len() <= LOG_CALL_BYTES_MAX / LOG_LINE_COST);
}

#[test]
fn chance_is_bounded() {
    let call = call(Rights {
        random: true,
        clock: true,
        ..Rights::default()
    });
    assert_eq!(call.now_ms(), 7);
    assert_eq!(call.random(0), Ok(vec![]));
    let (one, other) = (call.random(4096), call.random(4096));
    assert_eq!(one.as_ref().map(Vec::len), Ok(4096));
    assert_ne!(one, other);
    assert_eq!(call.random(4097), Err(TooMuch(4097)));
    assert_eq!(call.random(u32::MAX), Err(TooMuch(u32::MAX)));
}

#[test]
fn events_are_asked_for_by_row_and_path() {
    let call = call(Rights {
        events: true,
        ..Rights::default()
    });
    assert_eq!(call.event_get(1, "a.b"), Ok(Value::Text("1.a.b".into())));
    assert_eq!(call.event_get(1, "nan"), Ok(Value::Null));
    assert_eq!(call.event_raw(1), Ok(vec![1]));
    for row in [2, u32::MAX] {
        check_fault(
            call.event_get(row, "a"),
            FaultKind::InvalidInput,
            "there is no row",
        );
        check_fault(
            call.event_raw(row),
            FaultKind::InvalidInput,
            "there is no row",
        );
    }
    for path in ["", ".", "a..b", "a b", "a\0", &"a".repeat(300)] {
        check_fault(
            call.event_get(0, path),
            FaultKind::InvalidInput,
            "no dotted path",
        );
    }
}

#[test]
fn counters_have_the_names_of_the_manifest() {
    let call = call(Rights {
        metrics: vec!["hits".into(), "size".into()],
        ..Rights::default()
    });
    call.metric_add("hits", 2);
    call.metric_add("hits", u64::MAX);
    call.metric_add("other", 1);
    for value in [3.0, -1.0, f64::NAN, f64::INFINITY, f64::MAX, f64::MAX] {
        call.metric_observe("size", value);
    }
    let metrics = call.shared().metrics();
    assert_eq!(metrics.refused(), 3);
    let readings = metrics.readings();
    assert_eq!(
        (readings[0].name.as_str(), readings[0].total),
        ("hits", u64::MAX)
    );
    let observed = readings[1].observed;
    assert_eq!(
        (observed.count, observed.least, observed.greatest),
        (4, -1.0, f64::MAX)
    );
    assert!(observed.sum.is_finite());
}

fn store(bytes: u64) -> Kv {
    Kv::new(KvBounds {
        bytes,
        ttl_ms_max: 1000,
    })
}

fn pair(key: &str, value: &str) -> (String, Vec<u8>) {
    (key.into(), value.into())
}

fn read(kv: &Kv, key: &str, now_ms: u64) -> Option<String> {
    let values = kv.get(&[key.to_owned()], now_ms).expect("the key is sound");
    values[0]
        .clone()
        .map(|value| String::from_utf8(value).expect("text"))
}

#[test]
fn what_is_set_is_there_until_it_expires() {
    let kv = store(10_000);
    kv.set(&[pair("a", "1"), pair("b", "2")], 100, 1000)
        .expect("there is room");
    let keys = ["b".to_owned(), "no".to_owned(), "a".to_owned()];
    let values = kv.get(&keys, 1000).expect("the keys are sound");
    assert_eq!(values, [Some(b"2".to_vec()), None, Some(b"1".to_vec())]);
    assert_eq!(read(&kv, "a", 1099).as_deref(), Some("1"));
    assert_eq!(read(&kv, "a", 1100), None);
    kv.set(&[pair("a", "3")], 1000, 1050)
        .expect("there is room");
    assert_eq!(read(&kv, "a", 1500).as_deref(), Some("3"));
    kv.delete(&keys).expect("absent keys are ignored");
    assert_eq!((read(&kv, "a", 1050), kv.used()), (None, 0));
    kv.set(&[pair("x", "1"), pair("x", "22")], 1, 0)
        .expect("there is room");
    assert_eq!(read(&kv, "x", 0).as_deref(), Some("22"));
    assert_eq!(kv.used(), (3 + KV_ENTRY_COST) as u64);
    kv.set(&[pair("late", "1")], 1000, u64::MAX)
        .expect("time does not wrap");
    assert_eq!(kv.used(), (5 + KV_ENTRY_COST) as u64);
}

#[test]
fn numbers_are_added_to() {
    let kv = store(10_000);
    assert_eq!(kv.add("n", 5, 100, 0), Ok(5));
    assert_eq!(kv.add("n", -7, 100, 50), Ok(-2));
    assert_eq!(read(&kv, "n", 60).as_deref(), Some("-2"));
    assert_eq!(kv.add("n", 1, 100, 150), Ok(1), "it had expired");
    kv.set(
        &[pair("t", "text"), pair("max", "9223372036854775807")],
        100,
        0,
    )
    .expect("room");
    check_fault(
        kv.add("t", 1, 100, 0),
        FaultKind::InvalidInput,
        "is no number",
    );
    check_fault(
        kv.add("max", 1, 100, 0),
        FaultKind::InvalidInput,
        "too large",
    );
    assert_eq!(read(&kv, "max", 0).as_deref(), Some("9223372036854775807"));
    let kv = Arc::new(store(10_000));
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let kv = kv.clone();
            std::thread::spawn(move || {
                (0..1000).for_each(|_| {
                    kv.add("n", 1, 100, 0).expect("there is room");
                })
            })
        })
        .collect();
    threads
        .into_iter()
        .for_each(|thread| thread.join().expect("nobody panicked"));
    assert_eq!(kv.add("n", 0, 100, 0), Ok(4000));
}

#[test]
fn the_quota_counts_keys_and_changes_all_or_nothing() {
    let cost = KV_ENTRY_COST as u64;
    let kv = store(2 * (cost + 10));
    kv.set(&[pair("key-1", "12345")], 100, 0).expect("it fits");
    let two = [pair("key-2", "12345"), pair("key-3", "12345")];
    check_fault(kv.set(&two, 100, 0), FaultKind::Limit, "quota");
    assert_eq!((read(&kv, "key-2", 0), kv.used()), (None, cost + 10));
    kv.set(&two[..1], 100, 0).expect("it fits exactly");
    check_fault(kv.set(&[pair("k", "")], 100, 0), FaultKind::Limit, "quota");
    check_fault(kv.add("k", 1, 100, 0), FaultKind::Limit, "quota");
    kv.set(&[pair("key-1", "54321")], 100, 0)
        .expect("it takes the place of the old one");
    check_fault(
        kv.set(&[pair("key-1", "543210")], 100, 0),
        FaultKind::Limit,
        "quota",
    );
    kv.set(&two, 100, 100).expect("what has expired makes room");
    assert_eq!(kv.used(), 2 * (cost + 10));
    let empty: Vec<_> = (0..1000).map(|at| pair(&format!("{at}"), "")).collect();
    check_fault(store(10_000).set(&empty, 100, 0), FaultKind::Limit, "quota");
}

#[test]
fn keys_values_and_lifetimes_are_bounded() {
    let kv = store(100 << 20);
    check_fault(
        kv.set(&[pair("", "")], 1, 0),
        FaultKind::InvalidInput,
        "a key of 0 bytes",
    );
    let long = "k".repeat(257);
    check_fault(
        kv.set(&[pair(&long, "")], 1, 0),
        FaultKind::InvalidInput,
        "a key of 257 bytes",
    );
    check_fault(
        kv.get(std::slice::from_ref(&long), 0),
        FaultKind::InvalidInput,
        "a key of 257 bytes",
    );
    check_fault(
        kv.delete(std::slice::from_ref(&long)),
        FaultKind::InvalidInput,
        "a key of 257 bytes",
    );
    check_fault(
        kv.add(&long, 1, 1, 0),
        FaultKind::InvalidInput,
        "a key of 257 bytes",
    );
    kv.set(&[pair(&long[1..], &"v".repeat(64 << 10))], 1000, 0)
        .expect("the bounds themselves");
    let large = pair("k", &"v".repeat((64 << 10) + 1));
    check_fault(
        kv.set(&[large], 1, 0),
        FaultKind::InvalidInput,
        "65537 bytes",
    );
    check_fault(
        kv.set(&[pair("k", "v")], 1001, 0),
        FaultKind::Limit,
        "lifetime of 1001",
    );
    check_fault(
        kv.set(&[pair("k", "v")], 0, 0),
        FaultKind::InvalidInput,
        "lifetime of nothing",
    );
    check_fault(kv.add("k", 1, u64::MAX, 0), FaultKind::Limit, "lifetime");
    let keys = vec!["k".to_owned(); 1025];
    check_fault(kv.get(&keys, 0), FaultKind::Limit, "1025 keys");
    check_fault(kv.delete(&keys), FaultKind::Limit, "1025 keys");
    check_fault(
        kv.set(&vec![pair("k", ""); 1025], 1, 0),
        FaultKind::Limit,
        "1025 keys",
    );
    let same = vec![long[1..].to_owned(); 65];
    check_fault(kv.get(&same, 0), FaultKind::Limit, "more than");
    for odd in ["../x", "\0", "other/plugin", "\u{1b}"] {
        kv.set(&[pair(odd, "v")], 1, 0)
            .expect("a key is a text and nothing else");
    }
}

#[test]
fn memories_are_apart_and_outlive_a_reload() {
    let stores = Stores::default();
    let bounds = |bytes| KvBounds {
        bytes,
        ttl_ms_max: 1000,
    };
    let (one, other) = (
        stores.open("a/one", bounds(1000)),
        stores.open("a/other", bounds(1000)),
    );
    one.set(&[pair("k", "mine")], 1000, 0)
        .expect("there is room");
    assert_eq!(read(&other, "k", 0), None);
    let again = stores.open("a/one", bounds(10));
    assert_eq!(read(&again, "k", 0).as_deref(), Some("mine"));
    check_fault(again.set(&[pair("l", "")], 1, 0), FaultKind::Limit, "quota");
    again
        .set(&[pair("k", "m")], 1, 0)
        .expect("what makes it smaller works");
}
