//! A process that appends is killed; what it had said to be acknowledged must be there.

use super::*;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

/// Where the child, which is this test binary once more, finds its log.
const FOLDER: &str = "TRIPLINE_KILLED_LOG";

fn settings(flush: Flush) -> LogSettings {
    LogSettings {
        flush,
        segment_bytes: 64 * 1024,
        ..LogSettings::default()
    }
}

/// The child: appends until it is killed, and prints what was acknowledged. Without a folder it has nothing to do.
#[test]
fn child() {
    let Some(folder) = std::env::var_os(FOLDER) else {
        return;
    };
    let process = std::env::var_os("TRIPLINE_KILLED_PROCESS").is_some();
    let flush = if process {
        never_in_background()
    } else {
        Flush::Fsync
    };
    let (log, _) = Log::open(Path::new(&folder), settings(flush)).expect("opens");
    std::thread::scope(|scope| {
        for thread in 0..3 {
            let log = &log;
            scope.spawn(move || {
                for number in 0_u64.. {
                    let text = format!("{thread}.{number}.{}", "x".repeat(number as usize % 900));
                    let first = append(log, &[text.clone().into_bytes()]).expect("appends");
                    let line = format!("acknowledged {first} {text}\n");
                    let mut out = std::io::stdout().lock();
                    out.write_all(line.as_bytes()).expect("the parent reads");
                    out.flush().expect("the parent reads");
                }
            });
        }
    });
}

#[test]
fn what_a_killed_process_had_acknowledged_is_there() {
    for flush in [Flush::Fsync, never_in_background()] {
        let folder = Temporary::new();
        let mut acknowledged = std::collections::BTreeMap::new();
        for kill in 0..6 {
            let mut command = Command::new(std::env::current_exe().expect("the test binary"));
            command
                .args(["--exact", "embedded::tests::kill::child", "--nocapture"])
                .env(FOLDER, folder.path())
                .stdout(Stdio::piped());
            if flush != Flush::Fsync {
                command.env("TRIPLINE_KILLED_PROCESS", "1");
            }
            let mut child = command.spawn().expect("starts");
            let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
            let mut killed = false;
            let mut seen = 0;
            // After it was killed, what it had printed is still read.
            while let Some(Ok(line)) = lines.next() {
                if let Some((_, said)) = line.split_once("acknowledged ")
                    && let Some((sequence, text)) = said.split_once(' ')
                {
                    let sequence: u64 = sequence.parse().expect("a number");
                    let before = acknowledged.insert(sequence, text.to_owned());
                    assert!(before.is_none(), "{sequence} was given twice");
                    seen += 1;
                }
                if seen > 60 + 37 * kill && !killed {
                    child.kill().expect("is killed");
                    killed = true;
                }
            }
            child.wait().expect("has ended");
            let (log, recovered) = Log::open(folder.path(), settings(flush)).expect("opens");
            assert!(recovered.damaged.is_empty());
            let (found, lost) = read_all(&log, 0, ALL);
            assert!(lost.is_empty());
            let found: Vec<String> = found
                .into_iter()
                .map(|(_, payload)| String::from_utf8(payload).expect("text"))
                .collect();
            for (sequence, text) in &acknowledged {
                // The last line that was printed may be cut off.
                let there = found.get(*sequence as usize - 1);
                assert!(
                    there.is_some_and(|there| there.starts_with(text)),
                    "{sequence}"
                );
            }
        }
    }
}
