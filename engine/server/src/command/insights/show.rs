//! `tripline insights show`: what is unusual in files, each with its explanation and its chart.

use super::chart::Chart;
use super::reading::{MIB, Reading, existing};
use super::{CommandError, EXIT_CODES, NO_INSIGHTS};
use crate::exit::{Exit, after_help};
use crate::input::resolve::{Input, Resolved, resolve};
use crate::rule_files::RuleArguments;
use crate::rule_loading::{Loaded, today_of};
use crate::scan::remember::{Arrival, Remembering};
use crate::scan::report::Findings;
use crate::terminal::{ColorChoice, Shown, counted, width};
use crate::writing;
use clap::{Args, ValueEnum};
use jiff::Timestamp;
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use tripline_core::diagnostic::Palette;
use tripline_core::evaluate::RuleSet;
use tripline_core::insight::Record;
use tripline_core::rule::Rule;
use tripline_core::rule::kind::Kind;

const EXAMPLES: &str = "\
Examples:
  tripline insights show --demo
  tripline insights show --key RunInstances 'logs/**/*.json.gz'
  tripline insights show --state state/ today/     with what was learnt before, which is not changed";

/// What is unusual, with charts.
#[derive(Args, Debug)]
#[command(after_help = after_help(EXAMPLES, EXIT_CODES))]
pub(crate) struct Arguments {
    /// Files, folders, patterns, or - for standard input.
    #[arg(value_name = "INPUT", required_unless_present = "demo")]
    inputs: Vec<String>,

    #[command(flatten)]
    rules: RuleArguments,

    /// An invented week of a small company, with a burst in its last night.
    #[arg(long, conflicts_with = "inputs")]
    demo: bool,

    /// Only series of which a part of the key, or the rule, holds this text.
    #[arg(long, value_name = "TEXT")]
    key: Option<String>,

    /// How insights are written.
    #[arg(long, value_enum, default_value = "pretty", value_name = "FORMAT")]
    format: Format,

    /// Write a picture of each insight into this folder.
    #[arg(long, value_name = "DIR")]
    svg: Option<PathBuf>,

    /// Begin with what rules learnt before, from this folder; it is only read.
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,

    /// Most memory for what rules remember, in MiB; at least 16.
    #[arg(long, value_name = "MIB", default_value_t = 1024, value_parser = clap::value_parser!(u32).range(16..))]
    state_memory: u32,

    /// Threads that evaluate; all cores without it.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=512))]
    threads: Option<u16>,

    /// The time to take for now, for output that must be the same tomorrow.
    #[arg(long, value_name = "TIME", value_parser = super::super::scan::time)]
    now: Option<Timestamp>,
}

/// How insights are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people, with charts.
    Pretty,
    /// The records, one a line.
    Jsonl,
}

/// Shows.
pub(crate) fn run(arguments: Arguments, color: ColorChoice) -> Result<Exit, CommandError> {
    let now = arguments.now.unwrap_or_else(Timestamp::now);
    let resolved = if arguments.demo {
        Resolved {
            inputs: vec![Input::bundled("demo", super::demo::demo())],
            faults: Vec::new(),
        }
    } else {
        resolve(&arguments.inputs)?
    };
    let mut catalog = arguments.rules.load(Vec::new(), today_of(now))?;
    catalog.rules.retain(is_insight);
    let rules = Loaded { catalog }.compile(color);
    if rules.rules().is_empty() {
        return Err(CommandError::Usage(NO_INSIGHTS.to_owned()));
    }
    let started = arguments.rules.plugins.start(rules.plugins())?;
    let plugins = started.asked();
    let bytes_max = (arguments.state_memory as usize).saturating_mul(MIB);
    let how = (Arrival::Archive, Findings::Learnt, bytes_max);
    let mut remembering = Remembering::fresh((&rules, &plugins), how, now, None);
    if let Some(remembering) = &mut remembering {
        if let Some(path) = &arguments.state {
            remembering.go_on_from(&existing(path)?)?;
        }
        remembering.keep_insights();
    }
    let read = Reading {
        rules: &rules,
        plugins: &plugins,
        resolved: &resolved,
        threads: arguments.threads,
        color,
    }
    .read(remembering, "")?;
    let told: Vec<(Record, Value)> = read
        .records
        .into_iter()
        .filter_map(|record| {
            let value = serde_json::from_slice(&record.bytes).ok()?;
            Some((record, value))
        })
        .filter(|(record, value)| is_wanted(record, value, arguments.key.as_deref()))
        .collect();
    let palette = color.palette(&io::stdout());
    match arguments.format {
        Format::Pretty => pretty(&told, &rules, &palette)?,
        Format::Jsonl => {
            let mut out = io::stdout().lock();
            for (record, _) in &told {
                out.write_all(&record.bytes)?;
                out.write_all(b"\n")?;
            }
        }
    }
    if let Some(folder) = &arguments.svg {
        pictures(&told, folder)?;
    }
    Ok(read.exit)
}

