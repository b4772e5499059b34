//! From an event to what rules that remember are told of it.
//!
//! Runs on the thread that has the event parsed: conditions, keys and values are computed here, so that keeping state
//! is a matter of hashes and times. The hash of a group is the same on every machine and in every run, because
//! groups are what state is divided by. Values are told apart by type: the text `1` and the number 1 are
//! two groups.

use super::evaluator::{Evaluator, describe};
use super::memory::CapturePre;
use super::rule_set::{RuleIndex, RuleSet};
use crate::event::Event;
use crate::limits::{GROUP_TEXT_CHARS_MAX, GROUPS_PER_EVENT_MAX};
use crate::rule::kind::Captured;
use crate::selector::{Evaluation, NodeId, Program, Value};
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
        let observed = std::mem::take(&mut self.observed);
        for (rule, input) in &observed {
            self.observe_input(*rule, *input, 0, event, out);
        }
        self.observed = observed;
        let matched = std::mem::take(&mut self.matched);
        for rule in &matched {
            self.feed(*rule, event, out);
            if set.rules()[rule.0 as usize].rule.suppress.is_some() {
                out.all.push(own_detection(*rule));
            }
        }
        self.matched = matched;
    }

    /// What other rules are told of a detection of `rule`, whose event is `event`.
    /// Their exceptions excuse the events of detections as they excuse events.
    pub fn feed(&mut self, rule: RuleIndex, event: &Event<'_>, out: &mut Observations) {
        let set = self.set;
        let from = set.rules()[rule.0 as usize].detected_by;
        for (fed, input) in set.feeds(rule) {
            match self.input_holds(*fed, *input, event) {
                Ok(true) if !self.is_excused(*fed, event) => {
                    self.observe_input(*fed, *input, from, event, out);
                }
                Ok(_) => {}
                Err(reason) => out.faults.push(ObserveFault { rule: *fed, reason }),
            }
        }
    }

    /// Whether the part of an input's condition that is about the event alone holds, or why that cannot be told.
    fn input_holds(
        &mut self,
        rule: RuleIndex,
        input: u16,
        event: &Event<'_>,
    ) -> Result<bool, String> {
        let pre = &self.set.rules()[rule.0 as usize].inputs[input as usize];
        match pre.when {
            // What asks about steps is asked when the step is taken.
            Some(when) if !pre.asks => self.on_event(event, |evaluation, program| {
                evaluation
                    .test(when)
                    .map_err(|fault| describe(&fault, program))
            }),
            _ => Ok(true),
        }
    }

    fn observe_input(
        &mut self,
        rule: RuleIndex,
        input: u16,
        detected_by: u64,
        event: &Event<'_>,
        out: &mut Observations,
    ) {
        let set: &RuleSet = self.set;
        let pre = &set.rules()[rule.0 as usize];
        let input_pre = &pre.inputs[input as usize];
        let score = if detected_by == 0 {
            0.0
        } else {
            set.score_of(detected_by)
        };
        let told = self.on_event(event, |evaluation, program| {
            let captured = match &input_pre.captures {
                CapturePre::Values(nodes) => values(nodes, evaluation, program)?,
                captures => (vec![capture(captures, score, evaluation, program)?], 0),
            };
            let groups = groups(&input_pre.group_by, evaluation, program)?;
            Ok::<_, String>((captured, groups))
        });
        match told {
            Ok(((all, cut), groups)) => {
                out.groups_cut += cut + groups.cut;
                let by_value = input_pre.group_by.is_empty() && input_pre.grouped_by_value;
                for captured in all {
                    let own = [captured.hash()];
                    let hashes = if by_value { &own[..] } else { &groups.hashes };
                    out.all.extend(hashes.iter().map(|group| Observation {
                        rule,
                        input,
                        detected_by,
                        group: *group,
                        captured,
                    }));
                }
            }
            Err(reason) => out.faults.push(ObserveFault { rule, reason }),
        }
    }
}

impl Evaluator<'_> {
    /// The parts of the key of a group that the event is observed in, as text; for explaining.
    pub fn group_text(&mut self, told: &Observation, event: &Event<'_>) -> Vec<String> {
        let pre = &self.set.rules()[told.rule.0 as usize];
        let Some(input) = pre.inputs.get(told.input as usize) else {
            return Vec::new();
        };
        self.on_event(event, |evaluation, program| {
            group_text(&input.group_by, told.group, evaluation, program)
        })
    }
}

