//! Crash after crash, against an exact account of what was appended.

use super::sim::{SimFolder, Wrong};
use super::{Chance, append, never_in_background, open_sim, read_all, small};
use crate::embedded::{Flush, Log, LogSettings};
use std::collections::BTreeMap;
use std::sync::Mutex;
use tripline_core::port::{Bus, FaultClass, ReadMax, Sequence};

/// Seeds of one run; `TRIPLINE_CRASH_SEEDS` tries more.
fn seeds() -> u64 {
    let more = std::env::var("TRIPLINE_CRASH_SEEDS").ok();
    more.and_then(|more| more.parse().ok()).unwrap_or(120)
}

/// What must be, and what may be, in the log.
#[derive(Default)]
struct Account {
    /// What is at each sequence from 1, as far as it was appended.
    appended: Vec<Vec<u8>>,
    /// Everything up to here must outlive a crash.
    durable: usize,
    /// Everything up to here must be there when the log is opened next.
    there: usize,
    /// An append of which nobody knows whether it was taken: all of it or nothing may be found.
    unsure: Vec<Vec<u8>>,
    /// Nobody needs what is before.
    released: u64,
}

impl Account {
    /// Compares with a log that was just opened, and takes what is there for what was appended.
    fn settle(&mut self, log: &Log, chance: &mut Chance) {
        let span = log.span().expect("tells its span");
        let last = span.last.0 as usize;
        assert!(
            last >= self.there,
            "{last} are there, {} must be",
            self.there
        );
        if last > self.appended.len() {
            let unsure = std::mem::take(&mut self.unsure);
            self.appended.extend(unsure);
            assert_eq!(
                last,
                self.appended.len(),
                "an append is found whole or not at all"
            );
        }
        self.appended.truncate(last);
        self.unsure.clear();
        self.durable = last;
        self.agrees(log, chance);
    }

    fn agrees(&self, log: &Log, chance: &mut Chance) {
        let span = log.span().expect("tells its span");
        assert!(
            span.first.0 <= self.released.max(1),
            "what was not released is there"
        );
        let max = ReadMax {
            records: 1 + chance.below(9) as usize,
            bytes: 1 + chance.below(3000) as usize,
        };
        let (found, lost) = read_all(log, 0, max);
        let wanted = span.first.0..=span.last.0;
        assert!(
            found.iter().map(|(sequence, _)| *sequence).eq(wanted),
            "all, once, in order"
        );
        for (sequence, payload) in &found {
            let appended = &self.appended[*sequence as usize - 1];
            assert!(payload == appended, "record {sequence} is another");
        }
        let lost: u64 = lost.iter().map(|(range, _)| range.end - range.start).sum();
        assert_eq!(lost, span.first.0 - 1, "only what was released is lost");
    }
}

fn batch(seed: u64, number: &mut u64, chance: &mut Chance) -> Vec<Vec<u8>> {
    let count = 1 + chance.below(5);
    let long = if chance.one_in(8) { 6000 } else { 300 };
    let payload = |number: u64, chance: &mut Chance| {
        let mut bytes = format!("{seed}.{number}.").into_bytes();
        bytes.resize(bytes.len() + chance.below(long) as usize, number as u8);
        bytes
    };
    (0..count)
        .map(|_| {
            *number += 1;
            payload(*number, chance)
        })
        .collect()
}

/// One life of a log, from opening to a crash. Whether it came to be opened.
fn live(
    seed: u64,
    folder: &SimFolder,
    settings: &LogSettings,
    account: &mut Account,
    number: &mut u64,
    chance: &mut Chance,
) -> bool {
    if chance.one_in(3) {
        folder.go_wrong(1 + chance.below(40), Wrong::Crash);
    }
    let Ok((log, recovered)) = open_sim(folder, settings) else {
        return false;
    };
    assert!(
        recovered.damaged.is_empty(),
        "nothing was damaged: {recovered:?}"
    );
    account.settle(&log, chance);
    for _ in 0..chance.below(30) {
        if chance.one_in(40) {
            let wrong = if chance.one_in(3) {
                Wrong::Io
            } else {
                Wrong::Full
            };
            folder.go_wrong(1 + chance.below(6), wrong);
        }
        match chance.below(10) {
            0 => account.agrees(&log, chance),
            1 => {
                let before = chance.below(account.appended.len() as u64 + 2);
                if log.release(Sequence(before)).is_ok() {
                    account.released = account.released.max(before);
                } else {
                    // It may have been done before it failed.
                    account.released = account.released.max(before);
                    break;
                }
            }
            2 if log.flush().is_ok() => account.durable = account.appended.len(),
            _ => {
                let records = batch(seed, number, chance);
                match append(&log, &records) {
                    Ok(first) => {
                        assert_eq!(first as usize, account.appended.len() + 1, "follows");
                        account.appended.extend(records);
                        if settings.flush == Flush::Fsync {
                            account.durable = account.appended.len();
                        }
                    }
                    Err(FaultClass::Full) => account.agrees(&log, chance),
                    Err(FaultClass::Stop) => {
                        account.unsure = records;
                        let again = append(&log, &[b"again".to_vec()]);
                        assert_eq!(again, Err(FaultClass::Stop), "a poisoned log takes nothing");
                        break;
                    }
                    Err(other) => panic!("{other:?}"),
                }
            }
        }
    }
    // Closing it properly makes everything durable, unless it fails.
    if chance.one_in(4) {
        folder.nothing_wrong();
        drop(log);
        return true;
    }
    folder.cut_power();
    true
}

