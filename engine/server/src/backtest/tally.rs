//! Counts of the findings of each rule: how many, about how many things, and when.

use super::histogram::{Axis, day_start};
use super::keep::{Keeper, KeptFinding};
use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};

/// The findings of one rule, counted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) findings: u64,
    pub(crate) first: Option<i64>,
    pub(crate) last: Option<i64>,
    /// By the first second of each day, in UTC.
    pub(crate) days: BTreeMap<i64, u64>,
    pub(crate) bars: Vec<u64>,
    /// By the number of each key.
    pub(crate) keys: HashMap<u32, u64>,
}

impl Tally {
    /// The keys with most findings, and how many each has.
    pub(crate) fn noisiest(&self, keeper: &Keeper, count: usize) -> Vec<(u32, u64)> {
        let mut keys: Vec<(u32, u64)> = self.keys.iter().map(|(key, one)| (*key, *one)).collect();
        let order = |one: &(u32, u64)| (Reverse(one.1), keeper.texts.text(one.0));
        keys.sort_unstable_by(|left, right| order(left).cmp(&order(right)));
        keys.truncate(count);
        keys
    }
}

/// First and last second of findings; nothing when none has a time.
pub(crate) fn span(findings: &[KeptFinding]) -> Option<(i64, i64)> {
    let seconds = || findings.iter().filter_map(|one| one.seconds);
    Some((seconds().min()?, seconds().max()?))
}

/// Counts, for each of so many rules.
pub(crate) fn tally(findings: &[KeptFinding], rules: usize, axis: Option<Axis>) -> Vec<Tally> {
    let mut tallies = vec![Tally::default(); rules];
    for finding in findings {
        let tally = &mut tallies[finding.rule as usize];
        tally.findings += 1;
        *tally.keys.entry(finding.key).or_default() += 1;
        let (Some(second), Some(axis)) = (finding.seconds, axis) else {
            continue;
        };
        tally.first = Some(tally.first.map_or(second, |first| first.min(second)));
        tally.last = tally.last.max(Some(second));
        *tally.days.entry(day_start(second)).or_default() += 1;
        tally.bars.resize(axis.bars, 0);
        tally.bars[axis.bar(second)] += 1;
    }
    tallies
}
