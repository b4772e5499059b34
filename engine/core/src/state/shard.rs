//! One shard of one rule: what waits for its time, the groups, and when groups have to be looked at.

use super::group::Group;
use super::key_table::{KeyTable, OfHash};
use crate::rule::kind::{Captured, EventKey, EventTime, StoredEvent};
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
}

/// An observation that waits for its time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Held {
    pub(super) event: Arc<StoredEvent>,
    pub(super) captured: Captured,
    /// Its share of the memory.
    pub(super) bytes: u32,
}

/// Everything of one shard of one rule.
#[derive(Clone, Debug, Default)]
pub(super) struct Shard {
    pub(super) pending: BTreeMap<HeldKey, Held>,
    pub(super) groups: HashMap<u128, Group, OfHash>,
    /// When groups have to be looked at; an entry may be too early, never too late.
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

    /// Sees to it that a group is looked at no later than at its deadline.
    pub(super) fn set_timer(&mut self, key: u128, deadline: Option<EventTime>) {
        let Some(group) = self.groups.get_mut(&key) else {
            return;
        };
        let Some(deadline) = deadline else { return };
        if group.timer.is_none_or(|timer| deadline < timer) {
            group.timer = Some(deadline);
            self.timers.insert((deadline, key));
        }
    }

    /// Forgets the eighth of the groups that was not seen for longest, and says how many that is, and their bytes.
    pub(super) fn evict(&mut self) -> (u64, usize) {
        let mut lasts: Vec<EventTime> = self.groups.values().map(|group| group.last).collect();
        if lasts.is_empty() {
            return (0, 0);
        }
        let at = lasts.len() / 8;
        let (_, limit, _) = lasts.select_nth_unstable(at);
        let (limit, mut left) = (*limit, at + 1);
        let mut going: Vec<(EventTime, u128)> = self
            .groups
            .iter()
            .filter(|(_, group)| group.last <= limit)
            .map(|(key, group)| (group.last, *key))
            .collect();
        // The same ones in every run, whatever the order of the table.
        going.sort_unstable();
        left = left.min(going.len());
        let mut bytes = 0;
        for (_, key) in &going[..left] {
            bytes += self
                .groups
                .remove(key)
                .map_or(0, |group| group.bytes as usize);
        }
        (left as u64, bytes)
    }
}

/// What comes next in a shard.
pub(super) enum Next {
    Timer(EventTime, u128),
    Held(HeldKey, Held),
}
