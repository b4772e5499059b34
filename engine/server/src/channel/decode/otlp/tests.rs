//! The same request in both encodings is the same events.

use super::wire::nested;
use super::{Entry, json, protobuf};
use proptest::prelude::*;
use prost::encoding::encode_varint;

fn told(entries: Vec<Entry<'_>>) -> Vec<String> {
    let one = |entry: Entry<'_>| {
        let body = entry.body.expect("an event");
        let more: Vec<String> = entry
            .more
            .iter()
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        format!("{} {}", String::from_utf8_lossy(&body), more.join(" "))
    };
    entries.into_iter().map(one).collect()
}

fn number(tag: u64, value: u64) -> Vec<u8> {
    let mut all = Vec::new();
    encode_varint(tag << 3, &mut all);
    encode_varint(value, &mut all);
    all
}

fn fixed(tag: u64, value: u64) -> Vec<u8> {
    let mut all = Vec::new();
    encode_varint(tag << 3 | 1, &mut all);
    all.extend(value.to_le_bytes());
    all
}

fn pair(tag: u64, key: &str, value: &[u8]) -> Vec<u8> {
    let both = [nested(1, key.as_bytes()), nested(2, value)].concat();
    nested(tag, &both)
}

/// A request of one resource and one scope.
fn request(record: &[u8]) -> Vec<u8> {
    let resource = pair(1, "service.name", &nested(1, b"shop"));
    let scope = [nested(1, b"lib"), nested(2, b"1")].concat();
    let logs = [nested(2, record), nested(1, &scope)].concat();
    nested(1, &[nested(2, &logs), nested(1, &resource)].concat())
}

const JSON: &str = r#"{"resourceLogs":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"shop"}}]},"scopeLogs":[{
    "scope":{"name":"lib","version":"1"},"logRecords":[{"timeUnixNano":"1767225600500000000","severityNumber":9,"severityText":"INFO",
    "traceId":"0102","eventName":"look","body":{"kvlistValue":{"values":[{"key":"a","value":{"intValue":"-1"}},
    {"key":"l","value":{"arrayValue":{"values":[{"boolValue":true},{"doubleValue":0.5}]}}}]}},
    "attributes":[{"key":"b","value":{"bytesValue":"AQI="}}]}]}]}]}"#;

#[test]
fn both_encodings_are_the_same() {
    let list = [
        nested(1, &number(2, 1)),
        nested(1, &fixed(4, 0.5f64.to_bits())),
    ]
    .concat();
    let map = [
        pair(1, "a", &number(3, -1i64 as u64)),
        pair(1, "l", &nested(5, &list)),
    ]
    .concat();
    let record = [
        fixed(1, 1_767_225_600_500_000_000),
        number(2, 9),
        nested(3, b"INFO"),
        nested(5, &nested(6, &map)),
        pair(6, "b", &nested(7, &[1, 2])),
        nested(9, &[1, 2]),
        nested(12, b"look"),
        number(99, 1),
    ]
    .concat();
    let expected = [concat!(
        r#"{"a":-1,"l":[true,0.5]} eventTime="2026-01-01T00:00:00.5Z" eventName="look" eventSource="shop" "#,
        r#"otel={"resource":{"service.name":"shop"},"scope":{"name":"lib","version":"1"},"attributes":{"b":"AQI="},"#,
        r#""time":"2026-01-01T00:00:00.5Z","severity_number":9,"severity_text":"INFO","event_name":"look","trace_id":"0102"}"#
    )];
    let read = json(JSON.as_bytes(), 10).expect("sound").expect("few");
    assert_eq!(told(read), expected);
    let read = protobuf(&request(&record), 10)
        .expect("sound")
        .expect("few");
    assert_eq!(told(read), expected);
}

#[test]
fn what_is_broken_is_told_and_what_is_deep_is_refused() {
    for body in ["", "[]", "7", r#"{"resourceLogs":7}"#, "{"] {
        assert!(json(body.as_bytes(), 10).is_err(), "{body}");
    }
    let wrong = JSON.replace("\"intValue\":\"-1\"", "\"intValue\":\"x\"");
    assert!(json(wrong.as_bytes(), 10).is_err());
    assert!(json(b"{}", 10).expect("sound").expect("few").is_empty());
    assert!(protobuf(b"", 10).expect("sound").expect("few").is_empty());
    let mut deep = nested(1, b"x");
    for _ in 0..100 {
        deep = nested(5, &nested(1, &deep));
    }
    assert!(protobuf(&request(&nested(5, &deep)), 10).is_err());
    // A length that says more than is there.
    assert!(protobuf(&[0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f], 10).is_err());
    let two = [request(b""), request(b"")].concat();
    assert!(protobuf(&two, 1).expect("sound").is_none());
    assert_eq!(
        protobuf(&two, 2).expect("sound").map(|all| all.len()),
        Some(2)
    );
}

proptest! {
    #[test]
    fn no_bytes_break_it(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = protobuf(&bytes, 10);
        let _ = protobuf(&request(&bytes), 10);
    }
}
