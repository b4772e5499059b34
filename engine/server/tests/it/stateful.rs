//! Detectors that remember: asked by scans, in the order of the records, with what they remember kept from one to the next.

use crate::harness::Folder;
use crate::plugins::{good, run, under};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// Finds every third login, and says after which; so a login that it misses, sees twice or sees early changes what it says.
const SOURCE: &str = r#"
use tripline_plugin::{Batch, Detector, Fault, Hit, Severity, StatefulDetector, export_stateful_detector, fields};

fields! {
    struct Reads {
        event_id: text,
    }
}

#[derive(Default)]
struct Thirds {
    count: u64,
    last: String,
}

impl Detector for Thirds {
    fn detect(&mut self, batch: &Batch<'_>) -> Result<Vec<Hit>, Fault> {
        let reads = Reads::of(batch)?;
        let mut hits = Vec::new();
        for row in batch.rows() {
            let id = reads.event_id.get(row).unwrap_or_default();
            self.count += 1;
            assert!(!id.starts_with("trap"));
            if id.starts_with("fault") {
                return Err(Fault::invalid_input("it does not like this one"));
            }
            let turns = if id.starts_with("slow") { 50_000_u32 } else { 0 };
            for turn in 0..turns {
                std::hint::black_box(turn);
            }
            if self.count % 3 == 0 {
                let title = format!("login {} after {}", self.count, self.last);
                hits.push(Hit::new(row, Severity::High, title));
            }
            self.last = id.to_owned();
        }
        Ok(hits)
    }
}

impl StatefulDetector for Thirds {
    fn save(&self) -> Result<Vec<u8>, Fault> {
        Ok(format!("1 {} {}", self.count, self.last).into_bytes())
    }

    fn restore(&mut self, state: &[u8]) -> Result<(), Fault> {
        let unknown = || Fault::unsupported("an unknown form");
        let text = std::str::from_utf8(state).map_err(|_| unknown())?;
        let mut words = text.splitn(3, ' ');
        let (Some("1"), Some(count), Some(last)) = (words.next(), words.next(), words.next()) else {
            return Err(unknown());
        };
        self.count = count.parse().map_err(|_| unknown())?;
        self.last = last.to_owned();
        Ok(())
    }
}

export_stateful_detector!(Thirds);
"#;

const MANIFEST: &str = r#"
[plugin]
name = "acme/thirds"
version = "0.1.0"
world = "stateful-detector"
contract = "1.0"
description = "Every third login"
license = "Apache-2.0"

[reads]
fields = ["eventID:text"]

[limits]
memory = "32MiB"
deadline = "5s"
output = "256KiB"
batch = 256

[instance]
mode = "reused"
"#;

/// The plugin, built once for all tests, and the same under another name.
fn built() -> &'static (Folder, PathBuf, PathBuf) {
    static BUILT: OnceLock<(Folder, PathBuf, PathBuf)> = OnceLock::new();
    BUILT.get_or_init(|| {
        let folder = Folder::new("thirds");
        good(
            &folder,
            &["plugin", "new", "--kind", "detector", "acme/thirds"],
        );
        folder.file("thirds/src/lib.rs", SOURCE);
        folder.file("thirds/plugin.toml", MANIFEST);
        good(&folder, &["plugin", "build", "thirds"]);
        let own = under(&folder, "thirds/acme-thirds.wasm");
        let kept = under(&folder, "own.wasm");
        std::fs::copy(&own, &kept).expect("it is there");
        folder.file(
            "thirds/plugin.toml",
            MANIFEST.replace("acme/thirds", "acme/others"),
        );
        good(&folder, &["plugin", "build", "thirds"]);
        let other = under(&folder, "thirds/acme-others.wasm");
        (folder, kept, other)
    })
}

pub(crate) fn thirds() -> &'static Path {
    &built().1
}

pub(crate) const OPERATOR: &str =
    "[trust]\nunsigned = \"allow\"\n[plugins.thirds]\npath = \"thirds.wasm\"\n";

pub(crate) const RULE: &str = r#"
id = "thirds"
name = "A third login"
description = "Somebody logged in for the third time."
severity = "high"
status = "experimental"
authors = ["Tripline"]
when = 'event.?eventName.orValue("") == "Login" && has(detect.thirds)'

[finding]
title = "{detect.thirds.title}"
"#;

/// A folder with the plugin, a rule that asks it, and logins by their ids in files.
fn site(name: &str, files: &[(&str, &[&str])]) -> Folder {
    let folder = Folder::new(name);
    std::fs::copy(thirds(), under(&folder, "thirds.wasm")).expect("the component is there");
    folder.file("plugins.toml", OPERATOR);
    folder.file("rules/thirds/rule.toml", RULE);
    for (file, ids) in files {
        let lines = ids.iter().map(|id| login(id) + "\n");
        folder.file(file, lines.collect::<String>());
    }
    folder
}

