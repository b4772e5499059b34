//! `tripline rules`: what rules there are, everything about one of them, and handing them on to all members of a service.

use super::CommandError;
use super::service_client::ServiceArguments;
use crate::exit::{Exit, PRINTING, after_help};
use crate::output::pretty::severity_colour;
use crate::rule_files::RuleArguments;
use crate::rule_loading::{Loaded, show_errors, today_of};
use crate::terminal::{ColorChoice, Shown, counted, printable_json, printable_lines};
use clap::{Args, Subcommand, ValueEnum};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::io::{self, Write};
use tripline_core::diagnostic::{Palette, did_you_mean};
use tripline_core::rule::{Change, Condition, Exception, Part, Rule, Severity, Template};

const EXAMPLES: &str = "\
Examples:
  tripline rules list
  tripline rules list --severity high --format json
  tripline rules show aws-cloudtrail-trail-stopped
  tripline rules show --rules my-rules/ my-rule
  tripline rules publish";

const LIST_EXAMPLES: &str = "\
Examples:
  tripline rules list
  tripline rules list --attack T1562 --severity medium
  tripline rules list --rules my-rules/ --format json";

const SHOW_EXAMPLES: &str = "\
Examples:
  tripline rules show aws-cloudtrail-trail-stopped
  tripline rules show --format json aws-cloudtrail-trail-stopped";

const PUBLISH_EXAMPLES: &str = "\
The process that is asked reads its own files again, refuses them for one mistake, and publishes them: every process that shares
the work with it goes on with them, each partition from one record on. That needs `store.rules = \"members\"`.

Examples:
  tripline rules publish
  tripline rules publish --url http://10.0.0.7:7878 --token-file token";

const PUBLISH_EXIT_CODES: &[(Exit, &str)] = &[
    (
        Exit::Success,
        "they are published, and in force where it was asked",
    ),
    (
        Exit::Fault,
        "wrong usage, mistakes in the rules, or a service that cannot be reached or refuses",
    ),
];

/// List rules, show one, or publish those of a service.
#[derive(Args, Debug)]
#[command(after_help = after_help(EXAMPLES, PRINTING))]
pub(crate) struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand, Debug)]
enum Action {
    List(ListArguments),
    Show(ShowArguments),
    Publish(PublishArguments),
}

/// List rules: severity, id, name, ATT&CK.
#[derive(Args, Debug)]
#[command(after_help = after_help(LIST_EXAMPLES, PRINTING))]
struct ListArguments {
    #[command(flatten)]
    rules: RuleArguments,

    /// Only rules at least this severe.
    #[arg(long, value_name = "SEVERITY", value_parser = super::scan::severity)]
    severity: Option<Severity>,

    /// Only rules with an ATT&CK tag that starts so: TA0005, T1562, T1562.008.
    #[arg(long, value_name = "ID")]
    attack: Option<String>,

    /// How it is written.
    #[arg(long, value_enum, default_value = "table", value_name = "FORMAT")]
    format: ListFormat,
}

/// Show everything about one rule: text, condition, exceptions, overrides, runbook.
#[derive(Args, Debug)]
#[command(after_help = after_help(SHOW_EXAMPLES, PRINTING))]
struct ShowArguments {
    /// The rule's id.
    id: String,

    #[command(flatten)]
    rules: RuleArguments,

    /// How it is written.
    #[arg(long, value_enum, default_value = "text", value_name = "FORMAT")]
    format: ShowFormat,
}

