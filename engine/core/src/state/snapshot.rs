//! All that is remembered, as bytes, and back.
//!
//! A snapshot names each rule with the version of what gives meaning to its memory. On restoring, a rule whose
//! version is the same keeps its memory, also when its title, severity, threshold or window changed: what a longer
//! window or a higher threshold would have kept and the old one did not is missing until it fills again. A
//! rule whose version differs begins anew, and is named. Memory is never read under another meaning. The memory of
//! a rule that is not in force, because it is off, has a mistake or was not given, is carried along as
//! it is, up to [`ABSENT_SECONDS_MAX`] of event time and a quarter of the memory allowed: who mends the rule finds it where it was.
//!
//! Rules are written one shard after the other, so that nothing large is there twice. Events that wait come after them,
//! each once with all that was observed of it, however many rules wait for it.

use super::group::{Group, GroupMemory};
use super::key_table::KeyTable;
use super::lane::{Held, HeldKey};
use super::shard::Shard;
use super::suppression::{Open, OpenKept};
use super::{RuleCounters, RuleState, State, StateCounters, Told};
use crate::evaluate::{OWN_DETECTION, Observation, RuleIndex};
use crate::limits::{ABSENT_SECONDS_MAX, SHARDS};
use crate::rule::kind::{Captured, EventKey, EventTime, Period, StoredEvent};
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
    /// It is not among the rules in force; its memory is carried along.
    Absent,
    /// It was not among the rules in force for too long; its memory is dropped.
    Gone,
    /// It is not among the rules in force, whose memory is short; its own is dropped.
    Crowded,
}

/// What became of a snapshot.
#[derive(Clone, Debug, PartialEq)]
pub struct Restored {
    /// Each rule of the snapshot, by id.
    pub rules: Vec<(String, Kept)>,
    /// Findings of rules that are gone for good, which were open and are ended by that.
    pub ended: Vec<Finding>,
    /// What the caller kept with it.
    pub note: String,
}

#[derive(Serialize, Deserialize)]
struct HeadKept {
    note: String,
    counters: StateCounters,
    rules: u64,
    events: u64,
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
    groups: Vec<(u128, Group)>,
    keys: KeyTable,
}

/// An event that waits, with what was observed of it.
#[derive(Serialize, Deserialize)]
struct WaitingKept {
    event: Arc<StoredEvent>,
    observed: Vec<ObservedKept>,
}

/// An observation that waits.
#[derive(Clone, Serialize, Deserialize)]
struct ObservedKept {
    /// The number of its rule in the snapshot.
    rule: u64,
    rank: u16,
    detected_by: u64,
    input: u16,
    group: u128,
    captured: Captured,
    bytes: u32,
}

/// What is carried along of a rule that is not in force.
pub(super) struct Absent {
    kept: RuleKept,
    /// Its shards, as they were written.
    shards: Vec<u8>,
    waiting: Vec<(Arc<StoredEvent>, ObservedKept)>,
}

impl Absent {
    /// The last event time that means anything to it.
    fn last(&self) -> EventTime {
        let waiting = self.waiting.iter().map(|(event, _)| event.time);
        waiting.fold(self.kept.released, EventTime::max)
    }

    /// About how many bytes it takes.
    fn bytes(&self) -> usize {
        let waiting = self.waiting.iter().map(|(event, _)| event.heap_bytes());
        size_of::<Self>() + self.shards.len() + waiting.sum::<usize>()
    }
}

/// A rule as it was read.
struct RuleRead<'b> {
    kept: RuleKept,
    shards: Vec<Shard>,
    as_written: &'b [u8],
}

