//! What is in a segment file: a header, then frames, one for each append, then perhaps zeroes.
//!
//! All numbers are little-endian; version 1.
//!
//! | segment header, offset | bytes | |
//! |---|---|---|
//! | 0 | 8 | `TRIPLOG\n` |
//! | 8 | 4 | version |
//! | 12 | 4 | CRC32C of bytes 16 to 40 |
//! | 16 | 8 | identity of the log, drawn by chance when it was made |
//! | 24 | 8 | sequence of the first record |
//! | 32 | 8 | newest time at which a record of the segments before was taken, microseconds after 1970 |
//! | 40 | 24 | zeroes |
//!
//! | frame, offset | bytes | |
//! |---|---|---|
//! | 0 | 4 | `TLf1` |
//! | 4 | 4 | CRC32C of bytes 8 to 48 |
//! | 8 | 4 | CRC32C of the records |
//! | 12 | 4 | number of records; 0 in the frame that closing the log leaves |
//! | 16 | 4 | bytes of the records |
//! | 20 | 4 | offset of this frame in its file |
//! | 24 | 8 | sequence of the first record |
//! | 32 | 8 | sequence up to which everything was durable when this frame was written |
//! | 40 | 8 | identity of the log |
//! | 48 | | records |
//!
//! | record, offset | bytes | |
//! |---|---|---|
//! | 0 | 1 | 1 an event, 2 a tick |
//! | 1 | 8 | when it was taken, microseconds after 1970 |
//! | 9 | 4 | bytes of attributes |
//! | 13 | 4 | bytes of payload |
//! | 17 | | attributes, payload |
//!
//! The header of a frame has a check of its own, so that the damage of a record costs its frame and not all after it.
//! Payloads come from strangers and may hold what looks like a frame; identity and offset tell it from one when frames
//! are searched after damage. What was durable is stated because it tells damage from a torn tail: what a later frame
//! calls durable cannot have been torn. It must never be read without its checks.
//!
//! Rejected: one check over header and records together, which loses the length with any flipped bit. A new reader of
//! old files reads version 1 as long as it says so here; an old reader refuses what is newer.

use super::limits;
use crc32c::crc32c;
use tripline_core::port::{NewRecord, RecordKind};
use tripline_core::rule::kind::EventTime;

/// Bytes before the first frame.
pub(super) const SEGMENT_HEADER_BYTES: u64 = 64;
/// Bytes before the records of a frame.
pub(super) const FRAME_HEADER_BYTES: usize = 48;
/// What every frame begins with.
pub(super) const FRAME_MAGIC: [u8; 4] = *b"TLf1";
const SEGMENT_MAGIC: [u8; 8] = *b"TRIPLOG\n";
const VERSION: u32 = 1;
const RECORD_HEADER_BYTES: usize = 17;

/// What a segment says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SegmentHeader {
    pub(super) log: u64,
    pub(super) first: u64,
    pub(super) taken_before: EventTime,
}

/// Why there is no segment header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoHeader {
    Damaged,
    Version(u32),
}

impl SegmentHeader {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![0; SEGMENT_HEADER_BYTES as usize];
        bytes[0..8].copy_from_slice(&SEGMENT_MAGIC);
        bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.log.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.first.to_le_bytes());
        bytes[32..40].copy_from_slice(&self.taken_before.micros().to_le_bytes());
        let check = crc32c(&bytes[16..40]);
        bytes[12..16].copy_from_slice(&check.to_le_bytes());
        bytes
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, NoHeader> {
        if bytes.len() < SEGMENT_HEADER_BYTES as usize
            || bytes[0..8] != SEGMENT_MAGIC
            || u32_at(bytes, 12) != crc32c(&bytes[16..40])
        {
            return Err(NoHeader::Damaged);
        }
        match u32_at(bytes, 8) {
            VERSION => Ok(Self {
                log: u64_at(bytes, 16),
                first: u64_at(bytes, 24),
                taken_before: EventTime::from_micros(u64_at(bytes, 32) as i64),
            }),
            other => Err(NoHeader::Version(other)),
        }
    }
}

/// What a frame says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FrameHeader {
    pub(super) check: u32,
    pub(super) count: u32,
    pub(super) body_bytes: u32,
    pub(super) offset: u32,
    pub(super) first: u64,
    pub(super) durable: u64,
    pub(super) log: u64,
}

