//! A service in a folder of its own, asked over one connection at a time.

use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// A service, ended when it is dropped.
pub(crate) struct Service {
    child: Child,
    pub(crate) address: String,
    pub(crate) stdout: Option<ChildStdout>,
}

/// What a service is started with: the folder of its data, its rules, and more of the configuration.
pub(crate) struct Setting<'s> {
    pub(crate) data: PathBuf,
    pub(crate) rules: &'s Path,
    pub(crate) more: String,
}

/// Findings to a file that nobody reads.
pub(crate) fn to_file(folder: &Path) -> String {
    let path = folder.join("findings.jsonl");
    format!(
        "[sinks.file]\ntype = \"file\"\npath = \"{}\"\n",
        path.display()
    )
}

/// Findings stay in the store.
pub(crate) const NO_SINK: &str = "[sinks]\n";

/// Findings to standard output, which the bench reads.
pub(crate) const TO_STDOUT: &str = "[sinks.out]\ntype = \"stdout\"\nformat = \"jsonl\"\n";

impl Service {
    pub(crate) fn start(binary: &Path, setting: &Setting<'_>) -> Self {
        std::fs::create_dir_all(&setting.data).expect("a folder");
        let config = setting.data.with_extension("toml");
        let text = format!(
            "data = \"{}\"\nrules.paths = [\"{}\"]\nhttp.listen = \"127.0.0.1:0\"\nhttp.memory_max_mib = 1024\n{}",
            setting.data.display(),
            setting.rules.display(),
            setting.more
        );
        std::fs::write(&config, text).expect("written");
        let mut child = Command::new(binary)
            .args(["serve", "--config"])
            .arg(&config)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        let mut lines = BufReader::new(child.stderr.take().expect("standard error"));
        let mut told = String::new();
        let address = loop {
            let mut line = String::new();
            let read = lines.read_line(&mut line).expect("text");
            told.push_str(&line);
            assert!(read > 0, "it ended: {told}");
            if let Some((_, address)) = line.trim().split_once("listening on http://") {
                break address.to_owned();
            }
        };
        std::thread::spawn(move || std::io::copy(&mut lines, &mut std::io::sink()));
        let stdout = child.stdout.take();
        Self {
            child,
            address,
            stdout,
        }
    }

    /// One request by itself: status and body of the answer.
    fn ask(&self, head: &str, body: &[u8]) -> (u16, Vec<u8>) {
        let mut stream = TcpStream::connect(&self.address).expect("it listens");
        let head = format!(
            "{head} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
            self.address,
            body.len()
        );
        stream.write_all(head.as_bytes()).expect("sent");
        stream.write_all(body).expect("sent");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("an answer");
        let end = answer.windows(4).position(|four| four == b"\r\n\r\n");
        let body = answer.split_off(end.expect("a head") + 4);
        let status = String::from_utf8_lossy(&answer);
        let status = status.split(' ').nth(1).and_then(|code| code.parse().ok());
        (status.unwrap_or(0), body)
    }

    pub(crate) fn status(&self) -> Value {
        let (status, body) = self.ask("GET /v1/status", b"");
        assert_eq!(status, 200, "{}", String::from_utf8_lossy(&body));
        serde_json::from_slice(&body).expect("JSON")
    }

    /// How far each partition is.
    pub(crate) fn positions(&self) -> Vec<u64> {
        let status = self.status();
        let all = status["partitions"].as_array().expect("a list");
        all.iter()
            .map(|one| one["position"].as_u64().expect("a place"))
            .collect()
    }

    /// How far all partitions together are.
    pub(crate) fn position(&self) -> u64 {
        self.positions().iter().sum()
    }

    /// How many partitions it works on.
    pub(crate) fn held(&self) -> usize {
        let status = self.status();
        let all = status["partitions"].as_array().expect("a list");
        all.iter().filter(|one| one["held"] == true).count()
    }

    pub(crate) fn wait_until(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        let begun = Instant::now();
        while !holds(self) {
            assert!(begun.elapsed() < PATIENCE, "not in time: {what}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// What a line of `/proc/PID/status` says, in KiB.
    fn memory(&self, name: &str) -> u64 {
        let path = format!("/proc/{}/status", self.child.id());
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|line| line.trim().split(' ').next()?.parse().ok())
            .unwrap_or(0)
    }

    /// Memory that it has, in MiB.
    pub(crate) fn resident_mib(&self) -> f64 {
        self.memory("VmRSS:") as f64 / 1024.0
    }

    /// The part of it that is not files, in MiB.
    pub(crate) fn anonymous_mib(&self) -> f64 {
        self.memory("RssAnon:") as f64 / 1024.0
    }

    /// Processor time that it has taken.
    pub(crate) fn cpu(&self) -> Duration {
        cpu_of(self.child.id())
    }

    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill")
            .args([format!("-{name}"), self.child.id().to_string()])
            .status();
        assert!(sent.expect("kill runs").success());
    }
}

/// Processor time that a process has taken.
pub(crate) fn cpu_of(process: u32) -> Duration {
    let text = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    // After the name, which may hold anything: the 12th and 13th, in hundredths of a second.
    let rest = text.rsplit_once(") ").map_or("", |(_, rest)| rest);
    let ticks = rest
        .split(' ')
        .skip(11)
        .take(2)
        .filter_map(|one| one.parse::<u64>().ok());
    Duration::from_millis(ticks.sum::<u64>() * 10)
}

impl Drop for Service {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A connection that is kept, for bodies of events.
pub(crate) struct Sender {
    stream: BufReader<TcpStream>,
    head: String,
}

impl Sender {
    pub(crate) fn connect(service: &Service) -> Self {
        let stream = TcpStream::connect(&service.address).expect("it listens");
        stream.set_nodelay(true).expect("set");
        Self {
            stream: BufReader::new(stream),
            head: format!("POST /v1/events HTTP/1.1\r\nhost: {}\r\n", service.address),
        }
    }

    /// The status of the answer.
    pub(crate) fn post(&mut self, body: &[u8]) -> u16 {
        let head = format!("{}content-length: {}\r\n\r\n", self.head, body.len());
        let stream = self.stream.get_mut();
        stream.write_all(head.as_bytes()).expect("sent");
        stream.write_all(body).expect("sent");
        let mut line = String::new();
        self.stream.read_line(&mut line).expect("an answer");
        let status = line.split(' ').nth(1).and_then(|code| code.parse().ok());
        let mut length = 0;
        loop {
            line.clear();
            self.stream.read_line(&mut line).expect("a head");
            if line.trim().is_empty() {
                break;
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().expect("a length");
            }
        }
        let mut rest = vec![0; length];
        self.stream.read_exact(&mut rest).expect("a body");
        status.unwrap_or(0)
    }
}
