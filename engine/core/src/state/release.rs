//! Time goes on: what waited is seen in order, groups whose time is up are closed, and detections become findings.

use super::group::Group;
use super::shard::{Held, HeldKey, Next};
use super::{RuleState, State, Telling, Told};
use crate::evaluate::{OWN_DETECTION, RuleIndex};
use crate::event::{Event, Parser};
use crate::limits::{OPEN_FINDINGS_MAX, SHARDS};
use crate::rule::Severity;
use crate::rule::kind::{
    EventTime, Firing, FirstSeen, Kind, Memory, Novelty, Observed, Period, StoredEvent, Suppressed,
};
use std::sync::Arc;

/// A firing, with where it came from.
struct Found {
    group: u128,
    input: u16,
    firing: Firing,
}

impl State<'_> {
    /// Event time has come to `reached`: every rule sees what is older than its lateness before that.
    pub fn advance(&mut self, reached: EventTime) {
        self.advance_by(|state| reached.minus(state.lateness));
    }

    /// Nothing older than `reached` will come: every rule sees all up to there.
    pub fn complete(&mut self, reached: EventTime) {
        self.advance_by(|_| reached);
    }

    /// Ends all open findings; nothing more will be counted on them.
    pub fn finish(&mut self) {
        for rule in self.set.remembering() {
            while let Some(told) = self.rules[rule.0 as usize].suppression.close_oldest() {
                self.close(told);
            }
        }
    }

    fn advance_by(&mut self, until: impl Fn(&RuleState) -> EventTime) {
        for rule in self.set.remembering() {
            let until = until(&self.rules[rule.0 as usize]);
            if until > self.rules[rule.0 as usize].released {
                self.release(*rule, until);
            }
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
                match &memory.kind {
                    Kind::FirstSeen(kind) => {
                        self.see_value(rule, memory, kind, shard, group_key, &observed)
                    }
                    _ => self.step(rule, memory, shard, group_key, &observed),
                }
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
            parsers,
            ..
        } = self;
        let state = &mut rules[rule.0 as usize];
        let began = state.began.unwrap_or(observed.time());
        let shard = &mut state.shards[shard];
        let group = shard
            .groups
            .entry(key)
            .or_insert_with(|| Group::new(&memory.kind, observed.time()));
        group.last = observed.time();
        let mut asked = |event: &Arc<StoredEvent>, input: usize, steps: &[Arc<StoredEvent>]| {
            evaluator.accepts(rule, input, event, steps, parsers)
        };
        let step = group.observe(&memory.kind, observed, began, &mut asked);
        state.counters.dropped += step.dropped;
        let bytes = group.heap_bytes();
        self.group_bytes = (self.group_bytes + bytes).saturating_sub(group.bytes as usize);
        group.bytes = bytes as u32;
        let deadline = group.deadline(&memory.kind);
        shard.set_timer(key, deadline);
        self.keep_within_groups(rule, memory, shard_index(key));
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
        let shard_state = &mut state.shards[shard];
        let group_began = if kind.learning_of_group == Period::ZERO {
            EventTime::MIN
        } else {
            let group = shard_state
                .groups
                .entry(group_key)
                .or_insert_with(|| Group::new(&memory.kind, time));
            group.last = time;
            match group.memory {
                super::group::GroupMemory::Began(began) => began,
                _ => time,
            }
        };
        let before = shard_state.keys.heap_bytes();
        let last = shard_state
            .keys
            .note(value_key(observed.captured.hash(), group_key), time);
        self.group_bytes += shard_state.keys.heap_bytes() - before;
        let known = Novelty {
            last,
            began,
            group_began,
        };
        let new = kind.is_new(known, time);
        if shard_state.keys.len() > memory.groups_max.div_ceil(SHARDS) {
            state.counters.evicted += shard_state.keys.evict();
        }
        new.then(|| Firing::of_event(observed.event))
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
        if group.timer == Some(time) {
            group.timer = None;
        }
        while let Some(firing) = group.close(&memory.kind, time) {
            found.push(Found {
                group: key,
                input: 0,
                firing,
            });
        }
        let bytes = group.heap_bytes();
        self.group_bytes = (self.group_bytes + bytes).saturating_sub(group.bytes as usize);
        group.bytes = bytes as u32;
        let deadline = group.deadline(&memory.kind);
        shard.set_timer(key, deadline);
    }

    /// A rule detected something: other rules are told, and it becomes a finding or is counted on one.
    fn detection(&mut self, rule: RuleIndex, found: Found) {
        let set = self.set;
        let pre = &set.rules()[rule.0 as usize];
        let own = found.input == OWN_DETECTION;
        if !own {
            self.rules[rule.0 as usize].counters.detections += 1;
            self.feed(rule, &found.firing);
        }
        if pre.rule.signal {
            return;
        }
        let group_text = self.group_text(rule, &found);
        let shaped = self.evaluator.firing_finding(
            rule,
            found.group,
            group_text,
            &found.firing,
            &mut self.parsers,
        );
        let Some((finding, key)) = shaped else { return };
        let severity = Severity::from_word(&finding.severity).unwrap_or(pre.rule.severity);
        let event = found.firing.event.clone();
        let told = Told {
            rule,
            finding,
            event,
        };
        let state = &mut self.rules[rule.0 as usize];
        let Some(suppress) = &pre.rule.suppress else {
            state.counters.findings += 1;
            self.told.push(told);
            return;
        };
        let (became, ended) =
            state
                .suppression
                .observe(suppress, (key, severity), found.firing.time, &told);
        match became {
            Suppressed::Counted => state.counters.suppressed += 1,
            Suppressed::Opens | Suppressed::Reopens => state.counters.findings += 1,
        }
        let too_many = if state.suppression.len() > OPEN_FINDINGS_MAX {
            state.suppression.close_oldest()
        } else {
            None
        };
        if self.settings.telling == Telling::AtOnce && became != Suppressed::Counted {
            self.told.push(told);
        }
        for one in ended.into_iter().chain(too_many) {
            self.close(one);
        }
    }

    /// Tells of a finding that is over, when it was not told before or something was counted on it since.
    fn close(&mut self, told: Told) {
        if self.settings.telling == Telling::Once || told.finding.suppressed.is_some() {
            self.told.push(told);
        }
    }

    fn group_text(&mut self, rule: RuleIndex, found: &Found) -> Vec<String> {
        let mut parser = Parser::new();
        match parser.parse(&found.firing.event.bytes) {
            Ok(document) => {
                self.evaluator
                    .group_text(rule, found.input, found.group, &Event::new(document))
            }
            Err(_) => Vec::new(),
        }
    }

    /// Tells other rules of a detection, at the time at which it came to hold.
    fn feed(&mut self, rule: RuleIndex, firing: &Firing) {
        let mut observations = std::mem::take(&mut self.observations);
        observations.clear();
        let mut parser = Parser::new();
        if let Ok(document) = parser.parse(&firing.event.bytes) {
            self.evaluator
                .feed(rule, &Event::new(document), &mut observations);
        }
        for fault in &observations.faults {
            self.rules[fault.rule.0 as usize]
                .counters
                .fault(&fault.reason);
        }
        let event = if firing.time == firing.event.time {
            firing.event.clone()
        } else {
            Arc::new(StoredEvent {
                time: firing.time,
                ..(*firing.event).clone()
            })
        };
        let share = event.heap_bytes() / observations.all.len().max(1);
        for observation in &observations.all {
            self.hold(&event, observation, share);
        }
        self.observations = observations;
    }

    /// Forgets groups that can no longer matter, now and then.
    fn sweep(&mut self, rule: RuleIndex, kind: &Kind, now: EventTime) {
        let state = &mut self.rules[rule.0 as usize];
        let groups: usize = state
            .shards
            .iter()
            .map(|shard| shard.groups.len() + shard.keys.len())
            .sum();
        if state.since_sweep < groups / 2 + 1024 {
            return;
        }
        state.since_sweep = 0;
        let mut freed = 0;
        for shard in &mut state.shards {
            shard.groups.retain(|_, group| {
                let stays = group.forgotten_after(kind) > now || group.timer.is_some();
                freed += if stays { 0 } else { group.bytes as usize };
                stays
            });
            if let Kind::FirstSeen(kind) = kind {
                shard.keys.forget(now.minus(kind.history));
            }
        }
        self.group_bytes = self.group_bytes.saturating_sub(freed);
    }

    /// A shard has too many groups: those not seen for longest give way.
    fn keep_within_groups(&mut self, rule: RuleIndex, memory: &Memory, shard: usize) {
        let state = &mut self.rules[rule.0 as usize];
        if state.shards[shard].groups.len() > memory.groups_max.div_ceil(SHARDS) {
            let (count, bytes) = state.shards[shard].evict();
            state.counters.evicted += count;
            self.group_bytes = self.group_bytes.saturating_sub(bytes);
        }
    }

    /// Too much memory is taken: the rule that takes most gives way, its groups not seen for longest first.
    fn keep_within_memory(&mut self) {
        let mut rounds = 0;
        while self.bytes() > self.settings.bytes_max && rounds < 64 {
            rounds += 1;
            let heaviest = self.rules.iter_mut().max_by_key(|rule| rule.group_bytes());
            let Some(state) = heaviest.filter(|rule| rule.group_bytes() > 0) else {
                return;
            };
            let mut freed = 0;
            for shard in &mut state.shards {
                let before = shard.keys.heap_bytes();
                state.counters.evicted += shard.keys.evict();
                let (count, bytes) = shard.evict();
                state.counters.evicted += count;
                freed += bytes + before.saturating_sub(shard.keys.heap_bytes());
            }
            self.group_bytes = self.group_bytes.saturating_sub(freed);
        }
    }

    /// About how many bytes are taken.
    pub fn bytes(&self) -> usize {
        let tables: usize = self.rules.iter().map(RuleState::table_bytes).sum();
        self.pending_bytes + self.group_bytes + tables
    }
}

impl RuleState {
    /// Bytes of the tables of groups, beside what groups hold.
    fn table_bytes(&self) -> usize {
        let shards = self.shards.iter();
        shards
            .map(|shard| shard.groups.allocation_size() + shard.timers.len() * 40)
            .sum()
    }

    fn group_bytes(&self) -> usize {
        let shards = self.shards.iter();
        let held: usize = shards
            .map(|shard| shard.groups.len() * 96 + shard.keys.heap_bytes())
            .sum();
        held
    }
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

fn shard_index(key: u128) -> usize {
    super::shard_of(key)
}
