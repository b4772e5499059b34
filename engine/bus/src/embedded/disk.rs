//! What the log asks of a file system, and the real one.
//!
//! It is a trait so that tests can put a disk below that forgets, tears and fails. It relies on what POSIX promises:
//! what was synchronised stays; a name stays once its folder was synchronised. It must never retry, and knows nothing
//! of what is in the files. Rejected: a simulated file system beneath the standard library, which would need all of
//! the log to be async or the tests to have a process of their own.

use std::any::Any;
use std::fmt::Debug;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

/// The file that is locked; the process that holds it has written its id there.
const LOCK: &str = "lock";

/// A folder that is a log's own.
pub(super) trait Folder: Debug + Send + Sync {
    /// What it is called in messages.
    fn path(&self, name: &str) -> PathBuf;
    /// Keeps others out for as long as what is returned lives.
    fn lock(&self) -> io::Result<Result<Box<dyn Any + Send + Sync>, String>>;
    fn list(&self) -> io::Result<Vec<String>>;
    fn open(&self, name: &str) -> io::Result<Arc<dyn Bytes>>;
    /// Makes an empty file, in the place of one that has the name.
    fn create(&self, name: &str) -> io::Result<Arc<dyn Bytes>>;
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    fn remove(&self, name: &str) -> io::Result<()>;
    /// Makes durable which names there are.
    fn sync(&self) -> io::Result<()>;
    /// A number that nobody can guess who only sends events.
    fn chance(&self) -> u64;
}

/// An open file.
pub(super) trait Bytes: Debug + Send + Sync {
    fn len(&self) -> io::Result<u64>;
    /// Fewer bytes than asked for only at the end of the file.
    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<usize>;
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;
    fn truncate(&self, len: u64) -> io::Result<()>;
    /// Makes durable what was written, and its length.
    fn sync(&self) -> io::Result<()>;
    /// Whether it still has a name: what is in a file without one is gone with the process.
    fn is_named(&self) -> io::Result<bool> {
        Ok(true)
    }
}

/// A folder of the real file system.
#[derive(Debug)]
pub(super) struct RealFolder(PathBuf);

impl RealFolder {
    /// Makes it, and its parents, when they are not there.
    pub(super) fn new(path: &Path) -> io::Result<Self> {
        make_folder(path)?;
        Ok(Self(path.to_owned()))
    }
}

/// Makes a folder, and its parents, when they are not there, and returns when all of their names are durable: what is flushed into a
/// folder that a loss of power takes away is gone too.
pub fn make_folder(path: &Path) -> io::Result<()> {
    let ancestors = path.ancestors();
    let missing = ancestors.take_while(|one| !one.as_os_str().is_empty() && !one.is_dir());
    let missing: Vec<&Path> = missing.collect();
    fs::create_dir_all(path)?;
    for made in missing {
        let within = made.parent().filter(|one| !one.as_os_str().is_empty());
        File::open(within.unwrap_or(Path::new(".")))?.sync_all()?;
    }
    Ok(())
}

/// How long a lock is waited for: whoever had it may just be ending, or have started a program that lets go of it at once.
const LOCK_PATIENCE: Duration = Duration::from_millis(500);

impl Folder for RealFolder {
    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn lock(&self) -> io::Result<Result<Box<dyn Any + Send + Sync>, String>> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let file = options.open(self.path(LOCK))?;
        let begun = Instant::now();
        let mut locked = file.try_lock();
        while matches!(locked, Err(TryLockError::WouldBlock)) && begun.elapsed() < LOCK_PATIENCE {
            thread::sleep(LOCK_PATIENCE / 50);
            locked = file.try_lock();
        }
        match locked {
            Ok(()) => {
                // Only for the message that another process shows; the lock is what keeps it out.
                file.set_len(0)?;
                file.write_all_at(std::process::id().to_string().as_bytes(), 0)?;
                Ok(Ok(Box::new(file)))
            }
            Err(TryLockError::WouldBlock) => {
                let holder = fs::read_to_string(self.path(LOCK)).unwrap_or_default();
                Ok(Err(holder))
            }
            Err(TryLockError::Error(fault)) => Err(fault),
        }
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.0)? {
            if let Ok(name) = entry?.file_name().into_string() {
                names.push(name);
            }
        }
        names.sort();
        Ok(names)
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn Bytes>> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .open(self.path(name))?;
        Ok(Arc::new(RealBytes(file)))
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn Bytes>> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(true);
        Ok(Arc::new(RealBytes(options.open(self.path(name))?)))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path(from), self.path(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.path(name))
    }

    fn sync(&self) -> io::Result<()> {
        File::open(&self.0)?.sync_all()
    }

    fn chance(&self) -> u64 {
        // The standard library seeds its hashes from the system's own source of chance.
        RandomState::new().hash_one(std::process::id())
    }
}

#[derive(Debug)]
struct RealBytes(File);

impl Bytes for RealBytes {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        let mut done = 0;
        while done < into.len() {
            match self.0.read_at(&mut into[done..], offset + done as u64) {
                Ok(0) => break,
                Ok(read) => done += read,
                Err(fault) if fault.kind() == io::ErrorKind::Interrupted => {}
                Err(fault) => return Err(fault),
            }
        }
        Ok(done)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn is_named(&self) -> io::Result<bool> {
        Ok(self.0.metadata()?.nlink() > 0)
    }
}
