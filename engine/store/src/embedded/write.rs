//! Changes: how a batch is made, written, and synced together with those of other threads.
//!
//! A thread makes its batch with the state in hand, so that numbers and epochs are decided one after the other, writes it
//! to the journal without a sync, and lets go of the state. Then one of the threads that wrote syncs for all of them:
//! before it does, it lets those write that already wait to. Whoever finds its write synced by another returns. The
//! journal is in order, so that what is synced is always a prefix. State in memory changes only after the write worked.
//! It must never let a failed write or sync be followed by another: the pages of a failed sync may count as clean.
//! Rejected: a thread that writes for all, which would cost two hand-overs for each commit when there is only one.

use super::fault::of_database;
use super::layout::{self, COUNTERS_KEY, Counters, PartitionKept};
use super::{EmbeddedStore, snapshot};
use crate::admit;
use crate::memory::cited;
use fjall::{OwnedWriteBatch, PersistMode};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::{Deref, DerefMut};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard};
use tripline_core::port::{
    Checkpoint, Commit, Committed, DeadLetter, Epoch, FaultClass, Partition, PortFault, Sequence,
    SnapshotKept, supersedes,
};
use tripline_core::rule::kind::EventTime;
use tripline_core::wire::Finding;

/// What changes are made from. The database has the same, but for the newest stamp.
#[derive(Clone, Debug, Default)]
pub(super) struct State {
    pub(super) counters: Counters,
    pub(super) partitions: BTreeMap<Partition, PartitionKept>,
    pub(super) sinks: BTreeMap<String, u64>,
    pub(super) versions: Arc<super::versions::Versions>,
    /// No dead letter has a smaller number: where to look for the oldest without wading through deleted ones.
    pub(super) dead_oldest: u64,
}

/// The state while a thread writes.
pub(super) struct Turn<'a> {
    store: &'a EmbeddedStore,
    state: MutexGuard<'a, State>,
}

impl Deref for Turn<'_> {
    type Target = State;
    fn deref(&self) -> &State {
        &self.state
    }
}

impl DerefMut for Turn<'_> {
    fn deref_mut(&mut self) -> &mut State {
        &mut self.state
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        // While the state is still held, so that whoever waits to sync does not miss the call.
        self.store.writing.fetch_sub(1, Ordering::SeqCst);
        self.store.wrote.notify_all();
    }
}

/// A thread that panicked while it held a lock had not changed what the lock guards.
fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// Versions of findings that this batch writes, by id: what follows in it must see them. A batch has each key once.
type Versions = BTreeMap<String, (u64, Finding)>;

impl EmbeddedStore {
    /// Refuses everything once something failed.
    pub(super) fn running(&self) -> Result<(), PortFault> {
        if !self.stopped.load(Ordering::SeqCst) {
            return Ok(());
        }
        Err(PortFault::new(
            FaultClass::Stop,
            format!(
                "use the store in {}: writing to it failed before, so nothing is known of what is on the disk; restart",
                self.folder.display()
            ),
        ))
    }

    /// How often the disk was asked to make writes durable since the store was opened: less often than there were commits
    /// where threads shared it.
    pub fn syncs(&self) -> u64 {
        self.syncs.load(Ordering::SeqCst)
    }

    pub(super) fn durable(&self) -> u64 {
        self.newest.load(Ordering::SeqCst)
    }

