//! The store on disk: an embedded database, snapshots in files beside it, and a witness.
//!
//! ```text
//! <folder>/lock               held while the store is open
//! <folder>/witness            how many writes were acknowledged (`witness.rs`)
//! <folder>/database/          fjall: journals and tables; what is in it is in `layout.rs`
//! <folder>/image.*/           another store that is to take the place of this one (`image.rs`)
//! <folder>/snapshots/         what partitions remember, one file each (`snapshot.rs`); empty where a ledger keeps it
//! ```
//!
//! Every change is one batch across the parts of the database, so it is there whole or not at all, and is synced
//! before the call returns; how far a sink has come is synced with the next. Threads that commit at the same time share a
//! sync (`write.rs`). It relies on `fdatasync` doing what it says. It must never acknowledge before the sync, never write again after a sync that failed, and
//! never answer from what it knows to be damaged.
//! Rejected: redb and SQLite (`engine/decisions/fjall-for-findings.md`).

mod fault;
mod follow;
mod forget;
mod image;
mod journal;
mod layout;
mod read;
mod snapshot;
mod versions;
mod witness;
mod write;

pub(crate) use follow::{Kept, Taken};
pub(crate) use image::{Contents, Loaded};
pub(crate) use layout::VersionKept;
pub(crate) use versions::Unused;

use crate::admit;
use crate::limits::{
    CACHE_BYTES, DEAD_LETTERS_MAX, FREE_BYTES_MIN, JOURNAL_BYTES, MEMTABLE_BYTES,
    SMALL_MEMTABLE_BYTES,
};
use fault::{of_database, of_file, of_opening, of_panic};
use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};
use layout::{COUNTERS_KEY, Counters, FORMAT, FORMAT_KEY, PartitionKept, VersionKey};
use std::collections::BTreeMap;
use std::fs::{File, TryLockError};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};
use tripline_core::port::{
    Checkpoint, Commit, Committed, DeadFilter, DeadLetter, DeadNumber, Epoch, FaultClass,
    FindingFilter, FindingPage, Outgoing, Partition, PortFault, Sequence, SnapshotKept, Store,
    StoredFinding,
};
use tripline_core::rule::kind::EventTime;
use versions::Versions;
use witness::Witness;
use write::State;

/// What may be told of a store when it is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Most dead letters; the oldest give way.
    pub dead_letters_max: usize,
    /// What stays free on the disk.
    pub free_bytes_min: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            dead_letters_max: DEAD_LETTERS_MAX,
            free_bytes_min: FREE_BYTES_MIN,
        }
    }
}

/// The store on disk.
pub struct EmbeddedStore {
    options: Options,
    folder: PathBuf,
    snapshots: PathBuf,
    /// What changes are made from; held while one is written, not while it is synced.
    state: Mutex<State>,
    /// Threads that have, or wait for, the state to write.
    writing: AtomicUsize,
    wrote: Condvar,
    /// Writes that are durable; held while one thread syncs for all.
    synced: Mutex<u64>,
    syncs: AtomicU64,
    /// The newest number that is durable.
    newest: AtomicU64,
    /// A write or a sync failed: nothing is trusted any more.
    stopped: AtomicBool,
    next_file: AtomicU64,
    /// The entry of a ledger that changes belong to.
    entry: AtomicU64,
    witness: Witness,
    parts: Parts,
    database: Database,
    /// Last, so that it is given back when everything else is closed.
    _lock: File,
}

/// The parts of the database, as `layout.rs` has them.
struct Parts {
    meta: Keyspace,
    partitions: Keyspace,
    findings: Keyspace,
    outgoing: Keyspace,
    events: Keyspace,
    event_hours: Keyspace,
    dead: Keyspace,
    sinks: Keyspace,
    versions: Keyspace,
}

