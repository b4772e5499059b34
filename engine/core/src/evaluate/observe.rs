//! From an event to what rules that remember are told of it.
//!
//! Runs on the thread that has the event parsed: conditions, keys and values are computed here, so that keeping state
//! is a matter of hashes and times.

use super::ask::variables;
use super::evaluator::{Evaluator, describe};
use super::group_key::{KeyId, KeyMemo, group_text, hash_of};
use super::hash::hash_bytes;
use super::memory::{CapturePre, CountedPre, CountedValue, InputPre};
use super::rule_set::{RuleIndex, RuleSet};
use crate::event::Event;
use crate::insight::SeriesTexts;
use crate::limits::GROUPS_PER_EVENT_MAX;
use crate::rule::kind::{Captured, CountedOf};
use crate::selector::{Evaluation, EventView, Value};
use jiff::Timestamp;
use sha2::{Digest, Sha256};

/// The number of the input that stands for a rule's own detection, of rules whose findings are suppressed.
pub const OWN_DETECTION: u16 = u16::MAX;

/// One event or detection, for one group of one rule.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Observation {
    /// The rule.
    pub rule: RuleIndex,
    /// Which of its inputs; [`OWN_DETECTION`] for a detection to be suppressed.
    pub input: u16,
    /// Tells the detections of different rules apart; 0 for an event.
    pub detected_by: u64,
    /// The hash of the group.
    pub group: u128,
    /// What was computed of the event.
    pub captured: Captured,
}

/// What kept an event from being observed by a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObserveFault {
    /// The rule.
    pub rule: RuleIndex,
    /// A part of its key or its value could not be computed.
    pub reason: String,
}

/// What rules that remember are told of one event.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Observations {
    /// What they are told.
    pub all: Vec<Observation>,
    /// What they cannot be told.
    pub faults: Vec<ObserveFault>,
    /// Groups beyond the bound for one event.
    pub groups_cut: u64,
}

impl Observations {
    /// Whether there is nothing to tell.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty() && self.faults.is_empty()
    }

    /// Forgets all, and keeps the memory.
    pub fn clear(&mut self) {
        self.all.clear();
        self.faults.clear();
        self.groups_cut = 0;
    }
}

/// Detections of this rule, wherever it stands in the rule set.
pub(super) fn detected_by(id: &str) -> u64 {
    let digest = Sha256::digest(id);
    u64::from_le_bytes(digest[..8].try_into().unwrap_or([0; 8])) | 1
}

impl Evaluator<'_> {
    /// What rules that remember are told of the event that was evaluated last.
    pub fn observe(&mut self, event: &Event<'_>, out: &mut Observations) {
        out.clear();
        let set = self.set;
        let is_told = |rule: &RuleIndex| {
            set.feeds_others(*rule) || set.rules()[rule.0 as usize].rule.suppress.is_some()
        };
        if self.observed.is_empty() && !self.matched.iter().any(is_told) {
            return;
        }
        let observed = std::mem::take(&mut self.observed);
        let matched = std::mem::take(&mut self.matched);
        self.observing(event, out, |observing| {
            for (rule, input) in &observed {
                observing.input(*rule, *input, 0);
            }
            for rule in &matched {
                observing.feed(*rule);
                if set.rules()[rule.0 as usize].rule.suppress.is_some() {
                    observing.out.all.push(own_detection(*rule));
                }
            }
        });
        self.observed = observed;
        self.matched = matched;
    }

    /// What other rules are told of a detection of `rule`, whose event is `event`.
    /// Their exceptions excuse the events of detections as they excuse events.
    pub fn feed(&mut self, rule: RuleIndex, event: &Event<'_>, out: &mut Observations) {
        self.observing(event, out, |observing| observing.feed(rule));
    }

    fn observing(
        &mut self,
        event: &Event<'_>,
        out: &mut Observations,
        work: impl FnOnce(&mut Observing<'_, '_>),
    ) {
        let set = self.set;
        set.plan.extract(event.root(), &mut self.slots);
        self.keys.begin();
        let view = EventView {
            root: event.root(),
            slots: &self.slots,
        };
        let variables = event.facts().map(|facts| variables(Some(facts)));
        let variables = variables.as_ref().map_or(&[][..], |all| all.as_slice());
        let mut observing = Observing {
            set,
            evaluation: Evaluation::new(&set.program, view, &mut self.scratch)
                .with_variables(variables),
            keys: &mut self.keys,
            time: event.time(),
            out,
        };
        work(&mut observing);
        observing.evaluation.finish(&mut self.scratch);
    }
}

