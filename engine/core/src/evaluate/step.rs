//! Asking conditions about the events of earlier steps, and shaping what rules that remember found.
//!
//! Events are kept as bytes and parsed again here. That is rare: a condition is only asked when an event
//! could take a step further, and a finding shaped once.

use super::evaluator::{Evaluator, describe};
use super::finding::{Shaped, shape};
use super::group_key::group_text;
use super::rule_set::RuleIndex;
use super::scored::{Known, nothing_known};
use crate::event::{Event, Json, Parser};
use crate::rule::kind::{EventTime, Firing, StoredEvent};
use crate::selector::value::{Entries, MapValue, Moment};
use crate::selector::{Evaluation, EventView, Type, Value};
use std::sync::Arc;

/// Parsers for the events at hand, kept between questions.
#[derive(Default)]
pub struct Parsers {
    event: Parser,
    steps: Vec<Parser>,
}

impl Evaluator<'_> {
    /// Whether the condition of an input asks about earlier steps.
    pub fn asks(&self, rule: RuleIndex, input: usize) -> bool {
        let pre = &self.set.rules()[rule.0 as usize];
        pre.inputs.get(input).is_some_and(|input| input.asks)
    }

    /// Whether an event meets the condition of an input, given the events of the steps before, or why that cannot be
    /// decided. The event is read here unless the caller has done so.
    pub fn accepts(
        &mut self,
        (rule, input): (RuleIndex, usize),
        (event, read): (&StoredEvent, Option<&Event<'_>>),
        steps: &[Arc<StoredEvent>],
        parsers: &mut Parsers,
    ) -> Result<bool, String> {
        let pre = &self.set.rules()[rule.0 as usize];
        let input = &pre.inputs[input];
        let Some(when) = input.when.filter(|_| input.asks) else {
            return Ok(true);
        };
        let named = pre
            .rule
            .inputs
            .iter()
            .map(|input| input.name.as_str())
            .zip(steps.iter().map(|step| &**step));
        let named: Vec<_> = named.collect();
        let Parsers {
            event: parser,
            steps: step_parsers,
        } = parsers;
        let parsed = match read {
            Some(_) => None,
            None => parser.parse(&event.bytes).ok().map(Event::new),
        };
        let Some(event) = read.or(parsed.as_ref()) else {
            return Err("a kept event cannot be read".to_owned());
        };
        self.with_steps(event, &named, None, step_parsers, |evaluation, program| {
            evaluation
                .test(when)
                .map_err(|fault| describe(&fault, program))
        })
        .unwrap_or(Ok(false))
    }

    /// Whether an exception of a rule excuses a kept event.
    pub fn excuses(&mut self, rule: RuleIndex, event: &StoredEvent, parsers: &mut Parsers) -> bool {
        let exceptions = &self.set.rules()[rule.0 as usize].exceptions;
        if exceptions.is_empty() {
            return false;
        }
        let Ok(document) = parsers.event.parse(&event.bytes) else {
            return false;
        };
        let event = Event::new(document);
        let time = event.time();
        self.on_event(&event, |evaluation, _| {
            let mut covering = exceptions.iter().filter(|one| one.covers(time));
            covering.any(|one| evaluation.test(one.node) == Ok(true))
        })
    }

    /// Title, severity, key and context of what a rule that remembers found, and the parts of its group as text.
    pub(super) fn shape_firing(
        &mut self,
        rule: RuleIndex,
        (input, group): (u16, u128),
        firing: &Firing,
        parsers: &mut Parsers,
    ) -> Option<(Shaped, Vec<String>)> {
        let set = self.set;
        let pre = &set.rules()[rule.0 as usize];
        self.on_firing(rule, firing, parsers, |evaluation, program| {
            let group_by = pre.inputs.get(usize::from(input));
            let group_by = group_by.map_or(&[][..], |input| set.keys.nodes(input.group_by));
            let text = group_text(group_by, group, evaluation, program);
            (shape(evaluation, program, pre), text)
        })
    }

    /// Runs `work` on the event of a firing, with its steps and its window.
    pub(super) fn on_firing<T>(
        &mut self,
        rule: RuleIndex,
        firing: &Firing,
        parsers: &mut Parsers,
        work: impl FnOnce(&mut Evaluation<'_>, &crate::selector::Program) -> T,
    ) -> Option<T> {
        let inputs = &self.set.rules()[rule.0 as usize].rule.inputs;
        let named: Vec<(&str, &StoredEvent)> = firing
            .steps
            .iter()
            .filter_map(|(number, event)| {
                Some((inputs.get(*number as usize)?.name.as_str(), &**event))
            })
            .collect();
        let Parsers {
            event: parser,
            steps: step_parsers,
        } = parsers;
        let event = Event::new(parser.parse(&firing.event.bytes).ok()?);
        self.with_steps(&event, &named, Some(firing), step_parsers, work)
    }

    /// Runs `work` on an event with the variables `step` and `window`. Nothing when a kept event cannot be read,
    /// which only a tampered snapshot can bring about.
    fn with_steps<T>(
        &mut self,
        event: &Event<'_>,
        steps: &[(&str, &StoredEvent)],
        window: Option<&Firing>,
        step_parsers: &mut Vec<Parser>,
        work: impl FnOnce(&mut Evaluation<'_>, &crate::selector::Program) -> T,
    ) -> Option<T> {
        if step_parsers.len() < steps.len() {
            step_parsers.resize_with(steps.len(), Parser::new);
        }
        let mut roots: Vec<(&str, Json<'_>)> = Vec::with_capacity(steps.len());
        for (parser, (name, step)) in step_parsers.iter_mut().zip(steps) {
            roots.push((name, Event::new(parser.parse(&step.bytes).ok()?).root()));
        }
        let steps = map(roots
            .into_iter()
            .map(|(name, root)| (name, Value::from_json(root))))?;
        let window = match window {
            Some(firing) => map(window_values(firing))?,
            None => map([])?,
        };
        let known = self.known.as_ref();
        let [insight, entity] = known.map_or_else(nothing_known, Known::values);
        let null = || Value::Null;
        let variables = [steps, window, null(), null(), null(), insight, entity];
        let program = &self.set.program;
        self.set.plan.extract(event.root(), &mut self.slots);
        let view = EventView {
            root: event.root(),
            slots: &self.slots,
        };
        let mut evaluation =
            Evaluation::new(program, view, &mut self.scratch).with_variables(&variables);
        let result = work(&mut evaluation, program);
        evaluation.finish(&mut self.scratch);
        Some(result)
    }
}

/// What titles, keys, severity and context may ask of `window`.
pub(super) static WINDOW_FIELDS: [(&str, Type); 4] = [
    ("count", Type::Int),
    ("value", Type::Double),
    ("start", Type::Timestamp),
    ("end", Type::Timestamp),
];

/// The values of [`WINDOW_FIELDS`].
fn window_values(firing: &Firing) -> [(&'static str, Value<'static>); 4] {
    let moment = |time: EventTime| {
        let micros = time.micros();
        let nanosecond = micros.rem_euclid(1_000_000) as u32 * 1000;
        Value::Timestamp(
            Moment::new(micros.div_euclid(1_000_000), nanosecond).unwrap_or(Moment::EPOCH),
        )
    };
    [
        ("count", Value::Int(firing.count as i64)),
        ("value", Value::Double(firing.value)),
        ("start", moment(firing.start)),
        ("end", moment(firing.time)),
    ]
}

fn map<'e, 'n>(entries: impl IntoIterator<Item = (&'n str, Value<'e>)>) -> Option<Value<'e>> {
    let entries = entries
        .into_iter()
        .map(|(name, value)| (Value::owned_text(name), value));
    let entries = Entries::new(entries.collect()).ok()?;
    Some(Value::Map(MapValue::Shared(Arc::new(entries))))
}

#[cfg(test)]
mod tests {
    use super::{WINDOW_FIELDS, window_values};
    use crate::rule::kind::{EventKey, EventTime, Firing, StoredEvent};
    use crate::selector::{Type, Value};
    use std::sync::Arc;

    #[test]
    fn what_a_window_may_be_asked_is_what_it_has() {
        let event = Arc::new(StoredEvent {
            key: EventKey::new("a"),
            time: EventTime::from_micros(1),
            bytes: b"{}".as_slice().into(),
            origin: "".into(),
        });
        let values = window_values(&Firing::of_event(&event));
        let known = values.iter().map(|(name, value)| {
            let of = match value {
                Value::Int(_) => Type::Int,
                Value::Double(_) => Type::Double,
                Value::Timestamp(_) => Type::Timestamp,
                other => panic!("{name} has a value of another type: {other}"),
            };
            (*name, of)
        });
        assert_eq!(known.collect::<Vec<_>>(), WINDOW_FIELDS);
    }
}
