//! One level of what is remembered: the values of entities, those of groups of peers, or those of everybody.
//!
//! All three are the same: entries by the hash of owner and value, and totals by owner. What an entry weighs is the
//! number of days on which its entity did it; one level up, each of these days counts for the group and for all. So
//! somebody who does a thing a thousand times an hour is one voice.
//!
//! Must never do: say that a value is new when it may have been given up. What is given up leaves its time with its
//! owner, and when that goes too, with the level: who comes later than that inherits it.

use super::calendar::{Moment, day_of};
use super::owner::{OWNER_CHARGE, Owner, Owners};
use super::table::{ENTRY_CHARGE, Entry, Place, Table};

/// What an entry weighs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Weigh {
    /// The days on which it was seen.
    Days,
    /// What it was counted.
    Count,
}

impl Weigh {
    pub(super) fn of(self, entry: &Entry) -> u32 {
        match self {
            Self::Days => entry.days,
            Self::Count => entry.count,
        }
    }
}

/// Whose value, and the two together.
#[derive(Clone, Copy, Debug)]
pub(super) struct Key {
    pub(super) owner: u64,
    pub(super) pair: u64,
}

/// What is remembered of a value, as far as it still counts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found {
    place: Option<Place>,
    pub(super) entry: Option<Entry>,
    pub(super) owner: Option<Owner>,
    /// Whether the value may have been there and was given up.
    pub(super) lost: bool,
}

/// What became of a sight.
#[derive(Clone, Copy, Debug)]
pub(super) struct Noted {
    /// The number of the owner.
    pub(super) owner: u32,
    /// Whether the value was not yet seen on this day.
    pub(super) value_day: bool,
    /// Whether the owner was not yet seen on this day.
    pub(super) owner_day: bool,
}

/// One level.
#[derive(Clone, Debug)]
pub(super) struct Level {
    pub(super) pairs: Table,
    pub(super) owners: Owners,
    pub(super) weigh: Weigh,
    /// Second of the last sight of a value whose owner was given up; none.
    pub(super) lost: u32,
    /// Values given up.
    pub(super) evicted: u64,
    /// Values forgotten in time.
    pub(super) expired: u64,
    /// The next segment to look for what is forgotten, and how many are still to be looked at.
    pub(super) sweep: (u32, u32),
    /// For how many keys the tables are laid out.
    pub(super) keys: u64,
    segment_max: usize,
}

/// The share of a segment that is given up at once: one of so many.
const EVICTED_SHARE: usize = 8;
/// With one sight so many segments are looked at for what is forgotten, until so many entries were.
const SWEPT_SEGMENTS: u32 = 32;
const SWEPT_ENTRIES: usize = 512;
/// A segment may have so many entries however few keys are allowed, so that there is something to choose from.
const SEGMENT_LEAST: u64 = 8;

