//! Reading TOML tables of manifests and operator files, noting every mistake with its place.
//!
//! Relies on the spans of `toml`'s recovering parser. Each getter is called once for each key, notes what is wrong with
//! it, and gives only what is good, so that nothing is reported twice. Manifests are written by strangers: the text is
//! bounded before it is parsed, characters that are not seen are refused wherever they stand, and after a fixed number
//! mistakes are only counted. Rejected: serde, which stops at the first mistake and knows no places.

use std::sync::Arc;
use toml::Spanned;
use toml::de::{DeArray, DeString, DeTable, DeValue};
use tripline_core::diagnostic::{
    Code, Diagnostic, Level, Printable, Source, Span, did_you_mean, is_printable,
};
use tripline_core::limits::FILE_DIAGNOSTICS_MAX;
use tripline_core::rule::Report;

/// How deep tables and arrays may lie in each other: the deepest key that means something is at 6.
const DEPTH_MAX: usize = 16;
/// Characters of a text that a message quotes.
const QUOTED_CHARS_MAX: usize = 80;

/// A part of a file with its place.
pub(crate) type Part<'t, 'i> = &'t Spanned<DeValue<'i>>;

/// The span of a part.
pub(crate) fn span_of<T>(part: &Spanned<T>) -> Span {
    let range = part.span();
    Span::new(range.start, range.end)
}

/// The entries of a table in the order of the file.
pub(crate) fn in_order<'t, 'i>(
    table: &'t DeTable<'i>,
) -> Vec<(&'t Spanned<DeString<'i>>, Part<'t, 'i>)> {
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    entries
}

/// One file being read, with the mistakes found so far.
pub(crate) struct Reader {
    source: Arc<Source>,
    reports: Vec<Report>,
    errors: usize,
    silenced: usize,
}

impl Reader {
    pub(crate) fn new(source: Arc<Source>) -> Self {
        Self {
            source,
            reports: Vec::new(),
            errors: 0,
            silenced: 0,
        }
    }