/// Publish the rules of a running service's files to all that share its work.
#[derive(Args, Debug)]
#[command(after_help = after_help(PUBLISH_EXAMPLES, PUBLISH_EXIT_CODES))]
struct PublishArguments {
    #[command(flatten)]
    service: ServiceArguments,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ListFormat {
    Table,
    Json,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ShowFormat {
    Text,
    Json,
}

/// Lists or shows.
pub(crate) fn run(arguments: Arguments, color: ColorChoice) -> Result<Exit, CommandError> {
    let palette = color.palette(&io::stdout());
    let text = match arguments.action {
        Action::List(arguments) => list(&arguments, color, &palette)?,
        Action::Show(arguments) => show(&arguments, color, &palette)?,
        Action::Publish(arguments) => publish(&arguments)?,
    };
    io::stdout().write_all(text.as_bytes())?;
    Ok(Exit::Success)
}

fn publish(arguments: &PublishArguments) -> Result<String, CommandError> {
    let client = arguments.service.client()?;
    let answer = client.post("/v1/rules/publish", b"")?;
    let said = |key: &str| answer[key].as_str().unwrap_or("?").to_owned();
    Ok(format!(
        "version {} published: {}\n",
        Shown(&said("published")),
        Shown(&said("reloaded"))
    ))
}

fn list(
    arguments: &ListArguments,
    color: ColorChoice,
    palette: &Palette,
) -> Result<String, CommandError> {
    let loaded = Loaded::read(&arguments.rules, today_of(Timestamp::now()))?;
    show_errors(&loaded.catalog.reports, color);
    let mut rules: Vec<&Rule> = loaded.catalog.rules.iter().collect();
    rules.retain(|rule| {
        arguments
            .severity
            .is_none_or(|least| rule.severity >= least)
    });
    if let Some(wanted) = &arguments.attack {
        rules.retain(|rule| {
            rule.attack.iter().any(|tag| {
                tag.technique.starts_with(wanted)
                    || tag.tactic == *wanted
                    || tag.to_string() == *wanted
            })
        });
    }
    if arguments.format == ListFormat::Json {
        let rules: Vec<Value> = rules.iter().map(|rule| to_json(rule)).collect();
        return Ok(printable_json(&format!("{:#}\n", Value::Array(rules))));
    }
    let width = rules
        .iter()
        .map(|rule| rule.id.as_str().len())
        .max()
        .unwrap_or(0);
    let mut out = String::new();
    for rule in &rules {
        let colour = severity_colour(rule.severity.as_str(), palette);
        let tags: Vec<&str> = rule
            .attack
            .iter()
            .map(|tag| tag.technique.as_str())
            .collect();
        let tags = match tags.join(" ") {
            none if none.is_empty() => none,
            tags => format!("  {}{}{}", palette.quiet, Shown(&tags), palette.reset),
        };
        let off = if rule.is_enabled() {
            ""
        } else {
            "  (switched off by an override)"
        };
        out.push_str(&format!(
            "{colour}{:<13}{}  {:<width$}  {}{tags}{off}\n",
            rule.severity,
            palette.reset,
            rule.id,
            Shown(&rule.name),
        ));
    }
    out.push_str(&format!("{}\n", counted(rules.len() as u64, "rule")));
    Ok(out)
}

fn show(
    arguments: &ShowArguments,
    color: ColorChoice,
    palette: &Palette,
) -> Result<String, CommandError> {
    let loaded = Loaded::read(&arguments.rules, today_of(Timestamp::now()))?;
    show_errors(&loaded.catalog.reports, color);
    let rule = find(&loaded.catalog.rules, &arguments.id)?;
    Ok(match arguments.format {
        ShowFormat::Json => printable_json(&format!("{:#}\n", to_json(rule))),
        ShowFormat::Text => to_text(rule, palette),
    })
}

/// The rule of this id, or a hint at one that is spelt nearly so.
pub(crate) fn find<'r>(rules: &'r [Rule], id: &str) -> Result<&'r Rule, CommandError> {
    rules
        .iter()
        .find(|rule| rule.id.as_str() == id)
        .ok_or_else(|| {
            let near = did_you_mean(id, rules.iter().map(|rule| rule.id.as_str()));
            let near = near.map_or(String::new(), |near| format!("; did you mean {near}?"));
            CommandError::Usage(format!("no rule has the id {id}{near}"))
        })
}

fn to_text(rule: &Rule, palette: &Palette) -> String {
    let Palette { bold, reset, .. } = palette;
    let colour = severity_colour(rule.severity.as_str(), palette);
    let mut out = format!(
        "{bold}{}{reset}\n{}\n\n",
        Shown(&rule.name),
        printable_lines(rule.description.trim())
    );
    let mut row = |name: &str, value: String| {
        if !value.is_empty() {
            out.push_str(&format!("{name:<12}{value}\n"));
        }
    };
    row("id", rule.id.to_string());
    row(
        "severity",
        format!("{colour}{}{reset}{}", rule.severity, declared(rule)),
    );
    row("status", rule.status.to_string());
    let attack: Vec<String> = rule.attack.iter().map(ToString::to_string).collect();
    let source = rule.source.as_deref().unwrap_or_default();
    for (name, text) in [
        ("source", source),
        ("attack", attack.join(" ").as_str()),
        ("tags", rule.tags.join(" ").as_str()),
        ("authors", rule.authors.join(", ").as_str()),
        ("file", rule.place.source.name.as_str()),
    ] {
        row(name, Shown(text).to_string());
    }
    if !rule.is_enabled() {
        row("enabled", "no, switched off by an override".to_owned());
    }
    section(&mut out, palette, "when", &inputs_text(rule));
    section(&mut out, palette, "remembers", &memory_text(rule));
    if let Some(title) = &rule.finding.title {
        section(&mut out, palette, "title", &template_text(title));
    }
    if let Some(severity) = rule.severity_computed() {
        section(
            &mut out,
            palette,
            "severity of a finding",
            severity.text.trim(),
        );
    }
    if let Some(key) = &rule.finding.dedup_key {
        let key: Vec<&str> = key.iter().map(|one| one.text.trim()).collect();
        section(
            &mut out,
            palette,
            "findings are about the same when equal in",
            &key.join("\n"),
        );
    }
    let context: Vec<String> = rule
        .finding
        .context
        .iter()
        .map(|(name, selector)| format!("{name} = {}", selector.text.trim()))
        .collect();
    section(&mut out, palette, "context", &context.join("\n"));
    let exceptions: Vec<String> = rule.exceptions.iter().map(exception_text).collect();
    section(&mut out, palette, "exceptions", &exceptions.join("\n"));
    let layers: Vec<String> = rule
        .layers
        .iter()
        .map(|layer| {
            let why = layer
                .reason
                .as_deref()
                .map_or(String::new(), |why| format!(": {why}"));
            format!("{} by {}{why}", change_text(&layer.change), layer.place)
        })
        .collect();
    section(&mut out, palette, "overrides", &layers.join("\n"));
    section(
        &mut out,
        palette,
        "false positives",
        &rule.false_positives.join("\n"),
    );
    section(
        &mut out,
        palette,
        "runbook",
        rule.runbook.as_deref().unwrap_or_default().trim(),
    );
    section(&mut out, palette, "references", &rule.references.join("\n"));
    out
}

