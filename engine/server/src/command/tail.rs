//! `tripline tail`: findings of a running service as they are found.

use super::CommandError;
use super::findings::line;
use super::service_client::ServiceArguments;
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
        "wrong usage, or a service that cannot be reached or refuses",
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

/// Shows until it is interrupted.
pub(crate) fn run(arguments: &Arguments, color: ColorChoice) -> Result<Exit, CommandError> {
    let client = arguments.service.client()?;
    let palette = color.palette(&io::stdout());
    let mut shown: Option<u64> = None;
    loop {
        // From the newest back to what was shown, page by page.
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
                _ => break,
            }
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

fn number(finding: &Value) -> u64 {
    finding["number"].as_u64().unwrap_or(0)
}
