//! Reading TOML tables against their shapes, noting every mistake.
//!
//! Relies on the spans of `toml`'s recovering parser. `Fields::open` refuses unknown keys, missing keys,
//! wrong types and empty values in one pass over the table; the getters afterwards give only what is good and
//! never report twice. Bounded: a file stops giving diagnostics after a fixed number of them.

use super::model::Selector;
use super::place::{OffsetMap, Place, Report};
use super::shape::{Key, Kind, Need, Shape};
use super::template::{Part, Piece, Template, split};
use crate::diagnostic::{Code, Diagnostic, Source, Span, did_you_mean};
use crate::limits::{FILE_DIAGNOSTICS_MAX, TEMPLATE_PARTS_MAX};
use crate::selector;
use std::sync::Arc;
use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

pub(super) type Entry<'t, 'i> = (
    &'t Spanned<toml::de::DeString<'i>>,
    &'t Spanned<DeValue<'i>>,
);

/// The span of a TOML part.
pub(super) fn span_of<T>(part: &Spanned<T>) -> Span {
    let range = part.span();
    Span::new(range.start, range.end)
}

/// The entries of a table in the order of the file.
pub(super) fn in_order<'t, 'i>(table: &'t DeTable<'i>) -> Vec<Entry<'t, 'i>> {
    let mut entries: Vec<Entry<'t, 'i>> = table.iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    entries
}

/// One file being read, with the mistakes found so far.
pub(super) struct Reader {
    pub(super) source: Arc<Source>,
    pub(super) reports: Vec<Report>,
    errors: usize,
    silenced: usize,
}

/// A string of a file with the way back to its bytes.
pub(super) struct Written {
    pub(super) text: String,
    pub(super) place: Place,
    pub(super) map: OffsetMap,
}

impl Reader {
    pub(super) fn new(source: Arc<Source>) -> Self {
        Self {
            source,
            reports: Vec::new(),
            errors: 0,
            silenced: 0,
        }
    }

    /// Notes a mistake.
    pub(super) fn report(&mut self, diagnostic: Diagnostic) {
        if diagnostic.level == crate::diagnostic::Level::Error {
            self.errors += 1;
        }
        if self.is_full() {
            self.silenced += 1;
            return;
        }
        // A string that TOML only recovers in part leads nowhere after where it broke.
        let end = self.source.text.len() as u32;
        let diagnostic = diagnostic
            .relocated(|span| Span::new(span.start.min(end) as usize, span.end.min(end) as usize));
        self.reports.push(Report {
            source: self.source.clone(),
            diagnostic,
        });
    }

    /// Whether further notes are only counted.
    fn is_full(&self) -> bool {
        self.reports.len() >= FILE_DIAGNOSTICS_MAX
    }

    /// How many errors were noted, also beyond the bound.
    pub(super) fn errors(&self) -> usize {
        self.errors
    }

    /// The notes, with one more that says how many were left out.
    pub(super) fn finish(mut self) -> Vec<Report> {
        if self.silenced > 0 {
            let message = match self.silenced {
                1 => "1 more mistake in this file is not shown".to_owned(),
                more => format!("{more} more mistakes in this file are not shown"),
            };
            let diagnostic = Diagnostic::new(Code::Bound, Span::default(), message).with_help(
                format!("At most {FILE_DIAGNOSTICS_MAX} are shown for one file."),
            );
            self.reports.push(Report {
                source: self.source.clone(),
                diagnostic,
            });
        }
        self.reports
    }

    pub(super) fn place(&self, span: Span) -> Place {
        Place {
            source: self.source.clone(),
            span,
        }
    }

