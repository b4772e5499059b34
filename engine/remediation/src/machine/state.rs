//! What an action is.

use super::{Proposal, Run};
use crate::plan::Plan;
use crate::policy::Mode;
use crate::vote::SignedVote;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// How far an action is. Times are microseconds since 1970.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It is to be planned.
    Proposed,
    /// A guardrail said no.
    Suppressed(String),
    /// There is nothing to do.
    Noop(String),
    /// No plan could be made.
    Unplannable(String),
    /// It is planned, and nothing is done.
    DryRun,
    /// It waits for people.
    AwaitingApproval {
        /// Until then.
        until: i64,
    },
    /// It runs unless somebody objects.
    VetoWindow {
        /// Until then.
        until: i64,
    },
    /// It may begin.
    Approved,
    /// It may begin later.
    Deferred {
        /// Why not now.
        reason: String,
        /// When it is tried again.
        until: i64,
    },
    /// Somebody said no.
    Rejected,
    /// Nobody said yes in time, or it could not begin in time.
    Expired(String),
    /// Somebody withdrew it before it began.
    Canceled(String),
    /// Its steps are being done.
    Executing,
    /// Its steps are done; it is looked whether it worked.
    Verifying {
        /// Until then.
        until: i64,
    },
    /// It worked.
    Succeeded,
    /// It worked, and what it did is not there any more.
    Drifted(String),
    /// It did not work, and what it did stays.
    Failed(String),
    /// What it did is being taken back, because it did not work.
    RollingBack(String),
    /// It did not work, and everything is as it was.
    RolledBack(String),
    /// What it did could not be taken back.
    RollbackFailed(String),
    /// What it did is being taken back, because somebody asked for it.
    Reverting(String),
    /// Everything is as it was, because somebody asked for it.
    Reverted(String),
    /// Nothing tells what became of a request.
    NeedsHuman {
        /// What was seen.
        reason: String,
        /// Whether that was while it was taken back.
        is_back: bool,
        /// What it was, and is again when it goes on.
        was: Box<State>,
    },
}

impl State {
    /// Its name, as it stands in records.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Proposed => "proposed",
            Self::Suppressed(_) => "suppressed",
            Self::Noop(_) => "noop",
            Self::Unplannable(_) => "unplannable",
            Self::DryRun => "dry_run",
            Self::AwaitingApproval { .. } => "awaiting_approval",
            Self::VetoWindow { .. } => "veto_window",
            Self::Approved => "approved",
            Self::Deferred { .. } => "deferred",
            Self::Rejected => "rejected",
            Self::Expired(_) => "expired",
            Self::Canceled(_) => "canceled",
            Self::Executing => "executing",
            Self::Verifying { .. } => "verifying",
            Self::Succeeded => "succeeded",
            Self::Drifted(_) => "drifted",
            Self::Failed(_) => "failed",
            Self::RollingBack(_) => "rolling_back",
            Self::RolledBack(_) => "rolled_back",
            Self::RollbackFailed(_) => "rollback_failed",
            Self::Reverting(_) => "reverting",
            Self::Reverted(_) => "reverted",
            Self::NeedsHuman { .. } => "needs_human",
        }
    }

    /// Why it is so, where there is more to say than its name.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Suppressed(reason)
            | Self::Noop(reason)
            | Self::Unplannable(reason)
            | Self::Deferred { reason, .. }
            | Self::Expired(reason)
            | Self::Canceled(reason)
            | Self::Drifted(reason)
            | Self::Failed(reason)
            | Self::RollingBack(reason)
            | Self::RolledBack(reason)
            | Self::RollbackFailed(reason)
            | Self::Reverting(reason)
            | Self::Reverted(reason)
            | Self::NeedsHuman { reason, .. } => Some(reason),
            _ => None,
        }
    }

    /// Whether nothing more happens to it by itself, apart from being looked at again and taken back.
    pub fn is_settled(&self) -> bool {
        !matches!(
            self,
            Self::Proposed
                | Self::AwaitingApproval { .. }
                | Self::VetoWindow { .. }
                | Self::Approved
                | Self::Deferred { .. }
                | Self::Executing
                | Self::Verifying { .. }
                | Self::RollingBack(_)
                | Self::Reverting(_)
        )
    }

    /// Whether requests of it may be under way, so that its resource is locked.
    pub fn is_running(&self) -> bool {
        matches!(
            self,
            Self::Executing
                | Self::Verifying { .. }
                | Self::RollingBack(_)
                | Self::Reverting(_)
                | Self::NeedsHuman { .. }
        )
    }
}

/// An action.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Action {
    /// Its id, 20 hexadecimal digits.
    pub id: String,
    /// How many things happened to it.
    pub revision: u64,
    /// What was proposed. Copies share it: one is made for each look at what a record makes of an action, and one for whoever
    /// works on it.
    pub proposal: Arc<Proposal>,
    /// How far it is.
    pub state: State,
    /// The plan, and its hash.
    pub plan: Option<(Arc<Plan>, String)>,
    /// How often it was planned.
    pub plans: u32,
    /// The votes on the plan.
    pub votes: Vec<SignedVote>,
    /// The steps.
    pub run: Option<Run>,
    /// The steps that take it back.
    pub back: Option<Run>,
    /// When it was proposed.
    pub proposed: i64,
    /// When something last happened to it.
    pub changed: i64,
    /// When it was seen to have worked.
    pub succeeded: Option<i64>,
    /// How often it was looked at again.
    pub rechecks: usize,
    /// How far it goes by itself, as it was decided when it was planned.
    #[serde(default)]
    pub mode: Mode,
    /// Whether somebody used the key for emergencies.
    pub is_glass_broken: bool,
    /// The nonces of all votes that were ever cast on it: one that was cast on a plan that is void is not cast again.
    #[serde(default)]
    pub nonces: Vec<String>,
}

impl Action {
    /// When the newest request was written down of which nobody knows what became; 0 without any.
    pub fn unsure(&self) -> i64 {
        let of = |run: &Option<Run>| run.as_ref().map_or(0, |run| run.unsure);
        of(&self.run).max(of(&self.back))
    }

    /// The run that is under way.
    pub fn current(&self) -> Option<&Run> {
        match &self.state {
            State::RollingBack(_)
            | State::Reverting(_)
            | State::NeedsHuman { is_back: true, .. } => self.back.as_ref(),
            State::Executing | State::NeedsHuman { .. } => self.run.as_ref(),
            _ => None,
        }
    }

    pub(super) fn current_mut(&mut self) -> Option<&mut Run> {
        match &self.state {
            State::RollingBack(_)
            | State::Reverting(_)
            | State::NeedsHuman { is_back: true, .. } => self.back.as_mut(),
            State::Executing | State::NeedsHuman { .. } => self.run.as_mut(),
            _ => None,
        }
    }
}
