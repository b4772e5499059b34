//! From a detection to what other rules are told, and to a finding, or to one more count on a finding that is open.

use super::release::Found;
use super::{State, Telling, Told};
use crate::evaluate::{OWN_DETECTION, RuleIndex};
use crate::event::Event;
use crate::limits::OPEN_FINDINGS_MAX;
use crate::rule::kind::{Firing, StoredEvent};
use std::sync::Arc;

impl State<'_> {
    /// A rule detected something: other rules are told, and it becomes a finding or is counted on one.
    pub(super) fn detection(&mut self, mut found: Found) {
        self.evaluator.know(found.known.take().map(|known| *known));
        let (set, rule) = (self.set, found.rule);
        let pre = &set.rules()[rule.0 as usize];
        self.rules[rule.0 as usize].counters.detections += 1;
        if found.input != OWN_DETECTION && set.feeds_others(rule) {
            self.feed(rule, &found.firing);
        }
        if pre.rule.signal {
            return;
        }
        let Some(suppress) = &pre.rule.suppress else {
            if let Some(told) = self.shape(&found) {
                self.rules[rule.0 as usize].counters.findings += 1;
                self.told.push(told);
            }
            return;
        };
        let keyed = self
            .evaluator
            .firing_key(rule, &found.firing, &mut self.parsers);
        let Some((key, severity)) = keyed else { return };
        let time = found.firing.time;
        let state = &mut self.rules[rule.0 as usize];
        let Some(opening) = state.suppression.observe(suppress, (&key, severity), time) else {
            state.counters.suppressed += 1;
            return;
        };
        let Some(told) = self.shape(&found) else {
            return;
        };
        let state = &mut self.rules[rule.0 as usize];
        state.counters.findings += 1;
        let ended = state.suppression.open(opening, &told);
        let mut too_many = None;
        if state.suppression.len() > OPEN_FINDINGS_MAX {
            state.counters.evicted += u64::from(state.suppression.due() > time);
            too_many = state.suppression.close_first();
        }
        self.measure(rule.0 as usize);
        if self.settings.telling == Telling::AtOnce {
            self.told.push(told);
        }
        for one in ended.into_iter().chain(too_many) {
            self.close(one);
        }
    }

    fn shape(&mut self, found: &Found) -> Option<Told> {
        let place = (found.input, found.group);
        let firing = &found.firing;
        let mut shaped =
            self.evaluator
                .firing_finding(found.rule, place, firing, &mut self.parsers);
        if let Some(pattern) = shaped.as_mut().and_then(|finding| finding.pattern.as_mut())
            && !found.texts.is_empty()
        {
            pattern.group.clone_from(&found.texts);
        }
        Some(Told {
            rule: found.rule,
            finding: shaped?,
            event: firing.event.clone(),
        })
    }

    /// Tells of a finding that is over, when it was not told before or something was counted on it since.
    pub(super) fn close(&mut self, told: Told) {
        if self.settings.telling == Telling::Once || told.finding.suppressed.is_some() {
            self.told.push(told);
        }
    }

    /// Tells other rules of a detection, at the time at which it came to hold.
    fn feed(&mut self, rule: RuleIndex, firing: &Firing) {
        let mut observations = std::mem::take(&mut self.observations);
        observations.clear();
        if let Ok(document) = self.parser.parse(&firing.event.bytes) {
            let event = Event::new(document);
            self.evaluator.feed(rule, &event, &mut observations);
        }
        self.counters.groups_cut += observations.groups_cut;
        for fault in &observations.faults {
            self.fault(fault.rule, &fault.reason);
        }
        let event = if firing.time == firing.event.time {
            firing.event.clone()
        } else {
            Arc::new(StoredEvent {
                time: firing.time,
                ..(*firing.event).clone()
            })
        };
        self.hold_all(&event, &observations.all);
        self.observations = observations;
    }
}
