//! The store of several processes: each has all of it on its own disk, and none changes it but through the ledger.
//!
//! ```text
//! take_over, commit, …  ──▶ ledger: an entry, if nobody was faster ──▶ every process: follower ──▶ its embedded store
//!                               ▲ who owned it before is told here          │
//! findings, outgoing, …  ◀──────┼───────────────────────────────────────────┘ answers whoever waits
//! snapshots of state     ──▶ kept beside the ledger, an entry says which
//! versions of the rules  ──▶ kept beside the ledger, entries say which one a partition is evaluated with from where on
//! images of the store    ──▶ kept beside the ledger, which is then shortened
//! ```
//!
//! Everybody does the same changes in the same order, so numbers of findings, positions of sinks and dead letters are the
//! same everywhere, and any process can go on where another one was killed. It relies on the ledger to keep its order. It
//! must never change its own store otherwise, nor answer before its own store has the change. Rejected: a store of which
//! processes ask only what they need, which would put findings out of reach while the servers are away; and agreement of
//! our own (Raft), which the servers have already. Why: `engine/decisions/shared-store.md`.

mod change;
mod follow;
mod image;
mod parts;
mod shorten;
mod versions;

pub use image::Began;
pub use shorten::Shortened;

use crate::embedded::{EmbeddedStore, Kept, Taken, Unused};
use crate::limits::SNAPSHOT_BYTES_MAX;
use change::{Change, Entry};
use follow::{Followed, follow};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tripline_core::port::{
    Checkpoint, Commit, Committed, DeadFilter, DeadLetter, DeadNumber, Epoch, FaultClass,
    FindingFilter, FindingPage, Ledger, Outgoing, Partition, PortFault, Sequence, SnapshotKept,
    Store, StoredFinding,
};
use tripline_core::rule::kind::EventTime;
use xxhash_rust::xxh3::xxh3_64;

/// How long a change may take until it is seen in the own store. Restarts of servers and elections take some seconds.
const PATIENCE: Duration = Duration::from_secs(20);

/// Most changes of one key whose end is not known that are remembered.
const ASKED_MAX: usize = 64;

/// How often somebody else may be faster before it is tried later.
const TRIES: usize = 50;

/// The store of one of several processes.
pub struct SharedStore {
    core: Arc<Core>,
    follower: Option<JoinHandle<()>>,
    began: Began,
}

/// How far the ledger is followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Follows {
    /// The newest entry whose change is in the own store.
    pub place: Sequence,
    /// Why no further ones come for now.
    pub held_up: Option<String>,
    /// Why none ever come.
    pub stopped: Option<String>,
    /// That is because the ledger was shortened beyond there: opened again, the store has the newest image.
    pub is_overtaken: bool,
}

struct Core {
    local: EmbeddedStore,
    ledger: Arc<dyn Ledger>,
    /// Tells this process from all others, and from itself at other times.
    me: String,
    now: AtomicI64,
    numbers: AtomicU64,
    followed: Mutex<Followed>,
    changed: Condvar,
    /// Changes that were asked for and of which it is not known what became of them, by key: their checksums and numbers. One
    /// at a time for each key.
    asked: Mutex<BTreeMap<String, Arc<Mutex<Vec<Asked>>>>>,
    /// Partitions that were taken over, and whose snapshot could not be read yet.
    unfinished: Mutex<BTreeMap<Partition, Taken>>,
    /// How the ledger was when it was shortened last.
    known: Mutex<shorten::Known>,
    is_ending: AtomicBool,
}

/// A change whose end is not known.
#[derive(Clone, Copy)]
struct Asked {
    checksum: u64,
    number: u64,
}

/// What came of a change.
#[derive(Debug)]
enum Outcome {
    Taken(Taken),
    Committed(Committed),
    Pointed(Option<Kept>),
    Switched(Unused),
    Count(u64),
    Done,
    Refused(FaultClass, String),
}

