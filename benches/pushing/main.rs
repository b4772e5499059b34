//! Events pushed through a channel of a service: how many a second are acknowledged as durable, and how long an acknowledgement
//! takes, with batches and senders of several sizes, into the log on disk and into a stream of NATS.
//!
//! Beside it in the same run: bare publishes to the same server of NATS; the same requests once more, which are answered without being
//! stored because everything in them came before; and the disk alone, which appends and flushes as many bytes at a time. The service has
//! the 1,000 rules of the bench of the service, which find something in about one event of eleven. Then what 500
//! channels with quotas cost, and what a flood of one channel does to another. Starts `tripline serve` of a release build in folders of
//! its own. Senders are threads that each keep one connection. What is shown is the median of the rounds.

// The bench of the service uses more of it.
#[allow(dead_code)]
#[path = "../service/events.rs"]
mod events;
mod figures;
// Tests of the bus and the service use more of it.
#[allow(dead_code)]
#[path = "../../engine/bus/src/nats/tests/launcher.rs"]
mod launcher;
mod nats;
mod service;

use bytes::Bytes;
use figures::{Figures, median, medians};
use launcher::{NatsServer, Place};
use nats::Bare;
use service::{CHANNELS, FLOODED, OPEN, Sender, Service, limited};
use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tripline_core::sample::{Generator, Options};

/// Rules of the services.
const RULES: usize = 1_000;

fn main() {
    let has = |wanted: &str| std::env::args().any(|word| word == wanted);
    let binary = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/release/tripline");
    if has("--test") || !binary.exists() {
        println!(
            "needs `cargo build --release -p tripline-server`, and is not measured without it"
        );
        return;
    }
    let (rounds, requests) = match has("--quick") {
        true => (3, 100),
        false => (5, 300),
    };
    let place = Place::new("pushing");
    let rules = place.path().join("rules");
    events::write_rules(&rules, RULES, 0);
    let server = NatsServer::start(place.path(), "");
    let bare = Bare::new(server.url());
    let start = |name: &str, more: &str| {
        let folder = place.path().join(name);
        std::fs::create_dir_all(&folder).expect("a folder");
        let more = format!("rules.paths = [\"{}\"]\n{more}", rules.display());
        Service::start(&binary, &folder, &more)
    };
    let embedded = start("embedded", "");
    let more = format!(
        "[bus]\ntype = \"nats\"\n[nats]\nurls = [\"{}\"]\nsize_max_mib = 2500\nreleased = \"purge\"\n",
        server.url()
    );
    let on_nats = start("on-nats", &more);
    let bench = Bench {
        embedded,
        on_nats,
        bare,
        bodies: Bodies::new(),
        disk: place.path().join("disk"),
    };
    if !has("fairness") && !has("channels") {
        bench.sizes(rounds, requests);
    }
    if !has("fairness") {
        bench.channels(rounds, requests);
    }
    if !has("channels") {
        bench.fairness(if has("--quick") { 3 } else { 8 });
    }
    println!(
        "\nmemory of the services at the end: {} and {} KiB",
        bench.embedded.resident_kib(),
        bench.on_nats.resident_kib()
    );
}

/// All that is measured.
struct Bench {
    embedded: Service,
    on_nats: Service,
    bare: Bare,
    bodies: Bodies,
    disk: std::path::PathBuf,
}

/// Senders, events of a request, and requests.
#[derive(Clone, Copy)]
struct Size {
    senders: usize,
    batch: usize,
    requests: usize,
}

/// One round of a size.
struct Round {
    embedded: Figures,
    again: Figures,
    on_nats: Figures,
    bare: Figures,
    disk: f64,
}

impl Bench {
    fn sizes(&self, rounds: usize, requests: usize) {
        println!(
            "| senders | events a request | embedded, events/s | p50 ms | p99 ms | on NATS, events/s | p50 ms | p99 ms | bare publish, events/s | p50 ms | p99 ms | of bare | \
             not stored, events/s | p50 ms | p99 ms | disk alone, events/s |"
        );
        println!("{}|", "|---".repeat(16));
        let mut number = 0;
        for senders in [1, 8, 64] {
            for batch in [1, 100, 1000] {
                // About as many events each time, and some requests of every sender.
                let requests = (requests * 100 / batch.max(10)).clamp(4 * senders, 4_000);
                let size = Size {
                    senders,
                    batch,
                    requests,
                };
                let all: Vec<Round> = (0..rounds)
                    .map(|_| {
                        number += 1;
                        self.round(size, number)
                    })
                    .collect();
                let of = |which: fn(&Round) -> Figures| {
                    let figures: Vec<Figures> = all.iter().map(which).collect();
                    medians(&figures)
                };
                let shown =
                    |one: &Figures| format!("{:.0} | {:.2} | {:.2}", one.events, one.p50, one.p99);
                let ratio = median(all.iter().map(|one| one.on_nats.events / one.bare.events));
                println!(
                    "| {senders} | {batch} | {} | {} | {} | {ratio:.2} | {} | {:.0} |",
                    shown(&of(|one| one.embedded)),
                    shown(&of(|one| one.on_nats)),
                    shown(&of(|one| one.bare)),
                    shown(&of(|one| one.again)),
                    median(all.iter().map(|one| one.disk)),
                );
            }
        }
    }

    fn round(&self, size: Size, number: usize) -> Round {
        let batch: Vec<Bytes> = self.bodies.events(size.batch);
        let to = |_| OPEN.to_owned();
        Round {
            embedded: self.push(&self.embedded, size, &format!("{number}"), &to),
            again: self.push(&self.embedded, size, &format!("{number}"), &to),
            on_nats: self.push(&self.on_nats, size, &format!("{number}"), &to),
            bare: self.bare.push((size.senders, size.requests), &batch),
            disk: self.alone(size),
        }
    }

