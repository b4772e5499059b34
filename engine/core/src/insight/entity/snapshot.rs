//! What entities usually do, as bytes, and back.
//!
//! Version 1: a head, then for each level its owners by number and its values by hash, then a checksum, all numbers
//! little-endian. Old reader, new data: refused by its version. New reader, old data: each older version is read or
//! refused by name. Old writer rewriting new data: cannot happen, as what was refused is never written over. The secret
//! is not in it; a word made with it is, so that another secret is refused instead of finding nothing.
//!
//! Settings are those of who restores: other days, and other bounds, are taken up from then on; with a longer history, what
//! the shorter one let go counts as given up, so that it is not called new. Totals are
//! computed again and must be what is written, so that what passes is sound whatever its checksum says; and nothing is
//! allocated that the bytes given do not have. Rejected: serde, which would need the checks all the
//! same, and would have the layout follow the types.

use super::calendar::{DAY_SECONDS, day_of};
use super::calibration::{Everyday, Maxima};
use super::level::{Level, Weigh};
use super::owner::{Owner, Owners};
use super::table::{Entry, Table};
use super::{Entities, EntitySettings, mix};
use thiserror::Error;

/// Why bytes cannot be restored. Nothing of them is then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum EntityFault {
    /// Something else.
    #[error("this is no snapshot of entities")]
    NotASnapshot,
    /// Of another version.
    #[error("the snapshot of entities has version {0}, and this build reads version {VERSION}")]
    Version(u32),
    /// It was changed after it was written, or not all of it is there.
    #[error("the checksum of the snapshot of entities is wrong")]
    Checksum,
    /// It was written with another secret.
    #[error("the snapshot of entities was written with another secret")]
    Secret,
    /// Its checksum is right and its content is not.
    #[error("the content of the snapshot of entities contradicts itself")]
    Content,
}

const MAGIC: [u8; 8] = *b"TRIPENTS";
const VERSION: u32 = 1;
const WRITTEN_ENTRY: usize = 32;
const WRITTEN_OWNER: usize = 80;

impl Entities {
    /// All that is remembered, as bytes: the same for the same memory.
    pub fn snapshot(&self) -> Vec<u8> {
        let levels = [&self.own, &self.peers, &self.all];
        let room: usize = levels
            .iter()
            .map(|level| {
                level.pairs.len() * WRITTEN_ENTRY + level.owners.len() * WRITTEN_OWNER + 64
            })
            .sum();
        let mut out = Vec::with_capacity(room + 128);
        out.extend_from_slice(&MAGIC);
        let history = u32::from(self.settings.history_days);
        put(&mut out, [VERSION, self.clock, history]);
        put_long(&mut out, [secret_word(self.seed), self.late]);
        let everyday = &self.everyday;
        let words = [everyday.count, everyday.mean, everyday.variance];
        put(&mut out, words.map(f32::to_bits));
        put(&mut out, maxima_words(&self.maxima));
        for level in levels {
            write_level(&mut out, level);
        }
        let sum = checksum(&out);
        put_long(&mut out, [sum]);
        out
    }

    /// What was written, under settings that may have changed since.
    pub fn restore(
        settings: EntitySettings,
        seed: [u64; 2],
        bytes: &[u8],
    ) -> Result<Self, EntityFault> {
        let rest = bytes
            .strip_prefix(&MAGIC)
            .ok_or(EntityFault::NotASnapshot)?;
        let mut input = Input(rest);
        let version = input.word().ok_or(EntityFault::NotASnapshot)?;
        if version != VERSION {
            return Err(EntityFault::Version(version));
        }
        let sound = bytes.split_last_chunk::<8>();
        let (body, _) = sound
            .filter(|(body, sum)| checksum(body) == u64::from_le_bytes(**sum))
            .ok_or(EntityFault::Checksum)?;
        let mut input = Input(body.get(MAGIC.len() + 4..).unwrap_or(&[]));
        let mut entities = Self::new(settings, seed);
        let clock = input.word().ok_or(EntityFault::Content)?;
        let history = input.word().ok_or(EntityFault::Content)?;
        if input.long() != Some(secret_word(seed)) {
            return Err(EntityFault::Secret);
        }
        read_body(&mut entities, &mut input).ok_or(EntityFault::Content)?;
        entities.clock = clock;
        entities.own_up(history);
        Ok(entities)
    }
}

