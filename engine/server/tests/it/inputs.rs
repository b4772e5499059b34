//! Every shape of input in every compression; files, folders, patterns, standard input.

use crate::harness::{Folder, data, other, run, scan, scan_stdin, seen};
use flate2::Compression;
use flate2::write::GzEncoder;
use std::io::Write;

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).expect("memory can be written");
    encoder.finish().expect("memory can be written")
}

pub(crate) fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 3).expect("memory can be written")
}

/// Indents JSON by two blanks.
fn pretty(json: &str) -> String {
    let value: serde_json::Value = serde_json::from_str(json).expect("it is JSON");
    format!("{value:#}")
}

/// Three events, the first and the third of which are seen, in every shape.
fn shapes() -> Vec<(&'static str, String)> {
    let events = [seen(1), other(2), seen(3)];
    let [first, second, third] = &events;
    let all = events.join(",");
    let envelope = |event: &str| {
        format!(
            r#"{{"version":"0","id":"x","detail-type":"AWS API Call via CloudTrail","detail":{event}}}"#
        )
    };
    vec![
        ("lines", events.join("\n")),
        (
            "lines with CRLF and blank ones",
            format!("\r\n{first}\r\n\r\n{second}\r\n{third}\r\n\n"),
        ),
        (
            "lines with a byte order mark",
            format!("\u{feff}{}\n", events.join("\n")),
        ),
        ("array", format!("[{all}]")),
        ("pretty array", pretty(&format!("[{all}]"))),
        (
            "array, one a line",
            format!("[\n{}\n]\n", events.join(",\n")),
        ),
        ("delivery file", format!("{{\"Records\":[{all}]}}")),
        (
            "pretty delivery file",
            pretty(&format!("{{\"Records\":[{all}]}}")),
        ),
        (
            "delivery file among keys",
            format!("{{\"a\":{{\"Records\":[1]}},\"Records\":[{all}],\"z\":[]}}"),
        ),
        (
            "delivery file a line",
            format!("{{\"Records\":[{first},{second}]}}\n{{\"Records\":[{third}]}}\n"),
        ),
        (
            "delivery files among keys, a line",
            format!(
                "{{\"x\":1,\"Records\":[{first},{second}]}}\n{{\"x\":2,\"Records\":[{third}]}}\n"
            ),
        ),
        (
            "delivery file after a line",
            format!("{first}\n{{\"x\":1,\"Records\":[{second},{third}]}}\n"),
        ),
        (
            "array of delivery files",
            format!("[{{\"Records\":[{first},{second}]}},{{\"Records\":[{third}]}}]"),
        ),
        (
            "envelopes",
            events.each_ref().map(|event| envelope(event)).join("\n"),
        ),
        (
            "envelope around a delivery file",
            envelope(&format!("{{\"Records\":[{all}]}}")),
        ),
        (
            "pretty envelope around a delivery file",
            pretty(&envelope(&format!("{{\"Records\":[{all}],\"z\":1}}"))),
        ),
        (
            "array of envelopes around delivery files",
            format!(
                "[{},{}]",
                envelope(&format!("{{\"Records\":[{first}]}}")),
                envelope(&format!("{{\"Records\":[{second},{third}]}}"))
            ),
        ),
        ("concatenated", events.concat()),
        ("several on a line", format!("{first}\n{second}{third}\n")),
        (
            "pretty, one after another",
            events.each_ref().map(|event| pretty(event)).join("\n"),
        ),
    ]
}

#[test]
fn every_shape_in_every_compression() {
    let folder = Folder::new("shapes");
    for (shape, text) in shapes() {
        let half = text.len() / 2;
        let (head, tail) = text.as_bytes().split_at(half);
        let encodings = [
            ("plain", text.as_bytes().to_vec()),
            ("gzip", gzip(text.as_bytes())),
            ("gzip in two members", [gzip(head), gzip(tail)].concat()),
            ("zstd", zstd(text.as_bytes())),
            ("zstd in two frames", [zstd(head), zstd(tail)].concat()),
        ];
        for (encoding, bytes) in encodings {
            let path = folder.file("events.bin", bytes);
            let scanned = scan(&[&path]);
            let place = format!("{shape}, {encoding}: {}", scanned.ran.stderr);
            assert_eq!(scanned.ran.code, 0, "{place}");
            assert_eq!(scanned.lines(), [1, 3], "{place}");
            let wanted = "read 3, matched 2, unmatched 1, duplicates 0, rejected 0";
            assert_eq!(scanned.account(), wanted, "{place}");
        }
    }
}

