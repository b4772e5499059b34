//! `tripline sigma`: Sigma rules as files of ours.

use super::CommandError;
use crate::exit::{Exit, after_help};
use crate::rule_files::{RuleArguments, read_lists, read_text};
use crate::rule_loading::{show_errors, today_of};
use crate::sigma_files::read_yaml;
use crate::terminal::{ColorChoice, Shown, counted};
use clap::{Args, Subcommand};
use jiff::Timestamp;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use tripline_core::diagnostic::Level;
use tripline_core::rule::{File, load};
use tripline_core::sigma::{BaseRules, Sample, Translated, convert, translate};

const EXAMPLES: &str = "\
Sigma rules need no converting: `scan --sigma` evaluates them as they are. Convert those that become
your own. A folder is written per rule, with the rule's author, licence, references and id kept; it
is `experimental` until it has tests that match and that do not.

Examples:
  tripline sigma convert sigma/rules/cloud/aws -o my-rules/
  tripline sigma convert rule.yml --sigma-pipeline fields.yml -o my-rules/";

const EXIT_CODES: &[(Exit, &str)] = &[
    (Exit::Success, "everything was converted"),
    (
        Exit::Findings,
        "something was refused; the rest was converted",
    ),
    (
        Exit::Fault,
        "wrong usage, or something could not be read or written",
    ),
];

/// Work with Sigma rules: write them as rules of Tripline.
#[derive(Args, Debug)]
#[command(after_help = after_help(EXAMPLES, EXIT_CODES))]
pub(crate) struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand, Debug)]
enum Action {
    Convert(ConvertArguments),
}

/// Write Sigma rules as rules of Tripline.
#[derive(Args, Debug)]
#[command(after_help = after_help(EXAMPLES, EXIT_CODES))]
struct ConvertArguments {
    /// Sigma files, folders or patterns.
    #[arg(value_name = "PATH", required = true)]
    paths: Vec<String>,

    /// The folder to write to: one folder per rule in it. What is there already is not overwritten.
    #[arg(long, short, value_name = "DIR")]
    output: PathBuf,

    /// A processing pipeline in pySigma's YAML; may be given several times.
    #[arg(long = "sigma-pipeline", value_name = "FILE", action = clap::ArgAction::Append)]
    pipelines: Vec<String>,

    /// A list that fills placeholders; may be given several times.
    #[arg(long = "list", value_name = "NAME=FILE", action = clap::ArgAction::Append)]
    lists: Vec<String>,
}

/// Runs the action.
pub(crate) fn run(arguments: Arguments, color: ColorChoice) -> Result<Exit, CommandError> {
    match arguments.action {
        Action::Convert(arguments) => run_convert(arguments, color),
    }
}

fn run_convert(arguments: ConvertArguments, color: ColorChoice) -> Result<Exit, CommandError> {
    let files = read_yaml(&arguments.paths)?;
    let pipelines = read_yaml(&arguments.pipelines)?;
    let mut lists: Vec<File> = Vec::new();
    let named = RuleArguments {
        lists: arguments.lists,
        ..RuleArguments::default()
    };
    read_lists(&named, &mut lists)?;
    let lists = load(&lists, today_of(Timestamp::now())).lists;
    let found = translate(&files, &pipelines, &lists, BaseRules::AsTheySay);
    show_errors(&found.reports, color);
    let mut skipped = 0;
    let of_rule = |one: &Translated| match &one.samples {
        Some(path) => samples(&one.rule.place.source.name, path),
        None => Vec::new(),
    };
    for converted in convert(&found.rules, of_rule) {
        let folder = arguments.output.join(&converted.folder);
        let is_there = |(name, _): &(_, _)| folder.join(name as &String).symlink_metadata().is_ok();
        if converted.files.iter().any(is_there) {
            skipped += 1;
            continue;
        }
        let unwritten = |path: &Path, source: io::Error| CommandError::Write {
            path: path.display().to_string(),
            source,
        };
        std::fs::create_dir_all(&folder).map_err(|error| unwritten(&folder, error))?;
        for (name, text) in &converted.files {
            let path = folder.join(name);
            std::fs::write(&path, text).map_err(|error| unwritten(&path, error))?;
        }
    }
    let errors = found.reports.iter();
    let errors = errors
        .filter(|one| one.diagnostic.level == Level::Error)
        .count();
    let written = counted((found.rules.len() - skipped) as u64, "rule");
    let output = arguments.output.display().to_string();
    let mut text = format!("{written} written to {}", Shown(&output));
    if skipped > 0 {
        text.push_str(&format!(", {skipped} there already"));
    }
    if errors > 0 {
        text.push_str(&format!(", {} refused", counted(errors as u64, "document")));
    }
    writeln!(io::stdout(), "{text}")?;
    Ok(if errors > 0 {
        Exit::Findings
    } else {
        Exit::Success
    })
}

/// The JSON samples that a rule names: the path counts from some folder around the rule.
fn samples(rule: &str, listed: &str) -> Vec<Sample> {
    // Paths of others are followed below the rule's own repository only.
    let inside = |path: &str| {
        let mut parts = Path::new(path).components();
        parts.all(|part| matches!(part, std::path::Component::Normal(_)))
    };
    if !inside(listed) {
        return Vec::new();
    }
    for root in Path::new(rule).ancestors().skip(1) {
        let Ok(text) = read_text(&root.join(listed)) else {
            continue;
        };
        let tests = Sample::listed(&text).into_iter();
        return tests
            .filter(|(_, path, _)| inside(path) && path.ends_with(".json"))
            .filter_map(|(name, path, matches)| {
                let json = read_text(&root.join(path)).ok()?;
                Some(Sample {
                    name,
                    json,
                    matches,
                })
            })
            .collect();
    }
    Vec::new()
}
