//! What resources were like, as processes that share the work tell each other: each sees the events of its own partitions, and
//! whoever acts must know all.
//!
//! ```text
//! stream PREFIX-known-ledger, key "events", entry = the name of who says it, then events as lines
//! ```
//!
//! What an event says is said to all before the event is acknowledged. It is known alike in whatever order it is heard, so
//! nobody is fenced. Now and then whoever acts keeps all that is known beside it, and the ledger is shortened up to there.

use super::settings::replace_private;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tripline_core::port::{FaultClass, Ledger, PortFault, Sequence};

const KEY: &str = "events";

/// All that is known, as of an entry that its first line names.
const IMAGE: &str = "known";

/// Which entry this process has heard.
const PLACE: &str = "known-place";

/// After so many entries the ledger is shortened.
const ENTRIES_MAX: u64 = 10_000;

/// How often something is said before it is given up, while the servers give no answer; each takes eight seconds.
const TRIES: usize = 3;

/// See the module.
pub(crate) struct Facts {
    ledger: Arc<dyn Ledger>,
    me: String,
    folder: PathBuf,
    place: Mutex<Sequence>,
}

/// What was heard.
pub(super) enum Heard {
    /// Events, one a line, of which this process has not told itself.
    Events(Vec<u8>),
    /// All that is known, in the place of what was known before.
    All(Vec<u8>),
}

impl Facts {
    /// Goes on where the process was in a folder.
    pub(crate) fn new(ledger: Arc<dyn Ledger>, me: &str, folder: &Path) -> Self {
        let text = fs::read_to_string(folder.join(PLACE)).unwrap_or_default();
        let place = text.trim().parse().unwrap_or(0);
        Self {
            ledger,
            me: me.to_owned(),
            folder: folder.to_owned(),
            place: Mutex::new(Sequence(place)),
        }
    }

    fn place(&self) -> Sequence {
        *self.place.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that everything up to what was heard is in the folder.
    pub(super) fn keep(&self) -> io::Result<()> {
        let text = format!("{}\n", self.place().0);
        replace_private(&self.folder.join(PLACE), text.as_bytes())
    }

    /// Says what events tell, one a line.
    pub(super) fn say(&self, lines: &[u8]) -> Result<(), PortFault> {
        let mut entry = format!("{}\n", self.me).into_bytes();
        entry.extend_from_slice(lines);
        let mut tries = 0;
        loop {
            tries += 1;
            match self.ledger.append(KEY, None, &entry) {
                // What was taken all the same is said twice then.
                Err(fault) if fault.class == FaultClass::Retry && tries < TRIES => {}
                said => return said.map(drop),
            }
        }
    }

    /// What others said, waiting for it at most so long.
    pub(super) fn hear(&self, at_most: Duration) -> Result<Option<Heard>, PortFault> {
        let at = self.place();
        if !self.ledger.wait(at, at_most)? {
            return Ok(None);
        }
        let entries = match self.ledger.read(at) {
            Err(_) if self.ledger.first()?.0 > at.0 + 1 => return self.load().map(Some),
            entries => entries?,
        };
        let mut lines = Vec::new();
        for entry in &entries {
            let (by, events) = entry.bytes.split_at(
                memchr::memchr(b'\n', &entry.bytes).map_or(entry.bytes.len(), |at| at + 1),
            );
            if by != format!("{}\n", self.me).as_bytes() {
                lines.extend_from_slice(events);
            }
        }
        if let Some(last) = entries.last() {
            *self.place.lock().unwrap_or_else(PoisonError::into_inner) = last.place;
        }
        Ok(Some(Heard::Events(lines)))
    }

    /// Whether something was said that was not heard yet.
    pub(super) fn is_behind(&self) -> Result<bool, PortFault> {
        Ok(self.place() < self.ledger.last()?)
    }

    /// All that is known: the ledger does not reach back to where this process was.
    fn load(&self) -> Result<Heard, PortFault> {
        let doing = "load what resources were like";
        let damaged = || PortFault::new(FaultClass::Stop, doing).because("it is gone or damaged");
        let image = self.ledger.kept(IMAGE)?.ok_or_else(damaged)?;
        let end = memchr::memchr(b'\n', &image).ok_or_else(damaged)?;
        let place = std::str::from_utf8(&image[..end]).ok();
        let place: u64 = place
            .and_then(|text| text.parse().ok())
            .ok_or_else(damaged)?;
        *self.place.lock().unwrap_or_else(PoisonError::into_inner) = Sequence(place);
        Ok(Heard::All(image[end + 1..].to_vec()))
    }

    /// Keeps all that is known and shortens the ledger up to there, if it is long. `all` tells what is known.
    pub(super) fn shorten(&self, all: impl FnOnce() -> Vec<u8>) -> Result<(), PortFault> {
        let place = self.place();
        if place.0 < self.ledger.first()?.0 + ENTRIES_MAX {
            return Ok(());
        }
        let mut image = format!("{}\n", place.0).into_bytes();
        image.extend(all());
        self.ledger.keep(IMAGE, &image)?;
        self.ledger.purge(Sequence(place.0 - 1))
    }
}
