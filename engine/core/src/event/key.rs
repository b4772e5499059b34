//! Keys of objects: their hashes, no key twice, and where a key is.
//!
//! A key's hash is computed once, while parsing, and kept in its node: the search for duplicates, look-ups
//! and the extraction of fields all use it. Hashes are fixed (core has no seeds), so whoever writes an event
//! can make keys collide; therefore a hash is never taken for a key, and probing is bounded: past
//! [`PROBES_MAX`] the search gives up and the objects are checked by sorting, when all else is known to be
//! right. The table stays until the next event, so that whoever wants few keys of a large object can ask it. Must never
//! take quadratic time. A `BTreeMap` per object was rejected: it costs more than the parse.

use super::node::Node;
use super::reason::{Malformed, Reason};

/// Longest probe sequence before the search for duplicates falls back to sorting.
const PROBES_MAX: usize = 24;

/// Slots of the table per possible key, so that two keys of an ordinary event rarely meet.
const SLOTS_PER_KEY: usize = 8;

/// A table that has grown beyond this many slots is given back after an event that did not need it.
const SLOTS_KEPT_MAX: usize = 1 << 16;

/// Odd numbers without structure: one for every word of a short key, and one for the objects of keys.
const FACTORS: [u64; 4] = [
    0x9E37_79B9_7F4A_7C15,
    0xD1B5_4A32_D192_ED03,
    0x8CB9_2BA7_2F3D_8DD7,
    0xAEF1_7502_108E_F2D9,
];
const OWNER_FACTOR: u32 = 0x9E37_79B1;

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
    upper_half(sum(words(&padded, &KEEP[..SHORT])))
}

/// The hash of a key that is looked for in many objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyHash(pub(super) u32);

impl KeyHash {
    /// The hash of `key`.
    pub fn of(key: &str) -> KeyHash {
        KeyHash(hash(key.as_bytes()))
    }
}

/// The hash of the key at `start..end` of a whole text: equals `hash` of that slice, without copying it. 0 when
/// the key is not within the text.
#[inline(always)]
pub(super) fn hash_within(bytes: &[u8], start: usize, end: usize) -> u32 {
    match words_within(bytes, start, end) {
        Some(words) => upper_half(sum(words)),
        None => hash_slice(bytes, start, end),
    }
}

/// The words of a short key that is not at the very end of the text.
#[inline(always)]
fn words_within(bytes: &[u8], start: usize, end: usize) -> Option<[u64; 4]> {
    let length = end - start;
    if length > SHORT {
        return None;
    }
    let padded = bytes.get(start..start + SHORT)?;
    Some(words(padded, &KEEP[SHORT - length..2 * SHORT - length]))
}

#[inline(never)]
fn hash_slice(bytes: &[u8], start: usize, end: usize) -> u32 {
    bytes.get(start..end).map_or(0, hash)
}

#[inline(never)]
fn hash_long(key: &[u8]) -> u32 {
    let (chunks, rest) = key.as_chunks::<SHORT>();
    let mut last = [0; SHORT];
    last[..rest.len()].copy_from_slice(rest);
    let state = chunks
        .iter()
        .chain([&last])
        .fold(key.len() as u64, |state, chunk| {
            (state ^ sum(words(chunk, &KEEP[..SHORT])))
                .rotate_left(32)
                .wrapping_mul(FACTORS[0])
        });
    upper_half(state)
}

/// The words of `chunk`, as far as `keep` has ones.
#[inline(always)]
fn words(chunk: &[u8], keep: &[u8]) -> [u64; 4] {
    [
        word(chunk, keep, 0),
        word(chunk, keep, 8),
        word(chunk, keep, 16),
        word(chunk, keep, 24),
    ]
}

#[inline(always)]
fn word(chunk: &[u8], keep: &[u8], at: usize) -> u64 {
    match (chunk[at..].first_chunk(), keep[at..].first_chunk()) {
        (Some(chunk), Some(keep)) => u64::from_le_bytes(*chunk) & u64::from_le_bytes(*keep),
        _ => 0,
    }
}

/// Every byte of a word reaches the upper byte of its product; the padding of short keys adds nothing.
#[inline(always)]
fn sum(words: [u64; 4]) -> u64 {
    words[0]
        .wrapping_mul(FACTORS[0])
        .wrapping_add(words[1].wrapping_mul(FACTORS[1]))
        .wrapping_add(words[2].wrapping_mul(FACTORS[2]))
        .wrapping_add(words[3].wrapping_mul(FACTORS[3]))
}

#[inline(always)]
fn upper_half(sum: u64) -> u32 {
    (sum >> 32) as u32
}

/// Where to start looking for a hash in a table of `1 << (32 - shift)` slots, at least two. The upper bits depend on all of
/// the key, the lower ones do not.
#[inline(always)]
pub(super) fn first_slot(hash: u32, shift: u32) -> usize {
    (hash >> (shift & 31)) as usize
}

/// A key that is looked for in many events.
#[derive(Clone, Debug)]
pub(super) struct Name {
    text: Box<str>,
    /// What a short key has to have.
    words: [u64; 4],
}

impl Name {
    pub(super) fn new(text: &str) -> Name {
        let mut padded = [0; SHORT];
        let short = text.len().min(SHORT);
        padded[..short].copy_from_slice(&text.as_bytes()[..short]);
        Name {
            text: text.into(),
            words: words(&padded, &KEEP[..SHORT]),
        }
    }

