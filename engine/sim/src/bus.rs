//! A log that can fail, lose what was not yet durable, and forget what was released.

use crate::chance::Chance;
use std::collections::VecDeque;
use tripline_core::port::{Delivered, NewRecord, ReadMax, RecordKind, Sequence};
use tripline_core::rule::kind::EventTime;

/// A record as the simulated disk has it.
#[derive(Clone, Debug)]
pub struct Kept {
    /// What it is.
    pub kind: RecordKind,
    /// When the bus took it.
    pub taken: EventTime,
    /// Its bytes.
    pub payload: Vec<u8>,
}

/// The log of one partition.
#[derive(Clone, Debug, Default)]
pub struct SimBus {
    /// Everything that ever was durable, for the auditor: the log itself may have forgotten it.
    pub history: Vec<Kept>,
    /// Written, and gone with the next crash unless chance has it otherwise.
    volatile: VecDeque<Kept>,
    /// Nothing before this is there any more.
    pub first: u64,
}

impl SimBus {
    /// Writes; durable only after `sync`.
    pub fn write(&mut self, record: Kept) {
        self.volatile.push_back(record);
    }

    /// Makes durable what was written.
    pub fn sync(&mut self) {
        self.history.extend(self.volatile.drain(..));
    }

    /// Power is gone: some of what was not durable is there, from its beginning on.
    pub fn crash(&mut self, chance: &mut Chance) {
        let survive = chance.below(self.volatile.len() as u64 + 1) as usize;
        self.history.extend(self.volatile.drain(..survive));
        self.volatile.clear();
    }

    /// The newest durable record.
    pub fn last(&self) -> Sequence {
        Sequence(self.history.len() as u64)
    }

    /// Durable records after a place.
    pub fn read(&self, after: Sequence, max: ReadMax) -> Delivered {
        let mut delivered = Delivered::default();
        let begin = after.0.max(self.first.saturating_sub(1));
        if begin > after.0 {
            let lost = after.0 + 1..begin + 1;
            delivered.lost.push((lost, "released".to_owned()));
        }
        for (at, kept) in self.history.iter().enumerate().skip(begin as usize) {
            if delivered.records.len() == max.records || delivered.buffer.len() >= max.bytes {
                break;
            }
            let record = NewRecord {
                kind: kept.kind,
                taken: kept.taken,
                attributes: b"",
                payload: &kept.payload,
            };
            delivered.push(Sequence(at as u64 + 1), &record);
        }
        delivered
    }

    /// Nothing before this is needed.
    pub fn release(&mut self, before: Sequence) {
        self.first = self.first.max(before.0);
    }
}
