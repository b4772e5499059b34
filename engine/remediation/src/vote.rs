//! Votes: who agrees to a plan, signed so that anybody can see later that they did.

use crate::plan::canonical;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use nkeys::KeyPair;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// What somebody says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// It may be done.
    Approve,
    /// It must not be done.
    Deny,
}

/// A vote. What is signed is its canonical JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Vote {
    /// The action.
    pub action: String,
    /// The plan, by its hash: a vote is on one plan alone.
    pub plan_hash: String,
    /// What is said.
    pub decision: Decision,
    /// Why; at most 1,000 bytes.
    pub reason: String,
    /// Who, by the name in the settings.
    pub approver: String,
    /// Chance, so that no two votes are alike; at least 16 bytes.
    pub nonce: String,
    /// Until when it counts, microseconds since 1970; at most a day from when it is cast.
    pub not_after: i64,
    /// Whether it is meant for an emergency: alone, and past caps.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub break_glass: bool,
}

/// A vote and its signature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedVote {
    /// The vote.
    pub vote: Vote,
    /// Ed25519 over its canonical JSON, in base64.
    pub signature: String,
}

/// Somebody who may vote.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Approver {
    /// The name.
    pub name: String,
    /// The public key, an nkey that begins with `U`.
    pub key: String,
    /// The groups.
    #[serde(default)]
    pub groups: Vec<String>,
    /// The ARNs that are this person, `*` for anything: who did something does not decide on what is done about it.
    #[serde(default)]
    pub principals: Vec<String>,
    /// Whether the key is for emergencies, and for nothing else.
    #[serde(default)]
    pub break_glass: bool,
}

/// The longest time that a vote counts: one day.
const VALID_MAX: i64 = 86_400_000_000;

/// Why a vote does not count.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum VoteFault {
    /// It is not about anything that waits.
    #[error("the action {0} waits for no vote: it is {1}")]
    Closed(String, String),
    /// There is no such action.
    #[error("there is no action {0}")]
    NoAction(String),
    /// Nobody of this name may vote.
    #[error("no approver is called `{0}`")]
    Nobody(String),
    /// The signature is not that of the approver.
    #[error("the signature is not that of `{0}`")]
    Forged(String),
    /// It is on another plan.
    #[error(
        "the vote is on another plan than the one that waits: look at it again (`tripline approvals show`) and vote anew"
    )]
    OtherPlan,
    /// It does not count any more, or counts for too long.
    #[error("the vote does not count at this time: `not_after` must lie within the next 24 hours")]
    Time,
    /// It says too little.
    #[error("the vote has no {0}")]
    Lacks(&'static str),
    /// It was cast already.
    #[error("`{0}` has voted on this plan")]
    Again(String),
    /// Whoever did it does not decide on it.
    #[error("`{0}` did what this answers, or is what it is about, and has no vote on it")]
    Suspect(String),
    /// Whoever made the policy does not decide on it.
    #[error("`{0}` owns the policy and has no vote on what it does")]
    Owner(String),
    /// Of no group that is asked.
    #[error("`{0}` is in none of the groups that are asked: {1}")]
    Group(String, String),
    /// A key for emergencies used as an ordinary one, or the other way round.
    #[error("the key of `{0}` {1}")]
    Glass(String, &'static str),
}

impl Vote {
    /// What is signed.
    pub fn text(&self) -> String {
        canonical(&serde_json::to_value(self).unwrap_or_default())
    }

    /// Signs it with a seed, which begins with `SU`.
    pub fn sign(self, seed: &str) -> Result<SignedVote, String> {
        let pair = KeyPair::from_seed(seed.trim()).map_err(|fault| fault.to_string())?;
        let signature = pair
            .sign(self.text().as_bytes())
            .map_err(|fault| fault.to_string())?;
        Ok(SignedVote {
            signature: STANDARD.encode(signature),
            vote: self,
        })
    }
}

impl SignedVote {
    /// Whether it is signed with the key of a public key.
    pub fn is_by(&self, key: &str) -> bool {
        let Ok(pair) = KeyPair::from_public_key(key) else {
            return false;
        };
        let Ok(signature) = STANDARD.decode(&self.signature) else {
            return false;
        };
        // The crate takes a slice and is not to be given one of another length.
        signature.len() == 64 && pair.verify(self.vote.text().as_bytes(), &signature).is_ok()
    }
}

/// What a vote is on.
#[derive(Clone, Debug)]
pub struct Ballot<'a> {
    /// The action.
    pub action: &'a str,
    /// The hash of its plan.
    pub plan_hash: &'a str,
    /// The ARNs of whoever did what is answered, and of the resource.
    pub suspects: Vec<&'a str>,
    /// Who owns the policy.
    pub owner: &'a str,
    /// Of which groups votes are asked; empty: of any.
    pub groups: &'a [String],
    /// How many are asked.
    pub quorum: u32,
    /// The votes that are there.
    pub votes: &'a [SignedVote],
    /// The nonces of all votes that were ever cast on it, also on plans that are void.
    pub nonces: &'a [String],
    /// The time; microseconds since 1970.
    pub now: i64,
}

