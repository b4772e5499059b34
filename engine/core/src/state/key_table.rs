//! Keys that were seen, with when: the memory of first-seen rules, made for tens of millions of keys.
//!
//! 128 bits of hash and the second of the last sight, in one flat table: 20 bytes a key and a byte of the table's own,
//! at a load between a half and seven eighths. Seconds count from 2000 on, so that 32 bits reach the year 2136;
//! what was seen earlier or later counts as the nearest end.

use crate::rule::kind::EventTime;
use hashbrown::HashMap;
use serde::{Deserialize, Serialize};
use std::hash::{BuildHasher, Hasher};

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
        }
    }

    /// Forgets the eighth that was not seen for longest, and says how many keys that is.
    pub(super) fn evict(&mut self) -> u64 {
        let before = self.seen.len();
        let mut lasts: Vec<u32> = self.seen.values().copied().collect();
        let at = (lasts.len() / 8).min(lasts.len().saturating_sub(1));
        if lasts.is_empty() {
            return 0;
        }
        let (_, limit, _) = lasts.select_nth_unstable(at);
        let limit = *limit;
        let mut left = at + 1;
        // Of keys last seen in the same second some go and some stay, so that a flood within one goes too.
        self.seen.retain(|_, last| {
            let goes = *last <= limit && left > 0;
            left -= usize::from(goes);
            !goes
        });
        (before - self.seen.len()) as u64
    }

    /// All keys in order, for writing.
    pub(super) fn entries(&self) -> Vec<(Words, u32)> {
        let mut all: Vec<(Words, u32)> =
            self.seen.iter().map(|(key, last)| (*key, *last)).collect();
        all.sort_unstable();
        all
    }
}

impl Serialize for KeyTable {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.entries().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for KeyTable {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let entries = Vec::<(Words, u32)>::deserialize(deserializer)?;
        Ok(Self {
            seen: entries.into_iter().collect(),
        })
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

/// The keys are hashes already: SHA-256, of which nobody can choose the bits that matter without work that grows with
/// the table.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct OfHash;

#[derive(Debug)]
pub(super) struct OfHashState(u64);

impl BuildHasher for OfHash {
    type Hasher = OfHashState;
    fn build_hasher(&self) -> OfHashState {
        OfHashState(0)
    }
}

impl Hasher for OfHashState {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    fn write_u64(&mut self, word: u64) {
        let mixed = (self.0 ^ word).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        self.0 = mixed ^ (mixed >> 31);
    }

    fn write_u128(&mut self, word: u128) {
        self.write_u64(word as u64);
        self.write_u64((word >> 64) as u64);
    }

    fn write_usize(&mut self, _length: usize) {
        // Lengths of fixed-size keys say nothing.
    }
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
    }

    #[test]
    fn a_flood_within_one_second_gives_way_too() {
        let mut table = KeyTable::default();
        for key in 0..80u128 {
            table.note(key, at(0));
        }
        assert_eq!(table.evict(), 11);
        assert_eq!(table.len(), 69);
    }
}
