//! Checkpoints: how far the journal was at a time, signed. Who keeps a copy elsewhere finds out when its end was cut off.

use crate::plan::canonical;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use nkeys::KeyPair;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// How far a journal was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checkpoint {
    /// The newest record.
    pub seq: u64,
    /// Its hash, which all before it are bound into.
    pub hash: String,
    /// When; microseconds since 1970.
    pub time: i64,
    /// The public key of the signature, an nkey.
    pub key: String,
    /// Ed25519 over the canonical JSON of the members before, in base64.
    pub signature: String,
}

/// Why a checkpoint does not count.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CheckpointFault {
    /// It cannot be read.
    #[error("it is no checkpoint: {0}")]
    Shape(String),
    /// It is signed with another key.
    #[error("it is signed with {0}, which is no key that is trusted")]
    Key(String),
    /// The signature is not that of the key.
    #[error("its signature is not that of its key")]
    Forged,
}

/// The key that checkpoints are signed with.
pub struct CheckpointKey(KeyPair);

impl std::fmt::Debug for CheckpointKey {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(to, "CheckpointKey({})", self.public())
    }
}

impl CheckpointKey {
    /// A new key.
    pub fn new() -> Self {
        Self(KeyPair::new_user())
    }

    /// The key of a seed, which begins with `SU`.
    pub fn of_seed(seed: &str) -> Result<Self, String> {
        KeyPair::from_seed(seed.trim())
            .map(Self)
            .map_err(|fault| fault.to_string())
    }

    /// The seed, to be kept.
    pub fn seed(&self) -> Result<String, String> {
        self.0.seed().map_err(|fault| fault.to_string())
    }

    /// The public key, to be given to whoever verifies.
    pub fn public(&self) -> String {
        self.0.public_key()
    }

    /// A checkpoint.
    pub fn sign(&self, seq: u64, hash: &str, time: i64) -> Result<Checkpoint, String> {
        let mut checkpoint = Checkpoint {
            seq,
            hash: hash.to_owned(),
            time,
            key: self.public(),
            signature: String::new(),
        };
        let signature = self.0.sign(checkpoint.text().as_bytes());
        checkpoint.signature = STANDARD.encode(signature.map_err(|fault| fault.to_string())?);
        Ok(checkpoint)
    }
}

impl Default for CheckpointKey {
    fn default() -> Self {
        Self::new()
    }
}

impl Checkpoint {
    fn text(&self) -> String {
        let mut value = serde_json::to_value(self).unwrap_or_default();
        if let Some(members) = value.as_object_mut() {
            members.remove("signature");
        }
        canonical(&value)
    }

    /// Its line, with the line feed.
    pub fn line(&self) -> String {
        let value = serde_json::to_value(self).unwrap_or_default();
        format!("{}\n", canonical(&value))
    }

    /// A line without its line feed as a checkpoint, signed with one of some keys, or with any when none are given.
    pub fn of_line(line: &str, keys: &[&str]) -> Result<Self, CheckpointFault> {
        let checkpoint: Self = serde_json::from_str(line)
            .map_err(|fault| CheckpointFault::Shape(fault.to_string()))?;
        if checkpoint.line().strip_suffix('\n') != Some(line) {
            return Err(CheckpointFault::Shape(
                "it is not written as it must be".to_owned(),
            ));
        }
        if !keys.is_empty() && !keys.contains(&checkpoint.key.as_str()) {
            return Err(CheckpointFault::Key(checkpoint.key));
        }
        let pair =
            KeyPair::from_public_key(&checkpoint.key).map_err(|_| CheckpointFault::Forged)?;
        let signature = STANDARD
            .decode(&checkpoint.signature)
            .map_err(|_| CheckpointFault::Forged)?;
        let text = checkpoint.text();
        match signature.len() == 64 && pair.verify(text.as_bytes(), &signature).is_ok() {
            true => Ok(checkpoint),
            false => Err(CheckpointFault::Forged),
        }
    }
}
