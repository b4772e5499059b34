//! How long a partition is out of service when the member that has it ends, or is killed, and its rule remembers a million
//! groups: the longest time between two commits, while an event that is found comes every 20 ms.

use crate::events::{probe, write_probe};
use crate::launcher::{NatsServer, Place};
use crate::process::{Service, Setting, TO_STDOUT};
use crate::workers::{PARTITIONS, member};
use crate::{Round, raw};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;

const EVERY: Duration = Duration::from_millis(20);

const RULE: &str = r#"
id = "many"
name = "Many"
description = "So many of one user."
severity = "low"
status = "experimental"
when = 'event.?eventName.orValue("") == "Start"'
group_by = ['event.?who.orValue("")']

[threshold]
window = "6h"
measure = "events"
is = ">= 3"
"#;

pub(crate) fn run(binary: &Path, round: Round) {
    println!(
        "\n| {} groups of state | out of service, s | state, MiB |\n|---|---|---|",
        round.groups
    );
    for (signal, name) in [("TERM", "told to end"), ("KILL", "killed")] {
        let (gap, bytes) = measured(binary, round, signal);
        println!(
            "| the member that has it is {name} | {:.2} | {:.0} |",
            gap.as_secs_f64(),
            bytes as f64 / 1024.0 / 1024.0
        );
    }
}

fn measured(binary: &Path, round: Round, signal: &str) -> (Duration, u64) {
    let place = Place::new("bench");
    let server = NatsServer::start(place.path(), "");
    let rules = place.path().join("rules");
    write_probe(&rules);
    std::fs::write(rules.join("many.toml"), RULE).expect("written");
    let start = |number: usize| {
        let more = member(
            &server,
            &format!("m{number}"),
            &format!("snapshot_every = \"5s\"\nstate_memory_mib = 4096\n{TO_STDOUT}"),
        );
        let mut service = Service::start(
            binary,
            &Setting {
                data: place.path().join(format!("member-{number}")),
                rules: &rules,
                more,
            },
        );
        let mut out = service.stdout.take().expect("standard output");
        std::thread::spawn(move || std::io::copy(&mut out, &mut std::io::sink()));
        service
    };
    let mut members: Vec<Service> = (0..2).map(start).collect();
    for member in &members {
        member.wait_until("it has its share", |member| member.held() == PARTITIONS / 2);
    }
    let runtime = Runtime::new().expect("a runtime");
    let context = runtime.block_on(raw::context(&server));
    let groups: Vec<Vec<u8>> = (0..round.groups).map(group).collect();
    runtime.block_on(raw::fill(&context, 0, &groups));
    members[0].wait_until("all groups are there", |member| {
        member.positions()[0] >= round.groups as u64
    });
    // Until a snapshot has them.
    std::thread::sleep(Duration::from_secs(8));
    let holds = |member: &Service| member.status()["partitions"][0]["held"] == true;
    let holder = members.iter().position(holds).expect("somebody has it");
    let bytes = members[holder].status()["state_bytes"].as_u64();
    let survivor = members.remove(1 - holder);
    let holder = members.remove(0);
    let is_over = AtomicBool::new(false);
    let gap = std::thread::scope(|scope| {
        let (context, is_over) = (&context, &is_over);
        let handle = runtime.handle().clone();
        scope.spawn(move || {
            let mut number = 0;
            while !is_over.load(Ordering::Relaxed) {
                number += 1;
                handle.block_on(async {
                    let sent = context.publish(raw::subject(0), probe(number).into());
                    sent.await.expect("sends").await.expect("acknowledged");
                });
                std::thread::sleep(EVERY);
            }
        });
        let gap = longest_gap(&survivor, || holder.signal(signal));
        is_over.store(true, Ordering::Relaxed);
        gap
    });
    (gap, bytes.unwrap_or(0))
}

/// The longest time in which the partition did not come further, from two seconds before something happens until it goes on.
fn longest_gap(survivor: &Service, happens: impl Fn()) -> Duration {
    let begun = Instant::now();
    let (mut last, mut moved, mut longest) = (0, Instant::now(), Duration::ZERO);
    let mut has_happened = false;
    let mut quiet_since = Instant::now();
    loop {
        let position = survivor.positions()[0];
        let now = Instant::now();
        if !has_happened && begun.elapsed() > Duration::from_secs(2) {
            has_happened = true;
            happens();
            quiet_since = now;
        }
        if position > last {
            if now - moved > longest && last > 0 {
                longest = now - moved;
                quiet_since = now;
            }
            (last, moved) = (position, now);
        }
        // Long after whoever was killed is missed.
        let is_settled = has_happened
            && quiet_since.elapsed() > Duration::from_secs(15)
            && moved.elapsed() < Duration::from_secs(1);
        if is_settled {
            return longest;
        }
        assert!(begun.elapsed() < Duration::from_secs(120), "nobody goes on");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// An event of a group of its own.
fn group(number: usize) -> Vec<u8> {
    let second = number % 3600;
    format!(
        r#"{{"eventID":"g-{number}","eventTime":"2026-01-05T00:{:02}:{:02}Z","eventSource":"bench","eventName":"Start","who":"user-{number}"}}"#,
        second / 60,
        second % 60
    )
    .into_bytes()
}
