//! Several processes with one ledger: fenced off, killed, left without answers, and in the end all the same.

use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;
use tripline_core::port::conformance::{dead_letter, finding};
use tripline_core::port::{
    Commit, DeadFilter, DeadNumber, Entry, FaultClass, FindingFilter, KeptEvent, Ledger, Partition,
    PortFault, Sequence, SnapshotKept, Store, conformance,
};
use tripline_core::rule::kind::EventTime;
use tripline_store::embedded::{EmbeddedStore, Options};
use tripline_store::shared::{SharedStore, Shortened};

/// A ledger in memory, whose answers may be lost on their way.
#[derive(Default)]
struct MemoryLedger {
    inner: Mutex<Inner>,
    changed: Condvar,
    /// The time on its clock.
    taken: EventTime,
}

#[derive(Default)]
struct Inner {
    entries: Vec<(u64, String, Vec<u8>)>,
    /// The newest place that was ever given.
    last: u64,
    /// Entries up to here are gone.
    purged: u64,
    kept: BTreeMap<String, Vec<u8>>,
    /// Whoever shortens the ledger is killed after so many more steps.
    dies_after: Option<u32>,
    /// So many reads of what is kept find nobody there.
    reads_fail: u32,
    /// What becomes of the next appends: lost before, lost after, or nothing.
    faults: Vec<Lost>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lost {
    Nothing,
    Request,
    Answer,
}

impl MemoryLedger {
    fn new() -> Self {
        Self {
            taken: EventTime::from_micros(1_767_225_600_000_000),
            ..Self::default()
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("nobody panicked")
    }
}

impl Inner {
    fn newest(&self, key: &str) -> u64 {
        let mut of_key = self.entries.iter().rev().filter(|(_, one, _)| one == key);
        of_key.next().map_or(0, |(place, _, _)| *place)
    }

    /// A step of whoever may be killed before it.
    fn step(&mut self) -> Result<(), PortFault> {
        match &mut self.dies_after {
            Some(0) => Err(PortFault::new(FaultClass::Stop, "live on")),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }
}

fn lost() -> PortFault {
    PortFault::new(FaultClass::Retry, "hear the answer")
}

impl Ledger for MemoryLedger {
    fn append(
        &self,
        key: &str,
        expected: Option<Sequence>,
        entry: &[u8],
    ) -> Result<Sequence, PortFault> {
        let mut inner = self.lock();
        inner.step()?;
        let fault = inner.faults.pop().unwrap_or(Lost::Nothing);
        if fault == Lost::Request {
            return Err(lost());
        }
        if expected.is_some_and(|place| place.0 != inner.newest(key)) {
            return Err(PortFault::new(FaultClass::Fenced, "append"));
        }
        // Places have holes.
        let place = inner.last + 1 + key.len() as u64 % 3;
        inner.last = place;
        inner.entries.push((place, key.to_owned(), entry.to_vec()));
        self.changed.notify_all();
        match fault {
            Lost::Answer => Err(lost()),
            _ => Ok(Sequence(place)),
        }
    }

    fn newest(&self, key: &str) -> Result<Sequence, PortFault> {
        Ok(Sequence(self.lock().newest(key)))
    }

    fn last(&self) -> Result<Sequence, PortFault> {
        Ok(Sequence(self.lock().last))
    }

    fn first(&self) -> Result<Sequence, PortFault> {
        Ok(Sequence(self.lock().purged + 1))
    }

    fn purge(&self, through: Sequence) -> Result<(), PortFault> {
        let mut inner = self.lock();
        inner.step()?;
        let keys: BTreeSet<String> = inner.entries.iter().map(|one| one.1.clone()).collect();
        for key in keys {
            assert!(inner.newest(&key) > through.0, "the newest of {key} goes");
        }
        inner.entries.retain(|one| one.0 > through.0);
        inner.purged = through.0.max(inner.purged);
        Ok(())
    }

    fn read(&self, after: Sequence) -> Result<Vec<Entry>, PortFault> {
        let inner = self.lock();
        if after.0 < inner.purged {
            return Err(PortFault::new(
                FaultClass::Stop,
                "read entries that are gone",
            ));
        }
        let from = inner.entries.partition_point(|one| one.0 <= after.0);
        let some = inner.entries[from..].iter().take(3);
        Ok(some
            .map(|(place, _, bytes)| Entry {
                place: Sequence(*place),
                taken: self.taken,
                bytes: bytes.clone(),
            })
            .collect())
    }

    fn wait(&self, after: Sequence, at_most: Duration) -> Result<bool, PortFault> {
        let waited = self
            .changed
            .wait_timeout_while(self.lock(), at_most, |inner| inner.last <= after.0);
        Ok(waited.expect("nobody panicked").0.last > after.0)
    }

    fn keep(&self, name: &str, bytes: &[u8]) -> Result<(), PortFault> {
        let mut inner = self.lock();
        inner.step()?;
        inner.kept.insert(name.to_owned(), bytes.to_vec());
        Ok(())
    }

    fn kept(&self, name: &str) -> Result<Option<Vec<u8>>, PortFault> {
        let mut inner = self.lock();
        if inner.reads_fail > 0 {
            inner.reads_fail -= 1;
            return Err(lost());
        }
        Ok(inner.kept.get(name).cloned())
    }

    fn names(&self) -> Result<Vec<String>, PortFault> {
        Ok(self.lock().kept.keys().cloned().collect())
    }

