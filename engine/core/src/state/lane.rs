//! Rules that see events at the same moments: what waits for them, and when their groups have to be looked at.
//!
//! A lane has the rules that wait equally long and do not take each other's detections. What waits for all of them is
//! in one tree, in the order in which it is seen, so that putting in and taking out touch its two ends,
//! however many rules there are. Lanes whose detections others take come before those.

use crate::evaluate::{Observation, RuleIndex};
use crate::rule::kind::{Captured, EventKey, EventTime, Period, StoredEvent};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The order in which observations are seen, and what makes two of them the same.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct HeldKey {
    pub(super) time: EventTime,
    pub(super) turn: Turn,
    pub(super) rule: RuleIndex,
    pub(super) rank: u16,
    pub(super) event: EventKey,
    pub(super) detected_by: u64,
    pub(super) input: u16,
    pub(super) group: u128,
    /// The hash of the value: an event that has several is observed for each.
    pub(super) value: u128,
}

impl HeldKey {
    pub(super) fn new(event: &StoredEvent, observation: &Observation, rank: u16) -> Self {
        Self {
            time: event.time,
            turn: match observation.captured {
                Captured::Sight { .. } => Turn::Profile,
                _ => Turn::Rule,
            },
            rule: observation.rule,
            rank,
            event: event.key.clone(),
            detected_by: observation.detected_by,
            input: observation.input,
            group: observation.group,
            value: value_of(observation.captured),
        }
    }
}

/// Who comes first of one time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Turn {
    /// Profiles, as others ask what held before the event.
    Profile,
    /// All others.
    Rule,
}

/// What tells apart the observations of one event for several values.
fn value_of(captured: Captured) -> u128 {
    match captured {
        Captured::Hash(_) | Captured::Sight { .. } => captured.hash(),
        _ => 0,
    }
}

/// An observation that waits for its time.
#[derive(Clone, Debug)]
pub(super) struct Held {
    pub(super) event: Arc<StoredEvent>,
    pub(super) captured: Captured,
    /// What it takes; the event itself is counted once among all that hold it.
    pub(super) bytes: u32,
}

/// What an observation takes while it waits; the nodes of its tree are about two thirds full.
pub(super) const HELD_BYTES: usize = size_of::<(HeldKey, Held)>() * 3 / 2;

/// A group that has to be looked at, and when.
pub(super) type Timer = (EventTime, RuleIndex, u128);

/// Rules that see events at the same moments.
#[derive(Debug, Default)]
pub(super) struct Lane {
    /// How much later than the newest event an event may come and still be seen.
    pub(super) lateness: Period,
    pub(super) waiting: BTreeMap<HeldKey, Held>,
    /// One entry for each group with a timer, perhaps too early, never too late.
    pub(super) timers: BTreeSet<Timer>,
    /// Those of its rules whose findings are suppressed for a time.
    pub(super) suppressing: Vec<RuleIndex>,
    /// Those of its rules that are insights: their minutes close at the times at which the others see events.
    pub(super) insights: Vec<RuleIndex>,
    /// No window of suppression is over before.
    pub(super) closing: EventTime,
    /// All its rules have seen everything up to here.
    pub(super) released: EventTime,
}

impl Lane {
    /// When something can happen next.
    pub(super) fn due(&self) -> EventTime {
        let timer = self.timers.first().map(|(time, ..)| *time);
        let held = self.waiting.first_key_value().map(|(key, _)| key.time);
        timer
            .into_iter()
            .chain(held)
            .fold(self.closing, EventTime::min)
    }

    /// What is next before or at `until`: an observation, or a group whose time is up, which comes first of the
    /// same time.
    pub(super) fn next(&mut self, until: EventTime) -> Option<Next> {
        let timer = self.timers.first().map(|(time, ..)| *time);
        let held = self.waiting.first_key_value().map(|(key, _)| key.time);
        match (timer, held) {
            (Some(timer), held) if timer <= until && held.is_none_or(|held| timer <= held) => {
                self.timers.pop_first().map(Next::Timer)
            }
            (_, Some(held)) if held <= until => {
                let (key, held) = self.waiting.pop_first()?;
                Some(Next::Held(key, held))
            }
            _ => None,
        }
    }
}

/// What comes next in a lane.
pub(super) enum Next {
    Timer(Timer),
    Held(HeldKey, Held),
}
