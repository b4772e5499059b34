//! Keys of groups: the values of several expressions on one event, as one hash.
//!
//! Most rules are grouped by the same few expressions, so each list of them has a number, and what it comes to on an
//! event is computed once for all rules. The hash of a group is the same on every machine and in every run,
//! because groups are what state is divided by. Values are told apart by type: the text `1` and the number 1 are
//! two groups.

use super::evaluator::describe;
use crate::limits::{GROUP_TEXT_CHARS_MAX, GROUPS_PER_EVENT_MAX};
use crate::selector::{Evaluation, NodeId, Program, Value};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::ops::Range;

/// The number of a list of expressions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct KeyId(u32);

/// All lists of expressions, each once.
#[derive(Debug, Default)]
pub(super) struct Keys {
    all: Vec<Vec<NodeId>>,
    numbers: BTreeMap<Vec<NodeId>, KeyId>,
}

impl Keys {
    /// The number of a list.
    pub(super) fn add(&mut self, nodes: Vec<NodeId>) -> KeyId {
        let next = KeyId(self.all.len() as u32);
        *self.numbers.entry(nodes).or_insert_with_key(|nodes| {
            self.all.push(nodes.clone());
            next
        })
    }

    /// A list.
    pub(super) fn nodes(&self, id: KeyId) -> &[NodeId] {
        self.all.get(id.0 as usize).map_or(&[], Vec::as_slice)
    }
}

/// What lists come to on the event at hand.
#[derive(Debug, Default)]
pub(super) struct KeyMemo {
    event: u64,
    of: Vec<Known>,
    hashes: Vec<u128>,
}

#[derive(Debug, Default)]
struct Known {
    event: u64,
    hashes: Range<usize>,
    cut: u64,
    fault: Option<String>,
}

impl KeyMemo {
    /// Another event.
    pub(super) fn begin(&mut self) {
        self.event += 1;
        self.hashes.clear();
    }

    /// The hashes of a list, one for each choice of elements of the parts that are lists themselves, in order and each
    /// once, and how many choices there are beyond the bound; or why a part has no value.
    pub(super) fn hashes(
        &mut self,
        keys: &Keys,
        id: KeyId,
        evaluation: &mut Evaluation<'_>,
        program: &Program,
    ) -> Result<(&[u128], u64), &str> {
        let at = id.0 as usize;
        if self.of.len() <= at {
            self.of.resize_with(at + 1, Known::default);
        }
        if self.of[at].event != self.event {
            let from = self.hashes.len();
            let cut = compute(keys.nodes(id), evaluation, program, &mut self.hashes);
            let (cut, fault) = match cut {
                Ok(cut) => (cut, None),
                Err(fault) => (0, Some(fault)),
            };
            self.of[at] = Known {
                event: self.event,
                hashes: from..self.hashes.len(),
                cut,
                fault,
            };
        }
        let known = &self.of[at];
        match &known.fault {
            Some(fault) => Err(fault),
            None => Ok((&self.hashes[known.hashes.clone()], known.cut)),
        }
    }
}

fn compute(
    nodes: &[NodeId],
    evaluation: &mut Evaluation<'_>,
    program: &Program,
    out: &mut Vec<u128>,
) -> Result<u64, String> {
    let mut hash = KeyHash::default();
    for node in nodes {
        match evaluation.eval(*node) {
            Ok(Value::List(_)) => return compute_all(nodes, evaluation, program, out),
            Ok(value) => hash.add(&value),
            Err(fault) => return Err(describe(&fault, program)),
        }
    }
    out.push(hash.end());
    Ok(0)
}

/// Some parts are lists.
fn compute_all(
    nodes: &[NodeId],
    evaluation: &mut Evaluation<'_>,
    program: &Program,
    out: &mut Vec<u128>,
) -> Result<u64, String> {
    let mut cut = 0;
    let parts = parts(nodes, evaluation, program, &mut cut)?;
    let (all, more) = combinations(&parts);
    let mut hashes: Vec<u128> = all.iter().map(|one| hash_of(one)).collect();
    hashes.sort_unstable();
    hashes.dedup();
    out.extend(hashes);
    Ok(cut + more)
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

/// The hash of values together.
pub(super) fn hash_of(values: &[&Value<'_>]) -> u128 {
    let mut hash = KeyHash::default();
    for value in values {
        hash.add(value);
    }
    hash.end()
}

/// 128 bits of SHA-256 over values, each with its type and length.
#[derive(Default)]
struct KeyHash(Sha256);

impl KeyHash {
    fn add(&mut self, value: &Value<'_>) {
        match value {
            Value::String(text) => self.part(b's', text.as_bytes()),
            other => self.part(b'j', other.to_json().to_string().as_bytes()),
        }
    }

    fn part(&mut self, tag: u8, bytes: &[u8]) {
        self.0.update([tag]);
        self.0.update((bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
    }

    fn end(self) -> u128 {
        let digest = self.0.finalize();
        u128::from_le_bytes(digest[..16].try_into().unwrap_or([0; 16]))
    }
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
