//! A translated rule as files of ours: `rule.toml` and, with samples, `tests.toml` and the events.
//!
//! What the Sigma rule says about itself is kept: author, licence, references, id. Its status is kept only when its
//! samples test both a match and a miss, as we want of a rule that is trusted. The text is formatted as `tripline fmt`
//! does.

use super::Translated;
use super::lower::slug;
use super::samples::Sample;
use crate::diagnostic::Printable;
use crate::rule::kind::{Input, Kind, Measure, Memory};
use crate::rule::{Selector, Status, format};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

/// The files of one rule.
#[derive(Clone, Debug)]
pub struct Converted {
    /// Its folder, which is its id.
    pub folder: String,
    /// Name in the folder, and text.
    pub files: Vec<(String, String)>,
}

/// Writes rules. `samples` gives the samples of each.
pub fn convert(
    rules: &[Translated],
    samples: impl Fn(&Translated) -> Vec<Sample>,
) -> Vec<Converted> {
    let mut taken = BTreeSet::new();
    let folders: Vec<String> = rules.iter().map(|one| folder(one, &mut taken)).collect();
    let ids = rules.iter().map(|one| one.rule.id.as_str());
    let renamed: BTreeMap<&str, &str> = ids.zip(folders.iter().map(String::as_str)).collect();
    let written = rules.iter().zip(&folders).map(|(one, folder)| Converted {
        folder: folder.clone(),
        files: files(one, folder, &samples(one), &renamed),
    });
    written.collect()
}

/// Old ids and new ones.
type Renamed<'r> = BTreeMap<&'r str, &'r str>;

fn files(
    one: &Translated,
    folder: &str,
    samples: &[Sample],
    renamed: &Renamed<'_>,
) -> Vec<(String, String)> {
    let tested = |wanted: bool| samples.iter().any(|sample| sample.matches == wanted);
    let status = match one.rule.status {
        status if tested(true) && tested(false) => status,
        Status::Deprecated => Status::Deprecated,
        _ => Status::Experimental,
    };
    let text = rule_text(one, folder, status, renamed);
    let mut files = vec![("rule.toml".to_owned(), text)];
    // What a rule that remembers finds, one event does not show.
    if !samples.is_empty() && one.rule.memory.is_none() {
        let mut tests = String::new();
        for (at, sample) in samples.iter().enumerate() {
            let file = format!("sample-{}.json", at + 1);
            let _ = write!(tests, "[events.sample-{}]\nfile = \"{file}\"\n\n", at + 1);
            files.push((file, sample.json.clone()));
        }
        for (at, sample) in samples.iter().enumerate() {
            let expect = if sample.matches { "match" } else { "no_match" };
            let _ = write!(
                tests,
                "[[test]]\nname = {}\nevent = \"sample-{}\"\nexpect = \"{expect}\"\n\n",
                quoted(&sample.name),
                at + 1
            );
        }
        files.push(("tests.toml".to_owned(), formatted(tests)));
    }
    files
}

/// The title as a folder; with the start of the id where two rules have one title.
fn folder(one: &Translated, taken: &mut BTreeSet<String>) -> String {
    let id = one.rule.id.as_str();
    let title = slug(&one.rule.name);
    let start: String = id.chars().take(8).collect();
    let candidates = [title.clone(), format!("{title}-{start}"), id.to_owned()];
    let free = candidates
        .into_iter()
        .find(|name| crate::rule::RuleId::new(name).is_some() && !taken.contains(name));
    let folder = free.unwrap_or_else(|| id.to_owned());
    taken.insert(folder.clone());
    folder
}

fn rule_text(one: &Translated, folder: &str, status: Status, renamed: &Renamed<'_>) -> String {
    let rule = &one.rule;
    let mut out = String::new();
    let _ = writeln!(out, "# Made from a Sigma rule by `tripline sigma convert`.");
    let about = [
        ("Id", &one.sigma_id),
        ("Author", &one.author),
        ("Licence", &one.licence),
    ];
    for (word, text) in about {
        if let Some(text) = text {
            let _ = writeln!(out, "# {word}: {}", Printable(&one_line(text)));
        }
    }
    let mut key = |name: &str, value: String| {
        let _ = writeln!(out, "{name} = {value}");
    };
    key("id", quoted(folder));
    key("name", quoted(&one_line(&rule.name)));
    key("description", quoted(rule.description.trim()));
    key("severity", quoted(rule.severity.as_str()));
    key("status", quoted(status.as_str()));
    if let Some(source) = &rule.source {
        key("source", quoted(source));
    }
    let lists = [
        ("authors", &rule.authors),
        ("references", &rule.references),
        ("false_positives", &rule.false_positives),
    ];
    for (name, values) in lists {
        if !values.is_empty() {
            key(name, array(values));
        }
    }
    let attack: Vec<String> = rule.attack.iter().map(ToString::to_string).collect();
    if !attack.is_empty() {
        key("attack", array(&attack));
    }
    key("tags", array(&rule.tags));
    if rule.signal {
        key("signal", "true".to_owned());
    }
    match &rule.memory {
        None => {
            if let Some(when) = rule.when() {
                key("when", literal(&when.text));
            }
        }
        Some(memory) => memory_text(&rule.inputs, memory, renamed, &mut out),
    }
    formatted(out)
}

