//! Values: which quotes, one line or several.

use super::super::shape::Kind;
use super::text;
use std::fmt::Write as _;
use toml_edit::{Array, InlineTable, Value};

/// Widest line before an array is broken into several.
const WIDTH_MAX: usize = 100;

const INDENT: &str = "    ";

/// A key as it must be written: bare when possible.
pub(super) fn key(name: &str) -> String {
    let bare = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    if !name.is_empty() && name.bytes().all(bare) {
        name.to_owned()
    } else {
        basic(name)
    }
}

/// A value, on a line that already has `column` characters.
pub(super) fn write(value: &Value, kind: Option<Kind>, column: usize) -> String {
    match (value, kind) {
        (Value::String(string), Some(Kind::LongText)) => long_text(string.value(), column),
        (Value::String(string), Some(Kind::Selector)) => selector(string.value()),
        (Value::String(string), _) => {
            let raw = string.display_repr();
            let long = raw.starts_with("\"\"\"") || raw.starts_with("'''");
            if long {
                raw.into_owned()
            } else {
                quoted(string.value())
            }
        }
        (Value::Integer(number), _) => number.display_repr().into_owned(),
        (Value::Float(number), _) => number.display_repr().into_owned(),
        (Value::Boolean(flag), _) => flag.display_repr().into_owned(),
        (Value::Datetime(when), _) => when.display_repr().into_owned(),
        (Value::Array(items), kind) => array(items, kind, column),
        (Value::InlineTable(table), kind) => inline_table(table, kind),
    }
}

/// A string on one line: double quotes, or single ones when those save escapes.
fn quoted(text: &str) -> String {
    let escapes = text.contains(['"', '\\']);
    let literal = !text.contains('\'') && !text.chars().any(|c| c.is_control() && c != '\t');
    if escapes && literal {
        format!("'{text}'")
    } else {
        basic(text)
    }
}

/// A string in double quotes.
fn basic(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        escape(&mut out, c);
    }
    out.push('"');
    out
}

fn escape(out: &mut String, c: char) {
    match c {
        '"' => out.push_str("\\\""),
        '\\' => out.push_str("\\\\"),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        c if c.is_control() => {
            let _ = write!(out, "\\u{:04X}", u32::from(c));
        }
        c => out.push(c),
    }
}

/// Text for people, or JSON: several lines, or a long one, stand on lines of their own.
fn long_text(text: &str, column: usize) -> String {
    let text = text::trimmed(text);
    let single = quoted(&text);
    if !text.contains('\n') && (text.is_empty() || column + single.chars().count() <= WIDTH_MAX) {
        return single;
    }
    let plain = !text
        .chars()
        .any(|c| c.is_control() && !matches!(c, '\n' | '\t'));
    let escapes = text.contains('\\') || text.contains("\"\"\"") || text.starts_with(['{', '[']);
    if escapes && plain && !text.contains("'''") {
        return format!("'''\n{text}\n'''");
    }
    let mut out = String::from("\"\"\"\n");
    for c in text.chars() {
        match c {
            '\n' | '\t' => out.push(c),
            '"' if out.ends_with("\"\"") => out.push_str("\\\""),
            '"' => out.push('"'),
            c => escape(&mut out, c),
        }
    }
    out.push_str("\n\"\"\"");
    out
}

/// CEL: several lines stand on lines of their own in a literal, where nothing needs an escape.
fn selector(text: &str) -> String {
    let text = text::selector(text);
    let plain = !text
        .chars()
        .any(|c| c.is_control() && !matches!(c, '\n' | '\t'));
    if !text.contains('\n') || text.contains("'''") || !plain {
        let single = text.trim();
        return if single.contains('\n') {
            basic(&text)
        } else {
            quoted(single)
        };
    }
    format!("'''\n{}\n'''", text.trim_end())
}

fn array(items: &Array, kind: Option<Kind>, column: usize) -> String {
    let kind = match kind {
        Some(Kind::Selectors) => Some(Kind::Selector),
        _ => None,
    };
    let commented = comments_in(items);
    let written: Vec<String> = items
        .iter()
        .map(|item| write(item, kind, INDENT.len()))
        .collect();
    let line = format!("[{}]", written.join(", "));
    if !commented && !line.contains('\n') && column + line.chars().count() <= WIDTH_MAX {
        return line;
    }
    broken_array(items, &written)
}

fn comments_in(items: &Array) -> bool {
    let around = |value: &Value| {
        let decor = value.decor();
        let parts = [decor.prefix(), decor.suffix()];
        parts
            .into_iter()
            .flatten()
            .any(|part| part.as_str().is_some_and(|part| part.contains('#')))
    };
    items.iter().any(around)
        || items
            .trailing()
            .as_str()
            .is_some_and(|text| text.contains('#'))
}

/// One element on a line; a comment after a comma stays on the line of its element.
fn broken_array(items: &Array, written: &[String]) -> String {
    let mut out = String::from("[");
    for (item, text) in items.iter().zip(written) {
        let prefix = item
            .decor()
            .prefix()
            .and_then(|prefix| prefix.as_str())
            .unwrap_or("");
        between(&mut out, prefix);
        let _ = write!(out, "\n{INDENT}{text},");
        let suffix = item
            .decor()
            .suffix()
            .and_then(|suffix| suffix.as_str())
            .unwrap_or("");
        for comment in suffix
            .lines()
            .map(str::trim)
            .filter(|line| line.starts_with('#'))
        {
            let _ = write!(out, " {comment}");
        }
    }
    between(&mut out, items.trailing().as_str().unwrap_or(""));
    out.push_str("\n]");
    out
}

/// The comments between two elements: the first line belongs to the element before.
fn between(out: &mut String, text: &str) {
    for (number, line) in text.split('\n').enumerate() {
        let line = line.trim();
        let last_line = out.rsplit('\n').next().unwrap_or("");
        if line.is_empty() {
            continue;
        }
        if number == 0 && !last_line.contains('#') {
            let _ = write!(out, " {line}");
        } else {
            let _ = write!(out, "\n{INDENT}{line}");
        }
    }
}

fn inline_table(table: &InlineTable, kind: Option<Kind>) -> String {
    let mut bare = table.clone();
    bare.decor_mut().clear();
    let raw = bare.to_string();
    if raw.contains('#') || raw.trim().contains('\n') {
        return raw.trim().to_owned();
    }
    let entries: Vec<String> = table
        .get_values()
        .into_iter()
        .map(|(keys, value)| {
            let name: Vec<String> = keys.iter().map(|one| key(one.get())).collect();
            let kind = match kind {
                Some(Kind::SelectorMap) => Some(Kind::Selector),
                Some(Kind::Table(shape)) if keys.len() == 1 => {
                    shape.key(keys[0].get()).map(|key| key.kind)
                }
                _ => None,
            };
            format!("{} = {}", name.join("."), write(value, kind, 0))
        })
        .collect();
    if entries.is_empty() {
        "{}".to_owned()
    } else {
        format!("{{ {} }}", entries.join(", "))
    }
}
