//! What the service and whoever evaluates again open and set in the same way.

use crate::config::Config;
use std::thread;
use tripline_core::pipeline::WorkerSettings;
use tripline_core::port::{Partition, PortFault, ReadMax};
use tripline_store::embedded::{EmbeddedStore, Options};

const MIB: u64 = 1024 * 1024;

/// Batches that are examined at a time, for each thread.
const BATCHES_A_THREAD: usize = 2;

/// Bytes that are read at a time.
const READ_BYTES: usize = 4 * 1024 * 1024;

/// The store of the data folder.
pub(super) fn open_store(config: &Config) -> Result<EmbeddedStore, PortFault> {
    let options = Options {
        // Half of what stays free: the log refuses first, and the store empties it.
        free_bytes_min: config.data_free_min_mib * MIB / 2,
        ..Options::default()
    };
    EmbeddedStore::open(&config.data.join("store"), options)
}

/// Threads that evaluate.
pub(super) fn threads(config: &Config) -> usize {
    match config.engine.threads {
        0 => thread::available_parallelism().map_or(1, std::num::NonZero::get),
        threads => threads,
    }
}

/// Of every worker; its partition is put in.
pub(super) fn worker_settings(config: &Config, threads: usize) -> WorkerSettings {
    let engine = &config.engine;
    WorkerSettings {
        partition: Partition(0),
        read: ReadMax {
            records: engine.batch_events,
            bytes: READ_BYTES,
        },
        in_flight_max: threads * BATCHES_A_THREAD,
        commit_every: engine.commit_every.period(),
        snapshot_every: engine.snapshot_every.period(),
        tick_every: engine.tick_every.period(),
        state_bytes_max: usize::try_from(engine.state_memory_mib * MIB).unwrap_or(usize::MAX),
        undelivered_max: engine.undelivered_max,
        // Said of each partition when its plugins are known.
        plugins_remember: false,
    }
}
