//! The one way to write rule, tests, overrides and list files.
//!
//! Relies on `toml_edit` for the tree with its comments and on `shape` for the order. Writes the file anew from
//! the tree: keys in the order of their shape, one blank line before a table, long texts on lines of their own,
//! comments where they were. Never changes what a file means: the result is read again and compared, and a
//! selector whose tree would differ keeps its text. Rejected: editing the tree in place, which needs a rule
//! for every blank that an author can leave.

mod text;
mod value;

use super::load::{Content, content_of};
use super::place::Report;
use super::read::Reader;
use super::shape::{Kind, LIST, OVERRIDES, RULE, Shape, TESTS};
use crate::diagnostic::{Code, Diagnostic, Source, Span};
use crate::limits::RULE_FILE_BYTES_MAX;
use std::sync::Arc;
use toml_edit::{DocumentMut, Item, Key, Table};

/// The text of a file in its canonical form, or what keeps it from being read. A file that is nothing we know
/// comes back as it is.
pub fn format(path: &str, text: &str) -> Result<String, Vec<Report>> {
    let source = Arc::new(Source {
        name: path.to_owned(),
        text: text.to_owned(),
    });
    let mut reader = Reader::new(source);
    if !reader.within(
        "bytes of a file",
        text.len(),
        RULE_FILE_BYTES_MAX,
        Span::new(0, 0),
    ) {
        return Err(reader.finish());
    }
    let table = reader.parse(text);
    if reader.errors() > 0 {
        return Err(reader.finish());
    }
    let shape = match content_of(table.get_ref()) {
        Content::Rule => &RULE,
        Content::Tests => &TESTS,
        Content::Overrides => &OVERRIDES,
        Content::List => &LIST,
        Content::Schema | Content::Policies | Content::Unknown => return Ok(text.to_owned()),
    };
    let document: DocumentMut = match text.parse() {
        Ok(document) => document,
        Err(error) => {
            let span = error
                .span()
                .map_or(Span::default(), |range| Span::new(range.start, range.end));
            reader.report(Diagnostic::new(Code::TomlSyntax, span, error.message()));
            return Err(reader.finish());
        }
    };
    let formatted = write(&document, shape);
    Ok(if means_the_same(text, &formatted, shape) {
        formatted
    } else {
        text.to_owned()
    })
}

fn write(document: &DocumentMut, shape: &'static Shape) -> String {
    let root = document.as_table();
    let first = first_comments(root);
    let mut writer = Writer {
        out: String::new(),
        first,
    };
    let (head, _) = text::split_head(first);
    head.iter().for_each(|line| writer.line(line));
    writer.blank_line();
    writer.table(root, Some(shape), &mut Vec::new());
    let trailing = text::comments(document.trailing().as_str().unwrap_or(""));
    if !trailing.is_empty() {
        writer.blank_line();
    }
    trailing.iter().for_each(|line| writer.line(line));
    let length = writer.out.trim_end().len();
    writer.out.truncate(length);
    writer.out.push('\n');
    writer.out
}

/// What stands before the first key or table of the file: its head may be about the whole file.
fn first_comments(root: &Table) -> &str {
    if let Some((keys, _)) = root.get_values().first() {
        return keys.last().map(|key| prefix_of(key)).unwrap_or_default();
    }
    let mut tables = Vec::new();
    tables_in(root, &mut tables);
    tables.sort_by_key(|table| table.position());
    tables.first().map_or("", |table| table_prefix(table))
}

fn table_prefix(table: &Table) -> &str {
    table
        .decor()
        .prefix()
        .and_then(|prefix| prefix.as_str())
        .unwrap_or("")
}

fn tables_in<'t>(table: &'t Table, tables: &mut Vec<&'t Table>) {
    for (_, item) in table.iter() {
        match item {
            Item::Table(inner) => {
                if !inner.is_implicit() && !inner.is_dotted() {
                    tables.push(inner);
                }
                tables_in(inner, tables);
            }
            Item::ArrayOfTables(inner) => {
                for one in inner.iter() {
                    tables.push(one);
                    tables_in(one, tables);
                }
            }
            Item::None | Item::Value(_) => {}
        }
    }
}