/// One event, while rules are told of it.
struct Observing<'o, 'e> {
    set: &'e RuleSet,
    evaluation: Evaluation<'e>,
    keys: &'o mut KeyMemo,
    time: Option<Timestamp>,
    out: &'o mut Observations,
}

impl Observing<'_, '_> {
    fn feed(&mut self, rule: RuleIndex) {
        let set = self.set;
        let from = set.rules()[rule.0 as usize].detected_by;
        for (fed, input) in set.feeds(rule) {
            match self.holds(*fed, *input) {
                Ok(true) if !self.is_excused(*fed) => self.input(*fed, *input, from),
                Ok(_) => {}
                Err(reason) => self.fault(*fed, reason),
            }
        }
    }

    fn fault(&mut self, rule: RuleIndex, reason: String) {
        self.out.faults.push(ObserveFault { rule, reason });
    }

    /// Whether the part of an input's condition that is about the event alone holds, or why that cannot be told.
    fn holds(&mut self, rule: RuleIndex, input: u16) -> Result<bool, String> {
        let pre = &self.set.rules()[rule.0 as usize].inputs[input as usize];
        match pre.when {
            // What asks about steps is asked when the step is taken.
            Some(when) if !pre.asks => self
                .evaluation
                .test(when)
                .map_err(|fault| describe(&fault, &self.set.program)),
            _ => Ok(true),
        }
    }

    /// Whether an exception of a rule holds; one that cannot be decided does not excuse.
    fn is_excused(&mut self, rule: RuleIndex) -> bool {
        let exceptions = &self.set.rules()[rule.0 as usize].exceptions;
        let mut covering = exceptions.iter().filter(|one| one.covers(self.time));
        covering.any(|one| self.evaluation.test(one.node) == Ok(true))
    }

    fn input(&mut self, rule: RuleIndex, input: u16, detected_by: u64) {
        let pre = &self.set.rules()[rule.0 as usize].inputs[input as usize];
        if let Err(reason) = self.try_input((rule, input), pre, detected_by) {
            self.fault(rule, reason);
        }
    }

    fn try_input(
        &mut self,
        (rule, input): (RuleIndex, u16),
        pre: &InputPre,
        detected_by: u64,
    ) -> Result<(), String> {
        let Self {
            set,
            evaluation,
            keys,
            out,
            ..
        } = self;
        let program = &set.program;
        let told = |group: u128, captured: Captured| Observation {
            rule,
            input,
            detected_by,
            group,
            captured,
        };
        if let CapturePre::Sight { of, peers } = pre.captures {
            return self.sights(told, pre.group_by, [of, peers]);
        }
        let CapturePre::Values(of) = pre.captures else {
            let score = match detected_by {
                0 => 0.0,
                from => set.score_of(from),
            };
            let Some(captured) = capture(&pre.captures, score, evaluation, set)? else {
                return Ok(());
            };
            let (groups, cut) = keys.hashes(&set.keys, pre.group_by, evaluation, program)?;
            out.groups_cut += cut;
            out.all
                .extend(groups.iter().map(|group| told(*group, captured)));
            return Ok(());
        };
        let (values, cut) = keys.hashes(&set.keys, of, evaluation, program)?;
        out.groups_cut += cut;
        if pre.grouped_by_value && set.keys.nodes(pre.group_by).is_empty() {
            let own = values.iter();
            out.all
                .extend(own.map(|value| told(*value, Captured::Hash(*value))));
            return Ok(());
        }
        if let [value] = values {
            let value = *value;
            let (groups, cut) = keys.hashes(&set.keys, pre.group_by, evaluation, program)?;
            out.groups_cut += cut;
            let groups = groups.iter();
            out.all
                .extend(groups.map(|group| told(*group, Captured::Hash(value))));
            return Ok(());
        }
        let values = values.to_vec();
        let (groups, cut) = keys.hashes(&set.keys, pre.group_by, evaluation, program)?;
        out.groups_cut += cut;
        for value in values {
            let groups = groups.iter();
            out.all
                .extend(groups.map(|group| told(*group, Captured::Hash(value))));
        }
        Ok(())
    }
}