impl FrameHeader {
    /// Writes it over the first bytes of a frame.
    pub(super) fn encode(&self, frame: &mut [u8]) {
        frame[0..4].copy_from_slice(&FRAME_MAGIC);
        frame[8..12].copy_from_slice(&self.check.to_le_bytes());
        frame[12..16].copy_from_slice(&self.count.to_le_bytes());
        frame[16..20].copy_from_slice(&self.body_bytes.to_le_bytes());
        frame[20..24].copy_from_slice(&self.offset.to_le_bytes());
        frame[24..32].copy_from_slice(&self.first.to_le_bytes());
        frame[32..40].copy_from_slice(&self.durable.to_le_bytes());
        frame[40..48].copy_from_slice(&self.log.to_le_bytes());
        let check = crc32c(&frame[8..FRAME_HEADER_BYTES]);
        frame[4..8].copy_from_slice(&check.to_le_bytes());
    }

    /// The header at `offset` of a file of this log, when its check holds.
    pub(super) fn decode(bytes: &[u8], log: u64, offset: u64) -> Option<Self> {
        if bytes.len() < FRAME_HEADER_BYTES
            || bytes[0..4] != FRAME_MAGIC
            || u32_at(bytes, 4) != crc32c(&bytes[8..FRAME_HEADER_BYTES])
        {
            return None;
        }
        let header = Self {
            check: u32_at(bytes, 8),
            count: u32_at(bytes, 12),
            body_bytes: u32_at(bytes, 16),
            offset: u32_at(bytes, 20),
            first: u64_at(bytes, 24),
            durable: u64_at(bytes, 32),
            log: u64_at(bytes, 40),
        };
        let own = header.log == log && u64::from(header.offset) == offset;
        let sane = header.body_bytes as usize <= limits::FRAME_BYTES_MAX;
        (own && sane).then_some(header)
    }

    /// Header and records together.
    pub(super) fn frame_bytes(&self) -> u64 {
        FRAME_HEADER_BYTES as u64 + u64::from(self.body_bytes)
    }

    /// The sequence after its last record.
    pub(super) fn next(&self) -> u64 {
        self.first.saturating_add(u64::from(self.count))
    }

    /// Whether these are its records.
    pub(super) fn holds(&self, body: &[u8]) -> bool {
        if body.len() != self.body_bytes as usize || crc32c(body) != self.check {
            return false;
        }
        let mut at = 0;
        let mut count = 0;
        while at < body.len() {
            if record_at(body, &mut at).is_none() {
                return false;
            }
            count += 1;
        }
        count == self.count
    }
}

/// A frame whose place in the log is not known yet.
#[derive(Debug)]
pub(super) struct Unplaced {
    /// Room for the header, then the records.
    pub(super) bytes: Vec<u8>,
    check: u32,
    pub(super) count: u32,
    pub(super) taken_newest: EventTime,
}

impl Unplaced {
    /// Its bytes are bounded by the caller.
    pub(super) fn new(records: &[NewRecord<'_>]) -> Self {
        let mut bytes = Vec::with_capacity(frame_bytes(records));
        bytes.resize(FRAME_HEADER_BYTES, 0);
        for record in records {
            bytes.push(match record.kind {
                RecordKind::Event => 1,
                RecordKind::Tick => 2,
            });
            bytes.extend_from_slice(&record.taken.micros().to_le_bytes());
            bytes.extend_from_slice(&(record.attributes.len() as u32).to_le_bytes());
            bytes.extend_from_slice(&(record.payload.len() as u32).to_le_bytes());
            bytes.extend_from_slice(record.attributes);
            bytes.extend_from_slice(record.payload);
        }
        let taken = records.iter().map(|record| record.taken);
        Self {
            check: crc32c(&bytes[FRAME_HEADER_BYTES..]),
            bytes,
            count: records.len() as u32,
            taken_newest: taken.max().unwrap_or(EventTime::MIN),
        }
    }

    /// Gives it its place.
    pub(super) fn place(&mut self, offset: u64, first: u64, durable: u64, log: u64) {
        FrameHeader {
            check: self.check,
            count: self.count,
            body_bytes: (self.bytes.len() - FRAME_HEADER_BYTES) as u32,
            offset: offset as u32,
            first,
            durable,
            log,
        }
        .encode(&mut self.bytes);
    }
}

/// How long the frame of these records is.
pub(super) fn frame_bytes(records: &[NewRecord<'_>]) -> usize {
    let bytes = records.iter().fold(0_usize, |sum, record| {
        sum.saturating_add(record.attributes.len())
            .saturating_add(record.payload.len())
            .saturating_add(RECORD_HEADER_BYTES)
    });
    bytes.saturating_add(FRAME_HEADER_BYTES)
}

/// The record at `at`, which moves behind it.
pub(super) fn record_at<'a>(body: &'a [u8], at: &mut usize) -> Option<NewRecord<'a>> {
    let header = body.get(*at..)?.get(..RECORD_HEADER_BYTES)?;
    let kind = match header[0] {
        1 => RecordKind::Event,
        2 => RecordKind::Tick,
        _ => return None,
    };
    let attributes_bytes = u32_at(header, 9) as usize;
    let payload_bytes = u32_at(header, 13) as usize;
    let rest = &body[*at + RECORD_HEADER_BYTES..];
    let attributes = rest.get(..attributes_bytes)?;
    let payload = rest[attributes_bytes..].get(..payload_bytes)?;
    *at += RECORD_HEADER_BYTES + attributes_bytes + payload_bytes;
    Some(NewRecord {
        kind,
        taken: EventTime::from_micros(u64_at(header, 1) as i64),
        attributes,
        payload,
    })
}

