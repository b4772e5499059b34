//! `[temporal]`: several things within a time, in any order.
//!
//! ```toml
//! group_by = ['event.userIdentity.arn']
//!
//! [temporal]
//! within = "1h"
//!
//! [[temporal.step]]
//! name = "listed"
//! rules = ["iam-account-inventory-downloaded"]
//!
//! [[temporal.step]]
//! name = "created"
//! when = 'event.eventName == "CreateUser"'
//! repeat = 2
//! ```
//!
//! Each step remembers its latest events, as many as it has to happen. When all steps have theirs within the time
//! the rule fires and the group begins anew, also for the event that completed it: it is not counted for another step.

use super::input::Input;
use super::moves::{CITED_MAX, EventKey, Firing, Observed, StoredEvent};
use super::period::{EventTime, Period};
use super::sequence::read_steps;
use super::{Kind, window};
use crate::rule::read::{Fields, Reader};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::sync::Arc;

/// What `[temporal]` says.
#[derive(Clone, Debug, PartialEq)]
pub struct Temporal {
    /// The last event comes less than this after the first.
    pub within: Period,
    /// How often each step has to happen.
    pub repeats: Vec<u32>,
}

/// Reads `[temporal]`.
pub(super) fn read(reader: &mut Reader, fields: &Fields<'_, '_>) -> Option<(Kind, Vec<Input>)> {
    let before = reader.errors();
    let within = window(reader, fields, "within");
    let steps = read_steps(reader, fields, "temporal");
    if reader.errors() > before {
        return None;
    }
    let (inputs, repeats) = steps?;
    let within = within?;
    Some((Kind::Temporal(Temporal { within, repeats }), inputs))
}

/// The memory of one group.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TemporalGroup {
    /// The latest events of each step.
    steps: Vec<VecDeque<Arc<StoredEvent>>>,
    /// What these events take.
    bytes: usize,
    /// The event at which the rule fired last.
    fired: Option<(EventTime, EventKey)>,
}

impl Temporal {
    /// An event comes into a group.
    pub fn observe(&self, group: &mut TemporalGroup, observed: &Observed<'_>) -> Option<Firing> {
        let (time, event) = (observed.time(), observed.event);
        let fired = group.fired.as_ref();
        if fired.is_some_and(|(at, key)| *at == time && *key == event.key) {
            return None;
        }
        group.steps.resize_with(self.repeats.len(), VecDeque::new);
        let from = time.minus(self.within);
        for step in &mut group.steps {
            while step.front().is_some_and(|first| first.time <= from) {
                group.bytes -= step.pop_front().map_or(0, |gone| gone.heap_bytes());
            }
        }
        let step = &mut group.steps[observed.input];
        let same_time = step.iter().rev().take_while(|one| one.time == time);
        if same_time.into_iter().any(|one| one.key == event.key) {
            return None;
        }
        step.push_back(event.clone());
        group.bytes += event.heap_bytes();
        if step.len() > self.repeats[observed.input] as usize {
            group.bytes -= step.pop_front().map_or(0, |gone| gone.heap_bytes());
        }
        let complete = group
            .steps
            .iter()
            .zip(&self.repeats)
            .all(|(step, repeat)| step.len() >= *repeat as usize);
        complete.then(|| {
            let began_anew = TemporalGroup {
                fired: Some((time, event.key.clone())),
                ..TemporalGroup::default()
            };
            firing(std::mem::replace(group, began_anew), event)
        })
    }

    /// When the group can be forgotten.
    pub fn forgotten_after(&self, group: &TemporalGroup) -> EventTime {
        let lasts = group.steps.iter().filter_map(|step| step.back());
        let last = lasts.map(|event| event.time.plus(self.within));
        // That it fired only matters to events of the same time.
        let fired = group.fired.as_ref().map(|(time, _)| *time);
        last.chain(fired).max().unwrap_or(EventTime::MIN)
    }
}

fn firing(group: TemporalGroup, event: &Arc<StoredEvent>) -> Firing {
    let mut all: Vec<(EventTime, EventKey)> = group
        .steps
        .iter()
        .flatten()
        .map(|event| (event.time, event.key.clone()))
        .collect();
    all.sort();
    // One event may be several steps; it is one event all the same.
    all.dedup();
    let skipped = all.len().saturating_sub(CITED_MAX);
    let lasts = group.steps.iter().map(|step| step.back());
    Firing {
        time: event.time,
        event: event.clone(),
        start: all.first().map_or(event.time, |(time, _)| *time),
        count: all.len() as u64,
        value: all.len() as f64,
        steps: (0u16..)
            .zip(lasts)
            .filter_map(|(number, last)| Some((number, last?.clone())))
            .collect(),
        cited: all.into_iter().skip(skipped).map(|(_, key)| key).collect(),
    }
}

impl TemporalGroup {
    /// About how much memory it takes beside itself.
    pub fn heap_bytes(&self) -> usize {
        self.bytes + self.steps.capacity() * size_of::<VecDeque<Arc<StoredEvent>>>()
    }
}
