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
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tripline_core::port::{FaultClass, Ledger, PortFault, Sequence};

const KEY: &str = "events";

/// All that is known, as of an entry: its name ends with the place, and its first line is that. Whoever was stopped while it acted
/// may keep an older one later, which is then not the one that counts.
const IMAGE: &str = "known-";

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
    /// All that was known to whoever acted.
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
        let newest = self.images()?.into_iter().next_back().ok_or_else(damaged)?;
        // A newer one may have taken its place meanwhile.
        let gone = || PortFault::new(FaultClass::Retry, doing).because("it went meanwhile");
        let image = self.ledger.kept(&newest)?.ok_or_else(gone)?;
        let end = memchr::memchr(b'\n', &image).ok_or_else(damaged)?;
        let place = std::str::from_utf8(&image[..end]).ok();
        let place: u64 = place
            .and_then(|text| text.parse().ok())
            .ok_or_else(damaged)?;
        *self.place.lock().unwrap_or_else(PoisonError::into_inner) = Sequence(place);
        Ok(Heard::All(image[end + 1..].to_vec()))
    }

    /// The names of what is kept, the newest last.
    fn images(&self) -> Result<BTreeSet<String>, PortFault> {
        let mut names: BTreeSet<String> = self.ledger.names()?.into_iter().collect();
        names.retain(|name| name.starts_with(IMAGE));
        Ok(names)
    }

    /// Keeps all that is known and shortens the ledger up to there, if it is long. `all` tells what is known.
    pub(super) fn shorten(&self, all: impl FnOnce() -> Vec<u8>) -> Result<(), PortFault> {
        let place = self.place();
        if place.0 < self.ledger.first()?.0 + ENTRIES_MAX {
            return Ok(());
        }
        let mut image = format!("{}\n", place.0).into_bytes();
        image.extend(all());
        let name = format!("{IMAGE}{:020}", place.0);
        self.ledger.keep(&name, &image)?;
        self.ledger.purge(Sequence(place.0 - 1))?;
        for older in self.images()?.range(..name) {
            self.ledger.forget(older)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{ENTRIES_MAX, Facts, Heard, IMAGE};
    use std::collections::BTreeMap;
    use std::sync::{Arc, Mutex};
    use std::time::Duration;
    use tempfile::TempDir;
    use tripline_core::port::{Entry, FaultClass, Ledger, PortFault, Sequence};
    use tripline_core::rule::kind::EventTime;

    #[derive(Default)]
    struct Inner {
        entries: Vec<Entry>,
        purged: u64,
        kept: BTreeMap<String, Vec<u8>>,
    }

    /// A ledger in memory.
    #[derive(Default)]
    struct Memory(Mutex<Inner>);

    impl Memory {
        fn with<T>(&self, does: impl FnOnce(&mut Inner) -> T) -> T {
            does(&mut self.0.lock().expect("is whole"))
        }
    }

    impl Ledger for Memory {
        fn append(
            &self,
            _: &str,
            _: Option<Sequence>,
            bytes: &[u8],
        ) -> Result<Sequence, PortFault> {
            let place = Sequence(self.last()?.0 + 1);
            let entry = Entry {
                place,
                taken: EventTime::from_micros(0),
                bytes: bytes.to_vec(),
            };
            self.with(|inner| inner.entries.push(entry));
            Ok(place)
        }

        fn newest(&self, _: &str) -> Result<Sequence, PortFault> {
            self.last()
        }

        fn last(&self) -> Result<Sequence, PortFault> {
            Ok(self.with(|inner| {
                let last = inner.entries.last().map(|one| one.place);
                last.unwrap_or(Sequence(inner.purged))
            }))
        }

        fn first(&self) -> Result<Sequence, PortFault> {
            Ok(Sequence(self.with(|inner| inner.purged) + 1))
        }

        fn purge(&self, through: Sequence) -> Result<(), PortFault> {
            assert!(through < self.last()?, "the newest goes");
            self.with(|inner| {
                inner.entries.retain(|one| one.place > through);
                inner.purged = inner.purged.max(through.0);
            });
            Ok(())
        }

        fn read(&self, after: Sequence) -> Result<Vec<Entry>, PortFault> {
            self.with(|inner| {
                if after.0 < inner.purged {
                    return Err(PortFault::new(FaultClass::Stop, "read"));
                }
                let later = inner.entries.iter().filter(|one| one.place > after);
                Ok(later.take(100).cloned().collect())
            })
        }

        fn wait(&self, after: Sequence, _: Duration) -> Result<bool, PortFault> {
            Ok(self.last()? > after)
        }

        fn keep(&self, name: &str, bytes: &[u8]) -> Result<(), PortFault> {
            self.with(|inner| inner.kept.insert(name.to_owned(), bytes.to_vec()));
            Ok(())
        }

        fn kept(&self, name: &str) -> Result<Option<Vec<u8>>, PortFault> {
            Ok(self.with(|inner| inner.kept.get(name).cloned()))
        }

        fn names(&self) -> Result<Vec<String>, PortFault> {
            Ok(self.with(|inner| inner.kept.keys().cloned().collect()))
        }

        fn forget(&self, name: &str) -> Result<(), PortFault> {
            self.with(|inner| inner.kept.remove(name));
            Ok(())
        }
    }

    fn member(ledger: &Arc<Memory>, name: &str) -> (Facts, TempDir) {
        let folder = tempfile::tempdir().expect("a folder");
        let facts = Facts::new(Arc::clone(ledger) as _, name, folder.path());
        (facts, folder)
    }

    /// Hears everything; the lines, and what was known to whoever acted.
    fn all(facts: &Facts) -> (String, Vec<String>) {
        let (mut lines, mut known) = (String::new(), Vec::new());
        while facts.is_behind().expect("is known") {
            let text = |bytes| String::from_utf8(bytes).expect("text");
            match facts.hear(Duration::ZERO).expect("is heard") {
                Some(Heard::Events(events)) => lines.push_str(&text(events)),
                Some(Heard::All(bytes)) => known.push(text(bytes)),
                None => {}
            }
        }
        (lines, known)
    }

    #[test]
    fn whoever_is_behind_what_was_forgotten_gets_all_that_was_known_and_what_came_after() {
        let ledger = Arc::new(Memory::default());
        let (acting, _one) = member(&ledger, "a");
        let (other, two) = member(&ledger, "b");
        let (slow, _three) = member(&ledger, "c");
        for number in 0..ENTRIES_MAX {
            other
                .say(format!("{number}\n").as_bytes())
                .expect("is said");
        }
        all(&acting);
        acting.shorten(|| panic!("is short")).expect("is left");
        assert_eq!(ledger.first().expect("is known"), Sequence(1));
        other.say(b"last\n").expect("is said");
        let (heard, _) = all(&acting);
        assert_eq!(heard, "last\n");
        acting.shorten(|| b"all of it".to_vec()).expect("is kept");
        // The newest stays.
        assert_eq!(ledger.first().expect("is known"), Sequence(ENTRIES_MAX + 1));
        other.say(b"after\n").expect("is said");
        let expected = ("after\n".to_owned(), vec!["all of it".to_owned()]);
        assert_eq!(all(&slow), expected);
        // Where it is, is kept with what it heard.
        all(&other);
        other.keep().expect("is written");
        let again = Facts::new(Arc::clone(&ledger) as _, "b-again", two.path());
        assert_eq!(all(&again), (String::new(), Vec::new()));
    }

    #[test]
    fn the_newest_of_what_is_kept_counts_whoever_keeps_another_one_later() {
        let ledger = Arc::new(Memory::default());
        let (acting, _one) = member(&ledger, "a");
        let (slow, _two) = member(&ledger, "c");
        for round in ["one", "two"] {
            for _ in 0..=ENTRIES_MAX {
                acting.say(b"x\n").expect("is said");
            }
            all(&acting);
            acting.shorten(|| round.into()).expect("is kept");
            let names = ledger.names().expect("are known");
            assert_eq!(names.len(), 1, "{names:?}");
        }
        // Somebody who was stopped in the middle of it.
        let older = format!("{IMAGE}{:020}", ENTRIES_MAX / 2);
        let bytes = format!("{}\nold", ENTRIES_MAX / 2);
        ledger.keep(&older, bytes.as_bytes()).expect("is kept");
        assert_eq!(all(&slow), (String::new(), vec!["two".to_owned()]));
    }

    #[test]
    fn what_is_gone_or_damaged_stops_whoever_needs_it() {
        let ledger = Arc::new(Memory::default());
        let (acting, _one) = member(&ledger, "a");
        for _ in 0..=ENTRIES_MAX {
            acting.say(b"x\n").expect("is said");
        }
        all(&acting);
        acting.shorten(Vec::new).expect("is kept");
        let name = ledger.names().expect("are known").remove(0);
        let (slow, _two) = member(&ledger, "c");
        let refused = || match slow.hear(Duration::ZERO) {
            Err(fault) => fault.class,
            Ok(_) => panic!("is heard"),
        };
        ledger.keep(&name, b"no place").expect("is kept");
        assert_eq!(refused(), FaultClass::Stop);
        ledger.forget(&name).expect("is forgotten");
        assert_eq!(refused(), FaultClass::Stop);
    }
}
