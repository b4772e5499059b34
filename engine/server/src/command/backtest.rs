//! `tripline backtest`: what rules would have found in past events.

use super::CommandError;
use crate::backtest::compare::{Comparison, compare};
use crate::backtest::expect::Expectations;
use crate::backtest::histogram::Axis;
use crate::backtest::keep::{FINDINGS_KEPT_MAX, Keeper, Keeping};
use crate::backtest::labels::{self, Label};
use crate::backtest::reading::{Evaluating, Reading};
use crate::backtest::report::{Report, Versions};
use crate::backtest::tally::{span, tally};
use crate::backtest::traits::Traits;
use crate::backtest::trial::Trials;
use crate::backtest::{baseline, json, junit, propose, proposed_file, text};
use crate::exit::{Exit, after_help};
use crate::input::resolve::{Resolved, resolve};
use crate::overwriting::FilesRead;
use crate::rule_files::{RuleArguments, load_files};
use crate::rule_loading::{Compiled, Loaded, today_of};
use crate::scan::drive::threads;
use crate::scan::outlet::Side;
use crate::scan::progress::Wanted;
use crate::scan::report::Reporter;
use crate::scan::statistics::{RuleTimes, Statistics};
use crate::terminal::{ColorChoice, Shown, printable_json, width};
use crate::writing;
use clap::{Args, ValueEnum};
use jiff::Timestamp;
use std::collections::{BTreeSet, HashMap};
use std::hash::RandomState;
use std::io::{self, Write};
use tripline_core::evaluate::RuleSet;
use tripline_core::rule::Catalog;

const EXAMPLES: &str = "\
The inputs are read as `tripline scan` reads them, each once, and again only for --propose. Records with the
same event id count once. Rules that remember begin without memory.

--baseline also evaluates another version of the rules and tells what is new, gone and changed. A
finding is the same when rule, event and key are, whatever the version of the rule. Paths stand for
all that --rules names, and may be given several times. What is no path is a commit of the repository
of --rules, read through git; everything that --rules names must be in it.

--propose writes where nothing is, or over earlier proposals that nobody answers for yet. What an
exception makes of a rule that remembers, of one whose findings are suppressed, or of rules that take
another's detections, is found out by reading the inputs again with it; of inputs that can be read only
once, such as standard input, none is proposed for such rules, and the report says so.

