//! The test vectors of a plugin: files of cases, each with what goes in and what should come out.
//!
//! A file may say what its cases run with: `[config]`, `[limits]` and `[grant]`, as in an operator's file, and
//! `[tables.NAME]` that its cases look things up in. Without `[grant]`, what the manifest asks for is granted, but for
//! requests to the outside. Whatever is wrong with a file is told at its place, and all of it at once: a case that is
//! passed over because a word of it is mistyped would be a test that cannot fail.

use crate::command::CommandError;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};
use tripline_core::diagnostic::{Code, Diagnostic, Palette, Source, Span, did_you_mean};
use tripline_core::rule::Report;

/// A file of cases.
pub(super) struct Vectors {
    pub(super) path: PathBuf,
    pub(super) given: Given,
    pub(super) cases: Vec<Case>,
}

/// What cases run with.
pub(super) struct Given {
    /// `grant`, `config`, `limits` and `tables`.
    pub(super) table: toml::Table,
    /// Where that stands.
    pub(super) name: String,
}

impl Given {
    /// Nothing but what the manifest asks for.
    pub(super) fn nothing() -> Self {
        Self {
            table: toml::Table::new(),
            name: "what the tests grant".to_owned(),
        }
    }
}

/// One case.
#[derive(Debug)]
pub(super) struct Case {
    pub(super) name: String,
    /// Where it begins.
    pub(super) line: usize,
    pub(super) input: Input,
    pub(super) wanted: Vec<(String, Value)>,
}

/// What goes in.
#[derive(Debug)]
pub(super) enum Input {
    Event(String),
    Chunk(String),
    /// What a planner is asked about, and what services answer it, by the names of operations.
    Subject(String, Vec<(String, Value)>),
    /// What a remediator is to make steps for.
    Finding(String),
}

const GIVEN: [&str; 4] = ["grant", "config", "limits", "tables"];
const INPUTS: [&str; 4] = ["event", "chunk", "subject", "finding"];
const OUTCOMES: [&str; 11] = [
    "columns", "hit", "score", "decision", "events", "bad", "plan", "nothing", "steps", "dry_run",
    "fault",
];
/// What can be named of an outcome that is a table.
const PARTS: [(&str, &[&str]); 2] = [
    (
        "hit",
        &["severity", "title", "score", "dedup_key", "evidence"],
    ),
    ("decision", &["effect", "reason", "obligations"]),
];

/// All files of cases under `tests/` of a project, in the order of names.
pub(super) fn read(folder: &Path) -> Result<Vec<Vectors>, CommandError> {
    let tests = folder.join("tests");
    let entries = fs::read_dir(&tests).map_err(|source| CommandError::Read {
        path: tests.display().to_string(),
        source,
    })?;
    let mut paths: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "toml")
        })
        .collect();
    if paths.is_empty() {
        return Err(CommandError::Usage(format!(
            "{}: there is no file of cases in it; one is called `basics.toml`, for instance, and has a `[[case]]`",
            tests.display()
        )));
    }
    paths.sort();
    paths.iter().map(|path| read_file(path)).collect()
}

fn read_file(path: &Path) -> Result<Vectors, CommandError> {
    let text = fs::read_to_string(path).map_err(|source| CommandError::Read {
        path: path.display().to_string(),
        source,
    })?;
    let name = path.display().to_string();
    let (table, cases) = read_text(name.clone(), text)?;
    Ok(Vectors {
        path: path.to_owned(),
        given: Given { table, name },
        cases,
    })
}

