//! Events and rules: the mixed set of the matching benchmark, and the events that it is drawn from.

use std::fs;
use std::path::Path;
use tripline_benches::cel_text::{Dialect, cel_text, rule_file};
use tripline_benches::remember::remembering;
use tripline_benches::set::{Flavour, rules};
use tripline_benches::vocabulary::Vocabulary;
use tripline_core::sample::{Generator, Options};

/// Events that rules are drawn from.
const SAMPLE: usize = 20_000;

/// What `eventName` is of events that a rule of our own looks for.
pub(crate) const PROBE: &str = "TriplineProbe";

/// So many different events of a week.
pub(crate) fn events(count: usize) -> Vec<Vec<u8>> {
    let generator = Generator::new(&Options {
        events: count as u64,
        days: 7,
        accounts: 200,
        ..Options::default()
    });
    generator.map(|record| record.bytes).collect()
}

/// Writes rule files into a folder: so many of the mixed set, so many that remember, and one that finds probes.
pub(crate) fn write_rules(folder: &Path, mixed: usize, remember: usize) {
    let sample = events(SAMPLE);
    let vocabulary = Vocabulary::gather(sample.iter().map(Vec::as_slice));
    fs::create_dir_all(folder).expect("a folder");
    let write = |name: String, text: String| {
        fs::write(folder.join(name + ".toml"), text).expect("written");
    };
    let drawn = rules(&vocabulary, Flavour::Mixed, mixed, 1);
    assert_eq!(drawn.len(), mixed, "so many are drawn");
    for (number, rule) in drawn.iter().enumerate() {
        let when = cel_text(rule, Dialect::Tripline);
        write(format!("rule-{number}"), rule_file(number, &when));
    }
    for (id, text) in remembering(&vocabulary, remember, 1) {
        write(id, text);
    }
    write_probe(folder);
}

/// Writes the rule that finds probes.
pub(crate) fn write_probe(folder: &Path) {
    let text = format!(
        "id = \"probe\"\nname = \"Probe\"\ndescription = \"Finds what is sent to be found.\"\nseverity = \"high\"\n\
         status = \"experimental\"\nwhen = 'event.?eventName.orValue(\"\") == \"{PROBE}\"'\n"
    );
    fs::create_dir_all(folder).expect("a folder");
    fs::write(folder.join("probe.toml"), text).expect("written");
}

/// An event that is found, with a number to know it by.
pub(crate) fn probe(number: usize) -> Vec<u8> {
    format!(
        r#"{{"eventID":"probe-{number}","eventTime":"2026-01-05T00:00:00Z","eventSource":"bench","eventName":"{PROBE}","who":"probe"}}"#
    )
    .into_bytes()
}
