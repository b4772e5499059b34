//! The store in memory: what the trait says, and nothing durable.
//!
//! For tests and for runs that may forget everything at their end. It relies on nothing and must never behave in a way
//! that the embedded store does not. One mutex around plain maps: it is asked a few hundred times a second.
//! Rejected: the embedded store on a memory file system, which would test the file system.

use crate::admit;
use crate::limits::{DEAD_LETTERS_MAX, FINDINGS_LOOKED_AT_MAX, PAGE_BYTES_MAX, PAGE_MAX};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};
use tripline_core::port::{
    Checkpoint, Commit, Committed, DeadFilter, DeadLetter, DeadNumber, Epoch, FindingFilter,
    FindingPage, Outgoing, Partition, PortFault, Sequence, SnapshotKept, Store, StoredFinding,
    supersedes,
};
use tripline_core::rule::kind::EventTime;
use tripline_core::wire::Finding;

/// The store in memory.
pub struct MemoryStore {
    dead_max: usize,
    kept: Mutex<Kept>,
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::with_dead_max(DEAD_LETTERS_MAX)
    }
}

#[derive(Default)]
struct Kept {
    now: EventTime,
    newest: u64,
    dead_newest: u64,
    dead_given_way: u64,
    partitions: BTreeMap<Partition, Checkpoint>,
    /// The number of the newest version by finding.
    findings: BTreeMap<String, u64>,
    outgoing: BTreeMap<u64, Version>,
    /// When last stored or cited.
    events: BTreeMap<String, (EventTime, Vec<u8>)>,
    dead: BTreeMap<u64, (EventTime, DeadLetter)>,
    sinks: BTreeMap<String, u64>,
}

struct Version {
    stored: EventTime,
    bytes: usize,
    finding: Finding,
}

impl MemoryStore {
    /// An empty store that keeps at most so many dead letters.
    pub fn with_dead_max(dead_max: usize) -> Self {
        Self {
            dead_max,
            kept: Mutex::new(Kept {
                now: EventTime::from_micros(0),
                ..Kept::default()
            }),
        }
    }

    /// No call leaves the maps half changed, so a thread that panicked elsewhere does not spoil them.
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Kept {
    fn held(&mut self, partition: Partition, epoch: Epoch) -> Result<&mut Checkpoint, PortFault> {
        let known = self.partitions.get(&partition).map(|one| one.epoch);
        admit::holder(partition, epoch, known.unwrap_or_default())?;
        Ok(self.partitions.entry(partition).or_default())
    }

    fn bury(&mut self, letters: &[DeadLetter], most: usize) {
        for letter in letters {
            self.dead_newest += 1;
            let kept = (self.now, admit::cut(letter).into_owned());
            self.dead.insert(self.dead_newest, kept);
            if self.dead.len() > most {
                self.dead.pop_first();
                self.dead_given_way += 1;
            }
        }
    }

    fn store(&mut self, finding: &Finding, bytes: usize, committed: &mut Committed) {
        let mut finding = finding.clone();
        match self.findings.get(&finding.finding_id) {
            None => committed.new += 1,
            Some(number) => {
                let Some(old) = self.outgoing.get(number) else {
                    return;
                };
                if !supersedes(&finding, &old.finding) {
                    return;
                }
                finding.revision = old.finding.revision + 1;
                committed.renewed += 1;
            }
        }
        for id in cited(&finding) {
            if let Some((stored, _)) = self.events.get_mut(id) {
                *stored = self.now;
            }
        }
        self.newest += 1;
        self.findings
            .insert(finding.finding_id.clone(), self.newest);
        let version = Version {
            stored: self.now,
            bytes,
            finding,
        };
        self.outgoing.insert(self.newest, version);
    }
}

/// The events that a finding names.
pub(crate) fn cited(finding: &Finding) -> impl Iterator<Item = &str> {
    let pattern = finding.pattern.iter().flat_map(|one| &one.event_ids);
    std::iter::once(finding.event_id.as_str())
        .chain(pattern.map(String::as_str))
        .filter(|id| !id.is_empty())
}

/// How long a finding is as JSON.
fn length(finding: &Finding) -> Result<usize, PortFault> {
    let text = serde_json::to_vec(finding).map_err(|fault| {
        admit::reject(format!("write finding {}", finding.finding_id)).because(fault)
    })?;
    admit::finding_bytes(&finding.finding_id, text.len())?;
    Ok(text.len())
}

impl Store for MemoryStore {
    fn take_over(&self, partition: Partition) -> Result<Checkpoint, PortFault> {
        let mut kept = self.kept();
        let checkpoint = kept.partitions.entry(partition).or_default();
        checkpoint.epoch = Epoch(checkpoint.epoch.0 + 1);
        checkpoint.starts = checkpoint.starts.saturating_add(1);
        Ok(checkpoint.clone())
    }

