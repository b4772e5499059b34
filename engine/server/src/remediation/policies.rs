//! Policies from files: those that somebody names, or those that came with the binary.

use crate::rule_files::{RuleFilesError, read_paths};
use tripline_core::diagnostic::{Level, Palette};
use tripline_core::rule::File;
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

/// The policies among files.
pub(crate) fn of_files(files: &[File]) -> Read {
    let texts = files
        .iter()
        .map(|file| (file.path.as_str(), file.text.as_str()));
    let mut loaded = load(texts);
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
    pub(crate) fn keep_to_roles(&mut self, roles: &[String]) {
        let acts = |policy: &Policy| policy.terms.stage.mode >= Mode::Approve;
        self.policies.policies.retain(|policy| {
            let role = policy.terms.role.replace("{account}", "000000000000");
            let role = role.replace("{partition}", "aws");
            let is_own = roles.iter().any(|own| glob(own, &role));
            if acts(policy) && role.is_empty() {
                let words = "it acts with the service's own credentials, so what it does cannot be told from what others do with them";
                tracing::warn!(policy = policy.id, words, "policy without a role");
            }
            let is_kept = !acts(policy) || role.is_empty() || is_own;
            if !is_kept {
                let (policy, role) = (policy.id.as_str(), policy.terms.role.as_str());
                let words = "its role is not among remediation.roles; the policy is off";
                tracing::error!(policy, role, words, "policy with a foreign role");
            }
            is_kept
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

/// Reads the policies of a service again and puts them in force. How many are in force, and what is wrong.
pub(crate) fn reload(
    engine: &super::Remediation,
    paths: &[String],
) -> Result<(usize, Vec<String>), RuleFilesError> {
    let mut read = read(paths)?;
    read.keep_to_roles(&engine.settings().protected.own_roles);
    let wrong = read.complaints(Palette::PLAIN);
    let count = read.policies.policies.len();
    engine.set_policies(read.policies);
    Ok((count, wrong))
}
