//! How everything is written: keys and values of each part of the database, byte by byte.
//!
//! Numbers in keys are big-endian, so that keys sort as numbers do; numbers in values are too. Each value starts with
//! the version of its shape, now 1.
//!
//! | part | key | value after the version |
//! |---|---|---|
//! | `meta` | `format` | u32: version of the whole layout |
//! | | `counters` | u64 each: newest number that went out, newest dead letter, dead letters there are, dead letters that gave way, writes ever; i64: newest stamp; where the store follows a ledger, u64: the entry that changed it last |
//! | `partitions` | u32 | u64 epoch, u64 position, u32 starts, then if there is a snapshot: u64 its position, u64 number of its file, u64 its length, u64 its checksum |
//! | `findings` | id | u64: number of its newest version |
//! | `outgoing` | u64 number | i64 stamp, then the finding as JSON (`core/src/wire/finding.rs` has a version of its own) |
//! | `events` | id | u32: the hour at whose end it was last needed, then the document |
//! | `event_hours` | u32 hour, id | nothing |
//! | `dead` | u64 number | i64 stamp, u32 partition, u64 sequence, i64 taken, u64 bytes, u32 length of the reason, the reason as JSON, u32 length of the attributes, the attributes, the payload |
//! | `sinks` | name | u64 position |
//! | `versions` | `published` | the version of the rules that partitions are to be evaluated with |
//! | | `v`, version | u64 length and u64 checksum of what it is made of, then the name under which that is kept beside the ledger |
//! | | `p`, u32 partition | u64 record after which the partition is evaluated with it, then the version |
//!
//! `outgoing` is the only copy of a finding: it is the queue of sinks, the list of people, and, because stamps never go
//! back, the order in which retention forgets. Rejected: an index by time beside it, one more write for each finding.
//!
//! Old reader, new data: refuses a version that it does not know, with its number; it never guesses. New reader, old
//! data: reads every version ever written. Old writer, new data: does not come to writing.

use serde::{Deserialize, Serialize};
use tripline_core::port::{DeadLetter, FaultClass, Partition, PortFault, Sequence};
use tripline_core::rule::kind::EventTime;

/// Version of the whole layout.
pub(super) const FORMAT: u32 = 1;

/// Version of each value.
const VERSION: u8 = 1;

pub(super) const FORMAT_KEY: &str = "format";
pub(super) const COUNTERS_KEY: &str = "counters";

pub(super) const PUBLISHED_KEY: &str = "published";
const VERSION_KEY: u8 = b'v';
const PARTITION_KEY: u8 = b'p';

const MICROS_PER_HOUR: i64 = 3_600_000_000;

/// What the store counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counters {
    /// The newest number that went out.
    pub(super) newest: u64,
    /// The newest dead letter.
    pub(super) dead_newest: u64,
    /// Dead letters there are.
    pub(super) dead_kept: u64,
    /// Dead letters that gave way.
    pub(super) dead_given_way: u64,
    /// Writes ever, each of them whole.
    pub(super) writes: u64,
    /// The newest stamp.
    pub(super) stamp: i64,
    /// The entry of a ledger that changed it last; 0 when it follows none.
    pub(super) applied: u64,
}

/// What is known of a partition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct PartitionKept {
    pub(super) epoch: u64,
    pub(super) position: u64,
    pub(super) starts: u32,
    pub(super) snapshot: Option<SnapshotPointer>,
}

/// Where a snapshot is, and what it must be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct SnapshotPointer {
    pub(super) position: u64,
    pub(super) file: u64,
    pub(super) length: u64,
    pub(super) checksum: u64,
}

/// What a version of the rules is made of.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct VersionKept {
    /// The name under which it is kept beside the ledger.
    pub(crate) object: String,
    pub(crate) length: u64,
    pub(crate) checksum: u64,
}

/// What an entry of the versions is about.
pub(super) enum VersionKey {
    Published,
    Version(String),
    Partition(u32),
}