/// Whether a rule watches series.
pub(super) fn is_insight(rule: &Rule) -> bool {
    let memory = rule.memory.as_ref();
    memory.is_some_and(|memory| matches!(memory.kind, Kind::Insight(_)))
}

fn is_wanted(record: &Record, value: &Value, text: Option<&str>) -> bool {
    let Some(text) = text else { return true };
    let rule = value["insight"]["rule"].as_str().unwrap_or("");
    rule.contains(text) || record.key.iter().any(|part| part.contains(text))
}

/// A start with its end, if it has come.
struct Pair<'t> {
    start: Option<&'t Value>,
    end: Option<&'t Value>,
}

fn pairs<'t>(told: &'t [(Record, Value)]) -> Vec<Pair<'t>> {
    let mut places: BTreeMap<&str, usize> = BTreeMap::new();
    let mut pairs: Vec<Pair<'t>> = Vec::new();
    for (record, value) in told {
        let shared = value["sharedEventID"].as_str().unwrap_or("");
        let at = *places.entry(shared).or_insert_with(|| {
            pairs.push(Pair {
                start: None,
                end: None,
            });
            pairs.len() - 1
        });
        let side = if record.begins {
            &mut pairs[at].start
        } else {
            &mut pairs[at].end
        };
        *side = Some(value);
    }
    pairs
}

fn pretty(
    told: &[(Record, Value)],
    rules: &RuleSet,
    palette: &Palette,
) -> Result<(), CommandError> {
    let mut out = io::stdout().lock();
    let pairs = pairs(told);
    for pair in &pairs {
        out.write_all(shown(pair, rules, palette).as_bytes())?;
    }
    let count = counted(pairs.len() as u64, "insight");
    let watched = counted(rules.rules().len() as u64, "rule");
    writeln!(out, "{count} of {watched} that watch series")?;
    Ok(())
}

/// One insight for people.
fn shown(pair: &Pair<'_>, rules: &RuleSet, palette: &Palette) -> String {
    let Palette {
        bold,
        quiet,
        reset,
        warning,
        ..
    } = palette;
    let Some(told) = pair.end.or(pair.start) else {
        return String::new();
    };
    let first = pair.start.unwrap_or(told);
    let id = first["insight"]["rule"].as_str().unwrap_or("");
    let rule = rules
        .rules()
        .iter()
        .find(|rule| rule.rule.id.as_str() == id);
    let name = rule.map_or(id, |rule| rule.rule.name.as_str());
    let mut out = format!("{warning}INSIGHT{reset} {bold}{}{reset}\n", Shown(name));
    let mut row = |name: &str, text: &str| {
        out.push_str(&format!("  {quiet}{name:<10}{reset} {}\n", Shown(text)));
    };
    row("series", &series(first));
    row("rule", id);
    let began = first["eventTime"].as_str().unwrap_or("");
    match pair.start {
        Some(_) => row("start", &format!("{began}  {}", explanation(first))),
        None => row("start", "before these inputs"),
    }
    match pair.end {
        Some(end) => {
            let ended = end["eventTime"].as_str().unwrap_or("");
            row("end", &format!("{ended}  {}", explanation(end)));
        }
        None => row("end", "not yet"),
    }
    let surprise = first["insight"]["surprise"].as_f64().unwrap_or(0.0);
    row(
        "surprise",
        &format!("{surprise:.1}: about one day in {}", days(surprise)),
    );
    for line in attributions(first) {
        row("by", &line);
    }
    if let Some(chart) = Chart::of(told) {
        out.push('\n');
        out.push_str(&chart.text(width().min(100), palette));
    }
    out.push('\n');
    out
}

