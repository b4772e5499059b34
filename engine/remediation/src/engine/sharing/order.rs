//! What is in the order of a shared journal, what is on its way there, and the files that have it here.
//!
//! It decides nothing and asks nobody but for what follows. What was taken in is in the files soon, and not at once: the ledger has it.

use super::super::{EngineFault, VERSION, locked};
use super::{PARCEL_BYTES, PLACE};
use crate::book::Book;
use crate::journal::{
    Checkpoint, Entry, FileJournal, JournalFault, Opened, Parcel, RECORD_BYTES_MAX, Record,
};
use std::collections::VecDeque;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tripline_core::port::{Entry as LedgerEntry, Ledger, PortFault, Sequence};

/// What became of a record that was on its way.
#[derive(Debug, Default)]
pub(in crate::engine) struct Fate(pub(super) AtomicU8);

pub(super) const THERE: u8 = 1;
pub(super) const VOID: u8 = 2;

/// A record on its way.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) record: Record,
    pub(super) line: String,
    pub(super) hash: String,
    pub(super) fate: Arc<Fate>,
}

/// Records that were given to the ledger, and of which it is not known yet whether it has them: the first of the queue.
#[derive(Clone, Debug)]
pub(super) struct Flight {
    pub(super) count: usize,
    pub(super) bytes: Vec<u8>,
    pub(super) expected: Sequence,
}

pub(super) struct State {
    /// As the order tells.
    pub(super) book: Book,
    /// The newest entry that was taken in, the newest that has records, and the one before that.
    pub(super) place: Sequence,
    pub(super) newest: Sequence,
    pub(super) before: Sequence,
    /// Until when somebody else is let in; microseconds since 1970.
    pub(super) yields_until: i64,
    pub(super) kept_at: i64,
    /// The number and the hash of its last record, and of the last that is on its way.
    pub(super) tail: (u64, String),
    pub(super) last: (u64, String),
    pub(super) queue: VecDeque<Pending>,
    pub(super) flight: Option<Flight>,
    pub(super) is_carrying: bool,
    pub(super) parcels: u64,
    /// How often what was on its way became void.
    pub(super) voids: u64,
    pub(super) held_up: Option<String>,
    pub(super) failed: Option<String>,
    /// When the servers last named nobody else who acts; microseconds since 1970.
    pub(super) proof: i64,
    pub(super) actor: String,
    /// The entry with which this process took over last, and when the servers took it, once that was read back.
    pub(super) taken: (Sequence, Option<i64>),
    /// Checkpoints of others, of which a copy is to be kept here too.
    pub(super) checkpoints: Vec<Checkpoint>,
}

/// See the module.
pub(in crate::engine) struct Shared {
    pub(super) ledger: Arc<dyn Ledger>,
    pub(super) me: String,
    pub(super) folder: PathBuf,
    pub(super) file: FileJournal,
    pub(super) state: Mutex<State>,
    pub(super) changed: Condvar,
    /// How far the ledger was read, which may be behind what was taken in: own records are not read first.
    pub(super) reader: Mutex<Sequence>,
    pub(super) kept: AtomicU64,
    pub(super) is_over: AtomicBool,
}

/// A journal fault of many words.
pub(super) fn failed(words: impl Into<String>) -> JournalFault {
    JournalFault::Failed(words.into())
}

pub(super) fn words_of(fault: &PortFault) -> String {
    let mut words = fault.to_string();
    let mut source = std::error::Error::source(fault);
    while let Some(cause) = source {
        words = format!("{words}: {cause}");
        source = cause.source();
    }
    words
}

pub(super) fn no_ledger(fault: &PortFault) -> EngineFault {
    EngineFault::Unreachable(words_of(fault))
}

/// The entry before the one that the files of a folder have come to, if they have all that is said of them.
fn place_before(folder: &Path, last: u64) -> Sequence {
    let text = fs::read_to_string(folder.join(PLACE)).unwrap_or_default();
    let mut words = text
        .split_whitespace()
        .map(|word| word.parse::<u64>().unwrap_or(0));
    match (words.next(), words.next()) {
        (Some(seq), Some(place)) if seq <= last => Sequence(place),
        // It is read from its beginning, and what the files have is passed over.
        _ => Sequence(0),
    }
}

