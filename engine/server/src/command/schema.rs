//! `tripline schema`: the JSON Schemas of our files, for editors.

use super::CommandError;
use crate::exit::{Exit, PRINTING, after_help};
use clap::Args;
use std::io::{self, Write};
use tripline_core::rule::{FileKind, json_schema};

const EXAMPLES: &str = "\
An editor with Even Better TOML or Taplo takes the schema from a first line such as:
  #:schema ./rule.schema.json

Examples:
  tripline schema rule > rule.schema.json
  tripline schema tests > tests.schema.json
  tripline schema overrides > overrides.schema.json
  tripline schema fields > fields.schema.json";

/// Print the JSON Schema of a kind of file: rule, tests, overrides, list or fields.
#[derive(Args, Debug)]
#[command(after_help = after_help(EXAMPLES, PRINTING))]
pub(crate) struct Arguments {
    /// The kind of file: rule, tests, overrides, list or fields.
    #[arg(value_name = "KIND", default_value = "rule", value_parser = kind)]
    kind: FileKind,
}

fn kind(word: &str) -> Result<FileKind, String> {
    let words: Vec<&str> = FileKind::ALL.iter().map(|kind| kind.as_str()).collect();
    FileKind::from_word(word).ok_or_else(|| format!("one of {}", words.join(", ")))
}

/// Prints.
pub(crate) fn run(arguments: &Arguments) -> Result<Exit, CommandError> {
    io::stdout().write_all(json_schema(arguments.kind).as_bytes())?;
    Ok(Exit::Success)
}
