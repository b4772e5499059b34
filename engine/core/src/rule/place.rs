//! Where things stand in files, also when their text was written with TOML escapes.
//!
//! Relies on nothing but text. A selector is read as its own text, so the diagnostics of the selector floor
//! count from its first byte; `OffsetMap` leads them back to the bytes of the file. Rejected: searching the
//! file for the selector's text, which points at the wrong one of two equal selectors and at nothing when a
//! string has escapes.

use crate::diagnostic::{Diagnostic, Palette, Source, Span, render_json, render_text};
use std::fmt;
use std::sync::Arc;

/// A range of bytes in one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub source: Arc<Source>,
    /// The bytes.
    pub span: Span,
}

impl Place {
    /// Line and column as people count: both from 1, the column in characters.
    pub fn line_column(&self) -> (usize, usize) {
        let text = &self.source.text;
        let mut end = (self.span.start as usize).min(text.len());
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        let before = &text[..end];
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        (
            before.matches('\n').count() + 1,
            before[line_start..].chars().count() + 1,
        )
    }
}

/// `file:line:column`.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (line, column) = self.line_column();
        write!(f, "{}:{line}:{column}", self.source.name)
    }
}

/// A diagnostic together with the file that its places point into.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The file.
    pub source: Arc<Source>,
    /// What is wrong in it.
    pub diagnostic: Diagnostic,
}

impl Report {
    /// The report as a person reads it: heading, line, caret, help.
    pub fn render(&self, palette: Palette) -> String {
        render_text(&self.diagnostic, &self.source, palette)
    }

    /// The report as one JSON object.
    pub fn to_json(&self) -> serde_json::Value {
        render_json(&self.diagnostic, &self.source)
    }
}

/// Leads from the bytes of a decoded string to the bytes of the file it was written in.
///
/// A sorted list of (byte of the text, byte of the file); between two entries both advance together. An
/// escape has an entry before and after it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OffsetMap {
    steps: Vec<(u32, u32)>,
    /// Where everything leads, for a text that stands in no file.
    fixed: Option<Span>,
}

impl OffsetMap {
    /// A text that was made of what stands at one place: all its parts lead there.
    pub fn fixed(span: Span) -> Self {
        Self {
            steps: Vec::new(),
            fixed: Some(span),
        }
    }

    /// A text that stands in its file just as it is, from byte `start` on.
    pub fn plain(start: u32) -> Self {
        Self {
            steps: vec![(0, start)],
            fixed: None,
        }
    }

    /// The map of a TOML string: `raw` is its text in the file with the quotes, starting at byte `start`,
    /// and `text` is what it means.
    pub fn of_toml_string(raw: &str, start: u32, text: &str) -> Self {
        let (quote_length, escapes) = match raw {
            _ if raw.starts_with("\"\"\"") => (3, true),
            _ if raw.starts_with("'''") => (3, false),
            _ if raw.starts_with('"') => (1, true),
            _ if raw.starts_with('\'') => (1, false),
            _ => (0, false),
        };
        let mut at = quote_length;
        if quote_length == 3 {
            at += newline_length(&raw[at..]);
        }
        let mut steps = vec![(0, start + at as u32)];
        if escapes {
            follow_escapes(raw, at, start, text, &mut steps);
        }
        Self { steps, fixed: None }
    }

    /// The part of the map that belongs to the text from byte `offset` on.
    pub fn from_offset(&self, offset: u32) -> Self {
        let mut steps = vec![(0, self.start(offset))];
        let later = self.steps.iter().filter(|(text, _)| *text > offset);
        steps.extend(later.map(|(text, file)| (text - offset, *file)));
        Self {
            steps,
            fixed: self.fixed,
        }
    }

    /// The bytes of the file that hold this part of the text.
    pub fn span(&self, span: Span) -> Span {
        if let Some(fixed) = self.fixed {
            return fixed;
        }
        let start = self.start(span.start);
        let end = if span.end > span.start {
            self.end(span.end)
        } else {
            start
        };
        Span {
            start,
            end: end.max(start),
        }
    }

    fn start(&self, offset: u32) -> u32 {
        let next = self.steps.partition_point(|(text, _)| *text <= offset);
        self.advance(next, offset)
    }

    fn end(&self, offset: u32) -> u32 {
        let next = self.steps.partition_point(|(text, _)| *text < offset);
        match self.steps.get(next) {
            Some((text, file)) if *text == offset => *file,
            _ => self.advance(next, offset),
        }
    }

