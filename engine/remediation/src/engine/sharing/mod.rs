//! One journal of several processes: a ledger that all follow, in which one order holds for all.
//!
//! ```text
//! append: decided on the book, queued ──▶ carried: lines, chained, as one entry ──▶ ledger, if nobody was faster
//!                                                                                      │
//! book of the order, own files ◀── taken in, one entry after the other ◀───────────────┘ follow: what others appended
//! ```
//!
//! There are two books: the one that the order tells, and the one on which is decided, which has what is on its way as well.
//! When somebody else was faster, what is on its way is void: the second book is made of the first again, and whoever
//! waited decides anew. So nothing is in the order that was not decided on all that stands before it.
//!
//! One process at a time acts: the one whose `TakenOver` is the newest. That is looked at where records are decided, so no
//! record of an older one can come after it, and once more before a request goes out, against what the servers say. It
//! relies on the ledger to compare what is expected. It must never tell that a record is there without the ledger's word.

mod acting;
mod order;

pub(super) use order::{Fate, Shared};

use super::{Engine, EngineFault, News, Outside, doubt, locked};
use crate::book::Book;
use crate::journal::{Checkpoint, Entry, Parcel, Record};
use order::{Flight, Pending, State, THERE, VOID, failed, words_of};
use std::sync::atomic::Ordering;
use std::time::Duration;
use tripline_core::port::{Entry as LedgerEntry, FaultClass, PortFault, Sequence};
use tripline_core::rule::kind::EventTime;

/// All records have one key: there is one order.
const KEY: &str = "journal";

/// The key of entries without records, by which somebody asks to be let in: whoever acts may be faster again and again.
const WANTS: &str = "wants";

/// After somebody else was faster so many times, to be let in is asked for.
const ASKS_AFTER: u32 = 2;

/// For so long nothing is given to the ledger by those who hear that: 50 ms.
const YIELDS_FOR: i64 = 50_000;
const YIELDS: Duration = Duration::from_millis(5);

/// How often it is looked whether the ledger went back, before that is believed.
const LOOKS_BACK: u32 = 10;
const LOOKS_BACK_EVERY: Duration = Duration::from_millis(500);

/// How often the own files are flushed while others append: the ledger has everything.
const KEEPS_EVERY: i64 = 200_000;

/// Which entry of the ledger is before the one that the files have come to: that one is read again, and compared.
const PLACE: &str = "ledger-place";

/// Records are carried together up to so many bytes: 4 MiB, or one that is longer.
const PARCEL_BYTES: usize = 4 << 20;

/// The pause between tries while the servers give no answer.
const PAUSE: Duration = Duration::from_millis(100);

/// How long whoever waits for somebody else who carries looks away.
const LOOKS_EVERY: Duration = Duration::from_millis(20);

/// How long people wait for an answer, in which their word is in the order or not: 10 s.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// For so long it counts that the servers named nobody else who acts: 1 s. Nobody takes over before somebody fell silent for
/// several.
const FRESH: i64 = 1_000_000;

/// How far the clock of whoever acts may be from the servers': 1 s. The windows of caps are longer by twice that.
const CLOCK_OFF_MAX: i64 = 1_000_000;

/// By so much the windows of caps are longer where several processes act one after the other, as their clocks differ.
pub(super) const SKEW: i64 = 2 * CLOCK_OFF_MAX;

/// How the process is among others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Whether this process acts.
    pub acts: bool,
    /// Who acts: the name of whoever took over last.
    pub actor: String,
    /// How often somebody took over.
    pub epoch: u64,
    /// The newest record that is in the files.
    pub seq: u64,
    /// The entry of the ledger that it is of.
    pub place: u64,
    /// Why nothing begins for now.
    pub paused: Option<String>,
    /// Whether that is so until the process starts again.
    pub has_failed: bool,
}

impl<O: Outside> Engine<O> {
    /// How often what was on its way became void: to be given to [`Self::flush_all`].
    pub(super) fn voids(&self) -> u64 {
        let shared = self.shared.as_ref();
        shared.map_or(0, |shared| shared.lock().voids)
    }

    /// Waits until everything that was written down is on the disk. A fault when some of it is void that was written down
    /// since `voids` was asked for.
    pub(super) fn flush_all(&self, voids: u64) -> Result<(), EngineFault> {
        if let Some(journal) = &self.journal {
            journal.newest()?;
        }
        let Some(shared) = &self.shared else {
            return Ok(());
        };
        if let Some(fate) = shared.newest() {
            self.carried(shared, &fate, None)?;
        }
        match self.voids() == voids {
            true => Ok(()),
            false => Err(EngineFault::Overtaken),
        }
    }

