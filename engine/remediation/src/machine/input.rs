//! What can happen to an action. This is what the journal keeps, so names and shapes stay.

use crate::action::Pinned;
use crate::plan::{Answer, Call, Plan, Resource};
use crate::policy::{Mode, Terms};
use crate::vote::SignedVote;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::sync::Arc;

/// Which policy an action is of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyName {
    /// Its id.
    pub id: String,
    /// Its version.
    pub version: String,
    /// SHA-256 of all of it, in hex.
    pub hash: String,
}

/// What an action answers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The finding.
    pub finding: String,
    /// Its rule.
    pub rule: String,
    /// Its event.
    pub event: String,
    /// When that happened; microseconds since 1970.
    pub event_time: i64,
    /// What was done, as `AuthorizeSecurityGroupIngress`.
    pub event_name: String,
    /// The ARNs of whoever did it: of the session, of the role or the user behind it.
    pub actors: Vec<String>,
}

/// What an action is about, as told by the finding's event alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subject {
    /// The resource.
    pub resource: Resource,
    /// What of it is bad.
    pub fingerprint: String,
}

/// An action as it is proposed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Proposal {
    /// What makes two proposals the same one: policy and major version, account, resource, fingerprint; in hex.
    pub key: String,
    /// The policy.
    pub policy: PolicyName,
    /// What it answers.
    pub origin: Origin,
    /// The name of the action.
    pub action: String,
    /// The plugin that plans it, if one does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plugin: Option<Pinned>,
    /// Its parameters.
    pub parameters: Map<String, Value>,
    /// What it is about.
    pub subject: Subject,
    /// The policy's terms, which hold to the end.
    pub terms: Terms,
    /// Who is told what.
    pub runbook: String,
    /// The event, for plans that need it.
    pub event: Arc<Value>,
}

/// What a person makes of an action that nothing else can decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resolution {
    /// The request was done: go on after it.
    Done,
    /// It was not: send it again.
    Again,
    /// Leave it all as it is.
    GiveUp,
}

/// What happened to an action.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case", remote = "Self")]
pub enum Input {
    /// It was proposed. The first of each.
    Proposed(Arc<Proposal>),
    /// It was proposed, and is not done. The first of its action and one record with the proposal, so that no crash and no
    /// other thread comes between the two.
    Refused {
        /// What was proposed.
        proposal: Arc<Proposal>,
        /// Which guardrail says no, and why.
        reason: String,
        /// Whether that is because it was answered lately, and not because of the event or the settings.
        is_again: bool,
    },
    /// A guardrail says no.
    Suppressed {
        /// Which, and why.
        reason: String,
    },
    /// There is a plan.
    Planned {
        /// What is to be done.
        plan: Arc<Plan>,
        /// How far it goes by itself: at most as far as its terms say, less while a policy has failed too often or too much
        /// waits.
        mode: Mode,
    },
    /// There is nothing to do any more.
    Nothing {
        /// Why.
        reason: String,
    },
    /// No plan could be made.
    Unplannable {
        /// Why.
        reason: String,
    },
    /// Somebody voted; the signature and the right to vote were looked at.
    Voted {
        /// The vote as it was signed.
        vote: SignedVote,
        /// Whether with it all votes are there that are needed.
        is_enough: bool,
    },
    /// Its time is over: nobody voted, or nobody objected.
    TimeOver,
    /// It cannot begin now.
    Deferred {
        /// Why.
        reason: String,
        /// When it is tried again; microseconds since 1970.
        until: i64,
    },
    /// What it needs is reserved, and its first request is about to be sent.
    Began {
        /// Of whoever begins it; later ones are larger.
        epoch: u64,
        /// Its first request, with everything filled in.
        call: Call,
    },
    /// What was read for the plan is not true any more: it is planned again, and votes are void.
    Outdated {
        /// What changed.
        reason: String,
    },
    /// A request is about to be sent.
    Intent {
        /// Which step of the run.
        step: usize,
        /// Which try; from 1.
        attempt: u32,
        /// Of whoever sends it.
        epoch: u64,
        /// The request, with everything filled in.
        call: Call,
    },
    /// A request was answered.
    Answered {
        /// Which step of the run.
        step: usize,
        /// The answer.
        answer: Answer,
        /// The service's number for it, by which its own trail knows it.
        request: String,
        /// Whether the step is done with it. Else it failed.
        is_done: bool,
    },
    /// A request may have been done or not, or it was refused for now: it is tried again, as its class says.
    Unanswered {
        /// Which step of the run.
        step: usize,
        /// What was seen.
        reason: String,
        /// Whether it is certain that it was not done.
        is_undone: bool,
        /// When it is tried again; microseconds since 1970.
        until: i64,
    },
    /// What an earlier try made was found.
    Adopted {
        /// Which step of the run.
        step: usize,
        /// What was found, which stands for the answer.
        answer: Value,
    },
    /// Nothing tells whether a request was done, and the policy says to leave it.
    Skipped {
        /// Which step of the run.
        step: usize,
    },
    /// Nothing tells whether a request was done, and somebody is asked.
    Ambiguous {
        /// Which step of the run.
        step: usize,
        /// What was seen.
        reason: String,
    },
    /// A step cannot be done.
    StepFailed {
        /// Which step of the run.
        step: usize,
        /// Why.
        reason: String,
    },
    /// It is seen to have worked.
    Verified,
    /// It cannot be seen to have worked, within its time.
    NotVerified {
        /// What was seen instead.
        reason: String,
    },
    /// What was done is not there any more.
    Drifted {
        /// What was seen instead.
        reason: String,
    },
    /// It was looked at again, and it holds.
    Rechecked,
    /// It is to be taken back.
    RevertAsked {
        /// Who asked; `policy` when its time to stay is over.
        by: String,
        /// Why.
        reason: String,
    },
    /// It is not to be done, or not to be gone on with.
    Canceled {
        /// Who says so.
        by: String,
        /// Why.
        reason: String,
    },
    /// Somebody says what became of it.
    Resolved {
        /// Who.
        by: String,
        /// What.
        resolution: Resolution,
    },
    /// Somebody uses the key for emergencies: approval and caps do not hold.
    BrokenGlass {
        /// Who.
        by: String,
        /// Why.
        reason: String,
        /// The words and their signature.
        vote: SignedVote,
    },
}

impl Input {
    /// Whether people say it, whoever acts.
    pub fn is_of_people(&self) -> bool {
        match self {
            Self::Voted { .. }
            | Self::BrokenGlass { .. }
            | Self::Canceled { .. }
            | Self::Resolved { .. } => true,
            Self::RevertAsked { by, .. } => by != BY_POLICY,
            _ => false,
        }
    }
}

/// Who asks that something is taken back when its time to stay is over.
pub const BY_POLICY: &str = "policy";
