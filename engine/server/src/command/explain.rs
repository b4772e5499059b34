//! `tripline explain`: why a rule says what it says of one event.

use super::CommandError;
use crate::exit::{Exit, after_help};
use crate::input::reader::{BatchReader, BufferPool, Portion};
use crate::input::resolve::resolve;
use crate::input::split::{Piece, PieceKind};
use crate::rule_files::RuleArguments;
use crate::rule_loading::{Loaded, show_errors, today_of};
use crate::scan::nested::pieces_of;
use crate::terminal::{ColorChoice, Shown, joined, printable_json};
use clap::{Args, ValueEnum};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use tripline_core::evaluate::{Evaluator, Marks, Observations, Reason, RuleIndex, RuleSet};
use tripline_core::event::{Event, Parser};
use tripline_core::limits::EVENT_BYTES_MAX;
use tripline_core::rule::Catalog;

const EXAMPLES: &str = "\
EVENT is a file, or - for standard input; FILE:N takes the Nth record, as findings name it. Without
a number it is the first.

Examples:
  tripline explain --rule aws-cloudtrail-trail-stopped event.json
  tripline explain --rule aws-cloudtrail-trail-stopped logs/trail.json.gz:17
  tripline explain --sigma rule.yml --rule aws_root_login event.json
  tripline sample --events 100 | tripline explain --rule aws-root-api-call -:3";

const EXIT_CODES: &[(Exit, &str)] = &[
    (Exit::Success, "explained, whatever the verdict"),
    (Exit::Findings, "the rule has errors"),
    (
        Exit::Fault,
        "wrong usage, no such rule or record, or something could not be read or written",
    ),
];

/// Show why a rule matches an event or does not: which condition decided, what was absent.
#[derive(Args, Debug)]
#[command(after_help = after_help(EXAMPLES, EXIT_CODES))]
pub(crate) struct Arguments {
    /// The rule's id.
    #[arg(long, value_name = "ID")]
    rule: String,

    /// The event: FILE, FILE:N or -.
    #[arg(value_name = "EVENT", allow_hyphen_values = true)]
    event: String,

    #[command(flatten)]
    rules: RuleArguments,

