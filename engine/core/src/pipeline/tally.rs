//! What became of records, counted.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ops::AddAssign;

/// Counts of one batch, or of everything since a worker started. Of records that are done again after a restart only what
/// they lead to is counted again, in `again`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Records that are events.
    pub events: u64,
    /// Bytes of all records.
    pub bytes: u64,
    /// Events that some rule about single events matches.
    pub matched: u64,
    /// Events that rules that remember were told of.
    pub observed: u64,
    /// Matches that an exception excused.
    pub excused: u64,
    /// Verdicts that could not be decided.
    pub undecided: u64,
    /// Verdicts on events of other sources.
    pub not_applicable: u64,
    /// Verdicts passed over because a plugin gave no answer.
    pub skipped: u64,
    /// Plugins that gave no answer about an event.
    pub plugin_faults: u64,
    /// Records that are no events, by reason.
    pub malformed: BTreeMap<String, u64>,
    /// Records that were set aside because the process died of them.
    pub fatal: u64,
    /// Records that the bus no longer had.
    pub lost: u64,
    /// Ticks.
    pub ticks: u64,
    /// Records done again after a restart.
    pub again: u64,
    /// Findings of rules, by rule: number in the rule set and count.
    pub by_rule: BTreeMap<u32, u64>,
}

impl Tally {
    /// Records that are no events.
    pub fn malformed(&self) -> u64 {
        self.malformed.values().sum()
    }
}

impl AddAssign<&Tally> for Tally {
    fn add_assign(&mut self, more: &Tally) {
        self.events += more.events;
        self.bytes += more.bytes;
        self.matched += more.matched;
        self.observed += more.observed;
        self.excused += more.excused;
        self.undecided += more.undecided;
        self.not_applicable += more.not_applicable;
        self.skipped += more.skipped;
        self.plugin_faults += more.plugin_faults;
        self.fatal += more.fatal;
        self.lost += more.lost;
        self.ticks += more.ticks;
        self.again += more.again;
        for (reason, count) in &more.malformed {
            *self.malformed.entry(reason.clone()).or_default() += count;
        }
        for (rule, count) in &more.by_rule {
            *self.by_rule.entry(*rule).or_default() += count;
        }
    }
}