impl Observing<'_, '_> {
    /// Everything that entities do with one event.
    fn sights(
        &mut self,
        told: impl Fn(u128, Captured) -> Observation,
        entities: KeyId,
        [of, peers]: [KeyId; 2],
    ) -> Result<(), String> {
        let (entities, values, peers) = (self.all(entities)?, self.all(of)?, self.all(peers)?);
        let mut count = 0;
        for entity in &entities {
            for (value, peers) in values
                .iter()
                .flat_map(|value| peers.iter().map(move |peers| (value, peers)))
            {
                count += 1;
                if count > GROUPS_PER_EVENT_MAX {
                    self.out.groups_cut += 1;
                    continue;
                }
                let sight = Captured::Sight {
                    value: *value as u64,
                    peers: *peers as u64,
                };
                self.out.all.push(told(*entity, sight));
            }
        }
        Ok(())
    }

    fn all(&mut self, key: KeyId) -> Result<Vec<u128>, String> {
        let Self {
            set,
            evaluation,
            keys,
            out,
            ..
        } = self;
        let (hashes, cut) = keys.hashes(&set.keys, key, evaluation, &set.program)?;
        out.groups_cut += cut;
        Ok(hashes.to_vec())
    }
}

impl Evaluator<'_> {
    /// The parts of the key of a series, and the name of each attribution, of an event that it counts.
    pub fn series_texts(&mut self, told: &Observation, event: &Event<'_>) -> SeriesTexts {
        let set = self.set;
        let pre = &set.rules()[told.rule.0 as usize];
        let Some(input) = pre.inputs.get(told.input as usize) else {
            return SeriesTexts::default();
        };
        let CapturePre::Counted(counted) = &input.captures else {
            return SeriesTexts::default();
        };
        self.on_event(event, |evaluation, program| {
            let group_by = set.keys.nodes(input.group_by);
            let names = counted
                .names
                .iter()
                .map(|node| match evaluation.eval(*node) {
                    Ok(Value::String(text)) => (*text).to_owned(),
                    Ok(other) => other.to_json().to_string(),
                    Err(_) => String::new(),
                });
            SeriesTexts {
                names: names.collect(),
                key: group_text(group_by, told.group, evaluation, program),
            }
        })
    }

    /// The parts of the key of a group that the event is observed in, as text; for explaining.
    pub fn group_text(&mut self, told: &Observation, event: &Event<'_>) -> Vec<String> {
        let set = self.set;
        let pre = &set.rules()[told.rule.0 as usize];
        let Some(input) = pre.inputs.get(told.input as usize) else {
            return Vec::new();
        };
        self.on_event(event, |evaluation, program| {
            let group_by = set.keys.nodes(input.group_by);
            group_text(group_by, told.group, evaluation, program)
        })
    }
}

/// A detection that is to be suppressed.
fn own_detection(rule: RuleIndex) -> Observation {
    Observation {
        rule,
        input: OWN_DETECTION,
        detected_by: 0,
        group: 0,
        captured: Captured::Nothing,
    }
}