    /// Pushes to the channels that `to` names for each request.
    fn push(
        &self,
        service: &Service,
        size: Size,
        name: &str,
        to: &(impl Fn(usize) -> String + Sync),
    ) -> Figures {
        let each = size.requests / size.senders;
        let prepared: Vec<Vec<(String, Vec<u8>)>> = (0..size.senders)
            .map(|sender| {
                let one = |request| {
                    let name = format!("{name}-{}-{sender}-{request}", size.batch);
                    let body = self.bodies.body(size.batch, &name);
                    (to(sender * each + request), body)
                };
                (0..each).map(one).collect()
            })
            .collect();
        let begun = Instant::now();
        let times: Vec<Duration> = std::thread::scope(|scope| {
            let threads: Vec<_> = prepared
                .iter()
                .map(|own| {
                    scope.spawn(move || {
                        let mut sender = Sender::connect(service);
                        let post = |(channel, body): &(String, Vec<u8>)| {
                            let (status, time) = sender.post(channel, body);
                            assert_eq!(status, 200, "every event is taken");
                            time
                        };
                        own.iter().map(post).collect::<Vec<_>>()
                    })
                })
                .collect();
            threads
                .into_iter()
                .flat_map(|one| one.join().expect("a sender ends"))
                .collect()
        });
        Figures::new(begun.elapsed(), times, size.batch)
    }

    /// The disk alone: one append and one flush for each request, events a second.
    fn alone(&self, size: Size) -> f64 {
        let requests = size.requests / size.senders;
        let mut file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.disk)
            .expect("a file");
        let body = self.bodies.body(size.batch, "disk");
        let begun = Instant::now();
        for _ in 0..requests {
            file.write_all(&body).expect("written");
            file.sync_data().expect("flushed");
        }
        let seconds = begun.elapsed().as_secs_f64();
        std::fs::remove_file(&self.disk).expect("removed");
        (size.batch * requests) as f64 / seconds
    }

    /// One channel without quotas, and as many events through 500 that have all of them.
    fn channels(&self, rounds: usize, requests: usize) {
        println!(
            "\n| events a request | one channel, events/s | processor us/event | {CHANNELS} with quotas, events/s | processor us/event | of one |\n|---|---|---|---|---|---|"
        );
        for batch in [1, 100] {
            let size = Size {
                senders: 8,
                batch,
                requests: (20 * requests / batch.min(10)).max(CHANNELS),
            };
            let one = |to: &(dyn Fn(usize) -> String + Sync), name: &str| {
                let before = self.embedded.busy();
                let figures = self.push(&self.embedded, size, name, &to);
                let busy = self.embedded.busy() - before;
                let events = size.requests / size.senders * size.senders * batch;
                (figures.events, busy * 1e6 / events as f64)
            };
            let mut all = Vec::new();
            for round in 0..rounds {
                let single = one(&|_| OPEN.to_owned(), &format!("one-{round}"));
                let many = one(&limited, &format!("many-{round}"));
                all.push((single, many));
            }
            println!(
                "| {batch} | {:.0} | {:.1} | {:.0} | {:.1} | {:.2} |",
                median(all.iter().map(|(one, _)| one.0)),
                median(all.iter().map(|(one, _)| one.1)),
                median(all.iter().map(|(_, many)| many.0)),
                median(all.iter().map(|(_, many)| many.1)),
                median(all.iter().map(|(one, many)| many.1 / one.1)),
            );
        }
    }

    /// One channel's p99 alone, and while another one is flooded far beyond its quota.
    fn fairness(&self, seconds: u64) {
        let service = &self.embedded;
        let measure = |name: &str| {
            let mut sender = Sender::connect(service);
            let begun = Instant::now();
            let mut times = Vec::new();
            while begun.elapsed() < Duration::from_secs(seconds) {
                let body = self.bodies.body(10, &format!("{name}-{}", times.len()));
                let (status, time) = sender.post(OPEN, &body);
                assert_eq!(status, 200);
                times.push(time);
                std::thread::sleep(Duration::from_millis(2));
            }
            Figures::new(begun.elapsed(), times, 10)
        };
        let alone = measure("alone");
        let is_done = AtomicBool::new(false);
        let (beside, offered, taken) = std::thread::scope(|scope| {
            let flood = scope.spawn(|| {
                let mut sender = Sender::connect(service);
                let (mut offered, mut taken) = (0u64, 0u64);
                while !is_done.load(Ordering::Relaxed) {
                    let body = self.bodies.body(50, &format!("flood-{offered}"));
                    let (status, _) = sender.post(FLOODED, &body);
                    offered += 50;
                    taken += if status == 200 { 50 } else { 0 };
                    if status != 200 {
                        // Who is refused before the body was read is not listened to any longer.
                        sender = Sender::connect(service);
                    }
                    // Fifty times its quota of 100 events a second.
                    std::thread::sleep(Duration::from_millis(9));
                }
                (offered, taken)
            });
            let beside = measure("beside");
            is_done.store(true, Ordering::Relaxed);
            let (offered, taken) = flood.join().expect("it ends");
            (beside, offered, taken)
        });
        println!("\n| a channel | p50 ms | p99 ms |\n|---|---|---|");
        println!("| alone | {:.2} | {:.2} |", alone.p50, alone.p99);
        println!(
            "| beside a flood of {} events a second, {} of them taken | {:.2} | {:.2} |",
            offered / seconds,
            taken / seconds,
            beside.p50,
            beside.p99
        );
    }
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

    /// The same events, each on its own.
    fn events(&self, batch: usize) -> Vec<Bytes> {
        let all = self.0.iter().cycle().take(batch);
        all.map(|event| Bytes::from(event.clone())).collect()
    }
}
