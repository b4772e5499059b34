//! The embedded log: a bus in the process itself, in segment files of one folder for each partition.
//!
//! ```text
//! folder/lock                        held while the log is open
//!        roster                      which segments there must be
//!        00000000000000000001.seg    header, frame, frame, ...      one append is one frame
//!        00000000000000091022.seg    header, frame, frame, zeroes   the newest: written at its end
//! ```
//!
//! Appends that come while one is being flushed are written and flushed together (`writing`). Readers read the files by
//! themselves and never wait for those who append (`reading`). After a crash the newest segment is looked through once,
//! and what was never acknowledged may be cut off its end (`opening`).
//!
//! It relies on a disk that keeps what it said it has (`disk`), and on nobody else writing in its folder. It must never
//! acknowledge what is not as durable as it says, hand over a byte whose check does not hold, or leave out a record
//! without saying which and why. Rejected: an embedded key-value store, which writes everything a second time when it
//! compacts, and whose torn or damaged parts cannot be told apart from here (`decisions/own-segmented-log.md`).

mod disk;
mod frame;
pub mod limits;
mod opening;
mod reading;
mod roster;
mod shared;
#[cfg(test)]
mod tests;
mod window;
mod writing;

pub use disk::make_folder;
pub use opening::{Damaged, Recovered};

use shared::Shared;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use tripline_core::port::{
    Appended, Bus, Delivered, Durability, FaultClass, NewRecord, PortFault, ReadMax, Sequence, Span,
};

/// When records become durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flush {
    /// Before they are acknowledged: acknowledgements outlive the loss of power.
    Fsync,
    /// Every so often in the background: acknowledgements outlive the process, and what was acknowledged since the last
    /// flush is lost with the power.
    Process {
        /// How often.
        every: Duration,
    },
}

/// What happens to records that nobody released when there is no more room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenFull {
    /// Nothing more is taken: an acknowledged record is never given up before it is released.
    Refuse,
    /// The oldest segments are given up; readers are told what they lost.
    DropOldest,
}

/// How a log is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogSettings {
    /// When records become durable.
    pub flush: Flush,
    /// How long a segment grows.
    pub segment_bytes: u64,
    /// Longest record, attributes included.
    pub record_bytes_max: usize,
    /// How much there may be altogether.
    pub bytes_max: u64,
    /// How much of what was released is kept, for whoever wants to read it again.
    pub released_bytes_max: u64,
    /// What was taken so much earlier than the newest record is given up: of what was released always, of the rest when
    /// the oldest may be dropped.
    pub age_max: Option<Duration>,
    /// What happens when there is no more room.
    pub when_full: WhenFull,
}

impl Default for LogSettings {
    fn default() -> Self {
        Self {
            flush: Flush::Fsync,
            segment_bytes: limits::SEGMENT_BYTES,
            record_bytes_max: limits::RECORD_BYTES_MAX,
            bytes_max: 16 * 1024 * 1024 * 1024,
            released_bytes_max: 0,
            age_max: None,
            when_full: WhenFull::Refuse,
        }
    }
}

impl LogSettings {
    fn checked(&self) -> Result<(), PortFault> {
        let segments = limits::SEGMENT_BYTES_MIN..=limits::SEGMENT_BYTES_MAX;
        let wrong = if !segments.contains(&self.segment_bytes) {
            format!(
                "segments of {} bytes: {segments:?} are possible",
                self.segment_bytes
            )
        } else if self.record_bytes_max > limits::RECORD_BYTES_MAX {
            format!(
                "records of {} bytes: at most {} are possible",
                self.record_bytes_max,
                limits::RECORD_BYTES_MAX
            )
        } else if self.bytes_max < 2 * self.segment_bytes {
            format!(
                "{} bytes altogether: room is made by whole segments, so two of them, {} bytes, are the least",
                self.bytes_max,
                2 * self.segment_bytes
            )
        } else {
            return Ok(());
        };
        Err(PortFault::new(
            FaultClass::Reject,
            format!("keep a log with {wrong}"),
        ))
    }
}

/// The log of one partition.
#[derive(Debug)]
pub struct Log {
    shared: Arc<Shared>,
    flusher: Option<Flusher>,
}

impl Log {
    /// Opens the log in a folder, which is made when it is not there, and says what was found. Class `Retry` when another
    /// process has it open.
    pub fn open(folder: &Path, settings: LogSettings) -> Result<(Self, Recovered), PortFault> {
        settings.checked()?;
        let real = disk::RealFolder::new(folder).map_err(|fault| {
            PortFault::new(
                FaultClass::Stop,
                format!("make the folder {}", folder.display()),
            )
            .because(fault)
        })?;
        Self::open_in(Arc::new(real), settings)
    }

    fn open_in(
        folder: Arc<dyn disk::Folder>,
        settings: LogSettings,
    ) -> Result<(Self, Recovered), PortFault> {
        let (shared, recovered) = opening::open(folder, settings)?;
        let shared = Arc::new(shared);
        let flusher = match shared.settings.flush {
            Flush::Fsync => None,
            Flush::Process { every } => Some(Flusher::start(Arc::clone(&shared), every)),
        };
        Ok((Self { shared, flusher }, recovered))
    }

    /// Makes durable what was appended so far.
    pub fn flush(&self) -> Result<(), PortFault> {
        self.shared.flush().map_err(PortFault::from)
    }

    /// Where the log is.
    pub fn folder(&self) -> PathBuf {
        self.shared.folder.path("")
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        if let Some(flusher) = self.flusher.take() {
            flusher.stop();
        }
        self.shared.close();
    }
}

impl Bus for Log {
    fn append(&self, records: &[NewRecord<'_>]) -> Result<Appended, PortFault> {
        Ok(Appended {
            first: Sequence(self.shared.append(records)?),
            durability: self.durability(),
        })
    }

    fn read(&self, after: Sequence, max: ReadMax, into: &mut Delivered) -> Result<(), PortFault> {
        self.shared.read(after.0, max, into)
    }

    fn wait(&self, after: Sequence, at_most: Duration) -> Result<bool, PortFault> {
        self.shared.wait(after.0, at_most)
    }

    fn span(&self) -> Result<Span, PortFault> {
        Ok(self.shared.span())
    }

    fn release(&self, before: Sequence) -> Result<(), PortFault> {
        self.shared.release(before.0).map_err(PortFault::from)
    }

    fn durability(&self) -> Durability {
        match self.shared.settings.flush {
            Flush::Fsync => Durability::Fsync,
            Flush::Process { .. } => Durability::Process,
        }
    }
}

/// The thread that flushes in the background.
#[derive(Debug)]
struct Flusher {
    stopped: Arc<(Mutex<bool>, Condvar)>,
    thread: JoinHandle<()>,
}

impl Flusher {
    fn start(shared: Arc<Shared>, every: Duration) -> Self {
        let stopped = Arc::new((Mutex::new(false), Condvar::new()));
        let seen = Arc::clone(&stopped);
        let thread = thread::spawn(move || {
            let mut stop = seen.0.lock().unwrap_or_else(PoisonError::into_inner);
            while !*stop {
                let waited = seen.1.wait_timeout(stop, every);
                stop = waited.unwrap_or_else(PoisonError::into_inner).0;
                // A failure has poisoned the log, which tells everybody who appends or waits.
                let _ = shared.flush();
            }
        });
        Self { stopped, thread }
    }

    fn stop(self) {
        *self
            .stopped
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = true;
        self.stopped.1.notify_all();
        let _ = self.thread.join();
    }
}
