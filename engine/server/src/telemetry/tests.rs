use super::encode::request;
use super::export::Queue;
use super::spans::{Context, Kind, Sampling, Spans, TRACES, Told, Value, traceparent};
use std::sync::atomic::Ordering;
use tracing::subscriber::with_default;
use tracing_subscriber::prelude::*;

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

#[test]
fn a_traceparent_is_taken_as_it_is_or_not_at_all() {
    let context = Context::parse(PARENT).expect("sound");
    assert_eq!(context.to_string(), PARENT);
    assert!(context.is_sampled);
    let unsampled = PARENT.replace("-01", "-00");
    assert!(!Context::parse(&unsampled).expect("sound").is_sampled);
    // A later version may say more.
    assert!(Context::parse(&format!("01{}-more", &PARENT[2..])).is_some());
    for wrong in [
        "",
        "00",
        &PARENT[..54],
        &format!("{PARENT}-more"),
        &format!("ff{}", &PARENT[2..]),
        &PARENT.replace("0af7651916cd43dd8448eb211c80319c", &"0".repeat(32)),
        &PARENT.replace("b7ad6b7169203331", &"0".repeat(16)),
        &PARENT.to_uppercase(),
        "00-0af7651916cd43dd8448eb211c80319é-b7ad6b7169203331-01",
    ] {
        assert_eq!(Context::parse(wrong), None, "{wrong}");
    }
}

/// What comes of spans that are made while it runs.
fn told(ratio: f64, room: usize, make: impl FnOnce()) -> (Vec<Told>, u64) {
    let (queue, inbox) = Queue::of(room);
    let counts = queue.counts();
    let spans = Spans::new(queue, Sampling::of(ratio));
    with_default(tracing_subscriber::registry().with(spans), make);
    let full = counts.dropped_full.load(Ordering::Relaxed);
    (inbox.try_iter().collect(), full)
}

#[test]
fn spans_are_told_with_what_they_belong_to() {
    let (all, full) = told(1.0, 16, || {
        let other = tracing::info_span!(target: TRACES, parent: None, "other");
        let first = tracing::info_span!(
            target: TRACES, parent: None, "first", traceparent = PARENT, kind = "server", start_nanos = 5u64, n = 7u64, name = "x",
            fault = tracing::field::Empty
        );
        let named = traceparent(&first).expect("it is told");
        assert!(named.starts_with("00-0af7651916cd43dd8448eb211c80319c-"));
        assert!(!named.contains("b7ad6b7169203331"));
        let second = tracing::info_span!(target: TRACES, parent: &first, "second");
        second.follows_from(other.id());
        drop(second);
        first.record("fault", "it broke");
    });
    assert_eq!(full, 0);
    let names: Vec<&str> = all.iter().map(|one| one.name).collect();
    // In the order in which they end: the last that is let go ends first.
    assert_eq!(names, ["second", "first", "other"]);
    let (second, first, other) = (&all[0], &all[1], &all[2]);
    assert_eq!(first.context.trace, second.context.trace);
    assert_eq!(second.parent, Some(first.context.span));
    assert_eq!(second.links, [other.context]);
    assert_eq!(
        first.parent,
        Context::parse(PARENT).map(|parent| parent.span)
    );
    assert_eq!((first.kind, first.start_nanos), (Kind::Server, 5));
    assert!(first.end_nanos > 5);
    assert_eq!(
        first.attributes,
        [
            ("n", Value::Number(7)),
            ("name", Value::Text("x".to_owned()))
        ]
    );
    assert_eq!(first.fault.as_deref(), Some("it broke"));
    assert_eq!(other.parent, None);
    assert_ne!(other.context.trace, first.context.trace);
}

#[test]
fn whoever_begins_a_trace_says_whether_it_is_sent() {
    let make = |parent: &'static str| {
        move || {
            for _ in 0..400 {
                drop(tracing::info_span!(target: TRACES, parent: None, "one"));
            }
            drop(tracing::info_span!(target: TRACES, parent: None, "given", traceparent = parent));
        }
    };
    let given = |all: &[Told]| all.iter().filter(|one| one.name == "given").count();
    let (all, _) = told(0.0, 1000, make(PARENT));
    assert_eq!((all.len(), given(&all)), (1, 1));
    let (all, _) = told(
        1.0,
        1000,
        make("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"),
    );
    assert_eq!((all.len(), given(&all)), (400, 0));
    // Half of them, give or take ten deviations.
    let (all, _) = told(0.5, 1000, make(PARENT));
    assert!((101..302).contains(&all.len()), "{}", all.len());
}

#[test]
fn spans_that_find_no_room_are_dropped_and_counted() {
    let (all, full) = told(1.0, 3, || {
        for _ in 0..10 {
            drop(tracing::info_span!(target: TRACES, parent: None, "one"));
        }
    });
    assert_eq!((all.len(), full), (3, 7));
}

#[test]
fn long_texts_are_cut_where_a_character_ends() {
    let long = "é".repeat(2000);
    let (all, _) = told(1.0, 1, || {
        drop(tracing::info_span!(target: TRACES, parent: None, "one", text = long.as_str()));
    });
    let [(_, Value::Text(text))] = all[0].attributes.as_slice() else {
        panic!("{:?}", all[0].attributes);
    };
    assert_eq!(text.len(), 1024);
}

/// Byte for byte what the published messages have: worked out by hand from `trace.proto`.
#[test]
fn a_span_is_written_as_the_format_says() {
    let told = Told {
        context: Context {
            trace: [1; 16],
            span: [2; 8],
            is_sampled: true,
        },
        parent: Some([3; 8]),
        name: "n",
        kind: Kind::Server,
        start_nanos: 1,
        end_nanos: 258,
        attributes: vec![("a", Value::Number(-1)), ("b", Value::Bool(true))],
        links: Vec::new(),
        fault: Some("f".to_owned()),
    };
    let mut span = vec![0x0a, 16];
    span.extend([1; 16]);
    span.extend([0x12, 8]);
    span.extend([2; 8]);
    span.extend([0x22, 8]);
    span.extend([3; 8]);
    span.extend([0x2a, 1, b'n', 0x30, 2]);
    span.extend([0x39, 1, 0, 0, 0, 0, 0, 0, 0]);
    span.extend([0x41, 2, 1, 0, 0, 0, 0, 0, 0]);
    span.extend([0x4a, 16, 0x0a, 1, b'a', 0x12, 11, 0x18]);
    span.extend([0xff; 9]);
    span.push(1);
    span.extend([0x4a, 7, 0x0a, 1, b'b', 0x12, 2, 0x10, 1]);
    span.extend([0x7a, 5, 0x12, 1, b'f', 0x18, 2]);
    span.extend([0x85, 1, 1, 0, 0, 0]);
    let written = request(&[("k", Value::Text("v".to_owned()))], &[told]);
    let place = written.windows(span.len()).position(|part| part == span);
    assert!(place.is_some(), "{written:02x?}");
    let resource = [0x0a, 10, 0x0a, 8, 0x0a, 1, b'k', 0x12, 3, 0x0a, 1, b'v'];
    // After the key and length of the only `ResourceSpans`.
    let length = written.len() - 3;
    assert_eq!(written[0], 0x0a);
    assert_eq!(
        usize::from(written[1] & 0x7f) | usize::from(written[2]) << 7,
        length
    );
    assert_eq!(&written[3..15], resource);
}
