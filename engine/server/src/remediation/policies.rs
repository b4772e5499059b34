//! Policies from files: those that somebody names, or those that came with the binary.

use super::planners::Planners;
use crate::config::Config;
use crate::rule_files::{RuleFilesError, read_paths};
use std::sync::Arc;
use tripline_core::diagnostic::{Level, Palette};
use tripline_core::rule::File;
use tripline_remediation::action::Planner;
use tripline_remediation::ask::Questions;
use tripline_remediation::engine::Policies;
use tripline_remediation::policy::{Loaded, Mode, Policy, glob, load};

/// Policies, and what is wrong with those that are off.
pub(crate) struct Read {
    pub(crate) policies: Policies,
    pub(crate) loaded: Loaded,
}

/// Reads the policies at paths; those that came with the binary without any.
pub(crate) fn read(paths: &[String]) -> Result<Read, RuleFilesError> {
    Ok(of_files(&read_paths(paths)?))
}

/// The same, without those whose plugin is not there, or is another than they mean.
pub(crate) fn read_with(
    paths: &[String],
    planner: Option<&dyn Planner>,
) -> Result<Read, RuleFilesError> {
    Ok(of_loaded(loaded(&read_paths(paths)?), planner))
}

/// The policies among files, whatever plugins there are.
pub(crate) fn of_files(files: &[File]) -> Read {
    finished(loaded(files))
}

/// The same, without those whose plugin is not there, or is another than they mean.
pub(crate) fn of_loaded(mut loaded: Loaded, planner: Option<&dyn Planner>) -> Read {
    loaded.check_plugins(planner);
    finished(loaded)
}

/// What files say, before what they ask is compiled.
pub(crate) fn loaded(files: &[File]) -> Loaded {
    let texts = files
        .iter()
        .map(|file| (file.path.as_str(), file.text.as_str()));
    load(texts)
}

fn finished(mut loaded: Loaded) -> Read {
    let today = crate::rule_loading::today_of(jiff::Timestamp::now());
    let questions = Questions::of(&mut loaded, today);
    let policies = Policies {
        policies: loaded.policies.clone(),
        questions,
        exempt: loaded.exempt.clone(),
        is_exemption_lost: loaded.is_exemption_lost,
    };
    Read { policies, loaded }
}

impl Read {
    /// Takes policies out that act as a role that is not one of the service's own: what they do could not be told from what
    /// others do, and would be answered.
    pub(crate) fn keep_to_roles(&mut self, roles: &[String], own_credentials: bool) {
        let acts = |policy: &Policy| policy.terms.stage.mode >= Mode::Approve;
        self.policies.policies.retain(|policy| {
            let role = policy.terms.role.as_str();
            // Of requests to others than AWS each target proves who sends them.
            if !acts(policy) || (role.is_empty() && (own_credentials || !policy.action.is_of_aws()))
            {
                return true;
            }
            let is_own = roles.iter().any(|own| may_be(role, own));
            if !is_own {
                let policy = policy.id.as_str();
                let words = match role.is_empty() {
                    true => {
                        "it has no role, and remediation.own_credentials is off; the policy is off"
                    }
                    false => "its role is not among remediation.roles; the policy is off",
                };
                tracing::error!(policy, role, words, "policy with a foreign role");
            }
            is_own
        });
    }

    /// What is wrong, as a person reads it.
    pub(crate) fn complaints(&self, palette: Palette) -> Vec<String> {
        let wrong = self.loaded.reports.iter();
        wrong
            .filter(|one| one.diagnostic.level == Level::Error)
            .map(|one| one.render(palette))
            .collect()
    }
}

/// Whether a role of a policy, with its places for account and partition, can be one of a pattern.
fn may_be(role: &str, own: &str) -> bool {
    let mut parts = own.splitn(6, ':');
    let (_, partition) = (parts.next(), parts.next().unwrap_or_default());
    let account = parts.nth(2).unwrap_or_default();
    let filled = role.replace("{account}", account);
    !role.is_empty() && glob(own, &filled.replace("{partition}", partition))
}

/// Policies that a service read again, and the plugins that plan for them: not yet in force.
pub(crate) struct Again {
    read: Read,
    planner: Option<Arc<dyn Planner>>,
}

impl Again {
    /// Reads them.
    pub(crate) fn read(config: &Config) -> Result<Self, RuleFilesError> {
        let installed = crate::serve::plugins_of(config).read()?;
        let planner = Planners::start(&installed)?;
        let mut read = read_with(&config.remediation.policies, planner.as_deref())?;
        let remediation = &config.remediation;
        read.keep_to_roles(&remediation.roles, remediation.own_credentials);
        Ok(Self { read, planner })
    }

    /// Puts them in force. How many there are, and what is wrong.
    pub(crate) fn put(self, engine: &super::Remediation) -> (usize, Vec<String>) {
        let wrong = self.read.complaints(Palette::PLAIN);
        let count = self.read.policies.policies.len();
        // Plans first: a policy in force may mean a plugin that only now is there.
        engine.set_planner(self.planner);
        engine.set_policies(self.read.policies);
        (count, wrong)
    }
}

#[cfg(test)]
mod tests {
    use super::may_be;

    #[test]
    fn a_role_with_places_is_one_of_a_pattern() {
        let role = "arn:{partition}:iam::{account}:role/tripline-remediation";
        assert!(may_be(role, "arn:aws:iam::*:role/tripline-remediation"));
        assert!(may_be(
            role,
            "arn:aws-us-gov:iam::123456789012:role/tripline-*"
        ));
        assert!(!may_be(role, "arn:aws:iam::*:role/other"));
        assert!(!may_be("arn:aws:iam::1:role/r", "arn:aws:iam::2:role/r"));
        assert!(!may_be("", "*"));
    }
}
