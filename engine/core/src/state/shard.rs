//! One shard of one rule: what waits for its time, the groups, and when groups have to be looked at.

use super::group::Group;
use super::key_table::{KeyTable, OfHash};
use crate::evaluate::OWN_DETECTION;
use crate::rule::kind::{Captured, EventKey, EventTime, Kind, StoredEvent};
use hashbrown::HashMap;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The order in which observations are seen, and what makes two of them the same.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct HeldKey {
    pub(super) time: EventTime,
    pub(super) rank: u16,
    pub(super) event: EventKey,
    pub(super) detected_by: u64,
    pub(super) input: u16,
    pub(super) group: u128,
    /// The hash of the value: an event that has several is observed for each.
    pub(super) value: u128,
}

/// What tells apart the observations of one event for several values.
pub(super) fn value_of(captured: Captured) -> u128 {
    match captured {
        Captured::Hash(hash) => hash,
        _ => 0,
    }
}

/// An observation that waits for its time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Held {
    pub(super) event: Arc<StoredEvent>,
    pub(super) captured: Captured,
    /// What it takes; the event itself is counted where it is held for longest.
    pub(super) bytes: u32,
}

/// Everything of one shard of one rule.
#[derive(Clone, Debug, Default)]
pub(super) struct Shard {
    pub(super) pending: BTreeMap<HeldKey, Held>,
    pub(super) groups: HashMap<u128, Group, OfHash>,
    /// Bytes that groups take beside themselves.
    pub(super) group_heap: usize,
    /// When groups have to be looked at: one entry for each group with a timer, perhaps too early, never too late.
    pub(super) timers: BTreeSet<(EventTime, u128)>,
    /// Values seen, of first-seen rules.
    pub(super) keys: KeyTable,
}

impl Shard {
    /// How many groups or keys are remembered.
    pub(super) fn len(&self) -> usize {
        match self.keys.len() {
            0 => self.groups.len(),
            keys => keys,
        }
    }

    /// What is next before or at `until`: an observation, or a group whose time is up, which comes first of the
    /// same time.
    pub(super) fn next(&mut self, until: EventTime) -> Option<Next> {
        let timer = self.timers.first().map(|(time, _)| *time);
        let held = self.pending.first_key_value().map(|(key, _)| key.time);
        match (timer, held) {
            (Some(timer), held) if timer <= until && held.is_none_or(|held| timer <= held) => self
                .timers
                .pop_first()
                .map(|(time, group)| Next::Timer(time, group)),
            (_, Some(held)) if held <= until => {
                let (key, held) = self.pending.pop_first()?;
                Some(Next::Held(key, held))
            }
            _ => None,
        }
    }

    /// Whether all that waits is for a rule with so many inputs.
    pub(super) fn is_of(&self, inputs: usize) -> bool {
        let mut waiting = self.pending.keys();
        waiting.all(|key| key.input == OWN_DETECTION || usize::from(key.input) < inputs)
    }

    /// When something can happen next.
    pub(super) fn due(&self) -> EventTime {
        let timer = self.timers.first().map(|(time, _)| *time);
        let held = self.pending.first_key_value().map(|(key, _)| key.time);
        timer
            .into_iter()
            .chain(held)
            .min()
            .unwrap_or(EventTime::MAX)
    }

    /// After a step: notes what the group takes, and sees to it that it is looked at no later than at its deadline. A
    /// group that remembers nothing any more is as good as none.
    pub(super) fn settle(&mut self, key: u128, kind: &Kind) {
        let Some(group) = self.groups.get_mut(&key) else {
            return;
        };
        if group.remembers_nothing(kind) {
            self.remove(key);
            return;
        }
        let bytes = group.heap_bytes_kept();
        self.group_heap = self.group_heap + bytes as usize - group.bytes as usize;
        group.bytes = bytes;
        let Some(deadline) = group.deadline(kind) else {
            return;
        };
        if group.timer.is_none_or(|timer| deadline < timer) {
            if let Some(timer) = group.timer.replace(deadline) {
                self.timers.remove(&(timer, key));
            }
            self.timers.insert((deadline, key));
        }
    }

    /// Forgets a group.
    fn remove(&mut self, key: u128) {
        let Some(group) = self.groups.remove(&key) else {
            return;
        };
        self.group_heap -= group.bytes as usize;
        if let Some(timer) = group.timer {
            self.timers.remove(&(timer, key));
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
    pub(super) fn evict(&mut self) -> u64 {
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
            self.remove(*key);
        }
        count as u64
    }

    /// For want of memory: what takes most of it gives way. Says how many groups or keys that is.
    pub(super) fn give_way(&mut self) -> u64 {
        if self.keys.heap_bytes() > self.group_bytes() {
            return self.keys.evict_half();
        }
        let evicted = self.evict();
        self.groups.shrink_to_fit();
        evicted
    }

    fn group_bytes(&self) -> usize {
        self.group_heap + self.groups.allocation_size() + self.timers.len() * TIMER_BYTES
    }

    /// About how many bytes it takes, what waits not among them.
    pub(super) fn bytes(&self) -> usize {
        self.group_bytes() + self.keys.heap_bytes()
    }
}

/// An entry in the tree of timers, whose nodes are about two thirds full.
const TIMER_BYTES: usize = 48;

/// What comes next in a shard.
pub(super) enum Next {
    Timer(EventTime, u128),
    Held(HeldKey, Held),
}
