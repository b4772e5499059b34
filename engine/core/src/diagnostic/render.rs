//! Diagnostics as text with carets, and as JSON.
//!
//! Never decides anything: the order, the level and the words are the diagnostic's own.

use super::{Diagnostic, Level, Printable, Source, Span, is_printable, printable_lines};
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

/// The line `line` (from 1) of `text`, as `in_place` shows it.
fn line_of(text: &str, line: usize) -> String {
    in_place(text.lines().nth(line - 1).unwrap_or(""))
}

/// One character for each of `text`, so that carets line up: the notation of `Printable` would move what follows.
fn in_place(text: &str) -> String {
    let show = |c: char| match c {
        '\n' => c,
        '\t' => ' ',
        c if is_printable(c) => c,
        _ => char::REPLACEMENT_CHARACTER,
    };
    text.chars().map(show).collect()
}

/// Longest line that is shown whole, in characters; of a longer one this much around the mistake.
const WIDTH_MAX: usize = 240;
/// Of a longer line, this much before the mistake.
const WIDTH_BEFORE: usize = 80;

/// The part of `line` around `column` (from 0), where in it the column is, and how much follows it.
fn window(line: &str, column: usize) -> (String, usize, usize) {
    let count = line.chars().count();
    let from = match count > WIDTH_MAX {
        true => column.saturating_sub(WIDTH_BEFORE).min(count - WIDTH_MAX),
        false => 0,
    };
    let to = (from + WIDTH_MAX).min(count);
    let mut part: String = line.chars().skip(from).take(to - from).collect();
    let mut at = column - from;
    if from > 0 {
        part.insert(0, '…');
        at += 1;
    }
    if to < count {
        part.push('…');
    }
    (part, at, to.saturating_sub(column).max(1))
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
        printable_lines(&diagnostic.message)
    );
    let labels = diagnostic
        .labels
        .iter()
        .map(|label| place(&source.text, label.span.start).line);
    let widest = labels.chain([at.line]).max().unwrap_or(1).to_string().len();
    let _ = writeln!(
        out,
        "{:widest$}{quiet}-->{reset} {}:{}:{}",
        "",
        Printable(&source.name),
        at.line,
        at.column
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
        let help = printable_lines(help);
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
            let fixed = format!("{before}{}{after}", in_place(&suggestion.replacement));
            let (fixed, ..) = window(&fixed, at.column - 1);
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
    let (line, indent, room) = window(&line, start.column - 1);
    let _ = writeln!(out, "{quiet}{number:>widest$} |{reset} {line}");
    let marks: String = std::iter::repeat_n(mark, width.min(room)).collect();
    let message = printable_lines(message);
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

#[cfg(test)]
mod tests {
    use super::{Palette, in_place, render_text, window};
    use crate::diagnostic::{Code, Diagnostic, Source, Span, is_printable};

    #[test]
    fn nothing_that_a_terminal_acts_on_is_shown() {
        assert_eq!(
            in_place("a\tb\u{1b}[31m\u{9b}\u{202e}\u{200b}é"),
            "a b\u{fffd}[31m\u{fffd}\u{fffd}\u{fffd}é"
        );
        let span = Span::new(0, 3);
        let hostile = "\u{1b}[2J\u{202e}\u{200b}\u{9b}";
        let diagnostic = Diagnostic::new(Code::TomlSyntax, span, hostile)
            .with_caret(hostile)
            .with_help(hostile)
            .with_label(span, hostile)
            .with_suggestion(span, hostile);
        let (name, text) = (hostile.to_owned(), hostile.to_owned());
        let rendered = render_text(&diagnostic, &Source { name, text }, Palette::PLAIN);
        let all_shown = rendered.chars().all(|one| one == '\n' || is_printable(one));
        assert!(all_shown, "{rendered:?}");
    }

    #[test]
    fn of_a_long_line_the_part_around_the_mistake_is_shown() {
        let line: String = ('a'..='z').cycle().take(1000).collect();
        for column in [0, 79, 80, 81, 500, 999] {
            let (part, at, room) = window(&line, column);
            assert_eq!(part.chars().nth(at), line.chars().nth(column), "{column}");
            assert!(part.chars().count() <= 242 && at + room <= 241, "{column}");
        }
        assert_eq!(window(&line, 1000).1, 241);
        assert_eq!(window("short", 3), ("short".to_owned(), 3, 2));
        assert_eq!(window("short", 5), ("short".to_owned(), 5, 1));
    }

    #[test]
    fn a_mistake_far_to_the_right_is_told_in_a_few_hundred_characters() {
        let text = "[".repeat(200_000);
        let span = Span::new(100_000, text.len());
        let diagnostic = Diagnostic::new(Code::TomlSyntax, span, "too deep");
        let name = "rule.toml".to_owned();
        let source = Source { name, text };
        let rendered = render_text(&diagnostic, &source, Palette::PLAIN);
        assert!(rendered.len() < 1_000, "{}", rendered.len());
    }
}
