//! Who gives way when there are too many series, names or texts.
//!
//! Series that were not active for longest go, never those that are unusual at the moment. Names and texts go when nobody needs
//! them any more. The same ones go for the same events in the same order.

use super::detect::SeriesId;
use super::memory::SeriesMemory;
use super::pending::KeyWords;
use crate::limits::INSIGHT_TEXTS_MAX;
use std::collections::BTreeSet;

/// Series that are looked at to find one that gives way.
const LOOKED_AT: usize = 16;

impl SeriesMemory {
    /// Makes room for one series: of a few, the one that was not active for longest goes.
    pub(super) fn evict_one(&mut self, minute: u32) -> bool {
        let mut oldest: Option<(u32, u32)> = None;
        let mut looked = 0;
        for _ in 0..self.series.len() {
            self.cursor = (self.cursor + 1) % self.series.len();
            let id = self.cursor as u32;
            let Some(series) = &self.series[self.cursor] else {
                continue;
            };
            // What was active in this minute is being counted.
            if series.last == minute || self.open.contains_key(&id) {
                continue;
            }
            if oldest.is_none_or(|(last, _)| series.last < last) {
                oldest = Some((series.last, id));
            }
            looked += 1;
            if looked >= LOOKED_AT {
                break;
            }
        }
        oldest.is_some_and(|(_, id)| self.forget(id))
    }

    /// For want of memory: the eighth of the series that was not active for longest goes. Says how many that is.
    pub fn give_way(&mut self) -> u64 {
        // What nobody needs goes before what was learnt.
        let before = self.called.len();
        self.sweep_now();
        if self.called.len() < before / 2 {
            return (before - self.called.len()) as u64;
        }
        let mut all: Vec<(u32, KeyWords, u32)> = Vec::with_capacity(self.ids.len());
        for (id, series) in (0u32..).zip(&self.series) {
            let open = self.open.contains_key(&id);
            all.extend(
                series
                    .iter()
                    .filter(|_| !open)
                    .map(|one| (one.last, one.key, id)),
            );
        }
        let count = all.len().div_ceil(8);
        if count == 0 {
            return 0;
        }
        all.select_nth_unstable(count - 1);
        let mut gone: Vec<u32> = all[..count].iter().map(|(_, _, id)| *id).collect();
        gone.sort_unstable();
        for id in &gone {
            self.forget(*id);
        }
        self.ids.shrink_to_fit();
        self.sweep_now();
        gone.len() as u64
    }

    fn forget(&mut self, id: u32) -> bool {
        let Some(series) = self.series.get_mut(id as usize).and_then(Option::take) else {
            return false;
        };
        self.named_bytes -= series.named_bytes();
        self.ids.remove(&series.key);
        self.free.push(id);
        self.detector.close_series(SeriesId(id));
        true
    }

    /// Forgets texts and names that nobody needs, when there may be many.
    pub(super) fn sweep(&mut self) {
        if self.called.len() > 2 * self.swept + INSIGHT_TEXTS_MAX {
            self.sweep_now();
        }
    }

    fn sweep_now(&mut self) {
        let mut names: BTreeSet<u64> = BTreeSet::new();
        let mut texts: BTreeSet<u32> = BTreeSet::new();
        for series in self.series.iter().flatten() {
            names.extend(series.names.iter().flat_map(|names| names.hashes()));
            texts.extend(series.parts);
        }
        for open in self.open.values() {
            names.extend(open.names.hashes().chain(open.usual.hashes()));
        }
        for minute in self.pending.values() {
            names.extend(minute.names());
            texts.extend(minute.texts());
        }
        let rows = self.recent.iter().flat_map(|recent| &recent.rows);
        names.extend(rows.flat_map(|row| row.names.iter().flat_map(|(names, _)| *names)));
        self.called.retain(|hash, _| names.contains(hash));
        texts.extend(self.called.values());
        self.texts.keep(|number| texts.contains(&number));
        self.swept = self.called.len();
    }
}