/// The hour after whose end something stamped now may be forgotten. Retention by whole hours keeps renewing rare.
pub(super) fn hour_of(stamp: i64) -> u32 {
    let hour = stamp.max(0) / MICROS_PER_HOUR + 1;
    u32::try_from(hour).unwrap_or(u32::MAX)
}

/// The first hour that does not end by this time.
pub(super) fn hour_kept(time: EventTime) -> u32 {
    hour_of(time.micros())
}

/// Reads numbers off the front of a value.
struct Reader<'a> {
    what: &'a str,
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn new(what: &'a str, value: &'a [u8]) -> Result<Self, PortFault> {
        match value.split_first() {
            Some((&VERSION, rest)) => Ok(Self { what, rest }),
            Some((version, _)) => Err(PortFault::new(
                FaultClass::Stop,
                format!(
                    "read {what} of the store: it has version {version}, this program knows {VERSION}; a newer one \
                     wrote it"
                ),
            )),
            None => Err(damaged(what)),
        }
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], PortFault> {
        let Some((taken, rest)) = self.rest.split_at_checked(length) else {
            return Err(damaged(self.what));
        };
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], PortFault> {
        let taken = self.take(N)?;
        taken.try_into().map_err(|_| damaged(self.what))
    }

    fn u32(&mut self) -> Result<u32, PortFault> {
        Ok(u32::from_be_bytes(self.array()?))
    }

    fn u64(&mut self) -> Result<u64, PortFault> {
        Ok(u64::from_be_bytes(self.array()?))
    }

    fn i64(&mut self) -> Result<i64, PortFault> {
        Ok(i64::from_be_bytes(self.array()?))
    }

    fn end(&self) -> Result<(), PortFault> {
        match self.rest {
            [] => Ok(()),
            _ => Err(damaged(self.what)),
        }
    }
}

pub(super) fn damaged(what: &str) -> PortFault {
    PortFault::new(
        FaultClass::Stop,
        format!("read {what} of the store: it is damaged; restore the store from a copy"),
    )
}

fn value(capacity: usize) -> Vec<u8> {
    let mut value = Vec::with_capacity(capacity + 1);
    value.push(VERSION);
    value
}

pub(super) fn write_number(number: u64) -> Vec<u8> {
    let mut into = value(8);
    into.extend(number.to_be_bytes());
    into
}

pub(super) fn read_number(what: &str, value: &[u8]) -> Result<u64, PortFault> {
    let mut from = Reader::new(what, value)?;
    let number = from.u64()?;
    from.end()?;
    Ok(number)
}

/// A key that is a number.
pub(super) fn key_number(what: &str, key: &[u8]) -> Result<u64, PortFault> {
    let bytes: [u8; 8] = key.try_into().map_err(|_| damaged(what))?;
    Ok(u64::from_be_bytes(bytes))
}

pub(super) fn write_format() -> Vec<u8> {
    let mut into = value(4);
    into.extend(FORMAT.to_be_bytes());
    into
}

pub(super) fn read_format(value: &[u8]) -> Result<u32, PortFault> {
    Reader::new("the format", value)?.u32()
}

pub(super) fn write_counters(counters: &Counters) -> Vec<u8> {
    let mut into = value(48);
    into.extend(counters.newest.to_be_bytes());
    into.extend(counters.dead_newest.to_be_bytes());
    into.extend(counters.dead_kept.to_be_bytes());
    into.extend(counters.dead_given_way.to_be_bytes());
    into.extend(counters.writes.to_be_bytes());
    into.extend(counters.stamp.to_be_bytes());
    if counters.applied > 0 {
        into.extend(counters.applied.to_be_bytes());
    }
    into
}

