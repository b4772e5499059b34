//! `tripline fmt`: rule files in their canonical form.

use super::CommandError;
use crate::exit::{Exit, after_help};
use crate::input::resolve::{Origin, resolve};
use crate::terminal::{ColorChoice, Shown, counted};
use crate::writing;
use clap::Args;
use std::io::{self, Read, Write};
use std::path::Path;
use tripline_core::rule::format;

const EXAMPLES: &str = "\
Examples:
  tripline fmt my-rules/
  tripline fmt --check my-rules/        (change nothing, say what would change)
  tripline fmt - < rule.toml";

const EXIT_CODES: &[(Exit, &str)] = &[
    (Exit::Success, "every file is in its canonical form"),
    (
        Exit::Findings,
        "a file has mistakes, or would change under --check",
    ),
    (
        Exit::Fault,
        "wrong usage, or something could not be read or written",
    ),
];

/// Rewrite rule, test, list and override files in their canonical form.
#[derive(Args, Debug)]
#[command(after_help = after_help(EXAMPLES, EXIT_CODES))]
pub(crate) struct Arguments {
    /// Files, folders or patterns; - rewrites standard input to standard output.
    #[arg(value_name = "PATH", required = true)]
    paths: Vec<String>,

    /// Change nothing, and name the files that would change.
    #[arg(long)]
    check: bool,
}

/// Formats, and ends with `Findings` when a file has mistakes or, with `--check`, would change.
pub(crate) fn run(arguments: Arguments, color: ColorChoice) -> Result<Exit, CommandError> {
    let mut exit = Exit::Success;
    let (mut changed, mut seen) = (0, 0);
    for input in resolve(&arguments.paths)?.inputs {
        let (name, text) = match &input.origin {
            Origin::Stdin => ("<stdin>.toml", read_stdin()?),
            Origin::File(path) if path.extension().is_some_and(|kind| kind == "toml") => {
                (input.name.as_str(), read(path, &input.name)?)
            }
            Origin::File(_) | Origin::Bundled(_) => continue,
        };
        seen += 1;
        let formatted = match format(name, &text) {
            Ok(formatted) => formatted,
            Err(reports) => {
                crate::rule_loading::show_errors(&reports, color);
                exit = Exit::Findings;
                continue;
            }
        };
        if input.origin == Origin::Stdin && !arguments.check {
            io::stdout().write_all(formatted.as_bytes())?;
            continue;
        }
        if formatted == text {
            continue;
        }
        changed += 1;
        writeln!(io::stdout(), "{}", Shown(name))?;
        match &input.origin {
            Origin::File(path) if !arguments.check => {
                writing::replace(path, &formatted).map_err(|source| CommandError::Write {
                    path: input.name.clone(),
                    source,
                })?;
            }
            _ => exit = Exit::Findings,
        }
    }
    let verb = if arguments.check {
        "would change"
    } else {
        "changed"
    };
    // If standard error is closed, the files are formatted nevertheless.
    let _ = writeln!(io::stderr(), "{}, {changed} {verb}", counted(seen, "file"));
    Ok(exit)
}

fn read(path: &Path, name: &str) -> Result<String, CommandError> {
    std::fs::read_to_string(path).map_err(|source| CommandError::Read {
        path: name.to_owned(),
        source,
    })
}

fn read_stdin() -> Result<String, CommandError> {
    let mut text = String::new();
    io::stdin()
        .read_to_string(&mut text)
        .map_err(|source| CommandError::Read {
            path: "<stdin>".to_owned(),
            source,
        })?;
    Ok(text)
}
