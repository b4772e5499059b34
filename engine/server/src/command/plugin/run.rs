//! `tripline plugin run`: one event through, or whatever else a plugin of its kind is given, with what the plugin writes.

use super::vectors::{self, Given};
use super::{author, test};
use crate::command::CommandError;
use crate::exit::Exit;
use crate::plugins::Hosted;
use crate::terminal::printable_json;
use clap::Args;
use serde_json::{Map, Value};
use std::io::{self, Read, Write};
use std::path::PathBuf;
use tripline_host::manifest::World;

/// Show what a plugin says of one event, or of what else it is asked about.
#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// The project, or a component.
    #[arg(value_name = "DIR|FILE", default_value = ".")]
    plugin: PathBuf,

    /// What goes in: a file with one JSON object, or - for standard input. For a decoder, an input; for a planner, a
    /// subject, with services that answer nothing; for a remediator, a finding, of which the steps are told and not done.
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
    author::check_project(&arguments.plugin, &component)?;
    let read = |source| CommandError::Read {
        path: arguments.event.clone(),
        source,
    };
    let mut input = Vec::new();
    match arguments.event.as_str() {
        "-" => io::stdin()
            .read_to_end(&mut input)
            .map(drop)
            .map_err(read)?,
        path => input = std::fs::read(path).map_err(read)?,
    }
    let given = match &arguments.given {
        Some(path) => {
            let text = std::fs::read_to_string(path).map_err(|source| CommandError::Read {
                path: path.display().to_string(),
                source,
            })?;
            let table: Result<toml::Table, _> = text.parse();
            let name = path.display().to_string();
            let wrong = |fault| CommandError::Usage(format!("{name}: {fault}"));
            Given {
                table: table.map_err(wrong)?,
                name,
            }
        }
        None if arguments.plugin.is_dir() => {
            let mut files = vectors::read(&arguments.plugin).unwrap_or_default();
            match files.is_empty() {
                true => Given::nothing(),
                false => files.remove(0).given,
            }
        }
        None => Given::nothing(),
    };
    let folder = match arguments.plugin.is_dir() {
        true => arguments.plugin.clone(),
        false => PathBuf::from("."),
    };
    let hosted = author::hosted(&component, &given, &folder, None)?;
    let answer = answer(&hosted, &input).map_err(read)?;
    let failed = answer.contains_key("fault");
    let text = printable_json(&format!("{:#}\n", Value::Object(answer)));
    io::stdout().write_all(text.as_bytes())?;
    Ok(if failed {
        Exit::Findings
    } else {
        Exit::Success
    })
}

fn answer(hosted: &Hosted, input: &[u8]) -> io::Result<Map<String, Value>> {
    let world = hosted.plugin.manifest().world;
    if world == World::Decoder {
        return Ok(test::chunk_answer(hosted, input));
    }
    let not_text = |_| io::Error::new(io::ErrorKind::InvalidData, "it is no UTF-8 text");
    let text = std::str::from_utf8(input).map_err(not_text)?;
    Ok(match world {
        World::Planner => test::subject_answer(hosted, text, &[]),
        World::Remediator => test::finding_answer(hosted, text),
        _ => test::event_answer(hosted, text),
    })
}
