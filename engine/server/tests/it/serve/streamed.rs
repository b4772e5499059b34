//! Bodies that go on: lines are taken as they come, by a sender who is known, and no further ahead than they are durable.

use super::channels::{bearer, channel, push, secrets};
use super::service::Service;
use super::{Folder, event, folder};
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// A request whose body is sent in pieces.
struct Stream(BufReader<TcpStream>);

impl Stream {
    fn open(service: &Service, id: &str, key: &str, more: &str) -> Self {
        let url = service.url();
        let address = url.strip_prefix("http://").expect("an address");
        let mut line = TcpStream::connect(address).expect("it listens");
        line.set_read_timeout(Some(Duration::from_secs(90)))
            .expect("set");
        let head = format!(
            "POST /v1/channels/{id}/events HTTP/1.1\r\nhost: {address}\r\nauthorization: {key}\r\n\
             content-type: application/x-ndjson\r\ntransfer-encoding: chunked\r\n{more}\r\n"
        );
        line.write_all(head.as_bytes()).expect("sent");
        Self(BufReader::new(line))
    }

    fn send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        let line = self.0.get_mut();
        write!(line, "{:x}\r\n", bytes.len())?;
        line.write_all(bytes)?;
        line.write_all(b"\r\n")
    }

    fn end(&mut self) -> (u16, Value) {
        // It may have been answered, and closed, before.
        let _ = self.0.get_mut().write_all(b"0\r\n\r\n");
        self.answer()
    }

    fn answer(&mut self) -> (u16, Value) {
        let (mut status, mut length) = (0, 0);
        let mut line = String::new();
        loop {
            line.clear();
            self.0.read_line(&mut line).expect("a head");
            let text = line.trim().to_ascii_lowercase();
            if text.is_empty() {
                break;
            }
            if let Some(rest) = text.strip_prefix("http/1.1 ") {
                status = rest[..3].parse().expect("a status");
            }
            if let Some(value) = text.strip_prefix("content-length:") {
                length = value.trim().parse().expect("a length");
            }
        }
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).expect("a body");
        (status, serde_json::from_slice(&body).expect("JSON"))
    }
}

fn lines(from: u64, count: u64) -> Vec<u8> {
    let all = (from..from + count).map(|number| event(number, "Stop", number) + "\n");
    all.collect::<String>().into_bytes()
}

fn accepted(service: &Service, id: &str) -> u64 {
    let about = service.get(&format!("/v1/channels/{id}"));
    about["seen"]["accepted"].as_u64().unwrap_or(0)
}

fn made(name: &str, more: &str) -> (Folder, String) {
    let folder = folder(name, "");
    let key = bearer(&channel(&folder, "app", more));
    (folder, key)
}

#[test]
fn lines_are_durable_while_the_body_goes_on() {
    let (folder, key) = made("streamed", "[limits]\nbody_max_kib = 64\nevent_max_kib = 4");
    let service = Service::start(&folder);
    let mut stream = Stream::open(&service, "app", &key, "");
    stream.send(&lines(0, 10)).expect("sent");
    // Half of a line waits for its other half.
    let next = lines(10, 1);
    stream.send(&next[..20]).expect("sent");
    service.wait_until("they are taken", || accepted(&service, "app") == 10);
    stream.send(&next[20..]).expect("sent");
    service.wait_until("it is taken", || accepted(&service, "app") == 11);
    stream.send(b"{\"broken\":\n\n").expect("sent");
    // Longer than an event may be, in pieces, with nothing of it kept.
    for _ in 0..40 {
        stream.send(&[b'x'; 20_000]).expect("sent");
    }
    stream.send(b"\n").expect("sent");
    // More than a whole body may be.
    for part in 0..20 {
        stream.send(&lines(100 + part * 100, 100)).expect("sent");
    }
    let last = lines(3_000, 1);
    stream.send(&last[..last.len() - 1]).expect("sent");
    let (status, answer) = stream.end();
    assert_eq!(status, 200, "{answer}");
    for (key, value) in [("accepted", 2_012), ("rejected", 2), ("events", 2_014)] {
        assert_eq!(answer[key], value, "{answer}");
    }
    let codes: Vec<&str> = answer["first_rejected"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|one| one["code"].as_str())
        .collect();
    assert_eq!(codes, ["malformed", "too_large"]);
    assert_eq!(answer["first_rejected"][1]["index"], 12);
    // The same again, as one who was not answered would send it.
    let mut stream = Stream::open(&service, "app", &key, "");
    stream.send(&lines(0, 11)).expect("sent");
    stream.send(&lines(2_100, 10)).expect("sent");
    let (status, answer) = stream.end();
    assert_eq!(status, 200, "{answer}");
    assert_eq!(
        (&answer["duplicates"], &answer["accepted"]),
        (&11.into(), &10.into()),
        "{answer}"
    );
    service.wait_for(2_022);
    assert_eq!(service.terminate(), Some(0));
}

