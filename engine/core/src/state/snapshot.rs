//! All that is remembered, as bytes, and back.
//!
//! A snapshot names each rule with the version of what gives meaning to its memory. On restoring, a rule whose
//! version is the same keeps its memory, also when its title, severity, threshold or window changed: what a longer
//! window or a higher threshold would have kept and the old one did not is missing until it fills again. A
//! rule whose version differs begins anew, and is named. Memory is never read under another meaning.
//!
//! Written and read one shard after the other, so that nothing large is there twice. Events that wait are written once,
//! however many rules wait for them.

use super::group::Group;
use super::key_table::KeyTable;
use super::shard::{Held, HeldKey, Shard};
use super::suppression::{Open, OpenKept};
use super::{RuleCounters, State, StateCounters, Told};
use crate::evaluate::RuleIndex;
use crate::limits::SHARDS;
use crate::rule::kind::{Captured, EventKey, EventTime, StoredEvent};
use crate::wire::Finding;
use crate::wire::snapshot::{EnvelopeFault, begin, open, seal};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;
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
#[derive(Clone, Debug, PartialEq)]
pub struct Restored {
    /// Each rule of the snapshot, by id.
    pub rules: Vec<(String, Kept)>,
    /// Findings of rules that are gone, which were open and are ended by that.
    pub ended: Vec<Finding>,
    /// What the caller kept with it.
    pub note: String,
}

#[derive(Serialize, Deserialize)]
struct HeadKept {
    note: String,
    counters: StateCounters,
    rules: u64,
}

/// A rule, before its shards.
#[derive(Serialize, Deserialize)]
struct RuleKept {
    id: String,
    memory_version: String,
    suppress_key: Vec<String>,
    released: EventTime,
    began: Option<EventTime>,
    since_sweep: u64,
    counters: RuleCounters,
    open: Vec<OpenKept>,
    shards: u64,
}

#[derive(Serialize, Deserialize)]
struct ShardKept {
    /// Events that were not written before.
    events: Vec<Arc<StoredEvent>>,
    pending: Vec<PendingKept>,
    groups: Vec<(u128, Group)>,
    keys: KeyTable,
}

/// An observation that waits, with the number of its event among all written ones.
#[derive(Serialize, Deserialize)]
struct PendingKept {
    event: u64,
    rank: u16,
    detected_by: u64,
    input: u16,
    group: u128,
    captured: Captured,
    bytes: u32,
}

/// A rule as it was read.
struct RuleRead {
    kept: RuleKept,
    shards: Vec<Shard>,
}

impl State<'_> {
    /// All that is remembered, with a note of the caller's own. The same state gives the same bytes. What was found
    /// is not in it: the caller takes it before.
    pub fn snapshot(&self, note: &str) -> Result<Vec<u8>, SnapshotFault> {
        let head = HeadKept {
            note: note.to_owned(),
            counters: self.counters.clone(),
            rules: self.set.remembering().len() as u64,
        };
        let mut bytes = write(begin(), &head)?;
        let mut events = EventsWritten::default();
        for rule in self.set.remembering() {
            let pre = &self.set.rules()[rule.0 as usize];
            let state = &self.rules[rule.0 as usize];
            let key = pre.suppress_key().into_iter().map(str::to_owned);
            let kept = RuleKept {
                id: pre.rule.id.to_string(),
                memory_version: pre.memory_version.clone(),
                suppress_key: key.collect(),
                released: state.released,
                began: state.began,
                since_sweep: state.since_sweep,
                counters: state.counters.clone(),
                open: state.suppression.kept(),
                shards: state.shards.len() as u64,
            };
            bytes = write(bytes, &kept)?;
            for shard in &state.shards {
                bytes = write(bytes, &ShardKept::of(shard, &mut events))?;
            }
        }
        Ok(seal(bytes))
    }

    /// Goes on from a snapshot. Only for a state that has seen nothing yet.
    pub fn restore(&mut self, bytes: &[u8]) -> Result<Restored, SnapshotFault> {
        let mut payload = open(bytes)?;
        let head: HeadKept = read(&mut payload)?;
        let (mut read_rules, mut events) = (Vec::new(), Vec::new());
        for _ in 0..head.rules {
            let kept: RuleKept = read(&mut payload)?;
            let mut shards = Vec::new();
            for _ in 0..kept.shards {
                let shard: ShardKept = read(&mut payload)?;
                shards.push(shard.into_shard(&mut events)?);
            }
            read_rules.push(RuleRead { kept, shards });
        }
        if !payload.is_empty() {
            return Err(SnapshotFault::Content(
                postcard::Error::DeserializeBadEncoding,
            ));
        }
        // Nothing failed, so that from here on all of it is taken over.
        let by_id: BTreeMap<String, RuleIndex> = self
            .set
            .remembering()
            .iter()
            .map(|rule| (self.set.rules()[rule.0 as usize].rule.id.to_string(), *rule))
            .collect();
        let mut restored = Restored {
            rules: Vec::with_capacity(read_rules.len()),
            ended: Vec::new(),
            note: head.note,
        };
        for one in read_rules {
            let id = one.kept.id.clone();
            let became = match by_id.get(&id) {
                Some(rule) => self.restore_rule(*rule, one),
                None => {
                    let open = one.kept.open.into_iter();
                    let ended = open.filter_map(|open| Some(open.into_open(NO_RULE)?.ended()));
                    restored.ended.extend(ended.map(|told| told.finding));
                    Kept::Gone
                }
            };
            restored.rules.push((id, became));
        }
        self.counters = head.counters;
        Ok(restored)
    }

    fn restore_rule(&mut self, rule: RuleIndex, read: RuleRead) -> Kept {
        let pre = &self.set.rules()[rule.0 as usize];
        let RuleRead { kept, shards } = read;
        let inputs = pre.rule.inputs.len();
        let is_same = kept.memory_version == pre.memory_version
            && shards.len() == SHARDS
            && shards.iter().all(|shard| shard.is_of(inputs));
        let same_key = is_same && kept.suppress_key == pre.suppress_key();
        for open in kept.open {
            let key = open.key;
            let Some(open) = open.into_open(rule) else {
                continue;
            };
            // Under another key nothing could be counted on it any more.
            if same_key {
                self.rules[rule.0 as usize].suppression.reopen(key, open);
            } else {
                self.close(open.ended());
            }
        }
        if is_same {
            let state = &mut self.rules[rule.0 as usize];
            state.released = kept.released;
            state.due = EventTime::MIN;
            state.began = kept.began;
            state.since_sweep = kept.since_sweep;
            state.counters = kept.counters;
            state.shards = shards;
            let waiting = state.shards.iter().flat_map(|shard| shard.pending.values());
            self.pending_bytes += waiting.map(|held| held.bytes as usize).sum::<usize>();
        }
        self.measure(rule.0 as usize);
        if is_same { Kept::Kept } else { Kept::Changed }
    }
}

