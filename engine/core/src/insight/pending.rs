//! Minutes that are not over: what was counted in each series so far, and whose it was.
//!
//! Counts do not depend on the order in which events come, and an event that comes twice is counted once. A minute takes some
//! tens of bytes for each series that is active in it and eight for each event, however large the events are. Never knows what
//! is usual.

use super::SeriesTexts;
use super::texts::Texts;
use crate::limits::{INSIGHT_DISTINCT_MAX, INSIGHT_MINUTE_NAMES_MAX};
use crate::rule::kind::{CountedOf, OfHash};
use hashbrown::{HashMap, HashSet};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// The hash of a key in words, so that an entry is not padded to 16 bytes.
pub(super) type KeyWords = [u32; 4];

/// What was counted in one minute of one series.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Tally {
    pub(super) count: f64,
    /// Errors among them; of what is measured the sum, or the highest or lowest so far.
    pub(super) errors: f64,
    /// Whose it was: combinations of attributions, with how much. What comes beyond the bound is counted without.
    pub(super) names: Vec<([u64; 3], f32)>,
    /// Of series that count different values.
    distinct: Option<BTreeSet<u32>>,
    /// What the series is called, when it was new.
    pub(super) key: Option<Vec<u32>>,
}

/// A minute that is not over.
#[derive(Clone, Debug, Default)]
pub(super) struct Minute {
    rows: HashMap<KeyWords, Tally, OfHash>,
    /// Events that were counted, each with its series.
    seen: HashSet<u64, OfHash>,
    heap: usize,
}

/// A minute as it is written.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct MinuteKept {
    minute: u32,
    rows: Vec<(KeyWords, Tally)>,
    seen: Vec<u64>,
}

/// What became of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Added {
    Counted {
        /// Whose it is was kept.
        is_named: bool,
    },
    Again,
}

impl Minute {
    /// Whether the series is counted in this minute already.
    pub(super) fn has(&self, key: KeyWords) -> bool {
        self.rows.contains_key(&key)
    }

    /// Counts an event, of which `event` is the hash.
    pub(super) fn add(&mut self, event: u64, key: KeyWords, of: &CountedOf, how: How) -> Added {
        let own = event ^ u64::from(key[0]).rotate_left(32) ^ u64::from(key[1]);
        if !self.seen.insert(own) {
            return Added::Again;
        }
        let tally = self.rows.entry(key).or_default();
        let amount = match how {
            How::Sum | How::Shares => of.number(),
            How::Distinct => tally.distinct(of.value),
            How::Measured(measure) => {
                tally.measure(measure, of.number());
                1.0
            }
        };
        tally.count += amount;
        tally.errors += if of.is_error { amount } else { 0.0 };
        let before = names_bytes(tally.names.len());
        let whose = match how {
            How::Shares if !of.is_error => 0.0,
            _ => amount as f32,
        };
        let is_named = whose > 0.0 && tally.whose(of.names, whose);
        self.heap += names_bytes(tally.names.len()) - before;
        Added::Counted { is_named }
    }

    /// Notes what a new series is called.
    pub(super) fn call(&mut self, key: KeyWords, texts: &SeriesTexts, all: &mut Texts) {
        let tally = self.rows.entry(key).or_default();
        if tally.key.is_none() {
            tally.key = Some(texts.key.iter().map(|part| all.number(part)).collect());
            self.heap += 24 + 4 * texts.key.len();
        }
    }

    /// About how many bytes it takes.
    pub(super) fn bytes(&self) -> usize {
        let rows = table_bytes(self.rows.len(), size_of::<(KeyWords, Tally)>());
        rows + table_bytes(self.seen.len(), size_of::<u64>()) + self.heap
    }

    /// How many events wait.
    pub(super) fn len(&self) -> usize {
        self.seen.len()
    }

