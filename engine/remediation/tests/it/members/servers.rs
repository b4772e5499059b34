//! The servers on which the members agree, as a member sees them: requests and answers are lost, and what was sent may be taken
//! when nobody waits for it any more.

use super::sim::{Sim, locked};
use crate::world::{SECOND, World};
use std::sync::Weak;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tripline_core::port::{Entry, FaultClass, Ledger, PortFault, Sequence};
use tripline_core::rule::kind::EventTime;
use tripline_remediation::journal::{Entry as Record, Parcel};

/// What the servers have.
#[derive(Default)]
pub(super) struct Order {
    pub(super) entries: Vec<Entry>,
    last: u64,
    /// The newest of the journal.
    newest: u64,
    /// Who took over last, and when.
    pub(super) actor: Option<(String, i64)>,
    /// Appends that land later: when, what is expected, and what.
    late: Vec<(i64, Option<Sequence>, Vec<u8>)>,
}

impl Order {
    fn land(&mut self, world: &World) {
        let now = world.time();
        let late = std::mem::take(&mut self.late);
        for (at, expected, bytes) in late {
            match at <= now {
                true => drop(self.take(world, expected, &bytes)),
                false => self.late.push((at, expected, bytes)),
            }
        }
    }

    fn take(
        &mut self,
        world: &World,
        expected: Option<Sequence>,
        bytes: &[u8],
    ) -> Result<Sequence, PortFault> {
        if expected.is_some_and(|expected| expected.0 != self.newest) {
            return Err(PortFault::new(FaultClass::Fenced, "append"));
        }
        // Places have holes.
        self.last += 1 + world.chance(2);
        let place = Sequence(self.last);
        if expected.is_some() {
            self.newest = self.last;
        }
        let taken = EventTime::from_micros(world.time());
        let words: &[u8] = b"\"taken_over\"";
        // Most parcels are of something else, and need not be read.
        if bytes.windows(words.len()).any(|part| part == words) {
            let parcel = Parcel::of_bytes(bytes).expect("is a parcel");
            let mut records = parcel.records.iter();
            if records.any(|one| matches!(one.0.entry, Record::TakenOver { .. })) {
                self.actor = Some((parcel.by, taken.micros()));
            }
        }
        let bytes = bytes.to_vec();
        self.entries.push(Entry {
            place,
            taken,
            bytes,
        });
        Ok(place)
    }
}

/// The servers as a member sees them.
pub(super) struct Line {
    pub(super) sim: Weak<Sim>,
    pub(super) member: usize,
}

impl Line {
    fn ask<T>(
        &self,
        does: impl FnOnce(&Sim, &mut Order) -> Result<T, PortFault>,
    ) -> Result<T, PortFault> {
        let retry = || PortFault::new(FaultClass::Retry, "ask");
        let sim = self.sim.upgrade().ok_or_else(retry)?;
        let is_cut_off = sim.members[self.member].is_cut_off.load(Ordering::SeqCst);
        if is_cut_off || sim.fails(30) {
            return Err(retry());
        }
        let mut order = locked(&sim.order);
        order.land(&sim.world);
        does(&sim, &mut order)
    }
}

impl Ledger for Line {
    fn append(
        &self,
        key: &str,
        expected: Option<Sequence>,
        bytes: &[u8],
    ) -> Result<Sequence, PortFault> {
        let lost = || PortFault::new(FaultClass::Retry, "hear what became of it");
        self.ask(|sim, order| {
            assert_eq!(key == "journal", expected.is_some());
            if expected.is_none() {
                sim.note("asked to be let in");
            }
            if sim.fails(60) {
                let at = sim.world.time() + sim.world.chance(20 * SECOND as u64) as i64;
                order.late.push((at, expected, bytes.to_vec()));
                sim.note("appended late");
                return Err(lost());
            }
            let taken = order.take(&sim.world, expected, bytes);
            if sim.fails(60) {
                sim.note("answer lost");
                return Err(lost());
            }
            if taken.is_err() {
                sim.note("overtaken");
            }
            taken
        })
    }

    fn newest(&self, _: &str) -> Result<Sequence, PortFault> {
        self.last()
    }

    fn last(&self) -> Result<Sequence, PortFault> {
        self.ask(|_, order| Ok(Sequence(order.last)))
    }

    fn first(&self) -> Result<Sequence, PortFault> {
        Ok(Sequence(1))
    }

    fn purge(&self, _: Sequence) -> Result<(), PortFault> {
        panic!("the journal is never shortened")
    }

    fn read(&self, after: Sequence) -> Result<Vec<Entry>, PortFault> {
        self.ask(|sim, order| {
            let from = order.entries.partition_point(|one| one.place <= after);
            let later = order.entries[from..].iter();
            let most = 1 + sim.world.chance(sim.manner.reads_at_once) as usize;
            Ok(later.take(most).cloned().collect())
        })
    }

    fn wait(&self, after: Sequence, _: Duration) -> Result<bool, PortFault> {
        self.ask(|_, order| Ok(order.last > after.0))
    }

    fn keep(&self, _: &str, _: &[u8]) -> Result<(), PortFault> {
        panic!("nothing is kept beside the journal")
    }

    fn kept(&self, _: &str) -> Result<Option<Vec<u8>>, PortFault> {
        panic!("nothing is kept beside the journal")
    }

    fn names(&self) -> Result<Vec<String>, PortFault> {
        panic!("nothing is kept beside the journal")
    }

    fn forget(&self, _: &str) -> Result<(), PortFault> {
        panic!("nothing is kept beside the journal")
    }
}
