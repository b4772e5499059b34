//! What rules ask of the state: what insights and profiles knew of an event when it happened.
//!
//! Rules that ask, and those that they ask about, are in one lane, so that they come to every moment together. Of one
//! moment profiles take in their events first, and what each of them found is kept until time moves on: so an event is
//! told what held before it was counted, wherever rules stand in their files. Series are read as they were at the end of the
//! last whole minute, because minutes close between what is seen before and after their end.
//!
//! Profiles hold events without their bytes while these wait, as hashes are all that they need. The secret of a profile's
//! hashes is made from its rule's id. Must never ask about the record of an insight, which no series counts.

use super::insight::ORIGIN;
use super::lane::{Held, HeldKey};
use super::release::Found;
use super::shard::Shard;
use super::{GroupMemory, State, StateSettings};
use crate::evaluate::{Known, RuleIndex, RuleSet};
use crate::event::Event;
use crate::insight::detect::Reading;
use crate::insight::entity::{Entities, EntitySettings, Seen, Sight};
use crate::limits::SEEN_AT_ONCE_MAX;
use crate::rule::kind::{Asks, Captured, EventKey, EventTime, Firing, Kind, StoredEvent};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What profiles found at the present moment, by profile and event.
#[derive(Debug, Default)]
pub(super) struct SeenNow {
    time: Option<EventTime>,
    of: BTreeMap<(RuleIndex, EventKey), Seen>,
}

impl SeenNow {
    /// Of several sights of one event the rarest counts.
    fn note(&mut self, key: &HeldKey, seen: Seen) {
        if self.time != Some(key.time) {
            self.time = Some(key.time);
            self.of.clear();
        }
        let name = (key.rule, key.event.clone());
        let is_rarer = match self.of.get(&name) {
            Some(other) => seen.score.total_cmp(&other.score).is_gt(),
            None => self.of.len() < SEEN_AT_ONCE_MAX,
        };
        if is_rarer {
            self.of.insert(name, seen);
        }
    }

    fn of(&self, rule: RuleIndex, event: &StoredEvent) -> Option<Seen> {
        if self.time != Some(event.time) {
            return None;
        }
        self.of.get(&(rule, event.key.clone())).copied()
    }
}

/// What was known of the event that was asked about last: several rules ask about one event after the other.
#[derive(Debug)]
pub(super) struct LastKnown {
    event: Arc<StoredEvent>,
    asks: Asks,
    known: Known,
}

/// An empty memory of a profile; nothing for rules of other kinds.
pub(super) fn profile(
    set: &RuleSet,
    rule: RuleIndex,
    settings: &StateSettings,
) -> Option<Entities> {
    let (settings, seed) = profile_settings(set, rule, settings)?;
    Some(Entities::new(settings, seed))
}

fn profile_settings(
    set: &RuleSet,
    rule: RuleIndex,
    settings: &StateSettings,
) -> Option<(EntitySettings, [u64; 2])> {
    let of = |rule: RuleIndex| {
        let rule = &set.rules()[rule.0 as usize].rule;
        match rule.memory.as_ref().map(|memory| &memory.kind) {
            Some(Kind::Entity(entity)) => Some((rule, entity)),
            _ => None,
        }
    };
    let (rule, entity) = of(rule)?;
    let profiles = set.remembering().iter().filter(|rule| of(**rule).is_some());
    let share = PROFILES_SHARE * profiles.count().max(1);
    let keys_max = rule.memory.as_ref().map_or(0, |memory| memory.groups_max);
    let settings = EntitySettings {
        history_days: entity.history_days(),
        learning_days: entity.learning_days(),
        keys_max: keys_max as u64,
        bytes_max: (settings.bytes_max / share) as u64,
    };
    let digest = Sha256::digest(rule.id.as_str());
    let word = |at: usize| {
        let bytes = digest.get(at..at + 8).and_then(|part| part.try_into().ok());
        u64::from_le_bytes(bytes.unwrap_or([0; 8]))
    };
    Some((settings, [word(0), word(8)]))
}

/// Of all memory allowed, what profiles may take together: one part in so many. They give way by themselves.
const PROFILES_SHARE: usize = 2;

