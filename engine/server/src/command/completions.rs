//! `tripline completions`: what a shell needs to complete the arguments.

use super::CommandError;
use crate::exit::{Exit, PRINTING, after_help};
use clap::{Args, CommandFactory};
use clap_complete::Shell;
use std::io::{self, Write};

const EXAMPLES: &str = "\
Examples:
  tripline completions bash > tripline.bash      (source it in ~/.bashrc)
  tripline completions zsh > ~/.zfunc/_tripline
  tripline completions fish > ~/.config/fish/completions/tripline.fish";

/// Print completions for a shell.
#[derive(Args, Debug)]
#[command(after_help = after_help(EXAMPLES, PRINTING))]
pub(crate) struct Arguments {
    /// The shell.
    #[arg(value_enum)]
    shell: Shell,
}

/// Prints.
pub(crate) fn run(arguments: &Arguments) -> Result<Exit, CommandError> {
    let mut text = Vec::new();
    let mut command = super::Arguments::command();
    clap_complete::generate(arguments.shell, &mut command, "tripline", &mut text);
    io::stdout().write_all(&text)?;
    Ok(Exit::Success)
}
