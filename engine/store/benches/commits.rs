//! How fast commits become durable, beside what the disk does with the same bytes.
//!
//! `cargo bench -p tripline-store [folder]`. In turn, round by round: the store commits, and a plain file gets as many
//! bytes with one `fdatasync` a commit. Medians over rounds; a ratio is of medians of the same run. Each finding has an
//! event of 1.5 KB. Prints Markdown.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tripline_core::port::conformance::finding;
use tripline_core::port::{Commit, Epoch, KeptEvent, Partition, Sequence, Store};
use tripline_core::wire::Finding;
use tripline_store::embedded::{EmbeddedStore, Options};

const EVENT_BYTES: usize = 1500;
const ROUNDS: usize = 9;
const ROUND: Duration = Duration::from_millis(400);

fn commit_of(partition: u32, epoch: Epoch, position: u64, size: usize) -> Commit {
    let findings: Vec<Finding> = (0..size)
        .map(|one| {
            finding(
                &format!("{partition:08}{position:016}{one:08}"),
                "a-rule",
                0,
            )
        })
        .collect();
    let events = findings.iter().map(|one| KeptEvent {
        id: one.event_id.clone(),
        bytes: vec![b'e'; EVENT_BYTES],
    });
    Commit {
        is_well_started: false,
        partition: Partition(partition),
        epoch,
        position: Sequence(position),
        events: events.collect(),
        findings,
        dead: Vec::new(),
    }
}

fn bytes_of(commit: &Commit) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (finding, event) in commit.findings.iter().zip(&commit.events) {
        serde_json::to_writer(&mut bytes, finding).expect("is JSON");
        bytes.extend(&event.bytes);
    }
    bytes
}

fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers[numbers.len() / 2]
}

/// Commits for one round by so many threads. Commits a second.
fn store_round(store: &EmbeddedStore, epochs: &[Epoch], next: &mut [u64], size: usize) -> f64 {
    let start = Instant::now();
    let done: u64 = std::thread::scope(|scope| {
        let threads: Vec<_> = epochs
            .iter()
            .zip(next.iter_mut())
            .enumerate()
            .map(|(partition, (epoch, next))| {
                scope.spawn(move || {
                    let mut done = 0;
                    while start.elapsed() < ROUND {
                        let commit = commit_of(partition as u32, *epoch, *next, size);
                        store.commit(&commit).expect("commits");
                        *next += 1;
                        done += 1;
                    }
                    done
                })
            })
            .collect();
        threads
            .into_iter()
            .map(|one| one.join().expect("ends"))
            .sum()
    });
    done as f64 / start.elapsed().as_secs_f64()
}

/// The same bytes into a file.
fn disk_round(file: &mut File, size: usize) -> f64 {
    let start = Instant::now();
    let mut done = 0;
    while start.elapsed() < ROUND {
        let bytes = bytes_of(&commit_of(0, Epoch(1), done, size));
        file.write_all(&bytes).expect("writes");
        file.sync_data().expect("syncs");
        done += 1;
    }
    done as f64 / start.elapsed().as_secs_f64()
}

fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().next());
    number.and_then(|number| number.parse().ok()).unwrap_or(0)
}

fn measure(folder: &Path, threads: usize, size: usize) {
    let folder = folder.join(format!("commits-{threads}-{size}"));
    let _ = std::fs::remove_dir_all(&folder);
    let store = EmbeddedStore::open(&folder.join("store"), Options::default()).expect("opens");
    let mut file = File::create(folder.join("plain")).expect("creates");
    let epochs: Vec<Epoch> = (0..threads as u32)
        .map(|one| store.take_over(Partition(one)).expect("takes over").epoch)
        .collect();
    let mut next = vec![1; threads];
    let syncs = store.syncs();
    let (mut ours, mut disk) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        disk.push(disk_round(&mut file, size));
        ours.push(store_round(&store, &epochs, &mut next, size));
    }
    let (ours, disk) = (median(ours), median(disk));
    let commits: u64 = next.iter().map(|next| next - 1).sum();
    let shared = commits as f64 / (store.syncs() - syncs) as f64;
    println!(
        "| {threads} | {size} | {ours:.0} | {:.0} | {disk:.0} | {:.2} | {shared:.1} |",
        ours * size as f64,
        ours / disk
    );
    drop(store);
    let _ = std::fs::remove_dir_all(&folder);
}

fn main() {
    let folder = std::env::args().skip(1).find(|one| !one.starts_with('-'));
    let folder = folder.map_or_else(
        || std::env::temp_dir().join("tripline-store-bench"),
        PathBuf::from,
    );
    let before = resident_kib();
    let idle = EmbeddedStore::open(&folder.join("idle"), Options::default()).expect("opens");
    let kib = resident_kib().saturating_sub(before);
    drop(idle);
    println!("idle: {kib} KiB resident for an empty store\n");
    println!(
        "| threads | findings a commit | commits/s | findings/s | write + fdatasync/s | ratio | commits a sync |"
    );
    println!("|---|---|---|---|---|---|---|");
    for (threads, size) in [(1, 1), (1, 10), (1, 100), (4, 1), (4, 10)] {
        measure(&folder, threads, size);
    }
    let _ = std::fs::remove_dir_all(&folder);
}
