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
//! What waits is in one *lane* for all rules that wait equally long. What is remembered is in one place for each rule
//! and divided by the hash of the group into shards that know nothing of each other, so that they can be given
//! to different workers. Relies on `evaluate` for everything about events and on `rule::kind` for the steps. Reads no
//! clock: the caller says how far time has come. Every table has a bound with a counted way to give way.

mod counters;
mod group;
mod insight;
mod key_table;
mod lane;
mod memory;
mod release;
mod scored;
mod shard;
mod snapshot;
mod suppression;
mod tell;
mod watermark;

pub use counters::{RuleCounters, StateCounters};
pub use snapshot::{Kept, Restored, SnapshotFault};
pub use watermark::Watermark;

use crate::evaluate::{
    Evaluator, OWN_DETECTION, Observation, Observations, Parsers, RuleIndex, RuleSet,
};
use crate::event::Parser;
use crate::insight::entity::Entities;
use crate::insight::{Record, SeriesMemory};
use crate::limits::{SHARDS, STATE_BYTES_DEFAULT};
use crate::rule::kind::{Captured, EventTime, Kind, Period, StoredEvent};
use crate::wire::Finding;
use group::GroupMemory;
use lane::{HELD_BYTES, Held, HeldKey, Lane};
use scored::{LastKnown, SeenNow};
use shard::Shard;
use snapshot::Absent;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
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
    /// The series of an insight.
    insight: Option<Box<SeriesMemory>>,
    /// What the entities of a profile usually do.
    profile: Option<Box<Entities>>,
    /// The number of its lane.
    lane: usize,
    /// What it saw before its lane began: everything up to here.
    released: EventTime,
    /// Time of the first event, from which the rule learns.
    began: Option<EventTime>,
    /// What waits for it.
    pending: u64,
    /// It is among those to be swept.
    to_sweep: bool,
    /// Values are remembered where their own hash says, not that of their group, of which there may be few.
    placed_by_value: bool,
    counters: RuleCounters,
    /// Observations seen since groups were last looked through for what can be forgotten.
    since_sweep: u64,
    /// What its shards took when they were measured last.
    shard_bytes: usize,
    /// What it takes, what waits not among it.
    bytes: usize,
}

/// What all rules of a rule set remember.
pub struct State<'r> {
    set: &'r RuleSet,
    settings: StateSettings,
    rules: Vec<RuleState>,
    /// Those whose detections others take come first.
    lanes: Vec<Lane>,
    /// What was read from a snapshot and is of rules that are not in force now.
    absent: Vec<Absent>,
    evaluator: Evaluator<'r>,
    /// For the event at hand, and for those of earlier steps.
    parser: Parser,
    parsers: Parsers,
    observations: Observations,
    counters: StateCounters,
    /// Bytes of what waits.
    pending_bytes: usize,
    /// Bytes of all rules.
    rules_bytes: usize,
    /// What profiles found at the present moment.
    seen_now: SeenNow,
    /// What was known of the event that was asked about last, as long as nothing was learnt since.
    last_known: Option<LastKnown>,
    /// Rules that may have groups to forget.
    to_sweep: Vec<RuleIndex>,
    /// Observations seen since memory was last looked at.
    since_looked: usize,
    told: Vec<Told>,
    /// Records of insights since the last call, where somebody wants them.
    records: Option<Vec<Record>>,
}

