//! Insights among the rules that remember: events are counted, minutes close in the order of time, and what is unusual is a
//! detection of the rule and an event for all rules.
//!
//! The record of an insight is evaluated here as an event that comes at the time at which it was known, so that rules about
//! it behave in a scan, in a service and in tests in the same way, and no place is needed where it would have to be kept on its way. Rules that
//! remember see it when they wait at least as long for late events as the insight does; others count it as late. Insights
//! do not count records of insights. Rejected: to append records to the log, where they would come a second time after a crash.

use super::group::GroupMemory;
use super::release::Found;
use super::shard::Shard;
use super::{State, Told};
use crate::evaluate::{Observation, RuleIndex, RuleSet};
use crate::event::Event;
use crate::insight::{InsightOf, Moment, Record, SeriesMemory, SeriesTexts, Taken};
use crate::rule::kind::{
    Captured, CountedOf, EventKey, EventTime, Firing, Kind, OfHash, StoredEvent,
};
use std::hash::BuildHasher;
use std::sync::Arc;

/// The rule as an insight, if it is one.
pub(super) fn of(set: &RuleSet, rule: RuleIndex) -> Option<InsightOf<'_>> {
    let rule = &set.rules()[rule.0 as usize].rule;
    match rule.memory.as_ref().map(|memory| &memory.kind) {
        Some(Kind::Insight(insight)) => Some(InsightOf { rule, insight }),
        _ => None,
    }
}