/// The parts of the key of a group, as text: those of the event's groups that has this hash.
pub(super) fn group_text(
    group_by: &[NodeId],
    group: u128,
    evaluation: &mut Evaluation<'_>,
    program: &Program,
) -> Vec<String> {
    if group_by.is_empty() {
        return Vec::new();
    }
    let Ok(parts) = parts(group_by, evaluation, program, &mut 0) else {
        return Vec::new();
    };
    let chosen = combinations(&parts)
        .0
        .into_iter()
        .find(|one| hash_of(one) == group);
    chosen.unwrap_or_default().into_iter().map(shown).collect()
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

/// The hashes of values that must be there, one for each choice of elements of those that are lists, and how many
/// choices there are beyond the bound.
fn values(
    nodes: &[NodeId],
    evaluation: &mut Evaluation<'_>,
    program: &Program,
) -> Result<(Vec<Captured>, u64), String> {
    let mut cut = 0;
    let parts = parts(nodes, evaluation, program, &mut cut)?;
    let (all, more) = combinations(&parts);
    let mut hashes: Vec<u128> = all.iter().map(|one| hash_of(one)).collect();
    hashes.sort_unstable();
    hashes.dedup();
    let captured = hashes.into_iter().map(Captured::Hash).collect();
    Ok((captured, cut + more))
}

fn capture(
    captures: &CapturePre,
    score: f64,
    evaluation: &mut Evaluation<'_>,
    program: &Program,
) -> Result<Captured, String> {
    match captures {
        CapturePre::Nothing | CapturePre::Values(_) => Ok(Captured::Nothing),
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
            .map_err(|fault| describe(&fault, program)),
        CapturePre::Number(node) => match evaluation.eval(*node) {
            Ok(Value::Int(value)) => Ok(Captured::Number(value as f64)),
            Ok(Value::Uint(value)) => Ok(Captured::Number(value as f64)),
            Ok(Value::Double(value)) if value.is_finite() => Ok(Captured::Number(value)),
            Ok(other) => Err(format!("{other} is no number")),
            Err(fault) => Err(describe(&fault, program)),
        },
    }
}

struct Groups {
    hashes: Vec<u128>,
    cut: u64,
}

fn groups(
    nodes: &[NodeId],
    evaluation: &mut Evaluation<'_>,
    program: &Program,
) -> Result<Groups, String> {
    if nodes.is_empty() {
        return Ok(Groups {
            hashes: vec![hash_of(&[])],
            cut: 0,
        });
    }
    let mut cut = 0;
    let parts = parts(nodes, evaluation, program, &mut cut)?;
    let (all, more) = combinations(&parts);
    cut += more;
    let mut hashes: Vec<u128> = all.iter().map(|one| hash_of(one)).collect();
    hashes.sort_unstable();
    hashes.dedup();
    Ok(Groups { hashes, cut })
}

/// The values of each part of a key: several when it is a list.
fn parts<'e>(
    nodes: &[NodeId],
    evaluation: &mut Evaluation<'e>,
    program: &Program,
    cut: &mut u64,
) -> Result<Vec<Vec<Value<'e>>>, String> {
    let mut parts = Vec::with_capacity(nodes.len());
    for node in nodes {
        match evaluation.eval(*node) {
            Ok(Value::List(list)) if !list.is_empty() => {
                *cut += list.len().saturating_sub(GROUPS_PER_EVENT_MAX) as u64;
                parts.push(list.iter().take(GROUPS_PER_EVENT_MAX).collect());
            }
            Ok(Value::List(_)) => {
                return Err("a part of the key or value is an empty list".to_owned());
            }
            Ok(value) => parts.push(vec![value]),
            Err(fault) => return Err(describe(&fault, program)),
        }
    }
    Ok(parts)
}

/// Every choice of one value of each part, up to the bound, and how many more there are.
fn combinations<'p, 'e>(parts: &'p [Vec<Value<'e>>]) -> (Vec<Vec<&'p Value<'e>>>, u64) {
    let mut all: Vec<Vec<&Value<'e>>> = vec![Vec::new()];
    let mut cut = 0u64;
    for part in parts {
        let total = all.len() * part.len();
        cut = cut.saturating_add(total.saturating_sub(GROUPS_PER_EVENT_MAX) as u64);
        all = all
            .iter()
            .flat_map(|one| {
                part.iter()
                    .map(move |value| one.iter().copied().chain([value]).collect())
            })
            .take(GROUPS_PER_EVENT_MAX)
            .collect();
    }
    (all, cut)
}

/// 128 bits of SHA-256 over the values, each with its type and length.
fn hash_of(values: &[&Value<'_>]) -> u128 {
    let mut hash = Sha256::new();
    for value in values {
        let mut part = |tag: u8, bytes: &[u8]| {
            hash.update([tag]);
            hash.update((bytes.len() as u64).to_le_bytes());
            hash.update(bytes);
        };
        match value {
            Value::String(text) => part(b's', text.as_bytes()),
            other => part(b'j', other.to_json().to_string().as_bytes()),
        }
    }
    let digest = hash.finalize();
    u128::from_le_bytes(digest[..16].try_into().unwrap_or([0; 16]))
}

fn shown(value: &Value<'_>) -> String {
    let text = match value {
        Value::String(text) => (**text).to_owned(),
        Value::Null => String::new(),
        other => other.to_json().to_string(),
    };
    match text.char_indices().nth(GROUP_TEXT_CHARS_MAX) {
        Some((cut, _)) => format!("{}…", &text[..cut]),
        None => text,
    }
}