impl<'r> State<'r> {
    /// Nothing is remembered yet.
    pub fn new(set: &'r RuleSet, settings: StateSettings) -> Self {
        let mut rules: Vec<RuleState> = set.rules().iter().map(|_| RuleState::default()).collect();
        for rule in set.remembering() {
            let state = &mut rules[rule.0 as usize];
            state.shards = (0..SHARDS).map(|_| Shard::default()).collect();
            state.insight = insight::of(set, *rule).map(|of| Box::new(SeriesMemory::new(of)));
            state.profile = scored::profile(set, *rule, &settings).map(Box::new);
            state.placed_by_value = matches!(
                set.rules()[rule.0 as usize].rule.memory.as_ref().map(|memory| &memory.kind),
                Some(Kind::FirstSeen(kind)) if kind.learning_of_group == Period::ZERO
            );
        }
        let lanes = lanes(set, &mut rules);
        Self {
            set,
            settings,
            rules,
            lanes,
            absent: Vec::new(),
            evaluator: Evaluator::new(set),
            parser: Parser::new(),
            parsers: Parsers::default(),
            observations: Observations::default(),
            counters: StateCounters::default(),
            pending_bytes: 0,
            rules_bytes: 0,
            seen_now: SeenNow::default(),
            last_known: None,
            to_sweep: Vec::new(),
            since_looked: 0,
            told: Vec::new(),
            records: None,
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

    /// Takes what was observed of an event. Nothing is found before `advance`. Whether some rule was told of it: none
    /// is of what comes too late, is from the future, or waits already.
    pub fn observe(&mut self, event: &Arc<StoredEvent>, observations: &[Observation]) -> bool {
        if event.time > self.settings.future {
            self.counters.future += 1;
            return false;
        }
        let held = self.hold_all(event, observations);
        if self.pending_bytes > self.settings.bytes_max / 2 {
            self.release_half();
        }
        self.keep_within_memory();
        held
    }

    /// Several rules may hold one event. It is counted where it is held for longest.
    fn hold_all(&mut self, event: &Arc<StoredEvent>, observations: &[Observation]) -> bool {
        let in_time = observations
            .iter()
            .enumerate()
            .filter(|(_, one)| !self.counts(one.rule) && !self.is_profile(one.rule))
            .filter(|(_, one)| event.time > self.released(one.rule));
        let longest = in_time
            .max_by_key(|(_, one)| self.lane_of(one.rule).lateness)
            .map(|(at, _)| at);
        let (mut held, mut bare) = (false, None);
        for (at, observation) in observations.iter().enumerate() {
            if self.is_profile(observation.rule) {
                let bytes = if bare.is_none() { BARE_BYTES } else { 0 };
                let bare = bare.get_or_insert_with(|| Self::bare(event));
                held |= self.hold(bare, observation, bytes + event.key.heap_bytes());
                continue;
            }
            let bytes = if longest == Some(at) {
                event.heap_bytes()
            } else {
                0
            };
            held |= self.hold(event, observation, bytes);
        }
        held
    }

    fn hold(
        &mut self,
        event: &Arc<StoredEvent>,
        observation: &Observation,
        event_bytes: usize,
    ) -> bool {
        if self.counts(observation.rule) {
            return self.count(event, observation);
        }
        let is_late = event.time <= self.released(observation.rule);
        let state = &mut self.rules[observation.rule.0 as usize];
        if is_late {
            state.counters.late += 1;
            return false;
        }
        let rank = if observation.input == OWN_DETECTION {
            0
        } else {
            self.set.rules()[observation.rule.0 as usize].rank(observation.input)
        };
        let key = HeldKey::new(event, observation, rank);
        let bytes = event_bytes + HELD_BYTES;
        match self.lanes[state.lane].waiting.entry(key) {
            Entry::Occupied(_) => {
                state.counters.duplicates += 1;
                false
            }
            Entry::Vacant(entry) => {
                state.counters.observed += 1;
                state.pending += 1;
                self.pending_bytes += bytes;
                entry.insert(Held {
                    event: event.clone(),
                    captured: observation.captured,
                    bytes: u32::try_from(bytes).unwrap_or(u32::MAX),
                });
                true
            }
        }
    }

    fn lane_of(&self, rule: RuleIndex) -> &Lane {
        &self.lanes[self.rules[rule.0 as usize].lane]
    }

    /// Up to when a rule has seen everything.
    fn released(&self, rule: RuleIndex) -> EventTime {
        let state = &self.rules[rule.0 as usize];
        state.released.max(self.lanes[state.lane].released)
    }

    /// The rule could not be told of an event, for this reason.
    pub fn fault(&mut self, rule: RuleIndex, reason: &str) {
        self.rules[rule.0 as usize].counters.fault(reason);
    }

    /// An event claims to have happened well after it came; it is counted and left out.
    pub fn from_the_future(&mut self) {
        self.counters.future += 1;
    }

    /// An event without a time cannot be put in order.
    pub fn timeless(&mut self) {
        self.counters.timeless += 1;
    }

    /// Groups beyond the bound for one event were left out.
    pub fn groups_cut(&mut self, count: u64) {
        self.counters.groups_cut += count;
    }

    /// What was found since the last call, in the order of time. It is the caller's from then on: a snapshot does not
    /// have it.
    pub fn take_told(&mut self) -> Vec<Told> {
        let mut told = std::mem::take(&mut self.told);
        told.sort_by_cached_key(|one| {
            let time = one.finding.event_time.as_deref();
            let time: Option<jiff::Timestamp> = time.and_then(|time| time.parse().ok());
            (time, one.rule, one.finding.finding_id.clone())
        });
        told
    }

    /// From now on records of insights are kept for [`Self::take_insights`].
    pub fn keep_insights(&mut self) {
        self.records.get_or_insert_default();
    }

    /// From now on insights explain the minute of this time, of series of which a part of the key holds the text.
    pub fn explain_insights(&mut self, time: EventTime, text: &str) {
        let insights = self.rules.iter_mut();
        for insight in insights.filter_map(|rule| rule.insight.as_mut()) {
            insight.explain(time, text);
        }
    }

    /// What insights explained since, in the order of rules and keys.
    pub fn take_explained(&mut self) -> Vec<serde_json::Value> {
        let insights = self.rules.iter_mut();
        let insights = insights.filter_map(|rule| rule.insight.as_mut());
        insights.flat_map(|one| one.take_explained()).collect()
    }

    /// Records of the insights that began and ended since the last call, in the order of time; none are kept unless that was
    /// asked for.
    pub fn take_insights(&mut self) -> Vec<Record> {
        self.records
            .as_mut()
            .map(std::mem::take)
            .unwrap_or_default()
    }

    /// What became of everything, so far.
    pub fn counters(&self) -> StateCounters {
        let mut counters = self.counters.clone();
        counters.pending_bytes = self.pending_bytes as u64;
        counters.group_bytes = self.rules_bytes as u64;
        for (rule, state) in self.set.rules().iter().zip(&self.rules) {
            if rule.rule.remembers() {
                let mut one = state.counters.clone();
                one.pending = state.pending;
                one.groups = state.shards.iter().map(|shard| shard.len() as u64).sum();
                if let Some(profile) = &state.profile {
                    let known = profile.counters();
                    one.groups += known.keys;
                    one.evicted += known.evicted + known.evicted_above;
                }
                if let Some(insight) = &state.insight {
                    one.pending += insight.pending();
                    one.groups += insight.len() as u64;
                }
                counters.rules.push((rule.rule.id.to_string(), one));
            }
        }
        counters
    }
}

/// What an event takes that is held without its bytes.
const BARE_BYTES: usize = size_of::<StoredEvent>() + 32;

/// How late detections may come whose rule only suppresses.
const DEFAULT_LATENESS: Period = Period::from_seconds(crate::limits::LATENESS_SECONDS_DEFAULT);

/// Puts the rules that remember into lanes, and gives each lane's lateness: that of its rules, or of what feeds
/// them, which comes complete and only waits for the others that feed.
fn lanes(set: &RuleSet, rules: &mut [RuleState]) -> Vec<Lane> {
    let mut waits: Vec<(u32, Period)> = vec![(0, Period::ZERO); rules.len()];
    let mut lanes: BTreeMap<(u32, Period), Vec<RuleIndex>> = BTreeMap::new();
    let lateness_of = |rule: RuleIndex| {
        let memory = set.rules()[rule.0 as usize].rule.memory.as_ref();
        memory.map_or(DEFAULT_LATENESS, |memory| memory.lateness)
    };
    // Rules that ask see events at the same moments as those that they ask about. None of these takes detections.
    let together: BTreeSet<RuleIndex> = set.asked().all().collect();
    let longest = together.iter().map(|rule| lateness_of(*rule)).max();
    for rule in set.remembering() {
        let own = match longest.filter(|_| together.contains(rule)) {
            Some(longest) => longest,
            None => lateness_of(*rule),
        };
        let (level, fed) = waits[rule.0 as usize];
        let lateness = own.max(fed);
        lanes.entry((level, lateness)).or_default().push(*rule);
        for (to, _) in set.feeds(*rule) {
            let of = &mut waits[to.0 as usize];
            *of = (of.0.max(level + 1), of.1.max(lateness));
        }
    }
    let lane = |(number, ((_, lateness), of_lane)): (usize, ((u32, Period), Vec<RuleIndex>))| {
        for rule in &of_lane {
            rules[rule.0 as usize].lane = number;
        }
        let suppresses = |rule: &RuleIndex| set.rules()[rule.0 as usize].rule.suppress.is_some();
        let insights = of_lane.iter().copied();
        Lane {
            lateness,
            insights: insights
                .filter(|rule| insight::of(set, *rule).is_some())
                .collect(),
            suppressing: of_lane.into_iter().filter(suppresses).collect(),
            closing: EventTime::MAX,
            released: EventTime::MIN,
            ..Lane::default()
        }
    };
    lanes.into_iter().enumerate().map(lane).collect()
}

/// A value within its group; a value that is its own group stands for itself.
fn value_key(value: u128, group: u128) -> u128 {
    const ODD: u128 = 0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835;
    if value == group {
        value
    } else {
        value.wrapping_mul(ODD) ^ group.rotate_left(64)
    }
}

/// What decides on the shard that remembers an observation.
fn place(state: &RuleState, group: u128, captured: Captured) -> u128 {
    if state.placed_by_value {
        value_key(captured.hash(), group)
    } else {
        group
    }
}

/// The shard of a group, or of a value.
fn shard_of(group: u128) -> usize {
    (group >> 120) as usize % SHARDS
}

impl Default for RuleState {
    fn default() -> Self {
        Self {
            shards: Vec::new(),
            suppression: Suppression::default(),
            insight: None,
            profile: None,
            lane: 0,
            released: EventTime::MIN,
            began: None,
            pending: 0,
            to_sweep: false,
            placed_by_value: false,
            counters: RuleCounters::default(),
            since_sweep: 0,
            shard_bytes: 0,
            bytes: 0,
        }
    }
}
