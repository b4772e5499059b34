//! What the entries of the ledger say: JSON, one change each.
//!
//! Old reader, new data: a change that it does not know stops it; leaving one out would make its store another one. New
//! reader, old data: reads every change ever written.

use crate::embedded::{Kept, VersionKept};
use serde::{Deserialize, Serialize};
use tripline_core::port::{
    Commit, DeadLetter, DeadNumber, Epoch, FaultClass, Partition, PortFault, Sequence,
};
use tripline_core::rule::kind::{EventTime, Period};

/// An entry.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Entry {
    /// Version of the shape.
    v: u8,
    /// Who wrote it: a process, at one of its starts.
    pub(super) by: String,
    /// Tells it from the others of whoever wrote it.
    pub(super) number: u64,
    /// The time to stamp on what it stores.
    pub(super) now: EventTime,
    pub(super) change: Change,
}

/// A change of the store.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Change {
    TakeOver {
        partition: Partition,
    },
    Commit(Commit),
    Snapshot {
        partition: Partition,
        epoch: Epoch,
        kept: Kept,
    },
    SinkReached {
        sink: String,
        position: Sequence,
        dead: Vec<DeadLetter>,
    },
    ForgetSink {
        sink: String,
    },
    DropDead {
        numbers: Vec<DeadNumber>,
    },
    Forget {
        before: EventTime,
    },
    /// Partitions are to be evaluated with this version of the rules.
    Publish {
        version: String,
        kept: VersionKept,
    },
    /// A partition is evaluated with this version, from its position on.
    Switch {
        partition: Partition,
        epoch: Epoch,
        version: String,
        forgets: bool,
    },
    /// Nothing: it is the newest entry of its key, so that those before it may go.
    Head {
        key: String,
    },
}

const VERSION: u8 = 1;

/// Keys of what is not about one partition.
const SINKS: &str = "sinks";
const STORE: &str = "store";
const RULES: &str = "rules";

/// How far a process's clock may be ahead of the ledger's.
const CLOCKS_DIFFER: Period = Period::from_seconds(60);

impl Entry {
    pub(super) fn new(by: &str, number: u64, now: EventTime, change: Change) -> Self {
        Self {
            v: VERSION,
            by: by.to_owned(),
            number,
            now,
            change,
        }
    }

    pub(super) fn to_bytes(&self) -> Result<Vec<u8>, PortFault> {
        serde_json::to_vec(self)
            .map_err(|fault| PortFault::new(FaultClass::Reject, "write an entry").because(fault))
    }

    /// The same with times that no clock of one process can move far from the ledger's.
    pub(super) fn within(mut self, taken: EventTime) -> Self {
        let now = self.now.min(taken.plus(CLOCKS_DIFFER));
        if now == self.now {
            return self;
        }
        if let Change::Forget { before } = &mut self.change {
            // What is kept for a while is kept for as long by the ledger's clock.
            let kept = self.now.micros().saturating_sub(before.micros()).max(0);
            *before = EventTime::from_micros(now.micros().saturating_sub(kept));
        }
        self.now = now;
        self
    }

    /// Reads an entry that everybody must understand.
    pub(super) fn read(place: Sequence, bytes: &[u8]) -> Result<Self, PortFault> {
        let doing = || format!("read entry {} of the ledger", place.0);
        let entry: Self = serde_json::from_slice(bytes).map_err(|fault| {
            let words = format!("{fault}; a newer program or somebody else wrote it");
            PortFault::new(FaultClass::Stop, doing()).because(words)
        })?;
        if entry.v != VERSION {
            let words = format!(
                "it has version {}, this program knows {VERSION}; a newer one wrote it",
                entry.v
            );
            return Err(PortFault::new(FaultClass::Stop, doing()).because(words));
        }
        Ok(entry)
    }
}

impl Change {
    /// What its entries are ordered among: whoever appends one has seen all before it.
    pub(super) fn key(&self) -> String {
        match self {
            Self::TakeOver { partition }
            | Self::Snapshot { partition, .. }
            | Self::Switch { partition, .. } => key_of(*partition),
            Self::Publish { .. } => RULES.to_owned(),
            Self::Commit(commit) => key_of(commit.partition),
            Self::SinkReached { .. } | Self::ForgetSink { .. } => SINKS.to_owned(),
            Self::DropDead { .. } | Self::Forget { .. } => STORE.to_owned(),
            Self::Head { key } => key.clone(),
        }
    }

    /// Whose partition it is about, and in which epoch.
    pub(super) fn holder(&self) -> Option<(Partition, Epoch)> {
        match self {
            Self::Commit(commit) => Some((commit.partition, commit.epoch)),
            Self::Snapshot {
                partition, epoch, ..
            }
            | Self::Switch {
                partition, epoch, ..
            } => Some((*partition, *epoch)),
            _ => None,
        }
    }
}

/// Every key that a store with these partitions may have entries of.
pub(super) fn keys(partitions: &[Partition]) -> Vec<String> {
    let of_partitions = partitions.iter().map(|one| key_of(*one));
    let others = [SINKS, STORE, RULES].map(str::to_owned);
    others.into_iter().chain(of_partitions).collect()
}

fn key_of(partition: Partition) -> String {
    format!("partition-{}", partition.0)
}
