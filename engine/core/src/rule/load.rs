//! From files to a catalog: everything the author and the site wrote, read, layered and complained about.
//!
//! Relies on the caller for the files: nothing here opens one. What a file is follows from what it says, not
//! from its name; only site lists that are not TOML are told by their folder, `lists`. A file with mistakes is
//! reported and left out; the others go on. Tests are read last, because their events may be based on a
//! schema or a JSON file that comes later among the files.

use super::exception;
use super::layer::{self, Override, read_overrides};
use super::list::{self, Format, Lists, SiteList};
use super::model::{Condition, Rule, RuleId};
use super::place::{Place, Report};
use super::plugin::Plugins;
use super::read::{Fields, Reader, in_order, span_of};
use super::rule_file::read_rule;
use super::sample::{Bases, Samples};
use super::shape::RULE;
use super::suite::{self, Draft, Orphan, Suite};
use crate::diagnostic::{Code, Diagnostic, Level, Source, Span, did_you_mean};
use crate::limits::{LIST_FILE_BYTES_MAX, RULE_FILE_BYTES_MAX, RULES_MAX};
use crate::selector::schema::{Schema, builtin};
use jiff::civil::Date;
use std::collections::{BTreeMap, BTreeSet};
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

    /// A file that is not UTF-8.
    pub fn not_text(path: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            text: String::new(),
            role: Role::NotText,
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
    /// It is not UTF-8; its text was not kept.
    NotText,
}

/// Everything that was read.
#[derive(Clone, Debug, Default)]
pub struct Catalog {
    /// The rules without mistakes, in the order of their files, with the overrides applied.
    pub rules: Vec<Rule>,
    /// Every id that some rule has, also of rules with mistakes.
    pub ids: BTreeSet<String>,
    /// The overrides, in the order of application.
    pub overrides: Vec<Override>,
    /// The site lists by name.
    pub lists: Lists,
    /// The plugins that rules may ask; set by who runs them.
    pub plugins: Plugins,
    /// The tests of the rules.
    pub suites: Vec<Suite>,
    /// Tests of no rule.
    pub orphans: Vec<Orphan>,
    /// The field schemas that were among the files.
    pub schemas: Vec<Schema>,
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

    /// The schema of a source: the last one among the files, else the built-in one.
    pub fn schema(&self, source: &str) -> Option<&Schema> {
        let own = self
            .schemas
            .iter()
            .rev()
            .find(|schema| schema.id() == source);
        own.or_else(|| Schema::builtin(source))
    }

    /// How many reports are errors.
    pub fn errors(&self) -> usize {
        self.reports
            .iter()
            .filter(|report| report.diagnostic.level == Level::Error)
            .count()
    }

    fn sources(&self) -> Vec<&str> {
        builtin()
            .iter()
            .chain(&self.schemas)
            .map(Schema::id)
            .collect()
    }
}

/// Reads all files. `today` (UTC) tells which exceptions have expired. JSON files are read when they are site
/// lists or when a test names them, and otherwise not looked at.
pub fn load(files: &[File], today: Date) -> Catalog {
    load_with(files, today, |_| (Vec::new(), Vec::new()))
}

/// As [`load`], with rules that are not files of ours: `others` makes them, knowing the site lists. Overrides apply to
/// them as to all rules.
pub fn load_with(
    files: &[File],
    today: Date,
    others: impl FnOnce(&Lists) -> (Vec<Rule>, Vec<Report>),
) -> Catalog {
    let mut loading = Loading {
        files,
        ..Loading::default()
    };
    for (number, file) in files.iter().enumerate() {
        if loading.order.insert(&file.path, number).is_none() {
            loading.file(file);
        }
    }
    let (rules, reports) = others(&loading.catalog.lists);
    loading.catalog.reports.extend(reports);
    loading.finish(today, rules)
}

#[derive(Default)]
struct Loading<'f> {
    files: &'f [File],
    catalog: Catalog,
    /// Position of each file among the files: for sorting reports, and for finding the events of tests.
    order: BTreeMap<&'f str, usize>,
    /// Every id that some file gives, with or without mistakes elsewhere in it.
    ids: BTreeMap<String, Place>,
    /// Files with tests, to be read when everything else is.
    tests: Vec<(Arc<Source>, Content)>,
    /// Lists that the person named, which no found list replaces.
    named: Vec<String>,
}

