//! What holds while an action runs: stage, limits, approval, execution, credentials.
//!
//! A proposal carries its terms, so an action ends under the policy that began it.

use super::Period;
use crate::plan::Risk;
use serde::{Deserialize, Serialize};

/// How far an action goes by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// It is planned and not shown.
    Shadow,
    /// It is planned and shown.
    #[default]
    DryRun,
    /// It waits for people.
    Approve,
    /// It waits for somebody to object, and then runs.
    Veto,
    /// It runs.
    Auto,
}

impl Mode {
    /// As it stands in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Shadow => "shadow",
            Self::DryRun => "dry_run",
            Self::Approve => "approve",
            Self::Veto => "veto",
            Self::Auto => "auto",
        }
    }
}

/// How far actions of a policy go by themselves.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Stage {
    /// How far.
    pub mode: Mode,
    /// With `auto`: for how many resources of a hundred, chosen by a hash of their ARN; the others wait for people.
    pub percent: u8,
    /// When it falls back to `approve` by itself.
    pub demote: Demote,
}

impl Default for Stage {
    fn default() -> Self {
        Self {
            mode: Mode::default(),
            percent: 100,
            demote: Demote::default(),
        }
    }
}

/// What a policy must not do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Demote {
    /// So many actions failed or were rolled back
    pub failures: u32,
    /// within this time.
    pub window: Period,
}

impl Default for Demote {
    fn default() -> Self {
        Self {
            failures: 3,
            window: Period::seconds(3_600),
        }
    }
}

/// At most so many in any stretch of time of a length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cap {
    /// How many.
    pub max: u32,
    /// The length.
    pub window: Period,
}

/// At most this share of what is known to be there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Percent {
    /// Of what, as `aws.ec2.security_group`.
    pub of: String,
    /// How many of a hundred.
    pub percent: f64,
}

/// How much may be done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// By the policy.
    pub per_policy: Option<Cap>,
    /// By it in one account.
    pub per_account: Option<Cap>,
    /// By all policies to resources of its kind.
    pub per_kind: Option<Cap>,
    /// Of the resources known, in the window of `per_policy`. Without knowledge the caps alone hold.
    pub max_percent: Option<Percent>,
    /// After an action on a resource, none like it for so long.
    pub cooldown: Period,
    /// After so many alike within `flap_window`, none until it is over; somebody undoes them.
    pub max_flaps: u32,
    /// See `max_flaps`.
    pub flap_window: Period,
    /// What is older when it is found is told and not answered: logs of before are read too.
    pub max_age: Period,
    /// So many at the same time.
    pub concurrency: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            per_policy: None,
            per_account: None,
            per_kind: None,
            max_percent: None,
            cooldown: Period::seconds(900),
            max_flaps: 2,
            flap_window: Period::seconds(6 * 3_600),
            max_age: Period::seconds(86_400),
            concurrency: 4,
        }
    }
}

/// What becomes of what nobody voted on in time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnTimeout {
    /// It is not done.
    #[default]
    Deny,
    /// It is done if all of it can be taken back and none of it is created.
    ContainReversible,
}

/// Whose word is needed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Approval {
    /// Of how many different people.
    pub quorum: u32,
    /// Of which groups: each must have a vote among them. Empty: of any.
    pub groups: Vec<String>,
    /// For how long they are waited for.
    pub timeout: Period,
    /// What becomes of it then.
    pub on_timeout: OnTimeout,
    /// With `veto`: how long somebody may object.
    pub veto_window: Period,
}

impl Default for Approval {
    fn default() -> Self {
        Self {
            quorum: 1,
            groups: Vec::new(),
            timeout: Period::seconds(1_800),
            on_timeout: OnTimeout::Deny,
            veto_window: Period::seconds(600),
        }
    }
}

/// How requests are tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Retry {
    /// How often a request is sent at most.
    pub max: u32,
    /// The first pause; each later one is twice as long.
    pub base: Period,
    /// The longest pause.
    pub cap: Period,
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            max: 8,
            base: Period(500_000),
            cap: Period::seconds(30),
        }
    }
}

impl Retry {
    /// The pause after a number of tries.
    pub fn pause(&self, tries: u32) -> i64 {
        let doubled = self
            .base
            .0
            .saturating_mul(1 << tries.saturating_sub(1).min(30));
        doubled.min(self.cap.0)
    }
}

/// How it is seen that an action worked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Verify {
    /// For how long it is looked for.
    pub within: Period,
    /// How often.
    pub every: Period,
    /// When it is looked at again after it was seen.
    pub then_recheck: Vec<Period>,
}

impl Default for Verify {
    fn default() -> Self {
        Self {
            within: Period::seconds(60),
            every: Period::seconds(2),
            then_recheck: Vec::new(),
        }
    }
}

/// When an action is taken back by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rollback {
    /// Never.
    Never,
    /// When one of its steps fails.
    OnStepFailure,
    /// Also when it cannot be seen to have worked; containment stays.
    #[default]
    OnVerifyFailure,
}

/// What is done about a request of which nothing tells whether it was done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnAmbiguous {
    /// Somebody is asked.
    #[default]
    Ask,
    /// It is sent again: at least once.
    Retry,
    /// It is left: at most once.
    Skip,
}

/// How an action runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Execution {
    /// How long one request may take.
    pub step_timeout: Period,
    /// How long all of it may take, from the first request on; then no step is begun any more.
    pub total_timeout: Period,
    /// How requests are tried again.
    pub retry: Retry,
    /// How it is seen that it worked.
    pub verify: Verify,
    /// When it is taken back by itself.
    pub rollback: Rollback,
    /// It is taken back after so long, for containment that must not stay.
    pub release_after: Option<Period>,
    /// See [`OnAmbiguous`].
    pub on_ambiguous: OnAmbiguous,
}

impl Default for Execution {
    fn default() -> Self {
        Self {
            step_timeout: Period::seconds(10),
            total_timeout: Period::seconds(600),
            retry: Retry::default(),
            verify: Verify::default(),
            rollback: Rollback::default(),
            release_after: None,
            on_ambiguous: OnAmbiguous::default(),
        }
    }
}

/// As whom an action acts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Credentials {
    /// The role that is assumed, with `{account}` for the account and `{partition}` for its partition; empty: the service's own credentials.
    pub role: String,
}

/// All of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Terms {
    /// How far it goes by itself.
    pub stage: Stage,
    /// How much may be done.
    pub limits: Limits,
    /// Whose word is needed.
    pub approval: Approval,
    /// How it runs.
    pub execution: Execution,
    /// The role that it assumes; empty for the service's own credentials.
    pub role: String,
    /// Whether it may do what cannot be taken back.
    pub allow_irreversible: bool,
    /// How much harm it can do.
    pub risk: Risk,
    /// Who owns the policy, and cannot approve.
    pub owner: String,
}
