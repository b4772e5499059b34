//! The journal as a trail: whatever is changed in it is found. `TRIPLINE_TAMPERS` sets how often something is.

use crate::stage::{self, ACCOUNT, KINDS, bad, checkpoint_key, open};
use crate::world::{Cloud, Faults, HOUR, MINUTE, START, World};
use std::fs;
use std::path::{Path, PathBuf};
use tripline_remediation::engine::EngineFault;
use tripline_remediation::journal::{JournalFault, Scope, verify};

/// A journal of some two hundred records, and a copy of its checkpoints.
fn journal(folder: &Path) -> (PathBuf, String) {
    let mut cloud = Cloud::default();
    let bads: Vec<_> = (0..22)
        .map(|number| {
            bad(
                KINDS[number % 5],
                number as u64 + 1,
                ACCOUNT,
                START - MINUTE,
                &mut cloud,
            )
        })
        .collect();
    let world = World::new(21, Faults::ALL, cloud);
    let engine = open(folder, &world, stage::settings()).expect("opens");
    let mut copy = String::new();
    for bad in &bads {
        bad.consider(&engine).expect("is considered");
        stage::run(&engine, world.time() + HOUR).expect("runs");
        copy.push_str(&engine.checkpoint().expect("is signed").unwrap_or_default());
    }
    engine
        .switch(Scope::All, true, "alice", "stop")
        .expect("is switched");
    copy.push_str(&engine.checkpoint().expect("is signed").unwrap_or_default());
    let mut files: Vec<_> = fs::read_dir(folder)
        .expect("is a folder")
        .flatten()
        .map(|one| one.path())
        .collect();
    files.retain(|path| path.extension().is_some_and(|end| end == "jsonl"));
    assert_eq!(files.len(), 1);
    (files.remove(0), copy)
}

/// Changes something somewhere, by chance.
fn tampered(text: &[u8], chance: &World) -> Vec<u8> {
    let below = |most: usize| chance.chance(most as u64) as usize;
    let mut lines: Vec<&[u8]> = text.split_inclusive(|byte| *byte == b'\n').collect();
    let (one, other) = (below(lines.len()), below(lines.len()));
    let mut bytes = text.to_vec();
    let at = below(bytes.len());
    match chance.chance(9) {
        0 => bytes[at] ^= 1 << chance.chance(8),
        1 => drop(bytes.remove(at)),
        2 => bytes.insert(at, chance.chance(256) as u8),
        3 => bytes.truncate(at),
        4 => {
            lines.swap(one, other);
            bytes = lines.concat();
        }
        5 => {
            lines.remove(one);
            bytes = lines.concat();
        }
        6 => {
            let line = lines[one];
            lines.insert(other, line);
            bytes = lines.concat();
        }
        7 => {
            lines.truncate(one);
            bytes = lines.concat();
        }
        _ => {
            let end = (at + 1 + below(200)).min(bytes.len());
            bytes.drain(at..end);
        }
    }
    bytes
}

#[test]
fn whatever_is_changed_is_found() {
    let count: u64 = std::env::var("TRIPLINE_TAMPERS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(300);
    let folder = stage::folder();
    let (path, copy) = journal(folder.path());
    let copies = folder.path().join("copies");
    fs::write(&copies, &copy).expect("is written");
    let key = checkpoint_key().public();
    let whole = verify(folder.path(), &[&key], &[&copies]).expect("is whole");
    assert!(whole.records >= 150, "{}", whole.records);
    // The copy is of the record before the last, which is the checkpoint itself.
    assert!(whole.after_copy <= 1, "{}", whole.after_copy);
    let text = fs::read(&path).expect("is read");
    let last = text[..text.len() - 1]
        .iter()
        .rposition(|byte| *byte == b'\n')
        .expect("has lines")
        + 1;
    let chance = World::new(1, Faults::default(), Cloud::default());
    let (mut found, mut same) = (0, 0);
    while found < count {
        let changed = tampered(&text, &chance);
        // Without its last record, which nobody has a copy of, a journal is one of a moment before.
        if changed == text || changed == text[..last] {
            same += 1;
            continue;
        }
        fs::write(&path, &changed).expect("is written");
        let verified = verify(folder.path(), &[&key], &[&copies]);
        assert!(verified.is_err(), "not found after {found}");
        found += 1;
    }
    println!(
        "{found} changes of {} records found, {same} were none",
        whole.records
    );
    // Another key, and a copy that was changed.
    fs::write(&path, &text).expect("is written");
    let other = tripline_remediation::journal::CheckpointKey::new().public();
    assert!(verify(folder.path(), &[&other], &[&copies]).is_err());
    for _ in 0..50 {
        let mut changed = copy.clone().into_bytes();
        let at = chance.chance(changed.len() as u64) as usize;
        changed[at] ^= 1 << chance.chance(7);
        fs::write(&copies, &changed).expect("is written");
        assert!(
            verify(folder.path(), &[&key], &[&copies]).is_err(),
            "byte {at} of the copy"
        );
    }
}

#[test]
fn a_damaged_journal_is_not_opened_and_a_torn_end_is_cut() {
    let folder = stage::folder();
    let (path, _) = journal(folder.path());
    let text = fs::read(&path).expect("is read");
    let world = World::new(1, Faults::default(), Cloud::default());
    fs::write(&path, &text[..text.len() - 7]).expect("is written");
    let engine = open(folder.path(), &world, stage::settings()).expect("opens");
    drop(engine);
    verify(folder.path(), &[], &[]).expect("is whole again");
    let mut changed = text.clone();
    changed[1_000] ^= 1;
    fs::write(&path, &changed).expect("is written");
    let opened = open(folder.path(), &world, stage::settings());
    assert!(matches!(
        opened,
        Err(EngineFault::Journal(JournalFault::Damaged { .. }))
    ));
    assert_eq!(
        fs::read(&path).expect("is read"),
        changed,
        "nothing is cut of what is damaged"
    );
}