impl State<'_> {
    /// Whether the rule counts events instead of holding them.
    pub(super) fn counts(&self, rule: RuleIndex) -> bool {
        self.rules[rule.0 as usize].insight.is_some()
    }

    /// Counts an event in its series. Whether it was.
    pub(super) fn count(&mut self, event: &StoredEvent, observation: &Observation) -> bool {
        let Self {
            rules,
            evaluator,
            parser,
            pending_bytes,
            ..
        } = self;
        let state = &mut rules[observation.rule.0 as usize];
        let Some(insight) = &mut state.insight else {
            return false;
        };
        let of = match observation.captured {
            Captured::Counted(of) => of,
            // A detection of another rule counts as one.
            _ => CountedOf {
                value: 1f32.to_bits(),
                ..CountedOf::default()
            },
        };
        let moment = Moment {
            time: event.time,
            event: OfHash.hash_one(&event.key) ^ observation.detected_by,
        };
        let before = insight.pending_bytes();
        let taken = insight.count(moment, observation.group, &of, || {
            let parsed = parser.parse(&event.bytes).ok().map(Event::new);
            parsed.map_or_else(SeriesTexts::default, |event| {
                evaluator.series_texts(observation, &event)
            })
        });
        *pending_bytes = *pending_bytes + insight.pending_bytes() - before;
        state.began.get_or_insert(event.time);
        match taken {
            Taken::Counted => state.counters.observed += 1,
            Taken::Again => state.counters.duplicates += 1,
            Taken::Late => state.counters.late += 1,
        }
        taken == Taken::Counted
    }

    /// From which surprise on an insight begins at the moment; nothing of a rule that is none.
    pub fn insight_threshold(&self, rule: u32) -> Option<f64> {
        let insight = self.rules.get(rule as usize)?.insight.as_ref()?;
        Some(insight.threshold())
    }

    /// When the next minute of an insight in a lane is over.
    pub(super) fn insights_due(&self, lane: usize) -> EventTime {
        let insights = self.lanes[lane].insights.iter();
        let insights = insights.filter_map(|rule| self.rules[rule.0 as usize].insight.as_ref());
        insights
            .map(|one| one.due())
            .min()
            .unwrap_or(EventTime::MAX)
    }

    /// Closes the minutes of a lane that are over at `until`.
    pub(super) fn close_minutes(&mut self, lane: usize, until: EventTime) {
        for at in 0..self.lanes[lane].insights.len() {
            let rule = self.lanes[lane].insights[at];
            self.close_minutes_of(rule, until);
        }
        self.keep_within_memory();
    }

    fn close_minutes_of(&mut self, rule: RuleIndex, until: EventTime) {
        let set = self.set;
        let state = &mut self.rules[rule.0 as usize];
        let (Some(of), Some(insight)) = (of(set, rule), &mut state.insight) else {
            return;
        };
        if insight.due() > until {
            return;
        }
        self.last_known = None;
        let before = insight.pending_bytes();
        let mut records = Vec::new();
        state.counters.evicted += insight.close(of, until, &mut records);
        self.pending_bytes = self.pending_bytes + insight.pending_bytes() - before;
        self.measure(rule.0 as usize);
        for record in records {
            self.tell_of(rule, record);
        }
    }

    /// Whether insights have more waiting than the other rules.
    pub(super) fn insights_wait_more(&self, others: usize) -> bool {
        let insights = self.rules.iter().filter_map(|rule| rule.insight.as_ref());
        insights.map(|one| one.pending()).sum::<u64>() > others as u64
    }

    /// Too much is waiting: the older half of what the heaviest insight has is closed before it is due.
    pub(super) fn close_half_of_insights(&mut self) {
        let waiting = |at: &usize| {
            self.rules[*at]
                .insight
                .as_ref()
                .map(|one| one.pending_bytes())
        };
        let Some(heaviest) = (0..self.rules.len()).max_by_key(waiting) else {
            return;
        };
        let insight = self.rules[heaviest].insight.as_ref();
        if let Some(middle) = insight.and_then(|one| one.middle()) {
            self.counters.forced += 1;
            self.close_minutes_of(RuleIndex(heaviest as u32), middle);
        }
    }

    /// An insight began or ended: a detection of its rule when it began, and an event for all.
    fn tell_of(&mut self, rule: RuleIndex, record: Record) {
        let event = Arc::new(StoredEvent {
            key: EventKey::new(&record.id),
            time: record.known,
            bytes: record.bytes.clone().into_boxed_slice(),
            origin: ORIGIN.into(),
        });
        if record.begins && !self.evaluator.excuses(rule, &event, &mut self.parsers) {
            let firing = Firing {
                start: record.start,
                count: record.observed.round() as u64,
                value: record.surprise,
                ..Firing::of_event(&event)
            };
            self.detection(Found {
                rule,
                group: record.group,
                input: 0,
                firing,
                texts: record.key.clone(),
                known: None,
            });
        }
        self.publish(&event);
        if let Some(records) = &mut self.records {
            records.push(record);
        }
    }

    /// Evaluates the record of an insight as an event.
    fn publish(&mut self, stored: &Arc<StoredEvent>) {
        let mut parser = std::mem::take(&mut self.parser);
        let mut observations = std::mem::take(&mut self.observations);
        observations.clear();
        if let Ok(document) = parser.parse(&stored.bytes) {
            let event = Event::new(document);
            let matched: Vec<RuleIndex> = self.evaluator.evaluate(&event).matched.to_vec();
            self.evaluator.observe(&event, &mut observations);
            for rule in matched {
                if self.set.rules()[rule.0 as usize].finds_at_once() {
                    let finding = self.evaluator.finding(rule, &event);
                    self.told.push(Told {
                        rule,
                        finding,
                        event: stored.clone(),
                    });
                }
            }
        }
        self.parser = parser;
        observations.all.retain(|one| !self.counts(one.rule));
        for fault in &observations.faults {
            self.fault(fault.rule, &fault.reason);
        }
        self.hold_all(stored, &observations.all);
        self.observations = observations;
    }

    /// Takes the series of an insight out of what was read of its shards. Whether they can be gone on with.
    pub(super) fn restore_insight(&mut self, rule: RuleIndex, shards: &mut [Shard]) -> bool {
        let Some(of) = of(self.set, rule) else {
            return true;
        };
        let written = shards.first_mut().and_then(|shard| shard.take(0));
        let Some(GroupMemory::Insight(bytes)) = written.map(|group| group.memory) else {
            return false;
        };
        let Ok(memory) = SeriesMemory::from_bytes(of, &bytes) else {
            return false;
        };
        self.pending_bytes += memory.pending_bytes();
        self.rules[rule.0 as usize].insight = Some(Box::new(memory));
        true
    }
}

/// What stands for a place in a file, of events that are in none.
pub(super) const ORIGIN: &str = "0 0 insights";
