//! The journal in files of a folder, for one process.
//!
//! Records are written in the order in which they were numbered, and flushed together: whoever waits for a flush while
//! another one is under way is served by the next. After a write or a flush that failed nothing is written any more, for
//! nobody knows what is on the disk.

use super::read::{Read, read_file};
use super::record::NO_HASH;
use super::{Entry, LineFault, Record};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use thiserror::Error;

/// A file is not made longer than this by a new record: 64 MiB.
const FILE_BYTES: u64 = 64 << 20;

/// No record is longer: 8 MiB, as whoever reads must hold a line.
pub(crate) const RECORD_BYTES_MAX: usize = 8 << 20;

/// Why the journal cannot be used.
#[derive(Debug, Error)]
pub enum JournalFault {
    /// A file cannot be read or written.
    #[error("{path}: cannot be {did}")]
    Io {
        /// The file.
        path: String,
        /// What was tried.
        did: &'static str,
        /// Why not.
        source: io::Error,
    },
    /// Another process has it.
    #[error("{0}: another process has this journal open; stop it, or give another folder")]
    Taken(String),
    /// A record in it is damaged.
    #[error(
        "{path}:{line}: {fault}. Nothing is done with a journal that is not whole; `tripline remediate audit verify` tells more"
    )]
    Damaged {
        /// The file.
        path: String,
        /// The line.
        line: u64,
        /// What is wrong with it.
        fault: LineFault,
    },
    /// A record is not the one that must follow.
    #[error(
        "{path}:{line}: record {seq} does not follow the one before it; records were removed, changed or added"
    )]
    Broken {
        /// The file.
        path: String,
        /// The line.
        line: u64,
        /// Its number.
        seq: u64,
    },
    /// Something failed before.
    #[error("the journal failed before, and nothing is done until it was opened anew: {0}")]
    Failed(String),
    /// A record that cannot be written.
    #[error("a record cannot be written: {0}")]
    Record(String),
}

/// What was found when a journal was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Opened {
    /// How many records.
    pub records: u64,
    /// How many bytes of a last record were cut off, which was never told to be written.
    pub cut: u64,
}

#[derive(Debug)]
struct Inner {
    file: File,
    path: PathBuf,
    length: u64,
    /// Lines that are not written yet.
    queue: Vec<u8>,
    /// The number of the newest record, written or not, and its hash.
    last: (u64, String),
    flushed: u64,
    is_flushing: bool,
    failed: Option<String>,
}

/// See the module.
#[derive(Debug)]
pub struct FileJournal {
    folder: PathBuf,
    inner: Mutex<Inner>,
    flushes: Condvar,
    _lock: File,
}

pub(super) fn io_fault(path: &Path, did: &'static str) -> impl FnOnce(io::Error) -> JournalFault {
    let path = path.display().to_string();
    move |source| JournalFault::Io { path, did, source }
}

/// The files of a journal, the oldest first.
pub(super) fn files(folder: &Path) -> Result<Vec<PathBuf>, JournalFault> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(io_fault(folder, "read"))? {
        let path = entry.map_err(io_fault(folder, "read"))?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        if name.is_some_and(|name| name.starts_with("journal-") && name.ends_with(".jsonl")) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

fn open_options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.create(true).append(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        // What was before a change may be told to few.
        options.mode(0o600);
    }
    options
}

fn sync_folder(folder: &Path) -> Result<(), JournalFault> {
    let opened = File::open(folder).map_err(io_fault(folder, "opened"))?;
    opened.sync_all().map_err(io_fault(folder, "flushed"))
}