pub(super) fn read_counters(value: &[u8]) -> Result<Counters, PortFault> {
    let mut from = Reader::new("the counters", value)?;
    let mut counters = Counters {
        newest: from.u64()?,
        dead_newest: from.u64()?,
        dead_kept: from.u64()?,
        dead_given_way: from.u64()?,
        writes: from.u64()?,
        stamp: from.i64()?,
        applied: 0,
    };
    if !from.rest.is_empty() {
        counters.applied = from.u64()?;
    }
    from.end()?;
    Ok(counters)
}

pub(super) fn write_partition(kept: &PartitionKept) -> Vec<u8> {
    let mut into = value(52);
    into.extend(kept.epoch.to_be_bytes());
    into.extend(kept.position.to_be_bytes());
    into.extend(kept.starts.to_be_bytes());
    if let Some(snapshot) = &kept.snapshot {
        into.extend(snapshot.position.to_be_bytes());
        into.extend(snapshot.file.to_be_bytes());
        into.extend(snapshot.length.to_be_bytes());
        into.extend(snapshot.checksum.to_be_bytes());
    }
    into
}

pub(super) fn read_partition(value: &[u8]) -> Result<PartitionKept, PortFault> {
    let mut from = Reader::new("a partition", value)?;
    let mut kept = PartitionKept {
        epoch: from.u64()?,
        position: from.u64()?,
        starts: from.u32()?,
        snapshot: None,
    };
    if !from.rest.is_empty() {
        kept.snapshot = Some(SnapshotPointer {
            position: from.u64()?,
            file: from.u64()?,
            length: from.u64()?,
            checksum: from.u64()?,
        });
    }
    from.end()?;
    Ok(kept)
}

pub(super) fn version_key(version: &str) -> Vec<u8> {
    [&[VERSION_KEY], version.as_bytes()].concat()
}

pub(super) fn partition_version_key(partition: Partition) -> Vec<u8> {
    [&[PARTITION_KEY][..], &partition.0.to_be_bytes()].concat()
}

pub(super) fn read_version_key(key: &[u8]) -> Result<VersionKey, PortFault> {
    let wrong = || damaged("a version of the rules");
    if key == PUBLISHED_KEY.as_bytes() {
        return Ok(VersionKey::Published);
    }
    match key.split_first() {
        Some((&VERSION_KEY, version)) => Ok(VersionKey::Version(text(version)?)),
        Some((&PARTITION_KEY, number)) => {
            let number = number.try_into().map_err(|_| wrong())?;
            Ok(VersionKey::Partition(u32::from_be_bytes(number)))
        }
        _ => Err(wrong()),
    }
}

fn text(bytes: &[u8]) -> Result<String, PortFault> {
    String::from_utf8(bytes.to_vec()).map_err(|_| damaged("a version of the rules"))
}

pub(super) fn write_text(text: &str) -> Vec<u8> {
    let mut into = value(text.len());
    into.extend(text.as_bytes());
    into
}

pub(super) fn read_text(value: &[u8]) -> Result<String, PortFault> {
    text(Reader::new("a version of the rules", value)?.rest)
}

pub(super) fn write_version(kept: &VersionKept) -> Vec<u8> {
    let mut into = value(16 + kept.object.len());
    into.extend(kept.length.to_be_bytes());
    into.extend(kept.checksum.to_be_bytes());
    into.extend(kept.object.as_bytes());
    into
}

pub(super) fn read_version(value: &[u8]) -> Result<VersionKept, PortFault> {
    let mut from = Reader::new("a version of the rules", value)?;
    Ok(VersionKept {
        length: from.u64()?,
        checksum: from.u64()?,
        object: text(from.rest)?,
    })
}

pub(super) fn write_partition_version(from: Sequence, version: &str) -> Vec<u8> {
    let mut into = value(8 + version.len());
    into.extend(from.0.to_be_bytes());
    into.extend(version.as_bytes());
    into
}

pub(super) fn read_partition_version(value: &[u8]) -> Result<(Sequence, String), PortFault> {
    let mut from = Reader::new("a version of the rules", value)?;
    Ok((Sequence(from.u64()?), text(from.rest)?))
}

