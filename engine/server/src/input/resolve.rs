//! From what was typed to a list of inputs: files, folders, patterns, standard input.
//!
//! The order is that of the arguments; inside a folder, by name. Nothing is opened here, so that
//! a mistyped name is refused before anything is scanned. Hidden files are left out of folders, and a
//! folder reached twice through links is gone through once. Choosing files by their extension was
//! rejected: `CloudTrail.json.gz`, `events.log` and `0001` all hold events.

use super::through::MakeEvents;
use glob::{MatchOptions, glob_with};
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use thiserror::Error;

/// Why an argument names no input.
#[derive(Debug, Error)]
pub(crate) enum ResolveError {
    #[error("{0}: no such file or folder")]
    NotFound(String),
    #[error("{0}: no file matches this pattern")]
    NoMatch(String),
    #[error("{pattern}: not a pattern: {reason}")]
    BadPattern { pattern: String, reason: String },
    #[error("{0}: holds no file to read (hidden files are left out)")]
    EmptyFolder(String),
    #[error("-: standard input can be read only once")]
    StdinTwice,
    #[error("{path}: cannot be listed")]
    Unlistable { path: String, source: io::Error },
}

/// Where bytes come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    Stdin,
    File(PathBuf),
    /// Bytes that came with the program.
    Bundled(&'static [u8]),
}

/// Whether a person named the input, or it was found in a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mention {
    Named,
    Found,
}

/// One input, not yet opened.
#[derive(Clone, Debug)]
pub(crate) struct Input {
    /// As shown to people and written in findings.
    pub(crate) name: String,
    pub(crate) origin: Origin,
    pub(crate) mention: Mention,
    /// Size on disk, when there is one.
    pub(crate) bytes: Option<u64>,
    /// What makes events of it, when it holds none itself.
    pub(crate) decoder: Option<Arc<dyn MakeEvents>>,
}

impl Input {
    fn file(path: &Path, mention: Mention) -> Self {
        let bytes = fs::metadata(path)
            .ok()
            .filter(fs::Metadata::is_file)
            .map(|data| data.len());
        Self {
            name: path.display().to_string(),
            origin: Origin::File(path.to_owned()),
            mention,
            bytes,
            decoder: None,
        }
    }

    /// Bytes that came with the program, under a name.
    pub(crate) fn bundled(name: &str, bytes: &'static [u8]) -> Self {
        Self {
            name: name.to_owned(),
            origin: Origin::Bundled(bytes),
            mention: Mention::Named,
            bytes: Some(bytes.len() as u64),
            decoder: None,
        }
    }
}

/// What the arguments came to.
#[derive(Debug, Default)]
pub(crate) struct Resolved {
    pub(crate) inputs: Vec<Input>,
    /// Folders and links met on the way that could not be followed.
    pub(crate) faults: Vec<(String, io::Error)>,
}

/// Finds the inputs that `arguments` name.
pub(crate) fn resolve(arguments: &[String]) -> Result<Resolved, ResolveError> {
    let mut resolved = Resolved::default();
    for argument in arguments {
        if argument == "-" {
            if resolved
                .inputs
                .iter()
                .any(|input| input.origin == Origin::Stdin)
            {
                return Err(ResolveError::StdinTwice);
            }
            resolved.inputs.push(Input {
                name: "<stdin>".to_owned(),
                origin: Origin::Stdin,
                mention: Mention::Named,
                bytes: None,
                decoder: None,
            });
            continue;
        }
        let path = Path::new(argument);
        if fs::symlink_metadata(path).is_ok() {
            named(path, &mut resolved)?;
        } else if argument.contains(['*', '?', '[']) {
            pattern(argument, &mut resolved)?;
        } else {
            return Err(ResolveError::NotFound(argument.clone()));
        }
    }
    Ok(resolved)
}

fn named(path: &Path, resolved: &mut Resolved) -> Result<(), ResolveError> {
    match fs::metadata(path) {
        Ok(data) if data.is_dir() => {
            let before = (resolved.inputs.len(), resolved.faults.len());
            let mut seen = BTreeSet::new();
            folder(path, &mut seen, resolved).map_err(|source| ResolveError::Unlistable {
                path: path.display().to_string(),
                source,
            })?;
            if before == (resolved.inputs.len(), resolved.faults.len()) {
                return Err(ResolveError::EmptyFolder(path.display().to_string()));
            }
        }
        Ok(_) => resolved.inputs.push(Input::file(path, Mention::Named)),
        Err(_) => return Err(ResolveError::NotFound(path.display().to_string())),
    }
    Ok(())
}

fn pattern(text: &str, resolved: &mut Resolved) -> Result<(), ResolveError> {
    let options = MatchOptions {
        require_literal_leading_dot: true,
        ..MatchOptions::new()
    };
    let paths = glob_with(text, options).map_err(|error| ResolveError::BadPattern {
        pattern: text.to_owned(),
        reason: error.msg.to_owned(),
    })?;
    let mut any = false;
    let first = resolved.inputs.len();
    for path in paths {
        match path {
            Ok(path) => {
                any = true;
                match named(&path, resolved) {
                    Ok(()) | Err(ResolveError::EmptyFolder(_)) => {}
                    Err(error) => return Err(error),
                }
            }
            Err(error) => {
                resolved
                    .faults
                    .push((error.path().display().to_string(), error.into()));
            }
        }
    }
    if !any {
        return Err(ResolveError::NoMatch(text.to_owned()));
    }
    // `**` finds a folder, which is gone through, and the files in it once more.
    let mut seen = BTreeSet::new();
    let found = resolved.inputs.split_off(first);
    resolved.inputs.extend(
        found
            .into_iter()
            .filter(|input| seen.insert(input.name.clone())),
    );
    Ok(())
}

/// Goes through a folder without recursion, so that no depth of folders can exhaust the stack.
fn folder(
    root: &Path,
    seen: &mut BTreeSet<PathBuf>,
    resolved: &mut Resolved,
) -> Result<(), io::Error> {
    let mut pending = vec![root.to_owned()];
    while let Some(path) = pending.pop() {
        let data = match fs::metadata(&path) {
            Ok(data) => data,
            Err(error) => {
                resolved.faults.push((path.display().to_string(), error));
                continue;
            }
        };
        if data.is_file() {
            resolved.inputs.push(Input::file(&path, Mention::Found));
        }
        if !data.is_dir() || !seen.insert(fs::canonicalize(&path)?) {
            continue;
        }
        match children(&path) {
            // Popped from the end: the first name must be the last of the list.
            Ok(names) => pending.extend(names.into_iter().rev()),
            Err(error) if path == root => return Err(error),
            Err(error) => resolved.faults.push((path.display().to_string(), error)),
        }
    }
    Ok(())
}

fn children(path: &Path) -> Result<Vec<PathBuf>, io::Error> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if !entry.file_name().as_encoded_bytes().starts_with(b".") {
            paths.push(entry.path());
        }
    }
    paths.sort();
    Ok(paths)
}
