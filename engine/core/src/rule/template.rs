//! Titles: text with selectors in braces.
//!
//! `Trail {event.requestParameters.name} stopped`; `{{` and `}}` are braces. A placeholder ends at the brace
//! that closes it, not at the first one: braces of maps and braces inside CEL strings are counted out, so
//! `{ {"a": "}"}["a"] }` is one placeholder. Only splits; parsing the selectors is the reader's.

use super::model::Selector;
use super::place::Place;
use crate::diagnostic::{Code, Diagnostic, Span};

/// A text computed from an event.
#[derive(Clone, Debug, PartialEq)]
pub struct Template {
    /// As written.
    pub text: String,
    /// Where.
    pub place: Place,
    /// What to put together.
    pub parts: Vec<Part>,
}

impl Template {
    /// The selectors in it, in order.
    pub fn selectors(&self) -> impl Iterator<Item = &Selector> {
        self.parts.iter().filter_map(|part| match part {
            Part::Text(_) => None,
            Part::Value(selector) => Some(selector),
        })
    }
}

/// One part of a template.
#[derive(Clone, Debug, PartialEq)]
pub enum Part {
    /// Text as it is, braces already single.
    Text(String),
    /// Text of the value of a selector; `?` when it errs.
    Value(Selector),
}

/// One part before its selector is parsed; the span leaves the braces out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    Text(String),
    Value(Span),
}

/// Splits a template; every mistake in it is reported.
pub(super) fn split(text: &str) -> (Vec<Piece>, Vec<Diagnostic>) {
    let bytes = text.as_bytes();
    let (mut pieces, mut diagnostics) = (Vec::new(), Vec::new());
    let mut plain = String::new();
    let (mut at, mut from) = (0, 0);
    while at < bytes.len() {
        let doubled = bytes.get(at + 1) == Some(&bytes[at]);
        match bytes[at] {
            b'{' | b'}' if doubled => {
                plain.push_str(&text[from..=at]);
                at += 2;
                from = at;
            }
            b'{' => {
                plain.push_str(&text[from..at]);
                if !plain.is_empty() {
                    pieces.push(Piece::Text(std::mem::take(&mut plain)));
                }
                let Some(end) = closing_brace(bytes, at + 1) else {
                    diagnostics.push(unclosed(at));
                    return (pieces, diagnostics);
                };
                if text[at + 1..end].trim().is_empty() {
                    diagnostics.push(empty(at, end + 1));
                } else {
                    pieces.push(Piece::Value(Span::new(at + 1, end)));
                }
                at = end + 1;
                from = at;
            }
            b'}' => {
                diagnostics.push(lone(at));
                at += 1;
            }
            _ => at += 1,
        }
    }
    plain.push_str(&text[from..]);
    if !plain.is_empty() {
        pieces.push(Piece::Text(plain));
    }
    (pieces, diagnostics)
}

/// The brace that ends the placeholder whose CEL starts at `from`.
fn closing_brace(bytes: &[u8], from: usize) -> Option<usize> {
    let (mut at, mut depth) = (from, 0usize);
    while at < bytes.len() {
        match bytes[at] {
            b'{' => depth += 1,
            b'}' if depth == 0 => return Some(at),
            b'}' => depth -= 1,
            b'"' | b'\'' => {
                at = string_end(bytes, at)?;
                continue;
            }
            b'/' if bytes.get(at + 1) == Some(&b'/') => {
                at += bytes[at..].iter().position(|byte| *byte == b'\n')?;
            }
            _ => {}
        }
        at += 1;
    }
    None
}

/// One past the end of the CEL string that opens at `open`; a prefix with `r` makes it raw.
fn string_end(bytes: &[u8], open: usize) -> Option<usize> {
    let quote = bytes[open];
    let long = bytes[open..].starts_with(&[quote; 3]);
    let raw = is_raw(bytes, open);
    let width = if long { 3 } else { 1 };
    let mut at = open + width;
    while at < bytes.len() {
        if bytes[at] == b'\\' && !raw {
            at += 2;
        } else if bytes[at..].starts_with(&[quote; 3][..width]) {
            return Some(at + width);
        } else {
            at += 1;
        }
    }
    None
}

fn is_raw(bytes: &[u8], open: usize) -> bool {
    let word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    let length = bytes[..open]
        .iter()
        .rev()
        .take(3)
        .take_while(|byte| word(byte))
        .count();
    let prefix = &bytes[open - length..open];
    matches!(prefix.to_ascii_lowercase().as_slice(), b"r" | b"rb" | b"br")
}

fn unclosed(at: usize) -> Diagnostic {
    Diagnostic::new(
        Code::TemplateSyntax,
        Span::new(at, at + 1),
        "a placeholder is never closed",
    )
    .with_caret("no `}` belongs to this")
    .with_help("Write `{{` for a brace that is text.")
}

fn empty(start: usize, end: usize) -> Diagnostic {
    Diagnostic::new(
        Code::TemplateSyntax,
        Span::new(start, end),
        "a placeholder is empty",
    )
    .with_caret("expected CEL between the braces")
    .with_help("Write `{{}}` for braces that are text.")
}

fn lone(at: usize) -> Diagnostic {
    Diagnostic::new(
        Code::TemplateSyntax,
        Span::new(at, at + 1),
        "a `}` closes nothing",
    )
    .with_caret("no placeholder is open here")
    .with_help("Write `}}` for a brace that is text.")
}

#[cfg(test)]
mod tests {
    use super::{Piece, split};

    fn check(text: &str, expected: &[&str]) {
        let (pieces, diagnostics) = split(text);
        let pieces = pieces.into_iter().map(|piece| match piece {
            Piece::Text(plain) => plain,
            Piece::Value(span) => format!("<{}>", span.slice(text)),
        });
        let mistakes = diagnostics
            .into_iter()
            .map(|diagnostic| format!("{}: {}", diagnostic.span.start, diagnostic.message));
        assert_eq!(
            pieces.chain(mistakes).collect::<Vec<_>>(),
            expected,
            "{text}"
        );
    }

    #[test]
    fn templates_split_into_text_and_selectors() {
        check("", &[]);
        check("plain", &["plain"]);
        check("a {event.b} c", &["a ", "<event.b>", " c"]);
        check("{a}{b}", &["<a>", "<b>"]);
        check("{{a}} é {b}", &["{a} é ", "<b>"]);
        check("{ {\"a\": 1}[\"a\"] }", &["< {\"a\": 1}[\"a\"] >"]);
        check(r#"{"}"} {'{'}"#, &[r#"<"}">"#, " ", "<'{'>"]);
        check(r#"{"\"}"}"#, &[r#"<"\"}">"#]);
        check(r#"{r"\"}x"#, &[r#"<r"\">"#, "x"]);
        check(r#"{"""a"}""" + x}"#, &[r#"<"""a"}""" + x>"#]);
        check("{a // }\n}", &["<a // }\n>"]);
        check("{a}://{b}", &["<a>", "://", "<b>"]);
    }

    #[test]
    fn mistakes_in_templates_are_placed() {
        check("a {b", &["a ", "2: a placeholder is never closed"]);
        check("a } b", &["a } b", "2: a `}` closes nothing"]);
        check("{ }x", &["x", "0: a placeholder is empty"]);
        check("{\"", &["0: a placeholder is never closed"]);
        check("{'\\", &["0: a placeholder is never closed"]);
        check("{{{a}}}", &["{", "<a>", "}"]);
        check("{", &["0: a placeholder is never closed"]);
    }
}