    /// Parses the file; `None` when it is too large or too strange to go on.
    pub(crate) fn parse<'i>(
        &mut self,
        text: &'i str,
        bytes_max: usize,
    ) -> Option<Spanned<DeTable<'i>>> {
        if text.len() > bytes_max {
            let message = format!("the file has {} bytes", text.len());
            self.report(
                Diagnostic::new(Code::Bound, Span::default(), message)
                    .with_help(format!("At most {bytes_max} are read.")),
            );
            return None;
        }
        let before = self.errors;
        self.refuse_unseen(text);
        let (table, errors) = DeTable::parse_recoverable(text);
        for error in errors {
            let span = error
                .span()
                .map_or(Span::default(), |range| Span::new(range.start, range.end));
            let message = match error.message() {
                "" => "this is not TOML",
                message => message,
            };
            self.report(Diagnostic::new(Code::TomlSyntax, span, message));
        }
        if self.errors == before {
            self.walk(table.get_ref(), 0);
        }
        Some(table)
    }

    /// Characters that stand in the file itself, comments too, and are not seen.
    fn refuse_unseen(&mut self, text: &str) {
        for (at, found) in text.char_indices() {
            if !is_printable(found) && !matches!(found, '\n' | '\r' | '\t') {
                self.unseen(Span::new(at, at + found.len_utf8()), found);
            }
        }
    }

    fn unseen(&mut self, span: Span, found: char) {
        let message = format!("the character `{}` is not seen", found.escape_unicode());
        self.report(
            Diagnostic::new(Code::WrongType, span, message)
                .with_caret("expected text that shows what it is"),
        );
    }

    /// The same in what escapes stand for; and the depth.
    fn walk(&mut self, table: &DeTable<'_>, depth: usize) {
        for (key, value) in in_order(table) {
            self.walk_text(key.get_ref(), span_of(key));
            self.walk_value(value, depth + 1);
        }
    }

    fn walk_value(&mut self, value: Part<'_, '_>, depth: usize) {
        if depth > DEPTH_MAX {
            self.report(
                Diagnostic::new(Code::Bound, span_of(value), "this is nested too deeply")
                    .with_help(format!("At most {DEPTH_MAX} levels are read.")),
            );
            return;
        }
        match value.get_ref() {
            DeValue::String(text) => self.walk_text(text, span_of(value)),
            DeValue::Array(items) => {
                for item in items.iter() {
                    self.walk_value(item, depth + 1);
                }
            }
            DeValue::Table(table) => self.walk(table, depth),
            _ => {}
        }
    }

    fn walk_text(&mut self, text: &str, span: Span) {
        let found = text.chars().find(|one| !is_printable(*one) && *one != '\n');
        // What stands unescaped was noted already.
        let is_noted = |found: char| span.slice(&self.source.text).contains(found);
        if let Some(found) = found.filter(|found| !is_noted(*found)) {
            self.unseen(span, found);
        }
    }

    /// Notes a mistake.
    pub(crate) fn report(&mut self, diagnostic: Diagnostic) {
        if diagnostic.level == Level::Error {
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

    fn is_full(&self) -> bool {
        self.reports.len() >= FILE_DIAGNOSTICS_MAX
    }

    /// How many errors were noted, also beyond the bound.
    pub(crate) fn errors(&self) -> usize {
        self.errors
    }

    /// The file being read.
    pub(crate) fn source(&self) -> &Arc<Source> {
        &self.source
    }

    /// The notes, with one more that says how many were left out.
    pub(crate) fn finish(mut self) -> Vec<Report> {
        if self.silenced > 0 {
            let message = format!("{} more mistakes in this file are not shown", self.silenced);
            let help = format!("At most {FILE_DIAGNOSTICS_MAX} are shown for one file.");
            self.reports.push(Report {
                source: self.source.clone(),
                diagnostic: Diagnostic::new(Code::Bound, Span::default(), message).with_help(help),
            });
        }
        self.reports
    }

    /// A value that has the right type and the wrong form.
    pub(crate) fn malformed(&mut self, span: Span, message: impl Into<String>, expected: &str) {
        self.report(
            Diagnostic::new(Code::WrongType, span, message)
                .with_caret(format!("expected {expected}")),
        );
    }

    /// A text that `parse` takes, or its mistake.
    pub(crate) fn parsed<T>(
        &mut self,
        text: &str,
        span: Span,
        what: &str,
        expected: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        let parsed = parse(text);
        if parsed.is_none() {
            let message = format!("`{}` is no {what}", shortened(text));
            self.malformed(span, message, expected);
        }
        parsed
    }

    /// One of a few words.
    pub(crate) fn word<T: Copy>(
        &mut self,
        name: &str,
        text: &str,
        span: Span,
        words: &[(&str, T)],
    ) -> Option<T> {
        if let Some((_, found)) = words.iter().find(|(word, _)| *word == text) {
            return Some(*found);
        }
        let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let message = format!("`{name}` cannot be `{}`", shortened(text));
        let mut diagnostic = Diagnostic::new(Code::UnknownWord, span, message)
            .with_caret(format!("expected one of {}", known.join(", ")));
        if let Some(near) = did_you_mean(text, known) {
            diagnostic = diagnostic
                .with_help(format!("Did you mean `{near}`?"))
                .with_suggestion(span, format!("\"{near}\""));
        }
        self.report(diagnostic);
        None
    }

    /// Whether a count is within its bound; notes it when not.
    pub(crate) fn within(&mut self, what: &str, count: usize, most: usize, span: Span) -> bool {
        if count > most {
            let message = format!("{count} {what} are too many");
            self.report(
                Diagnostic::new(Code::Bound, span, message)
                    .with_help(format!("At most {most} are allowed.")),
            );
        }
        count <= most
    }

    /// Notes what is written twice.
    pub(crate) fn repeated(&mut self, text: &str, span: Span) {
        let message = format!("`{}` is there already", shortened(text));
        self.malformed(span, message, "each name once");
    }

    fn wrong_type(&mut self, name: &str, expected: &str, value: Part<'_, '_>) {
        let found = match value.get_ref() {
            DeValue::String(_) => "a string",
            DeValue::Integer(_) => "an integer",
            DeValue::Float(_) => "a float",
            DeValue::Boolean(_) => "a boolean",
            DeValue::Datetime(_) => "a date",
            DeValue::Array(_) => "an array",
            DeValue::Table(_) => "a table",
        };
        let message = format!("`{}` has the wrong type", shortened(name));
        self.report(
            Diagnostic::new(Code::WrongType, span_of(value), message)
                .with_caret(format!("expected {expected}, found {found}")),
        );
    }

    fn empty(&mut self, name: &str, span: Span) {
        let message = format!("`{}` is empty", shortened(name));
        self.report(
            Diagnostic::new(Code::EmptyValue, span, message)
                .with_help("Write something here, or leave the key out when it is optional."),
        );
    }

    /// The text of a part, when it is one with something in it.
    pub(crate) fn text<'t>(&mut self, name: &str, value: Part<'t, '_>) -> Option<(&'t str, Span)> {
        let span = span_of(value);
        match value.get_ref().as_str() {
            None => self.wrong_type(name, "a string", value),
            Some(text) if text.trim().is_empty() => self.empty(name, span),
            Some(text) => return Some((text, span)),
        }
        None
    }

    /// The texts of an array of them.
    pub(crate) fn texts<'t>(&mut self, name: &str, value: Part<'t, '_>) -> Vec<(&'t str, Span)> {
        let Some(items) = self.array(name, "an array of strings", value) else {
            return Vec::new();
        };
        let items = items.iter();
        items.filter_map(|item| self.text(name, item)).collect()
    }

    fn array<'t, 'i>(
        &mut self,
        name: &str,
        expected: &str,
        value: Part<'t, 'i>,
    ) -> Option<&'t DeArray<'i>> {
        let items = value.get_ref().as_array();
        if items.is_none() {
            self.wrong_type(name, expected, value);
        }
        items
    }
}

