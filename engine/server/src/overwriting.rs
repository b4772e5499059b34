//! No command writes over what it reads.
//!
//! Opening a file for writing empties it, so `scan -o` on one of its own inputs would lose the input before it is read.
//! Files are told apart by what they are and not by what they are called: links and `./` do not hide that two names
//! are one file. Everything is looked at before anything is opened. Devices and pipes lose nothing by being opened; a
//! pipe that is read by the same run would only wait for itself. `/dev/stdout` is standard output and no other file.

use crate::input::resolve::{Input, Origin};
use crate::writing::{Stream, stream};
use std::fs::{self, File, Metadata};
use std::path::{Path, PathBuf};
use thiserror::Error;

/// Links that are followed one after the other; operating systems follow as many.
const LINKS_FOLLOWED_MAX: usize = 40;

/// Why a file is not written.
#[derive(Debug, Error)]
pub(crate) enum OverwriteError {
    #[error("{option} {path}: the same run reads this file, as {read}; name another")]
    Read {
        option: &'static str,
        path: String,
        read: String,
    },
    #[error("{option} {path}: {other} goes to the same file; name another")]
    Written {
        option: &'static str,
        path: String,
        other: &'static str,
    },
    #[error("{option} {path}: what rules remember is kept in {folder}; name a file elsewhere")]
    State {
        option: &'static str,
        path: String,
        folder: String,
    },
    #[error("standard output goes to {read}, which the same run reads; send it elsewhere")]
    Stdout { read: String },
}

/// What makes a file the same as another.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Identity {
    /// Device and number on it.
    #[cfg(unix)]
    Node(u64, u64),
    /// Of a file that is not there yet, or where files have no numbers.
    Path(PathBuf),
}

impl Identity {
    /// Of the file at this path; nothing for what is no file, such as `/dev/null`.
    fn at(path: &Path) -> Option<Self> {
        match fs::metadata(path) {
            Ok(data) if !data.is_file() => None,
            Ok(data) => Some(Self::of(&data, path)),
            Err(_) => Some(Self::Path(whole(path))),
        }
    }

    /// Of the pipe at this path.
    #[cfg(unix)]
    fn of_pipe(path: &Path) -> Option<Self> {
        use std::os::unix::fs::FileTypeExt;
        let data = fs::metadata(path).ok()?;
        let is_pipe = data.file_type().is_fifo();
        is_pipe.then(|| Self::of(&data, path))
    }

    #[cfg(not(unix))]
    fn of_pipe(_: &Path) -> Option<Self> {
        None
    }

    #[cfg(unix)]
    fn of(data: &Metadata, _: &Path) -> Self {
        use std::os::unix::fs::MetadataExt;
        Self::Node(data.dev(), data.ino())
    }

    #[cfg(not(unix))]
    fn of(_: &Metadata, path: &Path) -> Self {
        Self::Path(whole(path))
    }

    /// Of the file that a stream of this process goes to or comes from.
    #[cfg(unix)]
    fn of_stream(stream: impl std::os::fd::AsFd) -> Option<Self> {
        let file = File::from(stream.as_fd().try_clone_to_owned().ok()?);
        let data = file.metadata().ok().filter(Metadata::is_file)?;
        Some(Self::of(&data, Path::new("")))
    }

    #[cfg(not(unix))]
    fn of_stream<S>(_: S) -> Option<Self> {
        None
    }
}

/// The whole path of a file or folder that may not be there yet, with all links on the way followed, also those to what
/// is not there.
pub(crate) fn whole(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let parts = |path: &Path| -> Vec<PathBuf> {
        let parts = path.components().rev();
        parts.map(|part| PathBuf::from(part.as_os_str())).collect()
    };
    let (mut found, mut ahead, mut followed) = (PathBuf::new(), parts(&absolute), 0);
    while let Some(part) = ahead.pop() {
        if part == Path::new("..") {
            found.pop();
            continue;
        }
        let next = found.join(&part);
        match fs::read_link(&next) {
            Ok(target) if followed < LINKS_FOLLOWED_MAX => {
                followed += 1;
                ahead.extend(parts(&target));
            }
            _ => found = next,
        }
    }
    found
}

fn is_in(path: &Path, folder: &Path) -> bool {
    whole(path).parent() == Some(&whole(folder))
}

/// The files that a run reads, each with what it is called.
#[derive(Debug, Default)]
pub(crate) struct FilesRead {
    files: Vec<(Identity, String)>,
    /// Where state is kept; what lies in it is replaced as a whole, so that names count and not files.
    state: Option<PathBuf>,
}

impl FilesRead {
    /// Adds inputs; standard input may be a file too.
    pub(crate) fn inputs(&mut self, inputs: &[Input]) {
        for input in inputs {
            let identity = match &input.origin {
                Origin::File(path) => Identity::at(path).or_else(|| Identity::of_pipe(path)),
                Origin::Stdin => Identity::of_stream(std::io::stdin()),
                Origin::Bundled(_) => None,
            };
            self.files
                .extend(identity.map(|one| (one, input.name.clone())));
        }
    }

    /// Adds files by their paths.
    pub(crate) fn paths<P: AsRef<Path>>(&mut self, paths: impl IntoIterator<Item = P>) {
        for path in paths {
            let path = path.as_ref();
            let identity = Identity::at(path);
            self.files
                .extend(identity.map(|one| (one, path.display().to_string())));
        }
    }

    /// Adds the folder of the state.
    pub(crate) fn state(&mut self, folder: &Path) {
        self.state = Some(folder.to_owned());
    }

    /// Refuses to write to what is read, and to one file twice. `written` are options with the file each names, if it
    /// does; what none of them takes goes to standard output.
    pub(crate) fn keep_from(
        &self,
        written: &[(&'static str, Option<&str>)],
    ) -> Result<(), OverwriteError> {
        let name_of = |identity: &Identity| {
            let found = self.files.iter().find(|(one, _)| one == identity);
            found.map(|(_, name)| name.clone())
        };
        let stdout = Identity::of_stream(std::io::stdout());
        if let Some(read) = stdout.as_ref().and_then(name_of) {
            return Err(OverwriteError::Stdout { read });
        }
        let mut seen: Vec<(Identity, &'static str)> = Vec::new();
        seen.extend(stdout.map(|one| (one, "standard output")));
        for (option, path) in written {
            let Some(path) = path else { continue };
            // Standard output was looked at, and is opened already.
            if stream(path) == Some(Stream::Out) {
                continue;
            }
            let (option, path) = (*option, (*path).to_owned());
            let pipe = Identity::of_pipe(Path::new(&path));
            if let Some(read) = pipe.as_ref().and_then(name_of) {
                return Err(OverwriteError::Read { option, path, read });
            }
            let Some(identity) = Identity::at(Path::new(&path)) else {
                continue;
            };
            if let Some(folder) = self.state.as_deref()
                && is_in(Path::new(&path), folder)
            {
                let folder = folder.display().to_string();
                return Err(OverwriteError::State {
                    option,
                    path,
                    folder,
                });
            }
            if let Some(read) = name_of(&identity) {
                return Err(OverwriteError::Read { option, path, read });
            }
            if let Some((_, other)) = seen.iter().find(|(one, _)| *one == identity) {
                return Err(OverwriteError::Written {
                    option,
                    path,
                    other,
                });
            }
            seen.push((identity, option));
        }
        Ok(())
    }
}
