//! `tripline insights`: what is unusual, shown, learnt and measured.

mod bench;
mod chart;
mod demo;
mod explain;
mod labelled;
mod learn;
mod nab;
mod reading;
mod show;

use super::CommandError;
use crate::exit::{Exit, after_help};
use crate::terminal::ColorChoice;
use clap::{Args, Subcommand};

const EXAMPLES: &str = "\
Rules of the kind `insight` watch series of counts: each learns what is usual for each of its keys at each time of the week, and
tells when one begins and ceases to be unusual. They need some days of events before they say anything; `learn` has these from
history, and `scan --state DIR` and `serve` keep what they have learnt.

Examples:
  tripline insights show --demo                  an invented week with a burst in its last night
  tripline insights show logs/                   what was unusual in files, with charts
  tripline insights show --key RunInstances logs/
  tripline insights show --format jsonl logs/    the records themselves
  tripline insights show --svg charts/ logs/     a picture of each
  tripline insights explain --at 2026-02-03T04:05:00Z --key RunInstances logs/
                                                 why that minute is, or is not, unusual
  tripline insights learn --state state/ past/   what is usual, from history
  tripline insights bench                        how well the detector does on labelled series";

const EXIT_CODES: &[(Exit, &str)] = &[
    (Exit::Success, "every input was read to its end"),
    (
        Exit::Fault,
        "wrong usage, no rule of the kind insight, or something could not be opened, read to its end or written",
    ),
    (Exit::Interrupted, "interrupted"),
];

/// What is said when there is nothing to do.
const NO_INSIGHTS: &str =
    "no rule of the kind insight is in force; `tripline rules` lists those that are";

/// Show what is unusual in series of events.
#[derive(Args, Debug)]
#[command(after_help = after_help(EXAMPLES, EXIT_CODES))]
pub(crate) struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand, Debug)]
enum Action {
    Show(Box<show::Arguments>),
    Learn(Box<learn::Arguments>),
    Explain(Box<explain::Arguments>),
    Bench(bench::Arguments),
}

/// Does what was asked for.
pub(crate) fn run(arguments: Arguments, color: ColorChoice) -> Result<Exit, CommandError> {
    match arguments.action {
        Action::Show(arguments) => show::run(*arguments, color),
        Action::Learn(arguments) => learn::run(&arguments, color),
        Action::Explain(arguments) => explain::run(&arguments, color),
        Action::Bench(arguments) => bench::run(&arguments),
    }
}
