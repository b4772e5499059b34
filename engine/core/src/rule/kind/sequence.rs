//! `[sequence]`: one thing after another, within a time.
//!
//! ```toml
//! group_by = ['event.?sourceIPAddress.orValue("")']
//!
//! [sequence]
//! within = "10m"
//! until = 'event.eventName == "DeleteAccessKey"'    # ends what has begun
//!
//! [[sequence.step]]
//! name = "created"
//! when = 'event.eventName == "CreateAccessKey"'
//!
//! [[sequence.step]]
//! name = "used"
//! when = 'event.userIdentity.accessKeyId == step.created.responseElements.accessKey.accessKeyId'
//! repeat = 3
//! ```
//!
//! A group holds what has begun: *partials*. An event takes the newest partial that waits for its step and accepts
//! it one step further, and with it all that know the same about their steps and are further in repeating this one. Of
//! two that know the same and are equally far the newer one stays, because it can do all that the older one can and
//! lasts longer; only the event that made the newer one may still take the older one, as no event follows itself. So
//! memory is bounded, nobody can hold a sequence up by beginning it again, and what comes out
//! does not depend on how events arrived, as they are seen in the order of time.

use super::input::{self, Input};
use super::moves::{Asked, CITED_MAX, EventKey, Firing, Observed, StoredEvent};
use super::period::{EventTime, Period};
use super::{Kind, integer, window};
use crate::diagnostic::{Code, Diagnostic, Span};
use crate::limits::{PARTIALS_MAX, STEP_REPEAT_MAX, STEPS_MAX};
use crate::rule::model::words;
use crate::rule::read::{Fields, Reader};
use crate::rule::shape::{STEP, Shape};
use crate::selector;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::sync::Arc;

/// What `[sequence]` says.
#[derive(Clone, Debug, PartialEq)]
pub struct Sequence {
    /// The last step comes less than this after the first.
    pub within: Period,
    /// How often each step has to happen.
    pub repeats: Vec<u32>,
    /// The input that ends what has begun.
    pub until: Option<usize>,
    /// What events of the same time are to one another.
    pub ties: Ties,
}

words! {
    /// What events of the same time are to one another. Many sources only know seconds.
    Ties {
        /// They may follow one another.
        InOrder = "in_order",
        /// None is after another.
        Apart = "apart",
    }
}

/// The steps of a table, with how often each has to happen.
pub(super) fn read_steps(
    reader: &mut Reader,
    fields: &Fields<'_, '_>,
    kind: &str,
) -> Option<(Vec<Input>, Vec<u32>)> {
    let shape: &'static Shape = &STEP;
    let tables = fields.tables("step");
    if !reader.within("steps", tables.len(), STEPS_MAX, fields.span) {
        return None;
    }
    let (mut inputs, mut repeats): (Vec<Input>, Vec<u32>) = (Vec::new(), Vec::new());
    let before = reader.errors();
    for (table, span) in &tables {
        let fields = Fields::open(reader, table, shape, *span);
        let Some((name, at)) = fields.text("name") else {
            continue;
        };
        check_name(reader, &inputs, name, at);
        let repeat = integer(reader, &fields, "repeat", 1, STEP_REPEAT_MAX);
        let input = input::read(reader, &fields, name.to_owned(), *span);
        if input.is_none() && reader.errors() == before {
            let message = format!("the step `{name}` needs `when` or `rules`");
            reader.report(
                Diagnostic::new(Code::MissingKey, *span, message)
                    .with_help("Say what the step looks at: `when = '…'`, or `rules = [\"…\"]`."),
            );
        }
        if let (Some(input), Some(repeat)) = (input, repeat) {
            inputs.push(input);
            repeats.push(repeat.unwrap_or(1) as u32);
        }
    }
    let few = match kind {
        "sequence" => inputs.len() < 2 && repeats.iter().sum::<u32>() < 2,
        _ => inputs.len() < 2,
    };
    if reader.errors() == before && few {
        let message = format!("a {kind} of fewer than two steps is none");
        reader.report(
            Diagnostic::new(Code::RuleKind, fields.span, message).with_help(format!(
                "Add a `[[{kind}.step]]`; to count events there is `[threshold]`."
            )),
        );
    }
    (reader.errors() == before).then_some((inputs, repeats))
}

fn check_name(reader: &mut Reader, inputs: &[Input], name: &str, at: Span) {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let good = name.bytes().all(plain) && !name.starts_with(|c: char| c.is_ascii_digit());
    if !good {
        reader.report(
            Diagnostic::new(
                Code::StepName,
                at,
                format!("`{name}` is no name for a step"),
            )
            .with_help("Letters, digits and `_`, so that conditions can say `step.NAME.…`."),
        );
    } else if selector::parse(&format!("step.{name}")).is_err() {
        let message = format!("`{name}` is a word of CEL and no name for a step");
        let help = format!("Conditions could not say `step.{name}`. Call it `{name}_step`, say.");
        reader.report(Diagnostic::new(Code::StepName, at, message).with_help(help));
    } else if let Some(first) = inputs.iter().find(|one| one.name == name) {
        reader.report(
            Diagnostic::new(Code::StepName, at, format!("two steps are called `{name}`"))
                .with_label(first.place.span, "the first one"),
        );
    }
}

