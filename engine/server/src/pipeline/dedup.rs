//! Which records were seen before.
//!
//! Remembers the last ids in a ring, and finds them through an open-addressed table of positions in it, so
//! that memory is bounded and forgetting is exact: a duplicate is found if and only if it is among the last
//! `capacity` distinct ids. Asked in input order, so the first record counts, whatever the number of threads.
//! Slots depend on a random seed: ids chosen to collide would make every look-up a walk. A Bloom
//! filter was rejected: it would drop records that nobody saw before.

use std::hash::{BuildHasher, RandomState};

/// Event ids that are remembered: 64 MiB for the ids and 32 MiB to find them, when all are in use.
pub(crate) const IDS_REMEMBERED: usize = 4 * 1024 * 1024;

const EMPTY: u32 = u32::MAX;

/// Whether an id is new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sighting {
    First,
    Again,
}

/// The last ids.
pub(crate) struct RecentIds {
    /// Grows up to `capacity`, then `oldest` is overwritten.
    ring: Vec<u128>,
    oldest: usize,
    capacity: usize,
    /// Positions in `ring`; a power of two, at least twice as many as there are ids.
    slots: Vec<u32>,
    seed: u64,
}

impl RecentIds {
    /// Remembers up to `capacity` ids.
    pub(crate) fn new(capacity: usize) -> Self {
        let seed = RandomState::new().hash_one(0u8) | 1;
        Self {
            ring: Vec::new(),
            oldest: 0,
            capacity: capacity.max(1),
            slots: vec![EMPTY; 64],
            seed,
        }
    }

    /// Notes that `id` was seen, and says whether it had been before.
    pub(crate) fn note(&mut self, id: u128) -> Sighting {
        let slot = self.slot_of(id);
        if self.slots[slot] != EMPTY {
            return Sighting::Again;
        }
        if self.ring.len() < self.capacity {
            self.slots[slot] = self.ring.len() as u32;
            self.ring.push(id);
            if self.ring.len() * 2 > self.slots.len() {
                self.grow();
            }
        } else {
            self.forget(self.slot_of(self.ring[self.oldest]));
            self.ring[self.oldest] = id;
            // Forgetting may have moved entries: the place for the new one is searched again.
            let slot = self.slot_of(id);
            self.slots[slot] = self.oldest as u32;
            self.oldest = (self.oldest + 1) % self.capacity;
        }
        Sighting::First
    }

    fn home(&self, id: u128) -> usize {
        let folded = (id as u64 ^ self.seed).wrapping_mul(self.seed | 1);
        let mixed = (folded ^ folded >> 32 ^ (id >> 64) as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        (mixed ^ mixed >> 29) as usize & (self.slots.len() - 1)
    }

    /// The slot that holds `id`, or the empty one where it belongs.
    fn slot_of(&self, id: u128) -> usize {
        let mut slot = self.home(id);
        while self.slots[slot] != EMPTY && self.ring[self.slots[slot] as usize] != id {
            slot = (slot + 1) & (self.slots.len() - 1);
        }
        slot
    }

    /// Empties a slot and moves what was pushed past it back, so that no search ends too early.
    fn forget(&mut self, mut hole: usize) {
        let mask = self.slots.len() - 1;
        let mut next = (hole + 1) & mask;
        while self.slots[next] != EMPTY {
            let home = self.home(self.ring[self.slots[next] as usize]);
            if (next.wrapping_sub(home) & mask) >= (next.wrapping_sub(hole) & mask) {
                self.slots[hole] = self.slots[next];
                hole = next;
            }
            next = (next + 1) & mask;
        }
        self.slots[hole] = EMPTY;
    }

    fn grow(&mut self) {
        self.slots = vec![EMPTY; self.slots.len() * 2];
        for position in 0..self.ring.len() {
            let slot = self.slot_of(self.ring[position]);
            self.slots[slot] = position as u32;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{RecentIds, Sighting};
    use std::collections::VecDeque;

    /// The same as a plain list of the last ids, over many ids from a small range.
    #[test]
    fn agrees_with_a_list() {
        for capacity in [1, 2, 7, 100] {
            let mut ids = RecentIds::new(capacity);
            let mut list: VecDeque<u128> = VecDeque::new();
            let mut state = 12345u64;
            for _ in 0..20_000 {
                state = state
                    .wrapping_mul(6364136223846793005)
                    .wrapping_add(1442695040888963407);
                let id = u128::from((state >> 33) % (3 * capacity as u64 / 2 + 1));
                let expected = if list.contains(&id) {
                    Sighting::Again
                } else {
                    if list.len() == capacity {
                        list.pop_front();
                    }
                    list.push_back(id);
                    Sighting::First
                };
                assert_eq!(ids.note(id), expected, "capacity {capacity}, id {id}");
            }
        }
    }
}
