//! Site lists: accounts, addresses, users that a site keeps beside its rules and selectors look up.
//!
//! Three formats, one meaning: a set of texts. Only texts: account numbers written as numbers lose their
//! leading zeros, so a number is a mistake. A value that is wrong is reported and the others are kept: half an
//! allow list is closer to what was meant than none, and the report is loud.

use super::place::Place;
use super::read::{Fields, Reader, span_of};
use super::shape::LIST;
use crate::diagnostic::{Code, Diagnostic, Span};
use crate::limits::{LIST_VALUE_BYTES_MAX, LIST_VALUES_MAX};
use std::collections::BTreeMap;
use toml::de::{DeTable, DeValue};

/// The site lists of a catalog, by name.
pub type Lists = BTreeMap<String, SiteList>;

/// A named set of texts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SiteList {
    /// As selectors and exceptions name it.
    pub name: String,
    /// What it is, when the file says so.
    pub description: Option<String>,
    /// Where it was read.
    pub place: Place,
    values: Vec<String>,
}

impl SiteList {
    /// The values, in byte order, each once.
    pub fn values(&self) -> &[String] {
        &self.values
    }

    /// Whether a text is in it.
    pub fn contains(&self, value: &str) -> bool {
        self.values
            .binary_search_by(|one| one.as_str().cmp(value))
            .is_ok()
    }
}

/// The formats of list files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Toml,
    Csv,
    Json,
}

impl Format {
    /// By the end of the path; lists named by the person alone may have any name, and are then CSV.
    pub(super) fn of(path: &str) -> Option<Self> {
        let (_, end) = path.rsplit_once('.')?;
        match end.to_ascii_lowercase().as_str() {
            "toml" => Some(Self::Toml),
            "csv" | "txt" => Some(Self::Csv),
            "json" => Some(Self::Json),
            _ => None,
        }
    }
}

/// Values with their places, before duplicates are found.
#[derive(Default)]
struct Values {
    found: BTreeMap<String, Span>,
    count: usize,
}

impl Values {
    /// With so many values before, of which only the number is known.
    #[cfg(test)]
    fn after(count: usize) -> Self {
        Self {
            count,
            ..Self::default()
        }
    }

    fn add(&mut self, reader: &mut Reader, value: &str, span: Span) {
        self.count += 1;
        if value.trim().is_empty() {
            let message = "an empty value can never be meant";
            reader.report(Diagnostic::new(Code::ListValue, span, message));
            return;
        }
        if value.len() > LIST_VALUE_BYTES_MAX || self.count > LIST_VALUES_MAX {
            return self.too_many(reader, value, span);
        }
        if let Some(first) = self.found.get(value) {
            let message = format!("`{value}` is listed twice");
            reader.report(
                Diagnostic::new(Code::Repeated, span, message).with_label(*first, "the first one"),
            );
            return;
        }
        self.found.insert(value.to_owned(), span);
    }

    fn too_many(&self, reader: &mut Reader, value: &str, span: Span) {
        if value.len() > LIST_VALUE_BYTES_MAX {
            reader.within(
                "bytes of one value",
                value.len(),
                LIST_VALUE_BYTES_MAX,
                span,
            );
        } else if self.count == LIST_VALUES_MAX + 1 {
            reader.within("values of a list", self.count, LIST_VALUES_MAX, span);
        }
    }

    fn not_text(&mut self, reader: &mut Reader, span: Span) {
        self.count += 1;
        reader.report(
            Diagnostic::new(Code::ListValue, span, "a value of a list is no string")
                .with_caret("expected a string")
                .with_help("Write numbers in quotes: account ids may start with 0."),
        );
    }

    fn into_list(self, reader: &Reader, name: &str, description: Option<String>) -> SiteList {
        SiteList {
            name: name.to_owned(),
            description,
            place: reader.place(Span::new(0, 0)),
            values: self.found.into_keys().collect(),
        }
    }
}

/// A list in TOML: `values = ["…"]`.
pub(super) fn read_toml(reader: &mut Reader, table: &DeTable<'_>, name: &str) -> Option<SiteList> {
    let fields = Fields::open(reader, table, &LIST, Span::new(0, 0));
    let description = fields.string("description");
    let items = fields.value("values")?.get_ref().as_array()?;
    let mut values = Values::default();
    for item in items.iter() {
        match item.get_ref() {
            DeValue::String(text) => values.add(reader, text, span_of(item)),
            _ => values.not_text(reader, span_of(item)),
        }
    }
    Some(values.into_list(reader, name, description))
}

/// A list in CSV: the first column, without the header `value`.
pub(super) fn read_csv(reader: &mut Reader, text: &str, name: &str) -> SiteList {
    let mut values = Values::default();
    let start = if text.starts_with('\u{feff}') { 3 } else { 0 };
    let mut at = start;
    while at < text.len() {
        let cell = first_cell(text, at);
        let row = &text[at..cell.row_end];
        let header = at == start && cell.text.eq_ignore_ascii_case("value");
        match cell.closed {
            _ if row.trim().is_empty() || header => {}
            true => values.add(reader, &cell.text, cell.span),
            false => reader.report(
                Diagnostic::new(Code::ListSyntax, cell.span, "a quoted cell is never closed")
                    .with_caret("no `\"` ends this"),
            ),
        }
        at = cell.row_end + usize::from(text[cell.row_end..].starts_with('\n'));
    }
    if values.count == 0 {
        let message = format!("the list `{name}` has no value");
        reader.report(
            Diagnostic::new(Code::ListEmpty, Span::new(0, 0), message)
                .with_help("A list that is empty on purpose reads better as TOML: `values = []`."),
        );
    }
    values.into_list(reader, name, None)
}

