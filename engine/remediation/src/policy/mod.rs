//! Policies: which finding is answered by which action, in which stage, within which limits.
//!
//! A policy is a table `[remediation.ID]` of a TOML file; exemptions are `[[exempt]]` beside it. What is refused here is
//! refused when the file is loaded: an action that runs by itself without caps, one that cannot be taken back without two
//! people, a policy that answers what it does itself.

mod check;
mod exempt;
mod load;
mod period;
mod terms;

pub use exempt::{Exempt, glob};
pub use load::{Loaded, load};
pub use period::Period;
pub use terms::{
    Approval, Cap, Credentials, Demote, Execution, Limits, Mode, OnAmbiguous, OnTimeout, Percent,
    Retry, Rollback, Stage, Terms, Verify,
};

use crate::action::Chosen;
use crate::plan::Risk;
use std::collections::BTreeMap;

/// One policy.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// Its name, `[a-z0-9_]`, at most 60 bytes.
    pub id: String,
    /// `MAJOR.MINOR.PATCH`; findings that a major version answered are answered anew by the next.
    pub version: String,
    /// SHA-256 of everything in it, in hex.
    pub hash: String,
    /// The file that it is in, as it was given.
    pub file: String,
    /// What it does, for people.
    pub description: String,
    /// Where to read on.
    pub runbook: String,
    /// Whose it is. Its owner cannot approve what it does.
    pub owner: String,
    /// The rules whose findings it answers; a name may end in `*`.
    pub on_finding: Vec<String>,
    /// The least severity that it answers.
    pub min_severity: Option<String>,
    /// CEL over `event`; empty is always.
    pub when: String,
    /// What is done.
    pub action: Chosen,
    /// How much harm it can do; at least what the action says.
    pub risk: Risk,
    /// What takes the place of what the action reads from the event: CEL over `event` by the name of the parameter.
    pub params: BTreeMap<String, String>,
    /// All that holds while an action of it runs.
    pub terms: Terms,
}

/// No cap is higher: so many begins are remembered.
pub const CAP_MAX: u32 = 100_000;

/// Severities, the least first.
const SEVERITIES: [&str; 5] = ["informational", "low", "medium", "high", "critical"];

impl Policy {
    /// The part of its version that stands for itself.
    pub fn major(&self) -> &str {
        self.version.split('.').next().unwrap_or_default()
    }

    /// Whether it answers findings of a rule with a severity.
    pub fn answers(&self, rule: &str, severity: &str) -> bool {
        let place = |name: &str| SEVERITIES.iter().position(|one| *one == name);
        let is_severe = match &self.min_severity {
            Some(least) => place(severity).unwrap_or(0) >= place(least).unwrap_or(0),
            None => true,
        };
        let is_named = self
            .on_finding
            .iter()
            .any(|name| match name.strip_suffix('*') {
                Some(start) => rule.starts_with(start),
                None => rule == name,
            });
        is_severe && is_named
    }
}