    /// How it is written.
    #[arg(long, value_enum, default_value = "text", value_name = "FORMAT")]
    format: ExplainFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ExplainFormat {
    Text,
    Json,
}

/// Explains.
pub(crate) fn run(arguments: Arguments, color: ColorChoice) -> Result<Exit, CommandError> {
    let loaded = Loaded::read(&arguments.rules, today_of(Timestamp::now()))?;
    show_errors(&loaded.catalog.reports, color);
    let rule = super::rules::find(&loaded.catalog.rules, &arguments.rule)?;
    let disabled = !rule.is_enabled();
    let mut wanted = rule.clone();
    wanted.disabled = None;
    // By itself, so that it is explained also where the rules that feed it are off.
    let Catalog { ids, lists, .. } = &loaded.catalog;
    let schema = |source: &str| loaded.catalog.schema(source);
    let (set, reports) = RuleSet::compile_among(vec![wanted], ids, lists, &schema);
    if set.rules().is_empty() {
        show_errors(&reports, color);
        return Ok(Exit::Findings);
    }
    let bytes = record(&arguments.event)?;
    let mut parser = Parser::new();
    let document = parser.parse(&bytes).map_err(|malformed| {
        CommandError::Usage(format!(
            "{}: the record is no event: {malformed}",
            arguments.event
        ))
    })?;
    let event = Event::new(document);
    let started = arguments.rules.plugins.start(set.plugins())?;
    let answers = started.asked().about(&bytes, &set);
    let mut of_answers = Parser::new();
    let event = answers.beside(event, 0, &mut of_answers);
    let text = explanation(&arguments, &set, &event, disabled);
    io::stdout().write_all(text.as_bytes())?;
    Ok(Exit::Success)
}

fn explanation(arguments: &Arguments, set: &RuleSet, event: &Event<'_>, disabled: bool) -> String {
    let index = RuleIndex(0);
    let mut evaluator = Evaluator::new(set);
    let verdicts = evaluator.evaluate(event);
    let (matched, excused) = (!verdicts.matched.is_empty(), !verdicts.excused.is_empty());
    let observed: Vec<u16> = verdicts.observed.iter().map(|(_, input)| *input).collect();
    let undecided = !verdicts.indeterminate.is_empty();
    let foreign = !verdicts.not_applicable.is_empty();
    let verdict = match (matched, excused, undecided, foreign) {
        (true, ..) => "match",
        _ if !observed.is_empty() => "observed",
        (_, true, ..) => "excused",
        (_, _, true, _) => "indeterminate",
        (.., true) => "not_applicable",
        _ => "no_match",
    };
    let rule = &set.rules()[0].rule;
    let inputs = match rule.memory {
        Some(_) => inputs(set, &mut evaluator, event, &observed),
        None => Vec::new(),
    };
    let reason = evaluator.explain(index, event);
    let excused_by = if excused {
        evaluator.excused_by(index, event)
    } else {
        None
    };
    let plugins: Vec<String> = set
        .plugins()
        .iter()
        .filter_map(|name| {
            let reason = event.facts().and_then(|facts| facts.failure(name))?;
            Some(format!("plugin `{name}` gave no answer: {reason}"))
        })
        .collect();
    let finding = matched.then(|| evaluator.finding(index, event));
    if arguments.format == ExplainFormat::Json {
        let document = json!({
            "rule_id": arguments.rule,
            "event_id": event.id().as_str(),
            "verdict": verdict,
            "disabled": disabled,
            "excused_by": excused_by,
            "reason": reason.to_json(),
            "inputs": inputs.iter().map(InputExplained::to_json).collect::<Vec<_>>(),
            "finding": finding,
            "plugins": plugins,
        });
        return printable_json(&format!("{document:#}\n"));
    }
    let words = match &excused_by {
        Some(exception) => format!("match, but excused by the exception `{}`", Shown(exception)),
        None => verdict.replace('_', " "),
    };
    let event_id = event.id();
    let mut out = format!(
        "{} on event {}: {words}\n",
        Shown(&arguments.rule),
        Shown(event_id.as_str())
    );
    if disabled {
        out.push_str("the rule is switched off by an override; this is what it would say\n");
    }
    if let (true, Some(marks)) = (foreign, set.marks(index)) {
        out.push_str(&foreign_words(marks));
    }
    for line in &plugins {
        out.push_str(&format!("{}\n", Shown(line)));
    }
    out.push('\n');
    if inputs.is_empty() {
        out.push_str(&reason.to_text());
    }
    for input in &inputs {
        out.push_str(&input.to_text());
    }
    if let Some(finding) = finding {
        out.push_str(&format!(
            "\n{}: {}\n",
            finding.severity,
            Shown(&finding.title)
        ));
        for note in &finding.notes {
            out.push_str(&format!("note: {}\n", Shown(note)));
        }
    }
    out
}

/// What one input of a rule that remembers says of the event.
struct InputExplained {
    name: String,
    /// What people call it, when there are several.
    label: Option<String>,
    observed: bool,
    /// The groups in which it is observed, each as the parts of its key.
    groups: Vec<Vec<String>>,
    /// What kept it from being observed.
    faults: Vec<String>,
    reason: Option<Reason>,
    /// The rules whose detections it takes.
    rules: Vec<String>,
}

fn inputs(
    set: &RuleSet,
    evaluator: &mut Evaluator<'_>,
    event: &Event<'_>,
    observed: &[u16],
) -> Vec<InputExplained> {
    let mut observations = Observations::default();
    evaluator.observe(event, &mut observations);
    let faults = observations.faults.iter().map(|fault| fault.reason.clone());
    let faults: Vec<String> = faults.collect();
    let mut explained = Vec::new();
    let rule = &set.rules()[0].rule;
    for (number, input) in (0u16..).zip(&rule.inputs) {
        let of_input = observations.all.iter().filter(|one| one.input == number);
        let groups = of_input
            .map(|one| evaluator.group_text(one, event))
            .collect();
        explained.push(InputExplained {
            name: input.name.clone(),
            label: rule.input_label(usize::from(number)),
            observed: observed.contains(&number),
            groups,
            faults: if observed.contains(&number) {
                faults.clone()
            } else {
                Vec::new()
            },
            reason: input
                .when
                .as_ref()
                .map(|when| evaluator.explain_selector(when, event)),
            rules: input.rules.iter().map(|one| one.pattern.clone()).collect(),
        });
    }
    explained
}

impl InputExplained {
    fn to_text(&self) -> String {
        let mut out = match &self.label {
            None => String::new(),
            Some(label) => format!("{}: ", Shown(label)),
        };
        if !self.rules.is_empty() {
            out.push_str(&format!(
                "takes detections of {}\n",
                Shown(&self.rules.join(", "))
            ));
        } else if self.observed {
            out.push_str("the event is observed\n");
        } else {
            out.push_str("the event is not observed\n");
        }
        for group in self.groups.iter().filter(|group| !group.is_empty()) {
            out.push_str(&format!("  group {}\n", Shown(&joined(group, ", "))));
        }
        for fault in &self.faults {
            out.push_str(&format!("  left out: {}\n", Shown(fault)));
        }
        if let Some(reason) = &self.reason {
            for line in reason.to_text().lines() {
                out.push_str(&format!("  {line}\n"));
            }
        }
        out.push('\n');
        out
    }

