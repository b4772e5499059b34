//! Files of a commit, through the git binary.
//!
//! Reads objects only (`rev-parse`, `ls-tree`, `cat-file`): neither the work tree nor the index is looked at or
//! touched, no filter runs and nothing is fetched. Relies on git itself for everything about repositories; a library
//! was rejected, for it would be our largest dependency and know fewer repositories than git does.

use std::io::{self, Read, Write};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use thiserror::Error;

/// Longest file that is read.
const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Why a commit's files could not be read.
#[derive(Debug, Error)]
pub(crate) enum GitError {
    #[error("failed to run git, which reads the baseline")]
    Run(#[source] io::Error),
    #[error(
        "--baseline {reference}: no such file or folder, and no commit either, for {folder} lies in no git repository"
    )]
    NoRepository { folder: String, reference: String },
    #[error("--baseline {reference}: neither a path nor a commit of the repository of {folder}")]
    NoCommit { folder: String, reference: String },
    #[error(
        "--baseline {reference}: that commit has no {path}, which --rules names; name paths instead of a commit"
    )]
    NoPath { path: String, reference: String },
    #[error("failed to read {path} of {reference} from git: {reason}")]
    Object {
        path: String,
        reference: String,
        reason: String,
    },
}

/// A commit of the repository that a folder lies in.
pub(crate) struct Commit<'g> {
    folder: &'g Path,
    reference: &'g str,
    id: String,
    /// The folder's path in the repository, ending in a slash unless it is the top.
    prefix: String,
}

impl<'g> Commit<'g> {
    /// Finds the commit.
    pub(crate) fn find(folder: &'g Path, reference: &'g str) -> Result<Self, GitError> {
        let shown = || folder.display().to_string();
        let prefix = ask(folder, &["rev-parse", "--show-prefix"])?;
        if !prefix.status.success() {
            return Err(GitError::NoRepository {
                folder: shown(),
                reference: reference.to_owned(),
            });
        }
        let wanted = format!("{reference}^{{commit}}");
        let id = ask(
            folder,
            &[
                "rev-parse",
                "--verify",
                "--quiet",
                "--end-of-options",
                &wanted,
            ],
        )?;
        if !id.status.success() {
            return Err(GitError::NoCommit {
                folder: shown(),
                reference: reference.to_owned(),
            });
        }
        let line = |output: &Output| {
            let text = String::from_utf8_lossy(&output.stdout);
            text.trim_end_matches(['\n', '\r']).to_owned()
        };
        Ok(Self {
            folder,
            reference,
            id: line(&id),
            prefix: line(&prefix),
        })
    }

    /// The files under a path of the folder (all of it when empty), and of a rule what lies beside it: path in the
    /// repository, and bytes.
    pub(crate) fn files(&self, name: &str) -> Result<Vec<(String, Vec<u8>)>, GitError> {
        let path = format!("{}{name}", self.prefix);
        let mut found = self.list(&path)?;
        found.retain(|one| is_wanted(&one.path, &path));
        if found.is_empty() {
            return Err(GitError::NoPath {
                path,
                reference: self.reference.to_owned(),
            });
        }
        if name == "rule.toml" {
            let beside = self.list(&self.prefix)?.into_iter();
            found.extend(beside.filter(|one| is_companion(&one.path, &self.prefix)));
        }
        self.read(found)
    }

    fn list(&self, path: &str) -> Result<Vec<Entry>, GitError> {
        let path = path.trim_end_matches('/');
        let mut arguments = vec!["ls-tree", "-r", "-z", "-l", "--full-tree", &self.id];
        if !path.is_empty() {
            arguments.extend(["--", path]);
        }
        let output = self.told(path, ask(self.folder, &arguments)?)?;
        let text = String::from_utf8_lossy(&output);
        Ok(text.split('\0').filter_map(Entry::read).collect())
    }

    fn told(&self, path: &str, output: Output) -> Result<Vec<u8>, GitError> {
        if output.status.success() {
            return Ok(output.stdout);
        }
        let reason = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        Err(self.fault(path, reason))
    }

    fn fault(&self, path: &str, reason: String) -> GitError {
        GitError::Object {
            path: path.to_owned(),
            reference: self.reference.to_owned(),
            reason,
        }
    }

