//! Files that were damaged: the store recovers everything or refuses, and never answers wrongly.

use std::fs;
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use tripline_core::port::conformance::finding;
use tripline_core::port::{
    Commit, FaultClass, Partition, PortFault, Sequence, SnapshotKept, Store,
};
use tripline_store::embedded::{EmbeddedStore, Options};

const COMMITS: u64 = 30;

fn open(folder: &Path) -> Result<EmbeddedStore, PortFault> {
    EmbeddedStore::open(folder, Options::default())
}

fn fill(folder: &Path) {
    let store = open(folder).expect("opens");
    let epoch = store.take_over(Partition(0)).expect("takes over").epoch;
    for position in 1..=COMMITS {
        let commit = Commit {
            epoch,
            position: Sequence(position),
            findings: vec![finding(&format!("f-{position}"), "rule", 0)],
            ..Commit::default()
        };
        store.commit(&commit).expect("commits");
    }
    let snapshot = SnapshotKept {
        position: Sequence(COMMITS),
        bytes: b"remembered".repeat(100),
    };
    store
        .keep_snapshot(Partition(0), epoch, &snapshot)
        .expect("keeps");
}

/// Everything is there, as it was.
fn whole(store: &EmbeddedStore) -> Result<(), PortFault> {
    let all = store.outgoing(Sequence(0), 1000)?;
    let numbers: Vec<u64> = all.iter().map(|one| one.number.0).collect();
    assert_eq!(numbers, (1..=COMMITS).collect::<Vec<_>>());
    for position in 1..=COMMITS {
        let id = format!("f-{position}");
        let stored = store.finding(&id)?.expect("is there");
        assert_eq!(stored.finding, finding(&id, "rule", 0));
    }
    let taken = store.take_over(Partition(0))?;
    assert_eq!(taken.position, Sequence(COMMITS));
    let snapshot = taken.snapshot.expect("a snapshot");
    assert_eq!(snapshot.bytes, b"remembered".repeat(100));
    Ok(())
}

/// The store is whole, or says what is wrong. Whether it is whole.
fn whole_or_refused(folder: &Path) -> bool {
    match open(folder).and_then(|store| whole(&store)) {
        Ok(()) => true,
        Err(fault) => {
            assert_eq!(fault.class, FaultClass::Stop, "{fault}");
            false
        }
    }
}

fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(files(&path, ending));
        } else if path.to_string_lossy().ends_with(ending) {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder") {
        let path = entry.expect("an entry").path();
        let name = to.join(path.file_name().expect("a name"));
        match path.is_dir() {
            true => copy(&path, &name),
            false => {
                // The room that journals make beforehand is not copied byte by byte.
                let length = fs::metadata(&path).expect("is there").len();
                fs::write(&name, beginning(&path)).expect("writes");
                let file = fs::File::options().write(true).open(&name);
                file.and_then(|file| file.set_len(length)).expect("grows");
            }
        }
    }
}

/// The first MiB of a file: none of them has more than that in it.
fn beginning(path: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    let file = fs::File::open(path).expect("opens");
    file.take(1 << 20).read_to_end(&mut bytes).expect("reads");
    bytes
}

fn used(journal: &Path) -> u64 {
    let bytes = beginning(journal);
    bytes
        .iter()
        .rposition(|byte| *byte != 0)
        .map_or(0, |one| one as u64 + 1)
}

struct Damaged {
    _folder: tempfile::TempDir,
    whole: PathBuf,
    copy: PathBuf,
}

impl Damaged {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let (whole, copy) = (folder.path().join("whole"), folder.path().join("copy"));
        fill(&whole);
        Self {
            _folder: folder,
            whole,
            copy,
        }
    }

    fn journal(&self) -> PathBuf {
        files(&self.copy.join("database"), ".jnl")
            .pop()
            .expect("a journal")
    }

    fn again(&self) {
        let _ = fs::remove_dir_all(&self.copy);
        copy(&self.whole, &self.copy);
    }
}

fn flip(path: &Path, place: u64, bit: u32) {
    let file = fs::File::options()
        .read(true)
        .write(true)
        .open(path)
        .expect("opens");
    let mut byte = [0];
    file.read_exact_at(&mut byte, place).expect("reads");
    file.write_all_at(&[byte[0] ^ (1 << bit)], place)
        .expect("writes");
}

