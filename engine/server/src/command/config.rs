//! `tripline config`: the configuration with all defaults, or what a configuration comes to.

use super::CommandError;
use crate::config::{Config, DEFAULTS};
use crate::exit::{Exit, PRINTING, after_help};
use clap::Args;
use std::io::{self, Write};
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  tripline config > tripline.toml              every setting with its default and what it means
  tripline config --check tripline.toml        what a file and the environment come to, or what is wrong with them
                                               and with the files and folders that they name";

/// Print the configuration of `serve`.
#[derive(Args, Debug)]
#[command(after_help = after_help(EXAMPLES, PRINTING))]
pub(crate) struct Arguments {
    /// Print what this file and the environment come to instead.
    #[arg(long, value_name = "FILE")]
    check: Option<PathBuf>,
}

/// Prints.
pub(crate) fn run(arguments: &Arguments) -> Result<Exit, CommandError> {
    let text = match &arguments.check {
        None => DEFAULTS.to_owned(),
        Some(path) => {
            let config = Config::read(Some(path), super::serve::environment())?;
            let missing = config.unreadable();
            if !missing.is_empty() {
                let words = missing.join("\n  ");
                return Err(CommandError::Usage(format!(
                    "{}: files that it names cannot be read here:\n  {words}",
                    path.display()
                )));
            }
            toml::to_string(&config).map_err(|fault| CommandError::Usage(fault.to_string()))?
        }
    };
    io::stdout().write_all(text.as_bytes())?;
    Ok(Exit::Success)
}