impl State<'_> {
    /// An event as profiles hold it: its name and its time.
    pub(super) fn bare(event: &StoredEvent) -> Arc<StoredEvent> {
        Arc::new(StoredEvent {
            key: event.key.clone(),
            time: event.time,
            bytes: Box::default(),
            origin: Box::default(),
        })
    }

    /// Whether the rule is a profile.
    pub(super) fn is_profile(&self, rule: RuleIndex) -> bool {
        self.rules[rule.0 as usize].profile.is_some()
    }

    /// A profile takes in what an entity did.
    pub(super) fn take_in(&mut self, key: &HeldKey, captured: Captured) {
        let Captured::Sight { value, peers } = captured else {
            return;
        };
        let state = &mut self.rules[key.rule.0 as usize];
        let Some(profile) = &mut state.profile else {
            return;
        };
        let seen = profile.see(&Sight {
            entity: key.group as u64,
            value,
            peers,
            time_seconds: key.time.micros().div_euclid(1_000_000),
        });
        if self.set.asked().profiles.contains(&key.rule) {
            self.seen_now.note(key, seen);
        }
        self.last_known = None;
        self.measure(key.rule.0 as usize);
    }

    /// Asks a rule about an event, with what is known of it now.
    pub(super) fn ask(&mut self, key: &HeldKey, held: &Held) -> Option<Found> {
        let mut parser = std::mem::take(&mut self.parser);
        let answer = match parser.parse(&held.event.bytes) {
            Ok(document) => {
                let event = Event::new(document);
                let known = self.known(key.rule, &held.event, &event);
                let holds = self.evaluator.holds_knowing(key.rule, &event, &known);
                holds.map(|holds| holds.then_some(known))
            }
            Err(_) => Err("a kept event cannot be read".to_owned()),
        };
        self.parser = parser;
        let known = match answer {
            Ok(known) => known?,
            Err(reason) => {
                let counters = &mut self.rules[key.rule.0 as usize].counters;
                counters.undecided(&reason);
                return None;
            }
        };
        Some(Found {
            rule: key.rule,
            group: key.group,
            input: key.input,
            firing: Firing::of_event(&held.event),
            texts: Vec::new(),
            known: Some(Box::new(known)),
        })
    }

    /// What is known of an event, as far as the rule asks.
    fn known(&mut self, rule: RuleIndex, stored: &Arc<StoredEvent>, event: &Event<'_>) -> Known {
        let set = self.set;
        let asks = set.rules()[rule.0 as usize].asks;
        if let Some(last) = &self.last_known
            && Arc::ptr_eq(&last.event, stored)
            && last.asks == asks
        {
            return last.known.clone();
        }
        let (mut insights, mut entities) = (Vec::new(), Vec::new());
        if asks.insight {
            let series = match &*stored.origin {
                ORIGIN => Vec::new(),
                _ => self.evaluator.series_of(event),
            };
            let asked = set.asked().insights.iter();
            insights = asked
                .map(|rule| (*rule, self.reading(*rule, &series)))
                .collect();
        }
        if asks.entity {
            let asked = set.asked().profiles.iter();
            entities = asked
                .map(|rule| (*rule, self.seen_now.of(*rule, stored)))
                .collect();
        }
        let known = Known::new(set, &insights, &entities);
        self.last_known = Some(LastKnown {
            event: stored.clone(),
            asks,
            known: known.clone(),
        });
        known
    }

    /// Of the series of one rule that an event counts in, the most surprising.
    fn reading(&self, rule: RuleIndex, series: &[(RuleIndex, u128)]) -> Option<Reading> {
        let insight = self.rules[rule.0 as usize].insight.as_ref()?;
        let own = series.iter().filter(|(of, _)| *of == rule);
        let readings = own.filter_map(|(_, key)| insight.reading(*key));
        // The first of equal ones.
        readings.reduce(
            |best, next| match next.rarity.total_cmp(&best.rarity).is_gt() {
                true => next,
                false => best,
            },
        )
    }

    /// Takes the memory of a profile out of what was read of its shards. Whether it can be gone on with.
    pub(super) fn restore_profile(&mut self, rule: RuleIndex, shards: &mut [Shard]) -> bool {
        let Some((settings, seed)) = profile_settings(self.set, rule, &self.settings) else {
            return true;
        };
        let written = shards.first_mut().and_then(|shard| shard.take(0));
        let Some(GroupMemory::Entities(bytes)) = written.map(|group| group.memory) else {
            return false;
        };
        let Ok(profile) = Entities::restore(settings, seed, &bytes) else {
            return false;
        };
        self.rules[rule.0 as usize].profile = Some(Box::new(profile));
        true
    }
}
