//! `tripline status`: how a running service does.

use super::CommandError;
use super::service_client::ServiceArguments;
use crate::exit::{Exit, after_help};
use crate::terminal::{Shown, grouped};
use clap::Args;
use serde_json::Value;
use std::io::{self, Write};

const EXAMPLES: &str = "\
Examples:
  tripline status
  tripline status --json | jq .lag";

const EXIT_CODES: &[(Exit, &str)] = &[
    (Exit::Success, "it takes and evaluates events"),
    (
        Exit::Findings,
        "it answers, and does not: it starts or ends, has no room, or cannot reach its log",
    ),
    (
        Exit::Fault,
        "wrong usage, or a service that cannot be reached or refuses",
    ),
];

/// Show how a running service does.
#[derive(Args, Debug)]
#[command(after_help = after_help(EXAMPLES, EXIT_CODES))]
pub(crate) struct Arguments {
    /// Everything, as JSON.
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    service: ServiceArguments,
}

/// Shows.
pub(crate) fn run(arguments: &Arguments) -> Result<Exit, CommandError> {
    let status = arguments.service.client()?.get("/v1/status")?;
    let is_ready = status["ready"] == true && status["draining"] != true;
    let mut out = io::stdout().lock();
    if arguments.json {
        let text = serde_json::to_string_pretty(&status).unwrap_or_default();
        writeln!(out, "{}", crate::terminal::printable_json(&text))?;
    } else {
        write(&status, is_ready, &mut out)?;
    }
    Ok(match is_ready {
        true => Exit::Success,
        false => Exit::Findings,
    })
}

fn write(status: &Value, is_ready: bool, out: &mut impl Write) -> io::Result<()> {
    let number = |value: &Value| grouped(value.as_u64().unwrap_or(0));
    let word = if is_ready { "ready" } else { "not ready" };
    let rules = &status["rules"];
    let why_not = status["not_ready"].as_str();
    writeln!(
        out,
        "service    {word}, {} rules in force, {} files off",
        number(&rules["in_force"]),
        number(&rules["off"])
    )?;
    if let Some(why_not) = why_not {
        writeln!(out, "           {}", Shown(why_not))?;
    }
    if let Some(fault) = rules["last_reload_fault"].as_str() {
        writeln!(
            out,
            "           the last reload was refused: {}",
            Shown(fault)
        )?;
    }
    let durability = Shown(status["log"]["durability"].as_str().unwrap_or("?"));
    let partitions = status["partitions"]
        .as_array()
        .map_or(&[][..], Vec::as_slice);
    for one in partitions {
        let of = match partitions.len() {
            1 => String::new(),
            _ => format!(
                ", partition {}{}",
                one["partition"],
                if one["held"] == true {
                    ""
                } else {
                    " (held by another process)"
                }
            ),
        };
        writeln!(
            out,
            "log        {} to {}, {} MiB, durable: {durability}{of}",
            number(&one["first"]),
            number(&one["last"]),
            grouped(one["bytes"].as_u64().unwrap_or(0) >> 20),
        )?;
        if let Some(fault) = one["fault"].as_str() {
            writeln!(out, "           it cannot be looked at: {}", Shown(fault))?;
        }
        writeln!(
            out,
            "evaluated  to {}, {} behind",
            number(&one["position"]),
            number(&one["lag"])
        )?;
        if let Some(version) = one["rules"]["version"].as_str() {
            let after = number(&one["rules"]["after"]);
            writeln!(
                out,
                "           after {after} with version {} of the rules",
                Shown(version)
            )?;
        }
    }
    for (name, words) in status["others"].as_object().into_iter().flatten() {
        writeln!(out, "member     {}", Shown(name))?;
        if let Some(why) = words["lacks_rules"].as_str().filter(|why| !why.is_empty()) {
            writeln!(out, "           it takes no part: {}", Shown(why))?;
        }
    }
    let tally = &status["tally"];
    let malformed: u64 = tally["malformed"]
        .as_object()
        .into_iter()
        .flatten()
        .filter_map(|(_, count)| count.as_u64())
        .sum();
    writeln!(
        out,
        "events     {} evaluated, {} matched, {} malformed, {} verdicts undecided",
        number(&tally["events"]),
        number(&tally["matched"]),
        grouped(malformed),
        number(&tally["undecided"])
    )?;
    if let Some(fault) = status["commit_fault"].as_str() {
        writeln!(out, "           nothing is stored: {}", Shown(fault))?;
    }
    if status["waits_for_sinks"] == true {
        writeln!(out, "           evaluation waits for the slowest sink")?;
    }
    if let Some(lost @ 1..) = tally["lost"].as_u64() {
        writeln!(
            out,
            "           {} records were lost before they were evaluated",
            grouped(lost)
        )?;
    }
    if let Some(dead @ 1..) = status["dead_letters"].as_u64() {
        writeln!(
            out,
            "           {} set aside; see `tripline dlq list`",
            grouped(dead)
        )?;
    }
    for (alias, plugin) in status["plugins"].as_object().into_iter().flatten() {
        let unanswered = plugin["events_without_answer"].as_u64().unwrap_or(0);
        let state = plugin["state"].as_str().unwrap_or("?");
        if let Some(reason) = plugin["reason"].as_str() {
            writeln!(
                out,
                "plugin     {}: {state}: {}",
                Shown(alias),
                Shown(reason)
            )?;
            continue;
        }
        writeln!(
            out,
            "plugin     {}: {state}, {} events, {} without an answer",
            Shown(alias),
            number(&plugin["events"]),
            grouped(unanswered)
        )?;
        let faults = plugin["faults"].as_object().into_iter().flatten();
        for (name, count) in faults {
            writeln!(out, "           {} calls: {}", number(count), Shown(name))?;
        }
    }
    let findings = &status["findings"];
    writeln!(
        out,
        "findings   {} new, {} renewed",
        number(&findings["new"]),
        number(&findings["renewed"])
    )?;
    for (name, sink) in status["sinks"].as_object().into_iter().flatten() {
        let fault = sink["last_fault"].as_str().map_or(String::new(), |fault| {
            format!(
                "; failed {} times: {}",
                number(&sink["failures"]),
                Shown(fault)
            )
        });
        writeln!(
            out,
            "sink       {}: {} sent, {} waiting, {} set aside{fault}",
            Shown(name),
            number(&sink["sent"]),
            number(&sink["waiting"]),
            number(&sink["set_aside"])
        )?;
    }
    for (name, one) in status["destinations"].as_object().into_iter().flatten() {
        let fault = one["last_error"]["message"].as_str();
        let fault = fault.map_or(String::new(), |fault| {
            format!(
                "; failed {} times: {}",
                number(&one["failures"]),
                Shown(fault)
            )
        });
        writeln!(
            out,
            "to         {}: {} events of channels{fault}",
            Shown(name),
            number(&one["events"])
        )?;
    }
    Ok(())
}
