//! `tripline plugin run`: one event through, with what the plugin writes.

use super::{author, test, vectors};
use crate::command::CommandError;
use crate::exit::Exit;
use crate::terminal::printable_json;
use clap::Args;
use std::io::{self, Read, Write};
use std::path::PathBuf;

/// Show what a plugin says of one event.
#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// The project, or a component.
    #[arg(value_name = "DIR|FILE", default_value = ".")]
    plugin: PathBuf,

    /// The event: a file with one JSON object, or - for standard input.
    #[arg(long, value_name = "FILE")]
    event: String,

    /// What it is granted and configured with: a file with `[grant]`, `[config]` and `[limits]`; the first file of the
    /// project's tests without it.
    #[arg(long, value_name = "FILE")]
    given: Option<PathBuf>,
}

/// Runs it.
pub(super) fn run(arguments: &Arguments) -> Result<Exit, CommandError> {
    let component = author::component(&arguments.plugin)?;
    let read = |source| CommandError::Read {
        path: arguments.event.clone(),
        source,
    };
    let mut event = String::new();
    match arguments.event.as_str() {
        "-" => io::stdin()
            .read_to_string(&mut event)
            .map(drop)
            .map_err(read)?,
        path => event = std::fs::read_to_string(path).map_err(read)?,
    }
    let given = match &arguments.given {
        Some(path) => {
            let text = std::fs::read_to_string(path).map_err(|source| CommandError::Read {
                path: path.display().to_string(),
                source,
            })?;
            let table: Result<toml::Table, _> = text.parse();
            table.map_err(|fault| CommandError::Usage(format!("{}: {fault}", path.display())))?
        }
        None if arguments.plugin.is_dir() => {
            let mut files = vectors::read(&arguments.plugin).unwrap_or_default();
            match files.is_empty() {
                true => toml::Table::new(),
                false => files.remove(0).given,
            }
        }
        None => toml::Table::new(),
    };
    let folder = match arguments.plugin.is_dir() {
        true => arguments.plugin.clone(),
        false => PathBuf::from("."),
    };
    let hosted = author::hosted(&component, &given, &folder)?;
    let answer = test::event_answer(&hosted, &event);
    let failed = answer.contains_key("fault");
    let text = printable_json(&format!("{:#}\n", serde_json::Value::Object(answer)));
    io::stdout().write_all(text.as_bytes())?;
    Ok(if failed {
        Exit::Findings
    } else {
        Exit::Success
    })
}
