//! Ids are known for as long as they must be, whatever becomes of the process and its files.

use super::{Claim, Ids, IdsSettings, attributes, hash, key};
use crate::serve::Partitions;
use std::path::Path;
use std::sync::Arc;
use tripline_bus::embedded::{Log, LogSettings};
use tripline_core::port::{Bus, NewRecord, Partition, RecordKind, Sequence};
use tripline_core::rule::kind::{EventTime, Period};

const SETTINGS: IdsSettings = IdsSettings {
    window: Period::from_seconds(3600),
    ids_max: 1_000,
};

fn at(seconds: i64) -> EventTime {
    EventTime::from_micros(seconds * 1_000_000)
}

/// A log in a folder of its own, and the folder for ids.
fn logged(folder: &Path) -> Partitions {
    let (log, _) = Log::open(&folder.join("log"), LogSettings::default()).expect("a log");
    Partitions::new(vec![Arc::new(log) as Arc<dyn Bus>], "recipientAccountId")
}

fn open(folder: &Path, partitions: &Partitions, now: EventTime) -> Ids {
    Ids::open(&folder.join("ids"), SETTINGS, partitions, now).expect("ids")
}

/// Pushes an event as the intake does; the file of ids may be left out, as the loss of power would.
fn push(ids: Option<&Ids>, partitions: &Partitions, id: &str, now: EventTime) {
    let named = (key("c", id.as_bytes()), hash(id.as_bytes()));
    if let Some(ids) = ids {
        assert_eq!(ids.claim(&[named]), [Claim::New]);
    }
    let attributes = attributes("c", named);
    let appended = partitions
        .log(Partition(0))
        .append(&[NewRecord {
            kind: RecordKind::Event,
            taken: now,
            attributes: attributes.as_bytes(),
            payload: b"{}",
        }])
        .expect("appended");
    if let Some(ids) = ids {
        ids.settle(&[(named.0, named.1, appended.first)], Partition(0), now)
            .expect("written");
    }
}

fn claim(ids: &Ids, id: &str, body: &str) -> Claim {
    let named = (key("c", id.as_bytes()), hash(body.as_bytes()));
    let claim = ids.claim(&[named])[0];
    if claim == Claim::New {
        ids.release(&[named]);
    }
    claim
}

#[test]
fn what_was_taken_is_known_and_nothing_else() {
    let folder = tempfile::tempdir().expect("a folder");
    let partitions = logged(folder.path());
    let ids = open(folder.path(), &partitions, at(0));
    push(Some(&ids), &partitions, "a", at(0));
    assert_eq!(claim(&ids, "a", "a"), Claim::Same);
    assert_eq!(claim(&ids, "a", "other"), Claim::Other);
    assert_eq!(claim(&ids, "b", "b"), Claim::New);
    // The id of another channel is another id, also where their names run into each other.
    assert_ne!(key("ca", b"b"), key("c", b"ab"));
    let named = (key("c", b"b"), hash(b"b"));
    assert_eq!(ids.claim(&[named, named]), [Claim::New, Claim::Busy]);
    ids.release(&[named]);
    assert_eq!(claim(&ids, "b", "b"), Claim::New);
}

#[test]
fn ids_outlive_the_process_and_their_own_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let partitions = logged(folder.path());
    {
        let ids = open(folder.path(), &partitions, at(0));
        push(Some(&ids), &partitions, "written", at(0));
        push(None, &partitions, "only-in-the-log", at(1));
    }
    // The tail of the file is torn, as a loss of power may leave it.
    let file = std::fs::read_dir(folder.path().join("ids"))
        .expect("a folder")
        .filter_map(Result::ok)
        .find(|one| one.file_name().to_string_lossy().ends_with(".ids"))
        .expect("a file")
        .path();
    let bytes = std::fs::read(&file).expect("bytes");
    std::fs::write(&file, &bytes[..bytes.len() - 7]).expect("written");
    for _ in 0..3 {
        let ids = open(folder.path(), &partitions, at(10));
        for id in ["written", "only-in-the-log"] {
            assert_eq!(claim(&ids, id, id), Claim::Same, "{id}");
        }
    }
    std::fs::write(&file, b"nonsense").expect("written");
    let ids = open(folder.path(), &partitions, at(10));
    assert_eq!(
        claim(&ids, "only-in-the-log", "only-in-the-log"),
        Claim::Same
    );
}

#[test]
fn old_ids_are_forgotten_and_young_ones_are_not() {
    let folder = tempfile::tempdir().expect("a folder");
    let partitions = logged(folder.path());
    let ids = open(folder.path(), &partitions, at(0));
    push(Some(&ids), &partitions, "first", at(0));
    push(Some(&ids), &partitions, "second", at(3600));
    push(Some(&ids), &partitions, "third", at(7000));
    assert_eq!(
        claim(&ids, "first", "first"),
        Claim::Same,
        "two generations are kept"
    );
    push(Some(&ids), &partitions, "fourth", at(7300));
    assert_eq!(claim(&ids, "first", "first"), Claim::New);
    assert_eq!(claim(&ids, "third", "third"), Claim::Same);
    drop(ids);
    let ids = open(folder.path(), &partitions, at(7300));
    assert_eq!(claim(&ids, "third", "third"), Claim::Same);
    assert_eq!(claim(&ids, "fourth", "fourth"), Claim::Same);
}

#[test]
fn a_start_that_is_interrupted_forgets_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let partitions = logged(folder.path());
    {
        let ids = open(folder.path(), &partitions, at(0));
        push(Some(&ids), &partitions, "older", at(0));
        push(Some(&ids), &partitions, "turns", at(3600));
        push(Some(&ids), &partitions, "newer", at(3601));
    }
    for _ in 0..4 {
        let ids = open(folder.path(), &partitions, at(3700));
        assert_eq!(claim(&ids, "older", "older"), Claim::Same);
        assert_eq!(claim(&ids, "newer", "newer"), Claim::Same);
        let files = std::fs::read_dir(folder.path().join("ids"))
            .expect("a folder")
            .count();
        assert_eq!(files, 2, "starts make no generations");
    }
}

#[test]
fn the_number_of_ids_is_bounded() {
    let folder = tempfile::tempdir().expect("a folder");
    let partitions = logged(folder.path());
    let ids = open(folder.path(), &partitions, at(0));
    for number in 0..2_300_u64 {
        let id = number.to_string();
        let named = (key("c", id.as_bytes()), hash(id.as_bytes()));
        ids.claim(&[named]);
        ids.settle(
            &[(named.0, named.1, Sequence(number + 1))],
            Partition(0),
            at(0),
        )
        .expect("written");
    }
    let (known, full) = ids.count();
    assert!((500..=1_000).contains(&known), "{known}");
    assert_eq!(full, 4);
    assert_eq!(claim(&ids, "2299", "2299"), Claim::Same);
    assert_eq!(claim(&ids, "10", "10"), Claim::New);
}