impl Entities {
    /// With a longer history than before, what was forgotten may lie within it.
    fn own_up(&mut self, history_before: u32) {
        if history_before >= u32::from(self.settings.history_days) {
            return;
        }
        let forgotten = day_of(self.clock).saturating_sub(history_before);
        let until = forgotten.saturating_mul(DAY_SECONDS).saturating_sub(1);
        for level in [&mut self.own, &mut self.peers, &mut self.all] {
            level.lost = level.lost.max(until);
            level.owners.lose(until);
        }
    }
}

fn read_body(entities: &mut Entities, input: &mut Input<'_>) -> Option<()> {
    entities.late = input.long()?;
    entities.everyday = Everyday {
        count: f32::from_bits(input.word()?),
        mean: f32::from_bits(input.word()?),
        variance: f32::from_bits(input.word()?),
    };
    entities.maxima = read_maxima(input)?;
    for level in [&mut entities.own, &mut entities.peers, &mut entities.all] {
        read_level(input, level)?;
    }
    (entities.everyday.is_sound() && input.0.is_empty()).then_some(())
}

fn write_level(out: &mut Vec<u8>, level: &Level) {
    let (next, left) = level.sweep;
    put(out, [level.lost, next, left, level.pairs.segments() as u32]);
    put_long(out, [level.evicted, level.expired]);
    put(out, [level.owners.len() as u32, level.owners.free()]);
    for owner in level.owners.records() {
        put_long(out, [owner.hash, owner.sights, owner.weight]);
        put(out, [owner.first, owner.last, owner.distinct, owner.once]);
        put(out, [owner.days, owner.turns, owner.lost, owner.news]);
        put(out, [owner.fresh, owner.busy].map(f32::to_bits));
        put(out, maxima_words(&owner.maxima));
    }
    put_long(out, [level.pairs.len() as u64]);
    for entry in level.pairs.entries() {
        let hash = entry.hash();
        put(
            out,
            [hash as u32, (hash >> 32) as u32, entry.first, entry.last],
        );
        put(out, [entry.count, entry.owner, entry.days, 0]);
    }
}

fn read_level(input: &mut Input<'_>, level: &mut Level) -> Option<()> {
    level.lost = input.word()?;
    let (next, left, segments) = (input.word()?, input.word()?, input.word()?);
    level.evicted = input.long()?;
    level.expired = input.long()?;
    let (count, free) = (input.word()?, input.word()?);
    let mut owners = Vec::new();
    for written in input.take_many(u64::from(count), WRITTEN_OWNER)? {
        owners.push(read_owner(&mut Input(written))?);
    }
    let count = input.long()?;
    let written = input.take_many(count, WRITTEN_ENTRY)?;
    read_entries(written, &mut level.pairs)?;
    if !totals_agree(&level.pairs, &owners, level.weigh) {
        return None;
    }
    // With as many segments as then, sweeping goes on where it was; with another number, it begins.
    let own = level.pairs.segments() as u32;
    level.sweep = (0, own);
    if segments == own {
        level.sweep = (next < own && left <= own).then_some((next, left))?;
    }
    level.owners = Owners::restore(level.keys, owners.into_iter(), free)?;
    Some(())
}

fn read_owner(input: &mut Input<'_>) -> Option<Owner> {
    let owner = Owner {
        hash: input.long()?,
        sights: input.long()?,
        weight: input.long()?,
        first: input.word()?,
        last: input.word()?,
        distinct: input.word()?,
        once: input.word()?,
        days: input.word()?,
        turns: input.word()?,
        lost: input.word()?,
        news: input.word()?,
        fresh: f32::from_bits(input.word()?),
        busy: f32::from_bits(input.word()?),
        maxima: read_maxima(input)?,
    };
    let free = Owner {
        hash: owner.hash,
        ..Owner::default()
    };
    let shares = owner.fresh.is_finite() && owner.busy.is_finite();
    let sound = shares && owner.fresh >= 0.0 && owner.busy >= 0.0 && owner.first <= owner.last;
    (sound && (owner.distinct > 0 || owner == free)).then_some(owner)
}