/// How many days it takes, about, for such a thing to happen by chance.
fn days(surprise: f64) -> String {
    match surprise {
        surprise if surprise < 6.0 => format!("{:.0}", 10f64.powf(surprise)),
        _ => format!("10^{surprise:.0}"),
    }
}

fn explanation(record: &Value) -> &str {
    record["insight"]["explanation"].as_str().unwrap_or("")
}

fn series(record: &Value) -> String {
    let key = record["insight"]["key"].as_object();
    let parts = key.into_iter().flatten();
    let parts = parts.map(|(name, value)| format!("{name}={}", value.as_str().unwrap_or("")));
    parts.collect::<Vec<_>>().join(" ")
}

/// Names of one attribution that are shown.
const NAMES_SHOWN: usize = 2;

/// Longest name that is shown: user agents go on for ever.
const NAME_CHARS_MAX: usize = 90;

fn shortened(name: &str) -> String {
    match name.char_indices().nth(NAME_CHARS_MAX) {
        Some((at, _)) => format!("{}…", &name[..at]),
        None => name.to_owned(),
    }
}

/// Whose it is, and what is usual for them: a line for each of the first of each attribution.
fn attributions(record: &Value) -> Vec<String> {
    let all = &record["insightDetails"]["insightContext"]["attributions"];
    let mut lines = Vec::new();
    for attribution in all.as_array().into_iter().flatten() {
        let of = attribution["attribute"].as_str().unwrap_or("");
        let usual = attribution["baseline"].as_array();
        let all = attribution["insight"].as_array().into_iter().flatten();
        for one in all.take(NAMES_SHOWN) {
            let (value, average) = (&one["value"], one["average"].as_f64().unwrap_or(0.0));
            let mut before = usual.into_iter().flatten();
            let before = before.find(|other| &other["value"] == value);
            let before = match before.and_then(|other| other["average"].as_f64()) {
                Some(average) => format!("usually {average:.3}"),
                None => "not among the usual".to_owned(),
            };
            let value = shortened(value.as_str().unwrap_or(""));
            lines.push(format!("{of} {value}: {average:.2} a minute, {before}"));
        }
    }
    lines
}

/// Writes a picture of each insight.
fn pictures(told: &[(Record, Value)], folder: &Path) -> Result<(), CommandError> {
    let failed = |path: &Path, source| CommandError::Write {
        path: path.display().to_string(),
        source,
    };
    std::fs::create_dir_all(folder).map_err(|source| failed(folder, source))?;
    for pair in pairs(told) {
        let Some(record) = pair.end.or(pair.start) else {
            continue;
        };
        let Some(chart) = Chart::of(record) else {
            continue;
        };
        let id = record["sharedEventID"].as_str().unwrap_or("");
        // Ids are ours: hexadecimal digits and hyphens.
        let path = folder.join(format!("{id}.svg"));
        let title = format!("{} {}", series(record), explanation(record));
        let text = path.display().to_string();
        writing::write(&text, &chart.svg(&title)).map_err(|source| failed(&path, source))?;
    }
    Ok(())
}
