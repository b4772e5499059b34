//! The samples that a Sigma rule brings, as events that a test of ours can be about.
//!
//! Two forms are in use. A rule may name an `info.yml` (`regression_tests_path`) that lists files of events; who knows
//! files reads those. Or it holds events itself, under `rsigma.exemplars`. What is no JSON, or says too little to make a
//! test of, is told and left out: a test that nobody promised would say nothing.

use super::yaml::{self, Node, Value, shorten};
use crate::diagnostic::{Code, Diagnostic, Span};
use crate::event::Parser;

/// An event that a rule is said to match, or not to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// What people call it.
    pub name: String,
    /// The event.
    pub json: String,
    /// Whether the rule matches it.
    pub matches: bool,
}

/// A file of events that an `info.yml` lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// What people call it.
    pub name: String,
    /// Where it is, from the root of the rule's collection.
    pub path: String,
    /// Where the `info.yml` says so.
    pub span: Span,
    /// One event a line, instead of one in all.
    lines: bool,
    /// How many of the events match; some when it is not said.
    count: Option<u64>,
    /// The pipelines that change the rule before it is tried.
    pub pipelines: Vec<String>,
}

impl Listed {
    /// The samples in the text of the file, or why there are none.
    pub fn samples(&self, text: &str) -> Result<Vec<Sample>, String> {
        let events: Vec<&str> = match self.lines {
            true => text
                .lines()
                .filter(|line| !line.trim().is_empty())
                .collect(),
            false => vec![text],
        };
        let total = events.len() as u64;
        let matches = match self.count {
            Some(0) => false,
            None if total == 1 => true,
            Some(count) if count == total => true,
            Some(count) => {
                return Err(format!(
                    "{count} of its {total} events match: which is not said"
                ));
            }
            None => {
                return Err(format!(
                    "some of its {total} events match: which is not said"
                ));
            }
        };
        let sample = |(at, event): (usize, &&str)| {
            is_event(event)?;
            Ok(Sample {
                name: match total {
                    1 => self.name.clone(),
                    _ => format!("{}, event {}", self.name, at + 1),
                },
                json: (*event).to_owned(),
                matches,
            })
        };
        events.iter().enumerate().map(sample).collect()
    }
}

fn is_event(json: &str) -> Result<(), String> {
    match Parser::new().parse(json.as_bytes()) {
        Ok(_) => Ok(()),
        Err(malformed) => Err(format!("it is no JSON object: {malformed}")),
    }
}

/// A note that a sample is left out.
pub(super) fn left_out(span: Span, name: &str, reason: &str) -> Diagnostic {
    let message = format!(
        "no test is made of the sample `{}`: {reason}",
        shorten(name)
    );
    Diagnostic::new(Code::SigmaSample, span, message)
}

/// The files that the text of an `info.yml` lists, and what it lists that is no JSON.
pub fn listed(text: &str) -> (Vec<Listed>, Vec<Diagnostic>) {
    let (documents, mistake) = yaml::read(text);
    let mut notes: Vec<Diagnostic> = mistake.into_iter().collect();
    let mut found = Vec::new();
    let tests = documents
        .iter()
        .flat_map(|document| document.get("regression_tests_info"))
        .flat_map(|tests| tests.items());
    for test in tests {
        match listed_one(test) {
            Ok(one) => found.push(one),
            Err(note) => notes.push(*note),
        }
    }
    (found, notes)
}

fn listed_one(test: &Node) -> Result<Listed, Box<Diagnostic>> {
    let text = |key: &str| test.get(key).and_then(Node::text);
    let name = text("name").unwrap_or("sample");
    let refused = |reason: &str| Err(Box::new(left_out(test.span, name, reason)));
    let Some(path) = text("path") else {
        return refused("it has no `path`");
    };
    let extension = path.rsplit_once('.').map_or("", |(_, extension)| extension);
    let kind = text("type").unwrap_or(extension);
    let lines = match kind {
        "json" => false,
        "ndjson" | "jsonl" => true,
        _ => return refused(&format!("`{}` is no JSON", shorten(kind))),
    };
    let count = match text("match_count").map(str::parse) {
        None => None,
        Some(Ok(count)) => Some(count),
        Some(Err(_)) => return refused("its `match_count` is no number"),
    };
    let texts = |key: &str| -> Vec<String> {
        let items = test.get(key).map_or(&[][..], Node::items).iter();
        items
            .filter_map(|one| Some(one.text()?.to_owned()))
            .collect()
    };
    if !texts("filters").is_empty() {
        return refused("it is of the rule with filters");
    }
    Ok(Listed {
        name: name.to_owned(),
        path: path.to_owned(),
        span: test.span,
        lines,
        count,
        pipelines: texts("pipelines"),
    })
}

