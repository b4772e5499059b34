//! Files in a folder of this machine and the folders in it.
//!
//! Links are not followed, as whoever writes there must not choose what else is read. A file is left alone until it was not changed
//! for a moment, and is not taken when it changes while it is read: it is found again.

use super::{Found, PullFault};
use std::fs::{File, Metadata, OpenOptions};
use std::io::Read;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// How long a file must be as it is.
const STILL_FOR: Duration = Duration::from_secs(2);

/// How deep folders are looked into, and how many files are looked at.
const DEPTH_MAX: usize = 16;
const FILES_MAX: usize = 1_000_000;

/// A folder.
pub(crate) struct Folder {
    path: PathBuf,
}

impl Folder {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path }
    }

    pub(super) fn list(&self, see: &mut dyn FnMut(Vec<Found>) -> bool) -> Result<bool, PullFault> {
        let mut found = Vec::new();
        self.walk(&self.path, "", 0, &mut found)?;
        found.sort_by(|one: &Found, other| one.name.cmp(&other.name));
        let is_all = found.len() < FILES_MAX;
        Ok(see(found) && is_all)
    }

    fn walk(
        &self,
        folder: &Path,
        within: &str,
        depth: usize,
        found: &mut Vec<Found>,
    ) -> Result<(), PullFault> {
        let fault =
            |fault: std::io::Error| PullFault::Later(format!("{}: {fault}", folder.display()));
        for entry in std::fs::read_dir(folder).map_err(fault)? {
            let entry = entry.map_err(fault)?;
            let name = entry.file_name();
            // What is not text has no name that could be told.
            let Some(name) = name.to_str() else { continue };
            let name = format!("{within}{name}");
            // One that is gone by now is not there; a link is what it is, not what it leads to.
            let Ok(about) = std::fs::symlink_metadata(entry.path()) else {
                continue;
            };
            if about.is_dir() && depth < DEPTH_MAX {
                self.walk(&entry.path(), &format!("{name}/"), depth + 1, found)?;
            } else if about.is_file() && is_still(&about) && found.len() < FILES_MAX {
                found.push(Found {
                    name,
                    size: about.len(),
                    state: state(&about),
                });
            }
        }
        Ok(())
    }

    pub(super) fn read(&self, found: &Found) -> Result<Vec<u8>, PullFault> {
        let path = self.path.join(&found.name);
        let fault = |fault: std::io::Error| PullFault::Later(format!("{}: {fault}", found.name));
        let mut file = OpenOptions::new()
            .read(true)
            .custom_flags(rustix::fs::OFlags::NOFOLLOW.bits() as i32)
            .open(path)
            .map_err(fault)?;
        let is_same = |file: &File| {
            let about = file.metadata();
            about.map(|about| about.len() == found.size && state(&about) == found.state)
        };
        if !is_same(&file).map_err(fault)? {
            return Err(PullFault::Changed);
        }
        let mut bytes = Vec::new();
        let taken = file.by_ref().take(found.size).read_to_end(&mut bytes);
        taken.map_err(fault)?;
        match is_same(&file).map_err(fault)? && bytes.len() as u64 == found.size {
            true => Ok(bytes),
            false => Err(PullFault::Changed),
        }
    }
}

fn is_still(about: &Metadata) -> bool {
    let changed = about.modified().ok();
    let age = changed.and_then(|at| SystemTime::now().duration_since(at).ok());
    // A time in the future says nothing.
    age.is_none_or(|age| age >= STILL_FOR)
}

fn state(about: &Metadata) -> String {
    format!("{}.{:09}", about.mtime(), about.mtime_nsec())
}
