//! How much goes wrong in a run, how long it is, and what it came to.

use crate::chance::Chance;

/// How much goes wrong, in a thousand chances each; the first three in a hundred thousand, at everything that happens.
#[derive(Clone, Copy, Debug)]
pub struct Faults {
    /// The process is killed, between two things that happen.
    pub crash: u32,
    /// Another process takes the partition over while the old one still works.
    pub takeover: u32,
    /// The rules are changed.
    pub reload: u32,
    /// A read fails.
    pub read: u32,
    /// A commit fails before anything of it is done.
    pub commit: u32,
    /// A commit is done and said to have failed.
    pub commit_unsure: u32,
    /// A snapshot is not kept.
    pub snapshot: u32,
    /// The sink does not take what it is sent.
    pub sink: u32,
    /// An acknowledgement to the producer is lost.
    pub acknowledgement: u32,
    /// The clock of the next process is off.
    pub clock: u32,
}

impl Faults {
    /// Drawn from a seed: some runs are quiet, some are hell.
    pub fn drawn(chance: &mut Chance) -> Self {
        let mut draw = |most: u64| chance.below(most + 1) as u32 * u32::from(chance.often(700));
        Self {
            crash: draw(150),
            takeover: draw(60),
            reload: draw(60),
            read: draw(100),
            commit: draw(150),
            commit_unsure: draw(80),
            snapshot: draw(200),
            sink: draw(200),
            acknowledgement: draw(60),
            clock: draw(500),
        }
    }

    /// Nothing goes wrong.
    pub fn none() -> Self {
        Self {
            crash: 0,
            takeover: 0,
            reload: 0,
            read: 0,
            commit: 0,
            commit_unsure: 0,
            snapshot: 0,
            sink: 0,
            acknowledgement: 0,
            clock: 0,
        }
    }
}

/// What a run came to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    /// Records that were acknowledged to the producer.
    pub acknowledged: u64,
    /// Findings in the end.
    pub findings: usize,
    /// What the sink got, repetitions included.
    pub delivered: u64,
    /// Crashes, take-overs and reloads.
    pub crashes: u64,
    /// See `crashes`.
    pub takeovers: u64,
    /// See `crashes`.
    pub reloads: u64,
    /// Everything that happened.
    pub steps: u64,
    /// A hash of everything that happened, in order.
    pub trace: u64,
    /// What is wrong; empty when all is well.
    pub violations: Vec<String>,
}

/// How long a run is.
#[derive(Clone, Copy, Debug)]
pub struct Length {
    /// Records that the producer sends.
    pub records: u64,
}