impl Shared {
    /// Opens the files of a folder, and reads what the ledger has beyond them. `each` gets every record.
    pub(in crate::engine) fn open(
        folder: &Path,
        (ledger, me): (Arc<dyn Ledger>, String),
        book: Book,
        mut each: impl FnMut(&mut Book, &Record) -> Result<(), JournalFault>,
    ) -> Result<(Self, Opened), EngineFault> {
        let mut book = book;
        // Without the servers there is nothing to be opened, and a long journal need not be read for that.
        ledger.last().map_err(|fault| no_ledger(&fault))?;
        let (file, opened) = FileJournal::open(folder, |record| each(&mut book, &record))?;
        let tail = file.last();
        let last = ledger.last().map_err(|fault| no_ledger(&fault))?;
        let begins = place_before(folder, tail.0);
        let lost = |seq: u64| {
            failed(format!(
                "{}: record {seq} is not in the journal that the processes share (stream of the ledger, entry {}), which lost it or \
                 is another one; restore it, or begin with an empty folder",
                folder.display(),
                last.0
            ))
        };
        if begins > last {
            return Err(lost(tail.0).into());
        }
        let state = State {
            book,
            place: begins,
            newest: begins,
            before: begins,
            yields_until: 0,
            kept_at: 0,
            last: tail.clone(),
            tail,
            queue: VecDeque::new(),
            flight: None,
            is_carrying: false,
            parcels: 0,
            voids: 0,
            held_up: None,
            failed: None,
            proof: 0,
            actor: String::new(),
            taken: (Sequence(0), None),
            checkpoints: Vec::new(),
        };
        let shared = Self {
            ledger,
            me,
            folder: folder.to_owned(),
            file,
            state: Mutex::new(state),
            changed: Condvar::new(),
            reader: Mutex::new(begins),
            kept: AtomicU64::new(0),
            is_over: AtomicBool::new(false),
        };
        let mut opened = opened;
        let mut known = shared.lock().tail.0 == 0;
        loop {
            let entries = shared.read().map_err(|fault| no_ledger(&fault))?;
            let mut guard = shared.lock();
            let state = &mut *guard;
            for entry in &entries {
                let parcel = Parcel::of_bytes(&entry.bytes).map_err(|fault| {
                    failed(format!("entry {} of the ledger: {fault}", entry.place.0))
                })?;
                for (record, line, hash) in &parcel.records {
                    if record.seq < state.tail.0 {
                        continue;
                    }
                    if record.seq == state.tail.0 {
                        if *hash != state.tail.1 {
                            return Err(lost(record.seq).into());
                        }
                        known = true;
                        continue;
                    }
                    shared.file.append_line(record, (line, hash))?;
                    each(&mut state.book, record)?;
                    state.note(&parcel.by, record);
                    opened.records += 1;
                    state.tail = (record.seq, hash.clone());
                }
                if !parcel.records.is_empty() {
                    (state.before, state.newest) = (state.place, entry.place);
                }
                state.place = entry.place;
            }
            state.last = state.tail.clone();
            if state.place >= last {
                break;
            }
            drop(guard);
            if entries.is_empty() {
                let place = *locked(&shared.reader);
                let waited = shared.ledger.wait(place, Duration::from_secs(1));
                waited.map_err(|fault| no_ledger(&fault))?;
            }
        }
        if !known {
            return Err(lost(shared.lock().tail.0).into());
        }
        shared.keep()?;
        Ok((shared, opened))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What comes next of the ledger, read by one at a time.
    pub(super) fn read(&self) -> Result<Vec<LedgerEntry>, PortFault> {
        let mut at = locked(&self.reader);
        let entries = self.ledger.read(*at)?;
        if let Some(last) = entries.last() {
            *at = last.place;
        }
        Ok(entries)
    }

    /// Has what was taken in flushed to the own files.
    pub(super) fn keep(&self) -> Result<(), JournalFault> {
        let (seq, before) = {
            let state = self.lock();
            (state.tail.0, state.before)
        };
        if self.kept.load(Ordering::Relaxed) == seq {
            return Ok(());
        }
        self.file.flush(seq)?;
        let (path, part) = (
            self.folder.join(PLACE),
            self.folder.join(format!("{PLACE}.part")),
        );
        // It is a hint: what the files have is compared with what the ledger has from there on.
        let written = fs::write(&part, format!("{seq} {}\n", before.0));
        let written = written.and_then(|()| fs::rename(&part, &path));
        written.map_err(|source| JournalFault::Io {
            path: path.display().to_string(),
            did: "written",
            source,
        })?;
        self.kept.store(seq, Ordering::Relaxed);
        Ok(())
    }

    /// Puts a record in line. It is taken into the book on which is decided by the caller, who has it locked.
    pub(in crate::engine) fn queue(
        &self,
        time: i64,
        entry: Entry,
    ) -> Result<Arc<Fate>, JournalFault> {
        let mut state = self.lock();
        if let Some(words) = &state.failed {
            return Err(failed(words.clone()));
        }
        let record = Record {
            seq: state.last.0 + 1,
            prev: state.last.1.clone(),
            time,
            engine: VERSION.to_owned(),
            entry,
        };
        let (line, hash) = record
            .line()
            .map_err(|fault| JournalFault::Record(fault.to_string()))?;
        if line.len() > RECORD_BYTES_MAX {
            let words = format!("it has {} bytes, of at most {RECORD_BYTES_MAX}", line.len());
            return Err(JournalFault::Record(words));
        }
        let fate = Arc::new(Fate::default());
        state.last = (record.seq, hash.clone());
        state.queue.push_back(Pending {
            record,
            line,
            hash,
            fate: Arc::clone(&fate),
        });
        Ok(fate)
    }

    /// The book as the order tells.
    pub(in crate::engine) fn book(&self) -> Book {
        self.lock().book.clone()
    }

    /// The number and the hash of the newest record, with those that are on their way.
    pub(in crate::engine) fn last(&self) -> (u64, String) {
        self.lock().last.clone()
    }

    /// What is on its way last.
    pub(super) fn newest(&self) -> Option<Arc<Fate>> {
        let state = self.lock();
        state.queue.back().map(|one| Arc::clone(&one.fate))
    }

    pub(in crate::engine) fn end(&self) {
        self.is_over.store(true, Ordering::SeqCst);
        self.changed.notify_all();
    }
}

impl State {
    pub(super) fn note(&mut self, by: &str, record: &Record) {
        match &record.entry {
            Entry::TakenOver { .. } => by.clone_into(&mut self.actor),
            Entry::Checkpoint(one) => self.checkpoints.push(one.clone()),
            _ => {}
        }
    }

