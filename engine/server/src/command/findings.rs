//! `tripline findings`: what a running service found, newest first, or one finding with its events.

use super::CommandError;
use super::service_client::{Client, ServiceArguments, escaped};
use crate::exit::{Exit, after_help};
use crate::output::pretty::severity_colour;
use crate::terminal::{ColorChoice, Shown};
use clap::Args;
use serde_json::Value;
use std::io::{self, Write};

const EXAMPLES: &str = "\
Examples:
  tripline findings                            the newest hundred
  tripline findings --severity-min high --since 2026-01-02T00:00:00Z
  tripline findings --rule aws-cloudtrail-stopped --limit 10
  tripline findings 0123456789abcdef0123456789abcdef     one with the events that it cites
  tripline findings --json | jq -r '.findings[].title'";

const EXIT_CODES: &[(Exit, &str)] = &[
    (Exit::Success, "told"),
    (
        Exit::Fault,
        "wrong usage, no such finding, or a service that cannot be reached or refuses",
    ),
];

/// Show what a running service found.
#[derive(Args, Debug)]
#[command(after_help = after_help(EXAMPLES, EXIT_CODES))]
pub(crate) struct Arguments {
    /// The finding to show with its events.
    #[arg(value_name = "ID", conflicts_with_all = ["rule", "severity_min", "since", "before", "limit"])]
    id: Option<String>,

    /// Only of this rule.
    #[arg(long, value_name = "ID")]
    rule: Option<String>,

    /// Only at least this severe.
    #[arg(long, value_name = "SEVERITY", value_parser = super::scan::severity)]
    severity_min: Option<tripline_core::rule::Severity>,

    /// Only of events at or after this time.
    #[arg(long, value_name = "TIME", value_parser = super::scan::time)]
    since: Option<jiff::Timestamp>,

    /// Only those with smaller numbers: what an answer calls `next`.
    #[arg(long, value_name = "NUMBER")]
    before: Option<u64>,

    /// At most so many.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=1000))]
    limit: u16,

    /// First wait until everything that was taken so far is evaluated.
    #[arg(long)]
    wait: bool,

    /// The answer of the service as it is.
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    service: ServiceArguments,
}

/// Shows.
pub(crate) fn run(arguments: &Arguments, color: ColorChoice) -> Result<Exit, CommandError> {
    let client = arguments.service.client()?;
    if arguments.wait {
        client.wait_evaluated()?;
    }
    let answer = match &arguments.id {
        Some(id) => client.get(&format!("/v1/findings/{}", escaped(id)))?,
        None => list(arguments, &client)?,
    };
    let mut out = io::stdout().lock();
    if arguments.json || arguments.id.is_some() {
        let text = serde_json::to_string_pretty(&answer).unwrap_or_default();
        writeln!(out, "{}", crate::terminal::printable_json(&text))?;
        return Ok(Exit::Success);
    }
    let palette = color.palette(&io::stdout());
    for finding in answer["findings"].as_array().into_iter().flatten() {
        writeln!(out, "{}", line(finding, &palette))?;
    }
    if let Some(next) = answer["next"].as_u64() {
        writeln!(out, "more with --before {next}")?;
    }
    Ok(Exit::Success)
}

fn list(arguments: &Arguments, client: &Client) -> Result<Value, CommandError> {
    let mut query = format!("/v1/findings?limit={}", arguments.limit);
    if let Some(rule) = &arguments.rule {
        query.push_str(&format!("&rule={}", escaped(rule)));
    }
    if let Some(severity) = arguments.severity_min {
        query.push_str(&format!("&severity_min={severity}"));
    }
    if let Some(since) = arguments.since {
        query.push_str(&format!("&since={}", escaped(&since.to_string())));
    }
    if let Some(before) = arguments.before {
        query.push_str(&format!("&before={before}"));
    }
    Ok(client.get(&query)?)
}

/// A finding on one line.
pub(super) fn line(finding: &Value, palette: &tripline_core::diagnostic::Palette) -> String {
    let text = |key: &str| finding[key].as_str().unwrap_or("").to_owned();
    let severity = text("severity");
    let colour = severity_colour(&severity, palette);
    let more = finding["suppressed"]["count"]
        .as_u64()
        .map_or(String::new(), |count| format!(" (+{count})"));
    format!(
        "{}  {colour}{:<13}{}  {}{more}  {}{}  {}{}",
        Shown(finding["event_time"].as_str().unwrap_or("unknown time")),
        Shown(&severity.to_uppercase()),
        palette.reset,
        Shown(&text("title")),
        palette.quiet,
        Shown(&text("rule_id")),
        Shown(&text("finding_id")),
        palette.reset
    )
}
