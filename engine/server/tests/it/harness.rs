//! Running the binary, and files to run it on.

use serde_json::Value;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};

/// Folder of this test's data in the repository.
pub(crate) fn data(path: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/it/data")
        .join(path)
        .display()
        .to_string()
}

/// The binary with arguments, plain output and nothing of the person's environment that matters.
pub(crate) fn tripline(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tripline"));
    command
        .args(arguments)
        .env_remove("NO_COLOR")
        .env_remove("COLUMNS")
        .env("TERM", "xterm")
        .stdin(Stdio::null());
    command
}

/// What a run left behind.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).expect("standard output is text"),
            stderr: String::from_utf8(output.stderr).expect("standard error is text"),
        }
    }
}

/// Runs the binary.
pub(crate) fn run(arguments: &[&str]) -> Ran {
    tripline(arguments)
        .output()
        .expect("the binary runs")
        .into()
}

/// Runs the binary with bytes on standard input.
pub(crate) fn run_with_stdin(arguments: &[&str], input: &[u8]) -> Ran {
    let mut child = tripline(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    let mut stdin = child.stdin.take().expect("it has standard input");
    let input = input.to_vec();
    let writer = std::thread::spawn(move || {
        // It may stop reading before the end; then there is nobody to write to.
        let _ = stdin.write_all(&input);
    });
    let output = child.wait_with_output().expect("it ends");
    writer.join().expect("the writer ends");
    output.into()
}

/// A folder of its own for one test.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new(name: &str) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let process = std::process::id();
        let path =
            Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{process}-{number}"));
        std::fs::create_dir_all(&path).expect("the folder can be made");
        Self(path)
    }

    pub(crate) fn path(&self) -> String {
        self.0.display().to_string()
    }

    /// Writes a file and gives its path.
    pub(crate) fn file(&self, name: &str, bytes: impl AsRef<[u8]>) -> String {
        let path = self.0.join(name);
        std::fs::create_dir_all(path.parent().expect("it has a folder")).expect("it can be made");
        std::fs::write(&path, bytes).expect("the file can be written");
        path.display().to_string()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left lies under the build's own folder.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// An event that the rule `seen` matches, with a number to know it by.
pub(crate) fn seen(number: u64) -> String {
    format!(
        r#"{{"eventID":"id-{number}","eventName":"Seen","eventTime":"2024-01-02T03:04:05Z","n":{number}}}"#
    )
}

/// An event that no rule matches.
pub(crate) fn other(number: u64) -> String {
    format!(r#"{{"eventID":"id-{number}","eventName":"Other","n":{number}}}"#)
}

/// A scan's findings as JSON, its account, and how it ended.
#[derive(Debug)]
pub(crate) struct Scanned {
    pub(crate) ran: Ran,
    pub(crate) findings: Vec<Value>,
    pub(crate) statistics: Value,
}

impl Scanned {
    fn of(ran: Ran, statistics_path: &str) -> Self {
        let findings = ran
            .stdout
            .lines()
            .map(|line| serde_json::from_str(line).expect("a finding is JSON"))
            .collect();
        let text = std::fs::read_to_string(statistics_path).unwrap_or_else(|_| "null".to_owned());
        let statistics: Value = serde_json::from_str(&text).expect("statistics are JSON");
        let scanned = Self {
            ran,
            findings,
            statistics,
        };
        scanned.assert_balance();
        scanned
    }

    /// `read matched unmatched duplicates rejected`, then the rejections by reason.
    pub(crate) fn account(&self) -> String {
        account(&self.statistics["summary"]["records"])
    }

    /// Position of every finding, in order.
    pub(crate) fn lines(&self) -> Vec<u64> {
        self.findings
            .iter()
            .map(|one| one["line"].as_u64().expect("a line"))
            .collect()
    }

    /// The number `n` of the event of every finding, in order.
    pub(crate) fn numbers(&self) -> Vec<u64> {
        self.findings
            .iter()
            .map(|one| one["event"]["n"].as_u64().expect("a number"))
            .collect()
    }

    /// Every input's account balances, and so does their sum.
    fn assert_balance(&self) {
        if self.statistics.is_null() {
            return;
        }
        let empty = Vec::new();
        let inputs = self.statistics["inputs"].as_array().unwrap_or(&empty);
        for counts in inputs
            .iter()
            .chain([&self.statistics["summary"]["records"]])
        {
            let count = |name: &str| counts[name].as_u64().expect("a count");
            let sum = ["matched", "unmatched", "duplicates", "rejected"]
                .map(count)
                .iter()
                .sum::<u64>();
            assert_eq!(count("read"), sum, "{counts}");
        }
    }
}

fn account(counts: &Value) -> String {
    let mut out = ["read", "matched", "unmatched", "duplicates", "rejected"]
        .map(|name| format!("{name} {}", counts[name]))
        .join(", ");
    if let Some(reasons) = counts["rejected_by_reason"]
        .as_object()
        .filter(|one| !one.is_empty())
    {
        let reasons: Vec<String> = reasons
            .iter()
            .map(|(reason, count)| format!("{reason} {count}"))
            .collect();
        out.push_str(&format!(" ({})", reasons.join(", ")));
    }
    out
}

fn scan_arguments(folder: &Folder, arguments: &[&str]) -> (Vec<String>, String) {
    let statistics = folder.0.join("statistics.out").display().to_string();
    let mut all: Vec<String> = ["scan", "--format", "jsonl", "--rules"]
        .map(str::to_owned)
        .into();
    all.push(data("rules"));
    all.extend(["--stats-format", "json", "--stats-output", &statistics].map(str::to_owned));
    all.extend(arguments.iter().map(|one| (*one).to_owned()));
    (all, statistics)
}

/// Scans with the rule `seen`, giving findings and statistics.
pub(crate) fn scan(arguments: &[&str]) -> Scanned {
    let folder = Folder::new("statistics");
    let (all, statistics) = scan_arguments(&folder, arguments);
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    Scanned::of(run(&all), &statistics)
}

/// The same with bytes on standard input.
pub(crate) fn scan_stdin(arguments: &[&str], input: &[u8]) -> Scanned {
    let folder = Folder::new("statistics");
    let (all, statistics) = scan_arguments(&folder, arguments);
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    Scanned::of(run_with_stdin(&all, input), &statistics)
}
