//! `tripline remediate`: what policies would do, what they did, and how it is stopped, taken back and proven.

mod actions;
mod audit;
mod backtest;
mod demo;
mod gathering;
mod learn;
mod plan;
pub(super) mod show;
mod target;

use super::CommandError;
use super::service_client::ServiceArguments;
use crate::exit::{Exit, after_help};
use crate::terminal::ColorChoice;
use clap::{Args, Subcommand};

const EXAMPLES: &str = "\
Examples:
  tripline remediate demo                          a security group opened, closed, opened again, and the trail of it
  tripline remediate actions                       what can be done
  tripline remediate plan logs/                    what the policies would answer to these files
  tripline remediate dry-run --policies my.toml trail.json.gz   the same, with the state as it is now
  tripline remediate backtest 'logs/**/*.json.gz'  how often a day, against the caps
  tripline remediate status
  tripline remediate show 0123456789abcdef0123
  tripline remediate revert 0123456789abcdef0123 --by me --reason 'it was meant so'
  tripline remediate off --by me --reason 'odd approvals'
  tripline remediate audit verify tripline-data/remediation";

const EXIT_CODES: &[(Exit, &str)] = &[
    (Exit::Success, "done or told"),
    (
        Exit::Findings,
        "audit verify: the journal is not whole; backtest --fail-over: a cap would be reached; policies with mistakes",
    ),
    (
        Exit::Fault,
        "wrong usage, something that cannot be read, or a service that cannot be reached or refuses",
    ),
];

/// Answer findings with actions that are planned, approved, verified and taken back.
#[derive(Args, Debug)]
#[command(after_help = after_help(EXAMPLES, EXIT_CODES))]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    Demo(demo::Arguments),
    Actions(actions::Arguments),
    /// What the policies would answer to findings in files. Nothing is asked of AWS.
    Plan(plan::Arguments),
    /// The same with the state as AWS tells it now: steps, what each changes, how it is taken back. Nothing is changed.
    DryRun(plan::Arguments),
    Backtest(backtest::Arguments),
    Learn(Box<learn::Arguments>),
    Status(show::StatusArguments),
    List(show::ListArguments),
    Show(show::ShowArguments),
    /// Take back what an action did.
    Revert(show::SayArguments),
    /// Withdraw an action that has not begun.
    Cancel(show::SayArguments),
    Resolve(show::ResolveArguments),
    /// Switch everything, a policy or an account off: no request is begun any more.
    Off(show::SwitchArguments),
    /// Switch it on again.
    On(show::SwitchArguments),
    Audit(audit::Arguments),
}

/// Does what was asked.
pub(crate) fn run(arguments: &Arguments, color: ColorChoice) -> Result<Exit, CommandError> {
    match &arguments.command {
        Command::Demo(arguments) => demo::run(arguments),
        Command::Actions(arguments) => actions::run(arguments),
        Command::Plan(arguments) => plan::run(arguments, false, color),
        Command::DryRun(arguments) => plan::run(arguments, true, color),
        Command::Backtest(arguments) => backtest::run(arguments, color),
        Command::Learn(arguments) => learn::run(arguments, color),
        Command::Status(arguments) => show::status(arguments),
        Command::List(arguments) => show::list(arguments),
        Command::Show(arguments) => show::show(arguments),
        Command::Revert(arguments) => show::say(arguments, "revert"),
        Command::Cancel(arguments) => show::say(arguments, "cancel"),
        Command::Resolve(arguments) => show::resolve(arguments),
        Command::Off(arguments) => show::switch(arguments, true),
        Command::On(arguments) => show::switch(arguments, false),
        Command::Audit(arguments) => audit::run(arguments),
    }
}

/// The service that is asked.
type Service = ServiceArguments;