/// The samples in a rule itself, and what is none.
pub(super) fn embedded(document: &Node) -> (Vec<Sample>, Vec<Diagnostic>) {
    const KEY: &str = "rsigma.exemplars";
    let attributes = document.get("custom_attributes");
    let list = document
        .get(KEY)
        .or_else(|| attributes.and_then(|attributes| attributes.get(KEY)));
    let (mut found, mut notes) = (Vec::new(), Vec::new());
    for one in list.map_or(&[][..], Node::items) {
        let text = |key: &str| one.get(key).and_then(Node::text);
        let name = text("name").unwrap_or("sample");
        let expected = match text("expect") {
            Some("match") => Ok(true),
            Some("no-match" | "no_match") => Ok(false),
            _ => Err("`expect` is neither `match` nor `no-match`"),
        };
        let event = one
            .get("event")
            .filter(|event| matches!(event.value, Value::Map(_)));
        let event = event.ok_or("it is not one `event`");
        match expected.and_then(|matches| Ok((matches, event?))) {
            Ok((matches, event)) => found.push(Sample {
                name: name.to_owned(),
                json: json(event),
                matches,
            }),
            Err(reason) => notes.push(left_out(one.span, name, reason)),
        }
    }
    (found, notes)
}

/// YAML as JSON. Recurses as deep as the YAML, whose depth its reader bounds.
fn json(node: &Node) -> String {
    let text = |text: &str| serde_json::Value::from(text).to_string();
    match &node.value {
        Value::Null => "null".to_owned(),
        Value::Bool(value) => value.to_string(),
        // YAML has notations that JSON lacks, such as `+1` and `01`.
        Value::Number(number) => match serde_json::from_str::<serde_json::Number>(number) {
            Ok(_) => number.clone(),
            Err(_) => number
                .parse::<f64>()
                .ok()
                .filter(|number| number.is_finite())
                .map_or_else(|| text(number), |number| number.to_string()),
        },
        Value::Text(value) => text(value),
        Value::List(items) => {
            let items: Vec<String> = items.iter().map(json).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Map(entries) => {
            let entries = entries.iter().map(|(key, value)| {
                format!("{}: {}", text(key.text().unwrap_or("null")), json(value))
            });
            format!("{{{}}}", entries.collect::<Vec<_>>().join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn info_files_list_samples() {
        let check = |entry: &str, text: &str, expected: Result<&[(&str, bool)], &str>| {
            let info = format!(
                "regression_tests_info:\n  - {}",
                entry.replace(", ", "\n    ")
            );
            let (found, notes) = listed(&info);
            let samples = match (&found[..], &notes[..]) {
                ([one], []) => one.samples(text),
                ([], [note]) => Err(note.message.clone()),
                other => panic!("{other:?}"),
            };
            let samples = samples.map(|all| {
                let all = all.into_iter().map(|one| (one.name, one.matches));
                all.collect::<Vec<_>>()
            });
            let expected = expected.map(|all| {
                let all = all
                    .iter()
                    .map(|(name, matches)| ((*name).to_owned(), *matches));
                all.collect::<Vec<_>>()
            });
            assert_eq!(samples, expected.map_err(str::to_owned), "{entry}");
        };
        check("name: yes, type: json, path: a", "{}", Ok(&[("yes", true)]));
        check(
            "path: a.json, match_count: 0",
            "{}",
            Ok(&[("sample", false)]),
        );
        check(
            "path: a.jsonl, match_count: 2",
            "{}\n\n{}\n",
            Ok(&[("sample, event 1", true), ("sample, event 2", true)]),
        );
        check(
            "path: a.jsonl, match_count: 1",
            "{}\n{}\n",
            Err("1 of its 2 events match: which is not said"),
        );
        check(
            "path: a.jsonl",
            "{}\n{}\n",
            Err("some of its 2 events match: which is not said"),
        );
        check(
            "name: x, type: evtx, path: a.evtx",
            "",
            Err("no test is made of the sample `x`: `evtx` is no JSON"),
        );
        check(
            "name: x",
            "",
            Err("no test is made of the sample `x`: it has no `path`"),
        );
        check(
            "path: a.json, match_count: few",
            "",
            Err("no test is made of the sample `sample`: its `match_count` is no number"),
        );
        check(
            "path: a.json, filters: [x]",
            "",
            Err("no test is made of the sample `sample`: it is of the rule with filters"),
        );
        let (found, _) = listed("regression_tests_info:\n  - path: a.json\n");
        let refused = found[0].samples("[1]").expect_err("a list is no event");
        assert!(refused.starts_with("it is no JSON object"), "{refused}");
        assert_eq!(listed("a: [").1.len(), 1);
    }

    #[test]
    fn rules_hold_samples() {
        let text = "rsigma.exemplars:\n  - name: x\n    expect: match\n    event: {a: 1, b: [+1, 'q\"', ~, true], c: {d.e: x}}\n  - expect: no-match\n    event: {a: 2}\n  - expect: match\n    events: []\n  - expect: maybe\n    event: {}\n";
        for text in [
            text.to_owned(),
            format!("custom_attributes:\n  {}", text.replace('\n', "\n  ")),
        ] {
            let (documents, _) = yaml::read(&text);
            let (found, notes) = embedded(&documents[0]);
            let found: Vec<(&str, bool)> = found
                .iter()
                .map(|one| (one.json.as_str(), one.matches))
                .collect();
            assert_eq!(
                found,
                [
                    (
                        r#"{"a": 1, "b": [1, "q\"", null, true], "c": {"d.e": "x"}}"#,
                        true
                    ),
                    (r#"{"a": 2}"#, false)
                ]
            );
            let notes: Vec<&str> = notes.iter().map(|note| note.message.as_str()).collect();
            assert_eq!(
                notes,
                [
                    "no test is made of the sample `sample`: it is not one `event`",
                    "no test is made of the sample `sample`: `expect` is neither `match` nor `no-match`"
                ]
            );
        }
    }
}
