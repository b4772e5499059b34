//! Ways in that other products speak: Splunk's collector, OTLP, certificates, tokens, subjects, and files that lie somewhere.

use super::channels::{bearer, channel, push};
use super::folder;
use super::killed::settled;
use super::service::Service;
use crate::harness::Ran;
use crate::plugins::python_with;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::Command;
use std::thread;

/// A folder of Python with the clients that are tried, and its programs.
pub(super) fn clients() -> PathBuf {
    let wanted = [
        "boto3==1.44.8",
        "moto[server]==5.2.5",
        "opentelemetry-exporter-otlp-proto-http==1.45.2",
        "opentelemetry-sdk==1.45.2",
        "splunk-handler==3.0.0",
    ];
    python_with("doors", &wanted)
}

/// Runs a client, which must say that it sent so many.
pub(super) fn client(arguments: &[&str], expected: &str) {
    let script = format!("{}/tests/it/clients/doors.py", env!("CARGO_MANIFEST_DIR"));
    let output = Command::new(clients().join("python"))
        .arg(&script)
        .args(arguments)
        .output();
    let ran: Ran = output.expect("python runs").into();
    assert_eq!(
        (ran.code, ran.stdout.trim()),
        (0, expected),
        "{arguments:?}: {}",
        ran.stderr
    );
}

/// A name by which a sender wants acknowledgements.
const SENDER: &str = "0aeeac95-ac74-4aa9-b30d-6c4c0ac581ba";

/// A request of a path with its headers and body, and the status and code of its answer.
type No<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a [u8], (u16, u64));

