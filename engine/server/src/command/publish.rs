//! `tripline publish`: events from files to a running service.

use super::CommandError;
use super::service_client::ServiceArguments;
use crate::exit::{Exit, after_help};
use crate::input::reader::{BatchReader, BufferPool, Portion};
use crate::input::resolve::resolve;
use crate::input::split::PieceKind;
use crate::terminal::{Shown, counted};
use clap::Args;
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;
use tripline_core::limits::EVENT_BYTES_MAX;

const EXAMPLES: &str = "\
Inputs are what `tripline scan` reads. Events are sent in the order of the inputs, some hundred at a time; each answer of the
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

/// Sends.
pub(crate) fn run(arguments: &Arguments) -> Result<Exit, CommandError> {
    let client = arguments.service.client()?;
    let resolved = resolve(&arguments.inputs)?;
    let mut faults = resolved.faults.len();
    for (path, fault) in &resolved.faults {
        tell(&format!("{}: {fault}", Shown(&path.to_string())));
    }
    let pool = BufferPool::default();
    let (mut accepted, mut refused, mut last, mut durability) = (0, 0, 0, String::new());
    for input in &resolved.inputs {
        let count = Arc::new(AtomicU64::new(0));
        let mut reader = BatchReader::open(input, &count, &pool, EVENT_BYTES_MAX);
        loop {
            match reader.read(&pool) {
                Portion::End(None) => break,
                Portion::End(Some(fault)) => {
                    faults += 1;
                    tell(&format!("{}: {fault}", Shown(&input.name)));
                    break;
                }
                Portion::Batch(batch) => {
                    let mut body = Vec::new();
                    for piece in &batch.pieces {
                        match piece.kind {
                            PieceKind::Record => {
                                crate::output::on_one_line(
                                    &batch.buffer[piece.start..piece.end],
                                    &mut body,
                                );
                                body.push(b'\n');
                            }
                            PieceKind::Fault(fault) => {
                                refused += 1;
                                tell(&format!("{}:{}: {fault}", Shown(&input.name), piece.line));
                            }
                        }
                    }
                    pool.put(batch.buffer);
                    if body.is_empty() {
                        continue;
                    }
                    let answer = client.post("/v1/events", &body).inspect_err(|_| {
                        tell(&format!("{} were taken before", counted(accepted, "event")));
                    })?;
                    accepted += answer["accepted"].as_u64().unwrap_or(0);
                    last = answer["last"].as_u64().unwrap_or(last);
                    let no_events = answer["refused"].as_u64().unwrap_or(0);
                    refused += no_events;
                    if no_events > 0 {
                        tell(&format!(
                            "{}: {}",
                            Shown(&input.name),
                            answer["first_refused"]
                        ));
                    }
                    durability = answer["durability"].as_str().unwrap_or("").to_owned();
                }
            }
        }
        reader.close(&pool);
    }
    while arguments.wait && client.get("/v1/status")?["position"].as_u64() < Some(last) {
        std::thread::sleep(ASKS_EVERY);
    }
    let mut words = format!("{} taken", counted(accepted, "event"));
    if !durability.is_empty() {
        words.push_str(&format!(", durable: {durability}"));
    }
    if refused > 0 {
        words.push_str(&format!("; {} refused", counted(refused, "record")));
    }
    writeln!(io::stdout(), "{words}")?;
    Ok(match (faults, refused) {
        (0, 0) => Exit::Success,
        (0, _) => Exit::Rejected,
        _ => Exit::Fault,
    })
}

fn tell(words: &str) {
    // If standard error is closed, nobody wants to know.
    let _ = writeln!(io::stderr(), "{words}");
}
