//! `tripline schema`: the JSON Schemas of our files, for editors.

use super::CommandError;
use crate::exit::{Exit, PRINTING, after_help};
use clap::Args;
use std::io::{self, Write};
use tripline_core::rule::{FileKind, json_schema};
use tripline_host::{manifest, operator};

const EXAMPLES: &str = "\
An editor with Even Better TOML or Taplo takes the schema from a first line such as:
  #:schema ./rule.schema.json

Examples:
  tripline schema rule > rule.schema.json
  tripline schema tests > tests.schema.json
  tripline schema overrides > overrides.schema.json
  tripline schema fields > fields.schema.json
  tripline schema plugin > plugin.schema.json
  tripline schema plugins > plugins.schema.json";

/// Print the JSON Schema of a kind of file: rule, tests, overrides, list, fields, plugin or plugins.
#[derive(Args, Debug)]
#[command(after_help = after_help(EXAMPLES, PRINTING))]
pub(crate) struct Arguments {
    /// The kind of file: rule, tests, overrides, list, fields, plugin (a plugin's manifest) or plugins (an operator's file).
    #[arg(value_name = "KIND", default_value = "rule", value_parser = kind)]
    kind: Kind,
}

/// Files of rules are core's, those of plugins the host's.
#[derive(Clone, Copy, Debug)]
enum Kind {
    OfRules(FileKind),
    Plugin,
    Plugins,
}

fn kind(word: &str) -> Result<Kind, String> {
    match word {
        "plugin" => return Ok(Kind::Plugin),
        "plugins" => return Ok(Kind::Plugins),
        _ => {}
    }
    let words: Vec<&str> = FileKind::ALL.iter().map(|kind| kind.as_str()).collect();
    let kind = FileKind::from_word(word).map(Kind::OfRules);
    kind.ok_or_else(|| format!("one of {}, plugin, plugins", words.join(", ")))
}

/// Prints.
pub(crate) fn run(arguments: &Arguments) -> Result<Exit, CommandError> {
    let text = match arguments.kind {
        Kind::OfRules(kind) => json_schema(kind),
        Kind::Plugin => manifest::json_schema(),
        Kind::Plugins => operator::json_schema(),
    };
    io::stdout().write_all(text.as_bytes())?;
    Ok(Exit::Success)
}
