//! Spans to a collector that reads them, answers late, or is gone.

use super::service::Service;
use super::{events, folder};
use prost::encoding::{WireType, decode_key, decode_varint};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";

/// A span as a collector reads it.
#[derive(Clone, Debug, Default, PartialEq)]
struct Span {
    service: String,
    trace: String,
    id: String,
    parent: String,
    name: String,
    kind: u64,
    start: u64,
    end: u64,
    /// Numbers as texts.
    attributes: BTreeMap<String, String>,
    links: Vec<String>,
    is_error: bool,
}

/// What a field of a message holds.
enum Held<'b> {
    Number(u64),
    Bytes(&'b [u8]),
}

/// The fields of a message, each of which must be sound.
fn fields(mut bytes: &[u8]) -> Vec<(u32, Held<'_>)> {
    let mut all = Vec::new();
    while !bytes.is_empty() {
        let (number, kind) = decode_key(&mut bytes).expect("a key");
        let mut take = |count: usize| {
            let (taken, rest) = bytes.split_at(count);
            bytes = rest;
            taken
        };
        let little = |part: &[u8]| {
            part.iter()
                .rev()
                .fold(0, |all, one| all << 8 | u64::from(*one))
        };
        let held = match kind {
            WireType::SixtyFourBit => Held::Number(little(take(8))),
            WireType::ThirtyTwoBit => Held::Number(little(take(4))),
            WireType::Varint => Held::Number(decode_varint(&mut bytes).expect("a number")),
            WireType::LengthDelimited => {
                let length = decode_varint(&mut bytes).expect("a length");
                let (taken, rest) = bytes.split_at(length as usize);
                bytes = rest;
                Held::Bytes(taken)
            }
            other => panic!("{other:?}"),
        };
        all.push((number, held));
    }
    all
}