/// What the cases of a text run with, and the cases.
fn read_text(name: String, text: String) -> Result<(toml::Table, Vec<Case>), CommandError> {
    let source = Arc::new(Source {
        name,
        text: text.clone(),
    });
    let mut reading = Reading {
        source,
        reports: Vec::new(),
    };
    let (places, errors) = DeTable::parse_recoverable(&text);
    for error in errors {
        let span = error.span().unwrap_or_default();
        reading.wrong(Code::TomlSyntax, span, error.message(), "");
    }
    reading.done()?;
    // The same once more, as plain values.
    let parsed = text.parse::<toml::Table>();
    let mut table = parsed.map_err(|fault| CommandError::Usage(fault.to_string()))?;
    reading.keys(places.get_ref(), &[&GIVEN[..], &["case"]].concat(), "");
    let mut cases = Vec::new();
    match (
        table.remove("case"),
        places.get_ref().get("case").map(Spanned::get_ref),
    ) {
        (Some(toml::Value::Array(values)), Some(DeValue::Array(places))) => {
            cases = reading.cases(values, places);
        }
        (Some(_), _) => {
            let span = span_of(places.get_ref().get("case"));
            reading.wrong(
                Code::WrongType,
                span,
                "`case` is no list of tables",
                "Cases begin with `[[case]]`.",
            );
        }
        (None, _) => {
            let help = "Without a case nothing is tested.";
            reading.wrong(Code::MissingKey, 0..0, "it has no `[[case]]`", help);
        }
    }
    if let Some(DeValue::Table(tables)) = places.get_ref().get("tables").map(Spanned::get_ref) {
        for (name, table) in tables.iter() {
            if let DeValue::Table(table) = table.get_ref() {
                let of = format!(" of the table `{}`", name.get_ref());
                reading.keys(table, &["columns", "rows"], &of);
            }
        }
    }
    reading.done()?;
    Ok((table, cases))
}

type Place<'p, 'i> = Option<&'p Spanned<DeValue<'i>>>;

fn span_of(place: Place<'_, '_>) -> std::ops::Range<usize> {
    place.map(Spanned::span).unwrap_or_default()
}

/// A file that is read, and what is wrong with it.
struct Reading {
    source: Arc<Source>,
    reports: Vec<Report>,
}

impl Reading {
    fn wrong(
        &mut self,
        code: Code,
        span: std::ops::Range<usize>,
        message: impl Into<String>,
        help: &str,
    ) {
        let span = Span::new(span.start, span.end);
        let mut diagnostic = Diagnostic::new(code, span, message);
        if !help.is_empty() {
            diagnostic = diagnostic.with_help(help);
        }
        self.reports.push(Report {
            source: self.source.clone(),
            diagnostic,
        });
    }

    fn done(&mut self) -> Result<(), CommandError> {
        if self.reports.is_empty() {
            return Ok(());
        }
        let place = |report: &Report| report.diagnostic.span.start;
        self.reports.sort_by_key(place);
        let texts = self.reports.iter().map(|one| one.render(Palette::PLAIN));
        let texts: String = texts.collect();
        let words = format!("the test vectors are wrong\n{}", texts.trim_end());
        Err(CommandError::Usage(words))
    }

    /// Tells the keys of a table that mean nothing.
    fn keys(&mut self, table: &DeTable<'_>, known: &[&str], of: &str) {
        for (key, _) in table.iter() {
            let name: &str = key.get_ref();
            if known.contains(&name) {
                continue;
            }
            let help = match did_you_mean(name, known.iter().copied()) {
                Some(near) => format!("Did you mean `{near}`?"),
                None => format!("There are {}.", known.join(", ")),
            };
            let message = format!("unknown key `{name}`{of}");
            self.wrong(Code::UnknownKey, key.span(), message, &help);
        }
    }

    fn cases(&mut self, values: Vec<toml::Value>, places: &DeArray<'_>) -> Vec<Case> {
        let pairs = values.into_iter().zip(places.iter());
        pairs
            .filter_map(|(value, place)| match (value, place.get_ref()) {
                (toml::Value::Table(case), DeValue::Table(places)) => {
                    self.case(case, places, place.span())
                }
                _ => {
                    self.wrong(Code::WrongType, place.span(), "a case is a table", "");
                    None
                }
            })
            .collect()
    }