impl Level {
    /// For up to `keys` values; `sized` is for how many the table is laid out.
    pub(super) fn new(weigh: Weigh, keys: u64, sized: u64) -> Self {
        let pairs = Table::new(keys.min(sized));
        let segment_max = (keys / pairs.segments() as u64).max(SEGMENT_LEAST);
        Self {
            owners: Owners::new(keys.min(sized)),
            pairs,
            keys: keys.min(sized),
            weigh,
            lost: 0,
            evicted: 0,
            expired: 0,
            sweep: (0, 0),
            segment_max: usize::try_from(segment_max).unwrap_or(usize::MAX),
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.pairs.bytes() + self.owners.bytes()
    }

    /// No less than what it takes; depends only on what is in it.
    pub(super) fn charge(&self) -> u64 {
        let entries = self.pairs.len() * ENTRY_CHARGE + self.pairs.fixed_bytes();
        (entries + self.owners.len() * OWNER_CHARGE + self.owners.fixed_bytes()) as u64
    }

    /// What is remembered of a value.
    #[inline]
    pub(super) fn find(&self, key: Key, at: &Moment) -> Found {
        let place = self.pairs.find(key.pair);
        let entry = place.map(|place| *self.pairs.at(place));
        let number = entry
            .map(|entry| entry.owner)
            .or_else(|| self.owners.find(key.owner));
        let owner = number.and_then(|number| self.owners.get(number)).copied();
        let owner = owner.filter(|owner| at.counts(owner.last));
        Found {
            place,
            entry: entry.filter(|entry| at.counts(entry.last)),
            owner,
            lost: at.lost(owner.map_or(self.lost, |owner| owner.lost)),
        }
    }

    /// Counts a sight. When room is short, others give way.
    pub(super) fn note(&mut self, key: Key, found: &Found, at: &Moment, short: Short) -> Noted {
        let Some(place) = found.place else {
            return self.note_new(key, at, short);
        };
        let old = *self.pairs.at(place);
        if found.entry.is_none() {
            self.expired = self.expired.saturating_add(1);
            self.uncount(&old);
            *self.pairs.at_mut(place) = Entry::new(key.pair, at.second, old.owner);
            return self.count_new(old.owner, key.owner, at);
        }
        let day = at.day();
        let value_day = day > day_of(old.last) || day < day_of(old.first);
        let entry = self.pairs.at_mut(place);
        entry.first = entry.first.min(at.second);
        entry.last = entry.last.max(at.second);
        entry.count = entry.count.saturating_add(1);
        entry.days = entry.days.saturating_add(u32::from(value_day));
        let (now, before) = (self.weigh.of(entry), self.weigh.of(&old));
        let sights = u64::from(entry.count - old.count);
        let owner_day = match self.owners.get_mut(old.owner) {
            Some(owner) => {
                owner.sights += sights;
                owner.weight += u64::from(now - before);
                owner.once = owner
                    .once
                    .saturating_sub(u32::from(before == 1 && now != 1));
                owner.touch(at)
            }
            None => false,
        };
        Noted {
            owner: old.owner,
            value_day,
            owner_day,
        }
    }

    fn note_new(&mut self, key: Key, at: &Moment, short: Short) -> Noted {
        let segment = self.pairs.segment_of(key.pair);
        if short == Short::Yes || self.pairs.len_of(segment) >= self.segment_max {
            self.evict(segment, at);
        }
        let number = self.owners.find(key.owner).unwrap_or_else(|| {
            // One that was free has a record without values, which `touch` takes for one that begins.
            self.owners.add(Owner {
                hash: key.owner,
                ..Owner::default()
            })
        });
        self.pairs.insert(Entry::new(key.pair, at.second, number));
        self.count_new(number, key.owner, at)
    }

    /// Counts a new value of an owner.
    fn count_new(&mut self, number: u32, hash: u64, at: &Moment) -> Noted {
        let inherited = self.lost;
        let owner_day = match self.owners.get_mut(number) {
            Some(owner) => {
                if owner.days == 0 || !at.counts(owner.last) {
                    owner.begin(hash, at, inherited);
                }
                owner.sights += 1;
                owner.weight += 1;
                owner.once += 1;
                owner.distinct += 1;
                owner.touch(at)
            }
            None => false,
        };
        Noted {
            owner: number,
            value_day: true,
            owner_day,
        }
    }

    /// Takes a value out of its owner's totals.
    fn uncount(&mut self, entry: &Entry) {
        let weight = self.weigh.of(entry);
        if let Some(owner) = self.owners.get_mut(entry.owner) {
            owner.sights = owner.sights.saturating_sub(u64::from(entry.count));
            owner.weight = owner.weight.saturating_sub(u64::from(weight));
            owner.once = owner.once.saturating_sub(u32::from(weight == 1));
            owner.distinct = owner.distinct.saturating_sub(1);
        }
    }

    /// Gives up those of a segment that were not seen for longest. Of those last seen in the same second the ones with
    /// the lowest hashes go, so that the order they came in does not matter.
    fn evict(&mut self, segment: usize, at: &Moment) {
        let entries = self.pairs.segment(segment);
        let mut ages: Vec<(u32, u64)> = entries.map(|entry| (entry.last, entry.hash())).collect();
        let Some(last) = ages.len().div_ceil(EVICTED_SHARE).checked_sub(1) else {
            return;
        };
        let (_, limit, _) = ages.select_nth_unstable(last);
        let limit = *limit;
        self.drop_from(segment, at, |entry| (entry.last, entry.hash()) <= limit);
    }

    /// Everything is to be looked at for what no longer counts.
    pub(super) fn begin_sweep(&mut self) {
        self.sweep.1 = self.pairs.segments() as u32;
    }

    /// Looks at one segment, or at some that have little in them.
    pub(super) fn sweep_some(&mut self, at: &Moment) {
        let (mut next, mut left) = self.sweep;
        let (mut entries, segments) = (0, left.min(SWEPT_SEGMENTS));
        for _ in 0..segments {
            if entries > SWEPT_ENTRIES {
                break;
            }
            entries += self.pairs.len_of(next as usize);
            self.drop_from(next as usize, at, |entry| !at.counts(entry.last));
            next = (next + 1) % self.pairs.segments() as u32;
            left -= 1;
        }
        self.sweep = (next, left);
    }

    fn drop_from(&mut self, segment: usize, at: &Moment, dropped: impl Fn(&Entry) -> bool) {
        let entries = self.pairs.segment(segment);
        let gone: Vec<Entry> = entries.filter(|entry| dropped(entry)).copied().collect();
        if gone.is_empty() {
            return;
        }
        self.pairs.retain(segment, |entry| !dropped(entry));
        for entry in &gone {
            self.uncount(entry);
            let given_up = at.counts(entry.last);
            self.evicted = self.evicted.saturating_add(u64::from(given_up));
            self.expired = self.expired.saturating_add(u64::from(!given_up));
            let Some(owner) = self.owners.get_mut(entry.owner) else {
                continue;
            };
            if given_up {
                owner.lost = owner.lost.max(entry.last);
            }
            if owner.distinct == 0 {
                self.lost = self.lost.max(owner.lost);
                self.owners.remove(entry.owner);
            }
        }
    }
}

/// Whether memory is short.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Short {
    /// Something must give way for anything new.
    Yes,
    /// There is room.
    No,
}
