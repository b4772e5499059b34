//! A service of a release build with its channels, and connections to it.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The channel without quotas.
pub(crate) const OPEN: &str = "bench";
/// The channel that is flooded.
pub(crate) const FLOODED: &str = "flooded";
/// How many channels with quotas there are beside these.
pub(crate) const CHANNELS: usize = 500;

/// What a process has of the machine's time is counted in such parts.
const TICKS_A_SECOND: f64 = 100.0;

/// A channel among those with quotas.
pub(crate) fn limited(number: usize) -> String {
    format!("limited-{:03}", number % CHANNELS)
}

/// A service, ended when the bench is.
pub(crate) struct Service {
    child: Child,
    address: String,
    key: String,
}

impl Service {
    /// Starts it in a folder of its own, with more of a configuration.
    pub(crate) fn start(binary: &Path, folder: &Path, more: &str) -> Self {
        let data = folder.join("data");
        let key = channels(binary, folder, &data);
        let config = folder.join("tripline.toml");
        let text = format!(
            "data = \"{}\"\nhttp.listen = \"127.0.0.1:0\"\nhttp.memory_max_mib = 1024\n{more}",
            data.display()
        );
        std::fs::write(&config, text).expect("written");
        let mut child = Command::new(binary)
            .args(["serve", "--config"])
            .arg(&config)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        let mut lines = BufReader::new(child.stderr.take().expect("standard error"));
        let address = loop {
            let mut line = String::new();
            assert!(lines.read_line(&mut line).expect("text") > 0, "it ended");
            if let Some((_, address)) = line.trim().split_once("listening on http://") {
                break address.to_owned();
            }
        };
        std::thread::spawn(move || std::io::copy(&mut lines, &mut std::io::sink()));
        Self {
            child,
            address,
            key,
        }
    }

    pub(crate) fn resident_kib(&self) -> u64 {
        let path = format!("/proc/{}/status", self.child.id());
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        line.and_then(|line| line.trim().split(' ').next()?.parse().ok())
            .unwrap_or(0)
    }

    /// The time that it had of the machine, in seconds.
    pub(crate) fn busy(&self) -> f64 {
        let path = format!("/proc/{}/stat", self.child.id());
        let text = std::fs::read_to_string(path).expect("it runs");
        let (_, fields) = text.rsplit_once(") ").expect("as the system writes it");
        let fields: Vec<&str> = fields.split(' ').collect();
        let ticks = |at: usize| fields[at].parse::<f64>().expect("a number");
        (ticks(11) + ticks(12)) / TICKS_A_SECOND
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Makes the channels, which have one key.
fn channels(binary: &Path, folder: &Path, data: &Path) -> String {
    let file = folder.join("key");
    let made = Command::new(binary)
        .args(["channels", "new", OPEN, "--source", "bench", "--data"])
        .arg(data)
        .arg("--secret-to")
        .arg(&file)
        .stdout(Stdio::null())
        .status();
    assert!(made.expect("it runs").success());
    let text = data.join(format!("channels/{OPEN}.toml"));
    let text = std::fs::read_to_string(text).expect("a file");
    let put = |id: &str, limits: &str| {
        let text = format!("id_field = \"n\"\n{text}\n[limits]\n{limits}");
        std::fs::write(data.join(format!("channels/{id}.toml")), text).expect("written");
    };
    let large = "requests_at_once = 256\nbody_max_kib = 8192\n";
    put(OPEN, large);
    put(FLOODED, "events_per_second = 100\nburst_seconds = 1\n");
    let mut quotas = large.to_owned();
    let words =
        "events_per_second = 1000000\nkib_per_second = 1000000\nevents_per_day = 1000000000\n";
    quotas.push_str(words);
    for number in 0..CHANNELS {
        put(&limited(number), &quotas);
    }
    let key = std::fs::read_to_string(file).expect("a key");
    key.trim().to_owned()
}

/// One connection that is kept.
pub(crate) struct Sender {
    stream: BufReader<TcpStream>,
    host: String,
    key: String,
}

impl Sender {
    pub(crate) fn connect(service: &Service) -> Self {
        let stream = TcpStream::connect(&service.address).expect("it listens");
        stream.set_nodelay(true).expect("set");
        Self {
            stream: BufReader::new(stream),
            host: service.address.clone(),
            key: service.key.clone(),
        }
    }

    /// Sends a body to a channel; the status of the answer and how long it took.
    pub(crate) fn post(&mut self, channel: &str, body: &[u8]) -> (u16, Duration) {
        let mut head = format!("POST /v1/channels/{channel}/events HTTP/1.1\r\n");
        let (host, key, length) = (&self.host, &self.key, body.len());
        write!(
            head,
            "host: {host}\r\nauthorization: Bearer {key}\r\ncontent-length: {length}\r\n\r\n"
        )
        .expect("memory");
        let request = [head.as_bytes(), body].concat();
        let begun = Instant::now();
        self.stream.get_mut().write_all(&request).expect("sent");
        let mut line = String::new();
        self.stream.read_line(&mut line).expect("an answer");
        let status = line
            .split(' ')
            .nth(1)
            .and_then(|code| code.parse().ok())
            .unwrap_or(0);
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
        (status, begun.elapsed())
    }
}