    fn to_json(&self) -> Value {
        json!({
            "name": self.name,
            "observed": self.observed,
            "groups": self.groups,
            "faults": self.faults,
            "rules": self.rules,
            "reason": self.reason.as_ref().map(Reason::to_json),
        })
    }
}

/// Why an event is none of the rule's source.
fn foreign_words(marks: &Marks) -> String {
    let fields: Vec<String> = marks.fields.iter().map(ToString::to_string).collect();
    format!(
        "the rule is for events of `{}`, which have one of {};\nthis event has none of them, and what it has \
         does not decide the rule\n",
        Shown(&marks.source),
        Shown(&fields.join(", "))
    )
}

/// The bytes of the record that the argument names.
fn record(argument: &str) -> Result<Vec<u8>, CommandError> {
    let (path, number) = place(argument);
    let resolved = resolve(&[path.to_owned()])?;
    let [input] = resolved.inputs.as_slice() else {
        return Err(CommandError::Usage(format!("{path}: name one file")));
    };
    let (count, pool) = (Arc::new(AtomicU64::new(0)), BufferPool::default());
    let mut reader = BatchReader::open(input, &count, &pool, EVENT_BYTES_MAX);
    let mut parser = Parser::new();
    let mut left = number;
    loop {
        match reader.read(&pool) {
            Portion::Batch(batch) => {
                for piece in &batch.pieces {
                    let bytes = &batch.buffer[piece.start..piece.end];
                    let inner = match piece.kind {
                        PieceKind::Record => pieces_of(&mut parser, bytes),
                        PieceKind::Fault(_) => None,
                    };
                    match inner {
                        Some(inner) if left > inner.len() as u64 => left -= inner.len() as u64,
                        Some(inner) => return bytes_of(&inner[left as usize - 1], bytes, argument),
                        None if left > 1 => left -= 1,
                        None => return bytes_of(piece, &batch.buffer, argument),
                    }
                }
                pool.put(batch.buffer);
            }
            Portion::End(Some(fault)) => {
                return Err(CommandError::Usage(format!("{path}: {fault}")));
            }
            Portion::End(None) => {
                let seen = number - left;
                let are = if seen == 1 { "is" } else { "are" };
                let words =
                    format!("{path}: record {number} was asked for, and there {are} {seen}");
                return Err(CommandError::Usage(words));
            }
        }
    }
}

fn bytes_of(piece: &Piece, buffer: &[u8], argument: &str) -> Result<Vec<u8>, CommandError> {
    match piece.kind {
        PieceKind::Record => Ok(buffer[piece.start..piece.end].to_vec()),
        PieceKind::Fault(fault) => {
            let words = format!("{argument}: the record is no event: {fault}");
            Err(CommandError::Usage(words))
        }
    }
}

/// `FILE:N` as a file and a record from 1; a file whose own name ends so is taken as it is.
fn place(argument: &str) -> (&str, u64) {
    if let Some((path, number)) = argument.rsplit_once(':')
        && let Ok(number) = number.parse::<u64>()
        && number > 0
        && !std::path::Path::new(argument).exists()
    {
        return (path, number);
    }
    (argument, 1)
}

#[cfg(test)]
mod tests {
    use super::place;

    #[test]
    fn a_number_after_the_last_colon_is_a_record() {
        assert_eq!(place("a.json:17"), ("a.json", 17));
        assert_eq!(place("-:3"), ("-", 3));
        assert_eq!(place("a.json"), ("a.json", 1));
        assert_eq!(place("a:b.json"), ("a:b.json", 1));
        assert_eq!(place("a.json:0"), ("a.json:0", 1));
    }
}