impl State<'_> {
    /// All that is remembered, with a note of the caller's own. The same state gives the same bytes. What was found
    /// is not in it: the caller takes it before.
    pub fn snapshot(&self, note: &str) -> Result<Vec<u8>, SnapshotFault> {
        let waiting = self.waiting();
        let head = HeadKept {
            note: note.to_owned(),
            counters: self.counters.clone(),
            rules: (self.set.remembering().len() + self.absent.len()) as u64,
            events: waiting.len() as u64,
        };
        let mut bytes = write(begin(), &head)?;
        for rule in self.set.remembering() {
            bytes = write(bytes, &self.rule_kept(*rule))?;
            let state = &self.rules[rule.0 as usize];
            for (number, shard) in state.shards.iter().enumerate() {
                let whole = if number == 0 { whole(state) } else { None };
                bytes = write(bytes, &ShardKept::of(shard, whole))?;
            }
        }
        for absent in &self.absent {
            bytes = write(bytes, &absent.kept)?;
            bytes.extend_from_slice(&absent.shards);
        }
        for (_, (event, observed)) in waiting {
            bytes = write(
                bytes,
                &WaitingKept {
                    event: event.clone(),
                    observed,
                },
            )?;
        }
        Ok(seal(bytes))
    }

    fn rule_kept(&self, rule: RuleIndex) -> RuleKept {
        let pre = &self.set.rules()[rule.0 as usize];
        let state = &self.rules[rule.0 as usize];
        RuleKept {
            id: pre.rule.id.to_string(),
            memory_version: pre.memory_version.clone(),
            suppress_key: pre.suppress_key(),
            released: self.released(rule),
            began: state.began,
            since_sweep: state.since_sweep,
            counters: state.counters.clone(),
            open: state.suppression.kept(),
            shards: state.shards.len() as u64,
        }
    }

    /// Every event that waits, each once with all that was observed of it.
    fn waiting(&self) -> BTreeMap<EventName<'_>, (&Arc<StoredEvent>, Vec<ObservedKept>)> {
        let numbers: BTreeMap<RuleIndex, u64> =
            self.set.remembering().iter().copied().zip(0u64..).collect();
        let held = self.lanes.iter().flat_map(|lane| &lane.waiting);
        let in_force = held.map(|(key, held)| {
            let observed = ObservedKept {
                rule: numbers.get(&key.rule).copied().unwrap_or(u64::MAX),
                rank: key.rank,
                detected_by: key.detected_by,
                input: key.input,
                group: key.group,
                captured: held.captured,
                bytes: held.bytes,
            };
            (&held.event, observed)
        });
        let absent = (self.set.remembering().len() as u64..).zip(&self.absent);
        let absent = absent.flat_map(|(rule, absent)| {
            let own = absent.waiting.iter();
            own.map(move |(event, observed)| {
                let observed = observed.clone();
                (event, ObservedKept { rule, ..observed })
            })
        });
        let mut waiting: BTreeMap<EventName<'_>, (&Arc<StoredEvent>, Vec<ObservedKept>)> =
            BTreeMap::new();
        for (event, observed) in in_force.chain(absent) {
            let (_, all) = waiting
                .entry(name_of(event))
                .or_insert_with(|| (event, Vec::new()));
            all.push(observed);
        }
        waiting
    }

    /// Goes on from a snapshot. Only for a state that has seen nothing yet.
    pub fn restore(&mut self, bytes: &[u8]) -> Result<Restored, SnapshotFault> {
        let mut payload = open(bytes)?;
        let head: HeadKept = read(&mut payload)?;
        let mut rules = Vec::new();
        for _ in 0..head.rules {
            rules.push(RuleRead::read(&mut payload)?);
        }
        let mut waiting: Vec<WaitingKept> = Vec::new();
        for _ in 0..head.events {
            waiting.push(read(&mut payload)?);
        }
        let became: Vec<Became> = rules.iter().map(|rule| self.became(rule)).collect();
        let observed = waiting.iter().flat_map(|one| &one.observed);
        let is_sound = |one: &ObservedKept| match became.get(one.rule as usize) {
            Some(Became::Kept(rule)) => {
                let inputs = self.set.rules()[rule.0 as usize].rule.inputs.len();
                one.input == OWN_DETECTION || usize::from(one.input) < inputs
            }
            other => other.is_some(),
        };
        if !payload.is_empty() || !observed.into_iter().all(is_sound) {
            return Err(unreadable());
        }
        // Nothing failed, so that from here on all of it is taken over.
        let mut restored = Restored {
            rules: Vec::with_capacity(rules.len()),
            ended: Vec::new(),
            note: head.note,
        };
        let newest = rules.iter().map(|rule| rule.kept.released).max();
        let mut absent: BTreeMap<u64, Absent> = BTreeMap::new();
        for ((number, rule), became) in (0u64..).zip(rules).zip(&became) {
            let id = rule.kept.id.clone();
            let kept = match became {
                Became::Kept(to) => self.restore_rule(*to, rule),
                Became::Changed(to) => self.end_rule(*to, rule),
                Became::Absent => {
                    absent.insert(number, rule.into_absent());
                    continue;
                }
            };
            restored.rules.push((id, kept));
        }
        self.restore_waiting(waiting, &became, &mut absent);
        for one in absent.into_values() {
            self.carry(one, newest, &mut restored);
        }
        self.counters = head.counters;
        Ok(restored)
    }

    fn became(&self, read: &RuleRead<'_>) -> Became {
        let mut remembering = self.set.remembering().iter();
        let of_id =
            |rule: &&RuleIndex| self.set.rules()[rule.0 as usize].rule.id.as_str() == read.kept.id;
        match remembering.find(of_id) {
            None => Became::Absent,
            Some(rule) => {
                let version = &self.set.rules()[rule.0 as usize].memory_version;
                if read.kept.memory_version == *version && read.shards.len() == SHARDS {
                    Became::Kept(*rule)
                } else {
                    Became::Changed(*rule)
                }
            }
        }
    }

    fn restore_rule(&mut self, rule: RuleIndex, read: RuleRead<'_>) -> Kept {
        let same_key = read.kept.suppress_key == self.set.rules()[rule.0 as usize].suppress_key();
        let RuleRead {
            kept, mut shards, ..
        } = read;
        if !self.restore_insight(rule, &mut shards) || !self.restore_profile(rule, &mut shards) {
            return Kept::Changed;
        }
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
        let state = &mut self.rules[rule.0 as usize];
        state.released = kept.released;
        state.began = kept.began;
        state.since_sweep = kept.since_sweep;
        state.counters = kept.counters;
        state.shards = shards;
        let lane = &mut self.lanes[state.lane];
        lane.closing = EventTime::MIN;
        for shard in &state.shards {
            let timers = shard.groups.iter();
            let timers = timers.filter_map(|(group, one)| Some((one.timer?, rule, *group)));
            lane.timers.extend(timers);
        }
        self.measure_all(rule.0 as usize);
        Kept::Kept
    }

    /// Nothing will be counted on open findings of a rule that looks at something else now.
    fn end_rule(&mut self, rule: RuleIndex, read: RuleRead<'_>) -> Kept {
        for open in read.kept.open {
            if let Some(open) = open.into_open(rule) {
                self.close(open.ended());
            }
        }
        Kept::Changed
    }

    fn restore_waiting(
        &mut self,
        waiting: Vec<WaitingKept>,
        became: &[Became],
        absent: &mut BTreeMap<u64, Absent>,
    ) {
        for WaitingKept { event, observed } in waiting {
            for one in observed {
                match became.get(one.rule as usize) {
                    Some(Became::Kept(rule)) => self.hold_again(*rule, &event, &one),
                    Some(Became::Absent) => {
                        if let Some(absent) = absent.get_mut(&one.rule) {
                            absent.waiting.push((event.clone(), one));
                        }
                    }
                    _ => {}
                }
            }
        }
    }

    fn hold_again(&mut self, rule: RuleIndex, event: &Arc<StoredEvent>, kept: &ObservedKept) {
        let observation = Observation {
            rule,
            input: kept.input,
            detected_by: kept.detected_by,
            group: kept.group,
            captured: kept.captured,
        };
        let held = Held {
            event: event.clone(),
            captured: kept.captured,
            bytes: kept.bytes,
        };
        let state = &mut self.rules[rule.0 as usize];
        state.pending += 1;
        self.pending_bytes += kept.bytes as usize;
        let key = HeldKey::new(event, &observation, kept.rank);
        self.lanes[state.lane].waiting.insert(key, held);
    }

    /// A rule is not in force: its memory is carried along, unless time has gone on for too long without it.
    fn carry(&mut self, absent: Absent, newest: Option<EventTime>, restored: &mut Restored) {
        let oldest = newest.map(|newest| newest.minus(Period::from_seconds(ABSENT_SECONDS_MAX)));
        let id = absent.kept.id.clone();
        let mut became = Kept::Gone;
        if oldest.is_none_or(|oldest| absent.last() >= oldest) {
            // It cannot give way by parts, and those in force come first.
            let carried: usize = self.absent.iter().map(Absent::bytes).sum();
            if carried + absent.bytes() <= self.settings.bytes_max / ABSENT_SHARE {
                self.rules_bytes += absent.bytes();
                self.absent.push(absent);
                restored.rules.push((id, Kept::Absent));
                return;
            }
            became = Kept::Crowded;
        }
        let open = absent.kept.open.into_iter();
        let ended = open.filter_map(|open| Some(open.into_open(NO_RULE)?.ended()));
        restored.ended.extend(ended.map(|told| told.finding));
        restored.rules.push((id, became));
    }
}

