//! Finds and reads Sigma rules and the pipelines that change them.
//!
//! In a folder every `.yml` and `.yaml` is taken; a file that is named is taken whatever it is called. Core says what
//! each document is.

use crate::input::resolve::{Mention, Origin, resolve};
use crate::rule_files::{RuleFilesError, read_file};
use clap::Args;
use std::path::PathBuf;
use tripline_core::rule::File;
use tripline_core::sigma::BaseRules;

/// Which Sigma rules a command works on.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct SigmaArguments {
    /// Sigma rules: a YAML file, a folder or a pattern; may be given several times. Other rules that are named are taken
    /// too; those that came with tripline are left out.
    #[arg(long = "sigma", value_name = "PATH", action = clap::ArgAction::Append)]
    pub(crate) sigma: Vec<String>,

    /// A processing pipeline in pySigma's YAML that changes the Sigma rules first; may be given several times.
    #[arg(long = "sigma-pipeline", value_name = "FILE", action = clap::ArgAction::Append)]
    pub(crate) pipelines: Vec<String>,

    /// Report rules that Sigma correlations are about by themselves too, whatever `generate` says.
    #[arg(long = "sigma-base-rules")]
    pub(crate) base_rules: bool,
}

impl SigmaArguments {
    /// These rules, changed by these pipelines.
    pub(crate) fn of(sigma: Vec<String>, pipelines: Vec<String>) -> Self {
        Self {
            sigma,
            pipelines,
            base_rules: false,
        }
    }

    /// Whether there are any.
    pub(crate) fn is_empty(&self) -> bool {
        self.sigma.is_empty()
    }

    /// Whether rules that correlations are about report by themselves.
    pub(crate) fn base_rules(&self) -> BaseRules {
        if self.base_rules {
            BaseRules::Reported
        } else {
            BaseRules::AsTheySay
        }
    }

    /// Reads the rules and the pipelines.
    pub(crate) fn read(&self) -> Result<(Vec<File>, Vec<File>), RuleFilesError> {
        Ok((read_yaml(&self.sigma)?, read_yaml(&self.pipelines)?))
    }

    /// The paths of the files that `read` reads.
    pub(crate) fn paths_read(&self) -> Result<Vec<PathBuf>, RuleFilesError> {
        let mut files = found_at(&self.sigma)?;
        files.extend(found_at(&self.pipelines)?);
        Ok(files.into_iter().map(|(path, _)| path).collect())
    }
}

/// The YAML files that `paths` name.
pub(crate) fn read_yaml(paths: &[String]) -> Result<Vec<File>, RuleFilesError> {
    let found = found_at(paths)?.into_iter();
    found.map(|(path, name)| read_file(&path, name)).collect()
}

/// The YAML files at `paths`, each once, with its name.
fn found_at(paths: &[String]) -> Result<Vec<(PathBuf, String)>, RuleFilesError> {
    let mut files: Vec<(PathBuf, String)> = Vec::new();
    for path in paths {
        let before = files.len();
        for input in resolve(std::slice::from_ref(path))?.inputs {
            let Origin::File(found) = input.origin else {
                return Err(RuleFilesError::Stdin { path: path.clone() });
            };
            let kind = found.extension().and_then(|extension| extension.to_str());
            if input.mention == Mention::Named || matches!(kind, Some("yml" | "yaml")) {
                files.push((found, input.name));
            }
        }
        if files.len() == before {
            return Err(RuleFilesError::NoYaml(path.clone()));
        }
    }
    let mut seen = std::collections::BTreeSet::new();
    files.retain(|(_, name)| seen.insert(name.clone()));
    Ok(files)
}
