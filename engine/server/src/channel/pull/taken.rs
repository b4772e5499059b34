//! Which files were taken: remembered for as long as they are there, and on the disk before it counts.
//!
//! ```text
//! ID.taken   "tlfile01" | entries        entry  u128 of name, size and state | u32 check
//! ```
//!
//! An entry that is torn is the last one, and its file is taken again. It must never say that a file was taken before its events are
//! durable.

use super::Found;
use sha2::{Digest, Sha256};
use std::collections::HashSet;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use xxhash_rust::xxh3::xxh3_64;

const MAGIC: &[u8; 8] = b"tlfile01";
const ENTRY_BYTES: usize = 20;

/// The file is written anew when so many more entries are in it than files are there.
const GONE_MAX: usize = 10_000;

/// The files of a channel that were taken.
pub(crate) struct Taken {
    path: PathBuf,
    file: File,
    keys: HashSet<u128>,
}

/// What tells a file, as it is now, from others.
pub(crate) fn key(found: &Found) -> u128 {
    let mut digest = Sha256::new();
    digest.update(found.name.as_bytes());
    // In no name.
    digest.update([0]);
    digest.update(found.size.to_le_bytes());
    digest.update(found.state.as_bytes());
    let digest = digest.finalize();
    let (half, _) = digest.split_at(16);
    half.iter()
        .fold(0, |value, byte| (value << 8) | u128::from(*byte))
}

impl Taken {
    /// Those of a file, which may not be there yet.
    pub(crate) fn open(path: PathBuf) -> io::Result<Self> {
        let mut bytes = Vec::new();
        match File::open(&path) {
            Ok(mut file) => {
                file.read_to_end(&mut bytes)?;
            }
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => {}
            Err(fault) => return Err(fault),
        }
        let keys = parse(&bytes);
        let file = write(&path, &keys)?;
        Ok(Self { path, file, keys })
    }

    pub(crate) fn has(&self, key: u128) -> bool {
        self.keys.contains(&key)
    }

    pub(crate) fn count(&self) -> usize {
        self.keys.len()
    }

    /// A file was taken, and its events are durable.
    pub(crate) fn add(&mut self, key: u128) -> io::Result<()> {
        self.extend([key])
    }

    /// Files that others took.
    pub(crate) fn extend(&mut self, keys: impl IntoIterator<Item = u128>) -> io::Result<()> {
        let mut bytes = Vec::new();
        for key in keys {
            if self.keys.insert(key) {
                bytes.extend_from_slice(&entry(key));
            }
        }
        match bytes.is_empty() {
            true => Ok(()),
            false => {
                self.file.write_all(&bytes)?;
                self.file.sync_data()
            }
        }
    }

    /// Forgets those that are not there any more, when they are many.
    pub(crate) fn keep(&mut self, there: &HashSet<u128>) -> io::Result<()> {
        let gone = self.keys.difference(there).count();
        if gone < GONE_MAX {
            return Ok(());
        }
        self.keys.retain(|key| there.contains(key));
        self.file = write(&self.path, &self.keys)?;
        Ok(())
    }
}

fn entry(key: u128) -> [u8; ENTRY_BYTES] {
    let mut bytes = [0; ENTRY_BYTES];
    bytes[..16].copy_from_slice(&key.to_le_bytes());
    let check = xxh3_64(&bytes[..16]) as u32;
    bytes[16..].copy_from_slice(&check.to_le_bytes());
    bytes
}

fn parse(bytes: &[u8]) -> HashSet<u128> {
    let Some(entries) = bytes.strip_prefix(MAGIC) else {
        return HashSet::new();
    };
    let mut keys = HashSet::new();
    for one in entries.chunks(ENTRY_BYTES) {
        let key = one
            .iter()
            .take(16)
            .rev()
            .fold(0, |value: u128, byte| (value << 8) | u128::from(*byte));
        if one != entry(key) {
            break;
        }
        keys.insert(key);
    }
    keys
}

/// A file of these, whole on the disk under its name, to be written on.
fn write(path: &Path, keys: &HashSet<u128>) -> io::Result<File> {
    let mut bytes = MAGIC.to_vec();
    for key in keys {
        bytes.extend_from_slice(&entry(*key));
    }
    let draft = path.with_extension("new");
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    let mut file = OpenOptions::new()
        .create(true)
        .write(true)
        .truncate(true)
        .open(&draft)?;
    file.write_all(&bytes)?;
    file.sync_data()?;
    std::fs::rename(&draft, path)?;
    File::open(folder)?.sync_all()?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::super::Found;
    use super::{GONE_MAX, Taken, key};
    use std::collections::HashSet;

    fn found(name: &str, state: &str) -> Found {
        Found {
            name: name.to_owned(),
            size: 1,
            state: state.to_owned(),
        }
    }

    #[test]
    fn what_was_taken_outlives_the_process_and_a_torn_entry() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("files/a.taken");
        let keys = ["1", "2", "3"].map(|state| key(&found("a", state)));
        let mut taken = Taken::open(path.clone()).expect("opens");
        for key in keys {
            assert!(!taken.has(key));
            taken.add(key).expect("written");
        }
        let bytes = std::fs::read(&path).expect("read");
        std::fs::write(&path, &bytes[..bytes.len() - 3]).expect("torn");
        let mut taken = Taken::open(path.clone()).expect("opens");
        assert_eq!(keys.map(|key| taken.has(key)), [true, true, false]);
        taken.add(keys[2]).expect("written");
        assert_eq!(Taken::open(path).expect("opens").count(), 3);
    }

    #[test]
    fn what_is_gone_is_forgotten() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.taken");
        let mut taken = Taken::open(path.clone()).expect("opens");
        taken.keys.extend(0..GONE_MAX as u128);
        taken.add(u128::MAX).expect("written");
        taken.keep(&HashSet::from([u128::MAX])).expect("written");
        assert_eq!(taken.count(), 1);
        taken.add(7).expect("written");
        assert_eq!(Taken::open(path).expect("opens").count(), 2);
    }
}
