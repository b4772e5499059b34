//! How much is measured, on which events, on which core.

use std::time::Duration;

use tripline_core::sample::{Generator, Options};

use crate::timing::Effort;

/// How large a round is.
pub(crate) struct Round {
    pub(crate) events: usize,
    pub(crate) counts: &'static [usize],
    pub(crate) stress_counts: &'static [usize],
    pub(crate) ours: Effort,
    pub(crate) peers: Effort,
    pub(crate) agreement_events: usize,
    pub(crate) only: String,
}

impl Round {
    /// What the command line asks for.
    pub(crate) fn from_arguments() -> Self {
        let arguments: Vec<String> = std::env::args().skip(1).collect();
        let after = |name: &str| {
            let place = arguments.iter().position(|argument| argument == name)?;
            arguments.get(place + 1).cloned()
        };
        let seconds = |seconds, passes| Effort {
            budget: Duration::from_secs(seconds),
            passes,
        };
        let only = after("--only").unwrap_or_default();
        let quick = arguments.iter().any(|argument| argument == "--quick");
        let mut round = if quick {
            Self {
                events: 30_000,
                counts: &[1, 100, 10_000],
                stress_counts: &[1000],
                ours: seconds(1, 3),
                peers: seconds(1, 3),
                agreement_events: 100,
                only,
            }
        } else {
            Self {
                events: 120_000,
                counts: &[1, 10, 100, 1000, 10_000, 100_000],
                stress_counts: &[100, 1000, 10_000],
                ours: seconds(6, 7),
                peers: seconds(5, 5),
                agreement_events: 400,
                only,
            }
        };
        if let Some(events) = after("--events").and_then(|events| events.parse().ok()) {
            round.events = events;
        }
        round
    }

    pub(crate) fn wants(&self, section: &str) -> bool {
        section.contains(&self.only)
    }
}

/// Other processes may still share the core; thread CPU time leaves out what they take.
pub(crate) fn stay_on_one_core() {
    let mut cores = rustix::thread::CpuSet::new();
    cores.set(rustix::thread::sched_getcpu());
    if let Err(error) = rustix::thread::sched_setaffinity(None, &cores) {
        eprintln!("not bound to one core: {error}");
    }
}

pub(crate) fn on_all_cores() {
    let mut cores = rustix::thread::CpuSet::new();
    for core in 0..rustix::thread::CpuSet::MAX_CPU {
        cores.set(core);
    }
    if let Err(error) = rustix::thread::sched_setaffinity(None, &cores) {
        eprintln!("still bound to one core: {error}");
    }
}

pub(crate) fn corpus(round: &Round) -> Vec<Vec<u8>> {
    let options = Options {
        seed: 7,
        events: round.events as u64,
        accounts: 200,
        days: 7,
        incidents: 36,
        ..Options::default()
    };
    Generator::new(&options)
        .map(|record| record.bytes)
        .collect()
}
