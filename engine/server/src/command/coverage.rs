//! `tripline coverage`: which ATT&CK techniques the rules show.

use super::CommandError;
use crate::exit::{Exit, PRINTING, after_help};
use crate::rule_files::RuleArguments;
use crate::rule_loading::{Loaded, show_errors, today_of};
use crate::terminal::{ColorChoice, printable_json, printable_lines};
use clap::{Args, ValueEnum};
use jiff::Timestamp;
use std::io::{self, Write};
use tripline_core::rule::coverage;

const EXAMPLES: &str = "\
Open a layer at https://mitre-attack.github.io/attack-navigator/.

Examples:
  tripline coverage
  tripline coverage --rules my-rules/
  tripline coverage --format navigator > layer.json";

/// Show which ATT&CK tactics and techniques the rules cover.
#[derive(Args, Debug)]
#[command(after_help = after_help(EXAMPLES, PRINTING))]
pub(crate) struct Arguments {
    #[command(flatten)]
    rules: RuleArguments,

    /// How it is written.
    #[arg(long, value_enum, default_value = "table", value_name = "FORMAT")]
    format: CoverageFormat,

    /// The layer's name.
    #[arg(long, default_value = "Tripline", value_name = "TEXT")]
    name: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum CoverageFormat {
    /// By tactic, for people.
    Table,
    /// A layer for the ATT&CK Navigator.
    Navigator,
}

/// Prints the table or the layer.
pub(crate) fn run(arguments: Arguments, color: ColorChoice) -> Result<Exit, CommandError> {
    let loaded = Loaded::read(&arguments.rules, today_of(Timestamp::now()))?;
    show_errors(&loaded.catalog.reports, color);
    let coverage = coverage(&loaded.catalog.rules);
    let text = match arguments.format {
        CoverageFormat::Table => printable_lines(&coverage.table()),
        CoverageFormat::Navigator => {
            let layer = coverage.navigator_layer(&arguments.name);
            printable_json(&format!("{layer:#}\n"))
        }
    };
    io::stdout().write_all(text.as_bytes())?;
    Ok(Exit::Success)
}