    fn advance(&self, next: usize, offset: u32) -> u32 {
        match next.checked_sub(1).and_then(|last| self.steps.get(last)) {
            Some((text, file)) => file.saturating_add(offset - text),
            None => offset,
        }
    }
}

fn newline_length(text: &str) -> usize {
    match text.as_bytes() {
        [b'\r', b'\n', ..] => 2,
        [b'\n', ..] => 1,
        _ => 0,
    }
}

/// Walks `raw` and `text` side by side and notes every place where they stop advancing together.
fn follow_escapes(raw: &str, from: usize, start: u32, text: &str, steps: &mut Vec<(u32, u32)>) {
    let bytes = raw.as_bytes();
    let (mut at, mut done) = (from, 0usize);
    while at < bytes.len() && done <= text.len() {
        if bytes[at] != b'\\' {
            let folded = bytes[at] == b'\r' && text.as_bytes().get(done) != Some(&b'\r');
            at += 1;
            if folded {
                steps.push((done as u32, start + at as u32));
            } else {
                done += 1;
            }
            continue;
        }
        steps.push((done as u32, start + at as u32));
        let escaped = match bytes.get(at + 1) {
            Some(b'x') => 4,
            Some(b'u') => 6,
            Some(b'U') => 10,
            Some(b'\n' | b'\r' | b' ' | b'\t') => {
                let rest = bytes[at + 1..].iter();
                let blank = rest.take_while(|byte| byte.is_ascii_whitespace()).count();
                at += 1 + blank;
                steps.push((done as u32, start + at as u32));
                continue;
            }
            _ => 2,
        };
        at += escaped;
        let rest = text.get(done..).and_then(|rest| rest.chars().next());
        done += rest.map_or(0, char::len_utf8);
        steps.push((done as u32, start + at as u32));
    }
}

#[cfg(test)]
mod tests {
    use super::{OffsetMap, Place};
    use crate::diagnostic::{Source, Span};
    use std::sync::Arc;

    /// Reads `key = RAW`, looks `needle` up in the decoded text, and wants the bytes it came from.
    fn check(raw: &str, needle: &str, expected: &str) {
        let file = format!("key = {raw}\n");
        let table: toml::Table = toml::from_str(&file).expect("the sample is TOML");
        let text = table["key"].as_str().expect("the sample is a string");
        let map = OffsetMap::of_toml_string(raw, 6, text);
        let at = text.find(needle).expect("the needle is in the text");
        let span = map.span(Span::new(at, at + needle.len()));
        assert_eq!(span.slice(&file), expected, "{raw}");
    }

    #[test]
    fn places_in_strings_lead_back_to_the_file() {
        check("'event.name'", "name", "name");
        check("'''\na\n && b'''", "b", "b");
        check("'''\r\na\r\n && b'''", "b", "b");
        check("'''a'''", "a", "a");
        check(r#""a == \"x\" && b""#, "b", "b");
        check(r#""a == \"x\" && b""#, "\"x\"", r#"\"x\""#);
        check(r#""\u00e9 b""#, "é", r"\u00e9");
        check(r#""\u00e9é b""#, "b", "b");
        check(r#""\U0001F600 \x41b""#, "Ab", r"\x41b");
        check("\"\"\"\na \\\n    b\"\"\"", "b", "b");
        check("\"\"\"\na \\\n    b\"\"\"", "a ", "a ");
        check("\"\"\"a\\\\b\"\"\"", "\\b", "\\\\b");
        check("\"\"\"x\"\"\"\"\"", "x\"\"", "x\"\"");
    }

    #[test]
    fn a_part_of_a_text_keeps_its_place() {
        let raw = r#""a\tb\tcd""#;
        let map = OffsetMap::of_toml_string(raw, 0, "a\tb\tcd").from_offset(2);
        assert_eq!(map.span(Span::new(0, 1)).slice(raw), "b");
        assert_eq!(map.span(Span::new(1, 2)).slice(raw), r"\t");
        assert_eq!(map.span(Span::new(2, 4)).slice(raw), "cd");
        assert_eq!(map.span(Span::new(90, 95)).slice(raw), "");
    }

    #[test]
    fn places_read_as_people_count() {
        let source = Arc::new(Source {
            name: "a.toml".into(),
            text: "é\néx".into(),
        });
        let place = Place {
            source,
            span: Span::new(5, 6),
        };
        assert_eq!(place.to_string(), "a.toml:2:2");
    }
}
