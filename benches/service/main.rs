//! The service as a whole, beside what it rests on: the client of NATS alone, the disk alone, and itself at rest.
//!
//! Starts `tripline serve` of a release build, and NATS servers, on free ports in folders of their own, and ends them by their
//! own process ids. Sides take turns; what is shown is the median of the rounds. One section a run is best: `-- consuming`,
//! `latency`, `embedded`, `workers`, `rebalance`, `memory`, `-- soak --minutes 60`.

mod consuming;
mod embedded;
mod events;
mod latency;
#[allow(dead_code)]
#[path = "../../engine/bus/src/nats/tests/launcher.rs"]
mod launcher;
mod memory;
mod process;
mod raw;
mod rebalance;
mod soak;
mod workers;

use std::path::{Path, PathBuf};

/// How much is measured.
#[derive(Clone, Copy)]
pub(crate) struct Round {
    pub(crate) rounds: usize,
    pub(crate) events: usize,
    pub(crate) messages: usize,
    pub(crate) seconds: u64,
    pub(crate) groups: usize,
    pub(crate) minutes: u64,
}

/// What measures one thing and shows it.
type Section = fn(&Path, Round);

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let has = |word: &str| words.iter().any(|one| one == word);
    let binary = binary();
    if has("--test") || !binary.exists() {
        println!(
            "needs `cargo build --release -p tripline-server`, and is not measured without it"
        );
        return;
    }
    let number = |name: &str| -> Option<u64> {
        let place = words.iter().position(|word| word == name)?;
        words.get(place + 1)?.parse().ok()
    };
    let mut round = match has("--quick") {
        true => Round {
            rounds: 3,
            events: 60_000,
            messages: 200,
            seconds: 5,
            groups: 100_000,
            minutes: 2,
        },
        false => Round {
            rounds: 5,
            events: 200_000,
            messages: 1_000,
            seconds: 20,
            groups: 1_000_000,
            minutes: 60,
        },
    };
    round.minutes = number("--minutes").unwrap_or(round.minutes);
    let sections: [(&str, Section); 6] = [
        ("consuming", consuming::run),
        ("latency", latency::run),
        ("embedded", embedded::run),
        ("workers", workers::run),
        ("rebalance", rebalance::run),
        ("memory", memory::run),
    ];
    // A copy, so that a build that comes meanwhile does not change what is measured.
    let place = launcher::Place::new("binary");
    let copy = place.path().join("tripline");
    std::fs::copy(&binary, &copy).expect("the binary can be copied");
    let is_chosen = sections.iter().any(|(name, _)| has(name)) || has("soak");
    for (name, run) in sections {
        if has(name) || !is_chosen {
            run(&copy, round);
        }
    }
    if has("soak") {
        soak::run(&copy, round);
    }
}

fn binary() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/release/tripline")
}

/// The one in the middle.
pub(crate) fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

/// The figure below which a part of all are.
pub(crate) fn percentile(figures: &mut [f64], part: f64) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[((figures.len() - 1) as f64 * part) as usize]
}
