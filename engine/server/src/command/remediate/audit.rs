//! `tripline remediate audit verify`: whether a journal is whole, from its files alone.

use super::CommandError;
use crate::command::serve::environment;
use crate::config::Config;
use crate::exit::Exit;
use crate::serve::remediation_ledger;
use crate::terminal::grouped;
use clap::{Args, Subcommand};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use tripline_remediation::journal::{Flaw, JournalFault, copy, verify};

/// The trail of what was done.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    Verify(VerifyArguments),
    Copy(CopyArguments),
}

/// Copy the journal that processes share from their servers into a new folder, as each of them has it in its own, for `verify`.
#[derive(Args, Debug)]
struct CopyArguments {
    /// The configuration of one of the processes.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Where it goes: a folder that is empty, or not there.
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,
}

fn run_copy(arguments: &CopyArguments) -> Result<Exit, CommandError> {
    let config = Config::read(arguments.config.as_deref(), environment())?;
    let ledger = remediation_ledger(&config).map_err(CommandError::Usage)?;
    let copied = copy(&ledger, &arguments.folder);
    let records = copied.map_err(|fault| {
        let folder = arguments.folder.display();
        CommandError::Usage(format!("{folder}: {}", crate::causes::with_causes(&fault)))
    })?;
    writeln!(io::stdout().lock(), "{} records", grouped(records))?;
    Ok(Exit::Success)
}

/// Verify a journal: that nothing in it was changed, removed, added or put in another order, and that each record follows
/// from those before it. Works while the service writes to it, and without it.
#[derive(Args, Debug)]
struct VerifyArguments {
    /// The folder of the journal, `remediation` in the folder of the service's data.
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,

    /// The public key that checkpoints must be signed with, as the service tells it when it starts; any key without it. Given
    /// several times where several processes share the work: each has its own.
    #[arg(long = "key", value_name = "KEY", action = clap::ArgAction::Append)]
    keys: Vec<String>,

    /// A copy of the checkpoints, as remediation.checkpoints_file keeps it elsewhere; may be given several times.
    #[arg(long = "checkpoints", value_name = "FILE", action = clap::ArgAction::Append)]
    checkpoints: Vec<PathBuf>,
}

pub(super) fn run(arguments: &Arguments) -> Result<Exit, CommandError> {
    match &arguments.command {
        Command::Verify(arguments) => run_verify(arguments),
        Command::Copy(arguments) => run_copy(arguments),
    }
}

fn run_verify(arguments: &VerifyArguments) -> Result<Exit, CommandError> {
    let copies: Vec<&Path> = arguments.checkpoints.iter().map(PathBuf::as_path).collect();
    let keys: Vec<&str> = arguments.keys.iter().map(String::as_str).collect();
    let mut out = io::stdout().lock();
    let verified = match verify(&arguments.folder, &keys, &copies) {
        Ok(verified) => verified,
        Err(Flaw::Journal(JournalFault::Io { path, did, source })) => {
            return Err(CommandError::Usage(format!(
                "{path}: cannot be {did}: {source}"
            )));
        }
        Err(flaw) => {
            writeln!(out, "NOT WHOLE  {}", crate::causes::with_causes(&flaw))?;
            return Ok(Exit::Findings);
        }
    };
    writeln!(
        out,
        "whole: {} records of {} actions, {} checkpoints, newest {}",
        grouped(verified.records),
        grouped(verified.actions as u64),
        grouped(verified.checkpoints as u64),
        &verified.hash[..16],
    )?;
    let changes = verified.requests.len();
    let seen = verified.requests.iter().filter(|one| one.2).count();
    if changes > 0 {
        writeln!(
            out,
            "requests that changed something: {changes}, of which the service's own trail has shown {seen}"
        )?;
    }
    match copies.is_empty() {
        true => writeln!(
            out,
            "without a copy of checkpoints (--checkpoints) it is not known whether its end was cut off"
        )?,
        false => writeln!(
            out,
            "after the newest copied checkpoint: {} records",
            grouped(verified.after_copy)
        )?,
    }
    Ok(Exit::Success)
}
