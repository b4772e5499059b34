//! From files to a catalog: everything the author and the site wrote, read, layered and complained about.
//!
//! Relies on the caller for the files: nothing here opens one. What a file is follows from what it says, not
//! from its name. A file with mistakes is reported and left out; the others go on.

use super::exception;
use super::model::{Rule, RuleId};
use super::place::{Place, Report};
use super::read::{Reader, in_order, span_of};
use super::rule_file::read_rule;
use crate::diagnostic::{Code, Diagnostic, Level, Source, Span};
use crate::limits::{RULE_FILE_BYTES_MAX, RULES_MAX};
use jiff::civil::Date;
use std::collections::BTreeMap;
use std::sync::Arc;
use toml::de::DeTable;

/// A file that a caller found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Its path, as the person would type it.
    pub path: String,
    /// What is in it.
    pub text: String,
    /// What the caller knows about it.
    pub role: Role,
}

impl File {
    /// A file that says itself what it is.
    pub fn found(path: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            text: text.into(),
            role: Role::Found,
        }
    }

    /// A site list of this name, wherever it lies.
    pub fn list(name: impl Into<String>, path: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            text: text.into(),
            role: Role::List(name.into()),
        }
    }
}

/// What a caller knows about a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Role {
    /// Nothing: its content tells.
    Found,
    /// The person named it as a site list.
    List(String),
}

/// Everything that was read.
#[derive(Clone, Debug, Default)]
pub struct Catalog {
    /// The rules without mistakes, in the order of their files, with the overrides applied.
    pub rules: Vec<Rule>,
    /// Field schemas, to be read by the selector floor.
    pub schemas: Vec<Arc<Source>>,
    /// What is wrong or doubtful, by file and place.
    pub reports: Vec<Report>,
}

impl Catalog {
    /// The rules that no override switched off.
    pub fn enabled(&self) -> impl Iterator<Item = &Rule> {
        self.rules.iter().filter(|rule| rule.is_enabled())
    }

    /// The rule of this id.
    pub fn rule(&self, id: &str) -> Option<&Rule> {
        self.rules.iter().find(|rule| rule.id.as_str() == id)
    }

    /// How many reports are errors.
    pub fn errors(&self) -> usize {
        self.reports
            .iter()
            .filter(|report| report.diagnostic.level == Level::Error)
            .count()
    }
}

/// Reads all files. `today` (UTC) tells which exceptions have expired.
pub fn load(files: &[File], today: Date) -> Catalog {
    let mut loading = Loading::default();
    for file in files {
        let number = loading.order.len();
        if loading.order.insert(file.path.clone(), number).is_none() {
            loading.file(file);
        }
    }
    loading.finish(today)
}

#[derive(Default)]
struct Loading {
    catalog: Catalog,
    /// Position of each file among the files, for sorting reports.
    order: BTreeMap<String, usize>,
    /// Every id that some file gives, with or without mistakes elsewhere in it.
    ids: BTreeMap<String, Place>,
}

/// What a TOML file turned out to be.
enum Content {
    Rule,
    Schema,
    Unknown,
}

fn content_of(table: &DeTable<'_>) -> Content {
    let has = |keys: &[&str]| keys.iter().any(|key| table.contains_key(*key));
    if has(&["when", "severity", "finding", "attack", "runbook"]) {
        Content::Rule
    } else if has(&["fields", "field", "source"]) {
        Content::Schema
    } else {
        Content::Unknown
    }
}

impl Loading {
    fn file(&mut self, file: &File) {
        let source = Arc::new(Source {
            name: file.path.clone(),
            text: file.text.clone(),
        });
        let mut reader = Reader::new(source.clone());
        let whole = Span::new(0, 0);
        if file.path.ends_with(".toml")
            && reader.within(
                "bytes of a file",
                file.text.len(),
                RULE_FILE_BYTES_MAX,
                whole,
            )
        {
            self.toml(&mut reader, &source);
        }
        self.catalog.reports.append(&mut reader.finish());
    }

    fn toml(&mut self, reader: &mut Reader, source: &Arc<Source>) {
        let table = reader.parse(&source.text);
        let broken = reader.errors() > 0;
        match content_of(table.get_ref()) {
            Content::Rule => self.rule(reader, table.get_ref()),
            Content::Schema if !broken => self.catalog.schemas.push(source.clone()),
            Content::Schema => {}
            Content::Unknown if !broken => unknown_file(reader, table.get_ref()),
            Content::Unknown => {}
        }
        if broken {
            drop_consequences(reader);
        }
    }

    fn rule(&mut self, reader: &mut Reader, table: &DeTable<'_>) {
        let broken = reader.errors() > 0;
        let rule = read_rule(reader, table);
        let id = table
            .get("id")
            .and_then(|id| Some((id.get_ref().as_str()?, span_of(id))));
        let Some((id, span)) = id.filter(|(id, _)| RuleId::new(id).is_some()) else {
            return;
        };
        if let Some(first) = self.ids.get(id) {
            reader.report(
                Diagnostic::new(Code::DuplicateId, span, format!("the id `{id}` is taken"))
                    .with_caret("used twice")
                    .with_help(format!("The first rule of this id is at {first}.")),
            );
            return;
        }
        self.ids.insert(id.to_owned(), reader.place(span));
        if self.catalog.rules.len() >= RULES_MAX {
            let count = self.catalog.rules.len() + 1;
            reader.within("rules", count, RULES_MAX, span);
            return;
        }
        self.catalog.rules.extend(rule.filter(|_| !broken));
    }

    fn finish(mut self, today: Date) -> Catalog {
        for rule in &self.catalog.rules {
            exception::report_expired(&rule.exceptions, today, &mut self.catalog.reports);
        }
        let order = &self.order;
        self.catalog.reports.sort_by_key(|report| {
            (
                order.get(&report.source.name).copied(),
                report.diagnostic.span.start,
            )
        });
        self.catalog
    }
}

/// What is missing or wrong in a file that is not TOML is most often a consequence of that.
fn drop_consequences(reader: &mut Reader) {
    let syntax = reader.reports.iter().map(|report| &report.diagnostic);
    let broken: Vec<Span> = syntax
        .filter(|one| one.code == Code::TomlSyntax)
        .map(|one| one.span)
        .collect();
    reader.reports.retain(|Report { diagnostic, .. }| {
        let touches =
            |span: &Span| diagnostic.span.start <= span.end && span.start <= diagnostic.span.end;
        diagnostic.code == Code::TomlSyntax
            || (diagnostic.code != Code::MissingKey && !broken.iter().any(touches))
    });
}

fn unknown_file(reader: &mut Reader, table: &DeTable<'_>) {
    let span = in_order(table)
        .first()
        .map_or(Span::default(), |(key, _)| span_of(key));
    reader.report(
        Diagnostic::new(Code::UnknownFile, span, "this file is nothing that we know").with_help(
            "A rule has `when`, tests have `[[test]]`, overrides `[[override]]`, a list `values`.",
        ),
    );
}