#[test]
fn an_untouched_copy_is_whole() {
    let damaged = Damaged::new();
    damaged.again();
    assert!(whole_or_refused(&damaged.copy));
}

#[test]
fn a_flipped_bit_in_the_journal_is_found() {
    let damaged = Damaged::new();
    damaged.again();
    let length = used(&damaged.journal());
    let mut refused = 0;
    for step in 0..48_u64 {
        damaged.again();
        let journal = damaged.journal();
        // Spread over the journal, and never at the same place of a batch.
        let place = (step * length / 48 + step * 7) % length;
        flip(&journal, place, (step % 8) as u32);
        let before = used(&journal);
        if !whole_or_refused(&damaged.copy) {
            refused += 1;
            // Within the first batch it may be the torn beginning of a new journal.
            if place > 512 {
                assert_eq!(used(&journal), before, "what is refused is not cut");
            }
        }
    }
    assert_eq!(refused, 48, "each of them matters");
}

#[test]
fn a_journal_that_lost_its_end_is_found() {
    let damaged = Damaged::new();
    damaged.again();
    let length = used(&damaged.journal());
    for step in 1..12_u64 {
        damaged.again();
        let file = fs::File::options()
            .write(true)
            .open(damaged.journal())
            .expect("opens");
        file.set_len(length - step * length / 13).expect("cuts");
        assert!(
            !whole_or_refused(&damaged.copy),
            "acknowledged writes are gone"
        );
    }
}

#[test]
fn what_was_never_acknowledged_is_cut_and_forgotten() {
    let damaged = Damaged::new();
    damaged.again();
    let journal = damaged.journal();
    let length = used(&journal);
    for torn in [&b"\x01\x02\0\0\0"[..], b"garbage", &[2; 4000], &[1; 13]] {
        damaged.again();
        let file = fs::File::options()
            .write(true)
            .open(&journal)
            .expect("opens");
        file.write_all_at(torn, length).expect("writes");
        assert!(whole_or_refused(&damaged.copy));
        // And it is still whole when it is opened once more.
        let store = open(&damaged.copy).expect("opens");
        assert_eq!(store.newest().expect("reads"), Sequence(COMMITS));
    }
}

#[test]
fn damage_to_any_other_file_is_found_or_harmless() {
    let damaged = Damaged::new();
    damaged.again();
    let files = files(&damaged.copy, "");
    for path in files {
        damaged.again();
        let length = fs::metadata(&path).expect("is there").len();
        if path.extension().is_some_and(|ending| ending == "jnl") || length == 0 {
            continue;
        }
        for place in [0, length / 2, length - 1] {
            damaged.again();
            flip(&path, place, 3);
            let outcome = catch_unwind(AssertUnwindSafe(|| whole_or_refused(&damaged.copy)));
            assert!(outcome.is_ok(), "{} at {place}", path.display());
        }
    }
}

#[test]
fn a_damaged_snapshot_is_refused_by_name() {
    let damaged = Damaged::new();
    damaged.again();
    let path = files(&damaged.copy.join("snapshots"), ".snapshot")
        .pop()
        .expect("one");
    flip(&path, 17, 0);
    let store = open(&damaged.copy).expect("opens");
    let fault = store.take_over(Partition(0)).expect_err("is refused");
    assert_eq!(fault.class, FaultClass::Stop);
    assert!(fault.doing.contains(".snapshot: it is damaged"), "{fault}");
    drop(store);
    fs::remove_file(&path).expect("removes");
    let store = open(&damaged.copy).expect("opens");
    store.take_over(Partition(0)).expect_err("is refused");
}

#[test]
fn unfinished_snapshots_are_removed() {
    let damaged = Damaged::new();
    damaged.again();
    let snapshots = damaged.copy.join("snapshots");
    fs::write(snapshots.join("0-99.unfinished"), b"half").expect("writes");
    fs::write(snapshots.join("0-98.snapshot"), b"never pointed to").expect("writes");
    assert!(whole_or_refused(&damaged.copy));
    assert_eq!(files(&snapshots, "").len(), 1);
}