--expect is TOML, or the same as JSON:
  others = \"none\"                (rules not named find nothing; any without it)
  [[expect]]
  rule = \"aws-trail-stopped\"
  findings = 2                   (or at_least, at_most)
  keys = [[\"111122223333\", \"main\"]]

--labels is CSV with a header, or JSON lines; a line of `scan --format jsonl` with a label will do:
  rule_id,event_id,label,note
  aws-trail-stopped,6c1…,false_positive,planned
A finding_id instead of the event_id holds for one version of a rule. Each rule gets a verdict.
undecided: fewer than 5 labelled findings. tune: something labelled true is not found, or less than
half is true. retire: 10 or more, none true. keep: all others.

Examples:
  tripline backtest --rules my-rules/ --against logs/
  tripline backtest --rules my-rules/ --against logs/ --baseline main
  tripline backtest --against logs/ --expect expected.toml --format junit
  tripline backtest --against logs/ --labels labels.csv --propose proposed.toml";

const EXIT_CODES: &[(Exit, &str)] = &[
    (
        Exit::Success,
        "every input was read to its end, every rule was in force, and what was expected came",
    ),
    (
        Exit::Findings,
        "an expectation is not met, something labelled true is not found, or a file of the rules has errors, so that what has one is not used; errors of a baseline do not count",
    ),
    (
        Exit::Fault,
        "wrong usage, no rule to run, or something could not be opened, read to its end or written; this goes before 1",
    ),
    (Exit::Interrupted, "interrupted"),
];

/// Find what rules would have said about past events, and compare it with another version or what is expected.
#[derive(Args, Debug)]
#[command(after_help = after_help(EXAMPLES, EXIT_CODES))]
pub(crate) struct Arguments {
    #[command(flatten)]
    rules: RuleArguments,

    /// Events: files, folders, patterns, or - for standard input.
    #[arg(long, required = true, num_args = 1.., value_name = "INPUT")]
    against: Vec<String>,

    /// Another version of the rules: a path (may be given several times), or one commit of the repository of --rules.
    #[arg(long, value_name = "GITREF|PATH", action = clap::ArgAction::Append)]
    baseline: Vec<String>,

    /// What rules are expected to find.
    #[arg(long, value_name = "FILE")]
    expect: Option<String>,

    /// Which findings are true and which are false positives.
    #[arg(long, value_name = "FILE")]
    labels: Option<String>,

    /// The plugin that makes events of the inputs, when they hold none themselves.
    #[arg(long, value_name = "NAME", requires = "file")]
    decoder: Option<String>,

    /// Look for exceptions for what is noisy, and write them to this file as overrides.
    #[arg(long, value_name = "FILE")]
    propose: Option<String>,

    /// How the report is written.
    #[arg(long, value_enum, default_value = "text", value_name = "FORMAT")]
    format: BacktestFormat,

    /// Write the report to this file instead of standard output.
    #[arg(long, short, value_name = "FILE")]
    output: Option<String>,

    /// Noisiest keys to show of each rule.
    #[arg(long, value_name = "N", default_value_t = 3)]
    top: usize,

    /// Most memory for what rules remember, in MiB, for each version; at least 16.
    #[arg(long, value_name = "MIB", default_value_t = 1024, value_parser = clap::value_parser!(u32).range(16..))]
    state_memory: u32,

    /// Threads that evaluate; all cores without it.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=512))]
    threads: Option<u16>,

    /// No progress bar.
    #[arg(long)]
    no_progress: bool,

    /// The time to take for now: events much later are broken clocks.
    #[arg(long, value_name = "TIME", value_parser = super::scan::time)]
    now: Option<Timestamp>,
}

/// How a report is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum BacktestFormat {
    /// For people.
    Text,
    /// One document.
    Json,
    /// JUnit XML: a test case for each rule, expectation and label.
    Junit,
}

/// What was read before the first event is.
struct Prepared {
    now: Compiled,
    /// What rules are compiled with again when exceptions are tried; nothing when none are wanted.
    ground: Option<Catalog>,
    before: Option<Compiled>,
    expectations: Option<Expectations>,
    labels: Option<Vec<Label>>,
    resolved: Resolved,
    states: [RandomState; 2],
}

/// Backtests, and ends with `Findings` when what was expected did not come.
pub(crate) fn run(arguments: Arguments, color: ColorChoice) -> Result<Exit, CommandError> {
    let now = arguments.now.unwrap_or_else(Timestamp::now);
    let prepared = prepare(&arguments, now, color)?;
    keep_what_is_read(&arguments, &prepared)?;
    let mut asked = prepared.now.rules.plugins().to_vec();
    let before = prepared.before.iter();
    asked.extend(before.flat_map(|one| one.rules.plugins().iter().cloned()));
    let started = arguments.rules.plugins.start(&asked)?;
    let plugins = started.asked();
    if plugins.remember() {
        // It would remember what either version of the rules asks it, and tell both.
        let words =
            "a backtest asks no plugins that remember; `tripline scan` and `tripline serve` do";
        return Err(CommandError::Usage(words.to_owned()));
    }
    let reading = Reading {
        resolved: &prepared.resolved,
        plugins: &plugins,
        states: &prepared.states,
        threads: threads(arguments.threads),
        wanted: match arguments.no_progress {
            true => Wanted::Never,
            false => Wanted::WhenTerminal,
        },
        state_bytes_max: (arguments.state_memory as usize).saturating_mul(1024 * 1024),
        now,
    };
    let times = RuleTimes::default();
    let reporter = go_through(&arguments, &prepared, &reading, &times);
    if reporter.outlet.overflowed {
        let words = format!(
            "more than {FINDINGS_KEPT_MAX} findings; a backtest of fewer rules or a shorter time fits"
        );
        return Err(CommandError::Usage(words));
    }
    let report = report(&arguments, &prepared, &reading, &reporter);
    let palette = match arguments.output {
        Some(_) => ColorChoice::Never.palette(&io::stdout()),
        None => color.palette(&io::stdout()),
    };
    let written = match arguments.format {
        BacktestFormat::Text => text::to_text(&report, &palette),
        BacktestFormat::Json => printable_json(&format!("{:#}\n", json::to_json(&report))),
        BacktestFormat::Junit => junit::to_junit(&report),
    };
    write(&arguments, &report, &written)?;
    // A rule that is off cannot find what it should: nothing passes because of that.
    let good = report.is_met() && report.broken.is_empty();
    Ok(match (reporter.unread, good) {
        (true, _) => Exit::Fault,
        (false, true) => Exit::Success,
        (false, false) => Exit::Findings,
    })
}

fn prepare(
    arguments: &Arguments,
    now: Timestamp,
    color: ColorChoice,
) -> Result<Prepared, CommandError> {
    let mut resolved = resolve(&arguments.against)?;
    let decoder = arguments.decoder.as_deref();
    arguments
        .rules
        .plugins
        .decode(decoder, &mut resolved.inputs)?;
    let read = |path: &String| {
        std::fs::read_to_string(path).map_err(|source| CommandError::Read {
            path: path.clone(),
            source,
        })
    };
    let expectations = match &arguments.expect {
        Some(path) => Some(Expectations::read(path, &read(path)?)?),
        None => None,
    };
    let labels = match &arguments.labels {
        Some(path) => Some(labels::read(path, &read(path)?)?),
        None => None,
    };
    let catalog = arguments.rules.load(Vec::new(), today_of(now))?;
    let ground = arguments.propose.is_some().then(|| ground_of(&catalog));
    let rules = Loaded { catalog }.compile_and_tell(color);
    if rules.rules.rules().is_empty() {
        let who = arguments.rules.plugins.who_tells()?;
        let words = format!("no rule is left to run; {who}");
        return Err(CommandError::Usage(words));
    }
    let before = match arguments.baseline.as_slice() {
        [] => None,
        paths => {
            // Sigma rules are given for both sides.
            let (files, sigma) = (
                baseline::read(paths, &arguments.rules)?,
                &arguments.rules.sigma,
            );
            let mut catalog = load_files(&files, sigma, today_of(now))?;
            catalog.plugins = arguments.rules.plugins.read()?.answers();
            Some(Loaded { catalog }.compile_beside(&rules, color))
        }
    };
    Ok(Prepared {
        now: rules,
        ground,
        before,
        expectations,
        labels,
        resolved,
        states: [RandomState::new(), RandomState::new()],
    })
}

/// Everything that rules are compiled with but the rules.
fn ground_of(catalog: &Catalog) -> Catalog {
    Catalog {
        ids: catalog.ids.clone(),
        lists: catalog.lists.clone(),
        plugins: catalog.plugins.clone(),
        schemas: catalog.schemas.clone(),
        ..Catalog::default()
    }
}

/// Refuses to write over what the backtest reads, and proposals over what a person wrote.
fn keep_what_is_read(arguments: &Arguments, prepared: &Prepared) -> Result<(), CommandError> {
    let mut read = FilesRead::default();
    read.inputs(&prepared.resolved.inputs);
    read.paths(arguments.rules.paths_read()?);
    read.paths(baseline::paths_read(&arguments.baseline)?);
    read.paths([&arguments.expect, &arguments.labels].into_iter().flatten());
    read.keep_from(&[
        ("--output", arguments.output.as_deref()),
        ("--propose", arguments.propose.as_deref()),
    ])?;
    if let Some(path) = &arguments.propose {
        proposed_file::may_be_written(path)?;
    }
    Ok(())
}

/// Reads the inputs for the report.
fn go_through<'p>(
    arguments: &Arguments,
    prepared: &'p Prepared,
    reading: &'p Reading<'p>,
    times: &'p RuleTimes,
) -> Reporter<'p, Keeper> {
    static WITH_TRAITS: Keeping = Keeping {
        traits: Traits::Kept,
    };
    static WITHOUT: Keeping = Keeping {
        traits: Traits::Unwanted,
    };
    let evaluating = Evaluating {
        rules: &prepared.now.rules,
        baseline: prepared.before.as_ref().map(|one| &one.rules),
        shape: match arguments.propose {
            Some(_) => &WITH_TRAITS,
            None => &WITHOUT,
        },
        statistics: Statistics::Counts,
        times,
    };
    let labels = prepared.labels.as_deref().unwrap_or_default();
    let keeper = Keeper::awaiting(labels::awaited(labels, &prepared.states));
    reading.read(evaluating, keeper)
}