/// Looks at a vote: whether with it all are there that are asked.
pub fn count(
    ballot: &Ballot<'_>,
    signed: &SignedVote,
    approvers: &[Approver],
) -> Result<bool, VoteFault> {
    let vote = &signed.vote;
    let name = || vote.approver.clone();
    let one = approvers.iter().find(|one| one.name == vote.approver);
    let one = one.ok_or_else(|| VoteFault::Nobody(name()))?;
    // Before anything else is told: whoever cannot sign learns nothing.
    if !signed.is_by(&one.key) {
        return Err(VoteFault::Forged(name()));
    }
    if vote.action != ballot.action || vote.plan_hash != ballot.plan_hash {
        return Err(VoteFault::OtherPlan);
    }
    let left = vote.not_after.saturating_sub(ballot.now);
    if left <= 0 || left > VALID_MAX {
        return Err(VoteFault::Time);
    }
    if vote.nonce.len() < 16 || vote.nonce.len() > 128 {
        return Err(VoteFault::Lacks("nonce of 16 to 128 bytes"));
    }
    if vote.reason.trim().is_empty() || vote.reason.len() > 1_000 {
        return Err(VoteFault::Lacks("reason of at most 1,000 bytes"));
    }
    let is_suspect = one.principals.iter().any(|pattern| {
        ballot
            .suspects
            .iter()
            .any(|arn| crate::policy::glob(pattern, arn))
    });
    if is_suspect {
        return Err(VoteFault::Suspect(name()));
    }
    if ballot.nonces.contains(&vote.nonce) {
        return Err(VoteFault::Again(name()));
    }
    match (vote.break_glass, one.break_glass) {
        (true, false) => return Err(VoteFault::Glass(name(), "is not for emergencies")),
        (false, true) => {
            return Err(VoteFault::Glass(
                name(),
                "is for emergencies alone: say that it is one",
            ));
        }
        (true, true) if vote.decision == Decision::Deny => {
            return Err(VoteFault::Glass(
                name(),
                "is for emergencies, in which something is done: it denies nothing",
            ));
        }
        (true, true) => return Ok(true),
        (false, false) => {}
    }
    // A vote counts until its time is over, and as long as its key is that of its approver.
    let counts = |other: &&SignedVote| {
        other.vote.not_after > ballot.now
            && approvers
                .iter()
                .any(|one| one.name == other.vote.approver && other.is_by(&one.key))
    };
    let votes: Vec<&SignedVote> = ballot.votes.iter().filter(counts).collect();
    if votes
        .iter()
        .any(|other| other.vote.approver == vote.approver)
    {
        return Err(VoteFault::Again(name()));
    }
    if one.name == ballot.owner
        || one
            .groups
            .iter()
            .any(|group| group == &format!("owner:{}", ballot.owner))
    {
        return Err(VoteFault::Owner(name()));
    }
    if !ballot.groups.is_empty() && !one.groups.iter().any(|group| ballot.groups.contains(group)) {
        return Err(VoteFault::Group(name(), ballot.groups.join(", ")));
    }
    // Somebody with two names and one key is one person.
    let mut keys = vec![one.key.as_str()];
    let mut groups: Vec<&String> = one.groups.iter().collect();
    for other in votes {
        let Some(other) = approvers.iter().find(|one| one.name == other.vote.approver) else {
            continue;
        };
        if keys.contains(&other.key.as_str()) {
            if other.key == one.key {
                return Err(VoteFault::Again(name()));
            }
            continue;
        }
        keys.push(&other.key);
        groups.extend(&other.groups);
    }
    let has_groups = ballot.groups.iter().all(|group| groups.contains(&group));
    Ok(vote.decision == Decision::Approve && keys.len() as u32 >= ballot.quorum && has_groups)
}
