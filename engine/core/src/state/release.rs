//! Time goes on: what waited is seen in order, groups whose time is up are closed, and detections become findings.

use super::group::{Group, GroupMemory};
use super::lane::{Held, HeldKey, Lane, Next, Timer};
use super::memory::SWEPT_AFTER;
use super::shard::Timers;
use super::{State, place, shard_of, value_key};
use crate::evaluate::{Known, OWN_DETECTION, RuleIndex};
use crate::event::Event;
use crate::rule::kind::{
    EventTime, Firing, FirstSeen, Kind, Memory, Novelty, Observed, Period, StoredEvent,
};
use hashbrown::hash_map::Entry;
use std::sync::Arc;

/// A firing, with where it came from.
pub(super) struct Found {
    pub(super) rule: RuleIndex,
    pub(super) group: u128,
    pub(super) input: u16,
    pub(super) firing: Firing,
    /// The parts of its group as text, where the event of the firing does not tell them.
    pub(super) texts: Vec<String>,
    /// What was known of its event, where its rule asks.
    pub(super) known: Option<Box<Known>>,
}

impl State<'_> {
    /// Event time has come to `reached`: every rule sees what is older than its lateness before that. What is exactly as
    /// old may still come.
    pub fn advance(&mut self, reached: EventTime) {
        self.advance_by(|lane| reached.minus(lane.lateness).just_before());
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

    fn advance_by(&mut self, until: impl Fn(&Lane) -> EventTime) {
        // Lanes whose detections others take come first, so what they feed is seen in the same round.
        for number in 0..self.lanes.len() {
            let lane = &self.lanes[number];
            let until = until(lane);
            if until <= lane.released {
                continue;
            }
            if until >= lane.due().min(self.insights_due(number)) {
                self.release(number, until);
            }
            self.lanes[number].released = until;
        }
        self.keep_within_memory();
    }

    /// Too much is waiting: the older half is seen before it is due.
    pub(super) fn release_half(&mut self) {
        let waiting = self.lanes.iter().flat_map(|lane| lane.waiting.keys());
        let mut times: Vec<EventTime> = waiting.map(|key| key.time).collect();
        if self.insights_wait_more(times.len()) {
            return self.close_half_of_insights();
        }
        if times.is_empty() {
            return;
        }
        self.counters.forced += 1;
        let middle = times.len() / 2;
        let (_, time, _) = times.select_nth_unstable(middle);
        let time = *time;
        self.complete(time);
    }

    fn release(&mut self, lane: usize, until: EventTime) {
        let mut found = Vec::new();
        // Minutes close between what is seen before and after their end.
        loop {
            let minute = self.insights_due(lane);
            while let Some(next) = self.lanes[lane].next(until.min(minute)) {
                match next {
                    Next::Timer(timer) => self.time_is_up(timer, &mut found),
                    Next::Held(key, held) => {
                        self.see(&key, &held, &mut found);
                        self.look_now_and_then();
                    }
                }
                // What comes next depends on times, rules, events and groups alone, and so does what is told.
                for one in found.drain(..) {
                    self.detection(one);
                }
            }
            if minute > until || minute == EventTime::MAX {
                break;
            }
            self.close_minutes(lane, minute);
        }
        self.close_suppressed(lane, until);
        for rule in std::mem::take(&mut self.to_sweep) {
            self.rules[rule.0 as usize].to_sweep = false;
            self.sweep(rule, until);
        }
    }

    /// Ends the findings whose windows are over.
    fn close_suppressed(&mut self, lane: usize, until: EventTime) {
        let suppressing = std::mem::take(&mut self.lanes[lane].suppressing);
        let mut closing = EventTime::MAX;
        for rule in &suppressing {
            while let Some(told) = self.rules[rule.0 as usize].suppression.close(until) {
                self.close(told);
                self.measure(rule.0 as usize);
            }
            closing = closing.min(self.rules[rule.0 as usize].suppression.due());
        }
        let lane = &mut self.lanes[lane];
        (lane.suppressing, lane.closing) = (suppressing, closing);
    }

    fn see(&mut self, key: &HeldKey, held: &Held, found: &mut Vec<Found>) {
        let rule = key.rule;
        self.pending_bytes -= held.bytes as usize;
        let state = &mut self.rules[rule.0 as usize];
        state.pending -= 1;
        state.began.get_or_insert(key.time);
        if state.profile.is_some() {
            self.take_in(key, held.captured);
            return;
        }
        if self.set.is_asking(rule) && key.input != OWN_DETECTION {
            found.extend(self.ask(key, held));
            return;
        }
        let state = &mut self.rules[rule.0 as usize];
        let memory = self.set.rules()[rule.0 as usize].rule.memory.as_ref();
        let firing = match memory {
            Some(memory) if key.input != OWN_DETECTION => {
                state.since_sweep += 1;
                if state.since_sweep >= SWEPT_AFTER && !state.to_sweep {
                    state.to_sweep = true;
                    self.to_sweep.push(rule);
                }
                let observed = Observed {
                    input: usize::from(key.input),
                    event: &held.event,
                    detected_by: key.detected_by,
                    captured: held.captured,
                };
                let shard = shard_of(place(state, key.group, held.captured));
                let firing = match &memory.kind {
                    Kind::FirstSeen(kind) => {
                        self.see_value(rule, memory, kind, shard, key.group, &observed)
                    }
                    _ => self.step(rule, memory, shard, key.group, &observed),
                };
                self.keep_within_groups(rule, memory, shard);
                self.measure_shard(rule.0 as usize, shard);
                firing
            }
            _ => Some(Firing::of_event(&held.event)),
        };
        found.extend(firing.map(|firing| Found {
            rule,
            group: key.group,
            input: key.input,
            firing,
            texts: Vec::new(),
            known: None,
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
            lanes,
            evaluator,
            parser,
            parsers,
            ..
        } = self;
        let (kind, time) = (&memory.kind, observed.time());
        let state = &mut rules[rule.0 as usize];
        let mut timers = Timers {
            all: &mut lanes[state.lane].timers,
            rule,
        };
        let began = state.began.unwrap_or(time);
        let shard = &mut state.shards[shard];
        let group = match shard.groups.entry(key) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(_) if !kind.begins(observed.input) => return None,
            Entry::Vacant(entry) => entry.insert(Box::new(Group::new(kind, time))),
        };
        group.last = time;
        // Many earlier events may be asked about with the one at hand, which is read once for all of them.
        let at_hand = if evaluator.asks(rule, observed.input) && !group.is_idle() {
            parser.parse(&observed.event.bytes).ok().map(Event::new)
        } else {
            None
        };
        // Many partial sequences may be asked about with one event; that it cannot be decided counts once.
        let mut undecided = None;
        let mut asked = |event: &Arc<StoredEvent>, input: usize, steps: &[Arc<StoredEvent>]| {
            let is_at_hand = Arc::ptr_eq(event, observed.event);
            let at_hand = at_hand.as_ref().filter(|_| is_at_hand);
            let accepted = evaluator.accepts((rule, input), (event, at_hand), steps, parsers);
            accepted.unwrap_or_else(|reason| {
                undecided.get_or_insert(reason);
                false
            })
        };
        let step = group.observe(kind, observed, began, &mut asked);
        if let Some(reason) = undecided {
            state.counters.undecided(&reason);
        }
        state.counters.dropped += step.dropped;
        shard.settle(key, kind, &mut timers);
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
                .or_insert_with(|| Box::new(Group::new(&memory.kind, time)));
            if group.forgotten_after(&memory.kind) <= time {
                **group = Group::new(&memory.kind, time);
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

    fn time_is_up(&mut self, (time, rule, key): Timer, found: &mut Vec<Found>) {
        let Some(memory) = &self.set.rules()[rule.0 as usize].rule.memory else {
            return;
        };
        let state = &mut self.rules[rule.0 as usize];
        let mut timers = Timers {
            all: &mut self.lanes[state.lane].timers,
            rule,
        };
        let at = shard_of(key);
        let shard = &mut state.shards[at];
        let Some(group) = shard.groups.get_mut(&key) else {
            return;
        };
        group.timer = None;
        while let Some(firing) = group.close(&memory.kind, time) {
            found.push(Found {
                rule,
                group: key,
                input: 0,
                firing,
                texts: Vec::new(),
                known: None,
            });
        }
        shard.settle(key, &memory.kind, &mut timers);
        self.measure_shard(rule.0 as usize, at);
    }
}
