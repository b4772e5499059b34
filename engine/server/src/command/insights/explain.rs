//! `tripline insights explain`: why series are, or are not, unusual in one minute.

use super::reading::{MIB, Reading, existing};
use super::show::is_insight;
use super::{CommandError, EXIT_CODES, NO_INSIGHTS};
use crate::exit::{Exit, after_help};
use crate::input::resolve::{Input, Resolved, resolve};
use crate::rule_files::RuleArguments;
use crate::rule_loading::{Loaded, today_of};
use crate::scan::remember::{Arrival, Remembering};
use crate::scan::report::Findings;
use crate::terminal::{ColorChoice, Shown, printable_json};
use clap::Args;
use jiff::Timestamp;
use serde_json::Value;
use std::io::{self, Write};
use std::path::PathBuf;

const EXAMPLES: &str = "\
The inputs must reach beyond the minute, and hold what came before it, or --state what was learnt of that: what is usual is
learnt from them. Told of each series: what was observed and expected, how it stands against its season, each window with its
probability and surprise, the surprise from which on an insight is told, and whose the activity of the minute is.

Examples:
  tripline insights explain --demo --at 2026-01-13T02:12:00Z --key RunInstances
  tripline insights explain --state state/ --at 2026-02-03T04:05:00Z --key GetSecretValue --json today/";

/// Say why a series is, or is not, unusual in one minute.
#[derive(Args, Debug)]
#[command(after_help = after_help(EXAMPLES, EXIT_CODES))]
pub(crate) struct Arguments {
    /// Files, folders, patterns, or - for standard input.
    #[arg(value_name = "INPUT", required_unless_present = "demo")]
    inputs: Vec<String>,

    #[command(flatten)]
    rules: RuleArguments,

    /// An invented week of a small company, with a burst in its last night.
    #[arg(long, conflicts_with = "inputs")]
    demo: bool,

    /// The minute that holds this time.
    #[arg(long, value_name = "TIME", value_parser = super::super::scan::time)]
    at: Timestamp,

    /// Only series of which a part of the key holds this text.
    #[arg(long, value_name = "TEXT", default_value = "")]
    key: String,

    /// As JSON, one series a line.
    #[arg(long)]
    json: bool,

    /// Begin with what rules learnt before, from this folder; it is only read.
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,

    /// Most memory for what rules remember, in MiB; at least 16.
    #[arg(long, value_name = "MIB", default_value_t = 1024, value_parser = clap::value_parser!(u32).range(16..))]
    state_memory: u32,

    /// Threads that evaluate; all cores without it.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=512))]
    threads: Option<u16>,
}

/// Explains.
pub(crate) fn run(arguments: &Arguments, color: ColorChoice) -> Result<Exit, CommandError> {
    let now = Timestamp::now();
    let resolved = match arguments.demo {
        true => Resolved {
            inputs: vec![Input::bundled("demo", super::demo::demo())],
            faults: Vec::new(),
        },
        false => resolve(&arguments.inputs)?,
    };
    let mut catalog = arguments.rules.load(Vec::new(), today_of(now))?;
    catalog.rules.retain(is_insight);
    let rules = Loaded { catalog }.compile(color);
    if rules.rules().is_empty() {
        return Err(CommandError::Usage(NO_INSIGHTS.to_owned()));
    }
    let started = arguments.rules.plugins.start(rules.plugins())?;
    let plugins = started.asked();
    let bytes_max = (arguments.state_memory as usize).saturating_mul(MIB);
    let how = (Arrival::Archive, Findings::Learnt, bytes_max);
    let mut remembering = Remembering::fresh((&rules, &plugins), how, now, None);
    if let Some(remembering) = &mut remembering {
        if let Some(path) = &arguments.state {
            remembering.go_on_from(&existing(path)?)?;
        }
        remembering.explain(arguments.at, &arguments.key);
    }
    let read = Reading {
        rules: &rules,
        plugins: &plugins,
        resolved: &resolved,
        threads: arguments.threads,
        color,
    }
    .read(remembering, "")?;
    if read.explained.is_empty() {
        let words =
            "no series of that key was known in that minute, or the inputs do not reach beyond it";
        return Err(CommandError::Usage(words.to_owned()));
    }
    let mut out = io::stdout().lock();
    for one in &read.explained {
        match arguments.json {
            true => out.write_all(printable_json(&format!("{one}\n")).as_bytes())?,
            false => out.write_all(text(one).as_bytes())?,
        }
    }
    Ok(read.exit)
}

/// One series for people.
fn text(told: &Value) -> String {
    let word = |name: &str| told[name].as_str().unwrap_or("").to_owned();
    let key = told["key"].as_object().into_iter().flatten();
    let key: Vec<String> = key
        .map(|(name, value)| format!("{name}={}", value.as_str().unwrap_or("")))
        .collect();
    let mut out = String::new();
    let mut row = |name: &str, text: &str| {
        out.push_str(&format!("{name:<11}{}\n", Shown(text)));
    };
    row("series", &key.join(" "));
    row("rule", &word("rule"));
    row("minute", &word("minute"));
    row(
        "state",
        &format!("{}, known since {}", word("state"), word("since")),
    );
    row("why", &word("why"));
    row("observed", &short(&told["observed"]));
    let expected = &told["expectedAMinute"];
    row(
        "expected",
        &format!(
            "{} a minute, rarely below {} or above {}",
            short(&expected["average"]),
            short(&expected["low"]),
            short(&expected["high"])
        ),
    );
    row(
        "usually",
        &format!("{} a minute over the week before", short(&told["baseline"])),
    );
    if told["level"].is_number() {
        row(
            "season",
            &format!(
                "{} a minute at this time of the week, times {} as it goes lately",
                short(&told["usualAtThisTimeOfTheWeek"]),
                short(&told["level"])
            ),
        );
    }
    row(
        "surprise",
        &format!(
            "{}, told from {} on",
            short(&told["surprise"]),
            short(&told["threshold"])
        ),
    );
    for one in told["windows"].as_array().into_iter().flatten() {
        row(
            "window",
            &format!(
                "{:>4} min {:<6} {:>8} of {:>8} expected, probability {}, surprise {}",
                short(&one["minutes"]),
                one["test"].as_str().unwrap_or(""),
                short(&one["observed"]),
                short(&one["expected"]),
                short(&one["probability"]),
                short(&one["surprise"])
            ),
        );
    }
    for one in told["attributions"].as_array().into_iter().flatten() {
        let of = one["attribute"].as_str().unwrap_or("");
        for (when, what) in [("minute", "count"), ("usually", "share")] {
            for name in one[when].as_array().into_iter().flatten() {
                let value = name["value"].as_str().unwrap_or("");
                let words = match when {
                    "minute" => format!("{of} {value}: {} in this minute", short(&name[what])),
                    _ => format!("{of} {value}: usually {} of it", short(&name[what])),
                };
                row("by", &words);
            }
        }
    }
    out.push('\n');
    out
}

/// Few digits.
fn short(value: &Value) -> String {
    let Some(number) = value.as_f64() else {
        return "nothing".to_owned();
    };
    match number.abs() {
        0.0 => "0".to_owned(),
        size if size >= 100.0 || (size.fract() == 0.0 && size < 1e15) => format!("{number:.0}"),
        size if size >= 0.01 => format!("{number:.2}"),
        _ => format!("{number:.1e}"),
    }
}
