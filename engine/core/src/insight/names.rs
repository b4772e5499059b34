//! Whose activity it is: the names that come most often, for each attribution of a series.
//!
//! Space-saving counters (Metwally and others 2005): so many names are counted, and a new one takes the place, and the count, of
//! the smallest. A count is never too low, and too high by at most that of the smallest. Counts fade by a seventh a day, so
//! that they stand for about a week, as CloudTrail's baselines do. Names are hashes; what they are called is kept elsewhere.

use serde::{Deserialize, Serialize};

/// How much of a count is left after a day: what is counted stands for the last week or so.
const LEFT_AFTER_A_DAY: f32 = 6.0 / 7.0;

/// What is less is nothing.
const LEAST: f32 = 0.01;

/// Minutes of a day.
const DAY: u32 = 1440;

/// The names that come most often.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Names {
    all: Vec<Name>,
    /// The day up to which counts have faded.
    day: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Name {
    attribution: u8,
    hash: u64,
    count: f32,
}

impl Names {
    /// Counts a name, with room for `most` of each attribution.
    pub(super) fn add(&mut self, attribution: u8, hash: u64, count: f32, most: usize) {
        if hash == 0 {
            return;
        }
        let mut of = 0;
        for name in &mut self.all {
            if name.attribution != attribution {
                continue;
            }
            if name.hash == hash {
                name.count += count;
                return;
            }
            of += 1;
        }
        // Of equal counts the one with the lower hash goes, in every run.
        let least = self
            .all
            .iter()
            .enumerate()
            .filter(|(_, name)| name.attribution == attribution)
            .min_by(|(_, left), (_, right)| {
                left.count
                    .total_cmp(&right.count)
                    .then(left.hash.cmp(&right.hash))
            })
            .map(|(at, _)| at)
            .filter(|_| of >= most);
        let name = Name {
            attribution,
            hash,
            count,
        };
        match least {
            None => self.all.push(name),
            Some(at) => {
                self.all[at] = Name {
                    count: self.all[at].count + count,
                    ..name
                };
            }
        }
    }

    /// Takes back what was counted of a name.
    pub(super) fn take(&mut self, attribution: u8, hash: u64, count: f32) {
        let mut all = self.all.iter_mut();
        if let Some(name) = all.find(|name| name.attribution == attribution && name.hash == hash) {
            name.count -= count;
        }
        self.all.retain(|name| name.count > LEAST);
    }

    /// Time has come to a minute: older counts fade.
    pub(super) fn fade(&mut self, minute: u32) {
        let day = minute / DAY;
        let days = day.saturating_sub(self.day);
        if days > 0 && self.day > 0 {
            let left = LEFT_AFTER_A_DAY.powi(days.min(100) as i32);
            for name in &mut self.all {
                name.count *= left;
            }
            self.all.retain(|name| name.count > LEAST);
        }
        self.day = self.day.max(day);
    }

    /// The names of an attribution with their counts, the highest first.
    pub(super) fn of(&self, attribution: u8) -> Vec<(u64, f64)> {
        let names = self.all.iter();
        let mut names: Vec<(u64, f64)> = names
            .filter(|name| name.attribution == attribution)
            .map(|name| (name.hash, f64::from(name.count)))
            .collect();
        names.sort_by(|left, right| right.1.total_cmp(&left.1).then(left.0.cmp(&right.0)));
        names
    }

    /// Every hash.
    pub(super) fn hashes(&self) -> impl Iterator<Item = u64> {
        self.all.iter().map(|name| name.hash)
    }

    /// Bytes on the heap.
    pub(super) fn heap_bytes(&self) -> usize {
        self.all.capacity() * size_of::<Name>()
    }
}

/// Minutes that faded counts stand for, when they were counted for `minutes`.
pub(super) fn minutes_stood_for(minutes: f64) -> f64 {
    let left = f64::from(LEFT_AFTER_A_DAY);
    let days = minutes / f64::from(DAY);
    let faded = (1.0 - left.powf(days)) / (1.0 - left);
    (faded * f64::from(DAY)).max(1.0)
}

#[cfg(test)]
mod tests {
    use super::{Names, minutes_stood_for};

    #[test]
    fn the_most_frequent_stay() {
        let mut names = Names::default();
        for round in 0..1000u64 {
            names.add(0, 7, 1.0, 3);
            names.add(0, 1000 + round, 0.1, 3);
            names.add(1, 9, 1.0, 3);
        }
        let first = names.of(0);
        assert_eq!((first.len(), first[0].0), (3, 7));
        assert!((first[0].1 - 1000.0).abs() < 0.5, "{first:?}");
        assert_eq!(names.of(1), vec![(9, 1000.0)]);
        names.add(0, 0, 5.0, 3);
        assert_eq!(names.of(0).len(), 3, "nobody is not a name");
    }

    #[test]
    fn counts_fade_with_days() {
        let mut names = Names::default();
        names.fade(100 * 1440);
        names.add(0, 7, 49.0, 3);
        names.fade(101 * 1440);
        assert_eq!(names.of(0), vec![(7, 42.0)]);
        names.fade(400 * 1440);
        assert!(names.of(0).is_empty());
        assert!((minutes_stood_for(1440.0) - 1440.0).abs() < 1e-3);
        assert!((minutes_stood_for(1e9) - 10_080.0).abs() < 1.0);
    }
}
