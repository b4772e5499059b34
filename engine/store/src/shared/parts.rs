//! Commits that are too long for one entry: several, of which only the last moves the partition.
//!
//! Findings and events are known by their ids, so parts that are done again after a crash change nothing; of dead letters
//! there may then be two.

use tripline_core::port::{Commit, PortFault, Sequence};

/// Bytes after which another part is begun: far below what a ledger takes, also where text has to be escaped.
const PART_BYTES: usize = 16 * 1024 * 1024;

/// What a finding has, as long as nobody looked.
const FINDING_BYTES: usize = 16 * 1024;

/// The commit in parts, for a partition that stands at `position`.
pub(super) fn parts(commit: &Commit, position: Sequence) -> Result<Vec<Commit>, PortFault> {
    let dead = commit.dead.iter().map(|one| one.payload.len() * 4);
    let events = commit.events.iter().map(|one| one.bytes.len());
    let about: usize = dead.chain(events).sum::<usize>() + commit.findings.len() * FINDING_BYTES;
    if about <= PART_BYTES {
        return Ok(vec![commit.clone()]);
    }
    let mut parts = Parts {
        done: Vec::new(),
        now: empty(commit, position),
        bytes: 0,
        position,
    };
    for event in &commit.events {
        parts.begin(commit, event.bytes.len());
        parts.now.events.push(event.clone());
    }
    for finding in &commit.findings {
        let text = serde_json::to_vec(finding).map_err(|fault| {
            crate::admit::reject(format!("write finding {}", finding.finding_id)).because(fault)
        })?;
        parts.begin(commit, text.len());
        parts.now.findings.push(finding.clone());
    }
    for letter in &commit.dead {
        parts.begin(commit, letter.payload.len() * 4);
        parts.now.dead.push(letter.clone());
    }
    let mut last = parts.now;
    last.position = commit.position;
    last.is_well_started = commit.is_well_started;
    parts.done.push(last);
    Ok(parts.done)
}

struct Parts {
    done: Vec<Commit>,
    now: Commit,
    bytes: usize,
    position: Sequence,
}

impl Parts {
    /// Begins another part when so many bytes more are too many for this one.
    fn begin(&mut self, commit: &Commit, bytes: usize) {
        if self.bytes > 0 && self.bytes + bytes > PART_BYTES {
            let full = std::mem::replace(&mut self.now, empty(commit, self.position));
            self.done.push(full);
            self.bytes = 0;
        }
        self.bytes += bytes;
    }
}

/// A part that moves nothing.
fn empty(commit: &Commit, position: Sequence) -> Commit {
    Commit {
        partition: commit.partition,
        epoch: commit.epoch,
        position,
        ..Commit::default()
    }
}