    pub(super) fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether this is what stands at `start..end`. A short key is compared without a branch on its length.
    #[inline(always)]
    pub(super) fn is_at(&self, bytes: &[u8], start: usize, end: usize) -> bool {
        if end - start != self.text.len() {
            return false;
        }
        match words_within(bytes, start, end) {
            Some(words) => {
                words
                    .iter()
                    .zip(self.words)
                    .fold(0, |unlike, (one, other)| unlike | (one ^ other))
                    == 0
            }
            None => bytes.get(start..end) == Some(self.text.as_bytes()),
        }
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

/// Memory for the keys of one event, kept from event to event.
#[derive(Default)]
pub(super) struct KeyMemory {
    slots: Vec<u64>,
    generation: u32,
    /// Slots in use by the event at hand.
    wanted: usize,
    /// Whether every key of the event is in the table.
    is_complete: bool,
    may_be_envelope: bool,
}

impl KeyMemory {
    /// A table without keys, with room for `keys_max`.
    pub(super) fn start(&mut self, keys_max: usize) -> KeyTable<'_> {
        let wanted = (keys_max * SLOTS_PER_KEY).max(64).next_power_of_two();
        let too_large = self.slots.len() > SLOTS_KEPT_MAX && wanted <= SLOTS_KEPT_MAX;
        if wanted > self.slots.len() || too_large || self.generation == u32::MAX {
            self.slots = vec![0; wanted];
            self.generation = 0;
        }
        self.generation += 1;
        self.wanted = wanted;
        self.is_complete = false;
        KeyTable {
            slots: &mut self.slots[..wanted],
            shift: 32 - wanted.trailing_zeros(),
            stamp: u64::from(self.generation) << 32,
        }
    }

    /// Says that the event is parsed, whether all of its keys are in the table, and whether it may be an envelope.
    pub(super) fn finish(&mut self, is_complete: bool, may_be_envelope: bool) {
        self.is_complete = is_complete;
        self.may_be_envelope = may_be_envelope;
    }

    /// False only when the root of the event does not have the key of envelopes.
    #[inline(always)]
    pub(super) fn may_be_envelope(&self) -> bool {
        self.may_be_envelope
    }

    /// The keys of the event that was parsed last, when all of them are in the table.
    #[inline(always)]
    pub(super) fn index(&self) -> Option<KeyIndex<'_>> {
        let slots = self.slots.get(..self.wanted)?;
        (self.is_complete && !slots.is_empty()).then(|| KeyIndex {
            slots,
            shift: 32 - slots.len().trailing_zeros(),
            stamp: u64::from(self.generation) << 32,
        })
    }
}

/// The keys of all objects of a parsed event, to look some of them up.
#[derive(Clone, Copy)]
pub(super) struct KeyIndex<'p> {
    slots: &'p [u64],
    shift: u32,
    stamp: u64,
}

impl KeyIndex<'_> {
    /// The node of the key with this hash of the object with this number, where `is` agrees.
    #[inline(always)]
    pub(super) fn find(
        self,
        nodes: &[Node],
        (hash, owner): (u32, u32),
        is: impl Fn(&Node) -> bool,
    ) -> Option<usize> {
        let first = first_slot(mixed(hash, owner), self.shift);
        for at in first..first + PROBES_MAX {
            let slot = self.slots[at & (self.slots.len() - 1)];
            if slot < self.stamp {
                return None;
            }
            let index = slot as u32 as usize;
            let node = nodes.get(index)?;
            if node.hash() == hash && node.owner() == owner && is(node) {
                return Some(index);
            }
        }
        None
    }
}

/// What decides where a key of an object is looked for.
#[inline(always)]
fn mixed(hash: u32, owner: u32) -> u32 {
    hash.wrapping_add(owner.wrapping_mul(OWNER_FACTOR))
}

/// The keys of all objects of one event, open addressing. A slot holds the generation of its event in the upper
/// half and the key's node in the lower; slots of earlier events, which are smaller than the stamp, are free.
pub(super) struct KeyTable<'p> {
    slots: &'p mut [u64],
    shift: u32,
    stamp: u64,
}

impl KeyTable<'_> {
    /// Looks for the key `nodes[index]` among those of its object seen so far, and adds it.
    #[inline(always)]
    pub(super) fn insert(
        &mut self,
        nodes: &[Node],
        bytes: &[u8],
        index: usize,
        hash: u32,
        owner: u32,
    ) -> Seen {
        let first = first_slot(mixed(hash, owner), self.shift);
        match self.slots.get_mut(first) {
            Some(slot) if *slot < self.stamp => {
                *slot = self.stamp | index as u64;
                Seen::No
            }
            _ => probe(self.slots, self.stamp, first, nodes, bytes, index),
        }
    }
}

impl KeyTable<'_> {
    /// False only when the object of this number has no key with this hash and all its keys were added.
    #[inline]
    pub(super) fn may_have(&self, nodes: &[Node], hash: u32, owner: u32) -> bool {
        let first = first_slot(mixed(hash, owner), self.shift);
        for at in first..first + PROBES_MAX {
            let slot = self.slots[at & (self.slots.len() - 1)];
            if slot < self.stamp {
                return false;
            }
            if nodes[slot as u32 as usize].hash() == hash {
                return true;
            }
        }
        true
    }
}

#[inline(never)]
fn probe(
    slots: &mut [u64],
    stamp: u64,
    first: usize,
    nodes: &[Node],
    bytes: &[u8],
    index: usize,
) -> Seen {
    let mask = slots.len() - 1;
    let node = nodes[index];
    for at in first..first + PROBES_MAX {
        let slot = &mut slots[at & mask];
        if *slot < stamp {
            *slot = stamp | index as u64;
            return Seen::No;
        }
        let other = nodes[*slot as u32 as usize];
        if other.hash() == node.hash()
            && other.owner() == node.owner()
            && is_same_key(bytes, node, other)
        {
            return Seen::Yes;
        }
    }
    Seen::Unknown
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