impl EmbeddedStore {
    /// Opens the store in a folder, or makes one there. Afterwards every file that nothing refers to is gone.
    pub fn open(folder: &Path, options: Options) -> Result<Self, PortFault> {
        let folder = std::path::absolute(folder)
            .map_err(|fault| of_file("open the store in", folder, fault))?;
        let snapshots = folder.join("snapshots");
        witness::make_folder(&snapshots)?;
        let lock = lock(&folder)?;
        image::adopt(&folder)?;
        let witness = Witness::open(&folder)?;
        witness::sync_folder(&folder)?;
        let path = folder.join("database");
        journal::look(&path, witness.writes)?;
        let database = open_database(&path)?;
        let parts = Parts::open(&database).map_err(|fault| of_opening(&path, fault))?;
        let fresh = check_format(&folder, &parts)?;
        let state = State::read(&parts)?;
        witness.check(state.counters.writes)?;
        let pointed_to = || {
            let snapshots = state.partitions.iter();
            snapshots.filter_map(|(partition, kept)| Some((*partition, kept.snapshot?.file)))
        };
        let next_file = pointed_to().map(|(_, file)| file + 1).max().unwrap_or(1);
        snapshot::tidy(&snapshots, pointed_to())?;
        let store = Self {
            options,
            snapshots,
            synced: Mutex::new(state.counters.writes),
            syncs: AtomicU64::new(0),
            newest: AtomicU64::new(state.counters.newest),
            state: Mutex::new(state),
            writing: AtomicUsize::new(0),
            wrote: Condvar::new(),
            stopped: AtomicBool::new(false),
            next_file: AtomicU64::new(next_file),
            entry: AtomicU64::new(0),
            witness,
            parts,
            database,
            folder,
            _lock: lock,
        };
        if fresh {
            store.change(|_, batch, _| {
                batch.insert(&store.parts.meta, FORMAT_KEY, layout::write_format());
                Ok(())
            })?;
        } else {
            // What was found may have been written, but never synced, by a process that was killed.
            let fault = |fault| of_database("sync the store", fault);
            store
                .database
                .persist(PersistMode::SyncAll)
                .map_err(fault)?;
        }
        Ok(store)
    }
}

/// How long a lock is waited for: whoever had it may just be ending, or have started a program that lets go of it at once.
const LOCK_PATIENCE: Duration = Duration::from_millis(500);

/// Takes the folder for this process alone.
fn lock(folder: &Path) -> Result<File, PortFault> {
    let path = folder.join("lock");
    let mut options = File::options();
    let options = options.write(true).create(true).truncate(false);
    let file = options
        .open(&path)
        .map_err(|fault| of_file("open", &path, fault))?;
    let begun = Instant::now();
    let mut locked = file.try_lock();
    while matches!(locked, Err(TryLockError::WouldBlock)) && begun.elapsed() < LOCK_PATIENCE {
        thread::sleep(LOCK_PATIENCE / 50);
        locked = file.try_lock();
    }
    match locked {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(of_opening(folder, fjall::Error::Locked)),
        Err(TryLockError::Error(fault)) => Err(of_file("lock", &path, fault)),
    }
}

/// The database does not panic on what `journal.rs` let through, as far as is known; should it, opening fails.
fn open_database(path: &Path) -> Result<Database, PortFault> {
    let open = || {
        Database::builder(path)
            .cache_size(CACHE_BYTES)
            .worker_threads(1)
            .max_journaling_size(JOURNAL_BYTES)
            .open()
    };
    match catch_unwind(AssertUnwindSafe(open)) {
        Ok(opened) => opened.map_err(|fault| of_opening(path, fault)),
        Err(panic) => Err(of_panic(path, &*panic)),
    }
}

/// Refuses a layout that is not known. Whether there is none yet.
fn check_format(folder: &Path, parts: &Parts) -> Result<bool, PortFault> {
    let read = |key| {
        let value = parts.meta.get(key);
        value.map_err(|fault| of_database("read the format of the store", fault))
    };
    let Some(format) = read(FORMAT_KEY)? else {
        return match read(COUNTERS_KEY)? {
            None => Ok(true),
            Some(_) => Err(layout::damaged("the format")),
        };
    };
    let format = layout::read_format(&format)?;
    if format == FORMAT {
        return Ok(false);
    }
    Err(PortFault::new(
        FaultClass::Stop,
        format!(
            "open the store in {}: its format is {format}, this program knows {FORMAT}; use the program that wrote it",
            folder.display()
        ),
    ))
}

impl Parts {
    fn open(database: &Database) -> fjall::Result<Self> {
        let part = |name, bytes| {
            database.keyspace(name, || {
                KeyspaceCreateOptions::default().max_memtable_size(bytes)
            })
        };
        let open = |name| part(name, MEMTABLE_BYTES);
        let small = |name| part(name, SMALL_MEMTABLE_BYTES);
        Ok(Self {
            meta: small("meta")?,
            partitions: small("partitions")?,
            findings: open("findings")?,
            outgoing: open("outgoing")?,
            events: open("events")?,
            event_hours: small("event_hours")?,
            dead: open("dead")?,
            sinks: small("sinks")?,
            versions: small("versions")?,
        })
    }
}