/// The place told of a record is that of its bytes, whatever is around it.
#[test]
fn a_record_in_an_enveloped_delivery_file_is_found_again() {
    let text = pretty(r#"{"id":"x","detail-type":"y","detail":{"Records":[{"n":1},[]]}}"#);
    let scanned = scan_stdin(&["-"], text.as_bytes());
    assert_eq!(
        scanned.account(),
        "read 2, matched 0, unmatched 1, duplicates 0, rejected 1 (not_an_object 1)"
    );
    let offset = text.find("[]").expect("the second record");
    let line = text[..offset].lines().count();
    let place = format!("(line {line}, byte {offset})");
    assert!(
        scanned.ran.stderr.contains(&place),
        "{place}: {}",
        scanned.ran.stderr
    );
    let folder = Folder::new("enveloped");
    let path = folder.file("event.json", text);
    let rules = data("rules");
    let explain = |number: u32| {
        let place = format!("{path}:{number}");
        run(&["explain", "--rules", &rules, "--rule", "seen", &place])
    };
    assert_eq!((explain(1).code, explain(2).code), (0, 2));
}

#[test]
fn single_pretty_object() {
    let folder = Folder::new("single");
    let path = folder.file("event.json", pretty(&seen(7)));
    let scanned = scan(&[&path]);
    assert_eq!(scanned.numbers(), [7]);
    // The event stays on one line, and is otherwise as it was.
    assert!(
        scanned
            .ran
            .stdout
            .contains(r#""event":{   "eventID": "id-7","#),
        "{}",
        scanned.ran.stdout
    );
}

#[test]
fn original_bytes_are_kept() {
    let odd = r#"{ "eventName" :"Seen", "n":1.50e1,"b":"\u00e9\/" }"#;
    let scanned = scan_stdin(&["-"], odd.as_bytes());
    assert!(
        scanned
            .ran
            .stdout
            .ends_with(&format!(",\"event\":{odd}}}\n")),
        "{}",
        scanned.ran.stdout
    );
    let id = scanned.findings[0]["event_id"].as_str().expect("an id");
    assert!(id.starts_with("sha256:") && id.len() == 71, "{id}");
}

#[test]
fn event_identity_and_time() {
    let check = |event: &str, id: &str, time: Option<&str>| {
        let scanned = scan_stdin(&["-"], event.as_bytes());
        assert_eq!(scanned.findings[0]["event_id"], id, "{event}");
        assert_eq!(scanned.findings[0]["event_time"].as_str(), time, "{event}");
    };
    check(
        r#"{"eventID":"a","eventName":"Seen","eventTime":"2024-01-02T03:04:05Z","n":1}"#,
        "a",
        Some("2024-01-02T03:04:05Z"),
    );
    check(
        r#"{"eventID":"a","eventName":"Seen","@timestamp":"2024-01-02T03:04:05.678Z","n":1}"#,
        "a",
        Some("2024-01-02T03:04:05.678Z"),
    );
    let envelope = r#"{"id":"outer","time":"2024-05-06T07:08:09Z","detail-type":"x","detail":{"eventName":"Seen","n":1}}"#;
    check(envelope, "outer", Some("2024-05-06T07:08:09Z"));
    check(r#"{"eventID":"a","eventName":"Seen","n":1}"#, "a", None);
}

#[test]
fn folders_patterns_and_order() {
    let folder = Folder::new("folder");
    folder.file("b/2.json", seen(4));
    folder.file("b/1.json.gz", gzip(seen(3).as_bytes()));
    folder.file("a.log", format!("{}\n{}\n", seen(1), seen(2)));
    folder.file("c.zst", zstd(seen(5).as_bytes()));
    folder.file(".hidden", seen(99));
    folder.file(".git/config.json", seen(98));
    assert_eq!(scan(&[&folder.path()]).numbers(), [1, 2, 3, 4, 5]);
    let pattern = format!("{}/**/*.json*", folder.path());
    assert_eq!(scan(&[&pattern]).numbers(), [3, 4]);
    // Folders that a pattern finds are gone through once.
    std::fs::create_dir(format!("{}/none", folder.path())).expect("a folder");
    let all = format!("{}/**/*", folder.path());
    let account = "read 5, matched 5, unmatched 0, duplicates 0, rejected 0";
    assert_eq!(scan(&[&all]).account(), account);
    let (first, second) = (
        format!("{}/c.zst", folder.path()),
        format!("{}/a.log", folder.path()),
    );
    assert_eq!(scan(&[&first, &second]).numbers(), [5, 1, 2]);
}

#[cfg(unix)]
#[test]
fn links_that_go_round_end() {
    let folder = Folder::new("links");
    folder.file("logs/a.json", seen(1));
    let path = folder.path();
    std::os::unix::fs::symlink(&path, format!("{path}/logs/up")).expect("a link");
    std::os::unix::fs::symlink(format!("{path}/logs"), format!("{path}/again")).expect("a link");
    std::os::unix::fs::symlink(format!("{path}/nowhere"), format!("{path}/broken"))
        .expect("a link");
    let scanned = scan(&[&path]);
    assert_eq!(scanned.numbers(), [1]);
    assert!(
        scanned.ran.stderr.contains("broken: No such file"),
        "{}",
        scanned.ran.stderr
    );
}

#[test]
fn names_that_lead_nowhere_are_refused_before_anything_is_scanned() {
    let folder = Folder::new("nowhere");
    let good = folder.file("good.json", seen(1));
    let empty = format!("{}/empty", folder.path());
    std::fs::create_dir(&empty).expect("a folder");
    let check = |argument: &str, words: &str| {
        let ran = run(&["scan", &good, argument]);
        assert_eq!(ran.code, 2, "{argument}");
        assert_eq!(ran.stdout, "", "{argument}");
        assert!(ran.stderr.contains(words), "{argument}: {}", ran.stderr);
    };
    check("missing.json", "missing.json: no such file or folder");
    check(
        "missing-*.json",
        "missing-*.json: no file matches this pattern",
    );
    check("a[", "a[: not a pattern");
    check(&empty, "empty: holds no file to read");
    assert_eq!(run(&["scan", "-", "-"]).code, 2);
}

#[test]
fn standard_input_plain_and_compressed() {
    let text = format!("{}\n{}\n", seen(1), other(2));
    for bytes in [
        text.clone().into_bytes(),
        gzip(text.as_bytes()),
        zstd(text.as_bytes()),
    ] {
        let scanned = scan_stdin(&["-"], &bytes);
        assert_eq!(scanned.numbers(), [1]);
        assert_eq!(scanned.findings[0]["file"], "<stdin>");
    }
}

#[test]
fn duplicates_are_reported_once_unless_asked_for() {
    let folder = Folder::new("duplicates");
    let text = format!(
        "{}\n{}\n{}\n{}\n{}\n",
        seen(1),
        other(2),
        seen(1),
        other(2),
        seen(3)
    );
    let (first, second) = (folder.file("a.json", &text), folder.file("b.json", &text));
    let scanned = scan(&[&first, &second]);
    assert_eq!(scanned.numbers(), [1, 3]);
    assert_eq!(
        scanned.account(),
        "read 10, matched 2, unmatched 1, duplicates 7, rejected 0"
    );
    let scanned = scan(&["--no-dedup", &first, &second]);
    assert_eq!(scanned.numbers(), [1, 1, 3, 1, 1, 3]);
    assert_eq!(
        scanned.account(),
        "read 10, matched 6, unmatched 4, duplicates 0, rejected 0"
    );
}
