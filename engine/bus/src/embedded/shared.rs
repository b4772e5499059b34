//! What those who append and those who read have in common: which segments there are, and how far they reach.
//!
//! Locks are taken in the order queue, writer, flushing, view, and none is held during an operation of the disk except
//! the writer's and that of flushing. So readers, who take the view alone and for a moment, never wait for a disk that
//! somebody else uses. Rejected: one lock for the log, under which every reader would wait for every flush.

use super::disk::Folder;
use super::reading::Cursor;
use super::writing::{Queue, Writer};
use super::{LogSettings, limits};
use std::any::Any;
use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tripline_core::port::{FaultClass, PortFault, Sequence, Span};
use tripline_core::rule::kind::EventTime;

/// Everything about an open log.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) folder: Arc<dyn Folder>,
    pub(super) settings: LogSettings,
    pub(super) log: u64,
    pub(super) queue: Mutex<Queue>,
    pub(super) turned: Condvar,
    pub(super) flushing: Mutex<()>,
    pub(super) writer: Mutex<Writer>,
    pub(super) view: Mutex<View>,
    pub(super) grown: Condvar,
    pub(super) cursors: Mutex<Vec<Cursor>>,
    pub(super) _held: Box<dyn Any + Send + Sync>,
}

/// What readers may see.
#[derive(Debug)]
pub(super) struct View {
    /// Never empty; the last one is written to.
    pub(super) segments: VecDeque<Segment>,
    /// What all but the newest segment take.
    pub(super) older_bytes: u64,
    /// The newest sequence that may be read.
    pub(super) last: u64,
    /// The first sequence that was not given up.
    pub(super) oldest: u64,
    /// Why nothing is written any more.
    pub(super) poisoned: Option<Failure>,
}

/// A segment.
#[derive(Clone, Debug)]
pub(super) struct Segment {
    pub(super) first: u64,
    /// Where its frames end.
    pub(super) end: u64,
    pub(super) taken_newest: EventTime,
    pub(super) index: Arc<Index>,
}

/// Where some frames of a segment begin: sequence and offset, both ascending.
#[derive(Debug, Default)]
pub(super) struct Index(Mutex<Vec<(u64, u64)>>);

impl Index {
    /// Notes where a frame begins, when that is far enough behind the last one noted.
    pub(super) fn note(&self, first: u64, offset: u64) {
        let mut places = locked(&self.0);
        let due = match places.last() {
            Some(&(noted, at)) => first > noted && offset >= at + limits::INDEX_EVERY_BYTES,
            None => offset >= limits::INDEX_EVERY_BYTES,
        };
        if due {
            places.push((first, offset));
        }
    }

    /// The nearest noted place at or before a sequence.
    pub(super) fn before(&self, sequence: u64) -> Option<(u64, u64)> {
        let places = locked(&self.0);
        let after = places.partition_point(|(first, _)| *first <= sequence);
        places[..after].last().copied()
    }
}

impl View {
    /// What all segments take.
    pub(super) fn bytes(&self) -> u64 {
        self.older_bytes + self.segments.back().map_or(0, |one| one.end)
    }

    /// The one that is written to.
    pub(super) fn newest(&mut self) -> &mut Segment {
        self.segments
            .back_mut()
            .expect("there always is a newest segment")
    }
}

/// A fault that several may have to be told of.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    pub(super) class: FaultClass,
    doing: String,
    source: Option<Arc<io::Error>>,
}

impl Failure {
    pub(super) fn new(class: FaultClass, doing: impl Into<String>) -> Self {
        Self {
            class,
            doing: doing.into(),
            source: None,
        }
    }

    /// What failed to be done, because of a fault of the disk.
    pub(super) fn io(class: FaultClass, doing: impl Into<String>, fault: io::Error) -> Self {
        Self {
            class,
            doing: doing.into(),
            source: Some(Arc::new(fault)),
        }
    }
}

impl From<Failure> for PortFault {
    fn from(failure: Failure) -> Self {
        let fault = PortFault::new(failure.class, failure.doing);
        match failure.source {
            Some(source) => fault.because(source),
            None => fault,
        }
    }
}

/// Whether a disk had no room.
pub(super) fn is_full(fault: &io::Error) -> bool {
    matches!(
        fault.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}

/// Locks. A thread that panicked meanwhile has not left anything half done that others could see: what they see is set
/// by single assignments after the work.
pub(super) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    /// The path of a file, as messages have it.
    pub(super) fn shown(&self, name: &str) -> String {
        self.folder.path(name).display().to_string()
    }

    /// From now on nothing is written: what is on the disk is no longer known.
    pub(super) fn poison(&self, failure: Failure) -> Failure {
        let mut view = locked(&self.view);
        let first = view.poisoned.get_or_insert(failure).clone();
        drop(view);
        self.grown.notify_all();
        first
    }

    /// The reason for which nothing is written any more.
    pub(super) fn usable(&self) -> Result<(), Failure> {
        match &locked(&self.view).poisoned {
            Some(failure) => Err(failure.clone()),
            None => Ok(()),
        }
    }

    pub(super) fn wait(&self, after: u64, at_most: Duration) -> Result<bool, PortFault> {
        let waiting = |view: &mut View| view.last <= after && view.poisoned.is_none();
        let waited = self
            .grown
            .wait_timeout_while(locked(&self.view), at_most, waiting);
        let view = waited.unwrap_or_else(PoisonError::into_inner).0;
        match &view.poisoned {
            _ if view.last > after => Ok(true),
            Some(failure) => Err(failure.clone().into()),
            None => Ok(false),
        }
    }

    pub(super) fn span(&self) -> Span {
        let view = locked(&self.view);
        Span {
            first: Sequence(view.segments[0].first),
            last: Sequence(view.last),
            bytes: view.bytes(),
        }
    }
}