    /// Every series, by the hash of its key: in the same order whatever came first.
    pub(super) fn into_rows(self) -> Vec<(KeyWords, Tally)> {
        let mut rows: Vec<(KeyWords, Tally)> = self.rows.into_iter().collect();
        rows.sort_unstable_by_key(|(key, _)| *key);
        rows
    }

    /// As it is written.
    pub(super) fn kept(&self, minute: u32) -> MinuteKept {
        let mut seen: Vec<u64> = self.seen.iter().copied().collect();
        seen.sort_unstable();
        MinuteKept {
            minute,
            rows: self.clone().into_rows(),
            seen,
        }
    }

    /// Every text that it needs.
    pub(super) fn texts(&self) -> impl Iterator<Item = u32> {
        self.rows
            .values()
            .flat_map(|row| row.key.iter().flatten().copied())
    }

    /// Every name that it needs.
    pub(super) fn names(&self) -> impl Iterator<Item = u64> {
        let rows = self.rows.values();
        rows.flat_map(|row| row.names.iter().flat_map(|(names, _)| *names))
    }
}

impl MinuteKept {
    pub(super) fn minute(&self) -> u32 {
        self.minute
    }

    pub(super) fn restored(self) -> (u32, Minute) {
        let heap = self.rows.iter().map(|(_, row)| {
            names_bytes(row.names.len()) + row.key.as_ref().map_or(0, |key| 24 + 4 * key.len())
        });
        let minute = Minute {
            heap: heap.sum(),
            rows: self.rows.into_iter().collect(),
            seen: self.seen.into_iter().collect(),
        };
        (self.minute, minute)
    }
}

/// What so many names take: a list grows by doubling, from four on. This and the next are by number and not by what was
/// allocated, so that they are the same after a restart.
fn names_bytes(count: usize) -> usize {
    match count {
        0 => 0,
        _ => count.next_power_of_two().max(4) * size_of::<([u64; 3], f32)>(),
    }
}

/// What a table of so many entries takes, which is seven eighths full at most.
fn table_bytes(count: usize, entry: usize) -> usize {
    match count {
        0 => 0,
        _ => (count * 8).div_ceil(7).next_power_of_two().max(4) * (entry + 1) + 16,
    }
}

/// How events add up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum How {
    /// By their number, which is 1 of what is only counted.
    Sum,
    /// By different values.
    Distinct,
    /// By their number, and whose the errors among them are.
    Shares,
    /// Not at all: they are measured.
    Measured(Measure),
}

/// What is taken of the measurements of a minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Measure {
    Average,
    Max,
    Min,
}

impl Tally {
    /// What a value adds to the number of different ones.
    fn distinct(&mut self, value: u32) -> f64 {
        let known = self.distinct.get_or_insert_default();
        let is_new = known.len() < INSIGHT_DISTINCT_MAX && known.insert(value);
        f64::from(u8::from(is_new))
    }

    /// Takes a measurement.
    fn measure(&mut self, measure: Measure, number: f64) {
        self.errors = match measure {
            _ if self.count == 0.0 => number,
            Measure::Average => self.errors + number,
            Measure::Max => self.errors.max(number),
            Measure::Min => self.errors.min(number),
        };
    }

    /// What is watched of it: how much, and how much of that failed; of what is measured, the measurement and how many
    /// events it is of.
    pub(super) fn watched(&self, how: How) -> (f64, f64) {
        match how {
            How::Measured(Measure::Average) => (self.errors / self.count.max(1.0), self.count),
            How::Measured(_) => (self.errors, self.count),
            _ => (self.count, self.errors),
        }
    }

    /// Whether there was room for it.
    fn whose(&mut self, names: [u64; 3], amount: f32) -> bool {
        let mut all = self.names.iter_mut();
        if let Some((_, count)) = all.find(|(known, _)| *known == names) {
            *count += amount;
            return true;
        }
        let has_room = self.names.len() < INSIGHT_MINUTE_NAMES_MAX;
        if has_room {
            self.names.push((names, amount));
        }
        has_room
    }
}
