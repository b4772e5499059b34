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
use tripline_store::shared::SharedStore;

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
    kept: BTreeMap<String, Vec<u8>>,
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

    fn last(&self) -> u64 {
        self.entries.last().map_or(0, |(place, _, _)| *place)
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
        let fault = inner.faults.pop().unwrap_or(Lost::Nothing);
        if fault == Lost::Request {
            return Err(lost());
        }
        if expected.is_some_and(|place| place.0 != inner.newest(key)) {
            return Err(PortFault::new(FaultClass::Fenced, "append"));
        }
        // Places have holes.
        let place = inner.last() + 1 + key.len() as u64 % 3;
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
        Ok(Sequence(self.lock().last()))
    }

    fn read(&self, after: Sequence) -> Result<Vec<Entry>, PortFault> {
        let inner = self.lock();
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
            .wait_timeout_while(self.lock(), at_most, |inner| inner.last() <= after.0);
        Ok(waited.expect("nobody panicked").0.last() > after.0)
    }

    fn keep(&self, name: &str, bytes: &[u8]) -> Result<(), PortFault> {
        self.lock().kept.insert(name.to_owned(), bytes.to_vec());
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
        self.lock().kept.remove(name);
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
    Lose(bool),
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let process = 0..3usize;
    let partition = 0..2u32;
    let act = prop_oneof![
        3 => (process.clone(), partition.clone()).prop_map(|(one, of)| Act::Take(one, of)),
        8 => (process.clone(), partition.clone()).prop_map(|(one, of)| Act::Commit(one, of)),
        2 => (process.clone(), partition).prop_map(|(one, of)| Act::Snapshot(one, of)),
        1 => process.clone().prop_map(Act::Sink),
        1 => process.clone().prop_map(Act::Drop),
        1 => (process.clone(), 0..100i64).prop_map(|(one, time)| Act::Forget(one, time)),
        1 => (process, any::<bool>()).prop_map(|(one, keeps)| Act::Restart(one, keeps)),
        2 => any::<bool>().prop_map(Act::Lose),
    ];
    proptest::collection::vec(act, 1..60)
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
                Act::Lose(is_answer) => {
                    let lost = if is_answer { Lost::Answer } else { Lost::Request };
                    ledger.lock().faults.push(lost);
                }
            }
        }
        ledger.lock().faults.clear();
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
            ));
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
    ledger.lock().entries.pop();
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
