//! Insights: what an event costs that is counted in a series, what a series takes in memory, and how long a minute takes to close.
//!
//! `cargo bench -p tripline-benches --bench insights` runs all of it, `-- --quick` a tenth. Keys are hashes, as they come from the
//! threads that evaluate; what these cost is measured by `matching`. Events come in batches of a minute, each counted by
//! `SeriesMemory::count` and then closed, which is what the ordered stage does. Of a million keys a few are busy and most come a few times
//! a week, as in audit logs: the n-th comes with a weight of 1/n.

use std::process::Command;
use std::time::{Duration, Instant};
use tripline_core::insight::{InsightOf, Moment, SeriesMemory, SeriesTexts};
use tripline_core::rule::kind::{CountedOf, EventTime, Kind};
use tripline_core::rule::{File, load};
use tripline_core::sample::Random;

const RULE: &str = r#"
id = "calls"
name = "calls"
description = "A probe."
severity = "low"
status = "experimental"
when = 'has(event.eventName)'

[insight]
false_alarms_per_week = 1
"#;

/// A Monday, in minutes.
const START: i64 = 29_993_760;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if arguments.iter().any(|word| word == "--test") {
        println!("is not measured in tests");
        return;
    }
    let share = if arguments.iter().any(|word| word == "--quick") {
        10
    } else {
        1
    };
    let row = arguments
        .iter()
        .find_map(|word| word.strip_prefix("--row="));
    if let Some(row) = row.and_then(|row| ROWS.get(row.parse::<usize>().ok()?)) {
        let (keys, events, minutes, spread) = *row;
        measure((keys / share, events / share, minutes), spread);
        return;
    }
    println!(
        "| keys seen | spread | events a minute | ns an event, median minute | bytes a key, resident | as counted | longest close, ms | median close, ms |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    let own = std::env::current_exe().expect("this program");
    for row in 0..ROWS.len() {
        // Each in a process of its own, so that what it takes is its own.
        let mut child = Command::new(&own);
        child.arg(format!("--row={row}"));
        if share > 1 {
            child.arg("--quick");
        }
        let status = child.status().expect("it runs");
        assert!(status.success(), "row {row}");
    }
}

/// Keys, events a minute, minutes, and how events are spread over keys.
const ROWS: [(u64, u64, u32, Spread); 4] = [
    (100_000, 100_000, 240, Spread::Even),
    (100_000, 100_000, 240, Spread::Zipf),
    (1_400_000, 1_000, 10_080, Spread::Zipf),
    (20_000_000, 10_000, 10_080, Spread::Zipf),
];

/// Bytes of this process that are in memory.
fn resident_bytes() -> f64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = text
        .split(' ')
        .nth(1)
        .and_then(|pages| pages.parse::<f64>().ok());
    pages.unwrap_or(0.0) * 4096.0
}

#[derive(Clone, Copy, Debug)]
enum Spread {
    Even,
    Zipf,
}

fn measure((keys, events, minutes): (u64, u64, u32), spread: Spread) {
    let text = format!("groups_max = {keys}\n{RULE}");
    let catalog = load(
        &[File::found("calls/rule.toml", text)],
        jiff::civil::date(2026, 1, 1),
    );
    let rule = &catalog.rules[0];
    let Some(Kind::Insight(insight)) = rule.memory.as_ref().map(|memory| &memory.kind) else {
        return;
    };
    let of = InsightOf { rule, insight };
    let before = resident_bytes();
    let mut memory = SeriesMemory::new(of);
    let mut random = Random::new(1);
    let (mut records, mut rates, mut closes) = (Vec::new(), Vec::new(), Vec::new());
    for minute in 0..minutes {
        let drawn: Vec<u64> = (0..events)
            .map(|_| draw(&mut random, keys, spread))
            .collect();
        let time = |minute: u32| EventTime::from_micros((START + i64::from(minute)) * 60_000_000);
        let begun = Instant::now();
        for (number, key) in drawn.iter().enumerate() {
            let moment = Moment {
                time: time(minute),
                event: mix(u64::from(minute) << 32 | number as u64),
            };
            let names = [mix(*key % 50) | 1, mix(*key % 7) | 1, 1];
            let counted = CountedOf {
                is_error: false,
                value: 1f32.to_bits(),
                names,
            };
            memory.count(moment, hash(*key), &counted, || texts(*key));
        }
        let counted = begun.elapsed();
        let closing = Instant::now();
        memory.close(of, time(minute + 1), &mut records);
        let closed = closing.elapsed();
        records.clear();
        // The first minutes make most of the series; what lasts is what comes after.
        if minute >= minutes / 2 {
            rates.push((counted + closed).as_nanos() as f64 / events as f64);
            closes.push(closed);
        }
    }
    rates.sort_by(f64::total_cmp);
    closes.sort();
    let held = resident_bytes() - before;
    let ms = |one: &Duration| one.as_secs_f64() * 1000.0;
    println!(
        "| {} | {spread:?} | {events} | {:.0} | {:.0} | {:.0} | {:.1} | {:.1} |",
        memory.len(),
        rates[rates.len() / 2],
        held / memory.len() as f64,
        memory.bytes() as f64 / memory.len() as f64,
        closes.last().map_or(0.0, ms),
        closes.get(closes.len() / 2).map_or(0.0, ms),
    );
}

fn draw(random: &mut Random, keys: u64, spread: Spread) -> u64 {
    match spread {
        Spread::Even => random.below(keys),
        Spread::Zipf => {
            // The inverse of the sum of 1/n, which is about the logarithm.
            let uniform = random.below(1 << 32) as f64 / (1u64 << 32) as f64;
            ((keys as f64).powf(uniform) as u64).min(keys - 1)
        }
    }
}

fn mix(of: u64) -> u64 {
    let mut z = of.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z ^ z >> 27
}

fn hash(key: u64) -> u128 {
    u128::from(mix(key)) << 64 | u128::from(mix(key ^ 0x5555_5555))
}

fn texts(key: u64) -> SeriesTexts {
    SeriesTexts {
        key: vec![
            format!("{:012}", key % 20),
            format!("region-{}", key / 20 % 17),
            format!("service-{}.amazonaws.com", key / 340 % 200),
            format!("Operation{}", key / 68_000),
        ],
        names: vec![
            format!("arn:aws:iam::111122223333:user/user-{}", key % 50),
            format!("agent-{}", key % 7),
            "null".to_owned(),
        ],
    }
}