pub(crate) fn login(id: &str) -> String {
    format!(r#"{{"eventID":"{id}","eventTime":"2026-01-06T10:00:00Z","eventName":"Login"}}"#)
}

const SCAN: &[&str] = &[
    "scan",
    "--plugins",
    "plugins.toml",
    "--rules",
    "rules/",
    "--format",
    "jsonl",
];

/// The titles of what a scan finds.
fn titles(folder: &Folder, more: &[&str]) -> Vec<String> {
    let ran = good(folder, &[SCAN, more].concat());
    let lines = ran.stdout.lines().map(|line| {
        let finding: serde_json::Value = serde_json::from_str(line).expect("JSON");
        finding["title"].as_str().expect("a title").to_owned()
    });
    lines.collect()
}

#[test]
fn what_it_remembers_goes_from_one_scan_to_the_next() {
    let files: [(&str, &[&str]); 3] = [
        ("one.jsonl", &["a", "b"]),
        ("two.jsonl", &["c", "d", "e"]),
        ("three.jsonl", &["f"]),
    ];
    let folder = site("stateful-scan", &files);
    let whole = titles(&folder, &["one.jsonl", "two.jsonl", "three.jsonl"]);
    assert_eq!(whole, ["login 3 after b", "login 6 after e"]);
    let kept = |file| titles(&folder, &["--state", "state", file]);
    assert_eq!(kept("one.jsonl"), [""; 0]);
    assert_eq!(kept("two.jsonl"), ["login 3 after b"]);
    // Without the folder it begins anew, and the folder does not hear of it.
    assert_eq!(titles(&folder, &["two.jsonl"]), ["login 3 after d"]);
    assert_eq!(kept("three.jsonl"), ["login 6 after e"]);
}

#[test]
fn it_is_asked_in_the_order_of_the_input_whatever_the_threads() {
    let folder = site("stateful-order", &[]);
    let mut wanted = Vec::new();
    let mut number = 0;
    for file in ["a.jsonl", "b.jsonl", "c.jsonl"] {
        let mut lines = String::new();
        for _ in 0..7_000 {
            number += 1;
            lines += &format!("{}\n", login(&format!("e{number}")));
            if number % 3 == 0 {
                wanted.push(format!("login {number} after e{}", number - 1));
            }
        }
        folder.file(file, &lines);
    }
    let found = titles(
        &folder,
        &["--threads", "4", "a.jsonl", "b.jsonl", "c.jsonl"],
    );
    assert!(found == wanted, "{} of {}", found.len(), wanted.len());
}

#[test]
fn what_it_fails_on_is_not_remembered() {
    let ids = ["a", "b", "trap1", "c", "d", "fault1", "e", "f"];
    let folder = site("stateful-fails", &[("log.jsonl", &ids)]);
    let found = titles(&folder, &["log.jsonl"]);
    assert_eq!(found, ["login 3 after b", "login 6 after e"]);
}

#[test]
fn another_plugin_under_its_name_begins_anew() {
    let files: [(&str, &[&str]); 2] = [("one.jsonl", &["a", "b"]), ("two.jsonl", &["c", "d", "e"])];
    let folder = site("stateful-other", &files);
    assert_eq!(titles(&folder, &["--state", "state", "one.jsonl"]), [""; 0]);
    let other = &built().2;
    std::fs::copy(other, under(&folder, "thirds.wasm")).expect("the component is there");
    let ran = good(
        &folder,
        &[SCAN, &["--state", "state", "two.jsonl"]].concat(),
    );
    assert!(ran.stdout.contains("login 3 after d"), "{}", ran.stdout);
    let words = "state: the plugin `thirds` is another one now, and begins to remember anew";
    assert!(ran.stderr.contains(words), "{}", ran.stderr);
}

#[test]
fn whoever_sees_a_part_of_the_records_does_not_ask_it() {
    let folder = site("stateful-refused", &[("log.jsonl", &["a", "b", "c"])]);
    let ran = run(
        &folder,
        &[
            "backtest",
            "--plugins",
            "plugins.toml",
            "--rules",
            "rules/",
            "--against",
            "log.jsonl",
        ],
    );
    assert_eq!(ran.code, 2, "{}{}", ran.stdout, ran.stderr);
    let words = "a backtest asks no plugins that remember";
    assert!(ran.stderr.contains(words), "{}", ran.stderr);
    folder.file("event.json", login("a"));
    let explain = [
        "explain",
        "--plugins",
        "plugins.toml",
        "--rules",
        "rules/",
        "--rule",
        "thirds",
        "event.json",
    ];
    let ran = run(&folder, &explain);
    let words = "it remembers, and is asked only about all events in their order";
    assert!(ran.stdout.contains(words), "{}{}", ran.stdout, ran.stderr);
}