    /// Reads the file as TOML; syntax errors are noted, and what could be read is returned all the same.
    pub(super) fn parse<'i>(&mut self, text: &'i str) -> Spanned<DeTable<'i>> {
        let (table, errors) = DeTable::parse_recoverable(text);
        for error in errors {
            let span = error
                .span()
                .map_or(Span::default(), |range| Span::new(range.start, range.end));
            let mut message = error.message().to_owned();
            if message.is_empty() {
                message.push_str("this is not TOML");
            }
            self.report(Diagnostic::new(Code::TomlSyntax, span, message));
        }
        table
    }

    /// The string at `span`, decoded as `text`.
    pub(super) fn written(&self, text: &str, span: Span) -> Written {
        let map = OffsetMap::of_toml_string(span.slice(&self.source.text), span.start, text);
        Written {
            text: text.to_owned(),
            place: self.place(span),
            map,
        }
    }

    /// A text that is in no file: what is wrong with it is told at `span`.
    pub(super) fn unwritten(&self, text: &str, span: Span) -> Written {
        Written {
            text: text.to_owned(),
            place: self.place(span),
            map: OffsetMap::fixed(span),
        }
    }

    /// Parses a selector, noting what is wrong with it.
    pub(super) fn selector(&mut self, written: Written) -> Option<Selector> {
        let Written { text, place, map } = written;
        match selector::parse(&text) {
            Ok(expr) => Some(Selector {
                text,
                expr,
                place,
                map,
            }),
            Err(diagnostics) => {
                for diagnostic in diagnostics {
                    self.report(diagnostic.relocated(|span| map.span(span)));
                }
                None
            }
        }
    }

    /// Parses a template, noting what is wrong with it.
    pub(super) fn template(&mut self, written: Written) -> Option<Template> {
        let (pieces, diagnostics) = split(&written.text);
        let before = self.errors;
        for diagnostic in diagnostics {
            self.report(diagnostic.relocated(|span| written.map.span(span)));
        }
        let place = written.place.clone();
        if !self.within(
            "parts of a title",
            pieces.len(),
            TEMPLATE_PARTS_MAX,
            place.span,
        ) {
            return None;
        }
        let mut parts = Vec::with_capacity(pieces.len());
        for piece in pieces {
            match piece {
                Piece::Text(text) => parts.push(Part::Text(text)),
                Piece::Value(span) => {
                    let part = Written {
                        text: span.slice(&written.text).to_owned(),
                        place: self.place(written.map.span(span)),
                        map: written.map.from_offset(span.start),
                    };
                    parts.extend(self.selector(part).map(Part::Value));
                }
            }
        }
        (self.errors == before).then_some(Template {
            text: written.text,
            place,
            parts,
        })
    }

    /// Whether a count is within its bound; notes it when not.
    pub(super) fn within(&mut self, what: &str, count: usize, most: usize, span: Span) -> bool {
        if count > most {
            let message = format!("{count} {what} are too many");
            self.report(
                Diagnostic::new(Code::Bound, span, message)
                    .with_help(format!("At most {most} are allowed.")),
            );
        }
        count <= most
    }
}

/// A table that was compared with its shape.
pub(super) struct Fields<'t, 'i> {
    table: &'t DeTable<'i>,
    shape: &'static Shape,
    /// Where to point when something is missing.
    pub(super) span: Span,
}

impl<'t, 'i> Fields<'t, 'i> {
    /// Compares `table` with `shape`, noting unknown and missing keys and wrong or empty values.
    pub(super) fn open(
        reader: &mut Reader,
        table: &'t DeTable<'i>,
        shape: &'static Shape,
        span: Span,
    ) -> Self {
        for (key, value) in in_order(table) {
            match shape.key(key.get_ref()) {
                Some(known) => check_value(reader, known.name, known.kind, value),
                None => unknown_key(reader, shape, key),
            }
        }
        for key in shape.keys.iter().filter(|key| key.need == Need::Required) {
            if !table.contains_key(key.name) {
                missing_key(reader, shape, key, span);
            }
        }
        Self { table, shape, span }
    }

    /// A table that was compared before.
    pub(super) fn reopen(table: &'t DeTable<'i>, shape: &'static Shape) -> Self {
        Self {
            table,
            shape,
            span: Span::new(0, 0),
        }
    }

