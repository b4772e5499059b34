//! Measures the bus on NATS beside the client alone: the same stream on the same server, read without acknowledgements in
//! batches of 500; and how long it takes from publishing a message until it was read.
//!
//! `cargo bench -p tripline-bus --bench nats`, `-- --quick` for fewer rounds. Starts a server of its own. The two sides take
//! turns; what is shown is the median of the rounds. Ratios bear more company on the machine than figures do.

// The tests of the bus use more of it.
#[allow(dead_code)]
#[path = "../src/nats/tests/launcher.rs"]
mod launcher;

use async_nats::jetstream::{
    self,
    consumer::{AckPolicy, pull},
};
use futures_util::StreamExt;
use launcher::{NatsServer, Place};
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;
use tripline_bus::nats::{
    ConnectSettings, Login, NatsBus, NatsConnection, NatsSettings, Released, StreamSettings, Tls,
};
use tripline_core::port::{Bus, Delivered, NewRecord, Partition, ReadMax, RecordKind, Sequence};
use tripline_core::rule::kind::EventTime;

/// About the mean length of a CloudTrail record.
const PAYLOAD_BYTES: usize = 1500;
/// What the service reads at a time.
const READ: ReadMax = ReadMax {
    records: 512,
    bytes: 4 << 20,
};
const NAME: &str = "bench-events-0";

fn main() {
    let quick = std::env::args().any(|one| one == "--quick");
    let (rounds, records, messages) = if quick {
        (3, 20_000, 300)
    } else {
        (7, 100_000, 1500)
    };
    let place = Place::new("bench");
    let server = NatsServer::start(place.path(), "");
    let bus = open(&server);
    fill(&bus, records);
    let runtime = Runtime::new().expect("a runtime");
    let (mut raw, mut ours) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        raw.push(records as f64 / runtime.block_on(read_raw(&server, records)).as_secs_f64());
        ours.push(records as f64 / read(&open(&server), records).as_secs_f64());
    }
    let (raw, ours) = (median(raw), median(ours));
    println!("| reading, records/s | client alone | bus | bus / client |");
    println!("|---|---|---|---|");
    println!(
        "| {records} of {PAYLOAD_BYTES} bytes | {:.0} k | {:.0} k | {:.2} |\n",
        raw / 1000.0,
        ours / 1000.0,
        ours / raw
    );
    let mut raw = runtime.block_on(latency_raw(&server, messages));
    let mut ours = latency(&bus, messages);
    raw.sort();
    ours.sort();
    println!("| published until read, ms | p50 | p99 |");
    println!("|---|---|---|");
    for (name, times) in [("client alone", &raw), ("bus", &ours)] {
        let at = |part: f64| times[(times.len() as f64 * part) as usize].as_secs_f64() * 1000.0;
        println!("| {name} | {:.2} | {:.2} |", at(0.5), at(0.99));
    }
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

fn open(server: &NatsServer) -> NatsBus {
    let connect = ConnectSettings {
        urls: vec![server.url()],
        login: Login::None,
        tls: Tls::default(),
        name: "bench".to_owned(),
    };
    let settings = NatsSettings {
        prefix: "bench".to_owned(),
        partition: Partition(0),
        stream: StreamSettings {
            replicas: 1,
            bytes_max: 1 << 30,
            age_max: None,
            event_bytes_max: 1 << 20,
            duplicate_window: Duration::from_secs(120),
            may_create: true,
        },
        released: Released::Keep,
    };
    let connection = NatsConnection::open(&connect).expect("connects");
    NatsBus::open(&connection, &settings).expect("opens").0
}

fn record(payload: &[u8]) -> NewRecord<'_> {
    NewRecord {
        kind: RecordKind::Event,
        taken: EventTime::from_micros(1),
        attributes: b"{\"channel\":\"api\"}",
        payload,
    }
}

fn fill(bus: &NatsBus, records: u64) {
    let payload = vec![b'x'; PAYLOAD_BYTES];
    let batch = vec![record(&payload); 500];
    for _ in 0..records / 500 {
        bus.append(&batch).expect("appends");
    }
}

fn read(bus: &NatsBus, records: u64) -> Duration {
    let begun = Instant::now();
    let mut at = Sequence(0);
    let mut into = Delivered::default();
    while at.0 < records {
        into.clear();
        bus.read(at, READ, &mut into).expect("reads");
        at = into.records.last().map_or(at, |last| last.sequence);
    }
    begun.elapsed()
}

async fn consumer(server: &NatsServer, from: jetstream::consumer::DeliverPolicy) -> pull::Stream {
    let client = async_nats::connect(server.url()).await.expect("connects");
    let context = jetstream::new(client);
    let config = pull::Config {
        ack_policy: AckPolicy::None,
        deliver_policy: from,
        memory_storage: true,
        ..pull::Config::default()
    };
    let consumer = context.create_consumer_on_stream(config, NAME).await;
    let consumer = consumer.expect("a consumer");
    let stream = consumer.stream().max_messages_per_batch(500);
    stream.messages().await.expect("messages")
}

async fn read_raw(server: &NatsServer, records: u64) -> Duration {
    let mut messages = consumer(server, jetstream::consumer::DeliverPolicy::All).await;
    let begun = Instant::now();
    let mut bytes = 0;
    for _ in 0..records {
        let message = messages.next().await.expect("more").expect("a message");
        bytes += message.payload.len();
    }
    assert_eq!(bytes as u64, records * PAYLOAD_BYTES as u64);
    begun.elapsed()
}

/// A message at a time, at 500 a second.
const PAUSE: Duration = Duration::from_millis(2);

async fn latency_raw(server: &NatsServer, messages: u64) -> Vec<Duration> {
    let mut stream = consumer(server, jetstream::consumer::DeliverPolicy::New).await;
    let client = async_nats::connect(server.url()).await.expect("connects");
    let context = jetstream::new(client);
    let payload = vec![b'x'; PAYLOAD_BYTES];
    let mut times = Vec::new();
    for _ in 0..messages {
        let begun = Instant::now();
        let sent = context.publish("bench.events.0", payload.clone().into());
        let sent = sent.await.expect("sends");
        stream.next().await.expect("more").expect("a message");
        times.push(begun.elapsed());
        sent.await.expect("acknowledged");
        tokio::time::sleep(PAUSE).await;
    }
    times
}

fn latency(bus: &NatsBus, messages: u64) -> Vec<Duration> {
    let payload = vec![b'x'; PAYLOAD_BYTES];
    let mut at = bus.span().expect("a span").last;
    let mut into = Delivered::default();
    bus.read(at, READ, &mut into).expect("reads");
    let mut times = Vec::new();
    for _ in 0..messages {
        into.clear();
        let begun = Instant::now();
        std::thread::scope(|scope| {
            scope.spawn(|| bus.append(&[record(&payload)]).expect("appends"));
            assert!(bus.wait(at, Duration::from_secs(10)).expect("waits"));
            bus.read(at, READ, &mut into).expect("reads");
            times.push(begun.elapsed());
        });
        at = into.records.last().expect("a record").sequence;
        std::thread::sleep(PAUSE);
    }
    times
}