/// A version of a finding, with its JSON.
pub(super) fn write_outgoing(stamp: i64, json: &[u8]) -> Vec<u8> {
    let mut into = value(8 + json.len());
    into.extend(stamp.to_be_bytes());
    into.extend(json);
    into
}

/// Its stamp and its JSON.
pub(super) fn read_outgoing(value: &[u8]) -> Result<(i64, &[u8]), PortFault> {
    let mut from = Reader::new("a finding", value)?;
    Ok((from.i64()?, from.rest))
}

pub(super) fn write_event(hour: u32, bytes: &[u8]) -> Vec<u8> {
    let mut into = value(4 + bytes.len());
    into.extend(hour.to_be_bytes());
    into.extend(bytes);
    into
}

/// Its hour and its document.
pub(super) fn read_event(value: &[u8]) -> Result<(u32, &[u8]), PortFault> {
    let mut from = Reader::new("an event", value)?;
    Ok((from.u32()?, from.rest))
}

pub(super) fn event_hour_key(hour: u32, id: &[u8]) -> Vec<u8> {
    [&hour.to_be_bytes(), id].concat()
}

/// The hour and the id.
pub(super) fn read_event_hour(key: &[u8]) -> Result<(u32, &[u8]), PortFault> {
    let (hour, id) = key.split_first_chunk().ok_or_else(|| damaged("an hour"))?;
    Ok((u32::from_be_bytes(*hour), id))
}

pub(super) fn write_dead(stamp: i64, letter: &DeadLetter) -> Result<Vec<u8>, PortFault> {
    let reason = serde_json::to_vec(&letter.reason).map_err(|fault| {
        PortFault::new(FaultClass::Reject, "write the reason of a dead letter").because(fault)
    })?;
    let mut into = value(48 + reason.len() + letter.attributes.len() + letter.payload.len());
    into.extend(stamp.to_be_bytes());
    into.extend(letter.partition.0.to_be_bytes());
    into.extend(letter.sequence.0.to_be_bytes());
    into.extend(letter.taken.micros().to_be_bytes());
    into.extend(letter.bytes.to_be_bytes());
    for part in [&reason, &letter.attributes] {
        // Both are far below 4 GiB: attributes are cut, and reasons are a few sentences.
        into.extend((part.len() as u32).to_be_bytes());
        into.extend(part);
    }
    into.extend(&letter.payload);
    Ok(into)
}

