//! A translated rule as files of ours: `rule.toml` and, with samples, `tests.toml` and the events.
//!
//! What the Sigma rule says about itself is kept: author, licence, references, id. Its status is kept only when its
//! samples test both a match and a miss, as we want of a rule that is trusted. The text is formatted as `tripline fmt`
//! does.

use super::Translated;
use super::lower::slug;
use crate::rule::{Status, format};
use std::collections::BTreeSet;
use std::fmt::Write;

/// An event that a rule is said to match, or not to.
#[derive(Clone, Debug)]
pub struct Sample {
    /// What people call it.
    pub name: String,
    /// The event.
    pub json: String,
    /// Whether the rule matches it.
    pub matches: bool,
}

/// The files of one rule.
#[derive(Clone, Debug)]
pub struct Converted {
    /// Its folder, which is its id.
    pub folder: String,
    /// Name in the folder, and text.
    pub files: Vec<(String, String)>,
}

/// Writes a rule. `taken` holds the folders of the rules before it and is given this one's.
pub fn convert(one: &Translated, samples: &[Sample], taken: &mut BTreeSet<String>) -> Converted {
    let folder = folder(one, taken);
    let tested = |wanted: bool| samples.iter().any(|sample| sample.matches == wanted);
    let status = match one.rule.status {
        status if tested(true) && tested(false) => status,
        Status::Deprecated => Status::Deprecated,
        _ => Status::Experimental,
    };
    let mut files = vec![("rule.toml".to_owned(), rule_text(one, &folder, status))];
    if !samples.is_empty() {
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
    Converted { folder, files }
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

fn rule_text(one: &Translated, folder: &str, status: Status) -> String {
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
            let _ = writeln!(out, "# {word}: {}", one_line(text));
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
    key("when", literal(&rule.when.text));
    formatted(out)
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
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

impl Sample {
    /// The samples that an `info.yml` beside them lists as JSON: path and whether the rule matches.
    pub fn listed(text: &str) -> Vec<(String, String, bool)> {
        let (documents, _) = super::yaml::read(text);
        let tests = documents
            .iter()
            .flat_map(|document| document.get("regression_tests_info"))
            .flat_map(|tests| tests.items());
        tests
            .filter_map(|test| {
                let path = test.get("path")?.text()?.to_owned();
                let name = test.get("name").and_then(|name| name.text());
                let count = test.get("match_count").and_then(|count| count.text());
                let name = name.unwrap_or("sample").to_owned();
                Some((name, path, count != Some("0")))
            })
            .collect()
    }
}
