//! Policies from files: those that somebody names, or those that came with the binary.

use crate::rule_files::{RuleFilesError, read_paths};
use tripline_core::diagnostic::{Level, Palette};
use tripline_core::rule::File;
use tripline_remediation::ask::Questions;
use tripline_remediation::engine::Policies;
use tripline_remediation::policy::{Loaded, load};

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
    let read = read(paths)?;
    let wrong = read.complaints(Palette::PLAIN);
    let count = read.policies.policies.len();
    engine.set_policies(read.policies);
    Ok((count, wrong))
}
