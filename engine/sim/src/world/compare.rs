//! What was found in a run beside what must be found.

use super::{STEPS_MAX, World};
use crate::auditor::audit;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use tripline_core::port::{
    DeadFilter, DeadReason, FindingFilter, Partition, RecordKind, Sequence, Store, StoredFinding,
};

impl World<'_> {
    /// Everything in the store.
    fn stored(&self) -> Vec<StoredFinding> {
        let mut all = Vec::new();
        let mut filter = FindingFilter {
            max: 100_000,
            ..FindingFilter::default()
        };
        while let Ok(page) = self.store.findings(&filter) {
            all.extend(page.found);
            let Some(next) = page.next else { break };
            filter.before = Some(next);
        }
        all
    }

    /// Compares what was found with what must be found.
    pub(super) fn compare(&mut self) {
        if !self.report.violations.is_empty() {
            return;
        }
        if self.report.steps > STEPS_MAX {
            return self.wrong("it does not come to rest".to_owned());
        }
        let log = std::mem::take(&mut self.bus.history);
        let payloads: BTreeSet<&[u8]> = log.iter().map(|one| one.payload.as_slice()).collect();
        let missing = self
            .acknowledged
            .iter()
            .filter(|one| !payloads.contains(one.as_slice()));
        let missing = missing.count();
        let wanted = audit(&log, &self.in_force);
        let stored = self.stored();
        let found: BTreeMap<String, u64> = stored
            .iter()
            .map(|one| {
                let count = one.finding.suppressed.as_ref().map_or(0, |one| one.count);
                (one.finding.finding_id.clone(), count)
            })
            .collect();
        self.report.findings = found.len();
        let mut words = String::new();
        if missing > 0 {
            let _ = write!(words, "{missing} acknowledged records are not in the log; ");
        }
        for (id, count) in &wanted.findings {
            match found.get(id) {
                None => {
                    let _ = write!(words, "{id} is missing; ");
                }
                Some(has) if has != count => {
                    let _ = write!(words, "{id} has {has} counted on it instead of {count}; ");
                }
                Some(_) => {}
            }
        }
        for one in &stored {
            if !wanted.findings.contains_key(&one.finding.finding_id) {
                let _ = write!(
                    words,
                    "{} of {} is too much; ",
                    one.finding.finding_id, one.finding.rule_id
                );
            }
            // What the sink has is what is stored.
            let count = one.finding.suppressed.as_ref().map_or(0, |one| one.count);
            if self.sink.get(&one.finding.finding_id) != Some(&(one.finding.revision, count)) {
                let _ = write!(
                    words,
                    "the sink does not have {} as it is stored; ",
                    one.finding.finding_id
                );
            }
        }
        let dead = DeadFilter {
            max: usize::MAX,
            ..DeadFilter::default()
        };
        let dead = self.store.dead_letters(&dead).unwrap_or_default();
        let malformed: BTreeSet<u64> = dead
            .iter()
            .filter(|(_, one)| matches!(one.reason, DeadReason::Malformed { .. }))
            .map(|(_, one)| one.sequence.0)
            .collect();
        if malformed != wanted.malformed {
            let _ = write!(
                words,
                "dead letters {malformed:?} instead of {:?}; ",
                wanted.malformed
            );
        }
        let position = self
            .store
            .take_over(Partition(0))
            .map_or(Sequence(0), |one| one.position);
        // Ticks may be on their way at any time.
        let rest = log.iter().skip(position.0 as usize);
        if rest.clone().count() > 5 || rest.clone().any(|one| one.kind != RecordKind::Tick) {
            let _ = write!(
                words,
                "the position {position} is not the end of the log, {}; ",
                log.len()
            );
        }
        self.bus.history = log;
        if !words.is_empty() {
            self.wrong(words);
        }
    }
}