/// Of all memory allowed, the part that rules may take that are not in force: one in so many.
const ABSENT_SHARE: usize = 4;

/// What a rule of a snapshot is among those in force.
enum Became {
    Kept(RuleIndex),
    Changed(RuleIndex),
    Absent,
}

/// What a rule remembers that is in no shard; written as a group of the first.
fn whole(state: &RuleState) -> Option<GroupMemory> {
    if let Some(insight) = &state.insight {
        return Some(GroupMemory::Insight(insight.to_bytes()));
    }
    let profile = state.profile.as_ref()?;
    Some(GroupMemory::Entities(profile.snapshot()))
}

fn unreadable() -> SnapshotFault {
    SnapshotFault::Content(postcard::Error::DeserializeBadEncoding)
}

/// What tells events apart that wait.
type EventName<'s> = (&'s EventKey, EventTime, &'s [u8], &'s str);

fn name_of(event: &StoredEvent) -> EventName<'_> {
    (&event.key, event.time, &event.bytes, &event.origin)
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

impl<'b> RuleRead<'b> {
    fn read(payload: &mut &'b [u8]) -> Result<Self, SnapshotFault> {
        let kept: RuleKept = read(payload)?;
        let before = *payload;
        let mut shards = Vec::new();
        for _ in 0..kept.shards {
            let shard: ShardKept = read(payload)?;
            shards.push(shard.into_shard());
        }
        let as_written = &before[..before.len() - payload.len()];
        Ok(Self {
            kept,
            shards,
            as_written,
        })
    }

    fn into_absent(self) -> Absent {
        Absent {
            kept: self.kept,
            shards: self.as_written.to_vec(),
            waiting: Vec::new(),
        }
    }
}

impl ShardKept {
    fn of(shard: &Shard, whole: Option<GroupMemory>) -> Self {
        let groups = shard.groups.iter();
        let mut groups: Vec<(u128, Group)> = groups
            .map(|(key, group)| (*key, (**group).clone()))
            .collect();
        groups.sort_by_key(|(key, _)| *key);
        groups.extend(whole.map(|memory| (0, Group::written(memory))));
        Self {
            groups,
            keys: shard.keys.clone(),
        }
    }

    fn into_shard(self) -> Shard {
        let mut shard = Shard {
            keys: self.keys,
            ..Shard::default()
        };
        for (key, group) in self.groups {
            shard.restore(key, group);
        }
        shard
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