    pub(super) fn look_at<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&held(&self.state))
    }

    pub(super) fn stamp_from(&self, now: EventTime) {
        let stamp = &mut held(&self.state).counters.stamp;
        *stamp = now.micros().max(*stamp);
    }

    pub(super) fn turn(&self) -> Turn<'_> {
        self.writing.fetch_add(1, Ordering::SeqCst);
        Turn {
            store: self,
            state: held(&self.state),
        }
    }

    /// Makes a change and returns when it is durable.
    pub(super) fn change<T>(
        &self,
        make: impl FnOnce(&State, &mut OwnedWriteBatch, &mut State) -> Result<T, PortFault>,
    ) -> Result<T, PortFault> {
        let (made, writes) = self.write(make)?;
        self.sync(writes)?;
        Ok(made)
    }

    /// Makes a change, and says which write it was. It is not durable yet. `make` gets the state as it is, the batch to
    /// add to, and the state as it will be.
    pub(super) fn write<T>(
        &self,
        make: impl FnOnce(&State, &mut OwnedWriteBatch, &mut State) -> Result<T, PortFault>,
    ) -> Result<(T, u64), PortFault> {
        self.running()?;
        let mut turn = self.turn();
        let mut after = turn.clone();
        let mut batch = self.database.batch();
        let made = make(&turn, &mut batch, &mut after)?;
        after.counters.writes += 1;
        after.counters.applied = self
            .entry
            .load(Ordering::SeqCst)
            .max(after.counters.applied);
        let counters = layout::write_counters(&after.counters);
        batch.insert(&self.parts.meta, COUNTERS_KEY, counters);
        self.running()?;
        batch.commit().map_err(|fault| self.stop("write", fault))?;
        *turn = after;
        let writes = turn.counters.writes;
        Ok((made, writes))
    }

    /// Returns when a write is durable.
    pub(super) fn sync(&self, writes: u64) -> Result<(), PortFault> {
        let mut synced = held(&self.synced);
        self.running()?;
        if *synced >= writes {
            return Ok(());
        }
        let counters = self.when_others_wrote();
        self.database
            .persist(PersistMode::SyncData)
            .map_err(|fault| self.stop("sync", fault))?;
        if let Err(fault) = self.witness.write(counters.writes) {
            self.stopped.store(true, Ordering::SeqCst);
            return Err(PortFault {
                class: FaultClass::Stop,
                ..fault
            });
        }
        self.syncs.fetch_add(1, Ordering::SeqCst);
        *synced = counters.writes;
        self.newest.store(counters.newest, Ordering::SeqCst);
        Ok(())
    }

    /// Returns when what was written outlives the end of the process.
    fn hand_over(&self) -> Result<(), PortFault> {
        self.running()?;
        self.database
            .persist(PersistMode::Buffer)
            .map_err(|fault| self.stop("write", fault))
    }

    /// What is written once the threads that wait to write now have done so. Each of them then waits for the sync, so it
    /// is waited for once.
    fn when_others_wrote(&self) -> Counters {
        let mut state = held(&self.state);
        let mut turns = self.writing.load(Ordering::SeqCst);
        while turns > 0 && self.writing.load(Ordering::SeqCst) > 0 {
            state = self
                .wrote
                .wait(state)
                .unwrap_or_else(|poisoned| poisoned.into_inner());
            turns -= 1;
        }
        state.counters
    }

    fn stop(&self, what: &str, fault: fjall::Error) -> PortFault {
        self.stopped.store(true, Ordering::SeqCst);
        of_database(
            format!("{what} the store in {}", self.folder.display()),
            fault,
        )
    }

    /// Refuses what takes room while there is little left. Asked before anything is written: a write that fails half
    /// way stops the store.
    pub(super) fn room(&self, bytes: usize) -> Result<(), PortFault> {
        let doing = || format!("store in {}", self.folder.display());
        let room = rustix::fs::statvfs(&self.folder)
            .map_err(|fault| PortFault::new(FaultClass::Stop, doing()).because(fault))?;
        let free = room.f_bavail.saturating_mul(room.f_frsize);
        let wanted = self.options.free_bytes_min.saturating_add(bytes as u64);
        if free >= wanted {
            return Ok(());
        }
        Err(PortFault::new(
            FaultClass::Full,
            format!(
                "{}: {free} bytes are free, and {} of them are kept free; make room",
                doing(),
                self.options.free_bytes_min
            ),
        ))
    }

    pub(super) fn take(&self, partition: Partition) -> Result<Checkpoint, PortFault> {
        let kept = self.take_kept(partition)?;
        let snapshot = match &kept.snapshot {
            Some(pointer) => Some(SnapshotKept {
                position: Sequence(pointer.position),
                bytes: snapshot::read(&self.snapshots, partition, pointer)?,
            }),
            None => None,
        };
        Ok(Checkpoint {
            epoch: Epoch(kept.epoch),
            position: Sequence(kept.position),
            starts: kept.starts,
            snapshot,
        })
    }

    pub(super) fn take_kept(&self, partition: Partition) -> Result<PartitionKept, PortFault> {
        self.change(|_, batch, after| {
            let kept = after.partitions.entry(partition).or_default();
            kept.epoch += 1;
            kept.starts = kept.starts.saturating_add(1);
            self.put_partition(batch, partition, kept);
            Ok(*kept)
        })
    }

    pub(super) fn store(&self, commit: &Commit) -> Result<Committed, PortFault> {
        admit::commit(commit)?;
        // Written as text before the state is taken, so that threads do it side by side.
        let findings: Vec<(&Finding, Vec<u8>)> = commit
            .findings
            .iter()
            .map(|finding| Ok((finding, json(finding)?)))
            .collect::<Result<_, PortFault>>()?;
        let bytes = findings.iter().map(|(_, text)| text.len()).sum::<usize>()
            + commit
                .events
                .iter()
                .map(|one| one.bytes.len())
                .sum::<usize>()
            + commit
                .dead
                .iter()
                .map(|one| one.payload.len())
                .sum::<usize>();
        self.room(bytes)?;
        self.change(|before, batch, after| {
            let mut kept = held_by(before, commit.partition, commit.epoch)?;
            admit::position(commit.partition, commit.position, Sequence(kept.position))?;
            if commit.position.0 > kept.position || commit.is_well_started {
                kept.starts = 0;
            }
            kept.position = commit.position.0;
            self.put_partition(batch, commit.partition, &kept);
            after.partitions.insert(commit.partition, kept);
            let hour = layout::hour_of(after.counters.stamp);
            let mut events = BTreeSet::new();
            for event in commit.events.iter().rev() {
                if events.insert(event.id.as_str()) {
                    self.put_event(batch, hour, event.id.as_bytes(), &event.bytes)?;
                }
            }
            let mut committed = Committed::default();
            let mut versions = Versions::new();
            for (finding, text) in findings {
                let stored =
                    self.put_finding(batch, after, &mut versions, finding, text, &mut committed)?;
                for id in stored.into_iter().flat_map(cited) {
                    if events.insert(id) {
                        self.renew_event(batch, hour, id)?;
                    }
                }
            }
            for (id, (number, _)) in versions {
                batch.insert(&self.parts.findings, id, layout::write_number(number));
            }
            self.put_dead(batch, after, &commit.dead)?;
            Ok(committed)
        })
    }

    /// Adds a version of a finding if it is one. The finding, if it was added.
    fn put_finding<'a>(
        &self,
        batch: &mut OwnedWriteBatch,
        after: &mut State,
        versions: &mut Versions,
        finding: &'a Finding,
        text: Vec<u8>,
        committed: &mut Committed,
    ) -> Result<Option<&'a Finding>, PortFault> {
        let id = &finding.finding_id;
        let old = match versions.get(id) {
            Some((_, version)) => Some(version.clone()),
            None => self.newest_version(id)?.map(|stored| stored.finding),
        };
        let mut kept = finding.clone();
        let text = match old {
            Some(old) if !supersedes(finding, &old) => return Ok(None),
            Some(old) => {
                committed.renewed += 1;
                kept.revision = old.revision + 1;
                json(&kept)?
            }
            None => {
                committed.new += 1;
                text
            }
        };
        after.counters.newest += 1;
        let number = after.counters.newest;
        let key = number.to_be_bytes();
        let value = layout::write_outgoing(after.counters.stamp, &text);
        batch.insert(&self.parts.outgoing, key, value);
        versions.insert(id.clone(), (number, kept));
        Ok(Some(finding))
    }

    fn put_event(
        &self,
        batch: &mut OwnedWriteBatch,
        hour: u32,
        id: &[u8],
        bytes: &[u8],
    ) -> Result<(), PortFault> {
        let fault = |fault| of_database("read an event of the store", fault);
        let old = self.parts.events.get(id).map_err(fault)?;
        if let Some(old) = old {
            let (old, _) = layout::read_event(&old)?;
            if old != hour {
                batch.remove(&self.parts.event_hours, layout::event_hour_key(old, id));
            }
        }
        batch.insert(&self.parts.events, id, layout::write_event(hour, bytes));
        batch.insert(
            &self.parts.event_hours,
            layout::event_hour_key(hour, id),
            [],
        );
        Ok(())
    }

    /// An event that was kept earlier is cited now: it stays as long as what cites it.
    fn renew_event(
        &self,
        batch: &mut OwnedWriteBatch,
        hour: u32,
        id: &str,
    ) -> Result<(), PortFault> {
        if !super::is_key(id) {
            return Ok(());
        }
        let fault = |fault| of_database("read an event of the store", fault);
        let Some(kept) = self.parts.events.get(id).map_err(fault)? else {
            return Ok(());
        };
        let (old, bytes) = layout::read_event(&kept)?;
        if old == hour {
            return Ok(());
        }
        self.put_event(batch, hour, id.as_bytes(), bytes)
    }

    /// Adds dead letters; the oldest give way.
    fn put_dead(
        &self,
        batch: &mut OwnedWriteBatch,
        after: &mut State,
        letters: &[DeadLetter],
    ) -> Result<(), PortFault> {
        let most = self.options.dead_letters_max as u64;
        let excess = (after.counters.dead_kept + letters.len() as u64).saturating_sub(most);
        let old = excess.min(after.counters.dead_kept);
        let fault = |fault| of_database("read the dead letters of the store", fault);
        let first = after.dead_oldest.to_be_bytes();
        for entry in self.parts.dead.range(first..).take(old as usize) {
            let key = entry.key().map_err(fault)?;
            after.dead_oldest = layout::key_number("a dead letter", &key)? + 1;
            batch.remove(&self.parts.dead, key);
        }
        // Of more than may be kept at all, the first ones give way before they are written.
        let skipped = excess - old;
        for (place, letter) in letters.iter().enumerate() {
            after.counters.dead_newest += 1;
            if (place as u64) < skipped {
                continue;
            }
            let key = after.counters.dead_newest.to_be_bytes();
            let value = layout::write_dead(after.counters.stamp, &admit::cut(letter))?;
            batch.insert(&self.parts.dead, key, value);
        }
        after.counters.dead_kept += letters.len() as u64 - excess;
        after.counters.dead_given_way += excess;
        Ok(())
    }

    pub(super) fn replace_snapshot(
        &self,
        partition: Partition,
        epoch: Epoch,
        snapshot: &SnapshotKept,
    ) -> Result<(), PortFault> {
        self.running()?;
        let wanted = |state: &State| {
            let kept = held_by(state, partition, epoch)?;
            admit::snapshot(partition, snapshot.position, Sequence(kept.position))?;
            let newer = kept
                .snapshot
                .is_some_and(|one| one.position > snapshot.position.0);
            Ok((!newer).then_some(kept))
        };
        if self.look_at(wanted)?.is_none() {
            return Ok(());
        }
        self.room(snapshot.bytes.len())?;
        let number = self.next_file.fetch_add(1, Ordering::SeqCst);
        let pointer = snapshot::write(&self.snapshots, partition, number, snapshot)?;
        // Asked again: writing took a while, and the partition may have been taken over meanwhile.
        let switched = self.change(|before, batch, after| {
            let Some(mut kept) = wanted(before)? else {
                return Ok(Some(number));
            };
            let old = kept.snapshot.replace(pointer);
            self.put_partition(batch, partition, &kept);
            after.partitions.insert(partition, kept);
            Ok(old.map(|old| old.file))
        });
        match &switched {
            Ok(Some(unused)) => snapshot::remove(&self.snapshots, partition, *unused),
            Ok(None) => {}
            // Only where it is certain that nothing points to it.
            Err(fault) if fault.class == FaultClass::Fenced => {
                snapshot::remove(&self.snapshots, partition, number);
            }
            Err(_) => {}
        }
        switched.map(|_| ())
    }

    pub(super) fn put_partition(
        &self,
        batch: &mut OwnedWriteBatch,
        partition: Partition,
        kept: &PartitionKept,
    ) {
        let key = partition.0.to_be_bytes();
        batch.insert(&self.parts.partitions, key, layout::write_partition(kept));
    }

    pub(super) fn move_sink(
        &self,
        sink: &str,
        position: Sequence,
        dead: &[DeadLetter],
    ) -> Result<(), PortFault> {
        admit::sink(sink, position, Sequence(self.durable()))?;
        let ((), writes) = self.write(|_, batch, after| {
            let reached = after.sinks.entry(sink.to_owned()).or_default();
            *reached = position.0.max(*reached);
            batch.insert(&self.parts.sinks, sink, layout::write_number(*reached));
            self.put_dead(batch, after, dead)
        })?;
        match dead {
            // After a loss of power a sink is sent again what it has, under the same ids: not worth a sync for each batch that it takes.
            [] => self.hand_over(),
            _ => self.sync(writes),
        }
    }

    pub(super) fn remove_sink(&self, sink: &str) -> Result<bool, PortFault> {
        if !self.look_at(|state| state.sinks.contains_key(sink)) {
            self.running()?;
            return Ok(false);
        }
        self.change(|_, batch, after| {
            batch.remove(&self.parts.sinks, sink);
            Ok(after.sinks.remove(sink).is_some())
        })
    }
}

pub(super) fn held_by(
    state: &State,
    partition: Partition,
    epoch: Epoch,
) -> Result<PartitionKept, PortFault> {
    let kept = state.partitions.get(&partition).copied();
    let kept = kept.unwrap_or_default();
    admit::holder(partition, epoch, Epoch(kept.epoch))?;
    Ok(kept)
}

fn json(finding: &Finding) -> Result<Vec<u8>, PortFault> {
    let id = &finding.finding_id;
    let text = serde_json::to_vec(finding)
        .map_err(|fault| admit::reject(format!("write finding {id}")).because(fault))?;
    admit::finding_bytes(id, text.len())?;
    Ok(text)
}
