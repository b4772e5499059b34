//! One record, and its line.

use super::Checkpoint;
use crate::machine::{Input, PolicyName};
use crate::plan::hex;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use thiserror::Error;

/// What a switch stops.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Everything.
    All,
    /// What a policy does.
    Policy(String),
    /// What is done in an account.
    Account(String),
    /// Everything, by a file that is there. It is noted here; what counts is the file.
    KillFile,
}

impl std::fmt::Display for Scope {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::All => to.write_str("everything"),
            Self::Policy(id) => write!(to, "the policy {id}"),
            Self::Account(id) => write!(to, "the account {id}"),
            Self::KillFile => to.write_str("everything, by the kill file"),
        }
    }
}

/// What a record is about.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Entry {
    /// Something happened to an action.
    Action {
        /// The action.
        id: String,
        /// How many things happened to it, with this one.
        revision: u64,
        /// What it was; empty for a new one.
        from: String,
        /// What it is.
        to: String,
        /// Its policy.
        policy: PolicyName,
        /// The hash of its plan; empty without one.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        plan: String,
        /// What happened.
        input: Box<Input>,
    },
    /// A switch was turned.
    Switch {
        /// What it stops.
        scope: Scope,
        /// Whether it stops it now.
        is_off: bool,
        /// Who turned it.
        by: String,
        /// Why.
        reason: String,
    },
    /// A process took the journal over.
    TakenOver {
        /// The number of the process; larger than those before.
        epoch: u64,
    },
    /// How far the journal was, signed: it is of the record before this one.
    Checkpoint(Checkpoint),
    /// A request of ours was seen in the trail of the service itself.
    Witnessed {
        /// The action.
        id: String,
        /// The request's number.
        request: String,
        /// The event.
        event: String,
    },
}

/// One record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// Its place; from 1, without holes.
    pub seq: u64,
    /// The hash of the record before; 64 zeros for the first.
    pub prev: String,
    /// When; microseconds since 1970.
    pub time: i64,
    /// The version of the engine that wrote it.
    pub engine: String,
    /// What it is about.
    pub entry: Entry,
}

/// A record as it stands in its line.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Hashed {
    seq: u64,
    prev: String,
    time: i64,
    engine: String,
    entry: Entry,
    hash: String,
}

/// Why a line is no record.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum LineFault {
    /// It is not what a record is.
    #[error("it is no record: {0}")]
    Shape(String),
    /// Its hash is not that of what it says.
    #[error("its hash is not that of what it says")]
    Hash,
}

/// The hash that stands before the first record.
pub(super) const NO_HASH: &str = "0000000000000000000000000000000000000000000000000000000000000000";

const BEFORE_HASH: &str = ",\"hash\":\"";
const HASH_CHARS: usize = 64;

impl Record {
    /// Its line, with the line feed, and its hash.
    pub fn line(&self) -> Result<(String, String), LineFault> {
        let mut text =
            serde_json::to_string(self).map_err(|fault| LineFault::Shape(fault.to_string()))?;
        let hash = hex(&Sha256::digest(text.as_bytes()));
        text.pop();
        text.push_str(BEFORE_HASH);
        text.push_str(&hash);
        text.push_str("\"}\n");
        Ok((text, hash))
    }

    /// A line without its line feed as a record, and its hash.
    pub fn of_line(line: &str) -> Result<(Self, String), LineFault> {
        let shape = |what: &str| LineFault::Shape(what.to_owned());
        let tail = HASH_CHARS + 2;
        let split = line
            .len()
            .checked_sub(tail)
            .filter(|at| line.is_char_boundary(*at));
        let (start, end) = line.split_at(split.ok_or_else(|| shape("too short"))?);
        let start = start
            .strip_suffix(BEFORE_HASH)
            .ok_or_else(|| shape("no hash at its end"))?;
        let hash = end
            .strip_suffix("\"}")
            .ok_or_else(|| shape("no hash at its end"))?;
        let mut hashed = Sha256::new();
        hashed.update(start.as_bytes());
        hashed.update(b"}");
        if hex(&hashed.finalize()) != hash {
            return Err(LineFault::Hash);
        }
        // The line is the record with one member more, and need not be copied to be without it.
        let Hashed {
            seq,
            prev,
            time,
            engine,
            entry,
            hash,
        } = serde_json::from_str(line).map_err(|fault| LineFault::Shape(fault.to_string()))?;
        let record = Self {
            seq,
            prev,
            time,
            engine,
            entry,
        };
        Ok((record, hash))
    }
}