struct Cell {
    text: String,
    span: Span,
    row_end: usize,
    closed: bool,
}

/// The first cell of the row that starts at `at`, and the line end of the row.
fn first_cell(text: &str, at: usize) -> Cell {
    let line_end = |from: usize| {
        text[from..]
            .find('\n')
            .map_or(text.len(), |found| from + found)
    };
    if text[at..].starts_with('"') {
        let mut value = String::new();
        let mut from = at + 1;
        while let Some(quote) = text[from..].find('"').map(|found| from + found) {
            value.push_str(&text[from..quote]);
            if text[quote + 1..].starts_with('"') {
                value.push('"');
                from = quote + 2;
                continue;
            }
            let span = Span::new(at, quote + 1);
            return Cell {
                text: value,
                span,
                row_end: line_end(quote),
                closed: true,
            };
        }
        let span = Span::new(at, at + 1);
        return Cell {
            text: value,
            span,
            row_end: text.len(),
            closed: false,
        };
    }
    let row_end = line_end(at);
    let row = &text[at..row_end];
    let cell = row.split(',').next().unwrap_or(row);
    let blank = cell.len() - cell.trim_start().len();
    let value = cell.trim();
    let span = Span::new(at + blank, at + blank + value.len());
    Cell {
        text: value.to_owned(),
        span,
        row_end,
        closed: true,
    }
}

/// A list in JSON: an array of strings.
pub(super) fn read_json(reader: &mut Reader, text: &str, name: &str) -> Option<SiteList> {
    let mut values = Values::default();
    match json_values(reader, text, &mut values) {
        Ok(()) => Some(values.into_list(reader, name, None)),
        Err((at, message)) => {
            let span = Span::new(at, (at + 1).min(text.len()));
            reader.report(
                Diagnostic::new(Code::ListSyntax, span, message)
                    .with_help("A list in JSON is one array of strings."),
            );
            None
        }
    }
}

fn json_values(
    reader: &mut Reader,
    text: &str,
    values: &mut Values,
) -> Result<(), (usize, &'static str)> {
    let blank = |at: usize| {
        let rest = text.get(at..).unwrap_or("").bytes();
        at + rest
            .take_while(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n'))
            .count()
    };
    let byte = |at: usize| text.as_bytes().get(at).copied();
    let mut at = blank(0);
    if byte(at) != Some(b'[') {
        return Err((at, "expected `[`"));
    }
    at = blank(at + 1);
    if byte(at) == Some(b']') {
        return if blank(at + 1) == text.len() {
            Ok(())
        } else {
            Err((at + 1, "text after the list"))
        };
    }
    loop {
        let mut stream =
            serde_json::Deserializer::from_str(text.get(at..).unwrap_or("")).into_iter();
        let value: serde_json::Value = match stream.next() {
            Some(Ok(value)) => value,
            Some(Err(_)) | None => return Err((at, "expected a string")),
        };
        let end = at + stream.byte_offset();
        match &value {
            serde_json::Value::String(value) => values.add(reader, value, Span::new(at, end)),
            _ => values.not_text(reader, Span::new(at, end)),
        }
        at = blank(end);
        match byte(at) {
            Some(b',') => at = blank(at + 1),
            Some(b']') if blank(at + 1) == text.len() => return Ok(()),
            Some(b']') => return Err((blank(at + 1), "text after the list")),
            _ => return Err((at, "expected `,` or `]`")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Reader, Span, Values};
    use crate::diagnostic::{Code, Source};
    use crate::limits::LIST_VALUES_MAX;
    use std::sync::Arc;

    /// The surplus value is refused with its place, once, and those before it are kept.
    #[test]
    fn values_of_a_list_are_bounded() {
        let source = Source {
            name: "lists/l.csv".to_owned(),
            text: "last\nsurplus\nmore\n".to_owned(),
        };
        let mut reader = Reader::new(Arc::new(source));
        let mut values = Values::after(LIST_VALUES_MAX - 1);
        for (value, start) in [("last", 0), ("surplus", 5), ("more", 13)] {
            values.add(&mut reader, value, Span::new(start, start + value.len()));
        }
        let list = values.into_list(&reader, "l", None);
        assert_eq!(list.values(), ["last"]);
        let [report] = reader.reports.as_slice() else {
            panic!("one report: {:?}", reader.reports);
        };
        assert_eq!(report.diagnostic.code, Code::Bound);
        assert_eq!(report.diagnostic.span, Span::new(5, 12));
        assert_eq!(
            report.diagnostic.message,
            "1000001 values of a list are too many"
        );
    }
}