fn prefix_of(key: &Key) -> &str {
    key.leaf_decor()
        .prefix()
        .and_then(|prefix| prefix.as_str())
        .unwrap_or("")
}

/// What the tables inside a value are.
#[derive(Clone, Copy)]
enum Inside {
    /// A table of this shape.
    Shaped(&'static Shape),
    /// Names, each with a table of this shape.
    Named(&'static Shape),
    /// Anything.
    Free,
}

fn inside(kind: Option<Kind>) -> Inside {
    match kind {
        Some(Kind::Table(shape) | Kind::Tables(shape)) => Inside::Shaped(shape),
        Some(Kind::TableMap(shape)) => Inside::Named(shape),
        _ => Inside::Free,
    }
}

struct Writer<'d> {
    out: String,
    /// What stands before the first key or table; its head was written first of all.
    first: &'d str,
}

impl Writer<'_> {
    fn line(&mut self, line: &str) {
        self.out.push_str(line);
        self.out.push('\n');
    }

    /// The values of a table, then the tables in it.
    fn table(&mut self, table: &Table, shape: Option<&'static Shape>, path: &mut Vec<String>) {
        self.values(table, shape);
        let mut inner: Vec<(&str, &Item)> = table.iter().collect();
        inner.sort_by_key(|(name, _)| rank(shape, name));
        for (name, item) in inner {
            let kind = shape.and_then(|shape| shape.key(name)).map(|key| key.kind);
            path.push(value::key(name));
            self.item(item, inside(kind), path);
            path.pop();
        }
    }

    fn values(&mut self, table: &Table, shape: Option<&'static Shape>) {
        let mut values = table.get_values();
        values.sort_by_key(|(keys, _)| rank(shape, keys.first().map_or("", |key| key.get())));
        for (keys, value) in values {
            let Some(last) = keys.last() else { continue };
            self.comments(prefix_of(last));
            let name: Vec<String> = keys.iter().map(|key| value::key(key.get())).collect();
            let kind = match (shape, keys.as_slice()) {
                (Some(shape), [key]) => shape.key(key.get()).map(|key| key.kind),
                _ => None,
            };
            let start = format!("{} = ", name.join("."));
            let written = value::write(value, kind, start.chars().count());
            let suffix = value
                .decor()
                .suffix()
                .and_then(|suffix| suffix.as_str())
                .unwrap_or("");
            let suffix = suffix.trim();
            let gap = if suffix.is_empty() { "" } else { " " };
            self.line(&format!("{start}{written}{gap}{suffix}"));
        }
    }

    /// The comments before a key or a table, without the head of the file, which stands at the top by now.
    fn comments(&mut self, prefix: &str) {
        let lines = if std::ptr::eq(prefix.as_ptr(), self.first.as_ptr()) {
            text::split_head(prefix).1
        } else {
            text::comments(prefix)
        };
        lines.iter().for_each(|line| self.line(line));
    }

    fn blank_line(&mut self) {
        if !self.out.is_empty() && !self.out.ends_with("\n\n") {
            self.out.push('\n');
        }
    }

    fn item(&mut self, item: &Item, inside: Inside, path: &mut Vec<String>) {
        match item {
            Item::Table(table) if table.is_dotted() => self.dotted(table, path),
            Item::Table(table) => {
                let header = format!("[{}]", path.join("."));
                if !table.is_implicit() {
                    self.header(table, &header);
                }
                match inside {
                    Inside::Shaped(shape) => self.table(table, Some(shape), path),
                    Inside::Free => self.table(table, None, path),
                    Inside::Named(shape) => self.named(table, shape, path),
                }
            }
            Item::ArrayOfTables(tables) => {
                let header = format!("[[{}]]", path.join("."));
                for table in tables.iter() {
                    self.header(table, &header);
                    let shape = if let Inside::Shaped(shape) = inside {
                        Some(shape)
                    } else {
                        None
                    };
                    self.table(table, shape, path);
                }
            }
            Item::None | Item::Value(_) => {}
        }
    }

