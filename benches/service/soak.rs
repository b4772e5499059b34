//! A steady load for an hour on the embedded log, with rules that find and rules that remember: what memory does.
//!
//! Rules remember days, so within an hour they would only grow: they are bounded to what they come to after some minutes, and
//! findings are kept for ten.

use crate::Round;
use crate::events::write_rules;
use crate::launcher::Place;
use crate::process::{Sender, Service, Setting, to_file};
use std::path::Path;
use std::time::{Duration, Instant};
use tripline_core::sample::{Generator, Options};

/// Events a second, sent in so many requests.
const RATE: usize = 1_000;
const REQUESTS: usize = 10;

/// How often memory is looked at.
const LOOKS_EVERY: Duration = Duration::from_secs(10);

pub(crate) fn run(binary: &Path, round: Round) {
    let place = Place::new("soak");
    let rules = place.path().join("rules");
    write_rules(&rules, 500, 100);
    let more = format!(
        "[engine]\nstate_memory_mib = 64\n[history]\nretention = \"10m\"\n[log]\nevaluated_kept_mib = 128\n{}",
        to_file(place.path())
    );
    let setting = Setting {
        data: place.path().join("data"),
        rules: &rules,
        more,
    };
    let service = Service::start(binary, &setting);
    let until = Duration::from_secs(round.minutes * 60);
    // A day's worth, so that as much of the invented time passes as of the clock's.
    let mut events = Generator::new(&Options {
        events: RATE as u64 * 86_400,
        accounts: 200,
        ..Options::default()
    });
    let mut line = Sender::connect(&service);
    let begun = Instant::now();
    let (mut sent, mut requests, mut looked) = (0u64, 0u32, 0u32);
    let mut seen = Vec::new();
    println!("minute,resident_mib,anonymous_mib,state_mib,events,findings");
    while begun.elapsed() < until {
        let now = jiff::Timestamp::now()
            .strftime("%Y-%m-%dT%H:%M:%SZ")
            .to_string();
        let mut body = Vec::new();
        for mut event in events.by_ref().take(RATE / REQUESTS) {
            set_time(&mut event.bytes, &now);
            body.extend(event.bytes);
            body.push(b'\n');
        }
        assert_eq!(line.post(&body), 200, "it is taken");
        sent += (RATE / REQUESTS) as u64;
        requests += 1;
        if begun.elapsed() >= LOOKS_EVERY * looked {
            looked += 1;
            let status = service.status();
            let row = Row {
                minute: begun.elapsed().as_secs_f64() / 60.0,
                resident: service.resident_mib(),
                anonymous: service.anonymous_mib(),
                state: status["state_bytes"].as_u64().unwrap_or(0) as f64 / 1024.0 / 1024.0,
                events: status["tally"]["events"].as_u64().unwrap_or(0),
                findings: status["findings"]["new"].as_u64().unwrap_or(0),
            };
            println!(
                "{:.2},{:.1},{:.1},{:.1},{},{}",
                row.minute, row.resident, row.anonymous, row.state, row.events, row.findings
            );
            seen.push(row);
        }
        let due = Duration::from_secs(1) / REQUESTS as u32 * requests;
        if let Some(early) = due.checked_sub(begun.elapsed()) {
            std::thread::sleep(early);
        }
    }
    let rate = sent as f64 / begun.elapsed().as_secs_f64();
    println!(
        "\n| {rate:.0} events/s, after minutes | resident, MiB | not files, MiB | what rules remember, MiB | findings |"
    );
    println!("|---|---|---|---|---|");
    for part in [12, 4, 2] {
        show(&seen, round.minutes as f64 / f64::from(part));
    }
    show(&seen, round.minutes as f64 * 0.75);
    show(&seen, round.minutes as f64);
}

struct Row {
    minute: f64,
    resident: f64,
    anonymous: f64,
    state: f64,
    events: u64,
    findings: u64,
}

/// The last look before a minute.
fn show(seen: &[Row], minute: f64) {
    let before = seen.iter().rev().find(|row| row.minute <= minute + 0.01);
    if let Some(row) = before {
        println!(
            "| {:.0} | {:.0} | {:.0} | {:.1} | {} |",
            row.minute, row.resident, row.anonymous, row.state, row.findings
        );
    }
}

/// Makes an event one of this moment.
fn set_time(event: &mut [u8], now: &str) {
    const KEY: &[u8] = b"\"eventTime\":\"";
    let place = event.windows(KEY.len()).position(|window| window == KEY);
    let place = place.expect("an event has a time") + KEY.len();
    event[place..place + now.len()].copy_from_slice(now.as_bytes());
}
