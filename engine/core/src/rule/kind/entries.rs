//! What a window holds: times, names and values of events, oldest first, each value once where values are counted.
//!
//! Every operation takes constant or logarithmic time, spread over the events, so that a group with a hundred thousand
//! values is no dearer than a small one. A short window is searched for a value that comes again. A long one keeps a
//! table of the latest entry of each value beside it, and leaves older ones where they are, as *stale*, until
//! they reach the front or outnumber the others. The table is not written, as the entries say all that it knows.

use super::moves::EventKey;
use super::period::EventTime;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};

/// One event in a window.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Entry {
    pub(super) time: EventTime,
    pub(super) key: EventKey,
    /// Half of the hash of the value, or the number's bits.
    pub(super) value: u64,
}

/// Longest window that is searched for a value.
const SEARCHED_MAX: usize = 64;

/// The events of a window.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Entries {
    kept: VecDeque<Entry>,
    /// Bytes of names that are not packed.
    texts: usize,
    /// Some of those kept may be stale.
    sparse: bool,
    #[serde(skip)]
    latest: Option<Box<Latest>>,
}

/// Which entry of a value is the latest, by its number.
#[derive(Clone, Debug, Default, PartialEq)]
struct Latest {
    of: BTreeMap<u64, u64>,
    /// The number of the entry in front.
    front: u64,
}

impl Entries {
    /// How many there are, stale ones not among them.
    pub(super) fn len(&self) -> usize {
        match &self.latest {
            Some(latest) => latest.of.len(),
            None => self.kept.len(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// The oldest one.
    pub(super) fn front(&self) -> Option<&Entry> {
        self.kept.front()
    }

    /// The latest one.
    pub(super) fn back(&self) -> Option<&Entry> {
        self.kept.back()
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Adds one that is later than all others.
    pub(super) fn push(&mut self, entry: Entry) {
        self.texts += entry.key.heap_bytes();
        self.kept.push_back(entry);
    }

    /// Adds one that is later than all others; one of the same value goes.
    pub(super) fn push_distinct(&mut self, entry: Entry) {
        if self.kept.len() < SEARCHED_MAX && !self.sparse {
            if let Some(at) = self.kept.iter().position(|one| one.value == entry.value) {
                let gone = self.kept.remove(at);
                self.texts -= gone.map_or(0, |gone| gone.key.heap_bytes());
            }
            self.push(entry);
            return;
        }
        let kept = &self.kept;
        let latest = self.latest.get_or_insert_with(|| Latest::of(kept));
        latest
            .of
            .insert(entry.value, latest.front + kept.len() as u64);
        self.sparse = true;
        self.push(entry);
        self.drop_stale();
        if self.kept.len() > 2 * self.len() + SEARCHED_MAX {
            self.compact();
        }
    }

    /// After a restart the table is made again from what was written.
    pub(super) fn prepare(&mut self) {
        if self.sparse && self.latest.is_none() {
            self.latest = Some(Latest::of(&self.kept));
        }
    }

    /// Takes the oldest one away.
    pub(super) fn pop_front(&mut self) {
        self.take_front();
        self.drop_stale();
    }

    fn take_front(&mut self) {
        let Some(entry) = self.kept.pop_front() else {
            return;
        };
        self.texts -= entry.key.heap_bytes();
        if let Some(latest) = &mut self.latest {
            if latest.of.get(&entry.value) == Some(&latest.front) {
                latest.of.remove(&entry.value);
            }
            latest.front += 1;
        }
        if self.kept.is_empty() {
            self.clear();
        }
    }

    fn drop_stale(&mut self) {
        while let (Some(latest), Some(entry)) = (&self.latest, self.kept.front()) {
            if latest.of.get(&entry.value) == Some(&latest.front) {
                return;
            }
            self.take_front();
        }
    }

    fn compact(&mut self) {
        let kept = std::mem::take(self);
        for entry in kept.iter() {
            self.push(entry.clone());
        }
        self.sparse = true;
        self.prepare();
    }

    /// All of them, oldest first, stale ones not among them.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Entry> {
        let latest = self.latest.as_deref();
        let numbered = (latest.map_or(0, |latest| latest.front)..).zip(&self.kept);
        numbered
            .filter(move |(number, entry)| {
                latest.is_none_or(|latest| latest.of.get(&entry.value) == Some(number))
            })
            .map(|(_, entry)| entry)
    }

    /// About how much memory they take.
    pub(super) fn heap_bytes(&self) -> usize {
        let latest = self.latest.as_ref();
        self.kept.capacity() * size_of::<Entry>()
            + self.texts
            + latest.map_or(0, |latest| size_of::<Latest>() + latest.of.len() * 28)
    }
}

impl Latest {
    fn of(kept: &VecDeque<Entry>) -> Box<Self> {
        let of = (0..).zip(kept).map(|(number, entry)| (entry.value, number));
        Box::new(Self {
            of: of.collect(),
            front: 0,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Entries, Entry, EventKey, EventTime};
    use proptest::prelude::*;

    fn entry(number: usize, value: u64) -> Entry {
        Entry {
            time: EventTime::from_micros(number as i64),
            key: EventKey::new(&format!("event {number}")),
            value,
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]
        /// Against a plain list: values that come again, taking away from the front, and a restart anywhere.
        #[test]
        fn each_value_is_held_once_by_its_latest_entry(
            steps in prop::collection::vec((0u8..10, 0u64..300), 0..900),
        ) {
            let (mut entries, mut plain) = (Entries::default(), Vec::<Entry>::new());
            for (number, (step, value)) in steps.into_iter().enumerate() {
                match step {
                    0 => {
                        entries.pop_front();
                        if !plain.is_empty() {
                            plain.remove(0);
                        }
                    }
                    1 => {
                        let written = postcard::to_allocvec(&entries).expect("entries are written");
                        entries = postcard::from_bytes(&written).expect("and read");
                        entries.prepare();
                        prop_assert_eq!(postcard::to_allocvec(&entries).expect("and written"), written);
                    }
                    _ => {
                        plain.retain(|one| one.value != value);
                        plain.push(entry(number, value));
                        entries.push_distinct(entry(number, value));
                    }
                }
                prop_assert_eq!(entries.len(), plain.len());
                prop_assert_eq!(entries.front(), plain.first());
                prop_assert_eq!(entries.back(), plain.last());
            }
            prop_assert_eq!(entries.iter().cloned().collect::<Vec<_>>(), plain);
            while !entries.is_empty() {
                entries.pop_front();
            }
            prop_assert_eq!(entries, Entries::default());
        }
    }
}