/// The inputs and the table of a rule that remembers.
fn memory_text(inputs: &[Input], memory: &Memory, renamed: &Renamed<'_>, out: &mut String) {
    let selectors = |all: &[Selector]| {
        let all: Vec<String> = all.iter().map(|one| one.text.clone()).collect();
        array(&all)
    };
    let input = |input: &Input| {
        let mut out = String::new();
        if let Some(when) = &input.when {
            let _ = writeln!(out, "when = {}", literal(&when.text));
        }
        if !input.rules.is_empty() {
            let rules = input.rules.iter().map(|rule| {
                let id = renamed.get(rule.pattern.as_str());
                id.map_or(rule.pattern.clone(), |id| (*id).to_owned())
            });
            let _ = writeln!(out, "rules = {}", array(&rules.collect::<Vec<_>>()));
        }
        if let Some(group_by) = &input.group_by {
            let _ = writeln!(out, "group_by = {}", selectors(group_by));
        }
        out
    };
    let steps = matches!(memory.kind, Kind::Sequence(_) | Kind::Temporal(_));
    if !steps {
        inputs
            .iter()
            .take(1)
            .for_each(|one| out.push_str(&input(one)));
    }
    if !memory.group_by.is_empty() {
        let _ = writeln!(out, "group_by = {}", selectors(&memory.group_by));
    }
    let table = memory.kind.as_str();
    let _ = writeln!(out, "\n[{table}]");
    match &memory.kind {
        Kind::Threshold(threshold) => {
            let _ = writeln!(out, "window = \"{}\"", threshold.window);
            let _ = writeln!(out, "measure = \"{}\"", threshold.measure);
            if let Some(of) = &threshold.of {
                let _ = writeln!(out, "of = {}", quoted(&of.text));
            }
            if threshold.measure == Measure::Percentile {
                let _ = writeln!(out, "percentile = {}", threshold.percentile);
            }
            let _ = writeln!(out, "is = \"{}\"", threshold.is);
        }
        Kind::Sequence(sequence) => {
            let (within, ties) = (sequence.within, sequence.ties);
            let _ = writeln!(out, "within = \"{within}\"\nties = \"{ties}\"");
        }
        Kind::Temporal(temporal) => {
            let _ = writeln!(out, "within = \"{}\"", temporal.within);
            let without = temporal.without.and_then(|input| inputs.get(input));
            if let Some(when) = without.and_then(|one| one.when.as_ref()) {
                let _ = writeln!(out, "without = {}", literal(&when.text));
            }
        }
        Kind::Absence(absence) => {
            let missed = inputs.get(1).and_then(|one| one.when.as_ref());
            if let Some(of) = missed {
                let _ = writeln!(out, "of = {}", literal(&of.text));
            }
            let (within, order) = (absence.within, absence.order);
            let _ = writeln!(out, "within = \"{within}\"\norder = \"{order}\"");
        }
        // No correlation is one of these.
        Kind::FirstSeen(_)
        | Kind::Rare(_)
        | Kind::Risk(_)
        | Kind::Insight(_)
        | Kind::Entity(_)
        | Kind::Scored => {}
    }
    if steps {
        for step in inputs.iter().filter(|one| !one.name.is_empty()) {
            let _ = write!(
                out,
                "\n[[{table}.step]]\nname = \"{}\"\n{}",
                step.name,
                input(step)
            );
        }
    }
}

/// Without line breaks, and without the control characters that no comment of TOML may hold.
fn one_line(text: &str) -> String {
    let parts = text.split(|c: char| c.is_whitespace() || c.is_control());
    let parts: Vec<&str> = parts.filter(|part| !part.is_empty()).collect();
    parts.join(" ")
}

fn array(values: &[String]) -> String {
    let values: Vec<String> = values.iter().map(|one| quoted(one)).collect();
    format!("[{}]", values.join(", "))
}

fn quoted(text: &str) -> String {
    toml_edit::Value::from(text).to_string().trim().to_owned()
}

/// A selector reads best without escapes, where it can be had.
fn literal(text: &str) -> String {
    let plain = |c: char| c == '\n' || c == '\t' || !c.is_control();
    if text.contains("'''") || !text.chars().all(plain) {
        return quoted(text);
    }
    format!("'''\n{text}\n'''")
}

fn formatted(text: String) -> String {
    match format("rule.toml", &text) {
        Ok(formatted) => formatted,
        Err(_) => text,
    }
}
