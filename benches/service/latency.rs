//! From publishing an event until its finding comes out of a sink, beside a bare way to a consumer of the same stream.

use crate::events::{probe, write_rules};
use crate::launcher::{NatsServer, Place};
use crate::process::{Service, Setting, TO_STDOUT};
use crate::{Round, percentile, raw};
use async_nats::jetstream::{Context, consumer::DeliverPolicy};
use futures_util::StreamExt;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;

/// A message at a time, at less than 500 a second.
const PAUSE: Duration = Duration::from_millis(2);

/// Turns of each side.
const TURNS: usize = 4;

pub(crate) fn run(binary: &Path, round: Round) {
    println!("\n| published until | p50 ms | p99 ms |\n|---|---|---|");
    let servers = [
        ("a server that flushes now and then", "2m"),
        ("a server that flushes each message", "always"),
    ];
    for (name, flushes) in servers {
        let (mut bare, mut ours) = beside(binary, round, flushes);
        let show = |what: &str, times: &mut Vec<f64>| {
            let (middle, late) = (percentile(times, 0.5), percentile(times, 0.99));
            println!("| {what} | {middle:.2} | {late:.2} |");
            (middle, late)
        };
        let bare = show(&format!("{name}: a consumer has it"), &mut bare);
        let ours = show("its finding, durable, comes out of a sink", &mut ours);
        println!(
            "| ratio | {:.2} | {:.2} |",
            ours.0 / bare.0,
            ours.1 / bare.1
        );
    }
}

/// Times of both sides, which take turns.
fn beside(binary: &Path, round: Round, flushes: &str) -> (Vec<f64>, Vec<f64>) {
    let place = Place::new("bench");
    let files = place.path().join("flushing");
    // In the place of what it is started with.
    let config = format!(
        "jetstream {{ store_dir: \"{}\", sync_interval: {flushes} }}",
        files.display()
    );
    let server = NatsServer::start(place.path(), &config);
    let rules = place.path().join("rules");
    write_rules(&rules, 1_000, 0);
    let more = format!(
        "[bus]\ntype = \"nats\"\n[nats]\nsize_max_mib = 900\nurls = [\"{}\"]\n{TO_STDOUT}",
        server.url()
    );
    let setting = Setting {
        data: place.path().join("data"),
        rules: &rules,
        more,
    };
    let mut service = Service::start(binary, &setting);
    let lines = BufReader::new(service.stdout.take().expect("standard output"));
    let (tell, found) = channel();
    std::thread::spawn(move || {
        for _ in lines.lines().map_while(Result::ok) {
            if tell.send(Instant::now()).is_err() {
                return;
            }
        }
    });
    let runtime = Runtime::new().expect("a runtime");
    let context = runtime.block_on(raw::context(&server));
    let (mut bare, mut ours) = (Vec::new(), Vec::new());
    let mut number = 0;
    for _ in 0..TURNS {
        let each = round.messages / TURNS;
        bare.extend(runtime.block_on(round_trips(&context, each)));
        ours.extend(runtime.block_on(findings(&context, &found, each, &mut number)));
    }
    (bare, ours)
}

fn millis(begun: Instant, ended: Instant) -> f64 {
    ended.duration_since(begun).as_secs_f64() * 1000.0
}

/// To a consumer of the client alone. What is published finds nothing, so that the service has nothing to do with it but read.
async fn round_trips(context: &Context, messages: usize) -> Vec<f64> {
    let mut stream = raw::consumer(context, 0, DeliverPolicy::New, raw::ASKED[0]).await;
    let payload = br#"{"eventID":"bare","eventTime":"2026-01-05T00:00:00Z","eventSource":"bench","eventName":"Bare","who":"probe"}"#;
    let mut times = Vec::new();
    for _ in 0..messages {
        let begun = Instant::now();
        let sent = context.publish(raw::subject(0), payload.to_vec().into());
        let sent = sent.await.expect("sends");
        let message = stream.next().await.expect("more").expect("a message");
        times.push(millis(begun, Instant::now()));
        message.ack().await.expect("acknowledged");
        sent.await.expect("acknowledged");
        tokio::time::sleep(PAUSE).await;
    }
    times
}

async fn findings(
    context: &Context,
    found: &Receiver<Instant>,
    messages: usize,
    number: &mut usize,
) -> Vec<f64> {
    let mut times = Vec::new();
    for _ in 0..messages {
        *number += 1;
        let begun = Instant::now();
        let sent = context.publish(raw::subject(0), probe(*number).into());
        let sent = sent.await.expect("sends");
        let ended = found
            .recv_timeout(Duration::from_secs(30))
            .expect("it is found");
        times.push(millis(begun, ended));
        sent.await.expect("acknowledged");
        tokio::time::sleep(PAUSE).await;
    }
    times
}
