//! One shard of one rule: its groups, or the values it has seen.

use super::group::Group;
use super::key_table::KeyTable;
use super::lane::Timer;
use crate::evaluate::RuleIndex;
use crate::rule::kind::{EventTime, Kind, OfHash};
use hashbrown::HashMap;
use std::collections::BTreeSet;

/// The timers of one rule, among those of its lane.
pub(super) struct Timers<'l> {
    pub(super) all: &'l mut BTreeSet<Timer>,
    pub(super) rule: RuleIndex,
}

impl Timers<'_> {
    fn set(&mut self, time: EventTime, group: u128) {
        self.all.insert((time, self.rule, group));
    }

    fn take(&mut self, time: EventTime, group: u128) {
        self.all.remove(&(time, self.rule, group));
    }
}

/// Everything of one shard of one rule.
#[derive(Clone, Debug, Default)]
pub(super) struct Shard {
    /// Each in a place of its own: the table is half empty at worst, and then of small entries.
    pub(super) groups: HashMap<u128, Box<Group>, OfHash>,
    /// Bytes that groups take beside themselves.
    pub(super) group_heap: usize,
    /// Values seen, of first-seen rules.
    pub(super) keys: KeyTable,
    /// What it took when it was measured last.
    pub(super) measured: usize,
}

impl Shard {
    /// How many groups or keys are remembered.
    pub(super) fn len(&self) -> usize {
        match self.keys.len() {
            0 => self.groups.len(),
            keys => keys,
        }
    }

    /// After a step: notes what the group takes, and sees to it that it is looked at no later than at its deadline. A
    /// group that remembers nothing any more is as good as none.
    pub(super) fn settle(&mut self, key: u128, kind: &Kind, timers: &mut Timers<'_>) {
        let Some(group) = self.groups.get_mut(&key) else {
            return;
        };
        if group.remembers_nothing(kind) {
            self.remove(key, timers);
            return;
        }
        if let Some(deadline) = group.deadline(kind)
            && group.timer.is_none_or(|timer| deadline < timer)
        {
            if let Some(timer) = group.timer.replace(deadline) {
                timers.take(timer, key);
            }
            timers.set(deadline, key);
        }
        let bytes = group.bytes_taken();
        self.group_heap = self.group_heap + bytes as usize - group.bytes as usize;
        group.bytes = bytes;
    }

    /// Takes in a group that was written.
    pub(super) fn restore(&mut self, key: u128, mut group: Group) {
        group.bytes = group.bytes_taken();
        self.group_heap += group.bytes as usize;
        self.groups.insert(key, Box::new(group));
    }

    /// Takes a group out that was only written there.
    pub(super) fn take(&mut self, key: u128) -> Option<Box<Group>> {
        let group = self.groups.remove(&key)?;
        self.group_heap -= group.bytes as usize;
        Some(group)
    }

    /// Forgets a group.
    fn remove(&mut self, key: u128, timers: &mut Timers<'_>) {
        let Some(group) = self.groups.remove(&key) else {
            return;
        };
        self.group_heap -= group.bytes as usize;
        if let Some(timer) = group.timer {
            timers.take(timer, key);
        }
    }

    /// Forgets groups that can no longer matter.
    pub(super) fn sweep(&mut self, kind: &Kind, now: EventTime) {
        let group_heap = &mut self.group_heap;
        self.groups.retain(|_, group| {
            let stays = group.timer.is_some() || group.forgotten_after(kind) > now;
            *group_heap -= if stays { 0 } else { group.bytes as usize };
            stays
        });
        if let Kind::FirstSeen(kind) = kind {
            self.keys.forget(now.minus(kind.history));
        }
    }

    /// Forgets the eighth of the groups that was not seen for longest, and says how many that is.
    pub(super) fn evict(&mut self, timers: &mut Timers<'_>) -> u64 {
        let mut all: Vec<(EventTime, u128)> = self
            .groups
            .iter()
            .map(|(key, group)| (group.last, *key))
            .collect();
        if all.is_empty() {
            return 0;
        }
        // By key within one time, so that they are the same ones in every run, whatever the order of the table.
        let count = all.len().div_ceil(8);
        all.select_nth_unstable(count - 1);
        for (_, key) in &all[..count] {
            self.remove(*key, timers);
        }
        count as u64
    }

    /// For want of memory: what takes most of it gives way. Says how many groups or keys that is.
    pub(super) fn give_way(&mut self, timers: &mut Timers<'_>) -> u64 {
        if self.keys.heap_bytes() > self.group_bytes() {
            return self.keys.evict_half();
        }
        let evicted = self.evict(timers);
        self.groups.shrink_to_fit();
        evicted
    }

    fn group_bytes(&self) -> usize {
        self.group_heap + self.groups.allocation_size()
    }

    /// About how many bytes it takes, what waits not among them.
    pub(super) fn bytes(&self) -> usize {
        self.group_bytes() + self.keys.heap_bytes()
    }
}
