//! Keys that were seen, with when: the memory of first-seen rules, made for tens of millions of keys.
//!
//! 128 bits of hash and the second of the last sight, in one flat table: 20 bytes a key and a byte of the table's own,
//! at a load between a half and seven eighths. Seconds count from 2000 on, so that 32 bits reach the year 2136;
//! what was seen earlier or later counts as the nearest end.

use crate::rule::kind::{EventTime, OfHash};
use hashbrown::HashMap;
use serde::{Deserialize, Serialize};

/// 2000-01-01, in seconds after 1970.
const EPOCH_SECONDS: i64 = 946_684_800;

/// A hash in words, so that an entry is not padded to 16 bytes.
type Words = [u32; 4];

/// Keys that were seen.
#[derive(Clone, Debug, Default)]
pub(super) struct KeyTable {
    seen: HashMap<Words, u32, OfHash>,
}

impl KeyTable {
    /// Notes a sight, and gives the one before.
    pub(super) fn note(&mut self, key: u128, time: EventTime) -> Option<EventTime> {
        let second = second_of(time);
        self.seen.insert(words(key), second).map(time_of)
    }

    /// When a key was last seen.
    #[cfg(test)]
    pub(super) fn get(&self, key: u128) -> Option<EventTime> {
        self.seen.get(&words(key)).copied().map(time_of)
    }

    /// How many keys are remembered.
    pub(super) fn len(&self) -> usize {
        self.seen.len()
    }

    /// Bytes that the table takes.
    pub(super) fn heap_bytes(&self) -> usize {
        self.seen.allocation_size()
    }

    /// Forgets what was last seen at or before `time`.
    pub(super) fn forget(&mut self, time: EventTime) {
        let second = second_of(time);
        if time.micros() / 1_000_000 > EPOCH_SECONDS {
            self.seen.retain(|_, last| *last > second);
            if self.seen.len() < self.seen.capacity() / 4 {
                self.seen.shrink_to_fit();
            }
        }
    }

    /// Forgets the eighth that was not seen for longest, to make room for others; says how many keys that is.
    pub(super) fn evict(&mut self) -> u64 {
        self.evict_oldest(self.seen.len().div_ceil(8))
    }

    /// Forgets the half that was not seen for longest, and gives its memory back: the table only comes in sizes that
    /// are twice one another, so fewer would free nothing.
    pub(super) fn evict_half(&mut self) -> u64 {
        let evicted = self.evict_oldest(self.seen.len().div_ceil(2));
        self.seen.shrink_to_fit();
        evicted
    }

    fn evict_oldest(&mut self, count: usize) -> u64 {
        if count == 0 || count > self.seen.len() {
            return 0;
        }
        let mut lasts: Vec<u32> = self.seen.values().copied().collect();
        let (_, limit, _) = lasts.select_nth_unstable(count - 1);
        let limit = *limit;
        drop(lasts);
        // Of keys last seen in the same second those with the lowest hashes go: in every run the same, and a flood
        // within one second goes too.
        let mut same: Vec<Words> = Vec::new();
        let mut older = 0;
        for (key, last) in &self.seen {
            older += usize::from(*last < limit);
            if *last == limit {
                same.push(*key);
            }
        }
        let (_, highest, _) = same.select_nth_unstable(count - older - 1);
        let highest = *highest;
        self.seen
            .retain(|key, last| *last > limit || (*last == limit && *key > highest));
        count as u64
    }

    /// All keys in order, as bytes.
    fn to_bytes(&self) -> Vec<u8> {
        let mut all: Vec<(Words, u32)> =
            self.seen.iter().map(|(key, last)| (*key, *last)).collect();
        all.sort_unstable();
        let mut bytes = Vec::with_capacity(all.len() * ENTRY_BYTES);
        for (key, last) in all {
            for word in key.into_iter().chain([last]) {
                bytes.extend_from_slice(&word.to_le_bytes());
            }
        }
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (entries, rest) = bytes.as_chunks::<ENTRY_BYTES>();
        let word = |entry: &[u8; ENTRY_BYTES], at: usize| {
            let bytes = [entry[at], entry[at + 1], entry[at + 2], entry[at + 3]];
            u32::from_le_bytes(bytes)
        };
        let entry = |entry: &[u8; ENTRY_BYTES]| {
            let key = [
                word(entry, 0),
                word(entry, 4),
                word(entry, 8),
                word(entry, 12),
            ];
            (key, word(entry, 16))
        };
        rest.is_empty().then(|| Self {
            seen: entries.iter().map(entry).collect(),
        })
    }
}

