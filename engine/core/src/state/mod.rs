//! What rules remember: observations in, findings out, in the order of event time.
//!
//! ```text
//!  observe ─▶ pending (by time) ─▶ advance ─▶ groups, timers ─▶ detections ─▶ suppression ─▶ findings
//!                                                   ▲                │
//!                                                   └── other rules ─┘
//! ```
//!
//! Events arrive in any order, some late, some twice. Observations wait until the time up to which a rule wants to be
//! complete has passed (`advance`), and are then seen in the order of event time, each once. So what is found
//! depends on the events and not on their arrival, as long as none comes later than its rule allows; later ones
//! are counted and left out. Rejected: acting on arrival and taking findings back, which people cannot un-see.
//!
//! State is divided by the hash of the group into shards that know nothing of each other, so that they can be given
//! to different workers. Relies on `evaluate` for everything about events and on `rule::kind` for the steps. Reads no
//! clock: the caller says how far time has come. Every table has a bound with a counted way to give way.

mod counters;
mod group;
mod key_table;
mod release;
mod shard;
mod snapshot;
mod suppression;
#[cfg(test)]
mod tests;
mod watermark;

pub use counters::{RuleCounters, StateCounters};
pub use snapshot::{Kept, Restored, SnapshotFault};
pub use watermark::Watermark;

use crate::evaluate::{
    Evaluator, OWN_DETECTION, Observation, Observations, Parsers, RuleIndex, RuleSet,
};
use crate::limits::{SHARDS, STATE_BYTES_DEFAULT};
use crate::rule::kind::{EventTime, Period, StoredEvent};
use crate::wire::Finding;
use shard::{Held, HeldKey, Shard};
use std::sync::Arc;
use suppression::Suppression;

/// When findings are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Telling {
    /// Each once, when nothing more can be counted on it.
    Once,
    /// As soon as it is found, and again when something was counted on it.
    AtOnce,
}

/// How state is kept.
#[derive(Clone, Copy, Debug)]
pub struct StateSettings {
    /// About how many bytes it may take.
    pub bytes_max: usize,
    /// When findings are told.
    pub telling: Telling,
    /// Events later than this are broken clocks; they are counted and left out.
    pub future: EventTime,
}

impl Default for StateSettings {
    fn default() -> Self {
        Self {
            bytes_max: STATE_BYTES_DEFAULT,
            telling: Telling::Once,
            future: EventTime::MAX,
        }
    }
}

/// A finding of a rule that remembers.
#[derive(Clone, Debug, PartialEq)]
pub struct Told {
    /// The rule.
    pub rule: RuleIndex,
    /// What was found.
    pub finding: Finding,
    /// The event that it is about.
    pub event: Arc<StoredEvent>,
}

/// The state of one rule.
struct RuleState {
    shards: Vec<Shard>,
    suppression: Suppression,
    /// Everything up to here has been seen.
    released: EventTime,
    /// Time of the first event, from which the rule learns.
    began: Option<EventTime>,
    /// How much later than others its detections come: lateness of its inputs and its own.
    lateness: Period,
    counters: RuleCounters,
    /// Observations seen since groups were last looked through for what can be forgotten.
    since_sweep: usize,
}

/// What all rules of a rule set remember.
pub struct State<'r> {
    set: &'r RuleSet,
    settings: StateSettings,
    rules: Vec<RuleState>,
    evaluator: Evaluator<'r>,
    parsers: Parsers,
    observations: Observations,
    counters: StateCounters,
    /// Bytes of what is pending, and of groups.
    pending_bytes: usize,
    group_bytes: usize,
    told: Vec<Told>,
}

impl<'r> State<'r> {
    /// Nothing is remembered yet.
    pub fn new(set: &'r RuleSet, settings: StateSettings) -> Self {
        let mut rules: Vec<RuleState> = set.rules().iter().map(|_| RuleState::default()).collect();
        for rule in set.remembering() {
            let pre = &set.rules()[rule.0 as usize];
            let inputs = set
                .fed_by(*rule)
                .map(|from| rules[from.0 as usize].lateness)
                .max();
            let own = pre
                .rule
                .memory
                .as_ref()
                .map_or(DEFAULT_LATENESS, |memory| memory.lateness);
            let state = &mut rules[rule.0 as usize];
            let fed = inputs.unwrap_or(Period::ZERO);
            state.lateness = if pre.rule.inputs.iter().all(|input| input.rules.is_empty()) {
                own
            } else {
                // What feeds the rule comes complete, and only waits for the others that feed it.
                own.max(fed)
            };
            state.shards = (0..SHARDS).map(|_| Shard::default()).collect();
        }
        Self {
            set,
            settings,
            rules,
            evaluator: Evaluator::new(set),
            parsers: Parsers::default(),
            observations: Observations::default(),
            counters: StateCounters::default(),
            pending_bytes: 0,
            group_bytes: 0,
            told: Vec::new(),
        }
    }

