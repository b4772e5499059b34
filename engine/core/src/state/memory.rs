//! How much memory is taken, and who gives way when it is too much.
//!
//! Each shard is measured after it moved, so that the sum is at hand for every event. Too many groups: those of their
//! shard not seen for longest give way, the same ones in every run. Too much memory: whatever takes most of it does, a
//! part at a time, until it is enough. Nothing is lost unsaid: all of it is counted.

use super::State;
use super::shard::Timers;
use crate::evaluate::RuleIndex;
use crate::limits::{LOOKED_EVERY, SHARDS};
use crate::rule::kind::{EventTime, Memory};

impl State<'_> {
    /// About how many bytes are taken.
    pub fn bytes(&self) -> usize {
        self.pending_bytes + self.rules_bytes
    }

    /// Measures a rule again, of which one shard moved.
    pub(super) fn measure_shard(&mut self, rule: usize, shard: usize) {
        let state = &mut self.rules[rule];
        let shard = &mut state.shards[shard];
        let bytes = shard.bytes();
        state.shard_bytes = state.shard_bytes - shard.measured + bytes;
        shard.measured = bytes;
        self.measure(rule);
    }

    /// Measures a rule again, of which all shards may have moved.
    pub(super) fn measure_all(&mut self, rule: usize) {
        for shard in 0..self.rules[rule].shards.len() {
            self.measure_shard(rule, shard);
        }
    }

    /// Measures a rule again, whose open findings changed.
    pub(super) fn measure(&mut self, rule: usize) {
        let state = &mut self.rules[rule];
        let insight = state.insight.as_ref().map_or(0, |insight| insight.bytes());
        let profile = state.profile.as_ref().map_or(0, |profile| profile.bytes());
        let bytes = state.shard_bytes + state.suppression.bytes() + insight + profile;
        self.rules_bytes = self.rules_bytes - state.bytes + bytes;
        state.bytes = bytes;
    }

    /// Now and then while much is seen at once, memory is looked at.
    pub(super) fn look_now_and_then(&mut self) {
        self.since_looked += 1;
        if self.since_looked >= LOOKED_EVERY {
            self.since_looked = 0;
            self.keep_within_memory();
        }
    }

    /// Too much memory is taken: the rule that takes most gives way.
    pub(super) fn keep_within_memory(&mut self) {
        while self.bytes() > self.settings.bytes_max {
            // Profiles keep within their share by themselves.
            let rules = self.rules.iter().enumerate();
            let sizes = rules.filter(|(_, rule)| rule.profile.is_none());
            let Some((heaviest, _)) = sizes.max_by_key(|(_, rule)| rule.bytes) else {
                return;
            };
            let before = self.rules[heaviest].bytes;
            let gone = self.give_way(heaviest);
            self.measure_all(heaviest);
            if gone == 0 && self.rules[heaviest].bytes >= before {
                return;
            }
        }
    }

    /// A part of what a rule remembers goes: an eighth of its open findings, or of its heaviest shard.
    fn give_way(&mut self, rule: usize) -> u64 {
        let state = &mut self.rules[rule];
        let mut gone = 0;
        if state.suppression.bytes() > state.bytes / 2 {
            let count = state.suppression.len().div_ceil(8);
            for _ in 0..count {
                let Some(told) = self.rules[rule].suppression.close_first() else {
                    break;
                };
                gone += 1;
                self.close(told);
            }
        } else if let Some(insight) = &mut state.insight {
            gone = insight.give_way();
            self.measure(rule);
        } else if let Some(shard) = state.shards.iter_mut().max_by_key(|shard| shard.bytes()) {
            let all = &mut self.lanes[state.lane].timers;
            gone = shard.give_way(&mut Timers {
                all,
                rule: RuleIndex(rule as u32),
            });
        }
        self.rules[rule].counters.evicted += gone;
        gone
    }

    /// A shard has too many groups or values: those not seen for longest give way.
    pub(super) fn keep_within_groups(&mut self, rule: RuleIndex, memory: &Memory, shard: usize) {
        let state = &mut self.rules[rule.0 as usize];
        let shard = &mut state.shards[shard];
        let most = memory.groups_max.div_ceil(SHARDS);
        if shard.groups.len() > most {
            let all = &mut self.lanes[state.lane].timers;
            state.counters.evicted += shard.evict(&mut Timers { all, rule });
        }
        if shard.keys.len() > most {
            state.counters.evicted += shard.keys.evict();
        }
    }

    /// Forgets groups that can no longer matter, now and then.
    pub(super) fn sweep(&mut self, rule: RuleIndex, now: EventTime) {
        let Some(memory) = &self.set.rules()[rule.0 as usize].rule.memory else {
            return;
        };
        let state = &mut self.rules[rule.0 as usize];
        let groups: usize = state
            .shards
            .iter()
            .map(|shard| shard.groups.len() + shard.keys.len())
            .sum();
        if state.since_sweep < groups as u64 / 2 + SWEPT_AFTER {
            return;
        }
        state.since_sweep = 0;
        for shard in &mut state.shards {
            shard.sweep(&memory.kind, now);
        }
        self.measure_all(rule.0 as usize);
    }
}

/// Fewest observations after which groups are looked through for what can be forgotten.
pub(super) const SWEPT_AFTER: u64 = 1024;