/// How a segment file is called: its first sequence, so that names sort as sequences do.
pub(super) fn segment_name(first: u64) -> String {
    format!("{first:020}.seg")
}

/// The first sequence of the segment file that is called so.
pub(super) fn segment_first(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".seg")?;
    let first = (digits.len() == 20).then(|| digits.parse().ok())??;
    (first > 0).then_some(first)
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

pub(super) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn records() -> impl Strategy<Value = Vec<(bool, i64, Vec<u8>, Vec<u8>)>> {
        let bytes = || prop::collection::vec(any::<u8>(), 0..40);
        prop::collection::vec((any::<bool>(), any::<i64>(), bytes(), bytes()), 0..9)
    }

    fn new(one: &(bool, i64, Vec<u8>, Vec<u8>)) -> NewRecord<'_> {
        NewRecord {
            kind: if one.0 {
                RecordKind::Event
            } else {
                RecordKind::Tick
            },
            taken: EventTime::from_micros(one.1),
            attributes: &one.2,
            payload: &one.3,
        }
    }

    proptest! {
        #[test]
        fn a_frame_comes_back(all in records(), offset: u32, first in 1..u64::MAX / 2, log: u64, flip: usize) {
            let new_records: Vec<NewRecord<'_>> = all.iter().map(new).collect();
            let mut frame = Unplaced::new(&new_records);
            prop_assert_eq!(frame.bytes.len(), frame_bytes(&new_records));
            frame.place(offset.into(), first, first - 1, log);
            let header = FrameHeader::decode(&frame.bytes, log, offset.into()).expect("decodes");
            prop_assert_eq!((header.first, header.durable), (first, first - 1));
            prop_assert_eq!(header.next(), first + all.len() as u64);
            let body = &frame.bytes[FRAME_HEADER_BYTES..];
            prop_assert!(header.holds(body));
            let mut at = 0;
            for one in &all {
                let (found, wanted) = (record_at(body, &mut at).expect("a record"), new(one));
                prop_assert_eq!((found.kind, found.taken), (wanted.kind, wanted.taken));
                prop_assert_eq!((found.attributes, found.payload), (wanted.attributes, wanted.payload));
            }
            prop_assert_eq!(at, body.len());
            prop_assert!(FrameHeader::decode(&frame.bytes, !log, offset.into()).is_none());
            prop_assert!(FrameHeader::decode(&frame.bytes, log, u64::from(offset) + 1).is_none());
            let bit = flip % (frame.bytes.len() * 8);
            frame.bytes[bit / 8] ^= 1 << (bit % 8);
            let still = FrameHeader::decode(&frame.bytes, log, offset.into());
            prop_assert!(!still.is_some_and(|header| header.holds(&frame.bytes[FRAME_HEADER_BYTES..])));
        }

        #[test]
        fn a_segment_header_comes_back(log: u64, first: u64, taken: i64, flip in 0..40 * 8_usize) {
            let taken_before = EventTime::from_micros(taken);
            let header = SegmentHeader { log, first, taken_before };
            let mut bytes = header.encode();
            prop_assert_eq!(SegmentHeader::decode(&bytes), Ok(header));
            bytes[flip / 8] ^= 1 << (flip % 8);
            prop_assert!(SegmentHeader::decode(&bytes).is_err());
        }

        #[test]
        fn any_bytes_are_safe_to_look_at(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = SegmentHeader::decode(&bytes);
            let _ = FrameHeader::decode(&bytes, 0, 0);
            let mut at = 0;
            while record_at(&bytes, &mut at).is_some() {}
        }
    }

    #[test]
    fn names_say_the_first_sequence() {
        assert_eq!(segment_first(&segment_name(42)), Some(42));
        assert_eq!(segment_first(&segment_name(u64::MAX)), Some(u64::MAX));
        for other in [
            "1.seg",
            "00000000000000000000.seg",
            "roster",
            "x.new",
            "-0000000000000000001.seg",
        ] {
            assert_eq!(segment_first(other), None, "{other}");
        }
    }
}
