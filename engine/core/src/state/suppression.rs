//! Findings that are open: what is detected again within their window is counted on them.

use crate::rule::Severity;
use crate::rule::kind::{EventTime, Suppress, SuppressGroup, Suppressed};
use crate::state::Told;
use crate::wire::SuppressedCount;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// The open findings of one rule, by key.
#[derive(Debug, Default)]
pub(super) struct Suppression {
    open: BTreeMap<Vec<String>, Open>,
    closing: BTreeSet<(EventTime, Vec<String>)>,
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
    pub(super) key: Vec<String>,
    pub(super) group: SuppressGroup,
    pub(super) finding: String,
    pub(super) event: std::sync::Arc<crate::rule::kind::StoredEvent>,
}

impl Suppression {
    /// A detection comes; gives what it is, and the finding that it ends.
    pub(super) fn observe(
        &mut self,
        suppress: &Suppress,
        (key, severity): (Vec<String>, Severity),
        time: EventTime,
        told: &Told,
    ) -> (Suppressed, Option<Told>) {
        let mut group = self.open.get(&key).map(|open| open.group.clone());
        let became = suppress.observe(&mut group, time, severity);
        let Some(group) = group else {
            return (became, None);
        };
        if became == Suppressed::Counted {
            if let Some(open) = self.open.get_mut(&key) {
                open.group = group;
            }
            return (became, None);
        }
        let until = group.until;
        let told = told.clone();
        let ended = self.open.insert(key.clone(), Open { group, told });
        if let Some(ended) = &ended {
            self.closing.remove(&(ended.group.until, key.clone()));
        }
        self.closing.insert((until, key));
        (became, ended.map(finished))
    }

    /// The finding whose window is over next, at or before `now`.
    pub(super) fn close(&mut self, now: EventTime) -> Option<Told> {
        let (until, _) = self.closing.first()?;
        if *until > now {
            return None;
        }
        let (_, key) = self.closing.pop_first()?;
        self.open.remove(&key).map(finished)
    }

    /// Ends the finding that was opened first; for want of memory.
    pub(super) fn close_oldest(&mut self) -> Option<Told> {
        let (_, key) = self.closing.pop_first()?;
        self.open.remove(&key).map(finished)
    }

    /// How many are open.
    pub(super) fn len(&self) -> usize {
        self.open.len()
    }

    /// The open findings, for writing.
    pub(super) fn kept(&self) -> Vec<OpenKept> {
        let of_open = |(key, open): (&Vec<String>, &Open)| OpenKept {
            key: key.clone(),
            group: open.group.clone(),
            finding: serde_json::to_string(&open.told.finding).unwrap_or_default(),
            event: open.told.event.clone(),
        };
        self.open.iter().map(of_open).collect()
    }

    /// Opens a finding that was written.
    pub(super) fn reopen(&mut self, key: Vec<String>, open: Open) {
        self.closing.insert((open.group.until, key.clone()));
        self.open.insert(key, open);
    }
}

/// The finding with what was counted on it.
fn finished(open: Open) -> Told {
    let Open { group, mut told } = open;
    if group.count > 0 {
        told.finding.revision = 1;
        told.finding.suppressed = Some(SuppressedCount {
            count: group.count,
            last: group.last.to_string(),
        });
    }
    told
}