fn read_entries<'a>(written: impl Iterator<Item = &'a [u8]>, table: &mut Table) -> Option<()> {
    let (mut segment, mut own, mut before) = (0, Vec::new(), None);
    for written in written {
        let mut input = Input(written);
        let hash = input.long()?;
        let mut entry = Entry::new(hash, input.word()?, 0);
        entry.last = input.word()?;
        entry.count = input.word()?;
        entry.owner = input.word()?;
        entry.days = input.word()?;
        let sound = entry.first <= entry.last && entry.count > 0 && entry.days > 0;
        if !sound || input.word()? != 0 || before.is_some_and(|before| before >= hash) {
            return None;
        }
        before = Some(hash);
        let number = table.segment_of(hash);
        if number != segment {
            table.fill(segment, &own);
            own.clear();
            segment = number;
        }
        own.push(entry);
    }
    table.fill(segment, &own);
    Some(())
}

/// Whether owners' totals are those of their values.
fn totals_agree(table: &Table, owners: &[Owner], weigh: Weigh) -> bool {
    let mut totals = vec![(0u64, 0u64, 0u32, 0u32); owners.len()];
    for entry in table.entries() {
        let Some(total) = totals.get_mut(entry.owner as usize) else {
            return false;
        };
        let weight = weigh.of(entry);
        total.0 += u64::from(entry.count);
        total.1 += u64::from(weight);
        total.2 += 1;
        total.3 += u32::from(weight == 1);
    }
    let all = totals.iter().zip(owners);
    all.into_iter()
        .all(|(total, owner)| *total == (owner.sights, owner.weight, owner.distinct, owner.once))
}

fn maxima_words(maxima: &Maxima) -> [u32; 4] {
    [maxima.days, maxima.mean, maxima.spread, maxima.today].map(f32::to_bits)
}

fn read_maxima(input: &mut Input<'_>) -> Option<Maxima> {
    let maxima = Maxima {
        days: f32::from_bits(input.word()?),
        mean: f32::from_bits(input.word()?),
        spread: f32::from_bits(input.word()?),
        today: f32::from_bits(input.word()?),
    };
    maxima.is_sound().then_some(maxima)
}

fn secret_word(seed: [u64; 2]) -> u64 {
    mix(mix(seed[0]).rotate_left(17) ^ seed[1])
}

/// Finds what was torn or flipped; nobody is kept from forging it. Four lanes, as one would wait for itself.
pub(super) fn checksum(bytes: &[u8]) -> u64 {
    const MULTIPLIER: u64 = 0x9E37_79B9_7F4A_7C15;
    let mut lanes = [1u64, 2, 3, 4];
    let (blocks, rest) = bytes.as_chunks::<32>();
    for block in blocks {
        let (words, _) = block.as_chunks::<8>();
        for (lane, word) in lanes.iter_mut().zip(words) {
            let mixed = (*lane ^ u64::from_le_bytes(*word)).wrapping_mul(MULTIPLIER);
            *lane = mixed ^ mixed >> 29;
        }
    }
    let mut sum = mix(bytes.len() as u64);
    for byte in rest {
        sum = mix(sum ^ u64::from(*byte));
    }
    lanes
        .iter()
        .fold(sum, |sum, lane| mix(sum.rotate_left(7) ^ lane))
}

fn put<const N: usize>(out: &mut Vec<u8>, words: [u32; N]) {
    for word in words {
        out.extend_from_slice(&word.to_le_bytes());
    }
}

fn put_long<const N: usize>(out: &mut Vec<u8>, words: [u64; N]) {
    for word in words {
        out.extend_from_slice(&word.to_le_bytes());
    }
}

/// What is still to be read.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn word(&mut self) -> Option<u32> {
        let (word, rest) = self.0.split_first_chunk::<4>()?;
        self.0 = rest;
        Some(u32::from_le_bytes(*word))
    }

    fn long(&mut self) -> Option<u64> {
        let (word, rest) = self.0.split_first_chunk::<8>()?;
        self.0 = rest;
        Some(u64::from_le_bytes(*word))
    }

    /// So many pieces of a length, all of which must be there.
    fn take_many(&mut self, count: u64, length: usize) -> Option<impl Iterator<Item = &'a [u8]>> {
        let bytes = usize::try_from(count).ok()?.checked_mul(length)?;
        let (taken, rest) = self.0.split_at_checked(bytes)?;
        self.0 = rest;
        Some(taken.chunks_exact(length))
    }
}