    /// The value of a key; `None` as well when it has the wrong type.
    pub(super) fn value(&self, name: &str) -> Option<&'t Spanned<DeValue<'i>>> {
        debug_assert!(
            self.shape.key(name).is_some(),
            "{} has no key {name}",
            self.shape.name
        );
        let kind = self.shape.key(name)?.kind;
        self.table
            .get(name)
            .filter(|value| fits(kind, value.get_ref()))
    }

    /// A non-empty string.
    pub(super) fn text(&self, name: &str) -> Option<(&'t str, Span)> {
        let value = self.value(name)?;
        let text = value.get_ref().as_str()?;
        (!text.trim().is_empty()).then(|| (text, span_of(value)))
    }

    /// A non-empty string by itself.
    pub(super) fn string(&self, name: &str) -> Option<String> {
        self.text(name).map(|(text, _)| text.to_owned())
    }

    /// A non-empty string with the way back to its bytes.
    pub(super) fn written(&self, reader: &Reader, name: &str) -> Option<Written> {
        self.text(name)
            .map(|(text, span)| reader.written(text, span))
    }

    /// A parsed selector.
    pub(super) fn selector(&self, reader: &mut Reader, name: &str) -> Option<Selector> {
        let written = self.written(reader, name)?;
        reader.selector(written)
    }

    /// The non-empty strings of an array.
    pub(super) fn texts(&self, name: &str) -> Vec<(&'t str, Span)> {
        let items = self
            .value(name)
            .and_then(|value| value.get_ref().as_array());
        let texts = items.into_iter().flat_map(|items| items.iter());
        texts
            .filter_map(|item| item.get_ref().as_str().map(|text| (text, span_of(item))))
            .filter(|(text, _)| !text.trim().is_empty())
            .collect()
    }

    /// The non-empty strings of an array by themselves.
    pub(super) fn strings(&self, name: &str) -> Vec<String> {
        self.texts(name)
            .into_iter()
            .map(|(text, _)| text.to_owned())
            .collect()
    }

    /// A table.
    pub(super) fn table(&self, name: &str) -> Option<(&'t DeTable<'i>, Span)> {
        let value = self.value(name)?;
        value
            .get_ref()
            .as_table()
            .map(|table| (table, span_of(value)))
    }

    /// The tables of an array.
    pub(super) fn tables(&self, name: &str) -> Vec<(&'t DeTable<'i>, Span)> {
        let items = self
            .value(name)
            .and_then(|value| value.get_ref().as_array());
        let items = items.into_iter().flat_map(|items| items.iter());
        items
            .filter_map(|item| {
                item.get_ref()
                    .as_table()
                    .map(|table| (table, span_of(item)))
            })
            .collect()
    }
}

fn fits(kind: Kind, value: &DeValue<'_>) -> bool {
    match kind {
        Kind::Text
        | Kind::LongText
        | Kind::Selector
        | Kind::Template
        | Kind::Period
        | Kind::Effect(_)
        | Kind::Comparison => value.is_str(),
        Kind::Integer => value.is_integer(),
        Kind::Word(words) => value.as_str().is_some_and(|word| words.contains(&word)),
        Kind::Texts | Kind::Selectors | Kind::Values => value.is_array(),
        Kind::Tables(_) => value.as_array().is_some_and(all_tables),
        Kind::SelectorMap | Kind::Free | Kind::Table(_) | Kind::TableMap(_) => value.is_table(),
        Kind::Date => value
            .as_datetime()
            .is_some_and(|when| when.date.is_some() && when.time.is_none()),
        Kind::Flag => value.is_bool(),
    }
}

fn all_tables(items: &DeArray<'_>) -> bool {
    items.iter().all(|item| item.get_ref().is_table())
}