/// Bytes of a written entry.
const ENTRY_BYTES: usize = 20;

impl Serialize for KeyTable {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.to_bytes())
    }
}

impl<'de> Deserialize<'de> for KeyTable {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes = <&[u8]>::deserialize(deserializer)?;
        Self::from_bytes(bytes).ok_or_else(|| serde::de::Error::custom("keys are cut short"))
    }
}

fn words(key: u128) -> Words {
    [
        key as u32,
        (key >> 32) as u32,
        (key >> 64) as u32,
        (key >> 96) as u32,
    ]
}

fn second_of(time: EventTime) -> u32 {
    let seconds = time.micros().div_euclid(1_000_000) - EPOCH_SECONDS;
    u32::try_from(seconds.max(0)).unwrap_or(u32::MAX)
}

fn time_of(second: u32) -> EventTime {
    EventTime::from_micros((i64::from(second) + EPOCH_SECONDS) * 1_000_000)
}

#[cfg(test)]
mod tests {
    use super::{EventTime, KeyTable};

    fn at(second: i64) -> EventTime {
        EventTime::from_micros((1_700_000_000 + second) * 1_000_000)
    }

    #[test]
    fn keys_are_noted_forgotten_and_evicted() {
        let mut table = KeyTable::default();
        for key in 0..800u128 {
            assert_eq!(table.note(key << 64 | key, at(key as i64)), None);
        }
        assert_eq!(table.note(5 << 64 | 5, at(900)), Some(at(5)));
        table.forget(at(99));
        assert_eq!(table.len(), 701);
        assert_eq!(table.get(5 << 64 | 5), Some(at(900)));
        assert_eq!(table.get(6 << 64 | 6), None);
        let evicted = table.evict();
        assert_eq!(evicted, 88);
        assert_eq!(table.get(100 << 64 | 100), None);
        assert_eq!(table.get(799 << 64 | 799), Some(at(799)));
        let written = table.to_bytes();
        let read = KeyTable::from_bytes(&written).expect("what was written");
        assert_eq!((read.len(), read.to_bytes()), (table.len(), written));
        assert!(KeyTable::from_bytes(&[0; 21]).is_none());
    }

    #[test]
    fn giving_way_gives_memory_back() {
        for filled in [1u128, 2, 7, 14, 15, 1000, 7168, 7169] {
            let mut table = KeyTable::default();
            for key in 0..filled {
                table.note(key << 64 | key, at(key as i64));
            }
            let before = table.heap_bytes();
            let evicted = table.evict_half();
            assert_eq!(evicted as u128, filled.div_ceil(2));
            assert!(filled < 14 || table.heap_bytes() < before, "{filled}");
            while table.len() > 0 {
                table.evict_half();
            }
            assert_eq!(table.heap_bytes(), 0);
        }
    }

    #[test]
    fn the_same_keys_give_way_whatever_the_order_they_came_in() {
        let (mut one, mut other) = (KeyTable::default(), KeyTable::default());
        for key in 0..500u128 {
            one.note(key << 64 | key, at(key as i64 / 100));
            other.note(
                (499 - key) << 64 | (499 - key),
                at((499 - key as i64) / 100),
            );
        }
        assert_eq!(one.evict(), other.evict());
        assert_eq!(one.to_bytes(), other.to_bytes());
    }

    #[test]
    fn a_flood_within_one_second_gives_way_too() {
        let mut table = KeyTable::default();
        for key in 0..80u128 {
            table.note(key, at(0));
        }
        assert_eq!(table.evict(), 10);
        assert_eq!(table.len(), 70);
    }
}
