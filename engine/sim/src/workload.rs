//! Events with incidents in them, some late, some twice, some that are none, and the rules that look at them.
//!
//! Few people, few names and few addresses, so that in a few hundred events every kind of rule fires, is suppressed, and
//! almost fires.

use crate::chance::Chance;
use tripline_core::evaluate::RuleSet;
use tripline_core::rule::kind::EventTime;
use tripline_core::rule::{File, load};

/// What is wrong with a record on purpose.
const BROKEN: [&str; 5] = ["", "{", "[1, 2]", "{\"eventID\": nan}", "\u{fffd}{}"];

const NAMES: [&str; 9] = [
    "ConsoleLogin",
    "ConsoleLogin",
    "CreateUser",
    "CreateAccessKey",
    "StopLogging",
    "StartLogging",
    "GetObject",
    "GetObject",
    "ListBuckets",
];

/// Rules of all kinds. `second` stands for an edited version of the first rule.
pub fn rules(second: bool) -> RuleSet {
    let text = include_str!("rules.toml");
    let mut files: Vec<File> = text
        .split("#---\n")
        .enumerate()
        .map(|(number, text)| File::found(format!("sim/{number}.toml"), text))
        .collect();
    if second {
        files[0].text = files[0]
            .text
            .replace("severity = \"high\"", "severity = \"low\"");
    }
    let catalog = load(&files, jiff::civil::date(2026, 1, 1));
    let (set, reports) = RuleSet::of_catalog(&catalog);
    let mistakes: Vec<String> = reports
        .iter()
        .chain(&catalog.reports)
        .map(|report| format!("{report:?}"))
        .collect();
    assert_eq!(
        set.rules().len(),
        files.len(),
        "the rules of the simulation: {mistakes:?}"
    );
    set
}

/// Makes events.
pub struct Workload {
    chance: Chance,
    made: u64,
    /// Events that may be sent again.
    recent: Vec<Vec<u8>>,
    /// How far events may be out of order, in seconds: less than what the rules allow.
    disorder_seconds: i64,
}

impl Workload {
    /// Events by this chance.
    pub fn new(chance: Chance, disorder_seconds: i64) -> Self {
        Self {
            chance,
            made: 0,
            recent: Vec::new(),
            disorder_seconds,
        }
    }

    /// The next record, at a time.
    pub fn next(&mut self, now: EventTime) -> Vec<u8> {
        let chance = &mut self.chance;
        if chance.often(20) {
            return chance.one(&BROKEN).as_bytes().to_vec();
        }
        if !self.recent.is_empty() && chance.often(100) {
            return chance.one(&self.recent).clone();
        }
        self.made += 1;
        let back = chance.below(self.disorder_seconds as u64 + 1) as i64;
        let time = EventTime::from_micros(now.micros() - back * 1_000_000);
        let name = *chance.one(&NAMES);
        let user = chance.below(4);
        let failed = name == "ConsoleLogin" && chance.often(600);
        let error = if failed {
            r#","errorCode":"Failed""#
        } else {
            ""
        };
        let event = format!(
            r#"{{"eventID":"{:08x}-0000-4000-8000-{:012x}","eventTime":"{time}","eventName":"{name}","eventSource":"sim.example.com","awsRegion":"r-{}","sourceIPAddress":"192.0.2.{}","userIdentity":{{"arn":"user-{user}"}}{error}}}"#,
            self.made,
            chance.number() >> 16,
            chance.below(5),
            chance.below(6),
        );
        let event = event.into_bytes();
        if self.recent.len() < 16 {
            self.recent.push(event.clone());
        } else {
            let at = chance.below(16) as usize;
            self.recent[at] = event.clone();
        }
        event
    }
}
