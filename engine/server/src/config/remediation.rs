//! The section `[remediation]`: whether findings are answered, and what holds for all policies.

use super::Length;
use crate::remediation::targets::TargetConfig;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// For so long AWS takes a signed request.
const SIGNED_FOR: Duration = Duration::from_secs(300);

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RemediationConfig {
    pub(crate) enabled: bool,
    pub(crate) policies: Vec<String>,
    pub(crate) threads: usize,
    pub(crate) endpoint: String,
    pub(crate) roles: Vec<String>,
    pub(crate) own_credentials: bool,
    pub(crate) channels: Vec<String>,
    pub(crate) accounts: Vec<String>,
    pub(crate) protected: Vec<String>,
    pub(crate) protected_accounts: Vec<String>,
    pub(crate) approvers_file: String,
    pub(crate) votes_subject: String,
    pub(crate) kill_file: String,
    pub(crate) checkpoint_every: Length,
    pub(crate) checkpoints_file: String,
    pub(crate) max: u32,
    pub(crate) window: Length,
    pub(crate) storm: usize,
    pub(crate) settled_after: Length,
    pub(crate) frozen: Vec<Frozen>,
    #[serde(default)]
    pub(crate) http: BTreeMap<String, TargetConfig>,
}

/// A stretch of time in which nothing begins.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Frozen {
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) reason: String,
}

impl RemediationConfig {
    pub(super) fn validate(&self) -> Result<(), String> {
        if !self.enabled {
            return Ok(());
        }
        if !(1..=64).contains(&self.threads) {
            return Err(format!(
                "remediation.threads = {} is out of range; give 1 to 64",
                self.threads
            ));
        }
        let is_url = self.endpoint.is_empty()
            || self.endpoint.starts_with("http://")
            || self.endpoint.starts_with("https://");
        if !is_url {
            return Err(format!(
                "remediation.endpoint = \"{}\" is no address; give http:// or https:// and a host, or nothing for AWS",
                self.endpoint.escape_debug()
            ));
        }
        for (name, target) in &self.http {
            target
                .validate()
                .map_err(|words| format!("remediation.http.{name}: {words}"))?;
        }
        // Whatever answers in place of AWS may be quicker; AWS takes what was signed five minutes ago.
        if self.endpoint.is_empty() && self.settled_after.duration() < SIGNED_FOR {
            return Err(
                "remediation.settled_after is shorter than the five minutes for which AWS takes a signed request"
                    .to_owned(),
            );
        }
        for role in &self.roles {
            if !role.starts_with("arn:") || !role.contains(":role/") {
                return Err(format!(
                    "remediation.roles: `{}` is no role, such as arn:aws:iam::*:role/tripline-remediation",
                    role.escape_debug()
                ));
            }
        }
        Ok(())
    }
}
