//! Keys of objects: their hashes, and no key twice.
//!
//! A key's hash is computed once, while parsing, and kept in its node: the search for duplicates, look-ups
//! and the extraction of fields all use it. Hashes are fixed (core has no seeds), so whoever writes an event
//! can make keys collide; therefore a hash is never taken for a key, and probing is bounded: past
//! [`PROBES_MAX`] the search gives up and the objects are checked by sorting, when all else is known to be
//! right. Must never take quadratic time. A `BTreeMap` per object was rejected: it costs more than the parse.

use super::node::{Node, Nodes};
use super::reason::{Malformed, Reason};

/// Longest probe sequence before the search for duplicates falls back to sorting.
const PROBES_MAX: usize = 24;

/// Slots of the table per possible key, so that two keys of an ordinary event rarely meet.
const SLOTS_PER_KEY: usize = 8;

/// A table that has grown beyond this many slots is given back after an event that did not need it.
const SLOTS_KEPT_MAX: usize = 1 << 16;

const FIRST: u64 = 0x9E37_79B9_7F4A_7C15;
const SECOND: u64 = 0xD1B5_4A32_D192_ED03;
const THIRD: u64 = 0x8CB9_2BA7_2F3D_8DD7;

/// The hash of a key, escapes resolved.
#[inline]
pub(super) fn hash(key: &[u8]) -> u32 {
    match key.len() {
        0..8 => mix(short_word(key), 0, key.len()),
        8..=16 => mix(word(key, 0), word(key, key.len() - 8), key.len()),
        _ => hash_long(key),
    }
}

/// The hash of the key at `start..end` of a whole text: equals `hash` of that slice, with fewer branches.
#[inline(always)]
pub(super) fn hash_within(bytes: &[u8], start: usize, end: usize) -> u32 {
    let length = end - start;
    if length <= 16
        && let Some(head) = bytes.get(start..start + 8)
    {
        if length >= 8 {
            return mix(word(head, 0), word(bytes, end - 8), length);
        }
        return mix(word(head, 0) & !(u64::MAX << (length * 8)), 0, length);
    }
    hash(&bytes[start..end])
}

#[inline(never)]
fn hash_long(key: &[u8]) -> u32 {
    let mut state = key.len() as u64;
    let mut at = 0;
    while at + 16 < key.len() {
        state = fold(
            word(key, at) ^ FIRST,
            word(key, at + 8) ^ state.wrapping_add(SECOND),
        );
        at += 16;
    }
    mix(
        word(key, key.len() - 16) ^ state,
        word(key, key.len() - 8),
        key.len(),
    )
}

#[inline(always)]
fn word(bytes: &[u8], at: usize) -> u64 {
    bytes[at..]
        .first_chunk()
        .map_or(0, |chunk| u64::from_le_bytes(*chunk))
}

fn short_word(key: &[u8]) -> u64 {
    key.iter()
        .rev()
        .fold(0, |word, byte| word << 8 | u64::from(*byte))
}

#[inline(always)]
fn mix(first: u64, second: u64, length: usize) -> u32 {
    let folded = fold(
        first ^ FIRST,
        second ^ SECOND.wrapping_add((length as u64).wrapping_mul(THIRD)),
    );
    (folded ^ folded >> 32) as u32
}

#[inline(always)]
fn fold(first: u64, second: u64) -> u64 {
    let product = u128::from(first) * u128::from(second);
    product as u64 ^ (product >> 64) as u64
}

/// What the search for one key found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// Not in this object so far; it is now.
    No,
    /// In this object already.
    Yes,
    /// Too many probes: the object must be checked by sorting.
    Unknown,
}

/// The keys of all objects of one event, open addressing. A slot belongs to the current event when it has
/// the current generation in its upper half; the lower half is the key's node.
#[derive(Default)]
pub(super) struct KeyTable {
    slots: Vec<u64>,
    mask: usize,
    generation: u32,
}

impl KeyTable {
    /// Forgets all keys and makes room for `keys_max`.
    pub(super) fn start(&mut self, keys_max: usize) {
        let wanted = (keys_max * SLOTS_PER_KEY).max(64).next_power_of_two();
        let too_large = self.slots.len() > SLOTS_KEPT_MAX && wanted <= SLOTS_KEPT_MAX;
        if wanted > self.slots.len() || too_large || self.generation == u32::MAX {
            self.slots = vec![0; wanted];
            self.generation = 0;
        }
        self.mask = wanted - 1;
        self.generation += 1;
    }

    /// Looks for the key of `node` among those of its object seen so far, and adds it. The node itself is
    /// not in `nodes` yet; it will be at `index`.
    #[inline(always)]
    pub(super) fn insert(&mut self, nodes: &[Node], text: &str, node: Node, index: u32) -> Seen {
        let entry = u64::from(self.generation) << 32 | u64::from(index);
        let mut at = node.hash() ^ node.owner().wrapping_mul(FIRST as u32);
        for _ in 0..PROBES_MAX {
            let Some(slot) = self.slots.get_mut(at as usize & self.mask) else {
                return Seen::Unknown;
            };
            if (*slot >> 32) as u32 != self.generation {
                *slot = entry;
                return Seen::No;
            }
            let other = nodes[*slot as u32 as usize];
            if other.hash() == node.hash()
                && other.owner() == node.owner()
                && other.text(text) == node.text(text)
            {
                return Seen::Yes;
            }
            at = at.wrapping_add(1);
        }
        Seen::Unknown
    }
}

/// Checks every object of a complete event by sorting its keys.
#[cold]
pub(super) fn check_by_sorting(nodes: &Nodes, text: &str) -> Result<(), Malformed> {
    let mut first: Option<usize> = None;
    for (index, node) in nodes.filled().iter().enumerate() {
        if !node.is_object() {
            continue;
        }
        let mut keys = Vec::with_capacity(node.count() as usize);
        let mut at = index + 1;
        while at < node.next() as usize {
            let key = nodes.filled()[at];
            keys.push((key.text(text).decode(), key.start()));
            at = nodes.filled()[at + 1].next() as usize;
        }
        keys.sort_unstable();
        let repeated = keys
            .windows(2)
            .filter(|pair| pair[0].0 == pair[1].0)
            .map(|pair| pair[1].1);
        first = repeated.chain(first).min();
    }
    match first {
        Some(start) => Err(Malformed::new(Reason::DuplicateKey, start - 1)),
        None => Ok(()),
    }
}
