//! The newest version of each plugin that ran, so that an older one does not take its place unnoticed.
//!
//! An old component with a hole is as soundly signed as the one that mended it; whoever can change files, but not sign,
//! would bring it back. So the folder of the cache keeps a file for each plugin that somebody trusted signed, under the
//! same key: a changed file is refused, and so is one under another plugin's name. Whoever can take files out of the folder
//! can make this forget; `version_min` of the operator's file is what holds then. One file for all plugins was rejected,
//! since two starts at once would undo what the other wrote.

use crate::cache::{KEY_BYTES, create_new, fill, open_folder, open_own};
use crate::engine::hex;
use crate::limits::VERSIONS_MAX;
use crate::manifest::{PluginName, Version};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest as _, Sha256};
use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use thiserror::Error;

/// Not that of compiled plugins, which are sealed with the same key.
const MAGIC: [u8; 8] = *b"TPVERSN1";
const MAC_BYTES: usize = 32;
const SUFFIX: &str = "version";
/// Longest record: a name, a space and three numbers.
const RECORD_BYTES_MAX: u64 = 1024;

/// Why it is not known which version ran.
#[derive(Debug, Error)]
#[allow(missing_docs)] // Each is its own sentence.
pub enum VersionsFault {
    #[error("{}: the version that ran before cannot be read", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error(
        "{}: what is written about the version that ran before is not this host's; if you know why, remove the file",
        .0.display()
    )]
    Broken(PathBuf),
    #[error("{}: the version cannot be remembered", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("{}: {VERSIONS_MAX} plugins are remembered, and no more", .0.display())]
    Full(PathBuf),
}

/// The versions that ran.
pub struct Versions {
    folder: PathBuf,
    key: [u8; KEY_BYTES],
}

impl Versions {
    /// In the folder of the cache, which is made where it is not there.
    pub fn open(folder: &Path) -> io::Result<Self> {
        Ok(Self {
            key: open_folder(folder)?,
            folder: folder.to_owned(),
        })
    }

    fn path(&self, name: &PluginName) -> PathBuf {
        let digest = Sha256::digest(name.as_str());
        self.folder.join(format!("{}.{SUFFIX}", hex(&digest)))
    }

    fn mac(&self, record: &[u8]) -> Hmac<Sha256> {
        let mac = Hmac::<Sha256>::new(&self.key.into());
        mac.chain_update(MAGIC).chain_update(record)
    }

    /// The newest version that ran; none when none did.
    pub fn known(&self, name: &PluginName) -> Result<Option<Version>, VersionsFault> {
        let path = self.path(name);
        let mut bytes = Vec::new();
        let read =
            open_own(&path).and_then(|file| file.take(RECORD_BYTES_MAX).read_to_end(&mut bytes));
        match read {
            Ok(_) => {}
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(VersionsFault::Read { path, source }),
        }
        match self.record(&bytes, name) {
            Some(version) => Ok(Some(version)),
            None => Err(VersionsFault::Broken(path)),
        }
    }

    fn record(&self, bytes: &[u8], name: &PluginName) -> Option<Version> {
        let (mac, record) = bytes.strip_prefix(&MAGIC)?.split_at_checked(MAC_BYTES)?;
        self.mac(record).verify_slice(mac).ok()?;
        let (about, version) = std::str::from_utf8(record).ok()?.split_once(' ')?;
        Version::new(version).filter(|_| about == name.as_str())
    }

    /// Remembers a version that ran, unless a newer one did.
    pub fn remember(&self, name: &PluginName, version: Version) -> Result<(), VersionsFault> {
        let path = self.path(name);
        let fault = |source| VersionsFault::Write {
            path: path.clone(),
            source,
        };
        // Of two starts at once the one with the older version must not write last.
        let lock = open_own(&self.folder.join(crate::cache::KEY_NAME)).map_err(fault)?;
        lock.lock().map_err(fault)?;
        match self.known(name)? {
            Some(known) if known >= version => return Ok(()),
            Some(_) => {}
            None if self.count().map_err(fault)? >= VERSIONS_MAX => {
                return Err(VersionsFault::Full(self.folder.clone()));
            }
            None => {}
        }
        self.write(&path, format!("{} {version}", name.as_str()).as_bytes())
            .map_err(fault)
    }

