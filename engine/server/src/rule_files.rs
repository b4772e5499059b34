//! Finds and reads the files of rules: those of the person, or those that came with the binary.
//!
//! Core says what a file is; this only reads texts. A file that cannot be read stops the command, for
//! a rule set with silent holes is worse than none.

use crate::input::resolve::{Origin, ResolveError, resolve};
use crate::plugins::{PluginArguments, PluginsError};
use crate::sigma_files::SigmaArguments;
use clap::Args;
use jiff::civil::Date;
use std::path::{Path, PathBuf};
use std::{fs, io};
use thiserror::Error;
use tripline_core::rule::{Catalog, File, load_with};
use tripline_core::sigma::{BaseRules, translate};

/// The files under `rules/` when this was built: path and text.
static SHIPPED: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/shipped.rs"));

/// Longest file that is read. Core refuses rule files far below; a site list may be long.
const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Why the rules could not be read.
#[derive(Debug, Error)]
pub(crate) enum RuleFilesError {
    #[error(transparent)]
    Path(#[from] ResolveError),
    #[error(transparent)]
    Plugins(#[from] PluginsError),
    #[error("{path}: cannot be read")]
    Read { path: String, source: io::Error },
    #[error("{0}: not UTF-8 text")]
    NotText(String),
    #[error("{path}: longer than {FILE_BYTES_MAX} bytes")]
    TooLong { path: String },
    #[error("{path}: rules cannot be read from standard input")]
    Stdin { path: String },
    #[error("--list {0}: give NAME=FILE")]
    ListForm(String),
    #[error("{0}: holds no .toml file")]
    NoRules(String),
    #[error("{0}: holds no .yml or .yaml file")]
    NoYaml(String),
}

/// Which rules a command works on.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct RuleArguments {
    /// Rules, overrides and lists: a file, a folder or a pattern; may be given several times.
    /// The rules that came with tripline without it.
    #[arg(long = "rules", value_name = "PATH", action = clap::ArgAction::Append)]
    pub(crate) rules: Vec<String>,

    /// A site list for `inList("NAME", …)`, from a TOML, CSV or JSON file; may be given several times.
    #[arg(long = "list", value_name = "NAME=FILE", action = clap::ArgAction::Append)]
    pub(crate) lists: Vec<String>,

    #[command(flatten)]
    pub(crate) sigma: SigmaArguments,

    #[command(flatten)]
    pub(crate) plugins: PluginArguments,
}

impl RuleArguments {
    /// Reads all files and what is in them; `more` are files of ours that come with the command.
    pub(crate) fn load(&self, more: Vec<File>, today: Date) -> Result<Catalog, RuleFilesError> {
        let mut texts = self.texts()?;
        texts.files.extend(more);
        let mut catalog = texts.catalog(self.sigma.base_rules(), today);
        catalog.plugins = self.plugins.read()?.answers();
        Ok(catalog)
    }

    /// Everything that `load` reads, but plugins.
    pub(crate) fn texts(&self) -> Result<Texts, RuleFilesError> {
        let mut files = if self.rules.is_empty() && !self.sigma.is_empty() {
            Vec::new()
        } else {
            read_paths(&self.rules)?
        };
        read_lists(self, &mut files)?;
        let (sigma, pipelines) = self.sigma.read()?;
        Ok(Texts {
            files,
            sigma,
            pipelines,
        })
    }

    /// The paths of all files that `load` reads.
    pub(crate) fn paths_read(&self) -> Result<Vec<PathBuf>, RuleFilesError> {
        let mut paths = paths_at(&self.rules)?;
        let lists = self.lists.iter().filter_map(|list| list.split_once('='));
        paths.extend(lists.map(|(_, path)| PathBuf::from(path)));
        paths.extend(self.sigma.paths_read()?);
        paths.extend(self.plugins.file.iter().map(PathBuf::from));
        paths.extend(self.plugins.read()?.paths_read());
        Ok(paths)
    }
}

/// The texts that rules are made of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Texts {
    pub(crate) files: Vec<File>,
    pub(crate) sigma: Vec<File>,
    pub(crate) pipelines: Vec<File>,
}

impl Texts {
    /// What is in them.
    pub(crate) fn catalog(&self, base_rules: BaseRules, today: Date) -> Catalog {
        load_with(&self.files, today, |lists| {
            translate(&self.sigma, &self.pipelines, lists, base_rules).into_rules()
        })
    }
}

/// The paths of all rule files that `paths` name.
pub(crate) fn paths_at(paths: &[String]) -> Result<Vec<PathBuf>, RuleFilesError> {
    Ok(found_at(paths)?.into_iter().map(|(path, _)| path).collect())
}

