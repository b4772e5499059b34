//! Compiled plugins, kept between starts.
//!
//! What is loaded from here runs as native code, so that only what this host wrote itself may be loaded. A file carries
//! a MAC under a key that lies in the same folder and that nobody else may read; it covers the digest of the component,
//! the engine's compatibility and the code. The MAC is verified over bytes in memory and those very bytes are loaded:
//! mapping the file after verifying it was rejected, since it could be changed in between, and since the MAC has read all
//! of it anyway. Whatever is wrong with a file, the component is compiled anew and the file replaced.

use crate::engine::hex;
use crate::limits::{ARTEFACT_BYTES_MAX, CACHE_BYTES_MAX};
use hmac::{Hmac, KeyInit, Mac};
use rustix::fs::OFlags;
use sha2::Sha256;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

const MAGIC: [u8; 8] = *b"TPCWASM1";
const MAC_BYTES: usize = 32;
/// A block of the hash: a longer key would be hashed first.
pub(crate) const KEY_BYTES: usize = 64;
pub(crate) const KEY_NAME: &str = "machine.key";
const SUFFIX: &str = "cwasm";

/// SHA-256 of a component.
pub type Digest = [u8; 32];

/// How often the cache helped, and how often something was wrong with it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheCounts {
    /// Loaded.
    pub hits: u64,
    /// Not there.
    pub misses: u64,
    /// There, but not what this host wrote: not loaded.
    pub refused: u64,
    /// Could not be written; costs the next start a compilation.
    pub unwritten: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) hits: AtomicU64,
    pub(crate) misses: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) unwritten: AtomicU64,
}

/// A folder of compiled plugins.
#[derive(Debug)]
pub(crate) struct Cache {
    folder: PathBuf,
    key: [u8; KEY_BYTES],
    compatibility: String,
    pub(crate) counters: Counters,
}

impl Cache {
    /// Opens the folder and its key.
    pub(crate) fn open(folder: &Path, compatibility: String) -> io::Result<Self> {
        Ok(Self {
            key: open_folder(folder)?,
            folder: folder.to_owned(),
            compatibility,
            counters: Counters::default(),
        })
    }

    fn path(&self, digest: &Digest) -> PathBuf {
        let name = format!("{}-{}.{SUFFIX}", hex(digest), self.compatibility);
        self.folder.join(name)
    }