fn check_value(reader: &mut Reader, name: &str, kind: Kind, value: &Spanned<DeValue<'_>>) {
    let span = span_of(value);
    match (kind, value.get_ref()) {
        (Kind::Word(words), DeValue::String(word)) if !words.contains(&word.as_ref()) => {
            unknown_word(reader, name, (words, ""), word, span);
        }
        (Kind::Effect(words), DeValue::String(word))
            if !words.contains(&word.as_ref()) && !asks_policy(word) =>
        {
            unknown_word(reader, name, (words, " and `policy.NAME`"), word, span);
        }
        (_, found) if !fits(kind, found) => wrong_type(reader, name, kind.expected(), found, span),
        (_, DeValue::String(text)) if text.trim().is_empty() => empty_value(reader, name, span),
        (Kind::Texts | Kind::Selectors, DeValue::Array(items)) => {
            for item in items.iter() {
                check_value(reader, name, Kind::Text, item);
            }
        }
        (Kind::SelectorMap, DeValue::Table(entries)) => {
            for (key, item) in in_order(entries) {
                if key.get_ref().trim().is_empty() {
                    empty_value(reader, name, span_of(key));
                }
                check_value(reader, key.get_ref(), Kind::Selector, item);
            }
        }
        (Kind::TableMap(_), DeValue::Table(entries)) => {
            for (key, item) in in_order(entries) {
                check_value(reader, key.get_ref(), Kind::Free, item);
            }
        }
        _ => {}
    }
}

fn wrong_type(reader: &mut Reader, name: &str, expected: &str, found: &DeValue<'_>, span: Span) {
    let found = match found {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a float",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date with time",
        DeValue::Array(_) => "an array",
        DeValue::Table(_) => "a table",
    };
    let message = format!("`{name}` has the wrong type");
    reader.report(
        Diagnostic::new(Code::WrongType, span, message)
            .with_caret(format!("expected {expected}, found {found}")),
    );
}

fn empty_value(reader: &mut Reader, name: &str, span: Span) {
    let message = format!("`{name}` is empty");
    reader.report(
        Diagnostic::new(Code::EmptyValue, span, message)
            .with_help("Write something here, or leave the key out when it is optional."),
    );
}

/// Whether it is written like the name of a policy; what is after it is read as CEL.
pub(super) fn asks_policy(word: &str) -> bool {
    word.starts_with("policy.") || word.starts_with("policy[")
}

/// `more` is what else could be written, beside the words.
fn unknown_word(
    reader: &mut Reader,
    name: &str,
    (words, more): (&[&'static str], &str),
    word: &str,
    span: Span,
) {
    let word_start: String = word.chars().take(80).collect();
    let message = format!("`{name}` cannot be `{word_start}`");
    let mut diagnostic = Diagnostic::new(Code::UnknownWord, span, message)
        .with_caret(format!("expected one of {}{more}", words.join(", ")));
    let lower = word.to_ascii_lowercase();
    let same = words.iter().copied().find(|known| *known == lower);
    if let Some(near) = same.or_else(|| did_you_mean(word, words.iter().copied())) {
        diagnostic = diagnostic
            .with_help(format!("Did you mean `{near}`?"))
            .with_suggestion(span, format!("\"{near}\""));
    }
    reader.report(diagnostic);
}

fn unknown_key(reader: &mut Reader, shape: &Shape, key: &Spanned<toml::de::DeString<'_>>) {
    let span = span_of(key);
    let message = format!("{} has no key `{}`", shape.name, key.get_ref());
    let names = shape.keys.iter().map(|key| key.name);
    let diagnostic = Diagnostic::new(Code::UnknownKey, span, message);
    if reader.is_full() {
        // Nobody will see it, and looking for near names costs more than reading did.
        return reader.report(diagnostic);
    }
    reader.report(match did_you_mean(key.get_ref(), names.clone()) {
        Some(near) => diagnostic
            .with_caret("unknown key")
            .with_help(format!("Did you mean `{near}`?"))
            .with_suggestion(span, near),
        None => diagnostic.with_caret("unknown key").with_help(format!(
            "Known keys: {}.",
            names.collect::<Vec<_>>().join(", ")
        )),
    });
}

fn missing_key(reader: &mut Reader, shape: &Shape, key: &Key, span: Span) {
    let message = format!("{} needs the key `{}`", shape.name, key.name);
    reader.report(
        Diagnostic::new(Code::MissingKey, span, message).with_help(format!(
            "Add `{} = …`: {}.",
            key.name,
            key.kind.expected()
        )),
    );
}
