//! Any bytes as the body of a request: decompression keeps its bound, the events lie in the text in their order and no more than may be,
//! a text packed by us is read as it was, and of an event becomes a record that says of its arrival what the engine says.

use crate::channel::Channel;
use crate::channel::auth::Verified;
use crate::channel::decode::{self, Entry, InflateFault};
use crate::channel::file::ChannelFile;
use crate::channel::record::{self, Arrival, Names};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::sync::LazyLock;
use tripline_core::event::{Kind, Parser};
use tripline_core::rule::kind::EventTime;

const INFLATED_MAX: u64 = 64 * 1024;
const EVENT_BYTES_MAX: usize = 8 * 1024;
const MOST: usize = 64;

const NAMES: Names<'_> = Names {
    event: "id-1",
    sender: None,
};

static CHANNEL: LazyLock<Channel> = LazyLock::new(|| {
    let path = Path::new("billing.toml");
    let file = ChannelFile::parse(path, "source = \"billing\"").expect("a sound file");
    Channel::of_file(path, file, None).expect("a sound channel")
});

/// Holds the input to the claims above.
pub(crate) fn run(bytes: &[u8]) {
    match decode::inflate(bytes, INFLATED_MAX) {
        Ok(text) if decode::is_compressed(bytes) => {
            assert!(text.len() as u64 <= INFLATED_MAX);
            check(&text);
        }
        Ok(text) => {
            assert_eq!(text.as_ref(), bytes);
            check(bytes);
            packed(bytes);
        }
        Err(InflateFault::TooLarge | InflateFault::Broken(_)) => {
            assert!(decode::is_compressed(bytes));
        }
    }
}

/// Each tenth byte of the length decides, as packing takes longer than all else.
fn packed(text: &[u8]) {
    if text.len() % 16 != 3 {
        return;
    }
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(text).expect("memory is written");
    let gzip = gzip.finish().expect("memory is written");
    let zstd = zstd::stream::encode_all(text, 1).expect("memory is read");
    let max = text.len() as u64;
    for bytes in [gzip, zstd] {
        let read = decode::inflate(&bytes, max).expect("it is sound");
        assert_eq!(read.as_ref(), text);
        if max > 0 {
            let read = decode::inflate(&bytes, max - 1);
            assert_eq!(read, Err(InflateFault::TooLarge));
        }
    }
}

fn check(text: &[u8]) {
    let Some(entries) = decode::json(text, EVENT_BYTES_MAX, MOST) else {
        return;
    };
    assert!(entries.len() <= MOST);
    let mut end = 0;
    let mut parser = Parser::new();
    for entry in &entries {
        let Ok(body) = &entry.body else { continue };
        // They are parts of the text.
        let start = body.as_ptr() as usize - text.as_ptr() as usize;
        assert!(start >= end && start + body.len() <= text.len());
        end = start + body.len();
        if let Ok(document) = parser.parse(body)
            && document.root().kind() == Kind::Object
        {
            of_event(body);
        }
    }
    lines(&entries);
    if let Some(within) = decode::within(entries, "data.events", MOST) {
        assert!(within.len() <= MOST);
    }
}

/// What is an event alone is the same event among lines.
fn lines(entries: &[Entry<'_>]) {
    let mut parser = Parser::new();
    let mut events: Vec<&[u8]> = Vec::new();
    for body in entries.iter().filter_map(|entry| entry.body.as_ref().ok()) {
        let is_event = parser.parse(body).is_ok_and(|document| {
            let root = document.root();
            root.kind() == Kind::Object && root.get("Records").is_none()
        });
        if is_event && !body.contains(&b'\n') {
            events.push(body);
        }
    }
    let text = events.join(&b"\n"[..]);
    let again = decode::json(&text, EVENT_BYTES_MAX, MOST).expect("no more than before");
    let again: Vec<&[u8]> = again
        .iter()
        .map(|entry| entry.body.as_deref().expect("it is an event"))
        .collect();
    assert_eq!(again, events);
}

fn of_event(body: &[u8]) {
    let mut parser = Parser::new();
    let document = parser.parse(body).expect("it was parsed before");
    let arrival = Arrival {
        verified: Verified {
            sender: "app".to_owned(),
            how: "key".into(),
            subject: None,
            message: None,
            region: None,
        },
        address: None,
        time: EventTime::from_micros(1_767_225_600_000_000),
        headers: BTreeMap::new(),
    };
    let ingest = record::ingest(&CHANNEL, &arrival);
    let bytes = record::build(&ingest, (document.root(), Some(body)), NAMES);
    let mut parser = Parser::new();
    let document = parser.parse(&bytes).expect("a record is an event");
    let root = document.root();
    let is = |value: Option<tripline_core::event::Json<'_>>, text: &str| {
        value
            .and_then(|one| one.as_text())
            .is_some_and(|one| one.eq_str(text))
    };
    assert!(is(root.get("eventID"), "id-1"));
    let ingest = root.get("ingest").expect("it is there");
    assert!(is(ingest.get("channel"), "billing") && is(ingest.get("sender"), "app"));
    let sent = ingest.get("sent").and_then(|sent| sent.as_text());
    let sent = sent.expect("it is kept").decode();
    assert_eq!(sent.as_bytes(), body);
}
