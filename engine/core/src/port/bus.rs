//! The bus: an ordered log of records for each partition.
//!
//! A record once appended keeps its sequence for ever; sequences of one partition are whole numbers without holes,
//! from 1. What was appended is never changed, only trimmed from its old end. The position of a reader is kept by
//! the reader, beside what it made of the records, so that both move together: no bus is asked to remember it.

use super::PortFault;
use crate::rule::kind::EventTime;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::ops::Range;
use std::time::Duration;

/// The place of a record in its log; the first is 1, and 0 is before all of them.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Sequence(pub u64);

impl Sequence {
    /// The one that follows.
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Sequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What an acknowledgement of the bus outlives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Durability {
    /// The end of the process, not that of the machine.
    Process,
    /// The loss of power.
    Fsync,
    /// The loss of a machine.
    Replicated,
}

impl Durability {
    /// Its name in configuration and answers.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Process => "process",
            Self::Fsync => "fsync",
            Self::Replicated => "replicated",
        }
    }
}

/// What a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordKind {
    /// The bytes of an event, or of what somebody took for one.
    Event,
    /// Nothing came for a while: time has passed. It is in the log so that reading the log again gives the same.
    Tick,
}

/// What is known of a record beside its bytes, as the bus keeps it: JSON, or nothing.
pub type Attributes<'a> = &'a [u8];

/// A record to append.
#[derive(Clone, Copy, Debug)]
pub struct NewRecord<'a> {
    /// What it is.
    pub kind: RecordKind,
    /// When the bus took it.
    pub taken: EventTime,
    /// What whoever took it knows of it, such as the channel: JSON, or nothing.
    pub attributes: Attributes<'a>,
    /// The bytes.
    pub payload: &'a [u8],
}

/// A record as it is handed over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its place.
    pub sequence: Sequence,
    /// What it is.
    pub kind: RecordKind,
    /// When the bus took it.
    pub taken: EventTime,
    /// Where in the buffer its attributes are.
    pub attributes: Range<usize>,
    /// Where in the buffer its bytes are.
    pub payload: Range<usize>,
}

/// Records handed over together, in order, in one buffer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Delivered {
    /// The bytes of all of them.
    pub buffer: Vec<u8>,
    /// The records, in the order of their sequences.
    pub records: Vec<Record>,
    /// Records between the place asked for and the first one here that the bus no longer has, and why not: by
    /// retention, or because their bytes were damaged.
    pub lost: Vec<(Range<u64>, String)>,
}

impl Delivered {
    /// Nothing, with its memory kept.
    pub fn clear(&mut self) {
        self.buffer.clear();
        self.records.clear();
        self.lost.clear();
    }

    /// Adds a record.
    pub fn push(&mut self, sequence: Sequence, record: &NewRecord<'_>) {
        let start = self.buffer.len();
        self.buffer.extend_from_slice(record.attributes);
        let middle = self.buffer.len();
        self.buffer.extend_from_slice(record.payload);
        self.records.push(Record {
            sequence,
            kind: record.kind,
            taken: record.taken,
            attributes: start..middle,
            payload: middle..self.buffer.len(),
        });
    }

    /// The bytes of a record.
    pub fn payload(&self, record: &Record) -> &[u8] {
        &self.buffer[record.payload.clone()]
    }

    /// What is known of a record.
    pub fn attributes(&self, record: &Record) -> &[u8] {
        &self.buffer[record.attributes.clone()]
    }
}

/// How much is read at a time: at least one record, however long it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadMax {
    /// Records.
    pub records: usize,
    /// Bytes after which no further record is begun.
    pub bytes: usize,
}

/// How much one append may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AppendMax {
    /// Records.
    pub records: usize,
    /// Bytes of all of them; a single record may have more.
    pub bytes: usize,
}

/// What was appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// The place of the first of the records; the others follow without a hole.
    pub first: Sequence,
    /// How durable they are now.
    pub durability: Durability,
}

/// What became of records that were appended each by itself.
#[derive(Debug)]
pub struct Each {
    /// The places of the records, in their order; `None` for those of which it is not known that they were taken.
    pub places: Vec<Option<Sequence>>,
    /// How durable those with a place are.
    pub durability: Durability,
    /// Why some have none. They may have been taken all the same where the fault says so.
    pub fault: Option<PortFault>,
}

/// What a log has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// The place of its oldest record; one after `last` when it has none.
    pub first: Sequence,
    /// The place of its newest record; 0 when there never was one.
    pub last: Sequence,
    /// What its records take, about.
    pub bytes: u64,
}

/// The log of one partition. Shared by threads that append and the one that reads.
pub trait Bus: Send + Sync {
    /// Appends records, all or none, in this order and with no others between. Returns when they are as durable as it
    /// says, and not before.
    fn append(&self, records: &[NewRecord<'_>]) -> Result<Appended, PortFault>;

    /// Appends records that need not be taken as a whole: in this order as long as nothing fails, perhaps with others between,
    /// and when something fails, some of them. Cheaper than [`Bus::append`] where a whole has its price.
    fn append_each(&self, records: &[NewRecord<'_>]) -> Each {
        let durability = self.durability();
        match self.append(records) {
            Ok(appended) => Each {
                places: (appended.first.0..)
                    .map(|place| Some(Sequence(place)))
                    .take(records.len())
                    .collect(),
                durability: appended.durability,
                fault: None,
            },
            Err(fault) => Each {
                places: vec![None; records.len()],
                durability,
                fault: Some(fault),
            },
        }
    }

    /// How much one append may hold; whoever has more appends several times.
    fn append_max(&self) -> AppendMax {
        AppendMax {
            records: usize::MAX,
            bytes: usize::MAX,
        }
    }

    /// Adds the records after a place to `into`, as many as there are and `max` allows; does not wait for any.
    fn read(&self, after: Sequence, max: ReadMax, into: &mut Delivered) -> Result<(), PortFault>;

    /// Waits until there is a record after a place, or for this long. Whether there is one.
    fn wait(&self, after: Sequence, at_most: Duration) -> Result<bool, PortFault>;

    /// What the log has now.
    fn span(&self) -> Result<Span, PortFault>;

    /// Nobody needs the records before this place any more; the bus may forget them when it likes.
    fn release(&self, before: Sequence) -> Result<(), PortFault>;

    /// What its acknowledgements outlive.
    fn durability(&self) -> Durability;
}