    fn read(&self, entries: Vec<Entry>) -> Result<Vec<(String, Vec<u8>)>, GitError> {
        for entry in &entries {
            if entry.bytes > FILE_BYTES_MAX {
                let reason = format!("longer than {FILE_BYTES_MAX} bytes");
                return Err(self.fault(&entry.path, reason));
            }
        }
        let mut child = git(self.folder)
            .args(["cat-file", "--batch"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(GitError::Run)?;
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        let (Some(mut stdin), Some(stdout)) = (stdin, stdout) else {
            return Err(self.fault("", "git has no streams".to_owned()));
        };
        let asked: String = entries.iter().map(|one| format!("{}\n", one.id)).collect();
        let writer = std::thread::spawn(move || stdin.write_all(asked.as_bytes()));
        let mut stdout = io::BufReader::new(stdout);
        let mut files = Vec::with_capacity(entries.len());
        for entry in entries {
            let bytes = object(&mut stdout, entry.bytes);
            let bytes = bytes.map_err(|error| self.fault(&entry.path, error.to_string()))?;
            files.push((entry.path, bytes));
        }
        // It has said all; how it ends changes nothing.
        let _ = writer.join();
        let _ = child.wait();
        Ok(files)
    }
}

/// A file of a tree.
struct Entry {
    id: String,
    bytes: u64,
    path: String,
}

impl Entry {
    /// `mode type id size<TAB>path`; links and submodules are no files.
    fn read(line: &str) -> Option<Self> {
        let (facts, path) = line.split_once('\t')?;
        let mut facts = facts.split_ascii_whitespace();
        let (mode, kind) = (facts.next()?, facts.next()?);
        if kind != "blob" || mode == "120000" {
            return None;
        }
        Some(Self {
            id: facts.next()?.to_owned(),
            bytes: facts.next()?.parse().ok()?,
            path: path.to_owned(),
        })
    }
}

/// What rules may stand in, hidden files left out below the path that was named.
fn is_wanted(path: &str, named: &str) -> bool {
    let below = path
        .strip_prefix(named.trim_end_matches('/'))
        .unwrap_or(path);
    let hidden = below.split('/').any(|part| part.starts_with('.'));
    let kind = Path::new(path).extension().and_then(|kind| kind.to_str());
    (below.is_empty() || !hidden) && matches!(kind, Some("toml" | "json" | "csv"))
}

fn is_companion(path: &str, folder: &str) -> bool {
    let name = path.strip_prefix(folder).unwrap_or(path);
    !name.contains('/') && (name == "tests.toml" || name.ends_with(".json"))
}

/// The next answer of `cat-file --batch`: `id type size`, then the bytes and a line end.
fn object(stdout: &mut impl Read, bytes: u64) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    let mut byte = [0];
    loop {
        stdout.read_exact(&mut byte)?;
        if byte[0] == b'\n' || head.len() > 200 {
            break;
        }
        head.push(byte[0]);
    }
    let wanted = format!(" blob {bytes}");
    if !head.ends_with(wanted.as_bytes()) {
        let words = String::from_utf8_lossy(&head).into_owned();
        return Err(io::Error::other(words));
    }
    let mut content = vec![0; bytes as usize];
    stdout.read_exact(&mut content)?;
    stdout.read_exact(&mut byte)?;
    Ok(content)
}

fn ask(folder: &Path, arguments: &[&str]) -> Result<Output, GitError> {
    git(folder).args(arguments).output().map_err(GitError::Run)
}

/// Git in a folder, whatever repository the environment speaks of, without locks, questions or fetching.
fn git(folder: &Path) -> Command {
    let mut command = Command::new("git");
    command
        .arg("-C")
        .arg(folder)
        .arg("--literal-pathspecs")
        .env_remove("GIT_DIR")
        .env_remove("GIT_WORK_TREE")
        .env_remove("GIT_INDEX_FILE")
        .env_remove("GIT_PREFIX")
        .env("GIT_OPTIONAL_LOCKS", "0")
        .env("GIT_NO_LAZY_FETCH", "1")
        .env("GIT_TERMINAL_PROMPT", "0")
        .stdin(Stdio::null());
    command
}

#[cfg(test)]
mod tests {
    use super::{is_companion, is_wanted};

    #[test]
    fn files_of_rules_are_wanted() {
        let check = |path: &str, named: &str, wanted: bool| {
            assert_eq!(is_wanted(path, named), wanted, "{path} {named}");
        };
        check("rules/a/rule.toml", "rules", true);
        check("rules/a/rule.toml", "rules/", true);
        check("rules/a/rule.toml", "rules/a/rule.toml", true);
        check("rules/a/README.md", "rules", false);
        check("rules/.a/rule.toml", "rules", false);
        check(".site/a/rule.toml", ".site", true);
        assert!(is_companion("rules/a/tests.toml", "rules/a/"));
        assert!(!is_companion("rules/a/b/tests.toml", "rules/a/"));
    }
}