/// Stands for the rule of a finding whose rule is gone.
const NO_RULE: RuleIndex = RuleIndex(u32::MAX);

fn write(bytes: Vec<u8>, kept: &impl Serialize) -> Result<Vec<u8>, SnapshotFault> {
    postcard::to_extend(kept, bytes).map_err(SnapshotFault::Content)
}

fn read<'b, T: Deserialize<'b>>(bytes: &mut &'b [u8]) -> Result<T, SnapshotFault> {
    let (kept, rest) = postcard::take_from_bytes(bytes).map_err(SnapshotFault::Content)?;
    *bytes = rest;
    Ok(kept)
}

/// Numbers of the events that were written.
#[derive(Default)]
struct EventsWritten<'s> {
    numbers: BTreeMap<(&'s EventKey, EventTime, &'s [u8], &'s str), u64>,
}

impl ShardKept {
    fn of<'s>(shard: &'s Shard, written: &mut EventsWritten<'s>) -> Self {
        let mut groups: Vec<(u128, Group)> = shard
            .groups
            .iter()
            .map(|(key, group)| (*key, group.clone()))
            .collect();
        groups.sort_by_key(|(key, _)| *key);
        let mut events = Vec::new();
        let of_held = |(key, held): (&HeldKey, &'s Held)| {
            let event = &*held.event;
            let next = written.numbers.len() as u64;
            let name = (&event.key, event.time, &*event.bytes, &*event.origin);
            let number = *written.numbers.entry(name).or_insert_with(|| {
                events.push(held.event.clone());
                next
            });
            PendingKept {
                event: number,
                rank: key.rank,
                detected_by: key.detected_by,
                input: key.input,
                group: key.group,
                captured: held.captured,
                bytes: held.bytes,
            }
        };
        let pending = shard.pending.iter().map(of_held).collect();
        Self {
            events,
            pending,
            groups,
            keys: shard.keys.clone(),
        }
    }

    fn into_shard(self, events: &mut Vec<Arc<StoredEvent>>) -> Result<Shard, SnapshotFault> {
        events.extend(self.events);
        let mut shard = Shard {
            keys: self.keys,
            ..Shard::default()
        };
        for one in self.pending {
            let event = usize::try_from(one.event)
                .ok()
                .and_then(|at| events.get(at));
            let event = event.ok_or(SnapshotFault::Content(
                postcard::Error::DeserializeBadEncoding,
            ))?;
            let key = HeldKey {
                time: event.time,
                rank: one.rank,
                event: event.key.clone(),
                detected_by: one.detected_by,
                input: one.input,
                group: one.group,
                value: super::shard::value_of(one.captured),
            };
            let held = Held {
                event: event.clone(),
                captured: one.captured,
                bytes: one.bytes,
            };
            shard.pending.insert(key, held);
        }
        for (key, mut group) in self.groups {
            group.bytes = group.heap_bytes_kept();
            shard.group_heap += group.bytes as usize;
            shard.timers.extend(group.timer.map(|timer| (timer, key)));
            shard.groups.insert(key, group);
        }
        Ok(shard)
    }
}

impl OpenKept {
    /// Nothing when it cannot be read, which only a tampered snapshot can bring about.
    fn into_open(self, rule: RuleIndex) -> Option<Open> {
        let finding = serde_json::from_str(&self.finding).ok()?;
        let told = Told {
            rule,
            finding,
            event: self.event,
        };
        let group = self.group;
        Some(Open { group, told })
    }
}