#[test]
fn a_quota_slows_a_stream_down_and_refuses_nothing() {
    let (folder, key) = made(
        "streamed-quota",
        "[limits]\nkib_per_second = 128\nburst_seconds = 1\nstream_max_mib = 8",
    );
    let service = Service::start(&folder);
    let begun = Instant::now();
    let mut stream = Stream::open(&service, "app", &key, "");
    let mut sent = 0;
    for part in 0..10 {
        let lines = lines(part * 1_000, 1_000);
        sent += lines.len();
        stream.send(&lines).expect("sent");
    }
    let (status, answer) = stream.end();
    assert_eq!(
        (status, &answer["accepted"]),
        (200, &10_000.into()),
        "{answer}"
    );
    // What came at once, and what a stretch may overdraw, is not waited for.
    let waited = (sent as f64 / 1024.0 - 128.0 - 512.0) / 128.0;
    assert!(waited > 1.0, "{sent} bytes are few");
    assert!(
        begun.elapsed().as_secs_f64() >= waited,
        "{:?}",
        begun.elapsed()
    );
    assert_eq!(service.terminate(), Some(0));
}

#[test]
fn streams_end_where_they_must_and_say_what_was_taken() {
    let (folder, key) = made(
        "streamed-ends",
        "[limits]\nstream_max_mib = 1\nbody_max_kib = 64",
    );
    let signed = secrets(&folder, "hooks", &["--auth", "github"]);
    let service = Service::start(&folder);
    // Too long.
    let mut stream = Stream::open(&service, "app", &key, "");
    let mut number = 0;
    while stream.send(&lines(number, 1_000)).is_ok() && number < 20_000 {
        number += 1_000;
    }
    let (status, answer) = stream.answer();
    assert_eq!(
        (status, answer["error"].as_str()),
        (413, Some("too_large")),
        "{answer}"
    );
    let taken = answer["details"]["accepted"].as_u64().expect("a number");
    assert!(taken > 1_000 && taken < number, "{answer}");
    assert_eq!(accepted(&service, "app"), taken);
    // Somebody who is not known yet is not believed before the end, and a body with a key, or compressed, is one whole.
    let mut stream = Stream::open(
        &service,
        "hooks",
        &format!("Bearer {}", signed["secret"]),
        "",
    );
    let _ = stream.send(&lines(0, 10));
    assert_eq!(stream.end().0, 401);
    let mut stream = Stream::open(&service, "app", &key, "idempotency-key: one\r\n");
    stream.send(&lines(50_000, 3)).expect("sent");
    let (status, answer) = stream.end();
    assert_eq!(
        (status, answer["event_ids"].as_array().map(Vec::len)),
        (200, Some(3)),
        "{answer}"
    );
    let packed = zstd::stream::encode_all(&lines(60_000, 5)[..], 1).expect("packed");
    let mut stream = Stream::open(&service, "app", &key, "");
    stream.send(&packed[..30]).expect("sent");
    stream.send(&packed[30..]).expect("sent");
    let (status, answer) = stream.end();
    assert_eq!((status, &answer["accepted"]), (200, &5.into()), "{answer}");
    // Lists of events, and one that has more than a whole body may have.
    let list = |from: u64, count: u64| {
        let all: Vec<String> = (from..from + count)
            .map(|one| format!("{{\"eventID\":\"l-{one}\"}}"))
            .collect();
        format!("[{}]\n", all.join(",")).into_bytes()
    };
    let mut stream = Stream::open(&service, "app", &key, "");
    stream.send(&list(0, 3)).expect("sent");
    let (status, answer) = stream.end();
    assert_eq!((status, &answer["accepted"]), (200, &3.into()), "{answer}");
    let mut stream = Stream::open(&service, "app", &key, "");
    let _ = stream.send(&list(10, 10_001));
    let (status, answer) = stream.end();
    assert_eq!(
        (status, answer["error"].as_str()),
        (413, Some("too_large")),
        "{answer}"
    );
    // Nothing at all.
    let (status, _) = Stream::open(&service, "app", &key, "").end();
    assert_eq!(status, 400);
    // A body with a length takes the usual way.
    let url = format!("{}/v1/channels/app/events", service.url());
    let headers = [
        ("authorization", key.as_str()),
        ("content-type", "application/x-ndjson"),
    ];
    let (status, answer, _) = push(&url, &headers, &lines(70_000, 2));
    assert_eq!(
        (status, answer["event_ids"].as_array().map(Vec::len)),
        (200, Some(2)),
        "{answer}"
    );
    // The service ends in the midst of one: what was taken is there, and the sender is told to come again.
    let mut stream = Stream::open(&service, "app", &key, "");
    stream.send(&lines(80_000, 7)).expect("sent");
    service.wait_until("they are taken", || accepted(&service, "app") == taken + 20);
    let ended = std::thread::spawn(move || service.terminate());
    let (status, answer) = stream.answer();
    assert_eq!(
        (status, &answer["details"]["accepted"]),
        (503, &7.into()),
        "{answer}"
    );
    assert_eq!(ended.join().expect("it ends"), Some(0));
}