/// When it was stored, and the letter.
pub(super) fn read_dead(value: &[u8]) -> Result<(i64, DeadLetter), PortFault> {
    let mut from = Reader::new("a dead letter", value)?;
    let stamp = from.i64()?;
    let partition = Partition(from.u32()?);
    let sequence = Sequence(from.u64()?);
    let taken = EventTime::from_micros(from.i64()?);
    let bytes = from.u64()?;
    let length = from.u32()? as usize;
    let reason = from.take(length)?;
    let length = from.u32()? as usize;
    let attributes = from.take(length)?.to_vec();
    let letter = DeadLetter {
        partition,
        sequence,
        taken,
        reason: serde_json::from_slice(reason)
            .map_err(|fault| damaged("the reason of a dead letter").because(fault))?,
        bytes,
        attributes,
        payload: from.rest.to_vec(),
    };
    Ok((stamp, letter))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use tripline_core::port::DeadReason;

    proptest! {
        #[test]
        fn values_survive_writing_and_reading(
            numbers in prop::array::uniform10(any::<u64>()),
            stamp in any::<i64>(),
            hour in any::<u32>(),
            has_snapshot in any::<bool>(),
            bytes in prop::collection::vec(any::<u8>(), 0..40),
            id in prop::collection::vec(any::<u8>(), 1..40),
            text in ".{0,20}",
        ) {
            let [newest, dead_newest, dead_kept, dead_given_way, writes, position, file, length, checksum, applied] = numbers;
            let counters = Counters { newest, dead_newest, dead_kept, dead_given_way, writes, stamp, applied };
            prop_assert_eq!(read_counters(&write_counters(&counters)).unwrap(), counters);
            let snapshot = SnapshotPointer { position, file, length, checksum };
            let partition = PartitionKept {
                epoch: newest,
                position,
                starts: hour,
                snapshot: has_snapshot.then_some(snapshot),
            };
            prop_assert_eq!(read_partition(&write_partition(&partition)).unwrap(), partition);
            prop_assert_eq!(read_number("it", &write_number(newest)).unwrap(), newest);
            let value = write_outgoing(stamp, &bytes);
            prop_assert_eq!(read_outgoing(&value).unwrap(), (stamp, &bytes[..]));
            let value = write_event(hour, &bytes);
            prop_assert_eq!(read_event(&value).unwrap(), (hour, &bytes[..]));
            let version = VersionKept { object: text.clone(), length, checksum };
            prop_assert_eq!(read_version(&write_version(&version)).unwrap(), version);
            let named = (Sequence(position), text.clone());
            prop_assert_eq!(read_partition_version(&write_partition_version(named.0, &named.1)).unwrap(), named);
            prop_assert_eq!(read_text(&write_text(&text)).unwrap(), text.clone());
            let key = read_version_key(&partition_version_key(Partition(hour))).unwrap();
            prop_assert!(matches!(key, VersionKey::Partition(number) if number == hour));
            let key = read_version_key(&version_key(&text)).unwrap();
            prop_assert!(matches!(key, VersionKey::Version(version) if version == text));
            let key = event_hour_key(hour, &id);
            prop_assert_eq!(read_event_hour(&key).unwrap(), (hour, &id[..]));
            let letter = DeadLetter {
                partition: Partition(hour),
                sequence: Sequence(position),
                taken: EventTime::from_micros(stamp),
                reason: DeadReason::Undecided { rule: text.clone(), detail: text },
                bytes: length,
                attributes: id,
                payload: bytes,
            };
            let (read_stamp, read) = read_dead(&write_dead(stamp, &letter).unwrap()).unwrap();
            prop_assert_eq!((read_stamp, read), (stamp, letter));
        }

        #[test]
        fn no_bytes_make_a_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..80), own in any::<bool>()) {
            let mut bytes = bytes;
            if let (true, Some(first)) = (own, bytes.first_mut()) {
                *first = VERSION;
            }
            let _ = (read_counters(&bytes), read_partition(&bytes), read_number("it", &bytes));
            let _ = (read_version(&bytes), read_partition_version(&bytes), read_text(&bytes), read_version_key(&bytes));
            let _ = (read_dead(&bytes), read_event(&bytes), read_outgoing(&bytes), read_event_hour(&bytes));
        }
    }

    #[test]
    fn numbers_sort_as_keys_do() {
        let mut keys: Vec<[u8; 8]> = [1, 256, 3, u64::MAX, 65_536].map(u64::to_be_bytes).to_vec();
        keys.sort();
        let numbers: Vec<u64> = keys.iter().map(|key| u64::from_be_bytes(*key)).collect();
        assert_eq!(numbers, [1, 3, 256, 65_536, u64::MAX]);
    }

    #[test]
    fn a_newer_version_is_refused_by_number() {
        let mut value = write_number(7);
        value[0] = 2;
        let fault = read_number("a sink", &value).unwrap_err();
        assert_eq!(fault.class, FaultClass::Stop);
        assert!(fault.doing.contains("has version 2"), "{fault}");
    }

    #[test]
    fn an_event_stays_until_the_hour_is_over() {
        let hour = MICROS_PER_HOUR;
        assert_eq!(hour_of(0), 1);
        assert_eq!(hour_of(hour - 1), 1);
        assert_eq!(hour_of(hour), 2);
        // What is stamped with the last instant of an hour goes when everything before its end may go.
        assert_eq!(
            hour_kept(EventTime::from_micros(hour)),
            hour_of(hour - 1) + 1
        );
    }
}
