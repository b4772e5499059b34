//! Threads that commit at the same time.

use std::collections::BTreeSet;
use tripline_core::port::conformance::finding;
use tripline_core::port::{Commit, Partition, Sequence, Store};
use tripline_store::embedded::{EmbeddedStore, Options};

#[test]
fn partitions_commit_side_by_side_and_numbers_have_no_holes() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = EmbeddedStore::open(folder.path(), Options::default()).expect("opens");
    const PARTITIONS: u32 = 6;
    const COMMITS: u64 = 40;
    std::thread::scope(|scope| {
        for partition in 0..PARTITIONS {
            let store = &store;
            scope.spawn(move || {
                let epoch = store
                    .take_over(Partition(partition))
                    .expect("takes over")
                    .epoch;
                let mut newest = 0;
                for position in 1..=COMMITS {
                    let id = format!("{partition}-{position}");
                    let commit = Commit {
                        partition: Partition(partition),
                        epoch,
                        position: Sequence(position),
                        findings: vec![
                            finding(&id, "rule", 0),
                            finding("of all", "rule", position),
                        ],
                        ..Commit::default()
                    };
                    store.commit(&commit).expect("commits");
                    let stored = store.finding(&id).expect("reads").expect("is there");
                    assert!(stored.number.0 > newest, "numbers grow");
                    newest = stored.number.0;
                    assert!(
                        store.newest().expect("reads").0 >= newest,
                        "what is acknowledged goes out"
                    );
                }
            });
        }
    });
    drop(store);
    let store = EmbeddedStore::open(folder.path(), Options::default()).expect("opens");
    let mut ids = BTreeSet::new();
    let mut after = 0;
    let mut revision = None;
    loop {
        let some = store.outgoing(Sequence(after), 100).expect("reads");
        if some.is_empty() {
            break;
        }
        for one in some {
            after += 1;
            assert_eq!(one.number.0, after);
            if one.finding.finding_id == "of all" {
                let wanted = revision.map_or(0, |revision: u32| revision + 1);
                assert_eq!(one.finding.revision, wanted);
                revision = Some(wanted);
            }
            ids.insert(one.finding.finding_id);
        }
    }
    assert_eq!(ids.len() as u64, u64::from(PARTITIONS) * COMMITS + 1);
    for partition in 0..PARTITIONS {
        let taken = store.take_over(Partition(partition)).expect("takes over");
        assert_eq!(taken.position, Sequence(COMMITS));
    }
}
