//! Another version of the rules: from a path, or from a commit of the repository that the rules lie in.

use super::git::{Commit, GitError};
use crate::rule_files::{RuleArguments, RuleFilesError, paths_at, read_lists, read_paths};
use std::path::{Path, PathBuf};
use thiserror::Error;
use tripline_core::rule::File;

/// Why a baseline could not be read.
#[derive(Debug, Error)]
pub(crate) enum BaselineError {
    #[error("what --baseline names cannot be read as rules")]
    Files(#[source] RuleFilesError),
    #[error(transparent)]
    Lists(RuleFilesError),
    #[error(
        "--baseline {0}: no such file or folder; a commit stands alone, without other baselines"
    )]
    NotAlone(String),
    #[error(transparent)]
    Git(#[from] GitError),
    #[error("--baseline {0}: no such path, and without --rules there is no repository to look in")]
    NoRules(String),
    #[error(
        "--baseline {reference}: of {path}, which is a pattern, no commit is read; name its folder"
    )]
    Pattern { path: String, reference: String },
}

/// The files of the baseline. What exists as a path is one; anything else is asked of git.
pub(crate) fn read(
    baseline: &[String],
    arguments: &RuleArguments,
) -> Result<Vec<File>, BaselineError> {
    let mut files = match baseline {
        [reference] if is_commit(reference) => of_commit(reference, &arguments.rules)?,
        paths => {
            if let Some(reference) = paths.iter().find(|one| is_commit(one)) {
                return Err(BaselineError::NotAlone(reference.clone()));
            }
            read_paths(paths).map_err(BaselineError::Files)?
        }
    };
    read_lists(arguments, &mut files).map_err(BaselineError::Lists)?;
    Ok(files)
}

/// The paths of the files that a baseline is read from; none when it is a commit.
pub(crate) fn paths_read(baseline: &[String]) -> Result<Vec<PathBuf>, BaselineError> {
    match baseline {
        [] => Ok(Vec::new()),
        [reference] if is_commit(reference) => Ok(Vec::new()),
        paths => paths_at(paths).map_err(BaselineError::Files),
    }
}

/// Whether it is nothing else: neither a path nor a pattern of paths, which no name of a commit can be.
fn is_commit(text: &str) -> bool {
    !text.contains(['*', '?', '[']) && std::fs::symlink_metadata(text).is_err()
}

fn of_commit(reference: &str, paths: &[String]) -> Result<Vec<File>, BaselineError> {
    if paths.is_empty() {
        return Err(BaselineError::NoRules(reference.to_owned()));
    }
    let mut files: Vec<File> = Vec::new();
    for text in paths {
        let path = Path::new(text);
        let (folder, name) = if path.is_dir() {
            (path, "")
        } else if path.is_file() {
            let folder = path.parent().filter(|one| !one.as_os_str().is_empty());
            let name = path.file_name().and_then(|name| name.to_str());
            (folder.unwrap_or(Path::new(".")), name.unwrap_or_default())
        } else {
            return Err(BaselineError::Pattern {
                path: text.clone(),
                reference: reference.to_owned(),
            });
        };
        for (path, bytes) in Commit::find(folder, reference)?.files(name)? {
            let path = format!("{reference}:/{path}");
            if files.iter().all(|file| file.path != path) {
                files.push(match String::from_utf8(bytes) {
                    Ok(text) => File::found(path, text),
                    Err(_) => File::not_text(path),
                });
            }
        }
    }
    Ok(files)
}
