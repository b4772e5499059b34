//! `[absence]`: one thing happened, and another did not, within a time after or before it.
//!
//! ```toml
//! when = 'event.eventName == "CreateUser"'
//! group_by = ['event.?requestParameters.?userName.orValue("")']
//!
//! [absence]
//! of = 'event.eventName == "TagUser"'     # may ask about the first event: step.start.…
//! within = "1h"
//! order = "after"                         # or "before", "either"
//! ```
//!
//! Every event that something should follow waits by itself until its time is up; the finding is about it. What
//! comes at the same time counts as before and as after.

use super::input::Input;
use super::moves::{Asked, EventKey, Firing, Observed, StoredEvent};
use super::period::{EventTime, Period};
use super::{Kind, window};
use crate::diagnostic::{Code, Diagnostic};
use crate::limits::PARTIALS_MAX;
use crate::rule::model::words;
use crate::rule::read::{Fields, Reader};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::sync::Arc;

/// What `[absence]` says.
#[derive(Clone, Debug, PartialEq)]
pub struct Absence {
    /// The other thing is missed when it does not come within this.
    pub within: Period,
    /// On which side it is looked for.
    pub order: Order,
}

words! {
    /// On which side of an event another one is looked for.
    Order {
        /// It should have followed.
        After = "after",
        /// It should have come before.
        Before = "before",
        /// It should have come before or after.
        Either = "either",
    }
}

/// The name by which conditions ask about the event that something is missed of.
pub(super) const START: &str = "start";

/// Reads `[absence]`.
pub(super) fn read(
    reader: &mut Reader,
    fields: &Fields<'_, '_>,
    mut own: Input,
) -> Option<(Kind, Vec<Input>)> {
    let before = reader.errors();
    let within = window(reader, fields, "within");
    let when = fields.selector(reader, "of");
    let rules = super::read_rules(reader, fields);
    if when.is_none() && rules.is_empty() && reader.errors() == before {
        reader.report(
            Diagnostic::new(
                Code::MissingKey,
                fields.span,
                "`absence` needs `of` or `rules`: of what?",
            )
            .with_help("Add `of = '…'`: CEL on the event that is missed."),
        );
    }
    if reader.errors() > before {
        return None;
    }
    let order = fields
        .text("order")
        .and_then(|(word, _)| Order::from_word(word));
    START.clone_into(&mut own.name);
    let missed = Input {
        name: "missed".to_owned(),
        when,
        rules,
        group_by: super::read_selectors(
            reader,
            fields,
            "group_by",
            crate::limits::RULE_GROUP_PARTS_MAX,
        )
        .filter(|parts| !parts.is_empty()),
        place: reader.place(fields.span),
    };
    let absence = Absence {
        within: within?,
        order: order.unwrap_or(Order::After),
    };
    Some((Kind::Absence(absence), vec![own, missed]))
}

/// The memory of one group.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct AbsenceGroup {
    /// Events that something should follow, oldest first.
    waiting: VecDeque<Arc<StoredEvent>>,
    /// Events that something may come after, oldest first.
    before: VecDeque<Arc<StoredEvent>>,
    /// The last event that something was missed before: several rules may detect it, and it is one all the same.
    missed: Option<(EventTime, EventKey)>,
}

/// What a step came to.
#[derive(Debug, Default)]
pub struct AbsenceStep {
    /// What was missed.
    pub firing: Option<Firing>,
    /// Events that were given up because too many were waiting.
    pub dropped: u64,
}

impl Absence {
    /// The order in which inputs of one time are seen.
    pub fn rank(&self, input: usize) -> u16 {
        match self.order {
            Order::After | Order::Either => input as u16,
            Order::Before => 1 - input.min(1) as u16,
        }
    }

    /// Whether an event of this input means anything where nothing has happened yet.
    pub fn begins(&self, input: usize) -> bool {
        input == 0 || self.order != Order::After
    }

    /// An event comes into a group.
    pub fn observe(
        &self,
        group: &mut AbsenceGroup,
        observed: &Observed<'_>,
        asked: Asked<'_>,
    ) -> AbsenceStep {
        let event = observed.event;
        let from = event.time.minus(self.within);
        while group.before.front().is_some_and(|one| one.time <= from) {
            group.before.pop_front();
        }
        let mut step = AbsenceStep::default();
        if observed.input == 0 {
            let happened = group
                .before
                .iter()
                .any(|one| asked(one, 1, std::slice::from_ref(event)));
            match (happened, self.order) {
                (true, _) => {}
                (false, Order::Before) => {
                    let this = Some((event.time, event.key.clone()));
                    if group.missed != this {
                        group.missed = this;
                        step.firing = Some(self.missed(event, event.time));
                    }
                }
                (false, _) => step.dropped = keep(&mut group.waiting, event),
            }
            return step;
        }
        if self.order != Order::Before {
            group
                .waiting
                .retain(|one| !asked(event, 1, std::slice::from_ref(one)));
        }
        if self.order != Order::After {
            step.dropped = keep(&mut group.before, event);
        }
        step
    }

    /// When the group has to be looked at again, if nothing comes.
    pub fn deadline(&self, group: &AbsenceGroup) -> Option<EventTime> {
        group
            .waiting
            .front()
            .map(|first| first.time.plus(self.within))
    }

    /// The time of the oldest event that waits is up.
    pub fn close(&self, group: &mut AbsenceGroup, now: EventTime) -> Option<Firing> {
        let deadline = self.deadline(group).filter(|deadline| *deadline <= now)?;
        let event = group.waiting.pop_front()?;
        Some(self.missed(&event, deadline))
    }

    fn missed(&self, event: &Arc<StoredEvent>, time: EventTime) -> Firing {
        Firing {
            time,
            steps: vec![(0, event.clone())],
            ..Firing::of_event(event)
        }
    }

    /// When the group can be forgotten.
    pub fn forgotten_after(&self, group: &AbsenceGroup) -> EventTime {
        let lasts = [group.waiting.back(), group.before.back()];
        let lasts = lasts.into_iter().flatten();
        let last = lasts.map(|event| event.time.plus(self.within));
        // What was missed only matters to events of the same time.
        let missed = group.missed.as_ref().map(|(time, _)| *time);
        last.chain(missed).max().unwrap_or(EventTime::MIN)
    }
}

/// Keeps an event, giving up the oldest one when there are too many.
fn keep(events: &mut VecDeque<Arc<StoredEvent>>, event: &Arc<StoredEvent>) -> u64 {
    if events
        .iter()
        .rev()
        .take_while(|one| one.time == event.time)
        .any(|one| one.key == event.key)
    {
        return 0;
    }
    events.push_back(event.clone());
    if events.len() > PARTIALS_MAX {
        events.pop_front();
        return 1;
    }
    0
}

impl AbsenceGroup {
    /// Whether there is nothing that an event could be asked about.
    pub fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.before.is_empty()
    }

    /// About how much memory it takes beside itself.
    pub fn heap_bytes(&self) -> usize {
        self.waiting
            .iter()
            .chain(&self.before)
            .map(|event| event.heap_bytes())
            .sum()
    }
}