/// Reads `[sequence]`.
pub(super) fn read(reader: &mut Reader, fields: &Fields<'_, '_>) -> Option<(Kind, Vec<Input>)> {
    let before = reader.errors();
    let within = window(reader, fields, "within");
    let steps = read_steps(reader, fields, "sequence");
    let until = fields.selector(reader, "until");
    if reader.errors() > before {
        return None;
    }
    let (mut inputs, repeats) = steps?;
    let until = until.map(|when| {
        inputs.push(Input::of_table(when));
        inputs.len() - 1
    });
    let ties = fields
        .text("ties")
        .and_then(|(word, _)| Ties::from_word(word));
    let sequence = Sequence {
        within: within?,
        repeats,
        until,
        ties: ties.unwrap_or(Ties::InOrder),
    };
    Some((Kind::Sequence(sequence), inputs))
}

/// The memory of one group.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SequenceGroup {
    /// The latest events of the first step, when it has to happen more than once.
    leading: VecDeque<Arc<StoredEvent>>,
    /// What these events take.
    leading_bytes: usize,
    /// What has begun; what moved last comes last.
    partials: Vec<Partial>,
    /// The last event, with its input: several rules may detect it, and it is one all the same.
    last: Option<(EventTime, EventKey, u16)>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Partial {
    start: EventTime,
    /// The last event of each step that is done.
    done: Vec<Arc<StoredEvent>>,
    /// How often the step at hand has happened.
    repeated: u32,
    /// What later steps may ask about the steps that are done.
    known: Vec<u128>,
    last: EventTime,
    events: Vec<EventKey>,
    count: u64,
    /// What the events of the steps take.
    bytes: usize,
    /// The event that brought a newer one to where this one is. It may take this one further, as it cannot follow
    /// itself; for all others the newer one stands.
    shadowed_by: Option<EventKey>,
}

impl Partial {
    fn has(&self, key: &EventKey) -> bool {
        self.events.contains(key)
    }

    fn note(&mut self, event: &StoredEvent) {
        self.last = event.time;
        self.count += 1;
        if self.events.len() == CITED_MAX {
            self.events.remove(0);
        }
        self.events.push(event.key.clone());
    }
}

/// What a step in a sequence came to.
#[derive(Debug, Default)]
pub struct SequenceStep {
    /// The sequence is complete.
    pub firing: Option<Firing>,
    /// Partials that were given up because there were too many.
    pub dropped: u64,
}

impl Sequence {
    /// The order in which inputs of one time are seen: as written, so that they may follow one another, or the
    /// other way round, so that they may not.
    pub fn rank(&self, input: usize) -> u16 {
        match self.ties {
            Ties::InOrder => input as u16,
            Ties::Apart => u16::MAX - input as u16,
        }
    }

    /// An event comes into a group.
    pub fn observe(
        &self,
        group: &mut SequenceGroup,
        observed: &Observed<'_>,
        asked: Asked<'_>,
    ) -> SequenceStep {
        let (event, input) = (observed.event, observed.input);
        let from = event.time.minus(self.within);
        group.forget(from);
        group.partials.retain(|partial| {
            let by = partial.shadowed_by.as_ref();
            by.is_none_or(|by| *by == event.key)
        });
        if self.until == Some(input) {
            group.end(|steps| asked(event, input, steps));
            return SequenceStep::default();
        }
        let this = (event.time, event.key.clone(), input as u16);
        if group.last.as_ref() == Some(&this) {
            return SequenceStep::default();
        }
        group.last = Some(this);
        let moved = if input == 0 {
            self.begin(group, observed)
        } else {
            self.advance(group, observed, asked)
        };
        let mut step = SequenceStep::default();
        for moved in moved {
            if moved.done.len() == self.repeats.len() {
                step.firing = Some(firing(&moved, event));
                continue;
            }
            // It is the newest that knows what it knows; older ones that are no further do go.
            for partial in &mut group.partials {
                if partial.done.len() == moved.done.len()
                    && partial.repeated == moved.repeated
                    && partial.known == moved.known
                    && partial.start <= moved.start
                {
                    partial.shadowed_by = Some(event.key.clone());
                }
            }
            group.partials.push(moved);
        }
        while group.partials.len() > PARTIALS_MAX {
            let shadowed = |partial: &Partial| partial.shadowed_by.is_some();
            let spare = group.partials.iter().position(shadowed);
            group.partials.remove(spare.unwrap_or(0));
            step.dropped += u64::from(spare.is_none());
        }
        step
    }

