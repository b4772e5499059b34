//! `tripline tail`: findings of a running service as they are found.

use super::CommandError;
use super::findings::line;
use super::service_client::{Client, ClientError, ServiceArguments};
use crate::exit::{Exit, after_help};
use crate::terminal::ColorChoice;
use clap::Args;
use serde_json::Value;
use std::io::{self, Write};
use std::time::Duration;

const EXAMPLES: &str = "\
Examples:
  tripline tail
  tripline tail --json | jq -r .title";

const EXIT_CODES: &[(Exit, &str)] = &[
    (
        Exit::Fault,
        "wrong usage, or a service that cannot be reached at first, or refuses",
    ),
    (Exit::Interrupted, "interrupted"),
];

/// Show findings of a running service as they are found.
#[derive(Args, Debug)]
#[command(after_help = after_help(EXAMPLES, EXIT_CODES))]
pub(crate) struct Arguments {
    /// One JSON object per finding and line.
    #[arg(long)]
    json: bool,

    /// Show those already found too, as many as this, and go on.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u16).range(0..=1000))]
    last: u16,

    #[command(flatten)]
    service: ServiceArguments,
}

/// How often the service is asked.
const ASKS_EVERY: Duration = Duration::from_millis(500);

/// Findings of one answer.
const PAGE: u64 = 1000;

/// Shows until it is interrupted. A service that is away, because it is started again, is waited for.
pub(crate) fn run(arguments: &Arguments, color: ColorChoice) -> Result<Exit, CommandError> {
    let client = arguments.service.client()?;
    let palette = color.palette(&io::stdout());
    let mut shown: Option<u64> = None;
    let mut is_away = false;
    loop {
        let mut fresh = match found_since(&client, shown) {
            Ok(fresh) => fresh,
            Err(fault @ ClientError::Unreachable { .. }) if shown.is_some() => {
                if !is_away {
                    is_away = true;
                    writeln!(io::stderr(), "{fault}; waiting for it")?;
                }
                std::thread::sleep(ASKS_EVERY);
                continue;
            }
            Err(fault) => return Err(fault.into()),
        };
        if is_away {
            is_away = false;
            writeln!(io::stderr(), "it answers again")?;
        }
        if shown.is_none() {
            shown = Some(fresh.first().map_or(0, number));
            fresh.truncate(usize::from(arguments.last));
        }
        let mut out = io::stdout().lock();
        for finding in fresh.iter().rev() {
            shown = shown.max(Some(number(finding)));
            match arguments.json {
                true => writeln!(
                    out,
                    "{}",
                    crate::terminal::printable_json(&finding.to_string())
                )?,
                false => writeln!(out, "{}", line(finding, &palette))?,
            }
        }
        out.flush()?;
        drop(out);
        std::thread::sleep(ASKS_EVERY);
    }
}

/// What was found since, from the newest back to what was shown, page by page; the newest page if nothing was shown yet.
fn found_since(client: &Client, shown: Option<u64>) -> Result<Vec<Value>, ClientError> {
    let mut fresh: Vec<Value> = Vec::new();
    let mut before = None;
    loop {
        let from = before.map_or(String::new(), |before: u64| format!("&before={before}"));
        let answer = client.get(&format!("/v1/findings?limit={PAGE}{from}"))?;
        let page = answer["findings"].as_array().cloned().unwrap_or_default();
        let is_fresh = |one: &&Value| shown.is_none_or(|shown| number(one) > shown);
        let count = page.iter().filter(is_fresh).count();
        let is_over = count < page.len() || shown.is_none();
        fresh.extend(page.into_iter().take(count));
        match answer["next"].as_u64() {
            Some(next) if !is_over => before = Some(next),
            _ => return Ok(fresh),
        }
    }
}

fn number(finding: &Value) -> u64 {
    finding["number"].as_u64().unwrap_or(0)
}
