//! What a plugin did so far, counted without a lock.

use crate::fault::{Fault, FaultName};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Counted while running.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    batches: AtomicU64,
    calls: AtomicU64,
    rows: AtomicU64,
    rows_faulted: AtomicU64,
    faults: [AtomicU64; FaultName::ALL.len()],
    nanoseconds: AtomicU64,
    instances: AtomicU64,
    memory_bytes_max: AtomicU64,
    instructions: AtomicU64,
}

/// What was counted up to a moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Batches, chunks and questions that were asked.
    pub batches: u64,
    /// Calls into the plugin; more than batches where rows were looked for.
    pub calls: u64,
    /// Rows of all batches.
    pub rows: u64,
    /// Rows without an answer.
    pub rows_faulted: u64,
    /// Failed calls by kind; kinds without any are left out.
    pub faults: Vec<(FaultName, u64)>,
    /// By the clock, within calls, making instances included.
    pub time: Duration,
    /// Instances that were made.
    pub instances: u64,
    /// The most memory that an instance had.
    pub memory_bytes_max: u64,
    /// Instructions of calls and of making instances; 0 where they are not counted.
    pub instructions: u64,
}

impl Counters {
    pub(crate) fn asked(&self, rows: usize) {
        self.batches.fetch_add(1, Ordering::Relaxed);
        self.rows.fetch_add(rows as u64, Ordering::Relaxed);
    }

    pub(crate) fn called(&self, time: Duration) {
        let nanoseconds = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.calls.fetch_add(1, Ordering::Relaxed);
        self.nanoseconds.fetch_add(nanoseconds, Ordering::Relaxed);
    }

    pub(crate) fn failed(&self, fault: &Fault) {
        self.faults[fault.name() as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn faulted(&self, rows: usize) {
        self.rows_faulted.fetch_add(rows as u64, Ordering::Relaxed);
    }

    pub(crate) fn instantiated(&self) {
        self.instances.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn used_memory(&self, bytes: usize) {
        self.memory_bytes_max
            .fetch_max(bytes as u64, Ordering::Relaxed);
    }

    pub(crate) fn ran(&self, instructions: u64) {
        self.instructions.fetch_add(instructions, Ordering::Relaxed);
    }

    pub(crate) fn so_far(&self) -> Statistics {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let faults = FaultName::ALL.map(|name| (name, load(&self.faults[name as usize])));
        Statistics {
            batches: load(&self.batches),
            calls: load(&self.calls),
            rows: load(&self.rows),
            rows_faulted: load(&self.rows_faulted),
            faults: faults.into_iter().filter(|(_, count)| *count > 0).collect(),
            time: Duration::from_nanos(load(&self.nanoseconds)),
            instances: load(&self.instances),
            memory_bytes_max: load(&self.memory_bytes_max),
            instructions: load(&self.instructions),
        }
    }
}
