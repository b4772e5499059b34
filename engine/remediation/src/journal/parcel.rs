//! Records as several processes hand them to each other: lines as they stand in files, and before them who appended them.
//!
//! Who it was is not of the chain: it tells a process its own parcels from those of others, which may have the same records in
//! the same microsecond.

use super::{FileJournal, JournalFault, LineFault, Record};
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::time::Duration;
use thiserror::Error;
use tripline_core::port::{Ledger, PortFault, Sequence};

/// Who appended records, and which of theirs these are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    version: u32,
    by: String,
    number: u64,
}

/// The shape of parcels.
const VERSION: u32 = 1;

/// Some records in their order.
#[derive(Clone, Debug, PartialEq)]
pub struct Parcel {
    /// The process that appended them.
    pub by: String,
    /// Each record, its line and its hash. None: whoever appended it asks to be let in.
    pub records: Vec<(Record, String, String)>,
}

/// Why something is no parcel.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ParcelFault {
    /// It is not what a parcel is.
    #[error("no records of remediation: {0}")]
    Shape(String),
    /// A line of it.
    #[error("line {0} of its records: {1}")]
    Line(usize, LineFault),
}

impl Parcel {
    /// The bytes of lines, each with its line feed.
    pub(crate) fn bytes<'l>(
        by: &str,
        number: u64,
        lines: impl Iterator<Item = &'l str>,
    ) -> Vec<u8> {
        let head = Head {
            version: VERSION,
            by: by.to_owned(),
            number,
        };
        let mut bytes = serde_json::to_vec(&head).unwrap_or_default();
        bytes.push(b'\n');
        for line in lines {
            bytes.extend_from_slice(line.as_bytes());
        }
        bytes
    }

    /// Who asks to be let in, of a parcel without records.
    pub(crate) fn asks_in(bytes: &[u8]) -> Option<String> {
        let head = bytes.strip_suffix(b"\n")?;
        if head.contains(&b'\n') {
            return None;
        }
        let head: Head = serde_json::from_slice(head).ok()?;
        Some(head.by)
    }

    /// Reads one. Whether its records follow those before is for the caller to see.
    pub fn of_bytes(bytes: &[u8]) -> Result<Self, ParcelFault> {
        let shape = |words: String| ParcelFault::Shape(words);
        let text = std::str::from_utf8(bytes).map_err(|_| shape("no text".to_owned()))?;
        let (head, lines) = text
            .split_once('\n')
            .ok_or_else(|| shape("no line says whose they are".to_owned()))?;
        let head: Head = serde_json::from_str(head).map_err(|fault| shape(fault.to_string()))?;
        if head.version != VERSION {
            return Err(shape(format!(
                "they are of version {}, and this one knows {VERSION}",
                head.version
            )));
        }
        let mut records = Vec::new();
        for (number, line) in lines.split_inclusive('\n').enumerate() {
            let wrong = |fault| ParcelFault::Line(number + 1, fault);
            let text = line.strip_suffix('\n');
            let text = text.ok_or_else(|| wrong(LineFault::Shape("it has no end".to_owned())))?;
            let (record, hash) = Record::of_line(text).map_err(wrong)?;
            records.push((record, line.to_owned(), hash));
        }
        Ok(Self {
            by: head.by,
            records,
        })
    }
}

/// Why a journal that processes share cannot be copied.
#[derive(Debug, Error)]
pub enum CopyFault {
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] PortFault),
    /// The files.
    #[error(transparent)]
    Journal(#[from] JournalFault),
    /// An entry of the ledger.
    #[error("entry {0} of the ledger: {1}")]
    Parcel(u64, ParcelFault),
    /// The folder has a journal.
    #[error("a journal is there already, and is not written over; give another folder")]
    Taken,
}

/// Copies the journal that processes share, as a ledger has it, into an empty folder. How many records there are.
pub fn copy(ledger: &dyn Ledger, folder: &Path) -> Result<u64, CopyFault> {
    let (file, opened) = FileJournal::open(folder, |_| Ok(()))?;
    if opened.records > 0 {
        return Err(CopyFault::Taken);
    }
    let last = ledger.last()?;
    let (mut at, mut count) = (Sequence(0), 0);
    while at < last {
        if !ledger.wait(at, Duration::from_secs(1))? {
            continue;
        }
        for entry in ledger.read(at)? {
            at = entry.place;
            let parcel = Parcel::of_bytes(&entry.bytes);
            let parcel = parcel.map_err(|fault| CopyFault::Parcel(at.0, fault))?;
            for (record, line, hash) in &parcel.records {
                file.append_line(record, (line, hash))?;
                count = record.seq;
            }
        }
    }
    file.flush(count)?;
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::{Parcel, ParcelFault};
    use crate::journal::{Entry, LineFault, Record};

    fn record() -> (Record, String, String) {
        let record = Record {
            seq: 1,
            prev: "0".repeat(64),
            time: 7,
            engine: "0".to_owned(),
            entry: Entry::TakenOver { epoch: 1 },
        };
        let (line, hash) = record.line().expect("is written");
        (record, line, hash)
    }

    #[test]
    fn what_is_read_is_what_was_written_and_nothing_else() {
        let one = record();
        let bytes = Parcel::bytes("me", 3, [one.1.as_str()].into_iter());
        let read = Parcel::of_bytes(&bytes).expect("is one");
        assert_eq!((read.by.as_str(), &read.records), ("me", &vec![one]));
        assert_eq!(Parcel::asks_in(&bytes), None);
        let cut = Parcel::of_bytes(&bytes[..bytes.len() - 1]);
        let fault = LineFault::Shape("it has no end".to_owned());
        assert_eq!(cut, Err(ParcelFault::Line(1, fault)));
        let mut changed = bytes.clone();
        let at = bytes.len() - 80;
        changed[at] ^= 1;
        assert!(Parcel::of_bytes(&changed).is_err());
        let newer = String::from_utf8(bytes).expect("text");
        let newer = newer.replacen("\"version\":1", "\"version\":2", 1);
        let fault = "they are of version 2, and this one knows 1".to_owned();
        assert_eq!(
            Parcel::of_bytes(newer.as_bytes()),
            Err(ParcelFault::Shape(fault))
        );
        assert!(Parcel::of_bytes(b"\xff").is_err());
        assert!(Parcel::of_bytes(b"{}").is_err());
    }

    #[test]
    fn whoever_asks_to_be_let_in_has_no_records() {
        let bytes = Parcel::bytes("me", 3, std::iter::empty());
        assert_eq!(Parcel::asks_in(&bytes), Some("me".to_owned()));
        let read = Parcel::of_bytes(&bytes).expect("is one");
        assert!(read.records.is_empty());
    }
}