fn crash_again_and_again(seed: u64, flush: Flush) {
    let chance = &mut Chance(seed);
    let settings = LogSettings { flush, ..small() };
    let folder = SimFolder::new(seed);
    let mut account = Account::default();
    let mut number = 0;
    for _ in 0..12 {
        let opened = live(seed, &folder, &settings, &mut account, &mut number, chance);
        if chance.one_in(3) {
            // A killed process loses nothing that was written, and leaves it in memory.
            if opened {
                account.there = account.appended.len();
            }
            folder.kill();
        } else {
            account.there = account.durable;
            folder.power_on();
        }
    }
    let (log, _) = open_sim(&folder, &settings).expect("opens");
    account.settle(&log, chance);
}

fn sweep(flush: Flush) {
    for seed in 0..seeds() {
        let outcome = std::panic::catch_unwind(|| crash_again_and_again(seed, flush));
        assert!(outcome.is_ok(), "seed {seed} of {flush:?}");
    }
}

#[test]
fn acknowledged_records_outlive_crashes() {
    sweep(Flush::Fsync);
}

#[test]
fn what_was_flushed_outlives_crashes() {
    sweep(never_in_background());
}

/// Several threads append until the power goes at some operation.
fn threads_until_the_crash(seed: u64) {
    let chance = &mut Chance(seed);
    let folder = SimFolder::new(seed);
    let acknowledged = Mutex::new(BTreeMap::new());
    let mut attempted: Vec<Vec<Vec<u8>>> = Vec::new();
    for life in 0..4 {
        let (log, _) = open_sim(&folder, &small()).expect("opens");
        folder.go_wrong(1 + chance.below(60), Wrong::Crash);
        let works: Vec<Vec<Vec<Vec<u8>>>> = (0..4)
            .map(|thread| {
                let mut number = life * 1_000_000 + thread * 10_000;
                (0..20).map(|_| batch(seed, &mut number, chance)).collect()
            })
            .collect();
        std::thread::scope(|scope| {
            for work in &works {
                let (log, acknowledged) = (&log, &acknowledged);
                scope.spawn(move || {
                    for records in work {
                        let Ok(first) = append(log, records) else {
                            return;
                        };
                        let mut acknowledged = acknowledged.lock().expect("no panic");
                        for (sequence, record) in (first..).zip(records) {
                            let before = acknowledged.insert(sequence, record.clone());
                            assert!(before.is_none(), "{sequence} was given twice");
                        }
                    }
                });
            }
        });
        attempted.extend(works.into_iter().flatten());
        folder.cut_power();
        drop(log);
        folder.power_on();
    }
    let (log, recovered) = open_sim(&folder, &small()).expect("opens");
    assert!(recovered.damaged.is_empty());
    let (found, lost) = read_all(&log, 0, super::ALL);
    assert!(lost.is_empty());
    let found: Vec<Vec<u8>> = found.into_iter().map(|(_, payload)| payload).collect();
    for (sequence, record) in acknowledged.lock().expect("no panic").iter() {
        assert!(
            found.get(*sequence as usize - 1) == Some(record),
            "{sequence} is another"
        );
    }
    // Every record is of an append, which is there whole, once.
    let firsts: BTreeMap<&Vec<u8>, &Vec<Vec<u8>>> =
        attempted.iter().map(|one| (&one[0], one)).collect();
    let mut seen = std::collections::BTreeSet::new();
    let mut at = 0;
    while at < found.len() {
        let records = firsts.get(&found[at]).expect("begins an append");
        assert!(seen.insert(&records[0]), "an append is there twice");
        assert!(found[at..].starts_with(records), "an append is there whole");
        at += records.len();
    }
}

#[test]
fn appends_of_many_threads_outlive_crashes() {
    for seed in 0..seeds() / 3 {
        let outcome = std::panic::catch_unwind(|| threads_until_the_crash(seed));
        assert!(outcome.is_ok(), "seed {seed}");
    }
}