/// What a TOML file turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content {
    Rule,
    Tests,
    Overrides,
    List,
    Schema,
    /// Policies of remediation, which are read where remediation is.
    Policies,
    Unknown,
}

/// What a table is, by the keys that only one kind of file has.
pub(super) fn content_of(table: &DeTable<'_>) -> Content {
    let has = |keys: &[&str]| keys.iter().any(|key| table.contains_key(*key));
    if has(&["override"]) {
        Content::Overrides
    } else if has(&["remediation", "exempt"]) {
        Content::Policies
    } else if has(&["fields"]) {
        Content::Schema
    } else if has(&["when", "severity", "finding", "attack", "runbook"]) {
        Content::Rule
    } else if has(&["test", "events"]) {
        Content::Tests
    } else if has(&["values"]) {
        Content::List
    } else {
        Content::Unknown
    }
}

impl<'f> Loading<'f> {
    fn file(&mut self, file: &File) {
        let listed = matches!(file.role, Role::List(_)) || lies_in_lists(&file.path);
        let format = Format::of(&file.path);
        if format != Some(Format::Toml) && !listed {
            return;
        }
        let source = Arc::new(Source {
            name: file.path.clone(),
            text: file.text.clone(),
        });
        let mut reader = Reader::new(source.clone());
        if file.role == Role::NotText {
            not_text(&mut reader);
            self.catalog.reports.append(&mut reader.finish());
            return;
        }
        let most = if listed {
            LIST_FILE_BYTES_MAX
        } else {
            RULE_FILE_BYTES_MAX
        };
        if reader.within("bytes of a file", file.text.len(), most, Span::new(0, 0)) {
            match (format, &file.role) {
                (Some(Format::Toml), _) => self.toml(&mut reader, &source, &file.role),
                (Some(Format::Json), role) => {
                    let name = list_name(&file.path, role);
                    let list = list::read_json(&mut reader, &source.text, name);
                    self.list(&mut reader, list, role);
                }
                (Some(Format::Csv), role) | (None, role @ Role::List(_)) => {
                    let list =
                        list::read_csv(&mut reader, &source.text, list_name(&file.path, role));
                    self.list(&mut reader, Some(list), role);
                }
                (None, Role::Found | Role::NotText) => {}
            }
        }
        self.catalog.reports.append(&mut reader.finish());
    }