fn capture(
    captures: &CapturePre,
    score: f64,
    evaluation: &mut Evaluation<'_>,
    set: &RuleSet,
) -> Result<Option<Captured>, String> {
    let captured = match captures {
        CapturePre::Counted(pre) => return counted(pre, evaluation, set),
        CapturePre::Nothing | CapturePre::Values(_) | CapturePre::Sight { .. } => {
            Ok(Captured::Nothing)
        }
        CapturePre::Score => Ok(Captured::Number(score)),
        CapturePre::Asked(nodes) => {
            let values: Vec<Value<'_>> = nodes
                .iter()
                .map(|node| evaluation.eval(*node).unwrap_or(Value::Null))
                .collect();
            Ok(Captured::Hash(hash_of(&values.iter().collect::<Vec<_>>())))
        }
        CapturePre::Flag(node) => evaluation
            .test(*node)
            .map(Captured::Flag)
            .map_err(|fault| describe(&fault, &set.program)),
        CapturePre::Number(node) => match evaluation.eval(*node) {
            Ok(Value::Int(value)) => Ok(Captured::Number(value as f64)),
            Ok(Value::Uint(value)) => Ok(Captured::Number(value as f64)),
            Ok(Value::Double(value)) if value.is_finite() => Ok(Captured::Number(value)),
            Ok(other) => Err(format!("{other} is no number")),
            Err(fault) => Err(describe(&fault, &set.program)),
        },
    };
    captured.map(Some)
}

/// What a series counts of the event at hand; nothing of an event that it does not count.
pub(super) fn counted(
    pre: &CountedPre,
    evaluation: &mut Evaluation<'_>,
    set: &RuleSet,
) -> Result<Option<Captured>, String> {
    let told = |fault| describe(&fault, &set.program);
    let is_error = match pre.fails {
        Some(fails) => evaluation.test(fails).map_err(told)?,
        None => false,
    };
    if pre.only_errors && !is_error {
        return Ok(None);
    }
    let value = match pre.of {
        CountedValue::One => 1f32.to_bits(),
        CountedValue::Number(of) => amount(&evaluation.eval(of).map_err(told)?)?.to_bits(),
        CountedValue::Measured(of) => measured(&evaluation.eval(of).map_err(told)?)?.to_bits(),
        CountedValue::Distinct(of) => match evaluation.eval(of).map_err(told)? {
            Value::String(text) => hash_bytes(NAME_SEED, text.as_bytes()) as u32,
            other => hash_bytes(NAME_SEED, other.to_json().to_string().as_bytes()) as u32,
        },
    };
    let mut names = [0; 3];
    for (name, node) in names.iter_mut().zip(&pre.names) {
        // Whose an event is must not keep it from being counted.
        *name = match evaluation.eval(*node) {
            Ok(Value::String(text)) => name_hash(&text),
            Ok(other) => name_hash(&other.to_json().to_string()),
            Err(_) => 0,
        };
    }
    let of = CountedOf {
        is_error,
        value,
        names,
    };
    Ok(Some(Captured::Counted(of)))
}

fn number(value: &Value<'_>) -> Result<f64, String> {
    Ok(match value {
        Value::Int(number) => *number as f64,
        Value::Uint(number) => *number as f64,
        Value::Double(number) => *number,
        other => return Err(format!("{other} is no number")),
    })
}

/// A number that can be measured.
fn measured(value: &Value<'_>) -> Result<f32, String> {
    let number = number(value)? as f32;
    match number.is_finite() {
        true => Ok(number),
        false => Err(format!("{number} is no measurement")),
    }
}

/// A number that can be added up.
fn amount(value: &Value<'_>) -> Result<f32, String> {
    let number = number(value)?;
    if !(0.0..=f64::from(f32::MAX)).contains(&number) {
        return Err(format!(
            "{number} is no amount: it is below 0, or no number that can be added up"
        ));
    }
    Ok(number as f32)
}

/// The same on every machine, because memory holds them.
const NAME_SEED: u64 = 0x7472_6970;

/// Stands for a name; the empty one is 0, which is nobody's. Two names that collide are told as one.
fn name_hash(name: &str) -> u64 {
    match name {
        "" => 0,
        name => hash_bytes(NAME_SEED, name.as_bytes()) | 1,
    }
}