fn nested(bytes: &[u8], wanted: u32) -> Vec<&[u8]> {
    let own = fields(bytes).into_iter().filter_map(|field| match field {
        (number, Held::Bytes(bytes)) if number == wanted => Some(bytes),
        _ => None,
    });
    own.collect()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("text")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn attributes(bytes: &[u8], number: u32) -> BTreeMap<String, String> {
    let all = nested(bytes, number).into_iter().map(|pair| {
        let value = nested(pair, 2)[0];
        let value = match fields(value).pop() {
            Some((1, Held::Bytes(bytes))) => text(bytes),
            Some((_, Held::Number(number))) => number.to_string(),
            _ => panic!("no value"),
        };
        (text(nested(pair, 1)[0]), value)
    });
    all.collect()
}

fn spans(request: &[u8]) -> Vec<Span> {
    let mut all = Vec::new();
    for resource in nested(request, 1) {
        let about = attributes(nested(resource, 1)[0], 1);
        for scope in nested(resource, 2) {
            for bytes in nested(scope, 2) {
                let mut span = Span {
                    service: about["service.name"].clone(),
                    attributes: attributes(bytes, 9),
                    links: nested(bytes, 13)
                        .iter()
                        .map(|link| hex(nested(link, 2)[0]))
                        .collect(),
                    ..Span::default()
                };
                for field in fields(bytes) {
                    match field {
                        (1, Held::Bytes(bytes)) => span.trace = hex(bytes),
                        (2, Held::Bytes(bytes)) => span.id = hex(bytes),
                        (4, Held::Bytes(bytes)) => span.parent = hex(bytes),
                        (5, Held::Bytes(bytes)) => span.name = text(bytes),
                        (6, Held::Number(kind)) => span.kind = kind,
                        (7, Held::Number(nanos)) => span.start = nanos,
                        (8, Held::Number(nanos)) => span.end = nanos,
                        (15, Held::Bytes(_)) => span.is_error = true,
                        _ => {}
                    }
                }
                all.push(span);
            }
        }
    }
    all
}

/// A collector that takes everything but the first so many requests.
struct Collector {
    url: String,
    taken: Arc<Mutex<Vec<Span>>>,
}

impl Collector {
    fn start(refused: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let taken: Arc<Mutex<Vec<Span>>> = Arc::default();
        let all = taken.clone();
        thread::spawn(move || {
            let mut refused = refused;
            for stream in listener.incoming().map_while(Result::ok) {
                serve(stream, &mut refused, &all);
            }
        });
        Self {
            url: format!("http://{address}/v1/traces"),
            taken,
        }
    }

    fn taken(&self) -> Vec<Span> {
        self.taken.lock().expect("nobody panicked").clone()
    }
}

fn serve(stream: TcpStream, refused: &mut usize, all: &Mutex<Vec<Span>>) {
    let mut reader = BufReader::new(stream);
    loop {
        let (mut length, mut kind, mut line) = (0, String::new(), String::new());
        while reader.read_line(&mut line).is_ok_and(|read| read > 0) {
            let lower = line.trim().to_ascii_lowercase();
            if let Some(value) = lower.strip_prefix("content-length: ") {
                length = value.parse().expect("a length");
            }
            if let Some(value) = lower.strip_prefix("content-type: ") {
                value.clone_into(&mut kind);
            }
            if lower.is_empty() {
                break;
            }
            line.clear();
        }
        let mut body = vec![0; length];
        if length == 0 || reader.read_exact(&mut body).is_err() {
            return;
        }
        assert_eq!(kind, "application/x-protobuf");
        let status = match *refused {
            0 => {
                all.lock().expect("nobody panicked").extend(spans(&body));
                "200 OK"
            }
            _ => {
                *refused -= 1;
                "503 Service Unavailable\r\nretry-after: 1"
            }
        };
        let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n");
        if reader.get_mut().write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}

/// Sends events in a trace that began elsewhere.
fn publish(service: &Service, events: &[String], flags: &str) {
    let url = service.url();
    let address = url.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).expect("it listens");
    let body = events.join("\n");
    let request = format!(
        "POST /v1/events HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\
         traceparent: 00-{TRACE}-{PARENT}-{flags}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

fn named<'s>(all: &'s [Span], name: &str) -> Vec<&'s Span> {
    all.iter().filter(|span| span.name == name).collect()
}

#[test]
fn a_batch_is_told_from_its_read_to_its_sinks_and_a_request_in_its_trace() {
    // The first request of the exporter is not taken, and sent again.
    let collector = Collector::start(1);
    let more = format!(
        "[traces]\notlp = \"{}\"\nservice_name = \"trial\"\n",
        collector.url
    );
    let folder = folder("serve-traced", &more);
    let service = Service::start(&folder);
    publish(&service, &events(300), "01");
    service.wait_for(300);
    service.wait_sent("file");
    service.wait_until("the collector takes some", || {
        let metrics = service.text("/metrics");
        let mut lines = metrics.lines();
        let sent = lines.find_map(|line| line.strip_prefix("tripline_spans_sent_total "));
        sent.is_some_and(|count| count != "0")
    });
    assert_eq!(service.terminate(), Some(0));
    // What was left is sent before the process ends.
    let all = collector.taken();
    let asked: Vec<&Span> = all.iter().filter(|span| span.trace == TRACE).collect();
    let [request] = asked.as_slice() else {
        panic!("{asked:?}");
    };
    assert_eq!(
        (request.name.as_str(), request.parent.as_str(), request.kind),
        ("request", PARENT, 2)
    );
    assert_eq!(request.service, "trial");
    let said = |key: &str| request.attributes[key].as_str();
    assert_eq!(
        (
            said("http.request.method"),
            said("http.route"),
            said("http.response.status_code")
        ),
        ("POST", "/v1/events", "200")
    );
    let batches = named(&all, "batch");
    let evaluated: u64 = batches
        .iter()
        .map(|batch| {
            batch.attributes["tripline.records"]
                .parse::<u64>()
                .expect("a number")
        })
        .sum();
    // Ticks are records too.
    assert!(evaluated >= 300, "{batches:?}");
    for batch in &batches {
        assert_eq!((batch.parent.as_str(), batch.kind), ("", 5), "{batch:?}");
        for step in ["read", "evaluate"] {
            let steps = named(&all, step);
            let own: Vec<_> = steps.iter().filter(|one| one.parent == batch.id).collect();
            let [own] = own.as_slice() else {
                panic!("{step} of {batch:?}: {own:?}");
            };
            assert_eq!(own.trace, batch.trace);
            assert!(batch.start <= own.start && own.start <= own.end && own.end <= batch.end);
        }
        let commits = named(&all, "commit");
        let is_of = |commit: &&&Span| commit.parent == batch.id || commit.links.contains(&batch.id);
        assert_eq!(commits.iter().filter(is_of).count(), 1, "{batch:?}");
    }
    let commits = named(&all, "commit");
    let published = named(&all, "publish");
    assert!(!published.is_empty());
    for one in published {
        let commit = commits.iter().find(|commit| commit.id == one.parent);
        let commit = commit.unwrap_or_else(|| panic!("{one:?} below no commit"));
        assert_eq!(one.trace, commit.trace);
        assert_ne!(commit.attributes["tripline.findings"], "0");
        assert_eq!(one.attributes["tripline.sink"], "file");
        assert!(one.start >= commit.start);
    }
    assert!(all.iter().all(|span| !span.is_error), "{all:?}");
}

#[test]
fn a_collector_that_is_gone_holds_nothing_up_and_what_it_did_not_get_is_counted() {
    let dead = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = dead.local_addr().expect("an address");
    drop(dead);
    let more = format!("[traces]\notlp = \"http://{address}/v1/traces\"\n");
    let folder = folder("serve-traced-gone", &more);
    let service = Service::start(&folder);
    for chunk in events(2_000).chunks(20) {
        publish(&service, chunk, "01");
    }
    service.wait_for(2_000);
    service.wait_sent("file");
    let dropped = "tripline_spans_dropped_total{reason=\"refused\"} ";
    service.wait_until("spans are dropped", || {
        let metrics = service.text("/metrics");
        let line = metrics.lines().find_map(|line| line.strip_prefix(dropped));
        line.is_some_and(|count| count != "0")
    });
    assert!(
        service
            .text("/metrics")
            .contains("tripline_spans_sent_total 0\n")
    );
    let begun = std::time::Instant::now();
    assert_eq!(service.terminate(), Some(0));
    assert!(begun.elapsed() < Duration::from_secs(30));
}

#[test]
fn whoever_began_a_trace_says_whether_it_is_sent() {
    let collector = Collector::start(0);
    let more = format!(
        "[traces]\notlp = \"{}\"\nsample_ratio = 0.0\n",
        collector.url
    );
    let folder = folder("serve-traced-chosen", &more);
    let service = Service::start(&folder);
    publish(&service, &events(30), "01");
    publish(&service, &events(30), "00");
    service.wait_for(60);
    assert!(
        service
            .text("/metrics")
            .contains("tripline_spans_dropped_total{reason=\"full\"} 0")
    );
    assert_eq!(service.terminate(), Some(0));
    let all = collector.taken();
    let [request] = all.as_slice() else {
        panic!("{all:?}");
    };
    assert_eq!(
        (request.name.as_str(), request.trace.as_str()),
        ("request", TRACE)
    );
}

#[test]
fn without_a_collector_nothing_is_kept() {
    let folder = folder("serve-untraced", "");
    let service = Service::start(&folder);
    publish(&service, &events(30), "01");
    service.wait_for(30);
    assert!(!service.text("/metrics").contains("tripline_spans"));
    assert_eq!(service.terminate(), Some(0));
}
