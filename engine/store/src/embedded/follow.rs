//! What a store needs that does what the entries of a ledger say: to know which it has done, in the same batch.
//!
//! Only whoever follows the ledger may change such a store, one entry after the other: then everybody who follows it has the
//! same, down to the numbers of findings. It must never say that an entry is done of which a part is missing.

use super::layout::SnapshotPointer;
use super::write::held_by;
use super::{EmbeddedStore, PartitionKept};
use crate::admit;
use std::sync::atomic::Ordering;
use tripline_core::port::{Epoch, Partition, PortFault, Sequence};

/// A partition that was taken over, without what its rules remember.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Taken {
    pub(crate) epoch: Epoch,
    pub(crate) position: Sequence,
    pub(crate) starts: u32,
    pub(crate) snapshot: Option<Kept>,
}

/// What is known of a snapshot that is kept elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Kept {
    /// It has seen the records up to here.
    pub(crate) position: Sequence,
    /// What tells it from others of its partition.
    pub(crate) number: u64,
    pub(crate) length: u64,
    pub(crate) checksum: u64,
}

impl Kept {
    pub(super) fn of(pointer: &SnapshotPointer) -> Self {
        Self {
            position: Sequence(pointer.position),
            number: pointer.file,
            length: pointer.length,
            checksum: pointer.checksum,
        }
    }
}

impl EmbeddedStore {
    /// Whether what a partition remembers has seen everything up to its position, or nothing is remembered.
    pub(crate) fn is_remembered(&self, partition: Partition) -> bool {
        self.look_at(|state| {
            let kept = state.partitions.get(&partition);
            kept.is_none_or(|kept| {
                kept.snapshot
                    .is_none_or(|snapshot| snapshot.position >= kept.position)
            })
        })
    }

    /// The newest entry that changed it.
    pub(crate) fn applied(&self) -> Sequence {
        Sequence(self.look_at(|state| state.counters.applied))
    }

    /// What is changed from now on belongs to this entry.
    pub(crate) fn begin_entry(&self, place: Sequence) {
        self.entry.store(place.0, Ordering::SeqCst);
    }

    /// Notes that an entry is done which took several batches, each of which may be done again.
    pub(crate) fn end_entry(&self, place: Sequence) -> Result<(), PortFault> {
        self.begin_entry(place);
        self.change(|_, _, _| Ok(()))
    }

    /// Refuses whoever does not hold the partition.
    pub(crate) fn check_holder(&self, partition: Partition, epoch: Epoch) -> Result<(), PortFault> {
        self.look_at(|state| held_by(state, partition, epoch).map(|_| ()))
    }

    pub(crate) fn take_without_snapshot(&self, partition: Partition) -> Result<Taken, PortFault> {
        let kept: PartitionKept = self.take_kept(partition)?;
        Ok(Taken {
            epoch: Epoch(kept.epoch),
            position: Sequence(kept.position),
            starts: kept.starts,
            snapshot: kept.snapshot.as_ref().map(Kept::of),
        })
    }

    /// Remembers which snapshot is the newest, fenced like a commit. What was the newest before, when this one is.
    pub(crate) fn point_to(
        &self,
        (partition, epoch): (Partition, Epoch),
        snapshot: &Kept,
    ) -> Result<Option<Kept>, PortFault> {
        self.change(|before, batch, after| {
            let mut kept = held_by(before, partition, epoch)?;
            admit::snapshot(partition, snapshot.position, Sequence(kept.position))?;
            if kept
                .snapshot
                .is_some_and(|one| one.position > snapshot.position.0)
            {
                return Ok(Some(*snapshot));
            }
            let pointer = SnapshotPointer {
                position: snapshot.position.0,
                file: snapshot.number,
                length: snapshot.length,
                checksum: snapshot.checksum,
            };
            let old = kept.snapshot.replace(pointer);
            self.put_partition(batch, partition, &kept);
            after.partitions.insert(partition, kept);
            Ok(old.as_ref().map(Kept::of))
        })
    }
}
