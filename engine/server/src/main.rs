//! The `tripline` binary: arguments in, an exit code out. Everything it does is in `command`.

mod backtest;
mod causes;
mod channel;
mod command;
mod config;
mod exit;
mod input;
mod outgoing;
mod output;
mod overwriting;
mod pipeline;
mod plugins;
mod remediation;
mod rule_files;
mod rule_loading;
mod scan;
mod serve;
mod sigma_files;
mod state_folder;
mod telemetry;
mod terminal;
mod writing;

use clap::Parser;
use mimalloc::MiMalloc;
use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;
use terminal::{Shown, printable_lines};

/// Batches are made on one thread and freed on another, which the allocator of the C library pays for in time and in memory that it
/// does not give back.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    let given: Vec<OsString> = std::env::args_os().collect();
    match command::Arguments::try_parse_from(&given) {
        Ok(arguments) => command::run(arguments).into(),
        Err(error) => refuse(&error, &given),
    }
}

/// Tells what is wrong with the arguments, or the help that was asked for, and ends. Messages repeat arguments, which
/// may come from anywhere, so they are told of arguments that are printable.
fn refuse(error: &clap::Error, given: &[OsString]) -> ! {
    let safe = given.iter().map(|one| {
        let text = one.to_string_lossy();
        OsString::from(Shown(&text).to_string())
    });
    let safe: Vec<OsString> = safe.collect();
    if safe == given {
        error.exit();
    }
    match command::Arguments::try_parse_from(safe) {
        Err(same) if same.kind() == error.kind() => same.exit(),
        _ => {
            let text = printable_lines(&error.render().to_string());
            // If standard error is closed, the exit code says it too.
            let _ = io::stderr().write_all(text.as_bytes());
            std::process::exit(error.exit_code())
        }
    }
}