    fn commit(&self, commit: &Commit) -> Result<Committed, PortFault> {
        admit::commit(commit)?;
        let lengths: Vec<usize> = commit
            .findings
            .iter()
            .map(length)
            .collect::<Result<_, _>>()?;
        let mut kept = self.kept();
        let checkpoint = kept.held(commit.partition, commit.epoch)?;
        admit::position(commit.partition, commit.position, checkpoint.position)?;
        if commit.position > checkpoint.position || commit.is_well_started {
            checkpoint.starts = 0;
        }
        checkpoint.position = commit.position;
        let now = kept.now;
        for event in &commit.events {
            kept.events
                .insert(event.id.clone(), (now, event.bytes.clone()));
        }
        let mut committed = Committed::default();
        for (finding, bytes) in commit.findings.iter().zip(lengths) {
            kept.store(finding, bytes, &mut committed);
        }
        kept.bury(&commit.dead, self.dead_max);
        Ok(committed)
    }

    fn keep_snapshot(
        &self,
        partition: Partition,
        epoch: Epoch,
        snapshot: &SnapshotKept,
    ) -> Result<(), PortFault> {
        let mut kept = self.kept();
        let checkpoint = kept.held(partition, epoch)?;
        admit::snapshot(partition, snapshot.position, checkpoint.position)?;
        let older = checkpoint
            .snapshot
            .as_ref()
            .is_some_and(|one| one.position > snapshot.position);
        if !older {
            checkpoint.snapshot = Some(snapshot.clone());
        }
        Ok(())
    }

    fn position(&self, partition: Partition) -> Result<Sequence, PortFault> {
        let kept = self.kept();
        let position = kept.partitions.get(&partition).map(|one| one.position);
        Ok(position.unwrap_or_default())
    }

    fn outgoing(&self, after: Sequence, max: usize) -> Result<Vec<Outgoing>, PortFault> {
        let kept = self.kept();
        let mut bytes = 0;
        let mut out = Vec::new();
        let Some(first) = after.0.checked_add(1) else {
            return Ok(out);
        };
        for (number, version) in kept.outgoing.range(first..) {
            if out.len() >= max.min(PAGE_MAX) || bytes >= PAGE_BYTES_MAX {
                break;
            }
            bytes += version.bytes;
            out.push(stored(*number, version));
        }
        Ok(out)
    }

    fn newest(&self) -> Result<Sequence, PortFault> {
        Ok(Sequence(self.kept().newest))
    }

    fn sink_position(&self, sink: &str) -> Result<Sequence, PortFault> {
        Ok(Sequence(
            self.kept().sinks.get(sink).copied().unwrap_or_default(),
        ))
    }

    fn sink_reached(
        &self,
        sink: &str,
        position: Sequence,
        dead: &[DeadLetter],
    ) -> Result<(), PortFault> {
        let mut kept = self.kept();
        admit::sink(sink, position, Sequence(kept.newest))?;
        let reached = kept.sinks.entry(sink.to_owned()).or_default();
        *reached = position.0.max(*reached);
        kept.bury(dead, self.dead_max);
        Ok(())
    }

    fn sinks(&self) -> Result<Vec<(String, Sequence)>, PortFault> {
        let kept = self.kept();
        let sinks = kept.sinks.iter();
        Ok(sinks
            .map(|(sink, position)| (sink.clone(), Sequence(*position)))
            .collect())
    }

