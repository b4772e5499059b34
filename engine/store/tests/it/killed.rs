//! A process that commits is killed at random; what it was told is durable is there afterwards.
//!
//! The test binary runs itself as the child. The child prints a line after each acknowledged call, in one write; the
//! parent kills it after some number of lines that chance gave.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use tripline_core::port::conformance::{dead_letter, finding};
use tripline_core::port::{
    Commit, DeadFilter, DeadNumber, Epoch, KeptEvent, Partition, Sequence, SnapshotKept, Store,
};
use tripline_core::rule::kind::EventTime;
use tripline_store::embedded::{EmbeddedStore, Options};

const FOLDER: &str = "TRIPLINE_STORE_KILLED_FOLDER";
const ROUNDS: u64 = 40;
const PARTITIONS: u32 = 3;

fn open(folder: &Path) -> EmbeddedStore {
    EmbeddedStore::open(folder, Options::default()).expect("opens after a kill")
}

/// What follows from a position alone: so much is committed with it.
fn commit_at(partition: u32, epoch: Epoch, position: u64) -> Commit {
    let mut commit = Commit {
        partition: Partition(partition),
        epoch,
        position: Sequence(position),
        ..Commit::default()
    };
    for one in 0..position % 4 {
        let id = format!("{partition}-{position}-{one}");
        commit.events.push(KeptEvent {
            id: format!("event-of-{id}"),
            bytes: vec![b'e'; (position as usize * 37) % 3000],
        });
        commit.findings.push(finding(&id, "rule", 0));
    }
    commit
        .findings
        .push(finding(&format!("{partition}-counted"), "rule", position));
    if position.is_multiple_of(5) {
        commit.dead.push(dead_letter(position, b"dead"));
    }
    commit
}

fn snapshot_at(position: u64) -> SnapshotKept {
    SnapshotKept {
        position: Sequence(position),
        bytes: position.to_be_bytes().repeat(20_000),
    }
}

fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    out.write_all(format!("\nSAID {line}\n").as_bytes())
        .expect("says");
    out.flush().expect("says");
}

/// The child: does nothing unless it is told a folder.
#[test]
fn child() {
    let Ok(folder) = std::env::var(FOLDER) else {
        return;
    };
    let store = open(Path::new(&folder));
    std::thread::scope(|scope| {
        for partition in 0..PARTITIONS {
            let store = &store;
            scope.spawn(move || {
                let taken = store.take_over(Partition(partition)).expect("takes over");
                say(&format!("epoch {partition} {}", taken.epoch.0));
                for position in taken.position.0 + 1.. {
                    store.set_now(EventTime::from_micros(position as i64));
                    store
                        .commit(&commit_at(partition, taken.epoch, position))
                        .expect("commits");
                    say(&format!("position {partition} {position}"));
                    if position.is_multiple_of(7) {
                        store
                            .keep_snapshot(
                                Partition(partition),
                                taken.epoch,
                                &snapshot_at(position),
                            )
                            .expect("keeps");
                        say(&format!("snapshot {partition} {position}"));
                    }
                    if position.is_multiple_of(11) {
                        let newest = store.newest().expect("reads");
                        store.sink_reached("sink", newest, &[]).expect("moves");
                        say(&format!("sink 0 {}", newest.0));
                    }
                }
            });
        }
    });
}

/// What was said, the largest of each.
type Said = BTreeMap<(String, u32), u64>;

fn hear(line: &str, said: &mut Said) {
    let mut words = line.split(' ').skip(1);
    let (Some(what), Some(which), Some(value)) = (words.next(), words.next(), words.next()) else {
        return;
    };
    let (Ok(which), Ok(value)) = (which.parse(), value.parse::<u64>()) else {
        return;
    };
    let largest = said.entry((what.to_owned(), which)).or_default();
    *largest = value.max(*largest);
}

