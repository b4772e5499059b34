//! What a worker is told, and what it asks for: closed lists, so that a driver does all of it or does not compile.

use super::examine::Examined;
use crate::port::{Commit, Epoch, FaultClass, Partition, ReadMax, Sequence, SnapshotKept};
use crate::rule::kind::{EventTime, Period};
use crate::state::SnapshotFault;
use thiserror::Error;

/// How a worker goes about it.
#[derive(Clone, Copy, Debug)]
pub struct WorkerSettings {
    /// The partition.
    pub partition: Partition,
    /// How much is read at a time.
    pub read: ReadMax,
    /// Batches that are examined at a time.
    pub in_flight_max: usize,
    /// A position without findings is committed this long after the last commit.
    pub commit_every: Period,
    /// What rules remember is kept this long after it was kept last.
    pub snapshot_every: Period,
    /// A tick is appended this long after the last record, and after the last tick, of a stream at its end.
    pub tick_every: Period,
    /// About how many bytes rules may remember.
    pub state_bytes_max: usize,
    /// Findings that the slowest sink has yet to take, more than which reading stops.
    pub undelivered_max: u64,
    /// Whether rules ask plugins that remember: what those do is kept with what rules remember.
    pub plugins_remember: bool,
}

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// Time may have passed, or records may have come.
    Woken,
    /// What was read: the batch of this number goes through this record, or is empty.
    Fetched {
        /// The number of the read.
        number: u64,
        /// The last of its records.
        through: Sequence,
        /// How many there are.
        records: usize,
    },
    /// It could not be read.
    FetchFailed(FaultClass),
    /// What the rules say of a batch.
    Examined(Box<Examined>),
    /// The commit is durable.
    Committed,
    /// It is not.
    CommitFailed(FaultClass),
    /// The snapshot is durable.
    SnapshotKept,
    /// It is not.
    SnapshotFailed(FaultClass),
    /// The tick is in the log, or is not.
    Ticked,
    /// So many findings are yet to be taken by the slowest sink.
    Undelivered(u64),
    /// Stop reading, finish what was begun, and say so.
    Drain,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Read records after this place. Answered by `Fetched` or `FetchFailed`.
    Fetch {
        /// The number of the read, and of the batch.
        number: u64,
        /// After this record.
        after: Sequence,
        /// This much.
        max: ReadMax,
    },
    /// Examine a batch. Answered by `Examined`.
    Examine {
        /// Its number.
        number: u64,
        /// What records up to here lead to at once is stored already.
        known: Sequence,
    },
    /// Set the records of a batch aside unexamined. Answered by `Examined`.
    SetAside {
        /// Its number.
        number: u64,
        /// How often the process died of them.
        starts: u32,
    },
    /// Make this durable. Answered by `Committed` or `CommitFailed`.
    Commit(Box<Commit>),
    /// Keep what rules remember. Answered by `SnapshotKept` or `SnapshotFailed`.
    KeepSnapshot {
        /// The epoch of this worker.
        epoch: Epoch,
        /// The snapshot.
        snapshot: Box<SnapshotKept>,
    },
    /// Nothing before this record is needed to start again.
    Release {
        /// The record.
        before: Sequence,
    },
    /// Append a tick. Answered by `Ticked`.
    AppendTick {
        /// Its time.
        at: EventTime,
    },
    /// Send `Woken` at this time, or as soon as there is a record after the last one read.
    Wake {
        /// The time.
        at: EventTime,
    },
    /// Everything that was begun is durable; there will be no more effects.
    Drained,
    /// There will be no more effects.
    Stop(StopReason),
}

/// Why a worker stops by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopReason {
    /// Somebody else took the partition over.
    Fenced,
    /// The bus or the store cannot be trusted any more.
    Fault,
}

/// Why a worker cannot start.
#[derive(Debug, Error)]
pub enum StartFault {
    /// What its rules remember cannot be read.
    #[error("the snapshot of partition {} cannot be restored", .partition.0)]
    Snapshot {
        /// The partition.
        partition: Partition,
        /// The cause.
        #[source]
        source: Box<SnapshotFault>,
    },
    /// The snapshot is sound, but was not written by a worker.
    #[error("the snapshot of partition {} does not say how far time had come", .partition.0)]
    Clock {
        /// The partition.
        partition: Partition,
        /// The cause.
        #[source]
        source: serde_json::Error,
    },
}
