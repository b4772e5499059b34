//! Diagnostics as text with carets, and as JSON.
//!
//! Never decides anything: the order, the level and the words are the diagnostic's own.

use super::{Diagnostic, Level, Source, Span};
use std::fmt::Write as _;

/// The escape sequences used, all empty when colour is off.
#[derive(Clone, Copy, Debug)]
pub struct Palette {
    /// Errors and their carets.
    pub error: &'static str,
    /// Warnings and their carets.
    pub warning: &'static str,
    /// Notes, help and gutters.
    pub quiet: &'static str,
    /// Headings.
    pub bold: &'static str,
    /// Ends any of them.
    pub reset: &'static str,
}

impl Palette {
    /// No colour at all.
    pub const PLAIN: Self = Self {
        error: "",
        warning: "",
        quiet: "",
        bold: "",
        reset: "",
    };
    /// The sixteen basic ANSI colours, which every terminal theme defines.
    pub const ANSI: Self = Self {
        error: "\x1b[1;31m",
        warning: "\x1b[1;33m",
        quiet: "\x1b[34m",
        bold: "\x1b[1m",
        reset: "\x1b[0m",
    };

    fn of(&self, level: Level) -> &'static str {
        match level {
            Level::Error => self.error,
            Level::Warning => self.warning,
            Level::Note => self.quiet,
        }
    }
}

/// A place as people count: both from 1, columns in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    line: usize,
    column: usize,
}

fn place(text: &str, offset: u32) -> Place {
    let mut offset = (offset as usize).min(text.len());
    while !text.is_char_boundary(offset) {
        offset -= 1;
    }
    let before = &text[..offset];
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    Place {
        line: before.matches('\n').count() + 1,
        column: before[line_start..].chars().count() + 1,
    }
}

/// The line `line` (from 1) of `text`, with tabs shown as single spaces so that carets line up.
fn line_of(text: &str, line: usize) -> String {
    text.lines().nth(line - 1).unwrap_or("").replace('\t', " ")
}

/// `file:line:column` heading, the line with its caret, labels, help; one blank line at the end.
pub fn render_text(diagnostic: &Diagnostic, source: &Source, palette: Palette) -> String {
    let mut out = String::new();
    let Palette {
        bold, quiet, reset, ..
    } = palette;
    let colour = palette.of(diagnostic.level);
    let at = place(&source.text, diagnostic.span.start);
    let _ = writeln!(
        out,
        "{colour}{}[{}]{reset}{bold}: {}{reset}",
        diagnostic.level,
        diagnostic.code.as_str(),
        diagnostic.message
    );
    let labels = diagnostic
        .labels
        .iter()
        .map(|label| place(&source.text, label.span.start).line);
    let widest = labels.chain([at.line]).max().unwrap_or(1).to_string().len();
    let _ = writeln!(
        out,
        "{:widest$}{quiet}-->{reset} {}:{}:{}",
        "", source.name, at.line, at.column
    );
    let _ = writeln!(out, "{:widest$} {quiet}|{reset}", "");
    snippet(
        &mut out,
        source,
        diagnostic.span,
        (&diagnostic.caret, '^'),
        (colour, palette),
        widest,
    );
    for label in &diagnostic.labels {
        snippet(
            &mut out,
            source,
            label.span,
            (&label.message, '-'),
            (quiet, palette),
            widest,
        );
    }
    for help in &diagnostic.help {
        let mut lines = help.lines();
        let first = lines.next().unwrap_or("");
        let _ = writeln!(
            out,
            "{:widest$} {quiet}={reset} {bold}help{reset}: {first}",
            ""
        );
        for line in lines {
            let _ = writeln!(out, "{:widest$}         {line}", "");
        }
    }
    if let Some(suggestion) = &diagnostic.suggestion {
        let at = place(&source.text, suggestion.span.start);
        let end = place(&source.text, suggestion.span.end);
        if at.line == end.line && !suggestion.replacement.contains('\n') {
            let line = line_of(&source.text, at.line);
            let before: String = line.chars().take(at.column - 1).collect();
            let after: String = line.chars().skip(end.column - 1).collect();
            let fixed = format!("{before}{}{after}", suggestion.replacement);
            let _ = writeln!(
                out,
                "{:widest$} {quiet}={reset} {bold}try{reset}: {}",
                "",
                fixed.trim()
            );
        }
    }
    out.push('\n');
    out
}

fn snippet(
    out: &mut String,
    source: &Source,
    span: Span,
    (message, mark): (&str, char),
    (colour, palette): (&str, Palette),
    widest: usize,
) {
    let Palette { quiet, reset, .. } = palette;
    let start = place(&source.text, span.start);
    let end = place(&source.text, span.end);
    let line = line_of(&source.text, start.line);
    let width = if end.line == start.line {
        end.column.saturating_sub(start.column).max(1)
    } else {
        line.chars().count().saturating_sub(start.column - 1).max(1)
    };
    let number = start.line;
    let _ = writeln!(out, "{quiet}{number:>widest$} |{reset} {line}");
    let marks: String = std::iter::repeat_n(mark, width).collect();
    let indent = start.column - 1;
    let space = if message.is_empty() { "" } else { " " };
    let _ = writeln!(
        out,
        "{:widest$} {quiet}|{reset} {:indent$}{colour}{marks}{space}{message}{reset}",
        "", ""
    );
}

/// One JSON object on one line, for editors and CI.
pub fn render_json(diagnostic: &Diagnostic, source: &Source) -> serde_json::Value {
    let range = |span: Span| {
        let start = place(&source.text, span.start);
        let end = place(&source.text, span.end);
        serde_json::json!({
            "line": start.line, "column": start.column,
            "end_line": end.line, "end_column": end.column,
        })
    };
    serde_json::json!({
        "code": diagnostic.code.as_str(),
        "level": diagnostic.level.to_string(),
        "message": diagnostic.message,
        "file": source.name,
        "range": range(diagnostic.span),
        "caret": diagnostic.caret,
        "labels": diagnostic.labels.iter().map(|label| serde_json::json!({
            "range": range(label.span), "message": label.message,
        })).collect::<Vec<_>>(),
        "help": diagnostic.help,
        "suggestion": diagnostic.suggestion.as_ref().map(|suggestion| serde_json::json!({
            "range": range(suggestion.span), "replacement": suggestion.replacement,
        })),
    })
}