/// What a rule looks at; the steps by name.
fn inputs_text(rule: &Rule) -> String {
    let mut text = String::new();
    for (number, input) in rule.inputs.iter().enumerate() {
        if let Some(label) = rule.input_label(number) {
            text.push_str(&format!("# {label}\n"));
        }
        if !input.rules.is_empty() {
            let rules: Vec<&str> = input.rules.iter().map(|one| one.pattern.as_str()).collect();
            text.push_str(&format!("detections of {}\n", rules.join(", ")));
        }
        if let Some(when) = &input.when {
            text.push_str(&format!("{}\n", when.text.trim()));
        }
    }
    text
}

/// What a rule remembers, and how its findings are kept quiet.
fn memory_text(rule: &Rule) -> String {
    let mut lines = Vec::new();
    if let Some(memory) = &rule.memory {
        lines.push(format!("{}: {}", memory.kind.as_str(), memory.kind));
        for (name, selector) in std::iter::repeat("by").zip(&memory.group_by) {
            lines.push(format!("{name} {}", selector.text.trim()));
        }
        for selector in memory.kind.selectors() {
            lines.push(format!("of {}", selector.text.trim()));
        }
        lines.push(format!("events may come {} late", memory.lateness));
    }
    if let Some(suppress) = &rule.suppress {
        lines.push(format!(
            "one finding for each key within {}",
            suppress.window
        ));
    }
    if rule.signal {
        lines.push("a signal: detections are no findings".to_owned());
    }
    lines.join("\n")
}

fn declared(rule: &Rule) -> String {
    if rule.severity == rule.severity_declared {
        String::new()
    } else {
        format!(" ({} in the rule file)", rule.severity_declared)
    }
}

fn section(out: &mut String, palette: &Palette, heading: &str, text: &str) {
    if text.is_empty() {
        return;
    }
    out.push_str(&format!("\n{}{heading}{}\n", palette.bold, palette.reset));
    for line in printable_lines(text).lines() {
        out.push_str(&format!("  {line}\n"));
    }
}

fn template_text(template: &Template) -> String {
    let parts = template.parts.iter().map(|part| match part {
        Part::Text(text) => text.clone(),
        Part::Value(selector) => format!("{{{}}}", selector.text.trim()),
    });
    parts.collect()
}

fn exception_text(exception: &Exception) -> String {
    let condition = match &exception.condition {
        Condition::When(selector) => selector.text.trim().to_owned(),
        Condition::Listed { list, value, .. } => format!("{} in list {list}", value.text.trim()),
    };
    let mut text = format!("{}: {condition}", exception.name);
    for (name, value) in [("owner", &exception.owner), ("reason", &exception.reason)] {
        if let Some(value) = value {
            text.push_str(&format!("\n  {name}: {value}"));
        }
    }
    if let Some(expires) = &exception.expires {
        text.push_str(&format!("\n  until the end of {} (UTC)", expires.date));
    }
    text
}

fn change_text(change: &Change) -> String {
    match change {
        Change::Disabled => "switched off".to_owned(),
        Change::Enabled => "switched on again".to_owned(),
        Change::Severity { from, to } => format!("severity {from} to {to}"),
        Change::Exception(name) => format!("exception {name} added"),
    }
}

fn to_json(rule: &Rule) -> Value {
    json!({
        "id": rule.id.as_str(),
        "name": rule.name,
        "description": rule.description,
        "severity": rule.severity.as_str(),
        "status": rule.status.as_str(),
        "source": rule.source,
        "attack": rule.attack.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "tags": rule.tags,
        "authors": rule.authors,
        "references": rule.references,
        "false_positives": rule.false_positives,
        "runbook": rule.runbook,
        "kind": rule.memory.as_ref().map_or("event", |memory| memory.kind.as_str()),
        "when": rule.when().map(|when| &when.text),
        "signal": rule.signal,
        "enabled": rule.is_enabled(),
        "exceptions": rule.exceptions.iter().map(|one| one.name.clone()).collect::<Vec<_>>(),
        "overrides": rule
            .layers
            .iter()
            .map(|layer| json!({
                "change": change_text(&layer.change),
                "owner": layer.owner,
                "reason": layer.reason,
                "at": layer.place.to_string(),
            }))
            .collect::<Vec<_>>(),
        "file": rule.place.source.name,
    })
}