    fn begin(&self, group: &mut SequenceGroup, observed: &Observed<'_>) -> Vec<Partial> {
        let event = observed.event;
        let repeat = self.repeats[0] as usize;
        group.leading.push_back(event.clone());
        group.leading_bytes += event.heap_bytes();
        if group.leading.len() < repeat {
            return Vec::new();
        }
        let first = group.leading.front().map_or(event.time, |first| first.time);
        let count = group.leading.len();
        let cited = group.leading.iter().skip(count.saturating_sub(CITED_MAX));
        let partial = Partial {
            start: first,
            done: vec![event.clone()],
            repeated: 0,
            known: vec![observed.captured.hash()],
            last: event.time,
            events: cited.map(|one| one.key.clone()).collect(),
            count: count as u64,
            bytes: event.heap_bytes(),
            shadowed_by: None,
        };
        group.pop_leading();
        vec![partial]
    }

    /// Takes out of the group what the event takes further, the furthest first.
    fn advance(
        &self,
        group: &mut SequenceGroup,
        observed: &Observed<'_>,
        asked: Asked<'_>,
    ) -> Vec<Partial> {
        let (event, step) = (observed.event, observed.input);
        let after = |last: EventTime| match self.ties {
            Ties::InOrder => event.time >= last,
            Ties::Apart => event.time > last,
        };
        let could = |partial: &Partial| {
            partial.done.len() == step && after(partial.last) && !partial.has(&event.key)
        };
        let mut refused: Vec<&[u128]> = Vec::new();
        let accepting = group.partials.iter().rev().find(|partial| {
            if !could(partial) || refused.contains(&partial.known.as_slice()) {
                return false;
            }
            let accepts = asked(event, step, &partial.done);
            if !accepts {
                refused.push(&partial.known);
            }
            accepts
        });
        let Some(known) = accepting.map(|partial| partial.known.clone()) else {
            return Vec::new();
        };
        let mut moved: Vec<Partial> = group
            .partials
            .extract_if(.., |partial| could(partial) && partial.known == known)
            .collect();
        moved.sort_by_key(|partial| std::cmp::Reverse(partial.repeated));
        for partial in &mut moved {
            partial.shadowed_by = None;
            partial.note(event);
            partial.repeated += 1;
            if partial.repeated == self.repeats[step] {
                partial.repeated = 0;
                partial.bytes += event.heap_bytes();
                partial.done.push(event.clone());
                partial.known.push(observed.captured.hash());
            }
        }
        moved
    }

    /// When the group can be forgotten.
    pub fn forgotten_after(&self, group: &SequenceGroup) -> EventTime {
        let starts = group.partials.iter().map(|partial| partial.start);
        let leading = group.leading.back().map(|last| last.time);
        starts
            .chain(leading)
            .max()
            .map_or(EventTime::MIN, |start| start.plus(self.within))
    }
}

fn firing(partial: &Partial, event: &Arc<StoredEvent>) -> Firing {
    let steps = (0u16..).zip(&partial.done);
    Firing {
        time: event.time,
        event: event.clone(),
        start: partial.start,
        count: partial.count,
        value: partial.count as f64,
        steps: steps
            .map(|(number, event)| (number, event.clone()))
            .collect(),
        cited: partial.events.clone(),
    }
}

impl SequenceGroup {
    /// Forgets what began at or before `from`.
    fn forget(&mut self, from: EventTime) {
        self.partials.retain(|partial| partial.start > from);
        while self.leading.front().is_some_and(|first| first.time <= from) {
            self.pop_leading();
        }
    }

    fn pop_leading(&mut self) {
        self.leading_bytes -= self.leading.pop_front().map_or(0, |one| one.heap_bytes());
    }

    /// Ends what has begun, and what is about to, of which the events of its steps say so.
    fn end(&mut self, mut ends: impl FnMut(&[Arc<StoredEvent>]) -> bool) {
        self.partials.retain(|partial| !ends(&partial.done));
        self.leading.retain(|one| !ends(std::slice::from_ref(one)));
        self.leading_bytes = self.leading.iter().map(|one| one.heap_bytes()).sum();
    }

    /// Whether nothing has begun that an event could be asked about.
    pub fn is_idle(&self) -> bool {
        self.partials.is_empty() && self.leading.is_empty()
    }

    /// About how much memory it takes beside itself.
    pub fn heap_bytes(&self) -> usize {
        let of_partial = |partial: &Partial| {
            size_of::<Partial>()
                + partial.bytes
                + partial.events.capacity() * size_of::<EventKey>()
                + partial.known.capacity() * 16
                + partial.done.capacity() * size_of::<Arc<StoredEvent>>()
        };
        let leading = self.leading.capacity() * size_of::<Arc<StoredEvent>>() + self.leading_bytes;
        leading + self.partials.iter().map(of_partial).sum::<usize>()
    }
}
