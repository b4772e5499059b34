//! Both stores do what the trait says.

use std::sync::Arc;
use tripline_core::port::conformance::dead_letter;
use tripline_core::port::{
    Checkpoint, Commit, Committed, DeadFilter, DeadLetter, DeadNumber, Epoch, FaultClass,
    FindingFilter, FindingPage, Outgoing, Partition, PortFault, Sequence, SnapshotKept, Store,
    StoredFinding, conformance,
};
use tripline_core::rule::kind::EventTime;
use tripline_store::embedded::{EmbeddedStore, Options};
use tripline_store::memory::MemoryStore;

/// The same store under another handle.
struct Shared(Arc<MemoryStore>);

macro_rules! pass_on {
    ($($name:ident($($argument:ident: $kind:ty),*) -> $returned:ty;)*) => {
        impl Store for Shared {
            $(fn $name(&self, $($argument: $kind),*) -> $returned {
                self.0.$name($($argument),*)
            })*
        }
    };
}

pass_on! {
    take_over(partition: Partition) -> Result<Checkpoint, PortFault>;
    commit(commit: &Commit) -> Result<Committed, PortFault>;
    keep_snapshot(partition: Partition, epoch: Epoch, snapshot: &SnapshotKept) -> Result<(), PortFault>;
    position(partition: Partition) -> Result<Sequence, PortFault>;
    outgoing(after: Sequence, max: usize) -> Result<Vec<Outgoing>, PortFault>;
    newest() -> Result<Sequence, PortFault>;
    sink_position(sink: &str) -> Result<Sequence, PortFault>;
    sink_reached(sink: &str, position: Sequence, dead: &[DeadLetter]) -> Result<(), PortFault>;
    sinks() -> Result<Vec<(String, Sequence)>, PortFault>;
    forget_sink(sink: &str) -> Result<bool, PortFault>;
    finding(id: &str) -> Result<Option<StoredFinding>, PortFault>;
    findings(filter: &FindingFilter) -> Result<FindingPage, PortFault>;
    event(id: &str) -> Result<Option<Vec<u8>>, PortFault>;
    dead_letters(filter: &DeadFilter) -> Result<Vec<(DeadNumber, DeadLetter)>, PortFault>;
    dead_letter(number: DeadNumber) -> Result<Option<DeadLetter>, PortFault>;
    drop_dead_letters(numbers: &[DeadNumber]) -> Result<u64, PortFault>;
    dead_given_way() -> Result<u64, PortFault>;
    forget_before(time: EventTime) -> Result<u64, PortFault>;
    set_now(now: EventTime) -> ();
}

#[test]
fn the_store_in_memory_does_what_the_trait_says() {
    let store = Arc::new(MemoryStore::default());
    conformance::store(&mut || Box::new(Shared(store.clone())));
}

#[test]
fn the_store_on_disk_does_what_the_trait_says() {
    let folder = tempfile::tempdir().expect("a folder");
    conformance::store(&mut || {
        Box::new(EmbeddedStore::open(folder.path(), Options::default()).expect("opens"))
    });
}

fn the_oldest_dead_letters_give_way(store: &dyn Store) {
    let epoch = store.take_over(Partition(1)).expect("takes over").epoch;
    let letters = |from: u64, to: u64| (from..to).map(|one| dead_letter(one, b"dead")).collect();
    let commit = |dead: Vec<DeadLetter>| {
        let commit = Commit {
            partition: Partition(1),
            epoch,
            dead,
            ..Commit::default()
        };
        store.commit(&commit).expect("commits");
    };
    let kept = || -> Vec<u64> {
        let filter = DeadFilter {
            after: DeadNumber(0),
            max: 100,
        };
        let letters = store.dead_letters(&filter).expect("reads");
        letters.into_iter().map(|(_, one)| one.sequence.0).collect()
    };
    commit(letters(0, 8));
    assert_eq!(kept(), (0..8).collect::<Vec<_>>());
    commit(letters(8, 13));
    assert_eq!(kept(), (3..13).collect::<Vec<_>>());
    assert_eq!(store.dead_given_way().expect("reads"), 3);
    // Dropping some makes room for as many.
    assert_eq!(
        store
            .drop_dead_letters(&[DeadNumber(5), DeadNumber(13)])
            .expect("drops"),
        2
    );
    commit(letters(13, 15));
    assert_eq!(kept(), [3, 5, 6, 7, 8, 9, 10, 11, 13, 14]);
    commit(letters(20, 45));
    assert_eq!(kept(), (35..45).collect::<Vec<_>>());
    assert_eq!(store.dead_given_way().expect("reads"), 28);
}

#[test]
fn the_oldest_dead_letters_give_way_in_memory() {
    the_oldest_dead_letters_give_way(&MemoryStore::with_dead_max(10));
}

#[test]
fn the_oldest_dead_letters_give_way_on_disk() {
    let folder = tempfile::tempdir().expect("a folder");
    let options = Options {
        dead_letters_max: 10,
        ..Options::default()
    };
    the_oldest_dead_letters_give_way(&EmbeddedStore::open(folder.path(), options).expect("opens"));
}

#[test]
fn one_process_has_it_open() {
    let folder = tempfile::tempdir().expect("a folder");
    let first = EmbeddedStore::open(folder.path(), Options::default()).expect("opens");
    let Err(fault) = EmbeddedStore::open(folder.path(), Options::default()) else {
        panic!("opened twice");
    };
    assert_eq!(fault.class, FaultClass::Stop);
    assert!(
        fault.doing.contains("another process has it open"),
        "{fault}"
    );
    drop(first);
    EmbeddedStore::open(folder.path(), Options::default()).expect("opens");
}

#[test]
fn without_room_a_commit_is_refused_and_forgetting_goes_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = EmbeddedStore::open(folder.path(), Options::default()).expect("opens");
    store.set_now(EventTime::from_micros(1));
    let epoch = store.take_over(Partition(1)).expect("takes over").epoch;
    let mut commit = Commit {
        partition: Partition(1),
        epoch,
        position: Sequence(1),
        findings: vec![conformance::finding("one", "rule", 0)],
        ..Commit::default()
    };
    store.commit(&commit).expect("commits");
    drop(store);
    let options = Options {
        free_bytes_min: u64::MAX,
        ..Options::default()
    };
    let store = EmbeddedStore::open(folder.path(), options).expect("opens");
    commit.findings = vec![conformance::finding("two", "rule", 0)];
    let snapshot = SnapshotKept {
        position: Sequence(1),
        bytes: vec![1],
    };
    for refused in [
        store.commit(&commit).map(|_| ()),
        store.keep_snapshot(Partition(1), epoch, &snapshot),
    ] {
        assert_eq!(refused.expect_err("is refused").class, FaultClass::Full);
    }
    assert!(store.finding("two").expect("reads").is_none());
    assert_eq!(
        store
            .forget_before(EventTime::from_micros(2))
            .expect("forgets"),
        1
    );
    drop(store);
    let store = EmbeddedStore::open(folder.path(), Options::default()).expect("opens");
    store.commit(&commit).expect("there is room again");
}
