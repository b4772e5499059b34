//! `tripline dlq`: dead letters of a running service.

use super::CommandError;
use super::service_client::{Client, ServiceArguments};
use crate::exit::{Exit, after_help};
use crate::terminal::Shown;
use clap::{Args, Subcommand};
use serde_json::Value;
use std::io::{self, Write};

const EXAMPLES: &str = "\
A record that is no event, an event about which a plugin gave no answer, one that a rule could not be decided on (the first
few of each rule), one that a channel does not take as it is (schema.invalid = \"dead-letter\"), one of which the process died,
and a finding that a sink refused are set aside, so that the others go on.

Examples:
  tripline dlq list
  tripline dlq show 17
  tripline dlq retry 17                        evaluate the event again, or send the finding, after what was wrong is mended
  tripline dlq retry --all                     all of them; what fails again is set aside again
  tripline dlq drop 17 18";

const EXIT_CODES: &[(Exit, &str)] = &[
    (Exit::Success, "done"),
    (Exit::Findings, "some could not be done; the others were"),
    (
        Exit::Fault,
        "wrong usage, or a service that cannot be reached or refuses",
    ),
];

/// List, show, retry and drop dead letters of a running service.
#[derive(Args, Debug)]
#[command(after_help = after_help(EXAMPLES, EXIT_CODES))]
pub(crate) struct Arguments {
    #[command(subcommand)]
    action: Action,

    #[command(flatten)]
    service: ServiceArguments,
}

#[derive(Subcommand, Debug)]
enum Action {
    /// List them, oldest first.
    List {
        /// Only those with larger numbers.
        #[arg(long, value_name = "NUMBER", default_value_t = 0)]
        after: u64,
        /// The answer of the service as it is.
        #[arg(long)]
        json: bool,
    },
    /// Show one with its bytes.
    Show {
        /// Its number.
        number: u64,
    },
    /// Evaluate the events again.
    Retry {
        /// Their numbers.
        #[arg(required_unless_present = "all", conflicts_with = "all")]
        numbers: Vec<u64>,
        /// All of them.
        #[arg(long)]
        all: bool,
    },
    /// Forget them.
    Drop {
        /// Their numbers.
        #[arg(required_unless_present = "all", conflicts_with = "all")]
        numbers: Vec<u64>,
        /// All of them.
        #[arg(long)]
        all: bool,
    },
}

/// Does what was asked for.
pub(crate) fn run(arguments: &Arguments) -> Result<Exit, CommandError> {
    let client = arguments.service.client()?;
    match &arguments.action {
        Action::List { after, json } => list(&client, *after, *json),
        Action::Show { number } => {
            let letter = client.get(&format!("/v1/dead-letters/{number}"))?;
            let text = serde_json::to_string_pretty(&letter).unwrap_or_default();
            writeln!(io::stdout(), "{}", crate::terminal::printable_json(&text))?;
            Ok(Exit::Success)
        }
        Action::Retry { numbers, all } => {
            let numbers = if *all {
                all_numbers(&client)?
            } else {
                numbers.clone()
            };
            each(&numbers, "retried", |number| {
                client.post(&format!("/v1/dead-letters/{number}/retry"), b"")
            })
        }
        Action::Drop { numbers, all } => {
            let numbers = if *all {
                all_numbers(&client)?
            } else {
                numbers.clone()
            };
            each(&numbers, "dropped", |number| {
                client.delete(&format!("/v1/dead-letters/{number}"))
            })
        }
    }
}

fn list(client: &Client, after: u64, json: bool) -> Result<Exit, CommandError> {
    let answer = client.get(&format!("/v1/dead-letters?after={after}"))?;
    let mut out = io::stdout().lock();
    if json {
        writeln!(
            out,
            "{}",
            crate::terminal::printable_json(&answer.to_string())
        )?;
        return Ok(Exit::Success);
    }
    for letter in answer["dead_letters"].as_array().into_iter().flatten() {
        let reason = &letter["reason"];
        let of = ["rule", "plugin", "sink", "channel"]
            .iter()
            .find_map(|key| reason[*key].as_str());
        let of = of.map_or(String::new(), |of| format!(" {}", Shown(of)));
        let detail = reason["detail"].as_str().unwrap_or("");
        writeln!(
            out,
            "{:>6}  {}  {}{of}  {}",
            letter["number"].as_u64().unwrap_or(0),
            Shown(letter["taken"].as_str().unwrap_or("")),
            Shown(reason["kind"].as_str().unwrap_or("")),
            Shown(detail)
        )?;
    }
    if let Some(next) = answer["next"].as_u64() {
        writeln!(out, "more with --after {next}")?;
    }
    Ok(Exit::Success)
}

/// The numbers of all.
fn all_numbers(client: &Client) -> Result<Vec<u64>, CommandError> {
    let (mut numbers, mut after) = (Vec::new(), 0);
    loop {
        let answer = client.get(&format!("/v1/dead-letters?after={after}&limit=1000"))?;
        let letters = answer["dead_letters"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        numbers.extend(letters.iter().filter_map(|one| one["number"].as_u64()));
        match answer["next"].as_u64() {
            Some(next) => after = next,
            None => return Ok(numbers),
        }
    }
}

fn each(
    numbers: &[u64],
    done: &str,
    act: impl Fn(u64) -> Result<Value, super::service_client::ClientError>,
) -> Result<Exit, CommandError> {
    let mut failed = 0;
    for number in numbers {
        match act(*number) {
            Ok(_) => writeln!(io::stdout(), "{number} {done}")?,
            Err(fault @ super::service_client::ClientError::Unreachable { .. }) => {
                return Err(fault.into());
            }
            Err(fault) => {
                failed += 1;
                // If standard error is closed, the exit code says it too.
                let _ = writeln!(io::stderr(), "{number}: {fault}");
            }
        }
    }
    Ok(match failed {
        0 => Exit::Success,
        _ => Exit::Findings,
    })
}
