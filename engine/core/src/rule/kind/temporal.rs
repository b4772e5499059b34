//! `[temporal]`: several things within a time, in any order.
//!
//! ```toml
//! group_by = ['event.userIdentity.arn']
//!
//! [temporal]
//! within = "1h"
//! without = 'event.eventName == "TagUser"'    # keeps the rule from firing
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
//!
//! With `without` an event of the first step counts when nothing of `without` comes less than the time before or after
//! it. What came together waits until the earliest events of the first step that are enough have their time behind
//! them, as anything of `without` that would undo them would undo the later ones too.

use super::input::Input;
use super::moves::{CITED_MAX, EventKey, Firing, Observed, StoredEvent};
use super::period::{EventTime, Period};
use super::sequence::read_steps;
use super::{Kind, window};
use crate::limits::PARTIALS_MAX;
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
    /// The input that keeps the rule from firing when it comes near an event of the first step.
    pub without: Option<usize>,
}

/// Reads `[temporal]`.
pub(super) fn read(reader: &mut Reader, fields: &Fields<'_, '_>) -> Option<(Kind, Vec<Input>)> {
    let before = reader.errors();
    let within = window(reader, fields, "within");
    let steps = read_steps(reader, fields, "temporal");
    let without = fields.selector(reader, "without");
    if reader.errors() > before {
        return None;
    }
    let (mut inputs, repeats) = steps?;
    let without = without.map(|when| {
        inputs.push(Input::of_table(when));
        inputs.len() - 1
    });
    let temporal = Temporal {
        within: within?,
        repeats,
        without,
    };
    Some((Kind::Temporal(temporal), inputs))
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

/// The memory of one group of a rule with `without`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TemporalWaitGroup {
    /// What has not come together yet. Of the first step all events are kept, as those near what undoes them go.
    steps: TemporalGroup,
    /// When something of `without` came last.
    undone: Option<EventTime>,
    /// What came together, with the time until which it can be undone; the earliest first.
    waiting: VecDeque<(EventTime, Firing)>,
}

impl Temporal {
    /// An event comes into a group.
    pub fn observe(&self, group: &mut TemporalGroup, observed: &Observed<'_>) -> Option<Firing> {
        let repeats = self.repeats.get(observed.input)?;
        self.step(group, observed, *repeats as usize).0
    }

    /// An event comes into a group of a rule with `without`: nothing fires before its time is up. Returns how many
    /// events of the first step were given up because there were too many.
    pub fn observe_without(&self, group: &mut TemporalWaitGroup, observed: &Observed<'_>) -> u64 {
        let time = observed.time();
        if self.without == Some(observed.input) {
            group.undone = Some(time);
            group.steps.clear_first();
            group.waiting.retain(|(until, _)| *until <= time);
            return 0;
        }
        let (is_first, from) = (observed.input == 0, time.minus(self.within));
        if is_first && group.undone.is_some_and(|undone| undone > from) {
            return 0;
        }
        let Some(repeat) = self.repeats.get(observed.input) else {
            return 0;
        };
        let most = match is_first {
            true => PARTIALS_MAX.max(*repeat as usize),
            false => *repeat as usize,
        };
        let (firing, gave_way) = self.step(&mut group.steps, observed, most);
        if let Some(firing) = firing {
            let enough = firing.steps.first().map_or(time, |(_, event)| event.time);
            let until = enough.plus(self.within);
            group.waiting.push_back((
                until,
                Firing {
                    time: until,
                    ..firing
                },
            ));
        }
        u64::from(is_first && gave_way)
    }

    /// When the group has to be looked at again, if nothing comes.
    pub fn deadline(&self, group: &TemporalWaitGroup) -> Option<EventTime> {
        group.waiting.front().map(|(until, _)| *until)
    }

    /// The time of what came together first is up.
    pub fn close(&self, group: &mut TemporalWaitGroup, now: EventTime) -> Option<Firing> {
        self.deadline(group).filter(|until| *until <= now)?;
        group.waiting.pop_front().map(|(_, firing)| firing)
    }