    /// What is given to the ledger next: the first that are in line.
    pub(super) fn load(&mut self, me: &str) -> Option<Flight> {
        if self.flight.is_none() && !self.queue.is_empty() {
            let (mut count, mut length) = (0, 0);
            for one in &self.queue {
                if count > 0 && length + one.line.len() > PARCEL_BYTES {
                    break;
                }
                count += 1;
                length += one.line.len();
            }
            self.parcels += 1;
            let lines = self.queue.iter().take(count).map(|one| one.line.as_str());
            self.flight = Some(Flight {
                count,
                bytes: Parcel::bytes(me, self.parcels, lines),
                expected: self.newest,
            });
        }
        self.flight.clone()
    }

    /// Whether what is on its way can follow records that it was not decided on: they change no book.
    pub(super) fn may_follow(&self, records: &[(Record, String, String)]) -> bool {
        let is_quiet = |record: &Record| matches!(record.entry, Entry::Witnessed { .. });
        let signs = |record: &Record| matches!(record.entry, Entry::Checkpoint(_));
        records.iter().all(|(record, _, _)| is_quiet(record))
            && !self.queue.iter().any(|one| signs(&one.record))
    }

    /// Chains what is on its way to what stands before it now.
    pub(super) fn chain(&mut self) -> Result<(), String> {
        let mut last = self.tail.clone();
        for one in &mut self.queue {
            one.record.seq = last.0 + 1;
            one.record.prev = last.1;
            let (line, hash) = one.record.line().map_err(|fault| fault.to_string())?;
            (one.line, one.hash) = (line, hash);
            last = (one.record.seq, one.hash.clone());
        }
        self.last = last;
        Ok(())
    }
}