    /// How it is kept.
    pub fn settings(&self) -> &StateSettings {
        &self.settings
    }

    /// Whether any rule remembers anything.
    pub fn is_needed(set: &RuleSet) -> bool {
        !set.remembering().is_empty()
    }

    /// Takes what was observed of an event. Nothing is found before `advance`.
    pub fn observe(&mut self, event: &Arc<StoredEvent>, observations: &[Observation]) {
        if event.time > self.settings.future {
            self.counters.future += 1;
            return;
        }
        let share = event.heap_bytes() / observations.len().max(1);
        for observation in observations {
            self.hold(event, observation, share);
        }
        if self.pending_bytes > self.settings.bytes_max / 2 {
            self.release_half();
        }
    }

    fn hold(&mut self, event: &Arc<StoredEvent>, observation: &Observation, share: usize) {
        let pre = &self.set.rules()[observation.rule.0 as usize];
        let state = &mut self.rules[observation.rule.0 as usize];
        if event.time <= state.released {
            state.counters.late += 1;
            return;
        }
        state.counters.observed += 1;
        let rank = if observation.input == OWN_DETECTION {
            0
        } else {
            pre.rank(observation.input)
        };
        let key = HeldKey {
            time: event.time,
            rank,
            event: event.key.clone(),
            detected_by: observation.detected_by,
            input: observation.input,
            group: observation.group,
        };
        let bytes = share + size_of::<(HeldKey, Held)>() + 16;
        let held = Held {
            event: event.clone(),
            captured: observation.captured,
            bytes: bytes as u32,
        };
        let shard = &mut state.shards[shard_of(observation.group)];
        if shard.pending.insert(key, held).is_none() {
            self.pending_bytes += bytes;
        } else {
            state.counters.observed -= 1;
            state.counters.duplicates += 1;
        }
    }

    /// The rule could not be told of an event, for this reason.
    pub fn fault(&mut self, rule: RuleIndex, reason: &str) {
        self.rules[rule.0 as usize].counters.fault(reason);
    }

    /// An event without a time cannot be put in order.
    pub fn timeless(&mut self) {
        self.counters.timeless += 1;
    }

    /// Groups beyond the bound for one event were left out.
    pub fn groups_cut(&mut self, count: u64) {
        self.counters.groups_cut += count;
    }

    /// What was found since the last call, in the order of time.
    pub fn take_told(&mut self) -> Vec<Told> {
        let mut told = std::mem::take(&mut self.told);
        told.sort_by(|left, right| {
            let key = |one: &Told| {
                (
                    one.finding.event_time.clone(),
                    one.rule,
                    one.finding.finding_id.clone(),
                )
            };
            key(left).cmp(&key(right))
        });
        told
    }

    /// What became of everything, so far.
    pub fn counters(&self) -> StateCounters {
        let mut counters = self.counters.clone();
        counters.pending_bytes = self.pending_bytes as u64;
        counters.group_bytes = self.group_bytes as u64;
        for (rule, state) in self.set.rules().iter().zip(&self.rules) {
            if rule.rule.remembers() {
                let mut one = state.counters.clone();
                one.pending = state
                    .shards
                    .iter()
                    .map(|shard| shard.pending.len() as u64)
                    .sum();
                one.groups = state.shards.iter().map(|shard| shard.len() as u64).sum();
                counters.rules.push((rule.rule.id.to_string(), one));
            }
        }
        counters
    }
}

/// How late detections may come whose rule only suppresses.
const DEFAULT_LATENESS: Period = Period::from_seconds(crate::limits::LATENESS_SECONDS_DEFAULT);

/// The shard of a group.
pub(crate) fn shard_of(group: u128) -> usize {
    (group >> 120) as usize % SHARDS
}

impl Default for RuleState {
    fn default() -> Self {
        Self {
            shards: Vec::new(),
            suppression: Suppression::default(),
            released: EventTime::MIN,
            began: None,
            lateness: Period::ZERO,
            counters: RuleCounters::default(),
            since_sweep: 0,
        }
    }
}
