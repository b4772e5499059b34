//! Memory of a service at rest, and while 100,000 events a second are offered to its stream.

use crate::events::{events, write_rules};
use crate::launcher::{NatsServer, Place};
use crate::process::{Service, Setting, to_file};
use crate::{Round, raw};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;

/// Events a second.
const OFFERED: usize = 100_000;
/// Events published together.
const TOGETHER: usize = 1_000;

pub(crate) fn run(binary: &Path, round: Round) {
    let place = Place::new("bench");
    let server = NatsServer::start(place.path(), "");
    let rules = place.path().join("rules");
    write_rules(&rules, 1_000, 0);
    let more = format!(
        "[bus]\ntype = \"nats\"\n[nats]\nsize_max_mib = 3500\nurls = [\"{}\"]\n{}",
        server.url(),
        to_file(place.path())
    );
    let setting = Setting {
        data: place.path().join("data"),
        rules: &rules,
        more,
    };
    let all = events(round.events.min(100_000));
    let service = Service::start(binary, &setting);
    std::thread::sleep(Duration::from_secs(3));
    let idle = (service.resident_mib(), service.anonymous_mib());
    let runtime = Runtime::new().expect("a runtime");
    let is_over = AtomicBool::new(false);
    let (mut most, mut most_anonymous) = (0f64, 0f64);
    let begun = Instant::now();
    let (offered, evaluated) = std::thread::scope(|scope| {
        let offer = scope.spawn(|| {
            runtime.block_on(async {
                let context = raw::context(&server).await;
                offer(&context, &all, round.seconds).await
            })
        });
        let watch = scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                most = most.max(service.resident_mib());
                most_anonymous = most_anonymous.max(service.anonymous_mib());
                std::thread::sleep(Duration::from_millis(100));
            }
        });
        let offered = offer.join().expect("it ends");
        let evaluated = service.position() as f64 / begun.elapsed().as_secs_f64();
        is_over.store(true, Ordering::Relaxed);
        watch.join().expect("it ends");
        (offered, evaluated)
    });
    println!("\n| memory, 1,000 rules | resident, MiB | of that not files, MiB |\n|---|---|---|");
    println!("| at rest | {:.0} | {:.0} |", idle.0, idle.1);
    println!(
        "| most, while {offered:.0} events/s are offered for {} s | {most:.0} | {most_anonymous:.0} |",
        round.seconds
    );
    println!("\nevaluated meanwhile: {evaluated:.0} events/s");
}

/// Publishes at the wanted rate, or as fast as the server takes them; events a second.
async fn offer(context: &async_nats::jetstream::Context, all: &[Vec<u8>], seconds: u64) -> f64 {
    let begun = Instant::now();
    let mut sent = 0;
    for chunk in all.chunks(TOGETHER).cycle() {
        if begun.elapsed() >= Duration::from_secs(seconds) {
            break;
        }
        raw::fill(context, 0, chunk).await;
        sent += chunk.len();
        let due = Duration::from_secs_f64(sent as f64 / OFFERED as f64);
        if let Some(early) = due.checked_sub(begun.elapsed()) {
            tokio::time::sleep(early).await;
        }
    }
    sent as f64 / begun.elapsed().as_secs_f64()
}