    fn forget_sink(&self, sink: &str) -> Result<bool, PortFault> {
        Ok(self.kept().sinks.remove(sink).is_some())
    }

    fn finding(&self, id: &str) -> Result<Option<StoredFinding>, PortFault> {
        let kept = self.kept();
        let Some(number) = kept.findings.get(id) else {
            return Ok(None);
        };
        Ok(kept.outgoing.get(number).map(|one| stored(*number, one)))
    }

    fn findings(&self, filter: &FindingFilter) -> Result<FindingPage, PortFault> {
        let kept = self.kept();
        let mut page = FindingPage::default();
        let before = filter.before.map_or(u64::MAX, |one| one.0);
        let mut bytes = 0;
        for (looked_at, (number, version)) in kept.outgoing.range(..before).rev().enumerate() {
            if page.found.len() >= filter.max.min(PAGE_MAX)
                || looked_at >= FINDINGS_LOOKED_AT_MAX
                || bytes >= PAGE_BYTES_MAX
            {
                page.next = Some(Sequence(number + 1));
                break;
            }
            bytes += version.bytes;
            let newest = kept.findings.get(&version.finding.finding_id) == Some(number);
            if newest && filter.takes(&version.finding) {
                page.found.push(stored(*number, version));
            }
        }
        Ok(page)
    }

    fn event(&self, id: &str) -> Result<Option<Vec<u8>>, PortFault> {
        Ok(self.kept().events.get(id).map(|(_, bytes)| bytes.clone()))
    }

    fn dead_letters(
        &self,
        filter: &DeadFilter,
    ) -> Result<Vec<(DeadNumber, DeadLetter)>, PortFault> {
        let kept = self.kept();
        let mut letters = Vec::new();
        let mut bytes = 0;
        let Some(first) = filter.after.0.checked_add(1) else {
            return Ok(letters);
        };
        for (number, (_, letter)) in kept.dead.range(first..) {
            if letters.len() >= filter.max.min(PAGE_MAX) || bytes >= PAGE_BYTES_MAX {
                break;
            }
            bytes += letter.payload.len() + letter.attributes.len();
            letters.push((DeadNumber(*number), letter.clone()));
        }
        Ok(letters)
    }

    fn dead_letter(&self, number: DeadNumber) -> Result<Option<DeadLetter>, PortFault> {
        Ok(self.kept().dead.get(&number.0).map(|(_, one)| one.clone()))
    }

    fn drop_dead_letters(&self, numbers: &[DeadNumber]) -> Result<u64, PortFault> {
        let mut kept = self.kept();
        let there = numbers
            .iter()
            .filter(|number| kept.dead.remove(&number.0).is_some());
        Ok(there.count() as u64)
    }

    fn dead_given_way(&self) -> Result<u64, PortFault> {
        Ok(self.kept().dead_given_way)
    }

    fn forget_before(&self, time: EventTime) -> Result<u64, PortFault> {
        let mut kept = self.kept();
        let taken = kept.sinks.values().copied().min().unwrap_or(u64::MAX);
        let mut forgotten = 0;
        while let Some(entry) = kept.outgoing.first_entry() {
            if *entry.key() > taken || entry.get().stored >= time {
                break;
            }
            let (number, version) = entry.remove_entry();
            if kept.findings.get(&version.finding.finding_id) == Some(&number) {
                kept.findings.remove(&version.finding.finding_id);
                forgotten += 1;
            }
        }
        let first = kept.outgoing.first_key_value().map(|(_, one)| one.stored);
        let limit = first.map_or(time, |stored| stored.min(time));
        kept.events.retain(|_, (stored, _)| *stored >= limit);
        kept.dead.retain(|_, (stored, _)| *stored >= time);
        Ok(forgotten)
    }

    fn set_now(&self, now: EventTime) {
        let mut kept = self.kept();
        kept.now = kept.now.max(now);
    }
}

fn stored(number: u64, version: &Version) -> StoredFinding {
    StoredFinding {
        number: Sequence(number),
        finding: version.finding.clone(),
    }
}
