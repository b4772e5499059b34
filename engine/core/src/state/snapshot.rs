//! All that is remembered, as bytes, and back.
//!
//! A snapshot names each rule with the version of what gives meaning to its memory. On restoring, a rule whose
//! version is the same keeps its memory, also when its title, severity, threshold or window changed: what a longer
//! window or a higher threshold would have kept and the old one did not is missing until it fills again. A
//! rule whose version differs begins anew, and is named. Memory is never read under another meaning.

use super::group::Group;
use super::key_table::KeyTable;
use super::shard::{Held, HeldKey, Shard};
use super::suppression::{Open, OpenKept};
use super::{RuleCounters, State, StateCounters, Told};
use crate::evaluate::RuleIndex;
use crate::limits::SHARDS;
use crate::rule::kind::EventTime;
use crate::wire::snapshot::{EnvelopeFault, open, seal};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use thiserror::Error;

/// Why a snapshot cannot be restored. Nothing of it is then.
#[derive(Debug, Error)]
pub enum SnapshotFault {
    /// It is no sound snapshot.
    #[error(transparent)]
    Envelope(#[from] EnvelopeFault),
    /// Its checksum is right and its content is not: another program wrote it.
    #[error("the snapshot's content cannot be read")]
    Content(#[source] postcard::Error),
}

/// What became of the memory of one rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// It goes on.
    Kept,
    /// What it looks at changed, so it begins anew.
    Changed,
    /// It is not among the rules any more; its memory is dropped.
    Gone,
}

/// What became of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    /// Each rule of the snapshot, by id.
    pub rules: Vec<(String, Kept)>,
    /// What the caller kept with it.
    pub note: String,
}

#[derive(Serialize, Deserialize)]
struct SnapshotKept {
    note: String,
    counters: StateCounters,
    rules: Vec<RuleKept>,
}

#[derive(Serialize, Deserialize)]
struct RuleKept {
    id: String,
    memory_version: String,
    released: EventTime,
    began: Option<EventTime>,
    counters: RuleCounters,
    shards: Vec<ShardKept>,
    open: Vec<OpenKept>,
}

#[derive(Serialize, Deserialize)]
struct ShardKept {
    pending: Vec<(HeldKey, Held)>,
    groups: Vec<(u128, Group)>,
    keys: KeyTable,
}

impl State<'_> {
    /// All that is remembered, with a note of the caller's own. The same state gives the same bytes.
    pub fn snapshot(&self, note: &str) -> Result<Vec<u8>, SnapshotFault> {
        let of_rule = |rule: &RuleIndex| {
            let pre = &self.set.rules()[rule.0 as usize];
            let state = &self.rules[rule.0 as usize];
            RuleKept {
                id: pre.rule.id.to_string(),
                memory_version: pre.memory_version.clone(),
                released: state.released,
                began: state.began,
                counters: state.counters.clone(),
                shards: state.shards.iter().map(ShardKept::of).collect(),
                open: state.suppression.kept(),
            }
        };
        let kept = SnapshotKept {
            note: note.to_owned(),
            counters: self.counters.clone(),
            rules: self.set.remembering().iter().map(of_rule).collect(),
        };
        let payload = postcard::to_allocvec(&kept).map_err(SnapshotFault::Content)?;
        Ok(seal(&payload))
    }

    /// Goes on from a snapshot. Only for a state that has seen nothing yet.
    pub fn restore(&mut self, bytes: &[u8]) -> Result<Restored, SnapshotFault> {
        let payload = open(bytes)?;
        let kept: SnapshotKept = postcard::from_bytes(payload).map_err(SnapshotFault::Content)?;
        let by_id: BTreeMap<String, RuleIndex> = self
            .set
            .remembering()
            .iter()
            .map(|rule| (self.set.rules()[rule.0 as usize].rule.id.to_string(), *rule))
            .collect();
        let mut rules = Vec::with_capacity(kept.rules.len());
        for one in kept.rules {
            let id = one.id.clone();
            let became = match by_id.get(&one.id) {
                None => Kept::Gone,
                Some(rule) => self.restore_rule(*rule, one),
            };
            rules.push((id, became));
        }
        self.counters = kept.counters;
        Ok(Restored {
            rules,
            note: kept.note,
        })
    }

    fn restore_rule(&mut self, rule: RuleIndex, kept: RuleKept) -> Kept {
        let pre = &self.set.rules()[rule.0 as usize];
        if kept.memory_version != pre.memory_version || kept.shards.len() != SHARDS {
            return Kept::Changed;
        }
        let state = &mut self.rules[rule.0 as usize];
        state.released = kept.released;
        state.began = kept.began;
        state.counters = kept.counters;
        for (shard, kept) in state.shards.iter_mut().zip(kept.shards) {
            *shard = kept.into_shard();
            self.pending_bytes += shard
                .pending
                .values()
                .map(|held| held.bytes as usize)
                .sum::<usize>();
            self.group_bytes += shard
                .groups
                .values()
                .map(|group| group.bytes as usize)
                .sum::<usize>();
            self.group_bytes += shard.keys.heap_bytes();
        }
        for open in kept.open {
            let Ok(finding) = serde_json::from_str(&open.finding) else {
                continue;
            };
            let told = Told {
                rule,
                finding,
                event: open.event,
            };
            let group = open.group;
            state.suppression.reopen(open.key, Open { group, told });
        }
        Kept::Kept
    }
}

impl ShardKept {
    fn of(shard: &Shard) -> Self {
        let mut groups: Vec<(u128, Group)> = shard
            .groups
            .iter()
            .map(|(key, group)| (*key, group.clone()))
            .collect();
        groups.sort_by_key(|(key, _)| *key);
        Self {
            pending: shard
                .pending
                .iter()
                .map(|(key, held)| (key.clone(), held.clone()))
                .collect(),
            groups,
            keys: shard.keys.clone(),
        }
    }

    fn into_shard(self) -> Shard {
        let timers = self
            .groups
            .iter()
            .filter_map(|(key, group)| Some((group.timer?, *key)))
            .collect();
        Shard {
            pending: self.pending.into_iter().collect(),
            groups: self.groups.into_iter().collect(),
            timers,
            keys: self.keys,
        }
    }
}