impl SharedStore {
    /// Begins to follow the ledger with a store that nobody else changes; with the newest image of it when the ledger does not
    /// reach back to where the store is, or the store has nothing. `me` tells this process from all others, and from
    /// itself at other times.
    pub fn open(
        local: EmbeddedStore,
        ledger: Arc<dyn Ledger>,
        me: String,
    ) -> Result<Self, PortFault> {
        let place = local.applied();
        let last = ledger.last()?;
        if place > last {
            return Err(PortFault::new(
                FaultClass::Stop,
                format!(
                    "follow the ledger after entry {}: its newest is {}, so it lost some, or it is another one; restore it, \
                     or begin with an empty data folder",
                    place.0, last.0
                ),
            ));
        }
        let (local, began) = image::reaching(local, ledger.as_ref())?;
        let place = local.applied();
        let core = Arc::new(Core {
            local,
            ledger,
            me,
            now: AtomicI64::new(0),
            numbers: AtomicU64::new(0),
            followed: Mutex::new(Followed::from(place)),
            changed: Condvar::new(),
            asked: Mutex::default(),
            unfinished: Mutex::default(),
            known: Mutex::default(),
            is_ending: AtomicBool::new(false),
        });
        let follower = {
            let core = Arc::clone(&core);
            std::thread::Builder::new()
                .name("ledger".to_owned())
                .spawn(move || follow(&core))
                .map_err(|fault| {
                    PortFault::new(FaultClass::Stop, "start a thread").because(fault)
                })?
        };
        Ok(Self {
            core,
            follower: Some(follower),
            began,
        })
    }

    /// Waits until everything that is in the ledger now is in the own store too. Tells how far it is now and then.
    pub fn catch_up(&self, mut told: impl FnMut(Sequence, Sequence)) -> Result<(), PortFault> {
        let last = self.core.ledger.last()?;
        let mut at = Sequence(0);
        loop {
            let place = {
                let followed = self.core.lock();
                followed.running()?;
                followed.place
            };
            if place >= last {
                return Ok(());
            }
            if place > at {
                at = place;
                told(at, last);
            }
            let _ = self.core.follow_to(last, Duration::from_secs(1));
        }
    }

    /// How following began.
    pub fn began(&self) -> &Began {
        &self.began
    }

    /// How far the ledger is followed.
    pub fn follows(&self) -> Follows {
        let followed = self.core.lock();
        Follows {
            place: followed.place,
            held_up: followed.held_up.clone(),
            stopped: followed.stopped.clone(),
            is_overtaken: followed.is_overtaken,
        }
    }
}

impl Drop for SharedStore {
    fn drop(&mut self) {
        self.core.is_ending.store(true, Ordering::SeqCst);
        if let Some(follower) = self.follower.take() {
            // It panicked: whoever waited was told.
            let _ = follower.join();
        }
    }
}

