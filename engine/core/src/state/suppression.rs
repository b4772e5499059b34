//! Findings that are open: what is detected again within their window is counted on them.

use crate::rule::Severity;
use crate::rule::kind::{EventTime, StoredEvent, Suppress, SuppressGroup, Suppressed};
use crate::state::Told;
use crate::wire::{Finding, SuppressedCount};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The open findings of one rule, by the hash of their key.
#[derive(Debug, Default)]
pub(super) struct Suppression {
    open: BTreeMap<u128, Open>,
    closing: BTreeSet<(EventTime, u128)>,
    bytes: usize,
}

/// A finding that is about to be opened.
pub(super) struct Opening {
    key: u128,
    group: SuppressGroup,
}

/// An open finding.
#[derive(Clone, Debug)]
pub(super) struct Open {
    pub(super) group: SuppressGroup,
    pub(super) told: Told,
}

/// An open finding as it is written: the rule is told by where it stands.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct OpenKept {
    pub(super) key: u128,
    pub(super) group: SuppressGroup,
    pub(super) finding: String,
    pub(super) event: Arc<StoredEvent>,
}

impl Suppression {
    /// A detection comes: it is counted on a finding, or opens one.
    pub(super) fn observe(
        &mut self,
        suppress: &Suppress,
        (key, severity): (&[String], Severity),
        time: EventTime,
    ) -> Option<Opening> {
        let key = hash_of(key);
        let mut group = self.open.get(&key).map(|open| open.group.clone());
        let became = suppress.observe(&mut group, time, severity);
        let group = group?;
        if became != Suppressed::Counted {
            return Some(Opening { key, group });
        }
        if let Some(open) = self.open.get_mut(&key) {
            open.group = group;
        }
        None
    }

    /// Opens a finding; gives the one that it ends.
    pub(super) fn open(&mut self, opening: Opening, told: &Told) -> Option<Told> {
        let Opening { key, group } = opening;
        let ended = self.end(key);
        let told = told.clone();
        self.reopen(key, Open { group, told });
        ended
    }

    /// The finding whose window is over next, at or before `now`.
    pub(super) fn close(&mut self, now: EventTime) -> Option<Told> {
        let (until, key) = *self.closing.first()?;
        if until > now {
            return None;
        }
        self.end(key)
    }

    /// Ends the finding whose window would be over first.
    pub(super) fn close_first(&mut self) -> Option<Told> {
        let (_, key) = *self.closing.first()?;
        self.end(key)
    }

    fn end(&mut self, key: u128) -> Option<Told> {
        let open = self.open.remove(&key)?;
        self.closing.remove(&(open.group.until, key));
        self.bytes -= open.bytes();
        Some(open.ended())
    }

    /// When the next window is over.
    pub(super) fn due(&self) -> EventTime {
        let first = self.closing.first();
        first.map_or(EventTime::MAX, |(until, _)| *until)
    }

    /// How many are open.
    pub(super) fn len(&self) -> usize {
        self.open.len()
    }

    /// About how many bytes they take.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The open findings, for writing.
    pub(super) fn kept(&self) -> Vec<OpenKept> {
        let of_open = |(key, open): (&u128, &Open)| OpenKept {
            key: *key,
            group: open.group.clone(),
            finding: serde_json::to_string(&open.told.finding).unwrap_or_default(),
            event: open.told.event.clone(),
        };
        self.open.iter().map(of_open).collect()
    }

    /// Opens a finding, also one that was written.
    pub(super) fn reopen(&mut self, key: u128, open: Open) {
        self.bytes += open.bytes();
        self.closing.insert((open.group.until, key));
        self.open.insert(key, open);
    }
}

impl Open {
    /// The finding with what was counted on it.
    pub(super) fn ended(self) -> Told {
        let Self { group, mut told } = self;
        if group.count > 0 {
            told.finding.revision = 1;
            told.finding.suppressed = Some(SuppressedCount {
                count: group.count,
                last: group.last.to_string(),
            });
        }
        told
    }

    /// About how many bytes it takes, its places in the two trees among them.
    fn bytes(&self) -> usize {
        let places = size_of::<(u128, Self)>() + size_of::<(EventTime, u128)>();
        places * 3 / 2 + finding_bytes(&self.told.finding) + self.told.event.heap_bytes()
    }
}

/// About how many bytes a finding takes beside itself. What does not change while it is open.
fn finding_bytes(finding: &Finding) -> usize {
    const TEXT: usize = size_of::<String>() + 16;
    let list = |texts: &[String]| texts.iter().map(|text| text.len() + TEXT).sum::<usize>();
    let pattern = finding.pattern.as_ref();
    let pattern = pattern.map_or(0, |one| list(&one.group) + list(&one.event_ids) + 2 * TEXT);
    let context = finding.context.iter();
    let context: usize = context
        .map(|(name, value)| name.len() + 2 * TEXT + json_bytes(value))
        .sum();
    let texts = [
        &finding.finding_id,
        &finding.rule_id,
        &finding.rule_version,
        &finding.rule_name,
        &finding.severity,
        &finding.title,
        &finding.event_id,
    ];
    let texts: usize = texts.into_iter().map(|text| text.len() + 16).sum();
    let lists = list(&finding.dedup_key) + list(&finding.attack) + list(&finding.notes);
    texts + lists + context + pattern + TEXT
}

fn json_bytes(value: &serde_json::Value) -> usize {
    use serde_json::Value;
    let own = size_of::<Value>();
    match value {
        Value::String(text) => own + text.len() + 16,
        Value::Array(all) => own + all.iter().map(json_bytes).sum::<usize>(),
        Value::Object(all) => {
            let of_one = |(name, value): (&String, &Value)| name.len() + 64 + json_bytes(value);
            own + all.iter().map(of_one).sum::<usize>()
        }
        _ => own,
    }
}

/// Keys may be as long as events, and are only compared.
fn hash_of(key: &[String]) -> u128 {
    let mut hash = Sha256::new();
    for part in key {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    let digest = hash.finalize();
    u128::from_le_bytes(digest[..16].try_into().unwrap_or([0; 16]))
}
