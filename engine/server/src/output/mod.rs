//! How findings are written: for people, as JSON lines, as SARIF, as OCSF.
//!
//! A finding is rendered by the thread that found it, before its place among the records of its file is
//! known (a line may turn out to hold many); the ordered stage puts that number in. Formats are a closed
//! enum: the compiler lists every place to update. Nothing here decides what is a finding.

pub(crate) mod jsonl;
pub(crate) mod ocsf;
pub(crate) mod pretty;
pub(crate) mod sarif;
pub(crate) mod summary;

use crate::scan::accounting::Accounting;
use crate::terminal::printable_json;
use clap::ValueEnum;
use std::io::{self, Write};
use tripline_core::diagnostic::Palette;
use tripline_core::evaluate::RuleSet;
use tripline_core::event::{Event, Json};
use tripline_core::wire::Finding;

/// Names of the formats.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum FormatName {
    /// For people.
    Pretty,
    /// One JSON object per finding and line, with the event's own bytes.
    Jsonl,
    /// SARIF 2.1.0, one document.
    Sarif,
    /// OCSF Detection Finding (class 2004), one JSON object per line.
    Ocsf,
}

/// A format, with what it needs to know of the run.
pub(crate) struct Format {
    pub(crate) name: FormatName,
    pub(crate) palette: Palette,
    /// For shapes that must have a time where an event has none; milliseconds since 1970.
    pub(crate) now_ms: i64,
}

/// A finding and the record it was found in.
pub(crate) struct Sighting<'s> {
    pub(crate) finding: &'s Finding,
    /// The rule's position in the rule set, for shapes that list the rules.
    pub(crate) rule: usize,
    /// What the rule is about.
    pub(crate) description: &'s str,
    pub(crate) event: &'s Event<'s>,
    /// The record as it stands in the file.
    pub(crate) bytes: &'s [u8],
    /// Name of the input.
    pub(crate) file: &'s str,
    /// Physical line where the record starts.
    pub(crate) physical_line: u64,
}

impl<'s> Sighting<'s> {
    /// The string at a path of the event.
    pub(crate) fn text_at(&self, path: &[&str]) -> Option<String> {
        let mut here: Json<'_> = self.event.root();
        for key in path {
            here = here.get(key)?;
        }
        here.as_text().map(|text| text.decode().into_owned())
    }

    /// Who did it, in the words that name one best.
    pub(crate) fn actor(&self) -> Option<String> {
        let paths: [&[&str]; 6] = [
            &["userIdentity", "arn"],
            &["userIdentity", "userName"],
            &["userIdentity", "invokedBy"],
            &["userIdentity", "principalId"],
            &["actor", "alternateId"],
            &["user", "username"],
        ];
        paths.iter().find_map(|path| self.text_at(path))
    }
}

/// A rendered finding: text, and where in it the record's position belongs.
#[derive(Debug, Default)]
pub(crate) struct Rendered {
    pub(crate) text: Vec<u8>,
    pub(crate) position_at: usize,
}

impl Rendered {
    /// Marks this as where the record's position belongs.
    pub(crate) fn mark_position(&mut self) {
        self.position_at = self.text.len();
    }

    /// Adds a string as JSON.
    pub(crate) fn json_text(&mut self, text: &str) {
        let from = self.text.len();
        // Writing JSON of a string into memory cannot fail.
        let _ = serde_json::to_writer(&mut self.text, text);
        if !is_plain(text) {
            let json = self.text.split_off(from);
            self.json(&String::from_utf8_lossy(&json));
        }
    }

    /// Adds JSON of ours, with what is not printable as escapes.
    pub(crate) fn json(&mut self, json: &str) {
        if is_plain(json) {
            self.push(json);
        } else {
            self.push(&printable_json(json));
        }
    }

    /// Adds text as it is.
    pub(crate) fn push(&mut self, text: &str) {
        self.text.extend_from_slice(text.as_bytes());
    }
}

/// Most text is, and need not be gone through.
fn is_plain(text: &str) -> bool {
    text.is_ascii() && !text.contains('\u{7f}')
}

impl Format {
    /// One finding.
    pub(crate) fn render(&self, sighting: &Sighting<'_>) -> Rendered {
        match self.name {
            FormatName::Pretty => pretty::finding(sighting, &self.palette),
            FormatName::Jsonl => jsonl::finding(sighting),
            FormatName::Sarif => sarif::result(sighting),
            FormatName::Ocsf => ocsf::finding(sighting, self.now_ms),
        }
    }

    /// What comes before the first finding.
    pub(crate) fn begin(&self, rules: &RuleSet, out: &mut dyn Write) -> io::Result<()> {
        match self.name {
            FormatName::Sarif => sarif::begin(rules, out),
            FormatName::Pretty | FormatName::Jsonl | FormatName::Ocsf => Ok(()),
        }
    }

    /// What comes between two findings.
    pub(crate) fn separator(&self) -> &'static str {
        match self.name {
            FormatName::Sarif => ",\n",
            FormatName::Pretty | FormatName::Jsonl | FormatName::Ocsf => "",
        }
    }

    /// What comes after the last finding.
    pub(crate) fn end(&self, accounting: &Accounting, out: &mut dyn Write) -> io::Result<()> {
        match self.name {
            FormatName::Sarif => sarif::end(accounting, out),
            FormatName::Pretty | FormatName::Jsonl | FormatName::Ocsf => Ok(()),
        }
    }
}

/// The bytes of a record, on one line: line ends in JSON outside strings are white space like any other.
pub(crate) fn on_one_line(bytes: &[u8], out: &mut Vec<u8>) {
    let from = out.len();
    out.extend_from_slice(bytes);
    if memchr::memchr2(b'\n', b'\r', bytes).is_some() {
        for byte in &mut out[from..] {
            if matches!(byte, b'\n' | b'\r') {
                *byte = b' ';
            }
        }
    }
}