    fn forget(&self, name: &str) -> Result<(), PortFault> {
        let mut inner = self.lock();
        inner.step()?;
        inner.kept.remove(name);
        Ok(())
    }
}

fn open(folder: &Path, ledger: &Arc<MemoryLedger>, me: &str) -> SharedStore {
    let local = EmbeddedStore::open(folder, Options::default()).expect("opens");
    let shared = SharedStore::open(local, ledger.clone(), me.to_owned()).expect("follows");
    shared.catch_up(|_, _| {}).expect("catches up");
    shared
}

#[test]
fn it_does_what_the_trait_says() {
    let folder = tempfile::tempdir().expect("a folder");
    let ledger = Arc::new(MemoryLedger::new());
    let mut starts = 0;
    conformance::store(&mut || {
        starts += 1;
        Box::new(open(folder.path(), &ledger, &format!("me-{starts}")))
    });
}

#[test]
fn it_does_what_the_trait_says_from_an_empty_folder_each_time() {
    let folder = tempfile::tempdir().expect("a folder");
    let ledger = Arc::new(MemoryLedger::new());
    let mut starts = 0;
    conformance::store(&mut || {
        starts += 1;
        let folder = folder.path().join(starts.to_string());
        Box::new(open(&folder, &ledger, &format!("me-{starts}")))
    });
}

fn commit_of(store: &SharedStore, epoch: u64, position: u64, id: &str) -> Result<u64, FaultClass> {
    let commit = Commit {
        partition: Partition(0),
        epoch: tripline_core::port::Epoch(epoch),
        position: Sequence(position),
        findings: vec![finding(id, "rule", 0)],
        dead: vec![dead_letter(position, b"dead")],
        ..Commit::default()
    };
    store
        .commit(&commit)
        .map(|done| done.new)
        .map_err(|fault| fault.class)
}

fn dead_of(store: &SharedStore) -> Vec<u64> {
    let filter = DeadFilter {
        after: DeadNumber(0),
        max: 1000,
    };
    let letters = store.dead_letters(&filter).expect("reads");
    letters.into_iter().map(|(_, one)| one.sequence.0).collect()
}

#[test]
fn whoever_was_taken_over_is_fenced_off() {
    let folders = [(); 2].map(|()| tempfile::tempdir().expect("a folder"));
    let ledger = Arc::new(MemoryLedger::new());
    let [one, other] = [0, 1].map(|at| open(folders[at].path(), &ledger, &format!("me-{at}")));
    let first = one.take_over(Partition(0)).expect("takes over");
    assert_eq!(commit_of(&one, first.epoch.0, 5, "a"), Ok(1));
    let state = SnapshotKept {
        position: Sequence(5),
        bytes: b"remembered".to_vec(),
    };
    one.keep_snapshot(Partition(0), first.epoch, &state)
        .expect("keeps");
    let second = other.take_over(Partition(0)).expect("takes over");
    assert_eq!(second.position, Sequence(5));
    assert_eq!(second.snapshot.as_ref(), Some(&state));
    assert!(second.epoch > first.epoch);
    assert_eq!(
        commit_of(&one, first.epoch.0, 6, "b"),
        Err(FaultClass::Fenced)
    );
    let late = one.keep_snapshot(Partition(0), first.epoch, &state);
    assert_eq!(late.map_err(|fault| fault.class), Err(FaultClass::Fenced));
    assert_eq!(commit_of(&other, second.epoch.0, 6, "c"), Ok(1));
    one.catch_up(|_, _| {}).expect("catches up");
    let filter = FindingFilter {
        max: 10,
        ..FindingFilter::default()
    };
    let pages = [&one, &other].map(|store| store.findings(&filter).expect("reads"));
    assert_eq!(pages[0], pages[1]);
    let ids: Vec<&str> = pages[0]
        .found
        .iter()
        .map(|stored| stored.finding.finding_id.as_str())
        .collect();
    assert_eq!(ids, ["c", "a"]);
    // Snapshots that nobody needs any more are gone.
    let newer = SnapshotKept {
        position: Sequence(6),
        bytes: b"more".to_vec(),
    };
    other
        .keep_snapshot(Partition(0), second.epoch, &newer)
        .expect("keeps");
    assert_eq!(ledger.names().expect("lists").len(), 1);
}

#[test]
fn a_change_of_which_nobody_knows_what_became_is_made_once() {
    for fault in [Lost::Request, Lost::Answer] {
        let folder = tempfile::tempdir().expect("a folder");
        let ledger = Arc::new(MemoryLedger::new());
        let store = open(folder.path(), &ledger, "me");
        let epoch = store.take_over(Partition(0)).expect("takes over").epoch.0;
        ledger.lock().faults = vec![fault];
        assert_eq!(commit_of(&store, epoch, 1, "a"), Err(FaultClass::Retry));
        let asked_again = commit_of(&store, epoch, 1, "a");
        assert_eq!(asked_again, Ok(1), "{fault:?}");
        assert_eq!(dead_of(&store), [1], "{fault:?}");
        // What comes after it is another one.
        ledger.lock().faults = vec![fault];
        assert_eq!(commit_of(&store, epoch, 2, "b"), Err(FaultClass::Retry));
        assert_eq!(commit_of(&store, epoch, 3, "c"), Ok(1), "{fault:?}");
        let expected: &[u64] = match fault {
            Lost::Answer => &[1, 2, 3],
            _ => &[1, 3],
        };
        assert_eq!(dead_of(&store), expected);
        ledger.lock().faults = vec![fault];
        let reached = store.sink_reached("sink", Sequence(1), &[dead_letter(9, b"x")]);
        assert!(reached.is_err());
        store
            .sink_reached("sink", Sequence(1), &[dead_letter(9, b"x")])
            .expect("reaches");
        assert_eq!(dead_of(&store).len(), expected.len() + 1, "{fault:?}");
    }
}

#[test]
fn a_ledger_that_lost_entries_is_noticed() {
    let folder = tempfile::tempdir().expect("a folder");
    let ledger = Arc::new(MemoryLedger::new());
    let store = open(folder.path(), &ledger, "me");
    store.take_over(Partition(0)).expect("takes over");
    drop(store);
    let local = EmbeddedStore::open(folder.path(), Options::default()).expect("opens");
    let other = Arc::new(MemoryLedger::new());
    let refused = SharedStore::open(local, other, "me".to_owned());
    let fault = refused.err().expect("it is refused");
    assert_eq!(fault.class, FaultClass::Stop);
    assert!(fault.to_string().contains("it lost some"), "{fault}");
}

#[test]
fn an_entry_that_cannot_be_read_stops_everything() {
    let folder = tempfile::tempdir().expect("a folder");
    let ledger = Arc::new(MemoryLedger::new());
    let store = open(folder.path(), &ledger, "me");
    store.take_over(Partition(0)).expect("takes over");
    ledger
        .append("partition-1", None, b"{\"v\":2}")
        .expect("appends");
    let stopped = store.take_over(Partition(0)).err().map(|fault| fault.class);
    assert_eq!(stopped, Some(FaultClass::Stop));
}

/// What is done to the processes.
#[derive(Clone, Debug)]
enum Act {
    /// A process takes a partition over.
    Take(usize, u32),
    /// A process commits the next record of a partition, whether it holds it or not.
    Commit(usize, u32),
    Snapshot(usize, u32),
    Sink(usize),
    Drop(usize),
    Forget(usize, i64),
    /// A process is killed and starts again, with its folder or without.
    Restart(usize, bool),
    Publish(usize, u32),
    /// A process evaluates a partition with what is published, whether it holds it or not.
    Switch(usize, u32),
    /// A process is killed, and stays away until it starts again.
    Leave(usize),
    /// A process shortens the ledger, and may be killed after so many steps.
    Shorten(usize, Option<u32>),
    Lose(bool),
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let process = 0..3usize;
    let partition = 0..2u32;
    let act = prop_oneof![
        3 => (process.clone(), partition.clone()).prop_map(|(one, of)| Act::Take(one, of)),
        8 => (process.clone(), partition.clone()).prop_map(|(one, of)| Act::Commit(one, of)),
        2 => (process.clone(), partition.clone()).prop_map(|(one, of)| Act::Snapshot(one, of)),
        1 => (process.clone(), 0..4u32).prop_map(|(one, version)| Act::Publish(one, version)),
        2 => (process.clone(), partition).prop_map(|(one, of)| Act::Switch(one, of)),
        1 => process.clone().prop_map(Act::Sink),
        1 => process.clone().prop_map(Act::Drop),
        1 => (process.clone(), 0..100i64).prop_map(|(one, time)| Act::Forget(one, time)),
        2 => (process.clone(), any::<bool>()).prop_map(|(one, keeps)| Act::Restart(one, keeps)),
        1 => process.clone().prop_map(Act::Leave),
        4 => (process, proptest::option::of(0..12u32)).prop_map(|(one, dies)| Act::Shorten(one, dies)),
        2 => any::<bool>().prop_map(Act::Lose),
    ];
    proptest::collection::vec(act, 1..80)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn all_end_up_the_same(acts in acts()) {
        let root = tempfile::tempdir().expect("a folder");
        let ledger = Arc::new(MemoryLedger::new());
        let mut starts = 0u32;
        let fresh = |number: usize, keeps: bool, starts: &mut u32| {
            *starts += 1;
            let folder = root.path().join(match keeps {
                true => format!("{number}"),
                false => format!("{number}-{starts}"),
            });
            open(&folder, &ledger, &format!("{number}-{starts}"))
        };
        let mut stores: Vec<Option<SharedStore>> =
            (0..3).map(|number| Some(fresh(number, true, &mut starts))).collect();
        let mut epochs: BTreeMap<(usize, u32), u64> = BTreeMap::new();
        let mut acknowledged: BTreeSet<String> = BTreeSet::new();
        let mut positions: BTreeMap<u32, u64> = BTreeMap::new();
        let mut time = 0;
        let forgot = acts.iter().any(|act| matches!(act, Act::Forget(..)));
        for act in acts {
            time += 1;
            let of = match act {
                Act::Take(one, _) | Act::Commit(one, _) | Act::Snapshot(one, _) | Act::Sink(one) => Some(one),
                Act::Publish(one, _) | Act::Switch(one, _) => Some(one),
                Act::Drop(one) | Act::Forget(one, _) | Act::Shorten(one, _) => Some(one),
                Act::Restart(..) | Act::Leave(_) | Act::Lose(_) => None,
            };
            if of.is_some_and(|one| stores[one].is_none()) {
                continue;
            }
            let store = |number: usize| stores[number].as_ref().expect("it runs");
            match act {
                Act::Take(one, of) => {
                    store(one).set_now(EventTime::from_micros(time));
                    if let Ok(taken) = store(one).take_over(Partition(of)) {
                        let known = positions.get(&of).copied().unwrap_or(0);
                        prop_assert!(taken.position.0 >= known, "{} < {known}", taken.position.0);
                        epochs.insert((one, of), taken.epoch.0);
                    }
                }
                Act::Commit(one, of) => {
                    let Some(epoch) = epochs.get(&(one, of)) else { continue };
                    let next = positions.get(&of).copied().unwrap_or(0) + 1;
                    let id = format!("{of}-{next}");
                    let commit = Commit {
                        partition: Partition(of),
                        epoch: tripline_core::port::Epoch(*epoch),
                        position: Sequence(next),
                        findings: vec![finding(&id, "rule", 0), finding("of all", "rule", time as u64)],
                        dead: vec![dead_letter(next, b"dead")],
                        ..Commit::default()
                    };
                    store(one).set_now(EventTime::from_micros(time));
                    match store(one).commit(&commit) {
                        Ok(_) => {
                            acknowledged.insert(id);
                            positions.insert(of, next);
                        }
                        Err(fault) => prop_assert!(
                            matches!(fault.class, FaultClass::Fenced | FaultClass::Retry | FaultClass::Reject),
                            "{fault}"
                        ),
                    }
                }
                Act::Snapshot(one, of) => {
                    let Some(epoch) = epochs.get(&(one, of)) else { continue };
                    let kept = SnapshotKept {
                        position: Sequence(positions.get(&of).copied().unwrap_or(0)),
                        bytes: format!("{of}").into_bytes(),
                    };
                    let _ = store(one).keep_snapshot(Partition(of), tripline_core::port::Epoch(*epoch), &kept);
                }
                Act::Publish(one, version) => {
                    let version = format!("v{version}");
                    let _ = store(one).publish(&version, version.as_bytes());
                }
                Act::Switch(one, of) => {
                    let (Some(epoch), Some(version)) = (epochs.get(&(one, of)), store(one).published()) else {
                        continue;
                    };
                    let holder = (Partition(of), tripline_core::port::Epoch(*epoch));
                    let _ = store(one).switch(holder, &version, time % 3 == 0);
                }
                Act::Sink(one) => {
                    let newest = store(one).newest().expect("reads");
                    let _ = store(one).sink_reached("sink", newest, &[]);
                }
                Act::Drop(one) => {
                    let _ = store(one).drop_dead_letters(&[DeadNumber(time as u64 % 7)]);
                }
                Act::Forget(one, before) => {
                    let _ = store(one).forget_before(EventTime::from_micros(before));
                }
                Act::Restart(one, keeps) => {
                    stores[one] = None;
                    stores[one] = Some(fresh(one, keeps, &mut starts));
                    epochs.retain(|(process, _), _| *process != one);
                }
                Act::Leave(one) => {
                    stores[one] = None;
                    epochs.retain(|(process, _), _| *process != one);
                }
                Act::Shorten(one, dies) => {
                    ledger.lock().dies_after = dies;
                    let there = || stores.iter().flatten().map(|one| one.follows().place).min();
                    let shortened = store(one).shorten(4, &there);
                    let was_killed = ledger.lock().dies_after.take() == Some(0);
                    match shortened {
                        Err(fault) if fault.class == FaultClass::Stop => {
                            prop_assert!(was_killed, "{fault}");
                            stores[one] = None;
                            stores[one] = Some(fresh(one, true, &mut starts));
                            epochs.retain(|(process, _), _| *process != one);
                        }
                        Err(fault) => prop_assert_eq!(fault.class, FaultClass::Retry, "{}", fault),
                        Ok(_) => {}
                    }
                }
                Act::Lose(is_answer) => {
                    let lost = if is_answer { Lost::Answer } else { Lost::Request };
                    ledger.lock().faults.push(lost);
                }
            }
        }
        ledger.lock().faults.clear();
        for (one, store) in stores.iter_mut().enumerate() {
            store.get_or_insert_with(|| fresh(one, true, &mut starts));
        }
        // One that begins at the end has the same as those that were there all along.
        stores.push(Some(fresh(9, true, &mut starts)));
        let all = FindingFilter { max: 1000, ..FindingFilter::default() };
        let mut seen = Vec::new();
        for store in stores.iter().flatten() {
            store.catch_up(|_, _| {}).expect("catches up");
            seen.push((
                store.findings(&all).expect("reads"),
                store.outgoing(Sequence(0), 1000).expect("reads"),
                store.dead_letters(&DeadFilter { after: DeadNumber(0), max: 1000 }).expect("reads"),
                store.sinks().expect("reads"),
                store.newest().expect("reads"),
                (store.published(), [0, 1].map(|of| store.version_of(Partition(of)))),
            ));
            for version in [0, 1].iter().filter_map(|of| store.version_of(Partition(*of))) {
                prop_assert_eq!(store.version(&version.1).expect("reads"), version.1.as_bytes());
            }
        }
        for one in &seen {
            prop_assert_eq!(one, &seen[0]);
        }
        if !forgot {
            let ids: BTreeSet<String> = seen[0].0.found.iter().map(|one| one.finding.finding_id.clone()).collect();
            prop_assert!(acknowledged.is_subset(&ids), "{acknowledged:?} {ids:?}");
        }
    }
}

#[test]
fn a_take_over_of_which_nobody_knows_is_not_believed_later() {
    let folders = [(); 2].map(|()| tempfile::tempdir().expect("a folder"));
    let ledger = Arc::new(MemoryLedger::new());
    let [one, other] = [0, 1].map(|at| open(folders[at].path(), &ledger, &format!("me-{at}")));
    ledger.lock().faults = vec![Lost::Answer];
    let lost = one.take_over(Partition(0)).err().map(|fault| fault.class);
    assert_eq!(lost, Some(FaultClass::Retry));
    let epoch = other.take_over(Partition(0)).expect("takes over").epoch.0;
    assert_eq!(commit_of(&other, epoch, 1, "a"), Ok(1));
    let taken = one.take_over(Partition(0)).expect("takes over");
    assert_eq!(taken.position, Sequence(1));
    assert!(taken.epoch.0 > epoch);
}

#[test]
fn whoever_was_overtaken_leaves_the_snapshots_of_others_alone() {
    let folders = [(); 2].map(|()| tempfile::tempdir().expect("a folder"));
    let ledger = Arc::new(MemoryLedger::new());
    let [one, other] = [0, 1].map(|at| open(folders[at].path(), &ledger, &format!("me-{at}")));
    // One takes over, and before it tidies up the other does, and keeps what it remembers.
    let first = one.take_over(Partition(0)).expect("takes over");
    let second = other.take_over(Partition(0)).expect("takes over");
    assert_eq!(commit_of(&other, second.epoch.0, 5, "a"), Ok(1));
    let state = SnapshotKept {
        position: Sequence(5),
        bytes: b"remembered".to_vec(),
    };
    other
        .keep_snapshot(Partition(0), second.epoch, &state)
        .expect("keeps");
    let name = ledger.names().expect("lists").remove(0);
    let number: u64 = name
        .rsplit('-')
        .next()
        .expect("a number")
        .parse()
        .expect("a number");
    assert_eq!(number >> 32, second.epoch.0, "whose it is can be told");
    // What nobody points to goes, what is of a later epoch stays.
    let old = format!("state-0-{}", first.epoch.0 << 32 | 77);
    let newer = format!("state-0-{}", (second.epoch.0 + 9) << 32 | 77);
    ledger.keep(&old, b"left over").expect("keeps");
    ledger.keep(&newer, b"of somebody else").expect("keeps");
    ledger.keep("partitions", b"4").expect("keeps");
    let third = one.take_over(Partition(0)).expect("takes over");
    assert_eq!(third.snapshot, Some(state));
    let mut names = ledger.names().expect("lists");
    names.sort();
    let mut wanted = ["partitions".to_owned(), name, newer];
    wanted.sort();
    assert_eq!(names, wanted);
}

#[test]
fn a_snapshot_that_cannot_be_read_yet_is_no_further_take_over() {
    let folder = tempfile::tempdir().expect("a folder");
    let ledger = Arc::new(MemoryLedger::new());
    let store = open(folder.path(), &ledger, "me");
    let epoch = store.take_over(Partition(0)).expect("takes over").epoch;
    assert_eq!(commit_of(&store, epoch.0, 5, "a"), Ok(1));
    let state = SnapshotKept {
        position: Sequence(5),
        bytes: b"remembered".to_vec(),
    };
    store
        .keep_snapshot(Partition(0), epoch, &state)
        .expect("keeps");
    ledger.lock().reads_fail = 3;
    for _ in 0..3 {
        let failed = store.take_over(Partition(0)).err().map(|fault| fault.class);
        assert_eq!(failed, Some(FaultClass::Retry));
    }
    let taken = store.take_over(Partition(0)).expect("takes over");
    assert_eq!((taken.epoch.0, taken.starts), (epoch.0 + 1, 1));
    assert_eq!(taken.snapshot, Some(state));
}

#[test]
fn no_clock_of_one_process_moves_the_time_of_all() {
    let folder = tempfile::tempdir().expect("a folder");
    let ledger = Arc::new(MemoryLedger::new());
    let store = open(folder.path(), &ledger, "me");
    let day = 86_400_000_000;
    let year = 365 * day;
    store.set_now(ledger.taken);
    let epoch = store.take_over(Partition(0)).expect("takes over").epoch.0;
    assert_eq!(commit_of(&store, epoch, 1, "a"), Ok(1));
    // A year ahead, and everything older than a day is to go.
    let ahead = EventTime::from_micros(ledger.taken.micros() + year);
    store.set_now(ahead);
    let before = EventTime::from_micros(ahead.micros() - day);
    assert_eq!(store.forget_before(before).expect("forgets"), 0);
    assert!(store.finding("a").expect("reads").is_some());
}

#[test]
fn what_is_too_long_for_one_entry_is_committed_as_a_whole_in_the_end() {
    let folder = tempfile::tempdir().expect("a folder");
    let ledger = Arc::new(MemoryLedger::new());
    let store = open(folder.path(), &ledger, "me");
    let epoch = store.take_over(Partition(0)).expect("takes over").epoch;
    let before = ledger.lock().entries.len();
    let long = vec![b' '; 6 << 20];
    let events = (0..7).map(|number| KeptEvent {
        id: format!("e-{number}"),
        bytes: long.clone(),
    });
    let commit = Commit {
        partition: Partition(0),
        epoch,
        position: Sequence(9),
        events: events.collect(),
        findings: vec![finding("a", "rule", 0), finding("b", "rule", 0)],
        dead: vec![dead_letter(3, b"dead")],
        ..Commit::default()
    };
    // The answer to the second part is lost.
    ledger.lock().faults = vec![Lost::Answer, Lost::Nothing];
    let lost = store.commit(&commit).err().map(|fault| fault.class);
    assert_eq!(lost, Some(FaultClass::Retry));
    assert_eq!(store.position(Partition(0)).expect("looks"), Sequence(0));
    store.commit(&commit).expect("commits");
    assert_eq!(store.position(Partition(0)).expect("looks"), Sequence(9));
    let entries = ledger.lock().entries.len() - before;
    assert!((4..=6).contains(&entries), "{entries} entries");
    assert_eq!(dead_of(&store), [3]);
    for id in ["a", "b"] {
        assert!(store.finding(id).expect("reads").is_some(), "{id}");
    }
    assert_eq!(
        store.event("e-6").expect("reads").map(|one| one.len()),
        Some(long.len())
    );
}

#[test]
fn a_ledger_that_goes_back_while_it_is_used_stops_whoever_notices() {
    let folder = tempfile::tempdir().expect("a folder");
    let ledger = Arc::new(MemoryLedger::new());
    let store = open(folder.path(), &ledger, "me");
    let epoch = store.take_over(Partition(0)).expect("takes over").epoch.0;
    assert_eq!(commit_of(&store, epoch, 1, "a"), Ok(1));
    let mut inner = ledger.lock();
    inner.entries.pop();
    inner.last = inner.entries.last().expect("one is left").0;
    drop(inner);
    assert_eq!(
        commit_of(&store, epoch, 2, "b"),
        Err(FaultClass::Stop),
        "what was acknowledged is gone"
    );
    let words = store.follows().stopped.expect("it follows no more");
    assert!(
        words.contains("it lost what it had acknowledged"),
        "{words}"
    );
}

/// Shortens whatever is to be shortened, as all are there that are to be waited for.
fn shorten(store: &SharedStore) -> Shortened {
    store
        .shorten(1, &|| Some(store.follows().place))
        .expect("shortens")
}

/// A ledger that was shortened twice, by one who found 30 things, and the folder of that one.
fn shortened() -> (tempfile::TempDir, Arc<MemoryLedger>, SharedStore) {
    let folder = tempfile::tempdir().expect("a folder");
    let ledger = Arc::new(MemoryLedger::new());
    let store = open(folder.path(), &ledger, "me");
    let epoch = store.take_over(Partition(0)).expect("takes over").epoch.0;
    store.take_over(Partition(7)).expect("takes over");
    for number in 1..=30 {
        assert_eq!(
            commit_of(&store, epoch, number, &format!("{number}")),
            Ok(1)
        );
        if number % 10 == 0 {
            shorten(&store);
        }
    }
    (folder, ledger, store)
}

fn images_of(ledger: &MemoryLedger) -> Vec<String> {
    let names = ledger.names().expect("lists");
    let whole = names.into_iter().filter(|one| !one.contains('.'));
    whole.filter(|one| one.starts_with("image-")).collect()
}

fn number_of_findings(store: &SharedStore) -> usize {
    let all = FindingFilter {
        max: 1000,
        ..FindingFilter::default()
    };
    store.findings(&all).expect("reads").found.len()
}

#[test]
fn the_ledger_is_shortened_and_whoever_comes_later_has_all_of_it() {
    let (_folder, ledger, store) = shortened();
    assert_eq!(images_of(&ledger).len(), 2);
    {
        let inner = ledger.lock();
        let entries = inner.entries.len();
        assert!(entries < 20, "{entries} entries");
        // Of a key that nobody used for long the newest entry is there too.
        assert!(inner.newest("partition-7") > inner.purged);
    }
    let empty = tempfile::tempdir().expect("a folder");
    let newcomer = open(empty.path(), &ledger, "other");
    let began = newcomer.began();
    assert_eq!((began.had, began.wrong.len()), (Sequence(0), 0));
    assert!(began.loaded.is_some());
    assert_eq!(number_of_findings(&newcomer), 30);
    assert_eq!(
        newcomer.outgoing(Sequence(0), 100).expect("reads"),
        store.outgoing(Sequence(0), 100).expect("reads")
    );
    // It goes on with the work, and the one before is fenced off.
    let taken = newcomer.take_over(Partition(0)).expect("takes over");
    assert_eq!(taken.position, Sequence(30));
    assert_eq!(commit_of(&newcomer, taken.epoch.0, 31, "31"), Ok(1));
    assert_eq!(
        commit_of(&store, taken.epoch.0 - 1, 31, "x"),
        Err(FaultClass::Fenced)
    );
    // And it starts again with what it has.
    drop(newcomer);
    let again = open(empty.path(), &ledger, "other again");
    assert_eq!(again.began().loaded, None);
    assert_eq!(number_of_findings(&again), 31);
}

#[test]
fn whoever_was_away_longer_than_the_ledger_reaches_loads_an_image() {
    let away = tempfile::tempdir().expect("a folder");
    let folder = tempfile::tempdir().expect("a folder");
    let ledger = Arc::new(MemoryLedger::new());
    let old = open(away.path(), &ledger, "old");
    let epoch = old.take_over(Partition(0)).expect("takes over").epoch.0;
    assert_eq!(commit_of(&old, epoch, 1, "1"), Ok(1));
    drop(old);
    let store = open(folder.path(), &ledger, "me");
    let epoch = store.take_over(Partition(0)).expect("takes over").epoch.0;
    for number in 2..=9 {
        assert_eq!(
            commit_of(&store, epoch, number, &format!("{number}")),
            Ok(1)
        );
        shorten(&store);
    }
    let back = open(away.path(), &ledger, "back");
    assert!(back.began().had > Sequence(0) && back.began().loaded.is_some());
    assert_eq!(number_of_findings(&back), 9);
}

#[test]
fn whoever_is_there_is_waited_for() {
    let (_folder, ledger, store) = shortened();
    let first = ledger.first().expect("looks");
    let epoch = store.take_over(Partition(0)).expect("takes over").epoch.0;
    assert_eq!(commit_of(&store, epoch, 31, "31"), Ok(1));
    let behind = Sequence(first.0 + 1);
    let waits = store.shorten(1, &|| Some(behind)).expect("shortens");
    assert!(waits.image.is_some() && waits.waits.is_some());
    assert_eq!(waits.through, None);
    assert_eq!(ledger.first().expect("looks"), first);
    let done = shorten(&store);
    assert_eq!((done.image, done.through), (None, waits.waits));
    assert_eq!(images_of(&ledger).len(), 2);
    // What keeps the head of a key is an entry too, which may be read by now or not: a few entries are no reason for an image.
    let all = || Some(store.follows().place);
    assert_eq!(
        store.shorten(100, &all).expect("shortens"),
        Shortened::default()
    );
}

/// Opens a store of which nothing is there, or says why not.
fn opened(ledger: &Arc<MemoryLedger>) -> Result<(SharedStore, tempfile::TempDir), PortFault> {
    let folder = tempfile::tempdir().expect("a folder");
    let local = EmbeddedStore::open(folder.path(), Options::default()).expect("opens");
    let store = SharedStore::open(local, ledger.clone(), "newcomer".to_owned())?;
    store.catch_up(|_, _| {})?;
    Ok((store, folder))
}

#[test]
fn an_image_that_is_damaged_or_missing_is_harmless_as_long_as_there_is_another() {
    type Harm = fn(&mut Inner, &str);
    let harms: [Harm; 5] = [
        |inner, image| *inner.kept.get_mut(image).expect("it is there") = b"x".to_vec(),
        |inner, image| {
            let part = inner.kept.get_mut(&format!("{image}.0"));
            let part = part.expect("it is there");
            let middle = part.len() / 2;
            part[middle] ^= 1;
        },
        |inner, image| {
            inner.kept.remove(&format!("{image}.0"));
        },
        |inner, image| {
            inner.kept.remove(image);
        },
        |inner, image| {
            let text = inner.kept.get_mut(image).expect("it is there");
            let last = text.len() - 2;
            text[last] ^= 1;
        },
    ];
    for (number, harm) in harms.into_iter().enumerate() {
        let (_folder, ledger, store) = shortened();
        let mut images = images_of(&ledger);
        images.sort_by_key(|name| {
            name.split('-')
                .nth(1)
                .and_then(|one| one.parse::<u64>().ok())
        });
        harm(&mut ledger.lock(), &images[1]);
        let (newcomer, _its) = opened(&ledger).expect("loads the older one");
        assert_eq!(number_of_findings(&newcomer), 30, "{number}");
        let wrong = newcomer.began().wrong.len();
        // It began anew with the one that could be loaded.
        assert!(wrong <= 1, "{number}");
        harm(&mut ledger.lock(), &images[0]);
        let fault = opened(&ledger).err().expect("there is none");
        assert_eq!(fault.class, FaultClass::Stop, "{number}: {fault}");
        assert!(
            fault.to_string().contains("no image can be loaded"),
            "{fault}"
        );
        // Whoever has it all writes new ones, in time.
        let epoch = store.take_over(Partition(0)).expect("takes over").epoch.0;
        for position in 31..=33 {
            let id = format!("{position}");
            assert_eq!(commit_of(&store, epoch, position, &id), Ok(1));
            shorten(&store);
        }
        let (newcomer, _its) = opened(&ledger).expect("loads");
        assert_eq!(number_of_findings(&newcomer), 33, "{number}");
    }
}

#[test]
fn whoever_begins_with_a_damaged_image_reads_the_ledger_where_that_is_whole() {
    let folder = tempfile::tempdir().expect("a folder");
    let ledger = Arc::new(MemoryLedger::new());
    let store = open(folder.path(), &ledger, "me");
    let epoch = store.take_over(Partition(0)).expect("takes over").epoch.0;
    assert_eq!(commit_of(&store, epoch, 1, "1"), Ok(1));
    shorten(&store);
    let image = images_of(&ledger).remove(0);
    ledger.lock().kept.remove(&format!("{image}.0"));
    let (newcomer, _its) = opened(&ledger).expect("follows");
    assert_eq!(newcomer.began().loaded, None);
    assert_eq!(newcomer.began().wrong.len(), 1);
    assert_eq!(number_of_findings(&newcomer), 1);
}

#[test]
fn a_ledger_that_went_back_is_not_hidden_by_an_image() {
    let (folder, ledger, store) = shortened();
    drop(store);
    {
        let mut inner = ledger.lock();
        let purged = inner.purged;
        inner.entries.retain(|one| one.0 <= purged + 3);
        inner.last = purged + 3;
    }
    let fault = opened(&ledger).err().expect("it is refused");
    assert_eq!(fault.class, FaultClass::Stop);
    assert!(fault.to_string().contains("it lost some"), "{fault}");
    let local = EmbeddedStore::open(folder.path(), Options::default()).expect("opens");
    let refused = SharedStore::open(local, ledger, "me".to_owned());
    let fault = refused.err().expect("it is refused");
    assert!(fault.to_string().contains("it lost some"), "{fault}");
}

#[test]
fn a_store_of_no_ledger_is_not_given_up_for_an_image() {
    let (_folder, ledger, _store) = shortened();
    let own = tempfile::tempdir().expect("a folder");
    let local = EmbeddedStore::open(own.path(), Options::default()).expect("opens");
    local.take_over(Partition(0)).expect("takes over");
    let refused = SharedStore::open(local, ledger, "me".to_owned());
    let fault = refused.err().expect("it is refused");
    assert!(fault.to_string().contains("of no ledger"), "{fault}");
    let local = EmbeddedStore::open(own.path(), Options::default()).expect("opens");
    let position = local.take_over(Partition(0)).expect("takes over");
    assert_eq!(position.epoch.0, 2);
}

#[test]
fn several_shorten_at_once_while_all_work() {
    let folders = [(); 3].map(|()| tempfile::tempdir().expect("a folder"));
    let ledger = Arc::new(MemoryLedger::new());
    let stores: Vec<SharedStore> = (0..3)
        .map(|at| open(folders[at].path(), &ledger, &format!("me-{at}")))
        .collect();
    let everybody = || stores.iter().map(|one| one.follows().place).min();
    std::thread::scope(|scope| {
        for (number, store) in stores.iter().enumerate() {
            let everybody = &everybody;
            scope.spawn(move || {
                let partition = Partition(number as u32);
                let epoch = store.take_over(partition).expect("takes over").epoch;
                for position in 1..=60 {
                    let commit = Commit {
                        partition,
                        epoch,
                        position: Sequence(position),
                        findings: vec![finding(&format!("{number}-{position}"), "rule", 0)],
                        ..Commit::default()
                    };
                    store.commit(&commit).expect("commits");
                    if position % 4 == 0 {
                        store.shorten(10, everybody).expect("shortens");
                    }
                }
            });
        }
    });
    let entries = ledger.lock().entries.len();
    assert!(entries < 150, "{entries} entries of 180 and more");
    let (newcomer, _its) = opened(&ledger).expect("loads");
    assert!(newcomer.began().loaded.is_some());
    assert_eq!(number_of_findings(&newcomer), 180);
    for store in &stores {
        store.catch_up(|_, _| {}).expect("catches up");
        assert_eq!(
            store.outgoing(Sequence(0), 1000).expect("reads"),
            newcomer.outgoing(Sequence(0), 1000).expect("reads")
        );
    }
}

#[test]
fn whoever_is_overtaken_while_it_is_held_up_says_so() {
    let folder = tempfile::tempdir().expect("a folder");
    let ledger = Arc::new(MemoryLedger::new());
    let store = open(folder.path(), &ledger, "me");
    let epoch = store.take_over(Partition(0)).expect("takes over").epoch.0;
    assert_eq!(commit_of(&store, epoch, 1, "1"), Ok(1));
    {
        // All at once: more came, and it is gone again.
        let mut inner = ledger.lock();
        inner.last += 50;
        inner.purged = inner.last - 1;
        inner.entries.clear();
        let last = inner.last;
        inner.entries.push((last, "sinks".to_owned(), Vec::new()));
    }
    ledger.changed.notify_all();
    let begun = std::time::Instant::now();
    let words = loop {
        if let Some(words) = store.follows().stopped {
            break words;
        }
        assert!(begun.elapsed() < Duration::from_secs(10), "it stops");
        std::thread::sleep(Duration::from_millis(5));
    };
    assert!(words.contains("it was shortened while"), "{words}");
    assert!(store.follows().is_overtaken);
}

#[test]
fn a_partition_is_evaluated_with_one_version_up_to_a_record_and_with_another_after_it() {
    let folders = [(); 2].map(|()| tempfile::tempdir().expect("a folder"));
    let ledger = Arc::new(MemoryLedger::new());
    let [one, other] = [0, 1].map(|at| open(folders[at].path(), &ledger, &format!("me-{at}")));
    let partition = Partition(0);
    assert_eq!((one.published(), one.version_of(partition)), (None, None));
    one.publish("v1", b"first").expect("publishes");
    let taken = one.take_over(partition).expect("takes over");
    one.switch((partition, taken.epoch), "v1", false)
        .expect("switches");
    assert_eq!(commit_of(&one, taken.epoch.0, 5, "a"), Ok(1));
    let state = |position| SnapshotKept {
        position: Sequence(position),
        bytes: b"remembered".to_vec(),
    };
    one.keep_snapshot(partition, taken.epoch, &state(5))
        .expect("keeps");
    assert_eq!(commit_of(&one, taken.epoch.0, 8, "b"), Ok(1));
    other.publish("v2", b"second").expect("publishes");
    one.catch_up(|_, _| {}).expect("catches up");
    assert_eq!(one.published().as_deref(), Some("v2"));
    // Records 6 to 8 were evaluated with the first one and are not in what is remembered: they must be done again with it.
    assert!(!one.may_switch(partition));
    let early = one.switch((partition, taken.epoch), "v2", false);
    assert_eq!(early.map_err(|fault| fault.class), Err(FaultClass::Reject));
    assert_eq!(other.version("v1").expect("reads"), b"first");
    // Whoever takes it over does so, and goes on with the second one.
    let taken = other.take_over(partition).expect("takes over");
    let late = one.switch((partition, taken.epoch), "v2", false);
    assert!(late.is_err());
    other
        .keep_snapshot(partition, taken.epoch, &state(8))
        .expect("keeps");
    assert!(other.may_switch(partition));
    other
        .switch((partition, taken.epoch), "v2", false)
        .expect("switches");
    let named = Some((Sequence(8), "v2".to_owned()));
    assert_eq!(other.version_of(partition), named);
    one.catch_up(|_, _| {}).expect("catches up");
    assert_eq!(one.version_of(partition), named);
    // Nobody needs the first one any more.
    assert!(one.version("v1").is_err());
    let names = ledger.names().expect("lists");
    let rules: Vec<&String> = names
        .iter()
        .filter(|one| one.starts_with("rules-"))
        .collect();
    assert_eq!(rules.len(), 1, "{names:?}");
    // One that is not there is nobody's; the same again changes nothing.
    let gone = other.switch((partition, taken.epoch), "v1", false);
    assert_eq!(gone.map_err(|fault| fault.class), Err(FaultClass::Reject));
    one.publish("v2", b"second").expect("publishes");
    assert_eq!(ledger.names().expect("lists").len(), names.len());
    // Whoever comes later knows all of it, by the ledger or by an image.
    drop(one);
    let (newcomer, _its) = opened(&ledger).expect("follows");
    assert_eq!(newcomer.version_of(partition), named);
    shorten(&other);
    let (newcomer, _its) = opened(&ledger).expect("loads");
    assert!(newcomer.began().loaded.is_some());
    assert_eq!(newcomer.version_of(partition), named);
    assert_eq!(newcomer.version("v2").expect("reads"), b"second");
    // Rules that remember nothing let go of what others remembered.
    assert_eq!(commit_of(&other, taken.epoch.0, 9, "c"), Ok(1));
    other.publish("v3", b"third").expect("publishes");
    other
        .switch((partition, taken.epoch), "v3", true)
        .expect("switches");
    assert_eq!(
        other.version_of(partition),
        Some((Sequence(9), "v3".to_owned()))
    );
    let taken = other.take_over(partition).expect("takes over");
    assert_eq!((taken.position, taken.snapshot), (Sequence(9), None));
}

#[test]
fn a_version_that_is_damaged_is_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let ledger = Arc::new(MemoryLedger::new());
    let store = open(folder.path(), &ledger, "me");
    store.publish("v1", b"first").expect("publishes");
    for bytes in ledger.lock().kept.values_mut() {
        bytes[0] ^= 1;
    }
    let fault = store.version("v1").expect_err("it is damaged");
    assert!(fault.to_string().contains("publish it again"), "{fault}");
    // Which mends it.
    store.publish("v1", b"first").expect("publishes");
    assert_eq!(store.version("v1").expect("reads"), b"first");
}
