//! What both stores refuse before they touch anything, and how dead letters are cut.
//!
//! In one place, so that the store in memory never takes what the one on disk would not.

use crate::limits::{DEAD_PAYLOAD_BYTES_MAX, FINDING_BYTES_MAX, KEY_BYTES_MAX};
use std::borrow::Cow;
use tripline_core::limits::EVENT_BYTES_MAX;
use tripline_core::port::{Commit, DeadLetter, Epoch, FaultClass, Partition, PortFault, Sequence};

/// Refuses ids and names that are no keys.
pub(crate) fn key(what: &str, key: &str) -> Result<(), PortFault> {
    if key.is_empty() {
        return Err(reject(format!("store {what} without an id")));
    }
    if key.len() > KEY_BYTES_MAX {
        let bytes = key.len();
        return Err(reject(format!(
            "store {what}: its id has {bytes} bytes, more than {KEY_BYTES_MAX}"
        )));
    }
    Ok(())
}

/// Refuses a commit that can never be stored as it is.
pub(crate) fn commit(commit: &Commit) -> Result<(), PortFault> {
    for event in &commit.events {
        key("an event", &event.id)?;
        if event.bytes.len() > EVENT_BYTES_MAX {
            let (id, bytes) = (&event.id, event.bytes.len());
            return Err(reject(format!(
                "store event {id}: it has {bytes} bytes, more than {EVENT_BYTES_MAX}"
            )));
        }
    }
    for finding in &commit.findings {
        key("a finding", &finding.finding_id)?;
    }
    Ok(())
}

/// Refuses a finding whose text is too long.
pub(crate) fn finding_bytes(id: &str, bytes: usize) -> Result<(), PortFault> {
    if bytes > FINDING_BYTES_MAX {
        return Err(reject(format!(
            "store finding {id}: as JSON it has {bytes} bytes, more than {FINDING_BYTES_MAX}"
        )));
    }
    Ok(())
}

/// Refuses whoever does not hold the partition. Epoch 0 is held by nobody.
pub(crate) fn holder(partition: Partition, epoch: Epoch, now: Epoch) -> Result<(), PortFault> {
    if epoch == now && epoch != Epoch(0) {
        return Ok(());
    }
    Err(PortFault::new(
        FaultClass::Fenced,
        format!(
            "write to partition {} with epoch {}: it was taken over, its epoch is {}",
            partition.0, epoch.0, now.0
        ),
    ))
}

/// Refuses a position that goes back.
pub(crate) fn position(
    partition: Partition,
    new: Sequence,
    old: Sequence,
) -> Result<(), PortFault> {
    if new >= old {
        return Ok(());
    }
    Err(reject(format!(
        "commit partition {} at record {new}: it has come to {old} already",
        partition.0
    )))
}

/// Refuses a snapshot of records whose findings are not stored.
pub(crate) fn snapshot(
    partition: Partition,
    seen: Sequence,
    position: Sequence,
) -> Result<(), PortFault> {
    if seen <= position {
        return Ok(());
    }
    Err(reject(format!(
        "keep a snapshot of partition {} that has seen record {seen}: only {position} is committed",
        partition.0
    )))
}

/// Refuses a sink that says it took what never went out.
pub(crate) fn sink(sink: &str, position: Sequence, newest: Sequence) -> Result<(), PortFault> {
    key("the position of a sink", sink)?;
    if position <= newest {
        return Ok(());
    }
    Err(reject(format!(
        "move sink {sink} to {position}: the newest finding has number {newest}"
    )))
}

/// A dead letter as it is kept: not longer than it may be. Its `bytes` still tell the whole.
pub(crate) fn cut(letter: &DeadLetter) -> Cow<'_, DeadLetter> {
    let most = DEAD_PAYLOAD_BYTES_MAX;
    if letter.payload.len() <= most && letter.attributes.len() <= most {
        return Cow::Borrowed(letter);
    }
    let mut cut = letter.clone();
    cut.payload.truncate(most);
    cut.attributes.truncate(most);
    Cow::Owned(cut)
}

pub(crate) fn reject(doing: String) -> PortFault {
    PortFault::new(FaultClass::Reject, doing)
}