    fn case(
        &mut self,
        mut case: toml::Table,
        places: &DeTable<'_>,
        whole: std::ops::Range<usize>,
    ) -> Option<Case> {
        let before = self.reports.len();
        let known = [&["name", "answers"], &INPUTS[..], &OUTCOMES[..]].concat();
        self.keys(places, &known, " of a case");
        let name = self.text(&mut case, places, "name");
        if name.is_none() && !places.contains_key("name") {
            let message = "a case has no `name`";
            self.wrong(Code::MissingKey, whole.clone(), message, "");
        }
        let inputs = INPUTS.map(|key| self.text(&mut case, places, key));
        let given = INPUTS.iter().filter(|key| places.contains_key(**key));
        if given.count() != 1 {
            let message = "a case has one of `event`, `chunk`, `subject` and `finding`";
            self.wrong(Code::MissingKey, whole.clone(), message, "");
        }
        let answers = self.answers(case.remove("answers"), places);
        if places.contains_key("answers") && !places.contains_key("subject") {
            let message = "only a case about a `subject` has `answers`";
            self.wrong(
                Code::UnknownKey,
                span_of(places.get("answers")),
                message,
                "",
            );
        }
        for key in ["event", "subject", "finding"] {
            let text = inputs[INPUTS.iter().position(|one| *one == key)?].as_deref();
            text.and_then(|text| self.json(text, key, places.get(key)));
        }
        let wanted = self.wanted(case, places);
        if !OUTCOMES.iter().any(|key| places.contains_key(*key)) {
            let help = format!("There are {}.", OUTCOMES.join(", "));
            let message = "nothing is wanted of a case";
            self.wrong(Code::MissingKey, whole.clone(), message, &help);
        }
        if self.reports.len() > before {
            return None;
        }
        let input = match inputs {
            [Some(event), ..] => Input::Event(event),
            [_, Some(chunk), ..] => Input::Chunk(chunk),
            [_, _, Some(subject), _] => Input::Subject(subject, answers),
            [_, _, _, finding] => Input::Finding(finding?),
        };
        let before = self.source.text.get(..whole.start).unwrap_or_default();
        Some(Case {
            name: name?,
            line: 1 + before.matches('\n').count(),
            input,
            wanted,
        })
    }

    /// A text of a case.
    fn text(&mut self, case: &mut toml::Table, places: &DeTable<'_>, key: &str) -> Option<String> {
        match case.remove(key)? {
            toml::Value::String(text) => Some(text),
            _ => {
                let message = format!("`{key}` is no text");
                self.wrong(Code::WrongType, span_of(places.get(key)), message, "");
                None
            }
        }
    }

    fn json(&mut self, text: &str, what: &str, place: Place<'_, '_>) -> Option<Value> {
        match serde_json::from_str(text) {
            Ok(value) => Some(value),
            Err(fault) => {
                let message = format!("`{what}` is no JSON: {fault}");
                self.wrong(Code::EventJson, span_of(place), message, "");
                None
            }
        }
    }

    /// What should come out.
    fn wanted(&mut self, case: toml::Table, places: &DeTable<'_>) -> Vec<(String, Value)> {
        let mut all = Vec::new();
        for (key, value) in case {
            let (place, is_text) = (places.get(key.as_str()), value.is_str());
            let Ok(mut value) = serde_json::to_value(value) else {
                let message = format!("`{key}` cannot be compared");
                self.wrong(Code::WrongType, span_of(place), message, "");
                continue;
            };
            match key.as_str() {
                "plan" => {
                    if let Some(text) = value.as_str() {
                        value = self.json(text, &key, place).unwrap_or_default();
                    }
                }
                "events" => value = self.events(value, place),
                "fault" | "nothing" if !is_text => {
                    let message = format!("`{key}` is no part of a reason");
                    let help = "It is a text that the reason contains.";
                    self.wrong(Code::WrongType, span_of(place), message, help);
                }
                _ => {}
            }
            let parts = PARTS.iter().find(|(name, _)| *name == key);
            if let (Some((_, parts)), Some(DeValue::Table(table))) =
                (parts, place.map(Spanned::get_ref))
            {
                self.keys(table, parts, &format!(" of `{key}`"));
            }
            all.push((key, value));
        }
        all
    }