    fn count(&self) -> io::Result<usize> {
        let names = fs::read_dir(&self.folder)?.filter_map(|entry| Some(entry.ok()?.path()));
        Ok(names
            .filter(|path| path.extension().is_some_and(|kind| kind == SUFFIX))
            .count())
    }

    fn write(&self, path: &Path, record: &[u8]) -> io::Result<()> {
        let mut chance = [0; 8];
        fill(&mut chance)?;
        let temporary = self.folder.join(format!(".{}.tmp", hex(&chance)));
        let mut file = create_new(&temporary)?;
        let mac = self.mac(record).finalize().into_bytes();
        let written = file
            .write_all(&MAGIC)
            .and_then(|()| file.write_all(&mac))
            .and_then(|()| file.write_all(record))
            .and_then(|()| file.sync_all())
            .and_then(|()| fs::rename(&temporary, path));
        if written.is_err() {
            let _ = fs::remove_file(&temporary);
        }
        written
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Temporary(PathBuf);

    impl Drop for Temporary {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn folder(name: &str) -> Temporary {
        let name = format!("tripline-versions-{name}-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let _ = fs::remove_dir_all(&path);
        Temporary(path)
    }

    fn name(text: &str) -> PluginName {
        PluginName::new(text).expect("a name")
    }

    #[test]
    fn the_newest_version_is_remembered() {
        let folder = folder("newest");
        let geo = name("acme/geo");
        let open = || Versions::open(&folder.0).expect("it opens");
        let versions = open();
        assert_eq!(versions.known(&geo).ok(), Some(None));
        for (ran, newest) in [
            ([1, 2, 0], [1, 2, 0]),
            ([1, 10, 0], [1, 10, 0]),
            ([1, 9, 9], [1, 10, 0]),
        ] {
            versions
                .remember(&geo, Version(ran))
                .expect("it is written");
            assert_eq!(open().known(&geo).ok(), Some(Some(Version(newest))));
        }
        assert_eq!(versions.known(&name("acme/ge")).ok(), Some(None));
    }

    #[test]
    fn what_others_wrote_is_refused() {
        let folder = folder("refused");
        let (geo, other) = (name("acme/geo"), name("acme/other"));
        let versions = Versions::open(&folder.0).expect("it opens");
        versions
            .remember(&geo, Version([2, 0, 0]))
            .expect("written");
        versions
            .remember(&other, Version([1, 0, 0]))
            .expect("written");
        let path = versions.path(&geo);
        let good = fs::read(&path).expect("it is there");
        let check = |bytes: &[u8]| {
            fs::write(&path, bytes).expect("it is written");
            let found = versions.known(&geo);
            assert!(matches!(found, Err(VersionsFault::Broken(_))), "{found:?}");
            assert!(versions.remember(&geo, Version([3, 0, 0])).is_err());
        };
        for at in 0..good.len() {
            let mut bytes = good.clone();
            bytes[at] ^= 1;
            check(&bytes);
            check(&good[..at]);
        }
        check(&[0; 2000]);
        check(&fs::read(versions.path(&other)).expect("it is there"));
        fs::remove_file(&path).expect("it goes");
        assert_eq!(versions.known(&geo).ok(), Some(None));
    }

    #[test]
    fn no_more_plugins_are_remembered_than_there_may_be() {
        let folder = folder("full");
        let versions = Versions::open(&folder.0).expect("it opens");
        for at in 0..VERSIONS_MAX {
            fs::write(folder.0.join(format!("{at}.version")), "").expect("it is written");
        }
        let found = versions.remember(&name("acme/geo"), Version([1, 0, 0]));
        assert!(matches!(found, Err(VersionsFault::Full(_))), "{found:?}");
    }
}
