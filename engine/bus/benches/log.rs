//! Measures the embedded log beside the disk that it writes to: the same bytes in the same groups, written at the end of
//! one file and flushed with fdatasync; and reading beside plain reading of the same files.
//!
//! `cargo bench -p tripline-bus --bench log`, `-- --quick` for fewer rounds, `-- FOLDER` to measure another disk than the
//! one of the temporary files. The two sides take turns; what is shown is the median of the rounds. It relies on a disk
//! that others leave alone meanwhile; ratios bear more company than figures do.

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tripline_bus::embedded::{Flush, Log, LogSettings};
use tripline_core::port::{Bus, Delivered, NewRecord, ReadMax, RecordKind, Sequence};
use tripline_core::rule::kind::EventTime;

/// About the mean length of a CloudTrail record.
const PAYLOAD_BYTES: usize = 1500;
/// What the log adds to a record, and to an append, so that both sides write the same.
const RECORD_BYTES: usize = PAYLOAD_BYTES + 17 + 2;
const APPEND_BYTES: usize = 48;
/// How long one side appends in one round.
const ROUND: Duration = Duration::from_millis(400);

struct Bench {
    folder: PathBuf,
    rounds: usize,
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let quick = arguments.iter().any(|one| one == "--quick");
    let folder = arguments.iter().find(|one| !one.starts_with("--"));
    let base = folder.map_or_else(std::env::temp_dir, PathBuf::from);
    let bench = Bench {
        folder: base.join(format!("tripline-log-bench-{}", std::process::id())),
        rounds: if quick { 3 } else { 9 },
    };
    fs::create_dir_all(&bench.folder).expect("a folder to measure in");
    println!(
        "| appending, records/s | threads | batch | disk | log, fsync | log / disk | log, process |"
    );
    println!("|---|---|---|---|---|---|---|");
    for (threads, batch) in [(1, 1), (1, 10), (1, 100), (1, 500), (8, 10)] {
        bench.append(threads, batch);
    }
    println!();
    println!("| reading, records/s | files | log | log / files | log, 1 record at a time |");
    println!("|---|---|---|---|---|");
    bench.read();
    fs::remove_dir_all(&bench.folder).expect("removes what was measured");
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

fn kilo(figure: f64) -> String {
    format!("{:.1} k", figure / 1000.0)
}

fn records(payload: &[u8], count: usize) -> Vec<NewRecord<'_>> {
    let record = NewRecord {
        kind: RecordKind::Event,
        taken: EventTime::from_micros(1),
        attributes: b"{}",
        payload,
    };
    vec![record; count]
}

impl Bench {
    fn append(&self, threads: usize, batch: usize) {
        let (mut disk, mut fsync, mut process) = (Vec::new(), Vec::new(), Vec::new());
        let in_background = Flush::Process {
            every: Duration::from_millis(1000),
        };
        for _ in 0..self.rounds {
            disk.push(self.on_disk(threads * batch, threads * APPEND_BYTES));
            fsync.push(self.in_log(Flush::Fsync, threads, batch));
            process.push(self.in_log(in_background, threads, batch));
        }
        let (disk, fsync, process) = (median(disk), median(fsync), median(process));
        println!(
            "| | {threads} | {batch} | {} | {} | {:.2} | {} |",
            kilo(disk),
            kilo(fsync),
            fsync / disk,
            kilo(process)
        );
    }

    /// One thread writes what all threads would have to write, and flushes it.
    fn on_disk(&self, records: usize, more_bytes: usize) -> f64 {
        let path = self.folder.join("disk");
        let file = File::create(&path).expect("a file");
        let bytes = vec![b'x'; records * RECORD_BYTES + more_bytes];
        let begun = Instant::now();
        let mut at = 0;
        let mut done = 0;
        while begun.elapsed() < ROUND {
            file.write_all_at(&bytes, at).expect("writes");
            file.sync_data().expect("flushes");
            at += bytes.len() as u64;
            done += records;
        }
        let rate = done as f64 / begun.elapsed().as_secs_f64();
        fs::remove_file(&path).expect("removes");
        rate
    }

    fn in_log(&self, flush: Flush, threads: usize, batch: usize) -> f64 {
        let folder = self.folder.join("log");
        let settings = LogSettings {
            flush,
            ..LogSettings::default()
        };
        let (log, _) = Log::open(&folder, settings).expect("opens");
        let payload = vec![b'x'; PAYLOAD_BYTES];
        let begun = Instant::now();
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    let records = records(&payload, batch);
                    while begun.elapsed() < ROUND {
                        log.append(&records).expect("appends");
                    }
                });
            }
        });
        let seconds = begun.elapsed().as_secs_f64();
        let rate = log.span().expect("a span").last.0 as f64 / seconds;
        drop(log);
        fs::remove_dir_all(&folder).expect("removes");
        rate
    }

    fn read(&self) {
        let folder = self.folder.join("log");
        let (log, _) = Log::open(&folder, LogSettings::default()).expect("opens");
        let payload = vec![b'x'; PAYLOAD_BYTES];
        let records = records(&payload, 100);
        for _ in 0..1000 {
            log.append(&records).expect("appends");
        }
        let count = log.span().expect("a span").last.0;
        let (mut files, mut whole, mut single) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..self.rounds {
            files.push(plainly(&folder, count));
            whole.push(through(&log, count, 500));
            single.push(through(&log, count, 1));
        }
        let (files, whole, single) = (median(files), median(whole), median(single));
        println!(
            "| | {} | {} | {:.2} | {} |",
            kilo(files),
            kilo(whole),
            whole / files,
            kilo(single)
        );
    }
}

/// Reads the files as they are.
fn plainly(folder: &Path, count: u64) -> f64 {
    let mut buffer = vec![0; 256 * 1024];
    let begun = Instant::now();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.extension().is_some_and(|one| one == "seg") {
            let mut file = File::open(path).expect("a file");
            while file.read(&mut buffer).expect("reads") > 0 {}
        }
    }
    count as f64 / begun.elapsed().as_secs_f64()
}

fn through(log: &Log, count: u64, records: usize) -> f64 {
    let max = ReadMax {
        records,
        bytes: 1 << 20,
    };
    let mut read = Delivered::default();
    let begun = Instant::now();
    let mut after = 0;
    while after < count {
        read.clear();
        log.read(Sequence(after), max, &mut read).expect("reads");
        after = read.records.last().expect("a record").sequence.0;
    }
    count as f64 / begun.elapsed().as_secs_f64()
}
