//! What became of observations, groups and findings: everything that was left out has a counter.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Different reasons kept for one rule, and the longest of them: they may have text of events in them.
const REASONS_MAX: usize = 8;
const REASON_CHARS_MAX: usize = 200;

/// What happened to one rule.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleCounters {
    /// Observations taken.
    pub observed: u64,
    /// Observations that came a second time.
    pub duplicates: u64,
    /// Observations that came later than the rule allows; left out.
    pub late: u64,
    /// Observations whose key or value could not be computed; left out.
    pub faults: u64,
    /// Observations of which a condition about earlier steps could not be decided; it did not hold.
    pub undecided: u64,
    /// Why, with how often, of both.
    pub reasons: BTreeMap<String, u64>,
    /// Groups, values and open findings that gave way because there were too many, or too much memory was taken.
    pub evicted: u64,
    /// Sequences under way, or events waiting, that gave way within a group.
    pub dropped: u64,
    /// Detections: what the kind found.
    pub detections: u64,
    /// Detections counted on an earlier finding.
    pub suppressed: u64,
    /// Findings told for the first time.
    pub findings: u64,
    /// Observations that wait for their time.
    pub pending: u64,
    /// Groups, or values seen, that are remembered.
    pub groups: u64,
}

impl RuleCounters {
    /// Counts an observation that could not be made.
    pub(super) fn fault(&mut self, reason: &str) {
        self.faults += 1;
        self.note(reason);
    }

    /// Counts an observation whose condition about earlier steps could not be decided.
    pub(super) fn undecided(&mut self, reason: &str) {
        self.undecided += 1;
        self.note(reason);
    }

    fn note(&mut self, reason: &str) {
        let end = reason.char_indices().nth(REASON_CHARS_MAX);
        let reason = end.map_or(reason, |(end, _)| &reason[..end]);
        if let Some(count) = self.reasons.get_mut(reason) {
            *count += 1;
        } else if self.reasons.len() < REASONS_MAX {
            self.reasons.insert(reason.to_owned(), 1);
        }
    }
}

/// What happened to all rules.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateCounters {
    /// Events without a time; left out.
    pub timeless: u64,
    /// Events from the future; left out.
    pub future: u64,
    /// Groups of one event beyond the bound; left out.
    pub groups_cut: u64,
    /// Times that observations were seen before they were due, for want of memory.
    pub forced: u64,
    /// About how many bytes wait for their time.
    pub pending_bytes: u64,
    /// About how many bytes groups, values and open findings take.
    pub group_bytes: u64,
    /// Each rule that remembers, by id.
    pub rules: Vec<(String, RuleCounters)>,
}

impl RuleCounters {
    /// What happened since `start`; what waits and is remembered, as it is.
    fn since(&self, start: &Self) -> Self {
        let reasons = self.reasons.iter().map(|(reason, count)| {
            let before = start.reasons.get(reason).copied().unwrap_or(0);
            (reason.clone(), count - before.min(*count))
        });
        Self {
            observed: self.observed - start.observed,
            duplicates: self.duplicates - start.duplicates,
            late: self.late - start.late,
            faults: self.faults - start.faults,
            undecided: self.undecided - start.undecided,
            reasons: reasons.filter(|(_, count)| *count > 0).collect(),
            evicted: self.evicted - start.evicted,
            dropped: self.dropped - start.dropped,
            detections: self.detections - start.detections,
            suppressed: self.suppressed - start.suppressed,
            findings: self.findings - start.findings,
            pending: self.pending,
            groups: self.groups,
        }
    }
}

impl StateCounters {
    /// What happened since `start`, when the same state had come so far.
    #[must_use]
    pub fn since(&self, start: &Self) -> Self {
        // One state has the same rules in the same order all the time.
        let rules = self.rules.iter().zip(&start.rules);
        let rules = rules.map(|((id, counters), (_, before))| (id.clone(), counters.since(before)));
        Self {
            timeless: self.timeless - start.timeless,
            future: self.future - start.future,
            groups_cut: self.groups_cut - start.groups_cut,
            forced: self.forced - start.forced,
            pending_bytes: self.pending_bytes,
            group_bytes: self.group_bytes,
            rules: rules.collect(),
        }
    }

    /// Observations of all rules that were left out because they came too late.
    pub fn late(&self) -> u64 {
        self.rules.iter().map(|(_, rule)| rule.late).sum()
    }

    /// Groups of all rules that gave way.
    pub fn evicted(&self) -> u64 {
        self.rules
            .iter()
            .map(|(_, rule)| rule.evicted + rule.dropped)
            .sum()
    }

    /// Observations of all rules whose key or value could not be computed.
    pub fn faults(&self) -> u64 {
        self.rules.iter().map(|(_, rule)| rule.faults).sum()
    }

    /// Observations of all rules whose condition about earlier steps could not be decided.
    pub fn undecided(&self) -> u64 {
        self.rules.iter().map(|(_, rule)| rule.undecided).sum()
    }

    /// Observations of all rules that wait for their time.
    pub fn pending(&self) -> u64 {
        self.rules.iter().map(|(_, rule)| rule.pending).sum()
    }
}