/// A catalog of files of ours and of Sigma rules.
pub(crate) fn load_files(
    files: &[File],
    sigma: &SigmaArguments,
    today: Date,
) -> Result<Catalog, RuleFilesError> {
    let (rules, pipelines) = sigma.read()?;
    Ok(load_with(files, today, |lists| {
        translate(&rules, &pipelines, lists, sigma.base_rules()).into_rules()
    }))
}

/// Reads the lists that were named one by one.
pub(crate) fn read_lists(
    arguments: &RuleArguments,
    files: &mut Vec<File>,
) -> Result<(), RuleFilesError> {
    for list in &arguments.lists {
        let (name, path) = list
            .split_once('=')
            .ok_or_else(|| RuleFilesError::ListForm(list.clone()))?;
        files.push(File::list(name, path, read_text(Path::new(path))?));
    }
    Ok(())
}

/// The files that `paths` name; those of the binary when there are none.
pub(crate) fn read_paths(paths: &[String]) -> Result<Vec<File>, RuleFilesError> {
    if paths.is_empty() {
        return Ok(shipped());
    }
    let found = found_at(paths)?.into_iter();
    found.map(|(path, name)| read_file(&path, name)).collect()
}

/// The rule files at `paths`, each once, with its name.
fn found_at(paths: &[String]) -> Result<Vec<(PathBuf, String)>, RuleFilesError> {
    let mut files: Vec<(PathBuf, String)> = Vec::new();
    for path in paths {
        let before = files.len();
        for input in resolve(std::slice::from_ref(path))?.inputs {
            let Origin::File(found) = input.origin else {
                return Err(RuleFilesError::Stdin { path: path.clone() });
            };
            let kind = found.extension().and_then(|extension| extension.to_str());
            if matches!(kind, Some("toml" | "json" | "csv")) {
                let is_rule = found.file_name().is_some_and(|name| name == "rule.toml");
                let companions = match is_rule {
                    true => companions_of(&found)?,
                    false => Vec::new(),
                };
                files.push((found, input.name));
                let named = |path: PathBuf| (path.clone(), path.display().to_string());
                files.extend(companions.into_iter().map(named));
            }
        }
        let any = files[before..]
            .iter()
            .any(|(_, name)| name.ends_with(".toml"));
        if !any {
            return Err(RuleFilesError::NoRules(path.clone()));
        }
    }
    let mut seen = std::collections::BTreeSet::new();
    files.retain(|(_, name)| seen.insert(name.clone()));
    Ok(files)
}

/// The rules that came with the binary.
pub(crate) fn shipped() -> Vec<File> {
    SHIPPED
        .iter()
        .map(|(path, text)| File::found(*path, *text))
        .collect()
}

/// A rule's tests and events lie beside it: naming the rule names them too.
fn companions_of(rule: &Path) -> Result<Vec<PathBuf>, RuleFilesError> {
    let Some(folder) = rule.parent() else {
        return Ok(Vec::new());
    };
    let folder = if folder.as_os_str().is_empty() {
        Path::new(".")
    } else {
        folder
    };
    let unreadable = |source| RuleFilesError::Read {
        path: folder.display().to_string(),
        source,
    };
    let mut companions = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let is_tests = path.file_name().is_some_and(|name| name == "tests.toml");
        let is_event = path
            .extension()
            .is_some_and(|extension| extension == "json");
        if is_tests || is_event {
            companions.push(rule.with_file_name(path.file_name().unwrap_or_default()));
        }
    }
    companions.sort();
    Ok(companions)
}

/// A file among others: one that is no text is a mistake like others, and the rest goes on.
pub(crate) fn read_file(path: &Path, name: String) -> Result<File, RuleFilesError> {
    match read_text(path) {
        Ok(text) => Ok(File::found(name, text)),
        Err(RuleFilesError::NotText(_)) => Ok(File::not_text(name)),
        Err(fault) => Err(fault),
    }
}

pub(crate) fn read_text(path: &Path) -> Result<String, RuleFilesError> {
    let name = || path.display().to_string();
    let fault = |source| RuleFilesError::Read {
        path: name(),
        source,
    };
    if fs::metadata(path).map_err(fault)?.len() > FILE_BYTES_MAX {
        return Err(RuleFilesError::TooLong { path: name() });
    }
    let bytes = fs::read(path).map_err(fault)?;
    String::from_utf8(bytes).map_err(|_| RuleFilesError::NotText(name()))
}