    /// How this process is among others; none when it is alone.
    pub fn standing(&self) -> Option<Standing> {
        let shared = self.shared.as_ref()?;
        let acts = self.acts();
        let state = shared.lock();
        Some(Standing {
            acts,
            actor: state.actor.clone(),
            epoch: state.book.epoch(),
            seq: state.tail.0,
            place: state.place.0,
            paused: state.failed.clone().or_else(|| state.held_up.clone()),
            has_failed: state.failed.is_some(),
        })
    }

    /// The book as the order tells, without what is on its way.
    pub fn ordered_book(&self) -> Book {
        let book = || self.book().clone();
        self.shared.as_ref().map_or_else(book, |one| one.book())
    }

    /// Checkpoints that were signed since the last time, by whomever, when several share a journal.
    pub fn take_checkpoints(&self) -> Vec<Checkpoint> {
        let shared = self.shared.as_ref();
        shared.map_or_else(Vec::new, |one| std::mem::take(&mut one.lock().checkpoints))
    }

    /// Whether nothing may begin because the servers give no answer, or the journal failed.
    pub(super) fn is_paused(&self) -> bool {
        self.shared.as_ref().is_some_and(|shared| {
            let state = shared.lock();
            state.held_up.is_some() || state.failed.is_some()
        })
    }

    /// Whoever waits waits no longer: the process ends.
    pub fn end(&self) {
        if let Some(shared) = &self.shared {
            shared.end();
            // What is not flushed is read again.
            let _ = shared.keep();
        }
        self.ring();
    }

    /// Somebody else was faster for the how manieth time: asks to be let in when that was too often.
    pub(super) fn ask_in(&self, times: u32) {
        let Some(shared) = &self.shared else { return };
        if times < ASKS_AFTER || self.acts() {
            return;
        }
        let number = {
            let mut state = shared.lock();
            state.parcels += 1;
            state.parcels
        };
        let asking = Parcel::bytes(&shared.me, number, std::iter::empty());
        // Without it, it only takes longer.
        let _ = shared.ledger.append(WANTS, None, &asking);
    }

    /// Waits until a record is in the order, and carries it there if nobody else does.
    pub(super) fn carried(
        &self,
        shared: &Shared,
        fate: &Fate,
        patience: Option<Duration>,
    ) -> Result<(), EngineFault> {
        let begun = self.outside.now();
        loop {
            let state = shared.lock();
            match fate.0.load(Ordering::SeqCst) {
                THERE => return Ok(()),
                VOID => return Err(EngineFault::Overtaken),
                _ => {}
            }
            if let Some(words) = &state.failed {
                return Err(failed(words.clone()).into());
            }
            let is_late = patience.is_some_and(|patience| {
                let waited = self.outside.now().saturating_sub(begun);
                waited > i64::try_from(patience.as_micros()).unwrap_or(i64::MAX)
            });
            if shared.is_over.load(Ordering::SeqCst) || is_late {
                let words = state.held_up.clone();
                let words = words.unwrap_or_else(|| "no answer in time".to_owned());
                return Err(EngineFault::Unreachable(words));
            }
            if state.is_carrying {
                let waited = shared.changed.wait_timeout(state, LOOKS_EVERY);
                drop(waited);
                continue;
            }
            let yields = state.flight.is_none() && self.outside.now() < state.yields_until;
            drop(state);
            if yields {
                self.outside.pause(YIELDS);
                continue;
            }
            self.carry(shared)?;
            if shared.lock().held_up.is_some() {
                self.outside.pause(PAUSE);
            }
        }
    }

    /// Gives the ledger what is in line, once, and takes in what became of it.
    fn carry(&self, shared: &Shared) -> Result<(), EngineFault> {
        let flight = {
            let mut state = shared.lock();
            if state.is_carrying {
                return Ok(());
            }
            let Some(flight) = state.load(&shared.me) else {
                return Ok(());
            };
            state.is_carrying = true;
            flight
        };
        // Nobody waits under a lock for the servers.
        let asked = self.outside.now();
        let expected = flight.expected;
        let appended = shared.ledger.append(KEY, Some(expected), &flight.bytes);
        let done = match appended {
            Ok(place) => {
                let entry = LedgerEntry {
                    place,
                    taken: EventTime::from_micros(0),
                    bytes: flight.bytes,
                };
                self.take_in(shared, &[entry], Some(asked))
            }
            Err(fault) if fault.class == FaultClass::Fenced => self.catch_up(shared, expected),
            Err(fault) => Err(fault),
        };
        let mut state = shared.lock();
        state.is_carrying = false;
        shared.changed.notify_all();
        noted(&mut state, done)
    }