    /// Events are written as JSON, or as tables.
    fn events(&mut self, value: Value, place: Place<'_, '_>) -> Value {
        let Value::Array(events) = value else {
            let message = "`events` is no list";
            self.wrong(Code::WrongType, span_of(place), message, "");
            return Value::Null;
        };
        let places = match place.map(Spanned::get_ref) {
            Some(DeValue::Array(places)) => places.iter().collect(),
            _ => Vec::new(),
        };
        let parsed = events.into_iter().enumerate().map(|(at, one)| match one {
            Value::String(text) => {
                let place = places.get(at).copied();
                self.json(&text, "events", place).unwrap_or_default()
            }
            other => other,
        });
        parsed.collect()
    }

    /// What services answer, each as JSON text by the name of the operation.
    fn answers(
        &mut self,
        given: Option<toml::Value>,
        places: &DeTable<'_>,
    ) -> Vec<(String, Value)> {
        let Some(given) = given else {
            return Vec::new();
        };
        let place = places.get("answers");
        let mut answers = Vec::new();
        let wrong = "`answers` is a table of JSON texts by the names of operations";
        let toml::Value::Table(given) = given else {
            self.wrong(Code::WrongType, span_of(place), wrong, "");
            return answers;
        };
        for (operation, text) in given {
            let place = match place.map(Spanned::get_ref) {
                Some(DeValue::Table(table)) => table.get(operation.as_str()),
                _ => place,
            };
            let Some(text) = text.as_str() else {
                self.wrong(Code::WrongType, span_of(place), wrong, "");
                continue;
            };
            if let Some(answer) = self.json(text, &operation, place) {
                answers.push((operation, answer));
            }
        }
        answers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> String {
        match read_text("tests/basics.toml".to_owned(), text.to_owned()) {
            Ok((_, cases)) => panic!("it is read: {cases:?}"),
            Err(fault) => fault.to_string(),
        }
    }

    #[test]
    fn what_is_wrong_is_told_at_its_place_and_all_of_it() {
        let check = |text: &str, expected: &[&str]| {
            let told = told(text);
            for part in expected {
                assert!(told.contains(part), "no `{part}` in\n{told}");
            }
        };
        let case = "[[case]]\nname = \"a\"\nevent = '{}'\n";
        check("[[case]]\nname = ", &["tests/basics.toml:2:"]);
        check("[config]\n", &["tests/basics.toml:1:1", "no `[[case]]`"]);
        check(
            &format!("[confg]\n{case}hit = {{ severty = \"high\" }}\n"),
            &[
                "tests/basics.toml:1:2",
                "unknown key `confg`",
                "Did you mean `config`?",
                "tests/basics.toml:5:9",
                "unknown key `severty` of `hit`",
                "Did you mean `severity`?",
            ],
        );
        check(
            &format!("{case}hits = true\n"),
            &["tests/basics.toml:4:1", "Did you mean `hit`?"],
        );
        check(case, &["tests/basics.toml:1:1", "nothing is wanted"]);
        check(
            "[[case]]\nevent = '{'\nchunk = ''\nfault = true\n",
            &[
                "a case has no `name`",
                "one of `event`",
                "tests/basics.toml:2:9",
                "`event` is no JSON",
                "tests/basics.toml:4:9",
                "`fault` is no part of a reason",
            ],
        );
        check(
            "[tables.t]\ncolumns = []\nrows = {}\nrwos = {}\n[[case]]\nname = \"a\"\nchunk = ''\nevents = ['{}', '{']\n",
            &[
                "tests/basics.toml:4:1",
                "unknown key `rwos` of the table `t`",
                "tests/basics.toml:8:17",
            ],
        );
    }

    #[test]
    fn cases_know_their_lines() {
        let text = "[config]\n\n[[case]]\nname = \"a\"\nevent = '{}'\nhit = false\n\n[[case]]\nname = \"b\"\nchunk = 'x'\nbad = 1\n";
        let read = read_text("x".to_owned(), text.to_owned());
        let (_, cases) = read.expect("nothing is wrong with it");
        let lines: Vec<usize> = cases.iter().map(|case| case.line).collect();
        assert_eq!(lines, [3, 8]);
    }
}
