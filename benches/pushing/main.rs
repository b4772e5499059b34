//! Events pushed through a channel of a service: how many a second are acknowledged as durable, and how long an acknowledgement
//! takes, with batches and senders of several sizes.
//!
//! Beside it in the same run: the same requests once more, which are answered without being stored because everything in them came
//! before; and the disk alone, which appends and flushes as many bytes at a time. Starts `tripline serve` of a release build in a
//! folder of its own. Senders are threads that each keep one connection. What is shown is the median of the rounds.

use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tripline_core::sample::{Generator, Options};

fn main() {
    let is_test = std::env::args().any(|word| word == "--test");
    let binary = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/release/tripline");
    if is_test || !binary.exists() {
        println!(
            "needs `cargo build --release -p tripline-server`, and is not measured without it"
        );
        return;
    }
    let quick = std::env::args().any(|word| word == "--quick");
    let (rounds, requests) = if quick { (3, 150) } else { (5, 600) };
    let folder = Folder::new();
    let service = Service::start(&binary, &folder.0);
    let bodies = Bodies::new();
    println!(
        "| senders | events a request | events/s | ack p50 ms | ack p99 ms | not stored, events/s | p50 ms | p99 ms | disk alone, events/s |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    let mut number = 0;
    let only_fairness = std::env::args().any(|word| word == "fairness");
    for senders in [1, 8, 64].into_iter().filter(|_| !only_fairness) {
        for batch in [1, 100, 1000] {
            // About as many events each time, and some requests of every sender.
            let requests = (requests * 100 / batch.max(10)).clamp(4 * senders, 4_000);
            let mut rows: Vec<[f64; 7]> = Vec::new();
            for _ in 0..rounds {
                number += 1;
                let first = push(&service, &bodies, (senders, batch, requests), number);
                let again = push(&service, &bodies, (senders, batch, requests), number);
                let disk = disk(
                    &folder.0,
                    &bodies,
                    (batch, requests / senders.min(requests)),
                );
                rows.push([first.0, first.1, first.2, again.0, again.1, again.2, disk]);
            }
            let median = |at: usize| {
                let mut all: Vec<f64> = rows.iter().map(|row| row[at]).collect();
                all.sort_by(f64::total_cmp);
                all[all.len() / 2]
            };
            println!(
                "| {senders} | {batch} | {:.0} | {:.2} | {:.2} | {:.0} | {:.2} | {:.2} | {:.0} |",
                median(0),
                median(1),
                median(2),
                median(3),
                median(4),
                median(5),
                median(6)
            );
        }
    }
    fairness(&service, &bodies, if quick { 3 } else { 8 });
    println!(
        "\nmemory of the service at the end: {} KiB",
        service.resident_kib()
    );
}

/// Events without an id, for requests to give them one.
struct Bodies(Vec<Vec<u8>>);

impl Bodies {
    fn new() -> Self {
        let generator = Generator::new(&Options {
            events: 1_000,
            ..Options::default()
        });
        Self(generator.map(|record| record.bytes).collect())
    }

    /// So many events as lines, told from all others by their first field.
    fn body(&self, batch: usize, name: &str) -> Vec<u8> {
        let mut body = Vec::new();
        for (place, event) in self.0.iter().cycle().take(batch).enumerate() {
            body.extend_from_slice(format!("{{\"n\":\"{name}-{place}\",").as_bytes());
            body.extend_from_slice(&event[1..]);
            body.push(b'\n');
        }
        body
    }
}

/// Pushes, and says events a second and how long acknowledgements took, in milliseconds.
fn push(
    service: &Service,
    bodies: &Bodies,
    (senders, batch, requests): (usize, usize, usize),
    number: usize,
) -> (f64, f64, f64) {
    let each = requests / senders;
    let prepared: Vec<Vec<Vec<u8>>> = (0..senders)
        .map(|sender| {
            let body =
                |request| bodies.body(batch, &format!("{number}-{batch}-{sender}-{request}"));
            (0..each).map(body).collect()
        })
        .collect();
    let begun = Instant::now();
    let mut times: Vec<Duration> = std::thread::scope(|scope| {
        let threads: Vec<_> = prepared
            .iter()
            .map(|own| {
                scope.spawn(move || {
                    let mut sender = Sender::connect(service, "bench");
                    own.iter().map(|body| sender.post(body)).collect::<Vec<_>>()
                })
            })
            .collect();
        let done = threads
            .into_iter()
            .flat_map(|one| one.join().expect("a sender ends"));
        done.map(|(status, time)| {
            assert_eq!(status, 200, "every event is taken");
            time
        })
        .collect()
    });
    let seconds = begun.elapsed().as_secs_f64();
    times.sort();
    let at = |part: f64| times[((times.len() - 1) as f64 * part) as usize].as_secs_f64() * 1000.0;
    ((each * senders * batch) as f64 / seconds, at(0.5), at(0.99))
}

/// The disk alone: one append and one flush for each request, events a second.
fn disk(folder: &Path, bodies: &Bodies, (batch, requests): (usize, usize)) -> f64 {
    let path = folder.join("disk");
    let mut file = OpenOptions::new()
        .create(true)
        .append(true)
        .open(&path)
        .expect("a file");
    let body = bodies.body(batch, "disk");
    let begun = Instant::now();
    for _ in 0..requests {
        file.write_all(&body).expect("written");
        file.sync_data().expect("flushed");
    }
    let seconds = begun.elapsed().as_secs_f64();
    std::fs::remove_file(path).expect("removed");
    (batch * requests) as f64 / seconds
}

/// One channel's p99 alone, and while another one is flooded far beyond its quota.
fn fairness(service: &Service, bodies: &Bodies, seconds: u64) {
    let measure = |name: &str| {
        let mut sender = Sender::connect(service, "bench");
        let begun = Instant::now();
        let mut times = Vec::new();
        let mut number = 0;
        while begun.elapsed() < Duration::from_secs(seconds) {
            number += 1;
            let (status, time) = sender.post(&bodies.body(10, &format!("{name}-{number}")));
            assert_eq!(status, 200);
            times.push(time);
            std::thread::sleep(Duration::from_millis(2));
        }
        times.sort();
        let at =
            |part: f64| times[((times.len() - 1) as f64 * part) as usize].as_secs_f64() * 1000.0;
        (at(0.5), at(0.99))
    };
    let alone = measure("alone");
    let is_done = std::sync::atomic::AtomicBool::new(false);
    let (beside, offered, taken) = std::thread::scope(|scope| {
        let flood = scope.spawn(|| {
            let mut sender = Sender::connect(service, "flooded");
            let (mut offered, mut taken) = (0u64, 0u64);
            while !is_done.load(std::sync::atomic::Ordering::Relaxed) {
                let (status, _) = sender.post(&bodies.body(50, &format!("flood-{offered}")));
                offered += 50;
                taken += if status == 200 { 50 } else { 0 };
                if status != 200 {
                    // Who is refused before the body was read is not listened to any longer.
                    sender = Sender::connect(service, "flooded");
                }
                // Fifty times its quota of 100 events a second.
                std::thread::sleep(Duration::from_millis(10));
            }
            (offered, taken)
        });
        let beside = measure("beside");
        is_done.store(true, std::sync::atomic::Ordering::Relaxed);
        let (offered, taken) = flood.join().expect("it ends");
        (beside, offered, taken)
    });
    println!("\n| a channel | p50 ms | p99 ms |\n|---|---|---|");
    println!("| alone | {:.2} | {:.2} |", alone.0, alone.1);
    println!(
        "| beside a flood of {} events a second, {} of them taken | {:.2} | {:.2} |",
        offered / seconds,
        taken / seconds,
        beside.0,
        beside.1
    );
}

/// One connection that is kept.
struct Sender {
    stream: BufReader<TcpStream>,
    head: String,
}

impl Sender {
    fn connect(service: &Service, channel: &str) -> Self {
        let stream = TcpStream::connect(&service.address).expect("it listens");
        stream.set_nodelay(true).expect("set");
        let key = service
            .keys
            .iter()
            .find(|(name, _)| name == channel)
            .expect("a key");
        Self {
            stream: BufReader::new(stream),
            head: format!(
                "POST /v1/channels/{channel}/events HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {}\r\n",
                service.address, key.1
            ),
        }
    }

    /// Sends a body; the status of the answer and how long it took.
    fn post(&mut self, body: &[u8]) -> (u16, Duration) {
        let mut request =
            format!("{}content-length: {}\r\n\r\n", self.head, body.len()).into_bytes();
        request.extend_from_slice(body);
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

struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("tripline-pushing-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a folder");
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // It lies where the system cleans up too.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A service, ended when the bench is.
struct Service {
    child: Child,
    address: String,
    keys: Vec<(String, String)>,
}

impl Service {
    fn start(binary: &Path, folder: &Path) -> Self {
        let data = folder.join("data");
        let mut keys = Vec::new();
        for id in ["bench", "flooded"] {
            let key = folder.join(format!("{id}.key"));
            let made = Command::new(binary)
                .args(["channels", "new", id, "--source", "bench", "--data"])
                .arg(&data)
                .arg("--secret-to")
                .arg(&key)
                .stdout(Stdio::null())
                .status();
            assert!(made.expect("it runs").success());
            let key = std::fs::read_to_string(key)
                .expect("a key")
                .trim()
                .to_owned();
            keys.push((id.to_owned(), key));
            let file = data.join(format!("channels/{id}.toml"));
            let limits = match id {
                "bench" => "requests_at_once = 256\nbody_max_kib = 8192\n",
                _ => "events_per_second = 100\nburst_seconds = 1\n",
            };
            let text = std::fs::read_to_string(&file).expect("a file");
            let text = format!("id_field = \"n\"\n{text}\n[limits]\n{limits}");
            std::fs::write(file, text).expect("written");
        }
        let mut child = Command::new(binary)
            .args(["serve", "--listen", "127.0.0.1:0", "--data"])
            .arg(&data)
            .env("TRIPLINE__HTTP__MEMORY_MAX_MIB", "1024")
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
            keys,
        }
    }

    fn resident_kib(&self) -> u64 {
        let path = format!("/proc/{}/status", self.child.id());
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        line.and_then(|line| line.trim().split(' ').next()?.parse().ok())
            .unwrap_or(0)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