#[test]
fn a_stream_ends_when_its_sender_no_longer_counts() {
    let (folder, key) = made("streamed-over", "");
    let service = Service::start(&folder);
    let begin = |from: u64| {
        let before = accepted(&service, "app");
        let mut stream = Stream::open(&service, "app", &key, "");
        stream.send(&lines(from, 5)).expect("sent");
        service.wait_until("they are taken", || accepted(&service, "app") == before + 5);
        stream
    };
    let go_on = |mut stream: Stream, from: u64| {
        stream.send(&lines(from, 5)).expect("sent");
        stream.answer()
    };
    let stream = begin(0);
    let (status, told) = service.post("/v1/channels/app/pause", "");
    assert_eq!(status, 200, "{told}");
    let (status, answer) = go_on(stream, 10);
    assert_eq!(
        (status, answer["error"].as_str()),
        (503, Some("paused")),
        "{answer}"
    );
    assert_eq!(answer["details"]["accepted"], 5, "{answer}");
    service.post("/v1/channels/app/resume", "");
    let stream = begin(20);
    let file = format!("{}/data/channels/app.toml", folder.path());
    let text = std::fs::read_to_string(&file).expect("a file");
    folder.file(
        "data/channels/app.toml",
        text.replace("sha256 = \"", "expires = 2020-01-01T00:00:00Z, sha256 = \""),
    );
    service.wait_until("it is read", || {
        let about = service.get("/v1/channels/app");
        about.to_string().contains("2020-01-01")
    });
    let (status, answer) = go_on(stream, 30);
    assert_eq!(
        (status, &answer["details"]["accepted"]),
        (401, &5.into()),
        "{answer}"
    );
    assert_eq!(accepted(&service, "app"), 10);
    assert_eq!(service.terminate(), Some(0));
}
