//! `tripline test`: the tests that stand beside rules.

use super::CommandError;
use crate::exit::{Exit, after_help};
use crate::plugins::PluginArguments;
use crate::rule_files::{RuleArguments, read_lists, read_paths};
use crate::rule_loading::{show_errors, today_of};
use crate::terminal::{ColorChoice, Shown, printable_json};
use clap::{Args, ValueEnum};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::io::{self, Write};
use tripline_core::diagnostic::{Level, Palette};
use tripline_core::evaluate::RuleSet;
use tripline_core::rule::load;
use tripline_core::rule_test::{TestResult, run_tests};

const EXAMPLES: &str = "\
Examples:
  tripline test                             the rules that came with tripline
  tripline test my-rules/
  tripline test my-rules/my-rule/rule.toml
  tripline test --format json my-rules/";

const EXIT_CODES: &[(Exit, &str)] = &[
    (Exit::Success, "every test passed"),
    (
        Exit::Findings,
        "a test failed or could not be run, or a file has errors",
    ),
    (
        Exit::Fault,
        "wrong usage, or something could not be read or written",
    ),
];

/// Run the tests of rules; a failure shows the condition's parts with their values.
#[derive(Args, Debug)]
#[command(after_help = after_help(EXAMPLES, EXIT_CODES))]
pub(crate) struct Arguments {
    /// Files, folders or patterns; the rules that came with tripline without any.
    #[arg(value_name = "PATH")]
    paths: Vec<String>,

    /// A site list for `inList("NAME", …)`; may be given several times.
    #[arg(long = "list", value_name = "NAME=FILE", action = clap::ArgAction::Append)]
    lists: Vec<String>,

    /// How results are written.
    #[arg(long, value_enum, default_value = "text", value_name = "FORMAT")]
    format: TestFormat,

    #[command(flatten)]
    plugins: PluginArguments,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum TestFormat {
    /// Failures, then how many passed and failed.
    Text,
    /// One document: `tests`, `passed`, `failed`.
    Json,
}

/// Runs the tests, and ends with `Findings` when one fails or a file has errors.
pub(crate) fn run(arguments: Arguments, color: ColorChoice) -> Result<Exit, CommandError> {
    let mut files = read_paths(&arguments.paths)?;
    read_lists(
        &RuleArguments {
            rules: Vec::new(),
            lists: arguments.lists,
            ..RuleArguments::default()
        },
        &mut files,
    )?;
    let mut catalog = load(&files, today_of(Timestamp::now()));
    catalog.plugins = arguments
        .plugins
        .read()
        .map_err(CommandError::Plugins)?
        .answers();
    let results = run_tests(&catalog);
    // A rule may be without tests, and wrong in what only compiling shows.
    let (_, mut reports) = RuleSet::of_catalog(&catalog);
    reports.retain(|one| !catalog.reports.contains(one));
    let reports = [catalog.reports, reports].concat();
    show_errors(&reports, color);
    let errors = reports
        .iter()
        .any(|one| one.diagnostic.level == Level::Error);
    let failed = results
        .iter()
        .filter(|result| result.failure.is_some())
        .count();
    let passed = results.len() - failed;
    let text = match arguments.format {
        TestFormat::Text => {
            let palette = color.palette(&io::stdout());
            let mut text: String = results
                .iter()
                .map(|result| failure(result, &palette))
                .collect();
            text.push_str(&format!("{passed} passed, {failed} failed\n"));
            text
        }
        TestFormat::Json => {
            let tests: Vec<Value> = results.iter().map(to_json).collect();
            let document = json!({ "tests": tests, "passed": passed, "failed": failed });
            printable_json(&format!("{document:#}\n"))
        }
    };
    io::stdout().write_all(text.as_bytes())?;
    // Tests that could not be found because of a mistake were told with it.
    if results.is_empty() && !errors {
        // If standard error is closed, the count above says it too.
        let _ = writeln!(
            io::stderr(),
            "no test was found; tests stand in tests.toml beside the rule"
        );
    }
    let good = failed == 0 && !errors;
    Ok(if good { Exit::Success } else { Exit::Findings })
}

/// What is wrong with a failed test: nothing for one that passed.
fn failure(result: &TestResult, palette: &Palette) -> String {
    let Some(failure) = &result.failure else {
        return String::new();
    };
    let Palette {
        error,
        bold,
        quiet,
        reset,
        ..
    } = palette;
    // Tests that lie beside no rule may name none.
    let rule = match result.rule_id.as_str() {
        "" => "no rule",
        rule => rule,
    };
    let mut out = format!(
        "{error}FAILED{reset} {bold}{}: {}{reset}\n  {quiet}-->{reset} {}\n",
        Shown(rule),
        Shown(&result.name),
        Shown(&result.place.to_string())
    );
    for line in &failure.mismatches {
        out.push_str(&format!("  {}\n", Shown(line)));
    }
    if let Some(exception) = &failure.excused_by {
        let exception = Shown(exception);
        out.push_str(&format!("  excused by the exception `{exception}`\n"));
    }
    if let Some(reason) = &failure.reason {
        out.push('\n');
        for line in reason.to_text().lines() {
            out.push_str(&format!("    {line}\n"));
        }
    }
    out.push('\n');
    out
}

fn to_json(result: &TestResult) -> Value {
    let failure = result.failure.as_ref();
    json!({
        "rule_id": result.rule_id,
        "name": result.name,
        "at": result.place.to_string(),
        "passed": failure.is_none(),
        "mismatches": failure.map(|one| &one.mismatches),
        "excused_by": failure.and_then(|one| one.excused_by.as_ref()),
        "reason": failure.and_then(|one| one.reason.as_ref()).map(|reason| reason.to_json()),
    })
}