    /// The tables under a dotted key; its values were written with the others.
    fn dotted(&mut self, table: &Table, path: &mut Vec<String>) {
        for (name, item) in table.iter() {
            path.push(value::key(name));
            self.item(item, Inside::Free, path);
            path.pop();
        }
    }

    fn named(&mut self, table: &Table, shape: &'static Shape, path: &mut Vec<String>) {
        self.values(table, None);
        for (name, item) in table.iter() {
            path.push(value::key(name));
            self.item(item, Inside::Shaped(shape), path);
            path.pop();
        }
    }

    fn header(&mut self, table: &Table, header: &str) {
        self.blank_line();
        self.comments(table_prefix(table));
        let decor = table.decor();
        let suffix = decor
            .suffix()
            .and_then(|suffix| suffix.as_str())
            .unwrap_or("")
            .trim();
        let gap = if suffix.is_empty() { "" } else { " " };
        self.line(&format!("{header}{gap}{suffix}"));
    }
}

fn rank(shape: Option<&Shape>, name: &str) -> usize {
    let keys = shape.map_or(&[][..], |shape| shape.keys);
    keys.iter()
        .position(|key| key.name == name)
        .unwrap_or(keys.len())
}

/// Whether two texts give the same, but for blanks around long texts and selectors.
fn means_the_same(before: &str, after: &str, shape: &'static Shape) -> bool {
    let (Ok(before), Ok(after)) = (before.parse::<toml::Table>(), after.parse::<toml::Table>())
    else {
        return false;
    };
    same_tables(&before, &after, Some(shape))
}

fn same_tables(before: &toml::Table, after: &toml::Table, shape: Option<&'static Shape>) -> bool {
    before.len() == after.len()
        && before.iter().all(|(name, value)| {
            let kind = shape.and_then(|shape| shape.key(name)).map(|key| key.kind);
            after
                .get(name)
                .is_some_and(|other| same_values(value, other, kind))
        })
}

fn same_values(before: &toml::Value, after: &toml::Value, kind: Option<Kind>) -> bool {
    use toml::Value as V;
    let lines = |text: &str| -> Vec<String> {
        text.trim()
            .lines()
            .map(|line| line.trim().to_owned())
            .collect()
    };
    match (before, after, kind) {
        (V::String(before), V::String(after), Some(Kind::LongText | Kind::Selector)) => {
            lines(before) == lines(after)
        }
        (V::Table(before), V::Table(after), Some(Kind::Table(shape))) => {
            same_tables(before, after, Some(shape))
        }
        (V::Table(before), V::Table(after), Some(Kind::TableMap(shape))) => {
            before.len() == after.len()
                && before.iter().all(|(name, value)| {
                    let table = Some(Kind::Table(shape));
                    after
                        .get(name)
                        .is_some_and(|other| same_values(value, other, table))
                })
        }
        (V::Table(before), V::Table(after), Some(Kind::SelectorMap)) => {
            before.len() == after.len()
                && before.iter().all(|(name, value)| {
                    let text = Some(Kind::Selector);
                    after
                        .get(name)
                        .is_some_and(|other| same_values(value, other, text))
                })
        }
        (V::Array(before), V::Array(after), kind) => {
            let kind = match kind {
                Some(Kind::Tables(shape)) => Some(Kind::Table(shape)),
                Some(Kind::Selectors) => Some(Kind::Selector),
                _ => None,
            };
            before.len() == after.len()
                && before
                    .iter()
                    .zip(after)
                    .all(|(one, other)| same_values(one, other, kind))
        }
        (V::Float(before), V::Float(after), _) => before.to_bits() == after.to_bits(),
        _ => before == after,
    }
}

#[cfg(test)]
mod tests;
