//! The test vectors of a plugin: files of cases, each with what goes in and what should come out.
//!
//! A file may say what its cases run with: `[config]`, `[limits]` and `[grant]`, as in an operator's file, and
//! `[tables.NAME]` that its cases look things up in. Without `[grant]`, what the manifest asks for is granted, but for
//! requests to the outside.

use crate::command::CommandError;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

/// A file of cases.
pub(super) struct Vectors {
    pub(super) path: PathBuf,
    /// `grant`, `config`, `limits` and `tables`.
    pub(super) given: toml::Table,
    pub(super) cases: Vec<Case>,
}

/// One case.
pub(super) struct Case {
    pub(super) name: String,
    pub(super) input: Input,
    pub(super) wanted: Vec<(String, Value)>,
}

/// What goes in.
pub(super) enum Input {
    Event(String),
    Chunk(String),
    /// What a planner is asked about, and what services answer it, by the names of operations.
    Subject(String, Vec<(String, Value)>),
}

const OUTCOMES: [&str; 9] = [
    "columns", "hit", "score", "decision", "events", "bad", "plan", "nothing", "fault",
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
    paths.sort();
    paths.iter().map(|path| read_file(path)).collect()
}

fn read_file(path: &Path) -> Result<Vectors, CommandError> {
    let text = fs::read_to_string(path).map_err(|source| CommandError::Read {
        path: path.display().to_string(),
        source,
    })?;
    let wrong = |what: String| CommandError::Usage(format!("{}: {what}", path.display()));
    let mut table: toml::Table = text
        .parse()
        .map_err(|error: toml::de::Error| wrong(error.to_string().trim_end().to_owned()))?;
    let cases = match table.remove("case") {
        Some(toml::Value::Array(cases)) => cases,
        _ => return Err(wrong("it has no `[[case]]`".to_owned())),
    };
    let unknown = table
        .keys()
        .find(|key| !["grant", "config", "limits", "tables"].contains(&key.as_str()));
    if let Some(key) = unknown {
        let words =
            format!("unknown key `{key}`; there are grant, config, limits, tables and case");
        return Err(wrong(words));
    }
    let mut read = Vec::with_capacity(cases.len());
    for (number, case) in (1..).zip(cases) {
        read.push(read_case(case).map_err(|what| wrong(format!("case {number}: {what}")))?);
    }
    Ok(Vectors {
        path: path.to_owned(),
        given: table,
        cases: read,
    })
}

fn read_case(case: toml::Value) -> Result<Case, String> {
    let toml::Value::Table(mut case) = case else {
        return Err("it is no table".to_owned());
    };
    let mut text = |key: &str| match case.remove(key) {
        None => Ok(None),
        Some(toml::Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(format!("`{key}` is no text")),
    };
    let name = text("name")?.ok_or("it has no `name`")?;
    let is_json = |name: &str, text: &str| {
        let value = serde_json::from_str::<Value>(text);
        value.map_err(|fault| format!("`{name}`: {fault}"))
    };
    let input = match (text("event")?, text("chunk")?, text("subject")?) {
        (Some(event), None, None) => {
            is_json("event", &event)?;
            Input::Event(event)
        }
        (None, Some(chunk), None) => Input::Chunk(chunk),
        (None, None, Some(subject)) => {
            is_json("subject", &subject)?;
            Input::Subject(subject, answers(case.remove("answers"))?)
        }
        _ => return Err("it has one of `event`, `chunk` and `subject`".to_owned()),
    };
    let mut wanted = Vec::new();
    for (key, value) in case {
        if !OUTCOMES.contains(&key.as_str()) {
            return Err(format!(
                "unknown key `{key}`; there are {}",
                OUTCOMES.join(", ")
            ));
        }
        let value = serde_json::to_value(value).map_err(|fault| fault.to_string())?;
        wanted.push((key, value));
    }
    if let Some((_, plan)) = wanted.iter_mut().find(|(key, _)| key == "plan")
        && let Some(text) = plan.as_str()
    {
        *plan = is_json("plan", text)?;
    }
    match wanted.is_empty() {
        true => Err(format!(
            "nothing is wanted; there are {}",
            OUTCOMES.join(", ")
        )),
        false => Ok(Case {
            name,
            input,
            wanted,
        }),
    }
}

/// What services answer, each as JSON text by the name of the operation.
fn answers(given: Option<toml::Value>) -> Result<Vec<(String, Value)>, String> {
    let Some(given) = given else {
        return Ok(Vec::new());
    };
    let wrong = "`answers` is a table of JSON texts by the names of operations";
    let toml::Value::Table(given) = given else {
        return Err(wrong.to_owned());
    };
    let mut answers = Vec::with_capacity(given.len());
    for (operation, text) in given {
        let text = text.as_str().ok_or(wrong)?;
        let answer = serde_json::from_str(text);
        let answer = answer.map_err(|fault| format!("the answer of {operation}: {fault}"))?;
        answers.push((operation, answer));
    }
    Ok(answers)
}