    /// `most` of the events of its step are kept. What the rule found, and whether an event gave way to this one.
    fn step(
        &self,
        group: &mut TemporalGroup,
        observed: &Observed<'_>,
        most: usize,
    ) -> (Option<Firing>, bool) {
        let (time, event) = (observed.time(), observed.event);
        let fired = group.fired.as_ref();
        if fired.is_some_and(|(at, key)| *at == time && *key == event.key) {
            return (None, false);
        }
        group.steps.resize_with(self.repeats.len(), VecDeque::new);
        group.forget(time.minus(self.within));
        let step = &mut group.steps[observed.input];
        let same_time = step.iter().rev().take_while(|one| one.time == time);
        if same_time.into_iter().any(|one| one.key == event.key) {
            return (None, false);
        }
        step.push_back(event.clone());
        group.bytes += event.heap_bytes();
        let gave_way = step.len() > most;
        if gave_way {
            group.bytes -= step.pop_front().map_or(0, |gone| gone.heap_bytes());
        }
        let complete = group
            .steps
            .iter()
            .zip(&self.repeats)
            .all(|(step, repeat)| step.len() >= *repeat as usize);
        let firing = complete.then(|| {
            let began_anew = TemporalGroup {
                fired: Some((time, event.key.clone())),
                ..TemporalGroup::default()
            };
            let mut complete = std::mem::replace(group, began_anew);
            complete.steps[0].truncate(self.repeats[0] as usize);
            firing(complete, event)
        });
        (firing, gave_way)
    }

    /// When the group can be forgotten.
    pub fn forgotten_after(&self, group: &TemporalGroup) -> EventTime {
        let lasts = group.steps.iter().filter_map(|step| step.back());
        let last = lasts.map(|event| event.time.plus(self.within));
        // That it fired only matters to events of the same time.
        let fired = group.fired.as_ref().map(|(time, _)| *time);
        last.chain(fired).max().unwrap_or(EventTime::MIN)
    }

    /// When a group of a rule with `without` can be forgotten.
    pub fn waits_until(&self, group: &TemporalWaitGroup) -> EventTime {
        let undone = group.undone.map(|undone| undone.plus(self.within));
        let waiting = group.waiting.back().map(|(until, _)| *until);
        let steps = self.forgotten_after(&group.steps);
        undone
            .into_iter()
            .chain(waiting)
            .fold(steps, EventTime::max)
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

impl TemporalWaitGroup {
    /// About how much memory it takes beside itself.
    pub fn heap_bytes(&self) -> usize {
        let of_firing = |firing: &Firing| {
            let events = firing.steps.iter().map(|(_, event)| event.heap_bytes());
            size_of::<(EventTime, Firing)>()
                + firing.steps.len() * size_of::<(u16, Arc<StoredEvent>)>()
                + firing.cited.len() * size_of::<EventKey>()
                + events.sum::<usize>()
        };
        let waiting = self.waiting.iter().map(|(_, firing)| of_firing(firing));
        self.steps.heap_bytes() + waiting.sum::<usize>()
    }
}

impl TemporalGroup {
    /// Forgets what came at or before `from`.
    fn forget(&mut self, from: EventTime) {
        for step in &mut self.steps {
            while step.front().is_some_and(|first| first.time <= from) {
                self.bytes -= step.pop_front().map_or(0, |gone| gone.heap_bytes());
            }
        }
    }

    fn first(&self) -> impl Iterator<Item = &Arc<StoredEvent>> {
        self.steps.first().into_iter().flatten()
    }

    /// Forgets the events of the first step.
    fn clear_first(&mut self) {
        self.bytes -= self.first().map(|event| event.heap_bytes()).sum::<usize>();
        self.steps.first_mut().into_iter().for_each(VecDeque::clear);
    }

    /// About how much memory it takes beside itself.
    pub fn heap_bytes(&self) -> usize {
        self.bytes + self.steps.capacity() * size_of::<VecDeque<Arc<StoredEvent>>>()
    }
}
