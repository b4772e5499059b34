//! Whose values are remembered: an entity, a group of peers, or everybody; with their totals.
//!
//! Owners have numbers that stay, because entries of the table name them. Numbers that are free form a chain through
//! their own records, and records lie in blocks, so that nothing large is ever moved. An owner is there as long as it has
//! a value; the level sees to that, and must never free one that an entry still names.

use super::calendar::{Moment, day_of};
use super::calibration::Maxima;
use super::table::{ENTRY_CHARGE, Entry, Table};

/// Totals of one owner.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Owner {
    /// Its hash; in a record that is free, the number of the next one.
    pub(super) hash: u64,
    /// Sights of its values.
    pub(super) sights: u64,
    /// What its values weigh together.
    pub(super) weight: u64,
    /// Second of its first sight.
    pub(super) first: u32,
    /// Second of its last sight.
    pub(super) last: u32,
    /// Its values; none in a record that is free.
    pub(super) distinct: u32,
    /// Its values that weigh one.
    pub(super) once: u32,
    /// Days on which it was seen.
    pub(super) days: u32,
    /// Days on which its members were seen, each counted; of an entity the same as its days.
    pub(super) turns: u32,
    /// Second of the last sight of a value of it that was given up; none.
    pub(super) lost: u32,
    /// What new things were counted today: [`NEW_SELF`], [`NEW_PEERS`] and [`NEW_ALL`].
    pub(super) news: u32,
    /// Turns that brought something new to it, the older the less.
    pub(super) fresh: f32,
    /// Turns among which these were counted.
    pub(super) busy: f32,
    /// The most surprising of each of its days.
    pub(super) maxima: Maxima,
}

impl Owner {
    /// Begins anew, with what was given up before it came. Values that are not yet swept away stay counted.
    pub(super) fn begin(&mut self, hash: u64, at: &Moment, lost: u32) {
        *self = Self {
            hash,
            sights: self.sights,
            weight: self.weight,
            distinct: self.distinct,
            once: self.once,
            first: at.second,
            last: at.second,
            lost,
            ..Self::default()
        };
    }

    /// Is seen; says whether for the first time on a later day than ever.
    pub(super) fn touch(&mut self, at: &Moment) -> bool {
        let later = self.days == 0 || at.day() > day_of(self.last);
        if later {
            self.days = self.days.saturating_add(1);
            self.news = 0;
        }
        self.first = self.first.min(at.second);
        self.last = self.last.max(at.second);
        later
    }

    /// A turn begins that is counted among those that may bring something new.
    pub(super) fn turn(&mut self, kept: f32) {
        self.fresh *= kept;
        self.busy = self.busy * kept + 1.0;
    }
}

pub(super) const NEW_SELF: u32 = 1;
pub(super) const NEW_PEERS: u32 = 2;
pub(super) const NEW_ALL: u32 = 4;

/// Bytes of an owner in memory, with its entry in the index.
pub(super) const OWNER_CHARGE: usize = size_of::<Owner>() + ENTRY_CHARGE;
/// The end of the chain of free numbers.
pub(super) const NONE: u32 = u32::MAX;
const BLOCK: usize = 512;

/// All owners of a level.
#[derive(Clone, Debug)]
pub(super) struct Owners {
    index: Table,
    blocks: Vec<Vec<Owner>>,
    len: usize,
    free: u32,
}

impl Owners {
    pub(super) fn new(keys: u64) -> Self {
        Self {
            index: Table::new(keys),
            blocks: Vec::new(),
            len: 0,
            free: NONE,
        }
    }

    /// How many there are.
    pub(super) fn live(&self) -> usize {
        self.index.len()
    }

    /// Numbers that were given, free ones too.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn free(&self) -> u32 {
        self.free
    }

    pub(super) fn bytes(&self) -> usize {
        self.index.bytes()
            + self.blocks.len() * (BLOCK * size_of::<Owner>() + size_of::<Vec<Owner>>())
    }

    pub(super) fn fixed_bytes(&self) -> usize {
        self.index.fixed_bytes() + BLOCK * size_of::<Owner>()
    }

    /// The number of an owner.
    pub(super) fn find(&self, hash: u64) -> Option<u32> {
        self.index
            .find(hash)
            .map(|place| self.index.at(place).owner)
    }

    #[inline]
    pub(super) fn get(&self, number: u32) -> Option<&Owner> {
        let number = number as usize;
        self.blocks.get(number / BLOCK)?.get(number % BLOCK)
    }

    #[inline]
    pub(super) fn get_mut(&mut self, number: u32) -> Option<&mut Owner> {
        let number = number as usize;
        self.blocks.get_mut(number / BLOCK)?.get_mut(number % BLOCK)
    }

    /// All records, free ones too, by number.
    pub(super) fn records(&self) -> impl Iterator<Item = &Owner> {
        self.blocks.iter().flatten()
    }

    /// Gives an owner that is not there yet a number.
    pub(super) fn add(&mut self, owner: Owner) -> u32 {
        let mut number = self.free;
        if let Some(record) = self.get_mut(number) {
            let next = record.hash as u32;
            *record = owner;
            self.free = next;
        } else {
            number = self.len as u32;
            self.push(owner);
        }
        self.index.insert(Entry::new(owner.hash, 0, number));
        number
    }

    fn push(&mut self, owner: Owner) {
        match self.blocks.last_mut() {
            Some(block) if block.len() < BLOCK => block.push(owner),
            _ => {
                let mut block = Vec::with_capacity(BLOCK);
                block.push(owner);
                self.blocks.push(block);
            }
        }
        self.len += 1;
    }

    /// Frees a number.
    pub(super) fn remove(&mut self, number: u32) {
        let next = self.free;
        let Some(record) = self.get_mut(number) else {
            return;
        };
        let hash = record.hash;
        *record = Owner {
            hash: u64::from(next),
            ..Owner::default()
        };
        self.index.remove(hash);
        self.free = number;
    }

    /// All of them may have lost values that were last seen up to then.
    pub(super) fn lose(&mut self, until: u32) {
        for owner in self.blocks.iter_mut().flatten() {
            // A record that is free holds nothing, and stays so.
            if owner.distinct > 0 && owner.first <= until {
                owner.lost = owner.lost.max(until);
            }
        }
    }

    /// Puts records back that were read, with the chain of free ones; none when that chain is broken or a hash is
    /// there twice.
    pub(super) fn restore(
        keys: u64,
        records: impl Iterator<Item = Owner>,
        free: u32,
    ) -> Option<Self> {
        let mut owners = Self::new(keys);
        for record in records {
            if record.distinct > 0 {
                if owners.find(record.hash).is_some() {
                    return None;
                }
                let number = owners.len as u32;
                owners.index.insert(Entry::new(record.hash, 0, number));
            }
            owners.push(record);
        }
        owners.free = free;
        let mut at = free;
        for _ in owners.live()..owners.len() {
            let record = owners.get(at)?;
            if record.distinct > 0 || record.hash > u64::from(NONE) {
                return None;
            }
            at = record.hash as u32;
        }
        (at == NONE).then_some(owners)
    }
}