    /// Takes in what others appended after an entry: there is something.
    fn catch_up(&self, shared: &Shared, expected: Sequence) -> Result<(), PortFault> {
        for _ in 0..5 {
            if shared.lock().newest > expected {
                return Ok(());
            }
            let at = *locked(&shared.reader);
            shared.ledger.wait(at, Duration::from_secs(1))?;
            let entries = shared.read()?;
            self.take_in(shared, &entries, None)?;
        }
        self.newest_place(shared).map(drop)
    }

    /// The newest entry of the ledger, which never goes back.
    fn newest_place(&self, shared: &Shared) -> Result<Sequence, PortFault> {
        let place = shared.lock().place;
        let mut last = shared.ledger.last()?;
        // A server that does not know yet that another one leads may say what was before.
        for _ in 0..LOOKS_BACK {
            if last >= place {
                return Ok(last);
            }
            self.outside.pause(LOOKS_BACK_EVERY);
            last = shared.ledger.last()?;
        }
        let words = format!(
            "its newest entry was {} and is {}: it lost what it had acknowledged; restore it",
            place.0, last.0
        );
        let fault = PortFault::new(FaultClass::Stop, "use the journal that the processes share");
        Err(fault.because(words))
    }

    /// Takes entries of the ledger in, in their order. `proof`: when the servers were asked, if they named nobody else.
    fn take_in(
        &self,
        shared: &Shared,
        entries: &[LedgerEntry],
        proof: Option<i64>,
    ) -> Result<(), PortFault> {
        let mut book = self.book();
        let mut state = shared.lock();
        for entry in entries {
            // Also when it was passed over, as an entry of ours after it was known first.
            if Parcel::asks_in(&entry.bytes).is_some_and(|by| by != shared.me) {
                state.yields_until = self.outside.now().saturating_add(YIELDS_FOR);
            }
            let is_new = entry.place > state.place;
            let done = match is_new {
                true => self.take_entry(shared, (&mut book, &mut state), entry),
                false => Ok(()),
            };
            if state.taken.0 == entry.place && entry.taken.micros() != 0 {
                state.taken.1 = Some(entry.taken.micros());
            }
            if let Err(words) = done {
                let words = format!("entry {} of the ledger: {words}", entry.place.0);
                state.failed = Some(words.clone());
                shared.changed.notify_all();
                let doing = "follow the journal that the processes share";
                return Err(PortFault::new(FaultClass::Stop, doing).because(words));
            }
        }
        if let Some(at) = proof {
            state.proof = state.proof.max(at);
        }
        state.held_up = None;
        shared.changed.notify_all();
        drop((state, book));
        if !entries.is_empty() {
            self.ring();
        }
        Ok(())
    }

    fn take_entry(
        &self,
        shared: &Shared,
        (book, state): (&mut Book, &mut State),
        entry: &LedgerEntry,
    ) -> Result<(), String> {
        let before = std::mem::replace(&mut state.place, entry.place);
        let is_ours = |flight: &mut Flight| flight.bytes == entry.bytes;
        if let Some(flight) = state.flight.take_if(is_ours) {
            (state.before, state.newest) = (before, entry.place);
            let ours: Vec<Pending> = state.queue.drain(..flight.count).collect();
            for one in ours {
                let (line, hash) = (one.line.as_str(), one.hash.as_str());
                self.take_record(shared, (state, &shared.me), (&one.record, line, hash))?;
                one.fate.0.store(THERE, Ordering::SeqCst);
            }
            return Ok(());
        }
        let parcel = Parcel::of_bytes(&entry.bytes).map_err(|fault| fault.to_string())?;
        if parcel.records.is_empty() {
            return Ok(());
        }
        // What was given to the ledger can never follow now what it was to follow.
        state.flight = None;
        (state.before, state.newest) = (before, entry.place);
        let had = !state.queue.is_empty();
        let may_follow = state.may_follow(&parcel.records);
        for (record, line, hash) in &parcel.records {
            self.take_record(shared, (state, &parcel.by), (record, line, hash))?;
        }
        if had && may_follow {
            return state.chain();
        }
        if had {
            for one in state.queue.drain(..) {
                one.fate.0.store(VOID, Ordering::SeqCst);
            }
            state.voids += 1;
            let mut next = state.book.clone();
            next.carry_over(book);
            *book = next;
        } else {
            // Both books are the same.
            for (record, _, _) in &parcel.records {
                let taken = book.take(&record.entry, record.time);
                taken.map_err(|fault| format!("record {}: {fault}", record.seq))?;
            }
        }
        state.last = state.tail.clone();
        Ok(())
    }

