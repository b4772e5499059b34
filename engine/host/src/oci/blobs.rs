//! What was pulled, kept by its digest.
//!
//! A blob is held against its name whenever it is read, so that nothing has to be believed of the folder. Without a folder
//! nothing is kept.

use crate::cache::{create_new, fill, open_folder, open_own};
use crate::engine::hex;
use crate::limits::OCI_KEPT_BYTES_MAX;
use crate::sign::Digest;
use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

const SUFFIX: &str = "blob";

/// A folder of blobs, or none.
#[derive(Debug, Default)]
pub struct Blobs(Option<PathBuf>);

impl Blobs {
    /// In the folder of the cache, which is made where it is not there.
    pub fn open(folder: &Path) -> io::Result<Self> {
        open_folder(folder)?;
        Ok(Self(Some(folder.to_owned())))
    }

    /// The blob, if it is kept and is what it should be.
    pub(super) fn get(&self, digest: Digest, most: usize) -> Option<Vec<u8>> {
        let path = self.0.as_ref()?.join(name(digest));
        let mut bytes = Vec::new();
        let file = open_own(&path).ok()?;
        file.take(most as u64).read_to_end(&mut bytes).ok()?;
        (Digest::of(&bytes) == digest).then_some(bytes)
    }

    /// Keeps a blob; the oldest go when there are too many.
    pub(super) fn put(&self, digest: Digest, bytes: &[u8]) -> io::Result<()> {
        let Some(folder) = &self.0 else {
            return Ok(());
        };
        make_room(folder, bytes.len() as u64)?;
        let mut chance = [0; 8];
        fill(&mut chance)?;
        let temporary = folder.join(format!(".{}.tmp", hex(&chance)));
        let mut file = create_new(&temporary)?;
        let written = file
            .write_all(bytes)
            .and_then(|()| fs::rename(&temporary, folder.join(name(digest))));
        if written.is_err() {
            let _ = fs::remove_file(&temporary);
        }
        written
    }
}

fn name(digest: Digest) -> String {
    format!("{}.{SUFFIX}", hex(&digest.0))
}

fn make_room(folder: &Path, bytes: u64) -> io::Result<()> {
    let mut files: Vec<(SystemTime, u64, PathBuf)> = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let stem = path.file_stem().and_then(|stem| stem.to_str());
        let is_ours = path.extension().is_some_and(|kind| kind == SUFFIX)
            && stem.is_some_and(|stem| Digest::new(&format!("sha256:{stem}")).is_some());
        if is_ours {
            let found = fs::symlink_metadata(&path)?;
            files.push((found.modified()?, found.len(), path));
        }
    }
    files.sort();
    let mut used: u64 = files.iter().map(|(_, length, _)| length).sum();
    for (_, length, path) in files {
        if used.saturating_add(bytes) <= OCI_KEPT_BYTES_MAX {
            break;
        }
        fs::remove_file(path)?;
        used -= length;
    }
    Ok(())
}
