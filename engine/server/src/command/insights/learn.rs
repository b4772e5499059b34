//! `tripline insights learn`: what is usual, learnt from history and kept for whoever goes on.
//!
//! Only rules that watch series and profiles of entities are told of the events, and nothing is found. What is kept ends as it
//! would in the middle of one long run: the minutes within the lateness before the last event stay open, so that the run after it
//! says what one run over everything would have said. The state is written once, at the end, or not at all.

use super::reading::{MIB, Reading};
use super::show::is_insight;
use super::{CommandError, EXIT_CODES, NO_INSIGHTS};
use crate::exit::{Exit, after_help};
use crate::input::resolve::{Input, Origin, ResolveError, Resolved, resolve};
use crate::rule_files::RuleArguments;
use crate::rule_loading::{Loaded, today_of};
use crate::scan::remember::{Arrival, Remembering};
use crate::scan::report::Findings;
use crate::state_folder::{StateFolder, is_state};
use crate::terminal::{ColorChoice, Shown, counted, grouped};
use clap::Args;
use jiff::Timestamp;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use tripline_core::evaluate::RuleSet;
use tripline_core::rule::Rule;
use tripline_core::rule::kind::Kind;
use tripline_core::state::StateCounters;

const EXAMPLES: &str = "\
Events may come in any order and from any number of files; two weeks of them are a start, five know each hour of the week. What is
scanned after it must be later: older events are late. Learning again with the same folder goes on from what is there.
`serve` begins with the folder where its configuration has `engine.state_from`.

Examples:
  tripline insights learn --state state/ 'last-months/**/*.json.gz'
  tripline scan --state state/ today/                and go on from there
  tripline insights show --state state/ today/       what is unusual today, with charts";

/// Learn what is usual from past events, and keep it.
#[derive(Args, Debug)]
#[command(after_help = after_help(EXAMPLES, EXIT_CODES))]
pub(crate) struct Arguments {
    /// Files, folders, patterns, or - for standard input.
    #[arg(value_name = "INPUT", required = true)]
    inputs: Vec<String>,

    #[command(flatten)]
    rules: RuleArguments,

    /// Keep what was learnt in this folder, and go on from what is there.
    #[arg(long, value_name = "DIR")]
    state: PathBuf,

    /// Most memory for what rules remember, in MiB; at least 16.
    #[arg(long, value_name = "MIB", default_value_t = 1024, value_parser = clap::value_parser!(u32).range(16..))]
    state_memory: u32,

    /// Threads that evaluate; all cores without it.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=512))]
    threads: Option<u16>,

    /// The time to take for now: events a day later are not learnt from.
    #[arg(long, value_name = "TIME", value_parser = super::super::scan::time)]
    now: Option<Timestamp>,
}

/// Learns.
pub(crate) fn run(arguments: &Arguments, color: ColorChoice) -> Result<Exit, CommandError> {
    let now = arguments.now.unwrap_or_else(Timestamp::now);
    let resolved = inputs(arguments)?;
    let mut catalog = arguments.rules.load(Vec::new(), today_of(now))?;
    // Series of detections need the rules whose detections they are, and these whatever they take.
    let counts_detections = |rule: &Rule| rule.inputs.iter().any(|input| !input.rules.is_empty());
    let needs_all = catalog
        .rules
        .iter()
        .any(|rule| learns(rule) && counts_detections(rule));
    if !needs_all {
        catalog.rules.retain(learns);
    }
    let rules = Loaded { catalog }.compile(color);
    if !rules.rules().iter().any(|one| learns(&one.rule)) {
        return Err(CommandError::Usage(NO_INSIGHTS.to_owned()));
    }
    let started = arguments.rules.plugins.start(rules.plugins())?;
    let plugins = started.asked();
    let bytes_max = (arguments.state_memory as usize).saturating_mul(MIB);
    let folder = StateFolder::open(&arguments.state)?;
    let how = (Arrival::Archive, Findings::Learnt, bytes_max);
    let mut remembering = Remembering::start((&rules, &plugins), how, now, Some(folder))?;
    if let Some(remembering) = &mut remembering {
        remembering.stay_open();
    }
    let read = Reading {
        rules: &rules,
        plugins: &plugins,
        resolved: &resolved,
        threads: arguments.threads,
        color,
    }
    .read(remembering, "the state is left as it was\n")?;
    if let Some(counters) = read.state.filter(|_| read.exit == Exit::Success) {
        told(&rules, &counters, &arguments.state)?;
    }
    Ok(read.exit)
}

/// Whether a rule learns what is usual.
fn learns(rule: &Rule) -> bool {
    let memory = rule.memory.as_ref();
    is_insight(rule) || memory.is_some_and(|memory| matches!(memory.kind, Kind::Entity(_)))
}

/// The inputs; the files of the state are none.
fn inputs(arguments: &Arguments) -> Result<Resolved, CommandError> {
    let mut resolved = resolve(&arguments.inputs)?;
    let is_own = |input: &Input| matches!(&input.origin, Origin::File(path) if is_state(path, &arguments.state));
    resolved.inputs.retain(|input| !is_own(input));
    if resolved.inputs.is_empty() && resolved.faults.is_empty() {
        return Err(ResolveError::EmptyFolder(arguments.inputs.join(", ")).into());
    }
    Ok(resolved)
}

/// Says what is known now, of each rule.
fn told(rules: &RuleSet, counters: &StateCounters, folder: &Path) -> Result<(), CommandError> {
    let mut out = io::stdout().lock();
    for (id, one) in &counters.rules {
        let rule = rules
            .rules()
            .iter()
            .find(|rule| rule.rule.id.as_str() == id);
        let Some(rule) = rule.filter(|rule| learns(&rule.rule)) else {
            continue;
        };
        let of = match is_insight(&rule.rule) {
            true => format!("{} series", grouped(one.groups)),
            false => format!("{} of entities", counted(one.groups, "habit")),
        };
        let mut line = format!("{id}: {of} from {}", counted(one.observed, "event"));
        if one.late > 0 {
            line.push_str(&format!(
                ", {} too late to count",
                counted(one.late, "event")
            ));
        }
        writeln!(out, "{line}")?;
    }
    writeln!(out, "kept in {}", Shown(&folder.display().to_string()))?;
    Ok(())
}
