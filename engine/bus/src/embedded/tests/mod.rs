//! What the tests of the log share: records by number, logs on either disk, and reading all of a log.

mod crash;
mod damage;
mod faults;
mod kill;
mod ordinary;
mod retention;
mod sim;

use super::{Flush, Log, LogSettings, Recovered};
use sim::SimFolder;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tripline_core::port::{
    Bus, Delivered, FaultClass, NewRecord, PortFault, ReadMax, RecordKind, Sequence,
};
use tripline_core::rule::kind::EventTime;

/// More than any test appends.
const ALL: ReadMax = ReadMax {
    records: usize::MAX,
    bytes: usize::MAX,
};

/// Chance that can be had again: splitmix64.
#[derive(Debug, Clone)]
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn one_in(&mut self, many: u64) -> bool {
        self.below(many) == 0
    }
}

/// A folder of the real disk that goes with the test.
struct Temporary(PathBuf);

impl Temporary {
    fn new() -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("tripline-bus-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).expect("a temporary folder");
        Self(path)
    }

    fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn never_in_background() -> Flush {
    Flush::Process {
        every: Duration::from_secs(3600),
    }
}

/// Short segments, so that tests get to see many.
fn small() -> LogSettings {
    LogSettings {
        segment_bytes: 4096,
        bytes_max: 1 << 30,
        ..LogSettings::default()
    }
}

fn open_sim(folder: &SimFolder, settings: &LogSettings) -> Result<(Log, Recovered), PortFault> {
    Log::open_in(Arc::new(folder.clone()), settings.clone())
}

fn record(payload: &[u8]) -> NewRecord<'_> {
    NewRecord {
        kind: RecordKind::Event,
        taken: EventTime::from_micros(1),
        attributes: b"{}",
        payload,
    }
}

/// Appends payloads together; the first sequence.
fn append(log: &Log, payloads: &[Vec<u8>]) -> Result<u64, FaultClass> {
    let records: Vec<NewRecord<'_>> = payloads.iter().map(|one| record(one)).collect();
    match log.append(&records) {
        Ok(appended) => Ok(appended.first.0),
        Err(fault) => Err(fault.class),
    }
}

/// All that can be read after a place, in reads of this size; and what was lost.
type Everything = (Vec<(u64, Vec<u8>)>, Vec<(std::ops::Range<u64>, String)>);

fn read_all(log: &Log, mut after: u64, max: ReadMax) -> Everything {
    let (mut found, mut lost) = (Vec::new(), Vec::new());
    loop {
        let mut read = Delivered::default();
        log.read(Sequence(after), max, &mut read).expect("reads");
        let mut at = after;
        for (range, _) in &read.lost {
            assert_eq!(range.start, at + 1, "what is lost follows");
            assert!(range.end > range.start);
            at = range.end - 1;
        }
        for record in &read.records {
            at += 1;
            assert_eq!(record.sequence.0, at, "records follow");
            found.push((at, read.payload(record).to_vec()));
        }
        lost.extend(read.lost);
        if at == after {
            return (found, lost);
        }
        after = at;
    }
}

fn payloads(found: &[(u64, Vec<u8>)]) -> Vec<&[u8]> {
    found
        .iter()
        .map(|(_, payload)| payload.as_slice())
        .collect()
}
