//! `tripline check`: everything that is wrong with rules, tests, lists and overrides, all at once.

use super::CommandError;
use super::plugin::unfit;
use crate::exit::{Exit, after_help};
use crate::plugins::{Installed, PluginArguments};
use crate::remediation::planners::Planners;
use crate::remediation::policies;
use crate::rule_files::RuleArguments;
use crate::rule_loading::{all_reports, today_of};
use crate::sigma_files::SigmaArguments;
use crate::terminal::{ColorChoice, Shown, counted, printable_json};
use clap::{Args, ValueEnum};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::io::{self, Write};
use tripline_core::diagnostic::{Code, Level, did_you_mean};
use tripline_core::rule::Report;

const EXAMPLES: &str = "\
Examples:
  tripline check                            the rules that came with tripline
  tripline check my-rules/ overrides.toml
  tripline check --format json my-rules/
  tripline check --sigma sigma/rules/cloud
  tripline check --explain E1001            what a code means, and the mend";

const EXIT_CODES: &[(Exit, &str)] = &[
    (Exit::Success, "no errors; warnings do not count"),
    (
        Exit::Findings,
        "errors in rules, tests, overrides or lists, or a plugin that cannot run",
    ),
    (
        Exit::Fault,
        "wrong usage, or something could not be read or written",
    ),
];

/// Check rules, tests, lists and overrides; all mistakes of all files at once.
#[derive(Args, Debug)]
#[command(after_help = after_help(EXAMPLES, EXIT_CODES))]
pub(crate) struct Arguments {
    /// Files, folders or patterns; the rules that came with tripline without any.
    #[arg(value_name = "PATH")]
    paths: Vec<String>,

    /// A site list for `inList("NAME", …)`; may be given several times.
    #[arg(long = "list", value_name = "NAME=FILE", action = clap::ArgAction::Append)]
    lists: Vec<String>,

    #[command(flatten)]
    sigma: SigmaArguments,

    #[command(flatten)]
    plugins: PluginArguments,

    /// How mistakes are written.
    #[arg(long, value_enum, default_value = "text", value_name = "FORMAT")]
    format: CheckFormat,

    /// Explain a code instead of checking.
    #[arg(long, value_name = "CODE", conflicts_with_all = ["paths", "lists", "sigma"])]
    explain: Option<String>,

    /// The time to take for now: exceptions that ended before are told.
    #[arg(long, value_name = "TIME", value_parser = super::scan::time)]
    now: Option<Timestamp>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum CheckFormat {
    /// With the line and a caret.
    Text,
    /// One document: `diagnostics`, `errors`, `warnings`.
    Json,
}

/// Checks, and ends with `Findings` when there are errors.
pub(crate) fn run(arguments: Arguments, color: ColorChoice) -> Result<Exit, CommandError> {
    if let Some(code) = &arguments.explain {
        io::stdout().write_all(page(code)?.as_bytes())?;
        return Ok(Exit::Success);
    }
    let now = arguments.now.unwrap_or_else(Timestamp::now);
    let rules = RuleArguments {
        rules: arguments.paths,
        lists: arguments.lists,
        sigma: arguments.sigma,
        plugins: arguments.plugins,
    };
    let files = rules.texts()?.files;
    let catalog = rules.load(Vec::new(), today_of(now))?;
    let mut policies = match rules.plugins.file.is_some() {
        true => {
            let planner = Planners::start(&*rules.plugins.read()?)?;
            policies::of_loaded(policies::loaded(&files), planner.as_deref()).loaded
        }
        // Whoever gives no plugins asks about everything else.
        false => policies::of_files(&files).loaded,
    };
    if !catalog.ids.is_empty() {
        policies.warn_of_unknown_rules(&catalog.ids);
        policies.warn_of_what_is_idle(
            jiff::Timestamp::now()
                .to_zoned(jiff::tz::TimeZone::UTC)
                .date(),
        );
    }
    let rule_count = catalog.rules.len() as u64;
    let mut reports = all_reports(catalog);
    reports.append(&mut policies.reports);
    let count = |level| {
        reports
            .iter()
            .filter(|one| one.diagnostic.level == level)
            .count() as u64
    };
    let unfit = match rules.plugins.file.is_some() {
        true => tell_unfit(&*rules.plugins.read()?),
        false => 0,
    };
    let (errors, warnings) = (count(Level::Error) + unfit, count(Level::Warning));
    let text = match arguments.format {
        CheckFormat::Text => {
            let palette = color.palette(&io::stdout());
            let mut text: String = reports
                .iter()
                .map(|report| report.render(palette))
                .collect();
            let totals = [(errors, "error"), (warnings, "warning")]
                .map(|(count, noun)| counted(count, noun))
                .join(", ");
            let policies = match policies.policies.len() as u64 {
                0 => String::new(),
                1 => ", 1 policy".to_owned(),
                many => format!(", {many} policies"),
            };
            text.push_str(&format!(
                "{}{policies}: {totals}\n",
                counted(rule_count, "rule")
            ));
            text
        }
        CheckFormat::Json => to_json(&reports, (errors, warnings)),
    };
    io::stdout().write_all(text.as_bytes())?;
    Ok(if errors > 0 {
        Exit::Findings
    } else {
        Exit::Success
    })
}

/// Tells which plugins cannot run as they are, and counts them: a rule that asks one would be off or without an answer. That
/// one is off was told when the file was read.
fn tell_unfit(installed: &Installed) -> u64 {
    let unfit = unfit(installed);
    for (alias, reason) in unfit.iter().filter(|(alias, _)| {
        let mut off = installed.off.iter();
        !off.any(|(name, _)| name == alias)
    }) {
        let line = format!("error: plugin `{alias}` cannot run: {}\n", Shown(reason));
        let _ = io::stderr().write_all(line.as_bytes());
    }
    unfit.len() as u64
}

fn to_json(reports: &[Report], (errors, warnings): (u64, u64)) -> String {
    let diagnostics: Vec<Value> = reports.iter().map(Report::to_json).collect();
    let document = json!({ "diagnostics": diagnostics, "errors": errors, "warnings": warnings });
    printable_json(&format!("{document:#}\n"))
}

fn page(code: &str) -> Result<&'static str, CommandError> {
    let wanted = code.to_ascii_uppercase();
    let found = Code::ALL.iter().find(|one| one.as_str() == wanted);
    found.map(|one| one.page()).ok_or_else(|| {
        let near = did_you_mean(&wanted, Code::ALL.iter().map(|one| one.as_str()));
        let near = near.map_or(String::new(), |near| format!("; did you mean {near}?"));
        CommandError::Usage(format!("no diagnostic has the code {code}{near}"))
    })
}
