//! One and two processes that share four partitions, one thread of evaluation each.

use crate::events::{events, write_rules};
use crate::launcher::{NatsServer, Place};
use crate::process::{Service, Setting, to_file};
use crate::{Round, median, raw};
use std::path::Path;
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;

pub(crate) const PARTITIONS: usize = 4;

/// What members are started with.
pub(crate) fn member(server: &NatsServer, name: &str, more: &str) -> String {
    format!(
        "[bus]\ntype = \"nats\"\n[nats]\nsize_max_mib = 900\nurls = [\"{}\"]\npartitions = {PARTITIONS}\ninexact_rules = \"allow\"\n\
         [store]\nshared = true\nmember = \"{name}\"\n[engine]\nthreads = 1\n{more}",
        server.url()
    )
}

pub(crate) fn run(binary: &Path, round: Round) {
    let all = events(round.events / PARTITIONS);
    let (mut one, mut two, mut factors) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..round.rounds.div_ceil(2) {
        let alone = measured(binary, &all, 1);
        let both = measured(binary, &all, 2);
        one.push(alone.0);
        two.push(both.0);
        factors.push(both.0 / alone.0);
        println!(
            "one {:.0}/s with {:.2} cores, two {:.0}/s with {:.2}",
            alone.0, alone.1, both.0, both.1
        );
    }
    println!("\n| {PARTITIONS} partitions, a shared store | events/s |\n|---|---|");
    println!("| one worker | {:.0} |", median(one));
    println!("| two workers | {:.0} |", median(two));
    println!("| factor | {:.2} |", median(factors));
}

/// Events a second, and the cores that the workers had.
fn measured(binary: &Path, events: &[Vec<u8>], workers: usize) -> (f64, f64) {
    let place = Place::new("bench");
    let server = NatsServer::start(place.path(), "");
    let rules = place.path().join("rules");
    write_rules(&rules, 1_000, 0);
    let start = |number: usize| {
        let folder = place.path().join(format!("member-{number}"));
        let more = member(&server, &format!("m{number}"), &to_file(place.path()));
        Service::start(
            binary,
            &Setting {
                data: folder,
                rules: &rules,
                more,
            },
        )
    };
    let members: Vec<Service> = (0..workers).map(start).collect();
    for member in &members {
        member.wait_until("it has its share", |member| {
            member.held() == PARTITIONS / workers
        });
    }
    // They are held while the streams are filled, for less than others wait for whoever says nothing.
    for member in &members {
        member.signal("STOP");
    }
    let runtime = Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let context = raw::context(&server).await;
        let fills = (0..PARTITIONS).map(|number| raw::fill(&context, number, events));
        futures_util::future::join_all(fills).await;
    });
    for member in &members {
        member.signal("CONT");
    }
    let total = (events.len() * PARTITIONS) as u64;
    let cpu = || members.iter().map(Service::cpu).sum::<Duration>();
    let mut first = None;
    let limit = Instant::now() + Duration::from_secs(120);
    loop {
        let position = members[0].position();
        let at = Instant::now();
        match first {
            None if position >= total / 10 => first = Some((position, at, cpu())),
            // The last of them may be alone.
            Some((from, since, busy)) if position >= total / 10 * 9 => {
                let seconds = (at - since).as_secs_f64();
                let cores = (cpu() - busy).as_secs_f64() / seconds;
                return ((position - from) as f64 / seconds, cores);
            }
            _ => {}
        }
        assert!(at < limit, "they do not come to the end");
        std::thread::sleep(Duration::from_millis(5));
    }
}
