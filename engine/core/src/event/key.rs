//! Keys of objects: their hashes, and no key twice.
//!
//! A key's hash is computed once, while parsing, and kept in its node: the search for duplicates, look-ups
//! and the extraction of fields all use it. Hashes are fixed (core has no seeds), so whoever writes an event
//! can make keys collide; therefore a hash is never taken for a key, and probing is bounded: past
//! [`PROBES_MAX`] the search gives up and the objects are checked by sorting, when all else is known to be
//! right. Must never take quadratic time. A `BTreeMap` per object was rejected: it costs more than the parse.

use super::node::Node;
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

/// Keys up to this length are hashed without a branch on their length.
const SHORT: usize = 32;

/// Ones, then zeros: 32 bytes from `SHORT - length` on keep the first `length` bytes of a word sequence.
static KEEP: [u8; 2 * SHORT] = {
    let mut keep = [0; 2 * SHORT];
    let mut index = 0;
    while index < SHORT {
        keep[index] = 0xFF;
        index += 1;
    }
    keep
};

/// The hash of a key, escapes resolved.
pub(super) fn hash(key: &[u8]) -> u32 {
    if key.len() > SHORT {
        return hash_long(key);
    }
    let mut padded = [0; SHORT];
    padded[..key.len()].copy_from_slice(key);
    hash_words(words(&padded), key.len())
}

/// The hash of the key at `start..end` of a whole text: equals `hash` of that slice, without copying it.
#[inline(always)]
pub(super) fn hash_within(bytes: &[u8], start: usize, end: usize) -> u32 {
    let length = end - start;
    if length <= SHORT
        && let Some(padded) = bytes.get(start..).and_then(|rest| rest.first_chunk())
        && let Some(keep) = KEEP
            .get(SHORT - length..)
            .and_then(|rest| rest.first_chunk())
    {
        let (text, keep) = (words(padded), words(keep));
        let kept = [
            text[0] & keep[0],
            text[1] & keep[1],
            text[2] & keep[2],
            text[3] & keep[3],
        ];
        return hash_words(kept, length);
    }
    hash(&bytes[start..end])
}

#[inline(never)]
fn hash_long(key: &[u8]) -> u32 {
    let (chunks, rest) = key.as_chunks::<SHORT>();
    let mut last = [0; SHORT];
    last[..rest.len()].copy_from_slice(rest);
    let mut state = key.len() as u64;
    for chunk in chunks {
        let [first, second, third, fourth] = words(chunk);
        state = fold(first ^ FIRST, second ^ state.wrapping_add(SECOND))
            .rotate_left(23)
            .wrapping_add(fold(third ^ THIRD, fourth ^ state));
    }
    let [first, second, third, fourth] = words(&last);
    hash_words([first ^ state, second, third, fourth], key.len())
}

#[inline(always)]
fn words(chunk: &[u8; SHORT]) -> [u64; 4] {
    let (words, _) = chunk.as_chunks::<8>();
    [words[0], words[1], words[2], words[3]].map(u64::from_le_bytes)
}

#[inline(always)]
fn hash_words([first, second, third, fourth]: [u64; 4], length: usize) -> u32 {
    let low = fold(first ^ FIRST, second ^ SECOND);
    let high = fold(third ^ THIRD, fourth ^ FIRST.wrapping_add(length as u64));
    let both = low ^ high.rotate_left(29);
    (both ^ both >> 32) as u32
}

#[inline(always)]
fn fold(first: u64, second: u64) -> u64 {
    let product = u128::from(first) * u128::from(second);
    product as u64 ^ (product >> 64) as u64
}

/// Whether two texts are equal; for keys, which are too short for a call to pay.
#[inline(always)]
pub(super) fn is_same(one: &[u8], other: &[u8]) -> bool {
    if one.len() != other.len() {
        return false;
    }
    let (one_words, other_words) = (one.as_chunks::<8>().0, other.as_chunks::<8>().0);
    for (first, second) in one_words.iter().zip(other_words) {
        if u64::from_ne_bytes(*first) != u64::from_ne_bytes(*second) {
            return false;
        }
    }
    match (one.last_chunk::<8>(), other.last_chunk::<8>()) {
        (Some(first), Some(second)) => u64::from_ne_bytes(*first) == u64::from_ne_bytes(*second),
        _ => one.iter().zip(other).all(|(first, second)| first == second),
    }
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
    pub(super) fn insert(&mut self, nodes: &[Node], bytes: &[u8], node: Node, index: u32) -> Seen {
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
                && is_same_key(bytes, node, other)
            {
                return Seen::Yes;
            }
            at = at.wrapping_add(1);
        }
        Seen::Unknown
    }
}

#[cold]
#[inline(never)]
fn is_same_key(bytes: &[u8], one: Node, other: Node) -> bool {
    one.text_in(bytes) == other.text_in(bytes)
}

/// Checks every object of a complete event by sorting its keys.
#[cold]
pub(super) fn check_by_sorting(nodes: &[Node], text: &str) -> Result<(), Malformed> {
    let mut first: Option<usize> = None;
    for (index, node) in nodes.iter().enumerate() {
        if !node.is_object() {
            continue;
        }
        let mut keys = Vec::with_capacity(node.count() as usize);
        let mut at = index + 1;
        while at < node.next() as usize {
            let key = nodes[at];
            keys.push((key.text(text).decode(), key.start()));
            at = nodes[at + 1].next() as usize;
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