    /// Takes in a record that is in the order.
    fn take_record(
        &self,
        shared: &Shared,
        (state, by): (&mut State, &str),
        (record, line, hash): (&Record, &str, &str),
    ) -> Result<(), String> {
        let written = shared.file.append_line(record, (line, hash));
        written.map_err(|fault| fault.to_string())?;
        let taken = state.book.take(&record.entry, record.time);
        taken.map_err(|fault| format!("record {}: {fault}", record.seq))?;
        if by == shared.me && matches!(record.entry, Entry::TakenOver { .. }) {
            state.taken = (state.place, None);
        }
        doubt(&mut self.shadow(), &record.entry);
        state.note(by, record);
        let news = News::of(record.seq, record.time, &record.entry, &state.book);
        locked(&self.news).extend(news);
        state.tail = (record.seq, hash.to_owned());
        Ok(())
    }

    /// Takes in what others append, waits for it at most so long, and sees to what nobody waits for. To be called again and
    /// again by one thread.
    pub fn follow(&self, at_most: Duration) -> Result<(), EngineFault> {
        let Some(shared) = &self.shared else {
            return Ok(());
        };
        let done = self.followed(shared, at_most);
        let held_up = {
            let mut state = shared.lock();
            noted(&mut state, done)?;
            state.held_up.is_some()
        };
        let now = self.outside.now();
        if now >= shared.lock().yields_until {
            self.carry(shared)?;
        }
        if held_up {
            self.outside.pause(PAUSE);
        }
        let is_kept = (0..KEEPS_EVERY).contains(&now.saturating_sub(shared.lock().kept_at));
        if is_kept && !at_most.is_zero() {
            return Ok(());
        }
        shared.lock().kept_at = now;
        let kept = shared.keep();
        if let Err(fault) = &kept {
            let words = fault.to_string();
            shared.lock().failed.get_or_insert(words);
            shared.changed.notify_all();
        }
        Ok(kept?)
    }

    fn followed(&self, shared: &Shared, at_most: Duration) -> Result<(), PortFault> {
        let at = *locked(&shared.reader);
        if shared.ledger.wait(at, at_most)? {
            let entries = shared.read()?;
            self.take_in(shared, &entries, None)?;
        }
        let now = self.outside.now();
        let is_fresh = (0..FRESH / 2).contains(&now.saturating_sub(shared.lock().proof));
        match is_fresh {
            true => Ok(()),
            false => self.contact(shared),
        }
    }

    /// Asks the servers how far the ledger is, and takes in what is there.
    fn contact(&self, shared: &Shared) -> Result<(), PortFault> {
        for _ in 0..10 {
            let asked = self.outside.now();
            let last = self.newest_place(shared)?;
            if shared.lock().place >= last {
                // As far as the servers knew then, nobody else had taken over.
                return self.take_in(shared, &[], Some(asked));
            }
            let at = *locked(&shared.reader);
            shared.ledger.wait(at, Duration::from_secs(1))?;
            let entries = shared.read()?;
            self.take_in(shared, &entries, None)?;
        }
        let doing = "catch up with the journal that the processes share";
        Err(PortFault::new(FaultClass::Retry, doing))
    }
}

/// What a fault of the ledger means for the journal.
fn noted(state: &mut State, done: Result<(), PortFault>) -> Result<(), EngineFault> {
    match done {
        Ok(()) => Ok(()),
        Err(fault) if fault.class == FaultClass::Stop => {
            let words = words_of(&fault);
            state.failed.get_or_insert_with(|| words.clone());
            Err(failed(words).into())
        }
        Err(fault) => {
            state.held_up = Some(words_of(&fault));
            Ok(())
        }
    }
}
