//! Reads the files of a journal. Lines are read and hashed by several threads, a block each, and handed over in their order.

use super::file::{JournalFault, RECORD_BYTES_MAX, files, io_fault};
use super::record::NO_HASH;
use super::{LineFault, Record};
use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::thread;

/// So many bytes of lines are given to a thread at once: 256 KiB. No thread is begun for a shorter file.
const BLOCK_BYTES: usize = 256 << 10;

/// No more threads than these.
const THREADS_MAX: usize = 8;

/// How far a file was read.
pub(super) struct Read {
    /// How many of its bytes are whole records.
    pub(super) whole: u64,
    /// How many it had when it was opened.
    pub(super) length: u64,
}

/// What a line is, its hash and its bytes.
type Line = (Result<(Record, String), LineFault>, u64);

/// Lines, and who waits for what they are.
type Job = (Vec<u8>, Sender<Vec<Line>>);

fn read_lines(block: &[u8]) -> Vec<Line> {
    let lines = block.split_inclusive(|byte| *byte == b'\n');
    let read = |line: &[u8]| {
        let text = line.strip_suffix(b"\n");
        let text = text.and_then(|line| std::str::from_utf8(line).ok());
        let text = text.ok_or_else(|| LineFault::Shape("it is no line of text".to_owned()))?;
        Record::of_line(text)
    };
    lines.map(|line| (read(line), line.len() as u64)).collect()
}

fn work(jobs: &Mutex<Receiver<Job>>) {
    loop {
        let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok((block, wanted)) = job else { return };
        // Nobody waits for it when a line before it is damaged.
        let _ = wanted.send(read_lines(&block));
    }
}

/// The lines of a file, a block at a time.
struct Blocks<'p> {
    reader: BufReader<io::Take<File>>,
    path: &'p Path,
    is_newest: bool,
    left: u64,
}

impl Blocks<'_> {
    /// The next lines; none at the end. The last line of the newest file may be torn, and is left out then: it was never
    /// flushed, so nothing was done because of it.
    fn next(&mut self) -> Result<Option<Vec<u8>>, JournalFault> {
        let mut block = Vec::new();
        while block.len() < BLOCK_BYTES && self.left > 0 {
            let begin = block.len();
            let most = RECORD_BYTES_MAX as u64 + 1;
            let read = io::Read::take(&mut self.reader, most).read_until(b'\n', &mut block);
            let read = read.map_err(io_fault(self.path, "read"))? as u64;
            self.left = if read == 0 { 0 } else { self.left - read };
            if block.last() != Some(&b'\n') {
                if self.left == 0 && self.is_newest {
                    block.truncate(begin);
                }
                // Whatever comes after a line that is too long is not looked at.
                self.left = 0;
            }
        }
        Ok((!block.is_empty()).then_some(block))
    }
}

/// Reads a file, whose records follow `last`.
pub(super) fn read_file(
    path: &Path,
    last: &mut (u64, String),
    is_newest: bool,
    each: &mut dyn FnMut(Record) -> Result<(), JournalFault>,
) -> Result<Read, JournalFault> {
    let file = File::open(path).map_err(io_fault(path, "opened"))?;
    let length = file.metadata().map_err(io_fault(path, "looked at"))?.len();
    let mut blocks = Blocks {
        // What is written meanwhile is not of it.
        reader: BufReader::with_capacity(1 << 16, io::Read::take(file, length)),
        path,
        is_newest,
        left: length,
    };
    let (mut whole, mut number) = (0, 0);
    let mut take = |lines: Vec<Line>| {
        for (read, bytes) in lines {
            number += 1;
            let path = || path.display().to_string();
            let (record, hash) = read.map_err(|fault| JournalFault::Damaged {
                path: path(),
                line: number,
                fault,
            })?;
            if record.seq != last.0 + 1 || record.prev != last.1 {
                return Err(JournalFault::Broken {
                    path: path(),
                    line: number,
                    seq: record.seq,
                });
            }
            *last = (record.seq, hash);
            whole += bytes;
            each(record)?;
        }
        Ok(())
    };
    let threads = match length > BLOCK_BYTES as u64 {
        true => thread::available_parallelism().map_or(1, |count| count.get().min(THREADS_MAX)),
        false => 0,
    };
    let ended = || JournalFault::Failed(format!("{}: a thread that read it ended", path.display()));
    let (jobs, todo) = channel::<Job>();
    let todo = Mutex::new(todo);
    thread::scope(|scope| {
        // The threads end when it goes.
        let jobs = jobs;
        for _ in 0..threads {
            scope.spawn(|| work(&todo));
        }
        let mut asked: VecDeque<Receiver<Vec<Line>>> = VecDeque::new();
        while let Some(block) = blocks.next()? {
            if threads == 0 {
                take(read_lines(&block))?;
                continue;
            }
            let (wanted, lines) = channel();
            jobs.send((block, wanted)).map_err(|_| ended())?;
            asked.push_back(lines);
            if asked.len() > threads
                && let Some(lines) = asked.pop_front()
            {
                take(lines.recv().map_err(|_| ended())?)?;
            }
        }
        for lines in asked {
            take(lines.recv().map_err(|_| ended())?)?;
        }
        Ok(())
    })?;
    Ok(Read { whole, length })
}

/// Reads the records of a folder without opening it for writing, as `verify` does.
pub(super) fn read_all(
    folder: &Path,
    mut each: impl FnMut(Record, &str) -> Result<(), JournalFault>,
) -> Result<(u64, String), JournalFault> {
    let mut last = (0, NO_HASH.to_owned());
    let paths = files(folder)?;
    for (number, path) in paths.iter().enumerate() {
        let shown = path.display().to_string();
        let is_newest = number + 1 == paths.len();
        let read = read_file(path, &mut last, is_newest, &mut |record| {
            each(record, &shown)
        })?;
        if read.whole < read.length {
            return Err(JournalFault::Damaged {
                path: shown,
                line: 0,
                fault: LineFault::Shape("its last line has no end".to_owned()),
            });
        }
    }
    Ok(last)
}
