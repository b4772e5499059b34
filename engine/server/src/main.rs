//! The `tripline` binary: arguments in, an exit code out. Everything it does is in `command`.

mod backtest;
mod causes;
mod command;
mod exit;
mod input;
mod output;
mod overwriting;
mod pipeline;
mod rule_files;
mod rule_loading;
mod scan;
mod sigma_files;
mod state_folder;
mod terminal;

use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    command::run(command::Arguments::parse()).into()
}
