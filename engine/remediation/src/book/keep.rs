//! What is kept, and for how long.

use super::{Book, short};
use crate::machine::Proposal;
use std::collections::{BTreeMap, HashSet};

/// How many settled actions are kept in memory beside those that are not settled. The journal has all.
const SETTLED_MAX: usize = 50_000;

/// How many of those that were refused at once are kept in memory: they push nothing else out.
const REFUSED_MAX: usize = 10_000;

/// How many findings are remembered as answered.
const ANSWERED_MAX: usize = 1_000_000;

impl Book {
    /// Remembers that the finding of a proposal is answered.
    pub(super) fn answer(&mut self, proposal: &Proposal) {
        let one = (short(&proposal.key), short(&proposal.origin.finding));
        if self.answered.insert(one) {
            self.answered_in_order.push_back(one);
        }
        if self.answered_in_order.len() > ANSWERED_MAX
            && let Some(oldest) = self.answered_in_order.pop_front()
        {
            self.answered.remove(&oldest);
        }
    }

    /// Forgets the oldest settled actions when there are too many.
    pub(super) fn forget(&mut self) {
        // A few at a time, as some are put in line again.
        for _ in 0..4 {
            let oldest = if self.refused.len() > REFUSED_MAX {
                self.refused.pop_front()
            } else if self.settled.len() > SETTLED_MAX {
                self.settled.pop_front()
            } else {
                None
            };
            let Some(id) = oldest else { return };
            let Some(action) = self.actions.get(&id) else {
                continue;
            };
            if !action.state.is_settled() {
                // It is at work again, and is put in line again when it has ended.
                continue;
            }
            if self.due_of.contains_key(&id) || action.state.is_running() {
                // It is to be looked at again, or somebody is to say what became of it: its turn comes later.
                self.settled.push_back(id);
                continue;
            }
            let key = action.proposal.key.clone();
            if let Some(one) = self.keys.get_mut(&key) {
                for place in [&mut one.last, &mut one.again, &mut one.refused] {
                    if place.as_ref() == Some(&id) {
                        *place = None;
                    }
                }
                if one.last.is_none() && one.again.is_none() && one.refused.is_none() {
                    self.keys.remove(&key);
                }
            }
            self.actions.remove(&id);
        }
    }

    /// Forgets what is over, whenever there is twice as much as was left the last time.
    pub(super) fn sweep(&mut self, now: i64) {
        if self.slots.len() + self.locks.len() <= self.sweeps_at.max(1_000) {
            return;
        }
        self.slots.retain(|_, slots| !slots.is_over(now));
        self.locks.retain(|_, lock| now < lock.until);
        self.sweeps_at = 2 * (self.slots.len() + self.locks.len());
    }

    /// How much is kept, by what it is: for whoever looks whether it grows.
    pub fn sizes(&self) -> BTreeMap<&'static str, usize> {
        BTreeMap::from([
            ("actions", self.actions.len()),
            ("open", self.open),
            ("keys", self.keys.len()),
            ("locks", self.locks.len()),
            ("scopes", self.slots.len()),
            (
                "slots",
                self.slots.values().map(|slots| slots.times.len()).sum(),
            ),
            ("answered", self.answered.len()),
            ("tallies", self.tallies.len()),
            ("running", self.running.values().map(HashSet::len).sum()),
            ("waiting", self.waiting.len()),
            ("due", self.due_of.len()),
            ("settled", self.settled.len() + self.refused.len()),
        ])
    }

    /// The first part in which another book differs, of all that a journal tells. When something is looked at again is not
    /// of it.
    pub fn difference(&self, other: &Self) -> Option<&'static str> {
        let parts = [
            ("actions", self.actions == other.actions),
            ("keys", self.keys == other.keys),
            ("locks", self.locks == other.locks),
            ("slots", self.slots == other.slots),
            ("off", self.off == other.off),
            ("tallies", self.tallies == other.tallies),
            ("running", self.running == other.running),
            ("waiting", self.waiting == other.waiting),
            ("settled", self.settled == other.settled),
            ("refused", self.refused == other.refused),
            ("open", self.open == other.open),
            ("answered", self.answered == other.answered),
            ("epoch", self.epoch == other.epoch),
            (
                "due",
                self.due_of.len() == other.due_of.len()
                    && self.due_of.keys().all(|id| other.due_of.contains_key(id)),
            ),
        ];
        let differs = parts.iter().find(|(_, is_same)| !is_same)?;
        Some(differs.0)
    }
}