fn report<'p>(
    arguments: &Arguments,
    prepared: &'p Prepared,
    reading: &Reading<'_>,
    reporter: &'p Reporter<'p, Keeper>,
) -> Report<'p> {
    let (rules, keeper) = (&prepared.now.rules, &reporter.outlet);
    let findings = keeper.findings(Side::Rules);
    let span = span(findings);
    let width = width();
    let bars = text::bars_width(rules, width);
    let axis = span.map(|(first, last)| Axis::fit(first, last, bars));
    let tallies = tally(findings, rules.rules().len(), axis);
    let expected = prepared.expectations.as_ref();
    let expectations = expected.map(|one| one.judge(rules, &tallies, keeper));
    let labels = prepared.labels.clone();
    let labels =
        labels.map(|labels| labels::judge(labels, (rules, keeper), findings, &prepared.states));
    let nothing = HashMap::new();
    let said = labels.as_ref().map_or(&nothing, |labels| &labels.said);
    let proposals = prepared.ground.as_ref().map(|ground| {
        let trials = Trials {
            reading,
            ground,
            rules,
            keeper,
            findings,
            accounting: &reporter.accounting,
        };
        propose::propose(&tallies, said, &trials)
    });
    let baseline = prepared.before.as_ref().map(|before| Versions {
        name: arguments.baseline.join(", "),
        rules: &before.rules,
        broken: &before.broken,
        comparison: compare_versions((rules, &before.rules), keeper),
        added: Versions::only_in(rules, &before.rules),
        removed: Versions::only_in(&before.rules, rules),
    });
    Report {
        rules,
        broken: &prepared.now.broken,
        keeper,
        accounting: &reporter.accounting,
        counts: &reporter.rules,
        tallies,
        axis,
        span,
        baseline,
        expectations,
        labels,
        proposals,
        top: arguments.top,
        width,
    }
}