/// The start of a text that may be very long, as it may be shown.
pub(crate) fn shortened(text: &str) -> String {
    let start: String = text.chars().take(QUOTED_CHARS_MAX).collect();
    Printable(&start).to_string()
}

/// A table whose keys were compared with those that it may have.
pub(crate) struct Fields<'t, 'i> {
    table: &'t DeTable<'i>,
    /// Where to point when something is missing.
    pub(crate) span: Span,
}

impl<'t, 'i> Fields<'t, 'i> {
    /// Compares the keys of `table` with `keys`, where those that must be there begin with `!`.
    pub(crate) fn open(
        reader: &mut Reader,
        what: &str,
        table: &'t DeTable<'i>,
        span: Span,
        keys: &[&'static str],
    ) -> Self {
        let names = || keys.iter().map(|key| key.trim_start_matches('!'));
        for (key, _) in in_order(table) {
            if !names().any(|name| name == key.get_ref().as_ref()) {
                unknown_key(reader, what, names(), key);
            }
        }
        for name in keys.iter().filter_map(|key| key.strip_prefix('!')) {
            if !table.contains_key(name) {
                let message = format!("{what} needs the key `{name}`");
                reader.report(
                    Diagnostic::new(Code::MissingKey, span, message)
                        .with_help(format!("Add `{name} = …`.")),
                );
            }
        }
        Self { table, span }
    }

    /// The table of a part.
    pub(crate) fn of(
        reader: &mut Reader,
        what: &str,
        name: &str,
        value: Part<'t, 'i>,
        keys: &[&'static str],
    ) -> Option<Self> {
        let Some(table) = value.get_ref().as_table() else {
            reader.wrong_type(name, "a table", value);
            return None;
        };
        Some(Self::open(reader, what, table, span_of(value), keys))
    }

    pub(crate) fn part(&self, name: &str) -> Option<Part<'t, 'i>> {
        self.table.get(name)
    }

    pub(crate) fn text(&self, reader: &mut Reader, name: &str) -> Option<(&'t str, Span)> {
        reader.text(name, self.part(name)?)
    }

    /// A text that `parse` takes.
    pub(crate) fn parsed<T>(
        &self,
        reader: &mut Reader,
        name: &str,
        what: &str,
        expected: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        let (text, span) = self.text(reader, name)?;
        reader.parsed(text, span, what, expected, parse)
    }

    pub(crate) fn texts(&self, reader: &mut Reader, name: &str) -> Vec<(&'t str, Span)> {
        match self.part(name) {
            Some(value) => reader.texts(name, value),
            None => Vec::new(),
        }
    }

    pub(crate) fn flag(&self, reader: &mut Reader, name: &str) -> bool {
        let Some(value) = self.part(name) else {
            return false;
        };
        let flag = value.get_ref().as_bool();
        if flag.is_none() {
            reader.wrong_type(name, "true or false", value);
        }
        flag == Some(true)
    }

    /// A whole number from `least` to `most`.
    pub(crate) fn integer(
        &self,
        reader: &mut Reader,
        name: &str,
        least: u64,
        most: u64,
    ) -> Option<u64> {
        let value = self.part(name)?;
        let Some(integer) = value.get_ref().as_integer() else {
            reader.wrong_type(name, "a whole number", value);
            return None;
        };
        let number = u64::from_str_radix(integer.as_str(), integer.radix()).ok();
        let number = number.filter(|number| (least..=most).contains(number));
        if number.is_none() {
            let message = format!("`{name}` is out of range");
            let expected = format!("a whole number from {least} to {most}");
            reader.malformed(span_of(value), message, &expected);
        }
        number
    }

    /// The entries of a table whose keys are the author's.
    pub(crate) fn entries(
        &self,
        reader: &mut Reader,
        name: &str,
    ) -> Vec<(&'t str, Span, Part<'t, 'i>)> {
        let Some(value) = self.part(name) else {
            return Vec::new();
        };
        let Some(table) = value.get_ref().as_table() else {
            reader.wrong_type(name, "a table", value);
            return Vec::new();
        };
        let entries = in_order(table).into_iter();
        let entries = entries.map(|(key, value)| (key.get_ref().as_ref(), span_of(key), value));
        entries.collect()
    }

    /// The items of an array of tables.
    pub(crate) fn items(&self, reader: &mut Reader, name: &str) -> Vec<Part<'t, 'i>> {
        let Some(value) = self.part(name) else {
            return Vec::new();
        };
        let items = reader.array(name, "an array of tables", value);
        items.into_iter().flat_map(|items| items.iter()).collect()
    }
}

fn unknown_key<'k>(
    reader: &mut Reader,
    what: &str,
    names: impl Iterator<Item = &'k str> + Clone,
    key: &Spanned<DeString<'_>>,
) {
    let span = span_of(key);
    let message = format!("{what} has no key `{}`", shortened(key.get_ref()));
    let diagnostic = Diagnostic::new(Code::UnknownKey, span, message);
    if reader.is_full() {
        // Nobody will see it, and looking for near names costs more than reading did.
        return reader.report(diagnostic);
    }
    let diagnostic = diagnostic.with_caret("unknown key");
    reader.report(match did_you_mean(key.get_ref(), names.clone()) {
        Some(near) => diagnostic
            .with_help(format!("Did you mean `{near}`?"))
            .with_suggestion(span, near),
        None => diagnostic.with_help(format!(
            "Known keys: {}.",
            names.collect::<Vec<_>>().join(", ")
        )),
    });
}