impl State {
    fn read(parts: &Parts) -> Result<Self, PortFault> {
        let fault = |fault| of_database("read the store", fault);
        let counters = match parts.meta.get(COUNTERS_KEY).map_err(fault)? {
            Some(value) => layout::read_counters(&value)?,
            None => Counters::default(),
        };
        let mut partitions = BTreeMap::new();
        for entry in parts.partitions.iter() {
            let (key, value) = entry.into_inner().map_err(fault)?;
            let key: [u8; 4] = key[..]
                .try_into()
                .map_err(|_| layout::damaged("a partition"))?;
            let kept: PartitionKept = layout::read_partition(&value)?;
            partitions.insert(Partition(u32::from_be_bytes(key)), kept);
        }
        let mut sinks = BTreeMap::new();
        for entry in parts.sinks.iter() {
            let (key, value) = entry.into_inner().map_err(fault)?;
            let name = String::from_utf8(key.to_vec()).map_err(|_| layout::damaged("a sink"))?;
            sinks.insert(name, layout::read_number("a sink", &value)?);
        }
        let mut versions = Versions::default();
        for entry in parts.versions.iter() {
            let (key, value) = entry.into_inner().map_err(fault)?;
            match layout::read_version_key(&key)? {
                VersionKey::Published => versions.published = Some(layout::read_text(&value)?),
                VersionKey::Version(version) => {
                    versions.all.insert(version, layout::read_version(&value)?);
                }
                VersionKey::Partition(number) => {
                    let named = layout::read_partition_version(&value)?;
                    versions.partitions.insert(Partition(number), named);
                }
            }
        }
        Ok(Self {
            counters,
            partitions,
            sinks,
            versions: Arc::new(versions),
            dead_oldest: 0,
        })
    }
}

impl Store for EmbeddedStore {
    fn take_over(&self, partition: Partition) -> Result<Checkpoint, PortFault> {
        self.take(partition)
    }

    fn commit(&self, commit: &Commit) -> Result<Committed, PortFault> {
        self.store(commit)
    }

    fn keep_snapshot(
        &self,
        partition: Partition,
        epoch: Epoch,
        snapshot: &SnapshotKept,
    ) -> Result<(), PortFault> {
        self.replace_snapshot(partition, epoch, snapshot)
    }

    fn position(&self, partition: Partition) -> Result<Sequence, PortFault> {
        self.running()?;
        let (position, writes) = self.look_at(|state| {
            let kept = state.partitions.get(&partition);
            (kept.map(|one| one.position), state.counters.writes)
        });
        // Whoever hears of it may look for what was found up to there, and lists show what is durable only.
        self.sync(writes)?;
        Ok(Sequence(position.unwrap_or_default()))
    }

    fn outgoing(&self, after: Sequence, max: usize) -> Result<Vec<Outgoing>, PortFault> {
        self.read_outgoing(after, max)
    }

    fn newest(&self) -> Result<Sequence, PortFault> {
        self.running()?;
        Ok(Sequence(self.durable()))
    }

    fn sink_position(&self, sink: &str) -> Result<Sequence, PortFault> {
        self.running()?;
        let position = self.look_at(|state| state.sinks.get(sink).copied());
        Ok(Sequence(position.unwrap_or_default()))
    }

    fn sink_reached(
        &self,
        sink: &str,
        position: Sequence,
        dead: &[DeadLetter],
    ) -> Result<(), PortFault> {
        self.move_sink(sink, position, dead)
    }

    fn sinks(&self) -> Result<Vec<(String, Sequence)>, PortFault> {
        self.running()?;
        Ok(self.look_at(|state| {
            let sinks = state.sinks.iter();
            sinks
                .map(|(sink, position)| (sink.clone(), Sequence(*position)))
                .collect()
        }))
    }

    fn forget_sink(&self, sink: &str) -> Result<bool, PortFault> {
        self.remove_sink(sink)
    }

    fn finding(&self, id: &str) -> Result<Option<StoredFinding>, PortFault> {
        self.read_finding(id)
    }

    fn findings(&self, filter: &FindingFilter) -> Result<FindingPage, PortFault> {
        self.list_findings(filter)
    }

    fn event(&self, id: &str) -> Result<Option<Vec<u8>>, PortFault> {
        self.read_event(id)
    }

    fn dead_letters(
        &self,
        filter: &DeadFilter,
    ) -> Result<Vec<(DeadNumber, DeadLetter)>, PortFault> {
        self.list_dead(filter)
    }

    fn dead_letter(&self, number: DeadNumber) -> Result<Option<DeadLetter>, PortFault> {
        self.read_dead(number)
    }

    fn drop_dead_letters(&self, numbers: &[DeadNumber]) -> Result<u64, PortFault> {
        self.remove_dead(numbers)
    }

    fn dead_given_way(&self) -> Result<u64, PortFault> {
        self.running()?;
        Ok(self.look_at(|state| state.counters.dead_given_way))
    }

    fn forget_before(&self, time: EventTime) -> Result<u64, PortFault> {
        self.forget(time)
    }

    fn set_now(&self, now: EventTime) {
        self.stamp_from(now);
    }
}

/// Ids that are no keys are not there.
fn is_key(id: &str) -> bool {
    admit::key("it", id).is_ok()
}