/// Runs the child and kills it after so many lines.
fn run(folder: &Path, lines: u64, said: &mut Said) {
    let mut child = Command::new(std::env::current_exe().expect("this program"))
        .args([
            "killed::child",
            "--exact",
            "--nocapture",
            "--test-threads=1",
        ])
        .env(FOLDER, folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("runs itself");
    let mut out = BufReader::new(child.stdout.take().expect("its output"));
    let mut heard = 0;
    let mut line = String::new();
    while heard < lines {
        line.clear();
        assert_ne!(
            out.read_line(&mut line).expect("reads"),
            0,
            "the child ended by itself"
        );
        if line.starts_with("SAID ") {
            heard += 1;
            hear(line.trim_end(), said);
        }
    }
    child.kill().expect("kills");
    child.wait().expect("is gone");
    // What it said before it died counts as well; the last line may be half a line.
    let mut rest = String::new();
    out.read_to_string(&mut rest).expect("reads");
    for line in rest
        .split_inclusive('\n')
        .filter(|line| line.ends_with('\n'))
    {
        if line.starts_with("SAID ") {
            hear(line.trim_end(), said);
        }
    }
}

fn check(folder: &Path, said: &Said) {
    let store = open(folder);
    let told = |what: &str, which| said.get(&(what.to_owned(), which)).copied().unwrap_or(0);
    let mut findings = 0;
    let mut dead = 0;
    for partition in 0..PARTITIONS {
        let taken = store.take_over(Partition(partition)).expect("takes over");
        assert!(taken.epoch.0 > told("epoch", partition));
        let position = taken.position.0;
        assert!(
            position >= told("position", partition),
            "an acknowledged commit is gone"
        );
        let seen = taken.snapshot.as_ref().map_or(0, |one| one.position.0);
        assert!(
            seen >= told("snapshot", partition),
            "an acknowledged snapshot is gone"
        );
        if let Some(snapshot) = taken.snapshot {
            assert!(snapshot == snapshot_at(seen), "a snapshot is whole");
        }
        // Each commit up to the position is there with all that was in it, and nothing of the one after it.
        for at in 1..=position + 1 {
            let commit = commit_at(partition, taken.epoch, at);
            for made in &commit.findings {
                if made.finding_id.ends_with("counted") {
                    continue;
                }
                let there = store.finding(&made.finding_id).expect("reads");
                assert_eq!(there.is_some(), at <= position, "{}", made.finding_id);
                findings += u64::from(at <= position);
            }
            for event in commit.events {
                let there = store.event(&event.id).expect("reads");
                assert_eq!(there, (at <= position).then_some(event.bytes));
            }
            dead += if at <= position { commit.dead.len() } else { 0 };
        }
        let counted = store
            .finding(&format!("{partition}-counted"))
            .expect("reads");
        let revision = counted.map(|one| u64::from(one.finding.revision) + 1);
        assert_eq!(
            revision.unwrap_or(0),
            position,
            "one version for each commit"
        );
        findings += position;
    }
    let letters = store.dead_letters(&DeadFilter {
        after: DeadNumber(0),
        max: 1000,
    });
    assert_eq!(letters.expect("reads").len(), dead.min(1000));
    assert!(store.sink_position("sink").expect("reads").0 >= told("sink", 0));
    let mut after = 0;
    loop {
        let some = store.outgoing(Sequence(after), 1000).expect("reads");
        if some.is_empty() {
            break;
        }
        for one in some {
            assert_eq!(one.number.0, after + 1, "numbers grow one by one");
            after += 1;
        }
    }
    assert_eq!(after, findings, "what goes out is what is stored");
    assert_eq!(store.newest().expect("reads").0, findings);
}

#[test]
fn what_was_acknowledged_outlives_being_killed() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut said = Said::new();
    let mut chance = 0x9e37_79b9_7f4a_7c15_u64;
    for _ in 0..ROUNDS {
        // xorshift: any spread will do, and this one is the same each time.
        chance ^= chance << 13;
        chance ^= chance >> 7;
        chance ^= chance << 17;
        run(folder.path(), chance % 60, &mut said);
        check(folder.path(), &said);
    }
    assert!(said.len() > 6, "it came to something: {said:?}");
}