#[test]
fn splunk_is_answered_in_its_own_words() {
    let folder = folder("doors-hec", "");
    let limits = "[limits]\nbody_max_kib = 4\nevents_max = 20\nevent_max_kib = 2\n";
    let (key, other) = (
        channel(&folder, "splunk", limits),
        channel(&folder, "other", ""),
    );
    let paused = channel(&folder, "paused", "paused = true\n");
    let service = Service::start(&folder);
    let send = |path: &str, headers: &[(&str, &str)], body: &[u8]| {
        let url = format!("{}/services/collector{path}", service.url());
        let (status, answer, _) = push(&url, headers, body);
        (status, answer)
    };
    let token = format!("Splunk {key}");
    let (known, named) = (
        [("authorization", token.as_str())],
        [
            ("authorization", token.as_str()),
            ("x-splunk-request-channel", SENDER),
        ],
    );
    let sound = br#"{"event":{"eventName":"Stop","who":"x"},"time":1767225600.5,"host":"h","sourcetype":"s"}{"event":"a line"}"#;
    let success = json!({"text": "Success", "code": 0});
    for (path, count) in [("/event", 2), ("", 2), ("/event/1.0", 2)] {
        assert_eq!(send(path, &known, sound), (200, success.clone()));
        assert_eq!(
            service.get("/v1/channels/splunk")["seen"]["accepted"],
            json!(count),
            "the same again is taken once"
        );
    }
    let raw = send("/raw?host=h&sourcetype=a%20b", &known, b"one\ntwo\none\n");
    assert_eq!(raw, (200, success));
    service.wait_for(5);
    let found = service.get("/v1/findings?rule=stopped");
    let id = found["findings"][0]["finding_id"].as_str().expect("an id");
    let whole = service
        .text(&format!("/v1/findings/{id}"))
        .replace("\": ", "\":");
    for words in [
        r#""splunk":{"host":"h","#,
        r#""eventTime":"2026-01-01T00:00:00.5Z""#,
        r#""channel":"splunk""#,
    ] {
        assert!(whole.contains(words), "{words} is not in {whole}");
    }
    // Whoever wants acknowledgements gets a number for each request, and reads each once.
    for number in 0..2 {
        let body = format!("{{\"event\":\"number {number}\"}}");
        assert_eq!(
            send("/event", &named, body.as_bytes()),
            (200, json!({"text": "Success", "code": 0, "ackId": number}))
        );
    }
    let ask = |headers: &[(&str, &str)]| send("/ack", headers, br#"{"acks":[0,1,2]}"#);
    assert_eq!(
        ask(&named),
        (200, json!({"acks": {"0": true, "1": true, "2": false}}))
    );
    assert_eq!(
        ask(&named),
        (200, json!({"acks": {"0": false, "1": false, "2": false}}))
    );
    assert_eq!(ask(&known).1["code"], 10);
    let stranger = [
        ("authorization", other.as_str()),
        ("x-splunk-request-channel", SENDER),
    ];
    assert_eq!(
        ask(&stranger),
        (200, json!({"acks": {"0": false, "1": false, "2": false}}))
    );
    let wrong = [("authorization", "Splunk tl_00000000_x")];
    let broken = [
        ("authorization", token.as_str()),
        ("x-splunk-request-channel", "me"),
    ];
    let paused = format!("Splunk {paused}");
    let paused = [("authorization", paused.as_str())];
    let many = "{\"event\":1}".repeat(21);
    let long = "x".repeat(5_000);
    let no: [No<'_>; 16] = [
        ("/event", &[], sound, (401, 2)),
        ("/event?token=x", &[], sound, (400, 16)),
        ("/event", &wrong, sound, (403, 4)),
        ("/ack", &wrong, br#"{"acks":[0]}"#, (400, 10)),
        ("/event", &known, b"", (400, 5)),
        ("/raw", &known, b"\n\n", (400, 5)),
        ("/event", &known, b"{\"event\":", (400, 6)),
        ("/event", &known, b"nonsense", (400, 6)),
        ("/event", &known, b"{\"host\":\"h\"}", (400, 12)),
        ("/event", &known, b"{\"event\":\" \"}", (400, 13)),
        (
            "/event",
            &known,
            br#"{"event":1,"fields":{"a":{}}}"#,
            (400, 15),
        ),
        ("/event", &broken, sound, (400, 11)),
        ("/event", &paused, sound, (503, 9)),
        ("/event", &known, many.as_bytes(), (413, 27)),
        ("/event", &known, long.as_bytes(), (413, 27)),
        ("/ack", &named, b"{\"acks\":[\"x\"]}", (400, 6)),
    ];
    for (path, headers, body, (status, code)) in no {
        let told = send(path, headers, body);
        assert_eq!(
            (told.0, &told.1["code"]),
            (status, &json!(code)),
            "{path} {}: {}",
            String::from_utf8_lossy(body),
            told.1
        );
    }
    // What can be read of a request is taken.
    let (status, answer) = send(
        "/event",
        &known,
        br#"{"event":"good"}{"event":""}{"event":"fine"}"#,
    );
    assert_eq!(
        (status, &answer["code"], &answer["invalid-event-number"]),
        (400, &json!(13), &json!(1))
    );
    assert_eq!(
        service.get("/services/collector/health"),
        json!({"text": "HEC is healthy", "code": 17})
    );
    let seen = service.get("/v1/channels/splunk");
    assert_eq!(seen["seen"]["accepted"], json!(2 + 3 + 2 + 2), "{seen}");
    assert_eq!(service.terminate(), Some(0));
}

#[test]
fn clients_of_other_products_push_and_everything_arrives_once() {
    let folder = folder("doors-clients", "");
    let limits = "[limits]\nbody_max_kib = 4096\n";
    let (hec, otlp) = (
        channel(&folder, "splunk", limits),
        channel(&folder, "otlp", limits),
    );
    let service = Service::start(&folder);
    let url = service.url();
    let count = "10000";
    clients();
    thread::scope(|scope| {
        scope.spawn(|| client(&["splunk", &url, count, &hec], count));
        scope.spawn(|| client(&["otlp", &url, count, &otlp], count));
    });
    service.wait_for(20_000);
    for id in ["splunk", "otlp"] {
        let seen = service.get(&format!("/v1/channels/{id}"));
        assert_eq!(seen["seen"]["accepted"], json!(10_000), "{seen}");
        assert_eq!(seen["seen"]["rejected"], json!({}));
    }
    let found = settled(&service);
    let stopped = found
        .values()
        .filter(|(_, what)| what.contains("stopped"))
        .count();
    assert_eq!(stopped, 200);
    assert_eq!(service.terminate(), Some(0));
}

#[test]
fn log_records_of_opentelemetry_are_events() {
    let folder = folder("doors-otlp", "");
    let more = "[limits]\nevents_max = 3\n[allow]\nevent_sources = [\"shop\"]\n";
    let key = bearer(&channel(&folder, "otlp", more));
    let service = Service::start(&folder);
    let send = |path: &str, kind: &str, key: &str, body: &[u8]| {
        let headers = [("authorization", key), ("content-type", kind)];
        let (status, answer, head) = push(&format!("{}{path}", service.url()), &headers, body);
        (status, answer, head.get("content-type").cloned())
    };
    let record = |source: &str, name: &str| {
        let pair = |key: &str, text: &str| json!({"key": key, "value": {"stringValue": text}});
        let values = [pair("eventSource", source), pair("eventName", name)];
        json!({"timeUnixNano": "1767225600000000000", "body": {"kvlistValue": {"values": values}}})
    };
    let body = |records: &[Value]| {
        let scope = json!({"scope": {"name": "lib"}, "logRecords": records});
        json!({"resourceLogs": [{"scopeLogs": [scope]}]}).to_string()
    };
    let json_kind = "application/json";
    let both = body(&[
        record("shop", "Stop"),
        record("evil", "Stop"),
        record("shop", "Stop"),
    ]);
    for accepted in [2, 2] {
        let (status, answer, _) = send("/v1/logs", json_kind, &key, both.as_bytes());
        assert_eq!(
            (status, &answer["partialSuccess"]["rejectedLogRecords"]),
            (200, &json!("1")),
            "{answer}"
        );
        let seen = service.get("/v1/channels/otlp");
        assert_eq!(seen["seen"]["accepted"], json!(accepted), "{seen}");
    }
    let one = body(&[record("shop", "Look")]);
    for path in ["/v1/logs", "/v1/channels/otlp/v1/logs"] {
        let (status, answer, _) = send(path, json_kind, &key, one.as_bytes());
        assert_eq!((status, answer), (200, json!({})));
    }
    let protobuf = "application/x-protobuf";
    let (status, _, kind) = send("/v1/logs", protobuf, &key, b"");
    assert_eq!((status, kind.as_deref()), (200, Some(protobuf)));
    let many = body(&vec![record("shop", "Look"); 4]);
    for (kind, key, body, status, code) in [
        (
            json_kind,
            "Bearer tl_00000000_x",
            one.as_bytes(),
            401,
            json!(16),
        ),
        (json_kind, &key, b"nonsense", 400, json!(3)),
        (json_kind, &key, many.as_bytes(), 413, json!(8)),
        (protobuf, &key, b"nonsense", 400, Value::Null),
        ("text/plain", &key, b"nonsense", 415, Value::Null),
    ] {
        let (told, answer, _) = send("/v1/logs", kind, key, body);
        assert_eq!((told, &answer["code"]), (status, &code), "{kind}: {answer}");
    }
    service.wait_for(3);
    let found = service.get("/v1/findings?rule=stopped");
    assert_eq!(
        found["findings"].as_array().map(Vec::len),
        Some(2),
        "{found}"
    );
    assert_eq!(service.terminate(), Some(0));
}
