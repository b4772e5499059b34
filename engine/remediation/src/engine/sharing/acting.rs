//! Who acts: looked at where records are decided, asked of the servers before a request goes out.

use super::super::{Engine, EngineFault, Outside, locked};
use super::order::{Shared, no_ledger};
use super::{CLOCK_OFF_MAX, FRESH, noted};
use crate::book::Book;
use crate::journal::Entry;
use std::sync::atomic::Ordering;
use std::time::Duration;

impl<O: Outside> Engine<O> {
    /// Whether this process may decide what is done, by a book that is locked.
    pub(in crate::engine) fn is_acting(&self, book: &Book) -> bool {
        match &self.shared {
            None => true,
            Some(_) => {
                let epoch = self.epoch.load(Ordering::SeqCst);
                epoch != 0 && book.epoch() == epoch
            }
        }
    }

    /// The number of this process among those that acted.
    pub(in crate::engine) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::SeqCst)
    }

    pub(in crate::engine) fn rests(&self) -> bool {
        self.rests.load(Ordering::SeqCst)
    }

    /// Whether this process acts.
    pub fn acts(&self) -> bool {
        self.is_acting(&self.book())
    }

    /// Acts no longer, so that another process may take over. What is under way is finished.
    pub fn lay_down(&self) {
        self.rests.store(true, Ordering::SeqCst);
        self.ring();
    }

    /// Whether nothing is under way.
    pub fn is_idle(&self) -> bool {
        locked(&self.busy).is_empty()
    }

    /// Whether this process still acts, as the servers say: asked of them when they were not asked just before.
    pub(in crate::engine) fn still_acts(&self) -> bool {
        let Some(shared) = &self.shared else {
            return true;
        };
        let now = self.outside.now();
        let is_fresh = (0..FRESH).contains(&now.saturating_sub(shared.lock().proof));
        if !is_fresh {
            let done = self.contact(shared);
            let mut state = shared.lock();
            if noted(&mut state, done).is_err() || state.held_up.is_some() {
                return false;
            }
        }
        self.acts()
    }

    /// Takes the acting over from whoever did. Whether this process acts now: not when another one was faster.
    pub fn take_over(&self) -> Result<bool, EngineFault> {
        let Some(shared) = &self.shared else {
            return Ok(true);
        };
        {
            let done = self.contact(shared);
            let mut state = shared.lock();
            noted(&mut state, done)?;
            if let Some(words) = state.held_up.clone() {
                return Err(EngineFault::Unreachable(words));
            }
        }
        let asked = self.outside.now();
        let (ticket, epoch) = {
            let mut book = self.book();
            let epoch = book.epoch() + 1;
            let ticket = self.record(&mut book, asked, Entry::TakenOver { epoch })?;
            (ticket, epoch)
        };
        self.point("take_over.appended")?;
        match self.flush(&ticket, None) {
            Ok(()) => {}
            Err(EngineFault::Overtaken) => return Ok(false),
            Err(fault) => return Err(fault),
        }
        let answered = self.outside.now();
        self.point("take_over.flushed")?;
        if let Some(off) = self.clock_off(shared, asked, answered)? {
            return Err(EngineFault::Settings(format!(
                "the clock of this machine is {:.1} s from that of the servers, so it cannot count what may be done in a time; set it",
                off as f64 / 1_000_000.0
            )));
        }
        self.rests.store(false, Ordering::SeqCst);
        self.epoch.store(epoch, Ordering::SeqCst);
        let now = self.outside.now();
        self.book().look_again(now);
        self.ring();
        Ok(self.acts())
    }

    /// How far the own clock is from the servers', in microseconds, when that is too far: by an entry that was asked for and
    /// answered at these times.
    fn clock_off(
        &self,
        shared: &Shared,
        asked: i64,
        answered: i64,
    ) -> Result<Option<i64>, EngineFault> {
        for _ in 0..10 {
            if let Some(taken) = shared.lock().taken.1 {
                let (least, most) = (taken - answered, taken - asked);
                let off = match (least > CLOCK_OFF_MAX, most < -CLOCK_OFF_MAX) {
                    (true, _) => Some(least),
                    (_, true) => Some(most),
                    _ => None,
                };
                return Ok(off);
            }
            let reader = *locked(&shared.reader);
            let read = shared
                .ledger
                .wait(reader, Duration::from_secs(1))
                .and_then(|_| shared.read())
                .and_then(|entries| self.take_in(shared, &entries, None));
            read.map_err(|fault| no_ledger(&fault))?;
        }
        let words = "the servers do not hand over what they took".to_owned();
        Err(EngineFault::Unreachable(words))
    }
}
