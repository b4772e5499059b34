//! `tripline sample`: invented events with incidents planted in them.

use super::CommandError;
use crate::exit::{Exit, PRINTING, after_help};
use crate::overwriting::FilesRead;
use crate::writing;
use clap::Args;
use jiff::Timestamp;
use std::io::{self, BufWriter, Write};
use tripline_core::sample::{Generator, Options};

/// Records of the demo: enough noise to be one, few enough to be read through at once.
const DEMO_EVENTS: u64 = 2000;

const EXAMPLES: &str = "\
The same options give the same bytes on every machine.

Examples:
  tripline sample --events 20 | tripline scan -
  tripline sample --events 100000 --days 7 --seed 42 > events.jsonl
  tripline sample --incidents 18 --manifest planted.json > events.jsonl";

/// Write invented CloudTrail events with known incidents among them, as JSON lines.
#[derive(Args, Debug)]
#[command(after_help = after_help(EXAMPLES, PRINTING))]
pub(crate) struct Arguments {
    /// How many events; all planted ones always come.
    #[arg(long, default_value_t = Options::default().events, value_name = "N")]
    events: u64,

    /// Another seed, other events.
    #[arg(long, default_value_t = Options::default().seed, value_name = "N")]
    seed: u64,

    /// Time of the first hour.
    #[arg(long, default_value_t = Options::default().start, value_name = "TIME", value_parser = super::scan::time)]
    start: Timestamp,

    /// Days that the events are spread over.
    #[arg(long, default_value_t = Options::default().days, value_name = "N")]
    days: u32,

    /// Accounts that they happen in.
    #[arg(long, default_value_t = Options::default().accounts, value_name = "N")]
    accounts: u32,

    /// Incidents among them; the kinds take turns.
    #[arg(long, default_value_t = Options::default().incidents, value_name = "N")]
    incidents: u32,

    /// Records in a thousand that come a second time.
    #[arg(long, default_value_t = Options::default().duplicates_per_mille, value_name = "N")]
    duplicates_per_mille: u32,

    /// How late, in seconds, a record may come; 0 gives them in order of time.
    #[arg(long, default_value_t = Options::default().disorder_seconds, value_name = "SECONDS")]
    disorder_seconds: u32,

    /// Write to this file what was planted.
    #[arg(long, value_name = "FILE")]
    manifest: Option<String>,
}

/// Writes the events.
pub(crate) fn run(arguments: &Arguments) -> Result<Exit, CommandError> {
    let manifest = arguments.manifest.as_deref();
    FilesRead::default().keep_from(&[("--manifest", manifest)])?;
    let generator = Generator::new(&Options {
        seed: arguments.seed,
        events: arguments.events,
        start: arguments.start,
        days: arguments.days,
        accounts: arguments.accounts,
        incidents: arguments.incidents,
        duplicates_per_mille: arguments.duplicates_per_mille,
        disorder_seconds: arguments.disorder_seconds,
    });
    if let Some(path) = &arguments.manifest {
        writing::write(path, &generator.manifest().to_json()).map_err(|source| {
            CommandError::Write {
                path: path.clone(),
                source,
            }
        })?;
    }
    let mut out = BufWriter::with_capacity(64 * 1024, io::stdout());
    for record in generator {
        out.write_all(&record.bytes)?;
        out.write_all(b"\n")?;
    }
    out.flush()?;
    Ok(Exit::Success)
}

/// The events of the demo. They are kept for as long as the process lives.
pub(crate) fn demo() -> &'static [u8] {
    let mut text = Vec::new();
    for record in Generator::new(&Options {
        events: DEMO_EVENTS,
        ..Options::default()
    }) {
        text.extend_from_slice(&record.bytes);
        text.push(b'\n');
    }
    text.leak()
}
