//! `tripline publish`: events from files to a running service.

use super::CommandError;
use super::service_client::{Client, ServiceArguments};
use crate::exit::{Exit, after_help};
use crate::input::reader::{BatchReader, BufferPool, Portion};
use crate::input::resolve::{Input, Origin, resolve};
use crate::input::split::PieceKind;
use crate::output::on_one_line;
use crate::terminal::{Shown, counted};
use clap::Args;
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;
use tripline_core::limits::EVENT_BYTES_MAX;

const EXAMPLES: &str = "\
Inputs are what `tripline scan` reads. Events are sent in the order of the inputs, some hundred at a time, those of standard input as they come; each answer of the
service means that they are as durable as it says, which is told in the end. When the service cannot be reached or has
no room, the command ends with 2 and says what was sent; sending the same again finds nothing twice.

Examples:
  tripline publish logs/
  tripline publish --wait trail.json.gz && tripline findings
  tripline sample --events 1000 | tripline publish -
  tripline publish --url http://10.0.0.5:7878 --token-file token trail.json.gz";

const EXIT_CODES: &[(Exit, &str)] = &[
    (Exit::Success, "all events were taken"),
    (
        Exit::Fault,
        "wrong usage, an input that cannot be read, or a service that cannot be reached or refuses",
    ),
    (
        Exit::Rejected,
        "some records are no events; the others were taken",
    ),
];

/// Send events to a running service.
#[derive(Args, Debug)]
#[command(after_help = after_help(EXAMPLES, EXIT_CODES))]
pub(crate) struct Arguments {
    /// Files, folders, patterns, or - for standard input.
    #[arg(value_name = "INPUT", required = true)]
    inputs: Vec<String>,

    /// Wait until what was sent is evaluated, and what was found is stored.
    #[arg(long)]
    wait: bool,

    #[command(flatten)]
    service: ServiceArguments,
}

/// How often a service is asked how far it has come.
const ASKS_EVERY: Duration = Duration::from_millis(50);

/// Bytes after which what was read is sent: enough for the flush of the log to be a small part of it.
const BODY_BYTES: usize = 1024 * 1024;

/// Sends.
pub(crate) fn run(arguments: &Arguments) -> Result<Exit, CommandError> {
    let resolved = resolve(&arguments.inputs)?;
    let mut publishing = Publishing {
        client: arguments.service.client()?,
        body: Vec::new(),
        accepted: 0,
        refused: 0,
        faults: resolved.faults.len(),
        last: BTreeMap::new(),
        durability: String::new(),
    };
    for (path, fault) in &resolved.faults {
        tell(&format!("{}: {fault}", Shown(&path.to_string())));
    }
    publishing.client.wait_for_start();
    let pool = BufferPool::default();
    for input in &resolved.inputs {
        publishing.input(input, &pool)?;
    }
    publishing.send("the end")?;
    publishing.finish(arguments.wait)
}

/// What was sent so far, and what is to be sent next.
struct Publishing {
    client: Client,
    body: Vec<u8>,
    accepted: u64,
    refused: u64,
    faults: usize,
    /// The place of the last event in the log of each partition.
    last: BTreeMap<String, u64>,
    durability: String,
}

impl Publishing {
    fn input(&mut self, input: &Input, pool: &BufferPool) -> Result<(), CommandError> {
        let count = Arc::new(AtomicU64::new(0));
        let mut reader = BatchReader::open(input, &count, pool, EVENT_BYTES_MAX);
        loop {
            let batch = match reader.read(pool) {
                Portion::Batch(batch) => batch,
                Portion::End(fault) => {
                    if let Some(fault) = fault {
                        self.faults += 1;
                        tell(&format!("{}: {fault}", Shown(&input.name)));
                    }
                    break;
                }
            };
            for piece in &batch.pieces {
                match piece.kind {
                    PieceKind::Record => {
                        let record = &batch.buffer[piece.start..piece.end];
                        // A long one goes by itself, so that a body is no longer than it must be.
                        if self.body.len() + record.len() > BODY_BYTES {
                            self.send(&input.name)?;
                        }
                        on_one_line(record, &mut self.body);
                        self.body.push(b'\n');
                    }
                    PieceKind::Fault(fault) => {
                        self.refused += 1;
                        tell(&format!("{}:{}: {fault}", Shown(&input.name), piece.line));
                    }
                }
            }
            pool.put(batch.buffer);
            // What arrives as it happens must not wait for more.
            if input.origin == Origin::Stdin {
                self.send(&input.name)?;
            }
        }
        reader.close(pool);
        Ok(())
    }

    fn send(&mut self, input: &str) -> Result<(), CommandError> {
        if self.body.is_empty() {
            return Ok(());
        }
        let answer = self
            .client
            .post("/v1/events", &self.body)
            .inspect_err(|_| {
                let sent = self.body.iter().filter(|byte| **byte == b'\n').count();
                tell(&format!(
                    "{} were taken before; of {} that were sent last it is not known: send the same again, nothing is found twice",
                    counted(self.accepted, "event"),
                    counted(sent as u64, "event")
                ));
            })?;
        self.body.clear();
        self.accepted += answer["accepted"].as_u64().unwrap_or(0);
        for (partition, last) in answer["last"].as_object().into_iter().flatten() {
            self.last
                .insert(partition.clone(), last.as_u64().unwrap_or(0));
        }
        let no_events = answer["refused"].as_u64().unwrap_or(0);
        self.refused += no_events;
        if no_events > 0 {
            tell(&format!(
                "until {}: {}",
                Shown(input),
                answer["first_refused"]
            ));
        }
        answer["durability"]
            .as_str()
            .unwrap_or("")
            .clone_into(&mut self.durability);
        Ok(())
    }

    fn is_evaluated(&self, status: &Value) -> bool {
        let partitions = status["partitions"]
            .as_array()
            .map_or(&[][..], Vec::as_slice);
        self.last.iter().all(|(number, last)| {
            let number = number.parse::<u64>().ok();
            let mut there = partitions
                .iter()
                .filter(|one| one["partition"].as_u64() == number);
            there
                .next()
                .is_some_and(|one| one["position"].as_u64() >= Some(*last))
        })
    }

    fn finish(self, wait: bool) -> Result<Exit, CommandError> {
        while wait && !self.is_evaluated(&self.client.get("/v1/status")?) {
            std::thread::sleep(ASKS_EVERY);
        }
        let mut words = format!("{} taken", counted(self.accepted, "event"));
        if !self.durability.is_empty() {
            words.push_str(&format!(", durable: {}", Shown(&self.durability)));
        }
        if self.refused > 0 {
            words.push_str(&format!("; {} refused", counted(self.refused, "record")));
        }
        writeln!(io::stdout(), "{words}")?;
        Ok(match (self.faults, self.refused) {
            (0, 0) => Exit::Success,
            (0, _) => Exit::Rejected,
            _ => Exit::Fault,
        })
    }
}

fn tell(words: &str) {
    // If standard error is closed, nobody wants to know.
    let _ = writeln!(io::stderr(), "{words}");
}
