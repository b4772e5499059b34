//! From a full stream to durable findings, with 1,000 rules and one worker, beside the client alone on the same stream.

use crate::events::{events, write_rules};
use crate::launcher::{NatsServer, Place};
use crate::process::{NO_SINK, Service, Setting, to_file};
use crate::{Round, median, raw};
use std::path::Path;
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;

const RULES: usize = 1_000;

pub(crate) fn run(binary: &Path, round: Round) {
    let place = Place::new("bench");
    let server = NatsServer::start(place.path(), "");
    let rules = place.path().join("rules");
    write_rules(&rules, RULES, 0);
    let all = events(round.events);
    let runtime = Runtime::new().expect("a runtime");
    let context = runtime.block_on(raw::context(&server));
    let setting = |number: usize, sinks: &str| {
        let more = format!(
            "[bus]\ntype = \"nats\"\n[nats]\nsize_max_mib = 900\nurls = [\"{}\"]\n{sinks}",
            server.url()
        );
        Setting {
            data: place.path().join(format!("data-{number}")),
            rules: &rules,
            more,
        }
    };
    // The first makes the stream as it must be.
    drop(Service::start(binary, &setting(0, NO_SINK)));
    runtime.block_on(raw::fill(&context, 0, &all));
    let file = to_file(place.path());
    let kinds = [
        ("the service, findings durable", NO_SINK),
        ("the same, and each of them written to a file", &file),
    ];
    let mut alone = raw::ASKED.map(|_| Vec::new());
    let mut ours = [const { Vec::new() }; 2];
    let mut ratios = [const { Vec::new() }; 2];
    let mut cores = [const { Vec::new() }; 2];
    let (mut found, mut number) = (0, 0);
    for _ in 0..round.rounds {
        let mut raw = 0f64;
        for (asked, rates) in raw::ASKED.into_iter().zip(&mut alone) {
            let taken = runtime.block_on(raw::consume(&context, 0, all.len(), asked));
            let rate = all.len() as f64 / taken.as_secs_f64();
            rates.push(rate);
            // Beside the better of both.
            raw = raw.max(rate);
        }
        for (kind, (_, sinks)) in kinds.iter().enumerate() {
            number += 1;
            let setting = setting(number, sinks);
            let service = Service::start(binary, &setting);
            let (rate, busy) = rate(&service, all.len() as u64);
            found = service.status()["findings"]["new"].as_u64().unwrap_or(0);
            ours[kind].push(rate);
            cores[kind].push(busy);
            ratios[kind].push(rate / raw);
            drop(service);
            // The disk is not filled with what nobody looks at.
            let _ = std::fs::remove_dir_all(setting.data);
        }
    }
    println!(
        "\n| JetStream to findings, {RULES} rules | events/s | of the client alone | cores |\n|---|---|---|---|"
    );
    for (asked, rates) in raw::ASKED.into_iter().zip(alone) {
        let rate = median(rates);
        println!("| the client alone, acknowledging {asked} together | {rate:.0} | | |");
    }
    for (kind, (name, _)) in kinds.iter().enumerate() {
        let figures = [&ours, &ratios, &cores].map(|all| median(all[kind].clone()));
        let [rate, ratio, cores] = figures;
        println!("| {name} | {rate:.0} | {ratio:.2} | {cores:.2} |");
    }
    println!("\n{} events, {found} findings", all.len());
}

/// Events a second between a tenth of the way and its end, and how many cores the service had meanwhile.
pub(crate) fn rate(service: &Service, events: u64) -> (f64, f64) {
    let mut first: Option<(u64, Instant, Duration)> = None;
    let limit = Instant::now() + Duration::from_secs(120);
    loop {
        let position = service.position();
        let at = Instant::now();
        match first {
            None if position >= events / 10 => first = Some((position, at, service.cpu())),
            Some((from, since, cpu)) if position >= events => {
                let seconds = (at - since).as_secs_f64();
                let busy = (service.cpu() - cpu).as_secs_f64() / seconds;
                return ((position - from) as f64 / seconds, busy);
            }
            _ => {}
        }
        assert!(at < limit, "it does not come to the end");
        std::thread::sleep(Duration::from_millis(20));
    }
}
