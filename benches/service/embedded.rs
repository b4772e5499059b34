//! On the embedded log: events sent, durable, evaluated, findings durable; beside the same bytes at the end of a file, flushed in
//! the same batches.

use crate::events::{events, write_rules};
use crate::launcher::Place;
use crate::process::{Sender, Service, Setting, to_file};
use crate::{Round, median};
use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use std::time::Instant;

/// Events of one request.
const BATCH: usize = 1_000;
/// Requests at a time.
const SENDERS: usize = 4;

pub(crate) fn run(binary: &Path, round: Round) {
    let place = Place::new("bench");
    let rules = place.path().join("rules");
    write_rules(&rules, 1_000, 0);
    let all = events(round.events);
    let bodies: Vec<Vec<u8>> = all.chunks(BATCH).map(|chunk| chunk.join(&b'\n')).collect();
    let bytes: usize = bodies.iter().map(Vec::len).sum();
    let (mut ours, mut disks, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    let mut taken = Vec::new();
    for number in 0..round.rounds {
        let disk = all.len() as f64 / disk(place.path(), &bodies);
        let setting = Setting {
            data: place.path().join(format!("data-{number}")),
            rules: &rules,
            more: to_file(place.path()),
        };
        let service = Service::start(binary, &setting);
        let begun = Instant::now();
        std::thread::scope(|scope| {
            for sender in 0..SENDERS {
                let (service, bodies) = (&service, &bodies);
                scope.spawn(move || {
                    let mut line = Sender::connect(service);
                    for body in bodies.iter().skip(sender).step_by(SENDERS) {
                        assert_eq!(line.post(body), 200, "it is taken");
                    }
                });
            }
        });
        taken.push(all.len() as f64 / begun.elapsed().as_secs_f64());
        service.wait_until("all is evaluated", |service| {
            service.position() >= all.len() as u64
        });
        let rate = all.len() as f64 / begun.elapsed().as_secs_f64();
        ours.push(rate);
        disks.push(disk);
        ratios.push(rate / disk);
        drop(service);
        let _ = std::fs::remove_dir_all(setting.data);
    }
    let mib = |rate: f64| rate * bytes as f64 / all.len() as f64 / 1024.0 / 1024.0;
    let (ours, disks, taken) = (median(ours), median(disks), median(taken));
    println!("\n| embedded, {BATCH} events a request | events/s | MiB/s |\n|---|---|---|");
    println!(
        "| the disk alone, a flush for each batch | {disks:.0} | {:.0} |",
        mib(disks)
    );
    println!("| acknowledged, durable | {taken:.0} | {:.0} |", mib(taken));
    println!(
        "| evaluated by 1,000 rules, findings durable | {ours:.0} | {:.0} |",
        mib(ours)
    );
    println!(
        "| ratio of the last to the first | {:.2} | |",
        median(ratios)
    );
}

/// Seconds that the disk takes alone.
fn disk(folder: &Path, bodies: &[Vec<u8>]) -> f64 {
    let path = folder.join("disk");
    let mut file = OpenOptions::new()
        .create(true)
        .append(true)
        .open(&path)
        .expect("a file");
    let begun = Instant::now();
    for body in bodies {
        file.write_all(body).expect("written");
        file.sync_data().expect("flushed");
    }
    let seconds = begun.elapsed().as_secs_f64();
    std::fs::remove_file(path).expect("removed");
    seconds
}