    fn toml(&mut self, reader: &mut Reader, source: &Arc<Source>, role: &Role) {
        let table = reader.parse(&source.text);
        let table = table.get_ref();
        let broken = reader.errors() > 0;
        let content = match role {
            Role::List(_) => Content::List,
            Role::Found | Role::NotText => content_of(table),
        };
        match content {
            Content::Rule => {
                self.rule(reader, table);
                if table.contains_key("test") || table.contains_key("events") {
                    self.tests.push((source.clone(), content));
                }
            }
            Content::Tests => {
                // Read again when everything else is known; its mistakes are told then.
                reader.reports.clear();
                self.tests.push((source.clone(), content));
            }
            Content::Overrides => self.catalog.overrides.extend(read_overrides(reader, table)),
            Content::List => {
                let list = list::read_toml(reader, table, list_name(&source.name, role));
                self.list(reader, list, role);
            }
            Content::Schema if !broken => self.schema(reader, &source.text),
            Content::Unknown if !broken => unknown_file(reader, table),
            Content::Schema | Content::Unknown | Content::Policies => {}
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
        if reader.within("rules", self.ids.len(), RULES_MAX, span) {
            self.catalog.rules.extend(rule.filter(|_| !broken));
        }
    }

    /// A list of a later path replaces one of the same name, so that a site fills the lists that rules ship
    /// empty; two of one name in one folder are a mistake.
    fn list(&mut self, reader: &mut Reader, list: Option<SiteList>, role: &Role) {
        let Some(list) = list else { return };
        let named = matches!(role, Role::List(_));
        if let Some(first) = self.catalog.lists.get(&list.name) {
            let folder = |path: &str| {
                path.rsplit_once(['/', '\\'])
                    .map(|(folder, _)| folder.to_owned())
            };
            if !named && folder(&first.place.source.name) == folder(&reader.source.name) {
                let message = format!("two lists are called `{}`", list.name);
                let help = format!("The other one is {}; it is used.", first.place.source.name);
                let span = Span::new(0, 0);
                reader.report(Diagnostic::new(Code::DuplicateList, span, message).with_help(help));
                return;
            }
        }
        if named {
            self.named.push(list.name.clone());
        } else if self.named.contains(&list.name) {
            return;
        }
        self.catalog.lists.insert(list.name.clone(), list);
    }

    fn schema(&mut self, reader: &mut Reader, text: &str) {
        match Schema::from_toml(text) {
            Ok(schema) => self.catalog.schemas.push(schema),
            Err(diagnostics) => diagnostics.into_iter().for_each(|one| reader.report(one)),
        }
    }

    fn finish(mut self, today: Date, others: Vec<Rule>) -> Catalog {
        let mut reports = Vec::new();
        let drafts = self.drafts(&mut reports);
        let (suites, orphans, assigned) = suite::assign(drafts, &self.catalog.rules, &self.ids);
        (self.catalog.suites, self.catalog.orphans) = (suites, orphans);
        reports.extend(assigned);
        others
            .into_iter()
            .for_each(|rule| self.other(rule, &mut reports));
        let catalog = &mut self.catalog;
        catalog.ids = self.ids.keys().cloned().collect();
        reports.extend(layer::apply(
            &mut catalog.rules,
            &catalog.overrides,
            &self.ids,
        ));
        for rule in &mut catalog.rules {
            exception::report_expired(&rule.exceptions, today, &mut reports);
            drop_listless(rule, &catalog.lists, &mut reports);
        }
        report_sources(catalog, &mut reports);
        catalog.reports.append(&mut reports);
        let order = &self.order;
        catalog.reports.sort_by_key(|report| {
            (
                order.get(report.source.name.as_str()).copied(),
                report.diagnostic.span.start,
            )
        });
        self.catalog
    }

    /// Adds a rule that stands in no file of ours.
    fn other(&mut self, rule: Rule, reports: &mut Vec<Report>) {
        let (id, place) = (rule.id.as_str().to_owned(), rule.place.clone());
        let mistake = match self.ids.get(&id) {
            Some(first) => Some(
                Diagnostic::new(
                    Code::DuplicateId,
                    place.span,
                    format!("the id `{id}` is taken"),
                )
                .with_caret("used twice")
                .with_help(format!("The first rule of this id is at {first}.")),
            ),
            None if self.catalog.rules.len() >= RULES_MAX => {
                let message = format!("more than {RULES_MAX} rules");
                Some(Diagnostic::new(Code::Bound, place.span, message))
            }
            None => None,
        };
        if let Some(diagnostic) = mistake {
            let source = place.source;
            reports.push(Report { source, diagnostic });
            return;
        }
        self.ids.insert(id, place);
        self.catalog.rules.push(rule);
    }

    fn drafts(&self, reports: &mut Vec<Report>) -> Vec<Draft> {
        let mut drafts = Vec::with_capacity(self.tests.len());
        for (source, content) in &self.tests {
            let folder = source
                .name
                .rsplit_once(['/', '\\'])
                .map_or("", |(folder, _)| folder);
            let bases = Around {
                loading: self,
                folder,
            };
            let mut samples = Samples::new(&bases);
            let mut reader = Reader::new(source.clone());
            let table = reader.parse(&source.text);
            if *content == Content::Rule {
                reader = Reader::new(source.clone());
                let fields = Fields::reopen(table.get_ref(), &RULE);
                let draft = suite::read_tests(&mut reader, &fields, &mut samples);
                let id = table
                    .get_ref()
                    .get("id")
                    .and_then(|id| id.get_ref().as_str());
                let rule = id.and_then(|id| Some((id.to_owned(), self.ids.get(id)?.clone())));
                drafts.extend(rule.map(|rule| Draft {
                    rule: Some(rule),
                    ..draft
                }));
            } else {
                let broken = reader.errors() > 0;
                let draft = suite::read_suite(&mut reader, table.get_ref(), &mut samples);
                if broken {
                    drop_consequences(&mut reader);
                }
                drafts.push(draft);
            }
            reports.append(&mut reader.finish());
        }
        drafts
    }
}

/// What the tests in a folder can be based on.
struct Around<'l, 'f> {
    loading: &'l Loading<'f>,
    folder: &'l str,
}

impl Bases for Around<'_, '_> {
    fn example(&self, source: &str) -> Option<&str> {
        self.loading.catalog.schema(source).map(Schema::example)
    }

    fn sources(&self) -> Vec<&str> {
        self.loading.catalog.sources()
    }