impl Core {
    fn lock(&self) -> MutexGuard<'_, Followed> {
        self.followed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until an entry is in the own store.
    fn follow_to(&self, place: Sequence, at_most: Duration) -> Result<(), PortFault> {
        let begun = Instant::now();
        let mut followed = self.lock();
        loop {
            followed.running()?;
            if followed.place >= place {
                return Ok(());
            }
            let left = at_most.saturating_sub(begun.elapsed());
            if left.is_zero() {
                return Err(followed.late(place));
            }
            let waited = self.changed.wait_timeout(followed, left);
            followed = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits for what came of a change of ours.
    fn outcome(&self, number: u64, place: Sequence) -> Result<Outcome, PortFault> {
        let begun = Instant::now();
        let mut followed = self.lock();
        loop {
            if let Some(outcome) = followed.outcomes.remove(&number) {
                return Ok(outcome);
            }
            followed.running()?;
            let left = PATIENCE.saturating_sub(begun.elapsed());
            if left.is_zero() {
                return Err(followed.late(place));
            }
            let waited = self.changed.wait_timeout(followed, left);
            followed = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Forgets snapshots of a partition that no entry came to speak of, as whoever wrote them was killed. One that stays takes
    /// room, and nothing else.
    fn tidy(&self, partition: Partition, taken: &Taken) {
        let used = taken.snapshot.map(|kept| kept.number);
        let theirs = format!("state-{}-", partition.0);
        for name in self.ledger.names().unwrap_or_default() {
            let number = name.strip_prefix(&theirs);
            let Some(number) = number.and_then(|text| text.parse::<u64>().ok()) else {
                continue;
            };
            // Those of later epochs belong to whoever took it over since.
            if Some(number) != used && number >> EPOCH_SHIFT < taken.epoch.0 {
                let _ = self.ledger.forget(&name);
            }
        }
    }

    /// A ledger that went back.
    fn lost(&self, known: Sequence, newest: Sequence) -> PortFault {
        let words = format!(
            "its newest entry of a key was {} and is {}: it lost what it had acknowledged; restore it, or begin with an empty \
             data folder",
            known.0, newest.0
        );
        self.lock().stopped = Some(words.clone());
        PortFault::new(FaultClass::Stop, "use the ledger").because(words)
    }

    /// What a partition that was taken over remembers.
    fn snapshot(
        &self,
        partition: Partition,
        taken: &Taken,
    ) -> Result<Option<SnapshotKept>, PortFault> {
        let Some(kept) = taken.snapshot else {
            return Ok(None);
        };
        let name = name_of(partition, kept.number);
        let doing = format!("read what partition {} remembers ({name})", partition.0);
        let begun = Instant::now();
        loop {
            let wrong = match self.ledger.kept(&name)? {
                None => "it is gone",
                Some(bytes)
                    if bytes.len() as u64 != kept.length || xxh3_64(&bytes) != kept.checksum =>
                {
                    "it is damaged"
                }
                Some(bytes) => {
                    return Ok(Some(SnapshotKept {
                        position: kept.position,
                        bytes,
                    }));
                }
            };
            // Another process may have taken the partition over meanwhile, and put its own in its place.
            self.local.check_holder(partition, taken.epoch)?;
            if begun.elapsed() > PATIENCE {
                let words = format!(
                    "{doing}: {wrong}; bring it back, or begin anew with another nats.prefix"
                );
                return Err(PortFault::new(FaultClass::Stop, words));
            }
            std::thread::sleep(PATIENCE / 100);
        }
    }

    /// Makes a change: its entry in the ledger, and what the own store made of it. The same change asked for again, after
    /// nobody knew what became of it, is made once.
    fn make(&self, change: Change) -> Result<Outcome, PortFault> {
        let key = change.key();
        let asked = {
            let mut all = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(all.entry(key.clone()).or_default())
        };
        let mut asked = asked.lock().unwrap_or_else(PoisonError::into_inner);
        let text = serde_json::to_vec(&change)
            .map_err(|fault| PortFault::new(FaultClass::Reject, "write a change").because(fault))?;
        let checksum = xxh3_64(&text);
        // What an earlier take-over found may be old: others may have been here since.
        let is_new = matches!(change, Change::TakeOver { .. });
        let before = asked.iter().find(|one| one.checksum == checksum && !is_new);
        let number = match before {
            Some(one) => one.number,
            None => {
                let number = self.numbers.fetch_add(1, Ordering::SeqCst) + 1;
                asked.push(Asked { checksum, number });
                let excess = asked.len().saturating_sub(ASKED_MAX);
                asked.drain(..excess);
                number
            }
        };
        let mut lost_since: Option<Instant> = None;
        let holder = change.holder();
        let now = EventTime::from_micros(self.now.load(Ordering::SeqCst));
        let bytes = Entry::new(&self.me, number, now, change).to_bytes()?;
        let mut tries = 0;
        while tries < TRIES || lost_since.is_some() {
            tries += 1;
            let known = {
                let mut followed = self.lock();
                followed.running()?;
                if let Some(outcome) = followed.outcomes.remove(&number) {
                    asked.retain(|one| one.number != number);
                    return Ok(outcome);
                }
                if let Some((partition, epoch)) = holder {
                    // Known already, so nobody else needs to refuse it.
                    self.local.check_holder(partition, epoch)?;
                }
                followed.newest.get(&key).copied()
            };
            let expected = match known {
                Some(place) => place,
                None => {
                    let place = self.ledger.newest(&key)?;
                    self.follow_to(place, PATIENCE)?;
                    self.lock().newest.entry(key.clone()).or_insert(place);
                    continue;
                }
            };
            match self.ledger.append(&key, Some(expected), &bytes) {
                Ok(place) => {
                    let outcome = self.outcome(number, place)?;
                    asked.retain(|one| one.number != number);
                    return Ok(outcome);
                }
                Err(fault) if fault.class == FaultClass::Fenced => {
                    // Somebody was faster, or an earlier try of ours came after all.
                    let place = self.ledger.newest(&key)?;
                    if place < expected {
                        // One that leads since a moment may be behind; one that stays so lost what was acknowledged.
                        if lost_since.get_or_insert_with(Instant::now).elapsed() > PATIENCE {
                            return Err(self.lost(expected, place));
                        }
                        std::thread::sleep(PATIENCE / 100);
                    } else {
                        lost_since = None;
                    }
                    self.follow_to(place, PATIENCE)?;
                    let mut followed = self.lock();
                    let newest = followed.newest.entry(key.clone()).or_insert(place);
                    *newest = place.max(*newest);
                }
                Err(fault) => return Err(fault),
            }
        }
        Err(PortFault::new(
            FaultClass::Retry,
            format!("append to the ledger under {key}: others were faster each of {TRIES} times"),
        ))
    }
}

fn unexpected<T>(outcome: Outcome) -> Result<T, PortFault> {
    match outcome {
        Outcome::Refused(class, words) => Err(PortFault::new(class, words)),
        other => Err(PortFault::new(
            FaultClass::Stop,
            format!("make a change: what came of it is of another kind ({other:?})"),
        )),
    }
}

/// Numbers of snapshots have the epoch above these bits, and a count below.
const EPOCH_SHIFT: u32 = 32;

/// The name of a snapshot: never used twice.
fn name_of(partition: Partition, number: u64) -> String {
    format!("state-{}-{number}", partition.0)
}

impl Store for SharedStore {
    fn take_over(&self, partition: Partition) -> Result<Checkpoint, PortFault> {
        let core = &self.core;
        let unfinished = || {
            core.unfinished
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
        };
        // One that could not be finished is still ours unless somebody else came: taking over again and again would look
        // like a record that kills each process.
        let before = unfinished().remove(&partition);
        let before = before.filter(|taken| core.local.check_holder(partition, taken.epoch).is_ok());
        let taken = match before {
            Some(taken) => taken,
            None => match core.make(Change::TakeOver { partition })? {
                Outcome::Taken(taken) => taken,
                other => return unexpected(other),
            },
        };
        let snapshot = core.snapshot(partition, &taken).inspect_err(|_| {
            unfinished().insert(partition, taken);
        })?;
        core.tidy(partition, &taken);
        Ok(Checkpoint {
            epoch: taken.epoch,
            position: taken.position,
            starts: taken.starts,
            snapshot,
        })
    }

    fn commit(&self, commit: &Commit) -> Result<Committed, PortFault> {
        crate::admit::commit(commit)?;
        let position = Store::position(&self.core.local, commit.partition)?;
        let mut all = Committed::default();
        for part in parts::parts(commit, position)? {
            match self.core.make(Change::Commit(part))? {
                Outcome::Committed(committed) => {
                    all.new += committed.new;
                    all.renewed += committed.renewed;
                }
                other => return unexpected(other),
            }
        }
        Ok(all)
    }

    fn keep_snapshot(
        &self,
        partition: Partition,
        epoch: Epoch,
        snapshot: &SnapshotKept,
    ) -> Result<(), PortFault> {
        let core = &self.core;
        if snapshot.bytes.len() as u64 > SNAPSHOT_BYTES_MAX {
            return Err(crate::admit::reject(format!(
                "keep a snapshot of partition {}: it has {} bytes, more than {SNAPSHOT_BYTES_MAX}",
                partition.0,
                snapshot.bytes.len()
            )));
        }
        core.local.check_holder(partition, epoch)?;
        // Before it is copied anywhere.
        crate::admit::snapshot(
            partition,
            snapshot.position,
            Store::position(&core.local, partition)?,
        )?;
        // An epoch belongs to one process, whose count never repeats.
        let kept = Kept {
            position: snapshot.position,
            number: epoch.0 << EPOCH_SHIFT
                | (core.numbers.fetch_add(1, Ordering::SeqCst) & 0xffff_ffff),
            length: snapshot.bytes.len() as u64,
            checksum: xxh3_64(&snapshot.bytes),
        };
        let name = name_of(partition, kept.number);
        core.ledger.keep(&name, &snapshot.bytes)?;
        let change = Change::Snapshot {
            partition,
            epoch,
            kept,
        };
        let made = core.make(change).inspect_err(|fault| {
            if fault.class == FaultClass::Fenced {
                let _ = core.ledger.forget(&name);
            }
        });
        match made? {
            Outcome::Pointed(unused) => {
                if let Some(unused) = unused {
                    // One that stays takes room, and nothing else.
                    let _ = core.ledger.forget(&name_of(partition, unused.number));
                }
                Ok(())
            }
            other => {
                let _ = core.ledger.forget(&name);
                unexpected(other)
            }
        }
    }

    fn position(&self, partition: Partition) -> Result<Sequence, PortFault> {
        Store::position(&self.core.local, partition)
    }

    fn outgoing(&self, after: Sequence, max: usize) -> Result<Vec<Outgoing>, PortFault> {
        self.core.local.outgoing(after, max)
    }

    fn newest(&self) -> Result<Sequence, PortFault> {
        self.core.local.newest()
    }

    fn sink_position(&self, sink: &str) -> Result<Sequence, PortFault> {
        self.core.local.sink_position(sink)
    }

    fn sink_reached(
        &self,
        sink: &str,
        position: Sequence,
        dead: &[DeadLetter],
    ) -> Result<(), PortFault> {
        let change = Change::SinkReached {
            sink: sink.to_owned(),
            position,
            dead: dead.to_vec(),
        };
        match self.core.make(change)? {
            Outcome::Done => Ok(()),
            other => unexpected(other),
        }
    }

    fn sinks(&self) -> Result<Vec<(String, Sequence)>, PortFault> {
        self.core.local.sinks()
    }

    fn forget_sink(&self, sink: &str) -> Result<bool, PortFault> {
        let change = Change::ForgetSink {
            sink: sink.to_owned(),
        };
        match self.core.make(change)? {
            Outcome::Count(count) => Ok(count > 0),
            other => unexpected(other),
        }
    }

    fn finding(&self, id: &str) -> Result<Option<StoredFinding>, PortFault> {
        self.core.local.finding(id)
    }

    fn findings(&self, filter: &FindingFilter) -> Result<FindingPage, PortFault> {
        self.core.local.findings(filter)
    }

    fn event(&self, id: &str) -> Result<Option<Vec<u8>>, PortFault> {
        self.core.local.event(id)
    }

    fn dead_letters(
        &self,
        filter: &DeadFilter,
    ) -> Result<Vec<(DeadNumber, DeadLetter)>, PortFault> {
        self.core.local.dead_letters(filter)
    }

    fn dead_letter(&self, number: DeadNumber) -> Result<Option<DeadLetter>, PortFault> {
        self.core.local.dead_letter(number)
    }

    fn drop_dead_letters(&self, numbers: &[DeadNumber]) -> Result<u64, PortFault> {
        let change = Change::DropDead {
            numbers: numbers.to_vec(),
        };
        match self.core.make(change)? {
            Outcome::Count(count) => Ok(count),
            other => unexpected(other),
        }
    }

    fn dead_given_way(&self) -> Result<u64, PortFault> {
        self.core.local.dead_given_way()
    }

    fn forget_before(&self, time: EventTime) -> Result<u64, PortFault> {
        match self.core.make(Change::Forget { before: time })? {
            Outcome::Count(count) => Ok(count),
            other => unexpected(other),
        }
    }

    fn set_now(&self, now: EventTime) {
        self.core.now.fetch_max(now.micros(), Ordering::SeqCst);
    }
}