    /// Code that this host compiled from the component, verified.
    pub(crate) fn get(&self, digest: &Digest) -> Option<Verified> {
        let read = read(&self.path(digest), self.mac(digest));
        let counter = match &read {
            Ok(_) => &self.counters.hits,
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => &self.counters.misses,
            Err(_) => &self.counters.refused,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        read.ok()
    }

    /// Keeps code. That it cannot be kept is counted, and costs no more than time.
    pub(crate) fn put(&self, digest: &Digest, code: &[u8]) {
        let mac = self.mac(digest).chain_update(code).finalize();
        let written = self.write(&self.path(digest), &mac.into_bytes(), code);
        if written.is_err() {
            self.counters.unwritten.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn counts(&self) -> CacheCounts {
        let counters = &self.counters;
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        CacheCounts {
            hits: load(&counters.hits),
            misses: load(&counters.misses),
            refused: load(&counters.refused),
            unwritten: load(&counters.unwritten),
        }
    }

    /// Covers what the file is for, so that a good file under another's name is no good.
    fn mac(&self, digest: &Digest) -> Hmac<Sha256> {
        let mac = Hmac::<Sha256>::new(&self.key.into());
        mac.chain_update(MAGIC)
            .chain_update(digest)
            .chain_update(self.compatibility.as_bytes())
    }

    fn write(&self, path: &Path, mac: &[u8], code: &[u8]) -> io::Result<()> {
        self.make_room(code.len() as u64)?;
        let mut chance = [0; 8];
        fill(&mut chance)?;
        let temporary = self.folder.join(format!(".{}.tmp", hex(&chance)));
        let mut file = create_new(&temporary)?;
        let written = file
            .write_all(&MAGIC)
            .and_then(|()| file.write_all(mac))
            .and_then(|()| file.write_all(code))
            .and_then(|()| fs::rename(&temporary, path));
        if written.is_err() {
            // What remains is taken away with the oldest files.
            let _ = fs::remove_file(&temporary);
        }
        written
    }

    /// Takes away the oldest files until the new one fits.
    fn make_room(&self, bytes: u64) -> io::Result<()> {
        let mut files: Vec<(SystemTime, u64, PathBuf)> = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            let found = entry.metadata()?;
            if found.is_file() && is_ours(&entry.file_name()) {
                files.push((found.modified()?, found.len(), entry.path()));
            }
        }
        files.sort();
        let mut used: u64 = files.iter().map(|(_, length, _)| length).sum();
        for (_, length, path) in files {
            if used.saturating_add(bytes) <= CACHE_BYTES_MAX {
                break;
            }
            fs::remove_file(path)?;
            used -= length;
        }
        Ok(())
    }
}

/// Whether a file has a name that only the cache gives: compiled code, or code on its way. Whatever else lies in the folder
/// is somebody's.
fn is_ours(name: &std::ffi::OsStr) -> bool {
    let Some(name) = name.to_str() else {
        return false;
    };
    let is_hex = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let temporary = name
        .strip_prefix('.')
        .and_then(|name| name.strip_suffix(".tmp"));
    let code = name
        .strip_suffix(".cwasm")
        .and_then(|name| name.split_once('-'));
    temporary.is_some_and(is_hex)
        || code.is_some_and(|(digest, _)| digest.len() == 64 && is_hex(digest))
}

/// Code whose MAC is right. There is no other way to make one but in this module.
pub(crate) struct Verified {
    bytes: Vec<u8>,
}

impl Verified {
    /// Code that was compiled for this host just now.
    pub(crate) fn compiled(code: Vec<u8>) -> Self {
        let mut bytes = Vec::with_capacity(MAGIC.len() + MAC_BYTES + code.len());
        bytes.extend([0; MAGIC.len() + MAC_BYTES]);
        bytes.extend(code);
        Self { bytes }
    }

    pub(crate) fn code(&self) -> &[u8] {
        &self.bytes[MAGIC.len() + MAC_BYTES..]
    }
}

fn read(path: &Path, mac: Hmac<Sha256>) -> io::Result<Verified> {
    let file = open_own(path)?;
    let most = (ARTEFACT_BYTES_MAX + MAGIC.len() + MAC_BYTES) as u64;
    let length = file.metadata()?.len();
    if length > most {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    let mut bytes = Vec::with_capacity(length as usize);
    file.take(most).read_to_end(&mut bytes)?;
    let Some((head, code)) = bytes.split_at_checked(MAGIC.len() + MAC_BYTES) else {
        return Err(io::ErrorKind::UnexpectedEof.into());
    };
    let (magic, claimed) = head.split_at(MAGIC.len());
    if magic != MAGIC {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let verified = mac.chain_update(code).verify_slice(claimed);
    match verified {
        Ok(()) => Ok(Verified { bytes }),
        Err(_) => Err(io::ErrorKind::InvalidData.into()),
    }
}

/// Opens the folder, which nobody but its owner may write to, and gives its key.
pub(crate) fn open_folder(folder: &Path) -> io::Result<[u8; KEY_BYTES]> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true).mode(0o700).create(folder)?;
    let found = fs::symlink_metadata(folder)?;
    if !found.is_dir() {
        return Err(io::Error::other("the cache folder is a link"));
    }
    if found.uid() != rustix::process::geteuid().as_raw() {
        return Err(io::Error::other(
            "the cache folder belongs to somebody else",
        ));
    }
    if found.mode() & 0o022 != 0 {
        return Err(io::Error::other("others may write to the cache folder"));
    }
    key(folder)
}

/// Opens a plain file of ours that nobody else may write; follows no link and waits for nobody.
pub(crate) fn open_own(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits() as i32)
        .open(path)?;
    let found = file.metadata()?;
    let is_ours = found.is_file()
        && found.uid() == rustix::process::geteuid().as_raw()
        && found.mode() & 0o077 == 0;
    match is_ours {
        true => Ok(file),
        false => Err(io::ErrorKind::PermissionDenied.into()),
    }
}

/// Bytes of chance from the system.
pub(crate) fn fill(bytes: &mut [u8]) -> io::Result<()> {
    getrandom::fill(bytes).map_err(|fault| io::Error::other(fault.to_string()))
}

pub(crate) fn create_new(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
}

/// The key of this folder; a new one where there is none, or where others may have read it.
fn key(folder: &Path) -> io::Result<[u8; KEY_BYTES]> {
    let path = folder.join(KEY_NAME);
    let mut key = [0; KEY_BYTES];
    let known = open_own(&path).and_then(|mut file| file.read_exact(&mut key));
    match known {
        Ok(()) => return Ok(key),
        Err(fault) if fault.kind() == io::ErrorKind::NotFound => {}
        // What was sealed with it is compiled anew.
        Err(_) => fs::remove_file(&path)?,
    }
    fill(&mut key)?;
    let mut chance = [0; 8];
    fill(&mut chance)?;
    let temporary = folder.join(format!(".{}.tmp", hex(&chance)));
    let mut file = create_new(&temporary)?;
    file.write_all(&key)?;
    file.sync_all()?;
    // A link, not a rename: of two hosts that start at once, the second takes the key of the first.
    let linked = fs::hard_link(&temporary, &path);
    fs::remove_file(&temporary)?;
    match linked {
        Ok(()) => Ok(key),
        Err(fault) if fault.kind() == io::ErrorKind::AlreadyExists => {
            open_own(&path)?.read_exact(&mut key)?;
            Ok(key)
        }
        Err(fault) => Err(fault),
    }
}
