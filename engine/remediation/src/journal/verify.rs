//! Verifies a journal from its files alone: nothing changed, nothing removed, nothing added, nothing that could not happen.

use super::checkpoint::Checkpoint;
use super::read::read_all;
use super::{Entry, JournalFault};
use crate::machine::{Action, Input};
use std::collections::HashMap;
use std::fs;
use std::path::Path;
use thiserror::Error;

/// What is wrong with a journal.
#[derive(Debug, Error)]
pub enum Flaw {
    /// A file of it.
    #[error(transparent)]
    Journal(#[from] JournalFault),
    /// A record tells of something that cannot happen.
    #[error("{path}: record {seq}: {fault}")]
    Impossible {
        /// The file.
        path: String,
        /// The record.
        seq: u64,
        /// What cannot be.
        fault: String,
    },
    /// A checkpoint does not count.
    #[error("{path}:{line}: {fault}")]
    Checkpoint {
        /// The file.
        path: String,
        /// The line.
        line: usize,
        /// Why.
        fault: String,
    },
}

/// What was verified.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// How many records.
    pub records: u64,
    /// The hash of the newest; 64 zeros without any.
    pub hash: String,
    /// How many actions.
    pub actions: usize,
    /// How many checkpoints.
    pub checkpoints: usize,
    /// How many records come after the newest checkpoint of which there is a copy: their removal would not be found.
    pub after_copy: u64,
    /// The numbers of the requests that changed something, and whether the service's own trail showed them.
    pub requests: Vec<(String, String, bool)>,
}

/// Verifies the journal of a folder. `keys`: the public keys that checkpoints may be signed with, one for each process that
/// acted; any without one.
/// `copies`: further files of checkpoints, as they are kept elsewhere.
pub fn verify(folder: &Path, keys: &[&str], copies: &[&Path]) -> Result<Verified, Flaw> {
    let mut verified = Verified::default();
    let mut actions: HashMap<String, Action> = HashMap::new();
    let mut hashes: Vec<String> = Vec::new();
    let mut numbers: HashMap<String, usize> = HashMap::new();
    let mut epoch = 0;
    let last = read_all(folder, |record, path| {
        if record.seq > 1 {
            hashes.push(record.prev.clone());
        }
        let impossible =
            |fault: String| JournalFault::Record(format!("{path}: record {}: {fault}", record.seq));
        match &record.entry {
            Entry::Action {
                id,
                revision,
                from,
                to,
                policy,
                plan,
                input,
            } => {
                let (was, next) = match actions.remove(id) {
                    None => {
                        let new = Action::proposed(id.clone(), input, record.time);
                        let new = new.ok_or_else(|| {
                            impossible(format!("the action {id} was never proposed"))
                        })?;
                        (String::new(), new)
                    }
                    Some(action) => {
                        let was = action.state.name().to_owned();
                        let next = action.into_after(input, record.time);
                        (was, next.map_err(|fault| impossible(fault.to_string()))?)
                    }
                };
                let hash = next.plan.as_ref().map_or("", |(_, hash)| hash);
                let is_so = *from == was
                    && *to == next.state.name()
                    && *revision == next.revision
                    && *policy == next.proposal.policy
                    && plan == hash;
                // Whoever was overtaken sends nothing any more.
                let sent_by = match &**input {
                    Input::Began { epoch, .. } | Input::Intent { epoch, .. } => *epoch,
                    _ => epoch,
                };
                if sent_by != epoch {
                    return Err(impossible(format!(
                        "a request by process {sent_by}, while {epoch} had taken over"
                    )));
                }
                if !is_so {
                    return Err(impossible(format!(
                        "what it says of {id} does not follow from the records before it"
                    )));
                }
                if let Input::Answered { request, .. } = &**input
                    && !request.is_empty()
                {
                    numbers.insert(request.clone(), verified.requests.len());
                    verified.requests.push((id.clone(), request.clone(), false));
                }
                actions.insert(id.clone(), next);
            }
            Entry::TakenOver { epoch: new } => {
                if *new <= epoch {
                    return Err(impossible(
                        "a process took over with a number that was there".to_owned(),
                    ));
                }
                epoch = *new;
            }
            Entry::Witnessed { request, .. } => {
                let one = numbers.get(request);
                if let Some(one) = one.and_then(|place| verified.requests.get_mut(*place)) {
                    one.2 = true;
                }
            }
            Entry::Checkpoint(one) => {
                let read = Checkpoint::of_line(one.line().trim_end(), keys);
                read.map_err(|fault| impossible(fault.to_string()))?;
                if one.seq + 1 != record.seq || one.hash != record.prev {
                    return Err(impossible("a checkpoint of another record".to_owned()));
                }
                verified.checkpoints += 1;
            }
            Entry::Switch { .. } => {}
        }
        Ok(())
    })?;
    hashes.push(last.1.clone());
    verified.records = last.0;
    verified.hash = last.1;
    verified.actions = actions.len();
    let mut newest = 0;
    for path in copies {
        let text = fs::read_to_string(path).map_err(|source| JournalFault::Io {
            path: path.display().to_string(),
            did: "read",
            source,
        })?;
        for (number, line) in text.split_inclusive('\n').enumerate() {
            let flaw = |fault: String| Flaw::Checkpoint {
                path: path.display().to_string(),
                line: number + 1,
                fault,
            };
            let line = line
                .strip_suffix('\n')
                .ok_or_else(|| flaw("its last line has no end".to_owned()))?;
            let one = Checkpoint::of_line(line, keys).map_err(|fault| flaw(fault.to_string()))?;
            let there = usize::try_from(one.seq)
                .ok()
                .and_then(|seq| hashes.get(seq.checked_sub(1)?));
            match there {
                Some(hash) if *hash == one.hash => {}
                Some(_) => {
                    return Err(flaw(format!(
                        "record {} is not the one that was signed",
                        one.seq
                    )));
                }
                None => {
                    let end = verified.records;
                    return Err(flaw(format!(
                        "record {} was signed, and the journal ends at {end}: its end was removed",
                        one.seq
                    )));
                }
            }
            newest = newest.max(one.seq);
        }
    }
    verified.after_copy = verified.records - newest;
    Ok(verified)
}
