//! The commands: one file each, with its arguments, its examples and what it does.
//!
//! Adding one is a file, a variant and a line in `run`. A command writes to standard output what was asked
//! for, to standard error what else a person should know, and ends with one of the published codes.

mod approvals;
mod backtest;
mod channels;
mod check;
mod completions;
mod config;
mod coverage;
mod dead_letters;
mod explain;
mod findings;
mod fmt;
mod insights;
mod plugin;
mod publish;
mod remediate;
mod replay;
mod rules;
mod sample;
mod scan;
mod schema;
mod serve;
mod service_client;
mod sigma;
mod status;
mod tail;
mod test;

use crate::causes::with_causes;
use crate::exit::{Exit, after_help};
use crate::rule_files::RuleFilesError;
use crate::terminal::{ColorChoice, printable_lines};
use clap::{Parser, Subcommand};
use std::error::Error;
use std::io::{self, Write};

/// Detections as code over audit events: rules in CEL, tested, explained, fast.
#[derive(Parser, Debug)]
#[command(name = "tripline", version, max_term_width = 100)]
#[command(after_help = format!("{}\n\n{CODES_OF_COMMANDS}", after_help(OVERVIEW, EXIT_CODES)))]
#[command(arg_required_else_help = true, subcommand_required = true)]
pub(crate) struct Arguments {
    /// When to use colour.
    #[arg(
        long,
        global = true,
        value_enum,
        default_value = "auto",
        value_name = "WHEN"
    )]
    color: ColorChoice,

    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    Scan(scan::Arguments),
    Backtest(Box<backtest::Arguments>),
    Check(check::Arguments),
    Test(test::Arguments),
    Explain(explain::Arguments),
    Fmt(fmt::Arguments),
    Rules(rules::Arguments),
    Coverage(coverage::Arguments),
    Schema(schema::Arguments),
    Sigma(sigma::Arguments),
    Plugin(plugin::Arguments),
    Serve(serve::Arguments),
    Replay(replay::Arguments),
    Publish(publish::Arguments),
    Channels(Box<channels::Arguments>),
    Insights(Box<insights::Arguments>),
    Remediate(Box<remediate::Arguments>),
    Approvals(Box<approvals::Arguments>),
    Findings(findings::Arguments),
    Tail(tail::Arguments),
    Status(status::Arguments),
    Dlq(dead_letters::Arguments),
    Config(config::Arguments),
    Sample(sample::Arguments),
    Completions(completions::Arguments),
}

const OVERVIEW: &str = "\
Examples:
  tripline scan --demo                         findings in a bundled sample
  tripline scan logs/                          every file under logs/
  tripline scan --rules my-rules/ --fail-on high trail.json.gz
  tripline test my-rules/                      run the rules' own tests";

const EXIT_CODES: &[(Exit, &str)] = &[
    (Exit::Success, "done; nothing to complain about"),
    (
        Exit::Findings,
        "findings at or above --fail-on, failed tests, unmet expectations, or errors in rules found by check, test, explain, backtest, fmt or sigma convert",
    ),
    (
        Exit::Fault,
        "wrong usage, or something could not be opened, read to its end or written",
    ),
    (Exit::Rejected, "input was rejected and --strict is on"),
    (Exit::Interrupted, "interrupted"),
];

const CODES_OF_COMMANDS: &str =
    "The help of each command says which of them it ends with, and what they mean for it.";

/// Why a command could not do its work.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CommandError {
    #[error(transparent)]
    RuleFiles(#[from] RuleFilesError),
    #[error(transparent)]
    Plugins(#[from] crate::plugins::PluginsError),
    #[error(transparent)]
    Input(#[from] crate::input::resolve::ResolveError),
    #[error(transparent)]
    Baseline(#[from] crate::backtest::baseline::BaselineError),
    #[error(transparent)]
    Expectations(#[from] crate::backtest::expect::ExpectError),
    #[error(transparent)]
    Propose(#[from] crate::backtest::proposed_file::ProposeError),
    #[error(transparent)]
    Labels(#[from] crate::backtest::labels::LabelError),
    #[error("writing the output failed")]
    Output(#[source] io::Error),
    #[error(transparent)]
    Overwrite(#[from] crate::overwriting::OverwriteError),
    #[error("{path}: cannot be written")]
    Write { path: String, source: io::Error },
    #[error("{path}: cannot be read")]
    Read { path: String, source: io::Error },
    #[error(transparent)]
    State(#[from] crate::state_folder::StateFault),
    #[error(transparent)]
    Serve(#[from] crate::serve::ServeError),
    #[error(transparent)]
    ChannelEdit(#[from] crate::channel::edit::EditError),
    #[error(transparent)]
    Channel(#[from] crate::channel::file::ChannelFault),
    #[error(transparent)]
    Client(#[from] service_client::ClientError),
    #[error("{0}")]
    Usage(String),
}

impl From<crate::config::ConfigError> for CommandError {
    fn from(error: crate::config::ConfigError) -> Self {
        Self::Serve(error.into())
    }
}

impl From<io::Error> for CommandError {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

/// Runs what was asked for, and says how it ended.
pub(crate) fn run(arguments: Arguments) -> Exit {
    let color = arguments.color;
    let outcome = match arguments.command {
        Command::Scan(arguments) => scan::run(arguments, color),
        Command::Backtest(arguments) => backtest::run(*arguments, color),
        Command::Check(arguments) => check::run(arguments, color),
        Command::Test(arguments) => test::run(arguments, color),
        Command::Explain(arguments) => explain::run(arguments, color),
        Command::Fmt(arguments) => fmt::run(arguments, color),
        Command::Rules(arguments) => rules::run(arguments, color),
        Command::Coverage(arguments) => coverage::run(arguments, color),
        Command::Schema(arguments) => schema::run(&arguments),
        Command::Sigma(arguments) => sigma::run(arguments, color),
        Command::Plugin(arguments) => plugin::run(arguments, color),
        Command::Serve(arguments) => serve::run(&arguments, color),
        Command::Replay(arguments) => replay::run(&arguments, color),
        Command::Publish(arguments) => publish::run(&arguments),
        Command::Channels(arguments) => channels::run(&arguments),
        Command::Insights(arguments) => insights::run(*arguments, color),
        Command::Remediate(arguments) => remediate::run(&arguments, color),
        Command::Approvals(arguments) => approvals::run(&arguments),
        Command::Findings(arguments) => findings::run(&arguments, color),
        Command::Tail(arguments) => tail::run(&arguments, color),
        Command::Status(arguments) => status::run(&arguments),
        Command::Dlq(arguments) => dead_letters::run(&arguments),
        Command::Config(arguments) => config::run(&arguments),
        Command::Sample(arguments) => sample::run(&arguments),
        Command::Completions(arguments) => completions::run(&arguments),
    };
    match outcome {
        Ok(exit) => exit,
        // Whoever reads our output has seen enough.
        Err(CommandError::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
            Exit::Success
        }
        Err(error) => {
            report(&error, color);
            Exit::Fault
        }
    }
}

/// An error with its causes, on standard error.
fn report(error: &dyn Error, color: ColorChoice) {
    let palette = color.palette(&io::stderr());
    let text = printable_lines(&with_causes(error));
    // If standard error is closed too, there is nobody left to tell.
    let _ = writeln!(
        io::stderr(),
        "{}error{}: {text}",
        palette.error,
        palette.reset
    );
}
