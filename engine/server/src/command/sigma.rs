//! `tripline sigma`: Sigma rules as files of ours.

use super::CommandError;
use crate::exit::{Exit, after_help};
use crate::rule_files::{RuleArguments, read_lists, read_text};
use crate::rule_loading::today_of;
use crate::sigma_files::read_yaml;
use crate::terminal::{ColorChoice, Shown, counted};
use clap::{Args, Subcommand};
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use tripline_core::diagnostic::{Code, Diagnostic, Level, Source, Span};
use tripline_core::rule::{File, Place, Report, load};
use tripline_core::sigma::{BaseRules, Listed, Sample, Translated, convert, listed, translate};

const EXAMPLES: &str = "\
Sigma rules need no converting: `scan --sigma` evaluates them as they are. Convert those that become
your own. A folder is written per rule, with the rule's author, licence, references and id kept, and
tests of the samples that it brings as JSON; it is `experimental` until it has tests that match and
that do not. What is refused or left out is told with file, line and reason.

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
    let mut found = translate(&files, &pipelines, &lists, BaseRules::AsTheySay);
    let changed = !pipelines.is_empty();
    let mut samples: BTreeMap<String, Vec<Sample>> = BTreeMap::new();
    for one in &found.rules {
        let (brought, mut notes) = Samples { rule: one, changed }.brought();
        samples.insert(one.rule.id.to_string(), brought);
        found.reports.append(&mut notes);
    }
    show(&found.reports, color);
    let mut skipped = 0;
    let of_rule = |one: &Translated| {
        let brought = samples.get(one.rule.id.as_str());
        brought.cloned().unwrap_or_default()
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

/// Shows everything that was refused, is doubtful or was left out.
fn show(reports: &[Report], color: ColorChoice) {
    let palette = color.palette(&io::stderr());
    let text: String = reports.iter().map(|one| one.render(palette)).collect();
    // If standard error is closed, the rules are still worth writing.
    let _ = io::stderr().write_all(text.as_bytes());
}

/// The samples of a rule.
struct Samples<'r> {
    rule: &'r Translated,
    /// Pipelines changed it.
    changed: bool,
}

impl Samples<'_> {
    /// What the rule holds and what the file that it names lists; and what of it is left out.
    fn brought(&self) -> (Vec<Sample>, Vec<Report>) {
        let mut found = self.rule.samples.clone();
        let mut notes = Vec::new();
        if let Some((path, place)) = &self.rule.samples_path {
            self.listed(path, place, &mut found, &mut notes);
        }
        if self.rule.rule.memory.is_some() && !found.is_empty() {
            let place = &self.rule.rule.place;
            notes.push(note(
                &place.source,
                place.span,
                "no test is made of its samples: what a rule that remembers finds, one event does not show",
            ));
            found.clear();
        }
        (found, notes)
    }

    /// Reads the samples that an `info.yml` lists. Its path and theirs count from some folder around the rule.
    fn listed(&self, path: &str, place: &Place, found: &mut Vec<Sample>, notes: &mut Vec<Report>) {
        let rule = Path::new(&place.source.name);
        let info = below(path).and_then(|below| {
            let mut roots = rule.ancestors().skip(1);
            roots.find_map(|root| Some((root, read_text(&root.join(&below)).ok()?)))
        });
        let Some((root, text)) = info else {
            let message =
                format!("no folder around the rule holds `{path}`, which lists its samples");
            notes.push(note(&place.source, place.span, &message));
            return;
        };
        let source = Arc::new(Source {
            name: root
                .join(below(path).unwrap_or_default())
                .display()
                .to_string(),
            text,
        });
        let (all, left_out) = listed(&source.text);
        notes.extend(left_out.into_iter().map(|diagnostic| Report {
            source: source.clone(),
            diagnostic,
        }));
        for one in all {
            match self.read(root, &one) {
                Ok(samples) => found.extend(samples),
                Err(reason) => {
                    let message = format!("no test is made of the sample `{}`: {reason}", one.name);
                    notes.push(note(&source, one.span, &message));
                }
            }
        }
    }

    fn read(&self, root: &Path, one: &Listed) -> Result<Vec<Sample>, String> {
        if let Some(pipeline) = one.pipelines.first().filter(|_| !self.changed) {
            return Err(format!(
                "it is of the rule that `{pipeline}` changes: give that with `--sigma-pipeline`"
            ));
        }
        let Some(path) = below(&one.path) else {
            return Err(format!("`{}` leads out of the rule's folders", one.path));
        };
        let text = read_text(&root.join(path)).map_err(|error| error.to_string())?;
        one.samples(&text)
    }
}

fn note(source: &Arc<Source>, span: Span, message: &str) -> Report {
    Report {
        source: source.clone(),
        diagnostic: Diagnostic::new(Code::SigmaSample, span, message),
    }
}

/// A path of others as one below a folder: what leads up at its start is left out, as every folder around the rule is
/// tried; one that leads up elsewhere, or from the root, is followed nowhere.
fn below(path: &str) -> Option<PathBuf> {
    let parts = Path::new(path).components();
    let parts = parts.skip_while(|part| matches!(part, Component::ParentDir | Component::CurDir));
    let below: PathBuf = parts
        .map(|part| match part {
            Component::Normal(name) => Some(name),
            _ => None,
        })
        .collect::<Option<PathBuf>>()?;
    (!below.as_os_str().is_empty()).then_some(below)
}