impl FileJournal {
    /// Opens the journal of a folder, which is made if it is not there, and hands over its records.
    pub fn open(
        folder: &Path,
        mut each: impl FnMut(Record) -> Result<(), JournalFault>,
    ) -> Result<(Self, Opened), JournalFault> {
        fs::create_dir_all(folder).map_err(io_fault(folder, "made"))?;
        let lock_path = folder.join("lock");
        let lock = open_options()
            .open(&lock_path)
            .map_err(io_fault(&lock_path, "opened"))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(JournalFault::Taken(folder.display().to_string()));
            }
            Err(TryLockError::Error(source)) => {
                return Err(io_fault(&lock_path, "locked")(source));
            }
        }
        let paths = files(folder)?;
        let mut opened = Opened::default();
        let mut last = (0, NO_HASH.to_owned());
        for (number, path) in paths.iter().enumerate() {
            let is_newest = number + 1 == paths.len();
            let Read { whole, length } = read_file(path, &mut last, is_newest, &mut |record| {
                opened.records += 1;
                each(record)
            })?;
            if whole < length {
                opened.cut = length - whole;
                let file = OpenOptions::new().write(true).open(path);
                let file = file.map_err(io_fault(path, "opened"))?;
                file.set_len(whole).map_err(io_fault(path, "cut"))?;
                file.sync_all().map_err(io_fault(path, "flushed"))?;
            }
        }
        let path = match paths.into_iter().next_back() {
            Some(path) => path,
            None => folder.join(name_of(1)),
        };
        let file = open_options()
            .open(&path)
            .map_err(io_fault(&path, "opened"))?;
        // What was read may have been written by a process that ended before it was flushed.
        file.sync_all().map_err(io_fault(&path, "flushed"))?;
        sync_folder(folder)?;
        let length = file.metadata().map_err(io_fault(&path, "looked at"))?.len();
        let inner = Inner {
            file,
            path,
            length,
            queue: Vec::new(),
            flushed: last.0,
            last,
            is_flushing: false,
            failed: None,
        };
        let journal = Self {
            folder: folder.to_owned(),
            inner: Mutex::new(inner),
            flushes: Condvar::new(),
            _lock: lock,
        };
        Ok((journal, opened))
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Numbers a record and has it written with the next flush. Returns its number, for [`Self::flush`].
    pub fn append(&self, time: i64, engine: &str, entry: Entry) -> Result<u64, JournalFault> {
        let mut inner = self.inner();
        if let Some(fault) = &inner.failed {
            return Err(JournalFault::Failed(fault.clone()));
        }
        let record = Record {
            seq: inner.last.0 + 1,
            prev: inner.last.1.clone(),
            time,
            engine: engine.to_owned(),
            entry,
        };
        let (line, hash) = record
            .line()
            .map_err(|fault| JournalFault::Record(fault.to_string()))?;
        if line.len() > RECORD_BYTES_MAX {
            let message = format!("it has {} bytes, of at most {RECORD_BYTES_MAX}", line.len());
            return Err(JournalFault::Record(message));
        }
        inner.queue.extend_from_slice(line.as_bytes());
        inner.last = (record.seq, hash);
        Ok(record.seq)
    }

    /// Has a record written with the next flush that was numbered elsewhere; `line` and `hash` are its own. It must be the
    /// next one.
    pub(crate) fn append_line(
        &self,
        record: &Record,
        (line, hash): (&str, &str),
    ) -> Result<(), JournalFault> {
        let mut inner = self.inner();
        if let Some(fault) = &inner.failed {
            return Err(JournalFault::Failed(fault.clone()));
        }
        if record.seq != inner.last.0 + 1 || record.prev != inner.last.1 {
            let path = inner.path.display().to_string();
            let (line, seq) = (0, record.seq);
            return Err(JournalFault::Broken { path, line, seq });
        }
        inner.queue.extend_from_slice(line.as_bytes());
        inner.last = (record.seq, hash.to_owned());
        Ok(())
    }

    /// The number and the hash of the newest record, on the disk or not.
    pub(crate) fn last(&self) -> (u64, String) {
        self.inner().last.clone()
    }

    /// Waits until a record and all before it are on the disk.
    pub fn flush(&self, seq: u64) -> Result<(), JournalFault> {
        let mut inner = self.inner();
        loop {
            if inner.flushed >= seq {
                return Ok(());
            }
            if let Some(fault) = &inner.failed {
                return Err(JournalFault::Failed(fault.clone()));
            }
            if inner.is_flushing {
                inner = self
                    .flushes
                    .wait(inner)
                    .unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            inner.is_flushing = true;
            let (bytes, newest) = (std::mem::take(&mut inner.queue), inner.last.0);
            let first = inner.flushed + 1;
            let file = match self.room(&mut inner, first, bytes.len() as u64) {
                Ok(file) => file,
                Err(fault) => {
                    inner.is_flushing = false;
                    inner.failed = Some(fault.to_string());
                    self.flushes.notify_all();
                    return Err(fault);
                }
            };
            let path = inner.path.clone();
            drop(inner);
            let done = (|| {
                let mut file = file;
                file.write_all(&bytes).map_err(io_fault(&path, "written"))?;
                file.sync_data().map_err(io_fault(&path, "flushed"))
            })();
            inner = self.inner();
            inner.is_flushing = false;
            match &done {
                Ok(()) => {
                    inner.flushed = newest;
                    inner.length += bytes.len() as u64;
                }
                Err(fault) => inner.failed = Some(fault.to_string()),
            }
            self.flushes.notify_all();
            done?;
        }
    }

    /// The file that is written to: a new one when the last is long enough.
    fn room(&self, inner: &mut Inner, first: u64, more: u64) -> Result<File, JournalFault> {
        if inner.length > 0 && inner.length + more > FILE_BYTES {
            let path = self.folder.join(name_of(first));
            let file = open_options()
                .open(&path)
                .map_err(io_fault(&path, "made"))?;
            sync_folder(&self.folder)?;
            (inner.file, inner.path, inner.length) = (file, path, 0);
        }
        let path = inner.path.clone();
        inner.file.try_clone().map_err(io_fault(&path, "opened"))
    }

    /// The number and the hash of the newest record that is on the disk, for checkpoints; flushes first.
    pub fn newest(&self) -> Result<(u64, String), JournalFault> {
        let last = self.inner().last.clone();
        self.flush(last.0)?;
        Ok(last)
    }

    /// Where it lies.
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

fn name_of(first: u64) -> String {
    format!("journal-{first:012}.jsonl")
}
