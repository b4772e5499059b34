//! Time goes on: what waited is seen in order, groups whose time is up are closed, and detections become findings.

use super::group::{Group, GroupMemory};
use super::shard::{Held, HeldKey, Next};
use super::{RuleState, State, value_key};
use crate::evaluate::{OWN_DETECTION, RuleIndex};
use crate::event::Event;
use crate::limits::SHARDS;
use crate::rule::kind::{
    EventTime, Firing, FirstSeen, Kind, Memory, Novelty, Observed, Period, StoredEvent,
};
use hashbrown::hash_map::Entry;
use std::sync::Arc;

/// A firing, with where it came from.
pub(super) struct Found {
    pub(super) group: u128,
    pub(super) input: u16,
    pub(super) firing: Firing,
}

impl State<'_> {
    /// Event time has come to `reached`: every rule sees what is older than its lateness before that. What is exactly as
    /// old may still come.
    pub fn advance(&mut self, reached: EventTime) {
        self.advance_by(|state| reached.minus(state.lateness).just_before());
    }

    /// Nothing as old as `reached`, or older, will come: every rule sees all up to there.
    pub fn complete(&mut self, reached: EventTime) {
        self.advance_by(|_| reached);
    }

    /// Ends all open findings; nothing more will be counted on them.
    pub fn finish(&mut self) {
        for rule in self.set.remembering() {
            while let Some(told) = self.rules[rule.0 as usize].suppression.close_first() {
                self.close(told);
            }
            self.measure(rule.0 as usize);
        }
    }

    fn advance_by(&mut self, until: impl Fn(&RuleState) -> EventTime) {
        // Rules that others take detections from come first, so what they feed is seen in the same round.
        for rule in self.set.remembering() {
            let state = &mut self.rules[rule.0 as usize];
            let until = until(state);
            if until <= state.released {
                continue;
            }
            if until < state.due {
                state.released = until;
                continue;
            }
            self.release(*rule, until);
            self.measure(rule.0 as usize);
        }
        self.keep_within_memory();
    }

    /// Too much is waiting: the older half is seen before it is due.
    pub(super) fn release_half(&mut self) {
        let mut times: Vec<EventTime> = self
            .rules
            .iter()
            .flat_map(|rule| &rule.shards)
            .flat_map(|shard| shard.pending.keys().map(|key| key.time))
            .collect();
        if times.is_empty() {
            return;
        }
        self.counters.forced += 1;
        let middle = times.len() / 2;
        let (_, time, _) = times.select_nth_unstable(middle);
        let time = *time;
        self.complete(time);
    }

    fn release(&mut self, rule: RuleIndex, until: EventTime) {
        let set = self.set;
        let memory = set.rules()[rule.0 as usize].rule.memory.as_ref();
        let state = &mut self.rules[rule.0 as usize];
        if state.began.is_none() {
            let firsts = state
                .shards
                .iter()
                .filter_map(|shard| shard.pending.first_key_value());
            state.began = firsts
                .map(|(key, _)| key.time)
                .min()
                .filter(|time| *time <= until);
        }
        let mut found = Vec::new();
        for shard in 0..SHARDS {
            while let Some(next) = self.rules[rule.0 as usize].shards[shard].next(until) {
                match (next, memory) {
                    (Next::Timer(time, group), Some(memory)) => {
                        self.time_is_up(rule, memory, shard, (time, group), &mut found);
                    }
                    (Next::Held(key, held), memory) => {
                        self.pending_bytes -= held.bytes as usize;
                        self.see(rule, memory, shard, (key, held), &mut found);
                        self.measure_now_and_then(rule);
                    }
                    (Next::Timer(..), None) => {}
                }
            }
        }
        self.rules[rule.0 as usize].released = until;
        // Shards were gone through one after the other; what they found is told in the order of time.
        found.sort_by(|left, right| {
            let key = |one: &Found| (one.firing.time, one.firing.event.key.clone(), one.group);
            key(left).cmp(&key(right))
        });
        for one in found {
            self.detection(rule, one);
        }
        while let Some(told) = self.rules[rule.0 as usize].suppression.close(until) {
            self.close(told);
        }
        if let Some(memory) = memory {
            self.sweep(rule, &memory.kind, until);
        }
        let state = &mut self.rules[rule.0 as usize];
        let shards = state.shards.iter().map(|shard| shard.due());
        state.due = shards.min().unwrap_or(EventTime::MAX);
        state.due = state.due.min(state.suppression.due());
    }

    fn see(
        &mut self,
        rule: RuleIndex,
        memory: Option<&Memory>,
        shard: usize,
        (key, held): (HeldKey, Held),
        found: &mut Vec<Found>,
    ) {
        let (group_key, input) = (key.group, key.input);
        let firing = match memory {
            Some(memory) if input != OWN_DETECTION => {
                self.rules[rule.0 as usize].since_sweep += 1;
                let observed = Observed {
                    input: usize::from(input),
                    event: &held.event,
                    detected_by: key.detected_by,
                    captured: held.captured,
                };
                let firing = match &memory.kind {
                    Kind::FirstSeen(kind) => {
                        self.see_value(rule, memory, kind, shard, group_key, &observed)
                    }
                    _ => self.step(rule, memory, shard, group_key, &observed),
                };
                self.keep_within_groups(rule, memory, shard);
                firing
            }
            _ => Some(Firing::of_event(&held.event)),
        };
        found.extend(firing.map(|firing| Found {
            group: group_key,
            input,
            firing,
        }));
    }

    fn step(
        &mut self,
        rule: RuleIndex,
        memory: &Memory,
        shard: usize,
        key: u128,
        observed: &Observed<'_>,
    ) -> Option<Firing> {
        let Self {
            rules,
            evaluator,
            parser,
            parsers,
            ..
        } = self;
        let (kind, time) = (&memory.kind, observed.time());
        let state = &mut rules[rule.0 as usize];
        let began = state.began.unwrap_or(time);
        let shard = &mut state.shards[shard];
        let group = match shard.groups.entry(key) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(_) if !kind.begins(observed.input) => return None,
            Entry::Vacant(entry) => entry.insert(Group::new(kind, time)),
        };
        group.last = time;
        // Many earlier events may be asked about with the one at hand, which is read once for all of them.
        let at_hand = if evaluator.asks(rule, observed.input) && !group.is_idle() {
            parser.parse(&observed.event.bytes).ok().map(Event::new)
        } else {
            None
        };
        let mut asked = |event: &Arc<StoredEvent>, input: usize, steps: &[Arc<StoredEvent>]| {
            let is_at_hand = Arc::ptr_eq(event, observed.event);
            let at_hand = at_hand.as_ref().filter(|_| is_at_hand);
            evaluator.accepts((rule, input), (event, at_hand), steps, parsers)
        };
        let step = group.observe(kind, observed, began, &mut asked);
        state.counters.dropped += step.dropped;
        shard.settle(key, kind);
        step.firing
    }

    /// A first-seen rule sees a value.
    fn see_value(
        &mut self,
        rule: RuleIndex,
        memory: &Memory,
        kind: &FirstSeen,
        shard: usize,
        group_key: u128,
        observed: &Observed<'_>,
    ) -> Option<Firing> {
        let time = observed.time();
        let state = &mut self.rules[rule.0 as usize];
        let began = state.began.unwrap_or(time);
        let shard = &mut state.shards[shard];
        let group_began = if kind.learning_of_group == Period::ZERO {
            EventTime::MIN
        } else {
            let group = shard
                .groups
                .entry(group_key)
                .or_insert_with(|| Group::new(&memory.kind, time));
            if group.forgotten_after(&memory.kind) <= time {
                *group = Group::new(&memory.kind, time);
            }
            group.last = time;
            match group.memory {
                GroupMemory::Began(began) => began,
                _ => time,
            }
        };
        let key = value_key(observed.captured.hash(), group_key);
        let known = Novelty {
            last: shard.keys.note(key, time),
            began,
            group_began,
        };
        kind.is_new(known, time)
            .then(|| Firing::of_event(observed.event))
    }

    fn time_is_up(
        &mut self,
        rule: RuleIndex,
        memory: &Memory,
        shard: usize,
        (time, key): (EventTime, u128),
        found: &mut Vec<Found>,
    ) {
        let shard = &mut self.rules[rule.0 as usize].shards[shard];
        let Some(group) = shard.groups.get_mut(&key) else {
            return;
        };
        group.timer = None;
        while let Some(firing) = group.close(&memory.kind, time) {
            found.push(Found {
                group: key,
                input: 0,
                firing,
            });
        }
        shard.settle(key, &memory.kind);
    }
}