/// Rules of the two versions are the same when their ids are.
fn compare_versions((now, before): (&RuleSet, &RuleSet), keeper: &Keeper) -> Comparison {
    let sets = [now, before].into_iter().flat_map(RuleSet::rules);
    let ids: BTreeSet<&str> = sets.map(|one| one.rule.id.as_str()).collect();
    let numbers: HashMap<&str, u32> = ids.into_iter().zip(0..).collect();
    let names = |rules: &RuleSet| -> Vec<u32> {
        let ids = rules.rules().iter().map(|one| one.rule.id.as_str());
        ids.map(|id| numbers[id]).collect()
    };
    let (now_names, before_names) = (names(now), names(before));
    compare(
        (keeper.findings(Side::Rules), &now_names),
        (keeper.findings(Side::Baseline), &before_names),
    )
}

fn write(arguments: &Arguments, report: &Report<'_>, written: &str) -> Result<(), CommandError> {
    let to_file = |path: &String, text: &str| {
        writing::write(path, text).map_err(|source| CommandError::Write {
            path: path.clone(),
            source,
        })
    };
    match (&arguments.propose, &report.proposals) {
        (Some(path), Some(proposals)) if !proposals.tried.is_empty() => {
            to_file(path, &proposed_file::to_toml(&proposals.tried))?;
        }
        (Some(path), _) => {
            let _ = writeln!(
                io::stderr(),
                "nothing to propose; {} is not written",
                Shown(path)
            );
        }
        (None, _) => {}
    }
    match &arguments.output {
        Some(path) => to_file(path, written),
        None => Ok(io::stdout().write_all(written.as_bytes())?),
    }
}