    fn file(&self, path: &str) -> Option<&str> {
        let relative = path.strip_prefix("./").unwrap_or(path);
        let whole = match self.folder {
            "" => relative.to_owned(),
            folder => format!("{folder}/{relative}"),
        };
        let number = self.loading.order.get(whole.as_str())?;
        self.loading
            .files
            .get(*number)
            .filter(|file| file.role != Role::NotText)
            .map(|file| file.text.as_str())
    }
}

fn lies_in_lists(path: &str) -> bool {
    path.rsplit(['/', '\\']).nth(1) == Some("lists")
}

fn list_name<'n>(path: &'n str, role: &'n Role) -> &'n str {
    if let Role::List(name) = role {
        return name;
    }
    let file = path.rsplit(['/', '\\']).next().unwrap_or(path);
    file.rsplit_once('.').map_or(file, |(stem, _)| stem)
}

/// What is missing or wrong in a file that is not TOML is most often a consequence of that.
fn drop_consequences(reader: &mut Reader) {
    let syntax = reader.reports.iter().map(|report| &report.diagnostic);
    let broken: Vec<Span> = syntax
        .filter(|one| one.code == Code::TomlSyntax)
        .map(|one| one.span)
        .collect();
    reader.reports.retain(|Report { diagnostic, .. }| {
        let span = diagnostic.span;
        let touches = |other: &Span| span.start <= other.end && other.start <= span.end;
        diagnostic.code == Code::TomlSyntax
            || (diagnostic.code != Code::MissingKey && !broken.iter().any(touches))
    });
}

/// An exception by a list that is not there excuses nothing.
fn drop_listless(rule: &mut Rule, lists: &Lists, reports: &mut Vec<Report>) {
    rule.exceptions.retain(|exception| {
        let Condition::Listed {
            list, list_place, ..
        } = &exception.condition
        else {
            return true;
        };
        if lists.contains_key(list) {
            return true;
        }
        let message = format!("there is no list `{list}`");
        let mut diagnostic = Diagnostic::new(Code::ListUnknown, list_place.span, message);
        diagnostic = match did_you_mean(list, lists.keys().map(String::as_str)) {
            Some(near) => diagnostic
                .with_help(format!("Did you mean `{near}`?"))
                .with_suggestion(list_place.span, format!("\"{near}\"")),
            None => diagnostic.with_help("Put it into a folder `lists`, or give it with `--list`."),
        };
        reports.push(Report {
            source: list_place.source.clone(),
            diagnostic,
        });
        false
    });
}

/// A source without a schema is fine, unless its name looks like a slip.
fn report_sources(catalog: &Catalog, reports: &mut Vec<Report>) {
    let mut suspects: BTreeMap<&str, Option<&str>> = BTreeMap::new();
    for rule in &catalog.rules {
        let (Some(source), Some(place)) = (&rule.source, &rule.source_place) else {
            continue;
        };
        if catalog.schema(source).is_some() {
            continue;
        }
        let near = suspects
            .entry(source)
            .or_insert_with(|| did_you_mean(source, catalog.sources()));
        let Some(near) = near else { continue };
        let message = format!("there is no schema for the source `{source}`");
        let diagnostic = Diagnostic::new(Code::SourceUnknown, place.span, message)
            .with_caret("its events are untyped")
            .with_help(format!("Did you mean `{near}`?"))
            .with_suggestion(place.span, format!("\"{near}\""));
        reports.push(Report {
            source: place.source.clone(),
            diagnostic,
        });
    }
}

fn unknown_file(reader: &mut Reader, table: &DeTable<'_>) {
    let span = in_order(table)
        .first()
        .map_or(Span::default(), |(key, _)| span_of(key));
    let message = if table.is_empty() {
        "this file says nothing"
    } else {
        "this file is nothing that we know"
    };
    reader.report(Diagnostic::new(Code::UnknownFile, span, message).with_help(
        "A rule has `when`, tests have `[[test]]`, overrides `[[override]]`, a list `values`, policies `[remediation.…]`.",
    ));
}

fn not_text(reader: &mut Reader) {
    let message = "this file is not UTF-8 text";
    reader.report(
        Diagnostic::new(Code::TomlSyntax, Span::new(0, 0), message)
            .with_help("Save it as UTF-8. Windows calls UTF-16 \"Unicode\"."),
    );
}

#[cfg(test)]
mod tests;
