//! The events of tests: built from an example, a file or a text, by small changes.
//!
//! Relies on the field schemas for example records. An event extends another one, which extends another one;
//! cycles and missing names are mistakes of the author. Each event is built anew from its base when a test
//! asks for it, and the sum of what is built is bounded, so that a short file cannot make gigabytes by
//! extending one large event a thousand times.

use super::place::Place;
use super::read::{Fields, Reader, in_order, span_of};
use super::shape::EVENT;
use crate::diagnostic::{Code, Diagnostic, Span, did_you_mean};
use crate::event::PluginFailure;
use crate::limits::{EVENT_BYTES_MAX, SUITE_EVENT_CHAIN_MAX, SUITE_EVENTS_BYTES_MAX};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use toml::de::{DeTable, DeValue};

/// Finds texts that the events of a suite are based on.
pub(super) trait Bases {
    /// The example record of a source.
    fn example(&self, source: &str) -> Option<&str>;
    /// The names of the sources that have one.
    fn sources(&self) -> Vec<&str>;
    /// The text of a file, by its path relative to the folder of the tests.
    fn file(&self, path: &str) -> Option<&str>;
}

/// The named events of one file.
pub(super) struct Samples<'b> {
    bases: &'b dyn Bases,
    events: BTreeMap<String, Sample>,
    /// Bytes that building has cost so far.
    cost: usize,
}

struct Sample {
    base: Base,
    changes: Changes,
    /// Where its name stands.
    span: Span,
    /// Bytes of its own text, and of the text it is based on.
    cost: usize,
    used: bool,
}

enum Base {
    /// Another event, or the example of a source.
    Name(String, Span),
    /// A JSON object.
    Text(String),
    /// Something was wrong with it.
    Broken,
}

#[derive(Default)]
struct Changes {
    remove: Vec<String>,
    set: Map<String, Value>,
    null: Vec<(String, Span)>,
}

impl Changes {
    fn is_empty(&self) -> bool {
        self.remove.is_empty() && self.set.is_empty() && self.null.is_empty()
    }
}

impl<'b> Samples<'b> {
    pub(super) fn new(bases: &'b dyn Bases) -> Self {
        Self {
            bases,
            events: BTreeMap::new(),
            cost: 0,
        }
    }

    /// Reads `[events]`.
    pub(super) fn read(&mut self, reader: &mut Reader, fields: &Fields<'_, '_>) {
        let Some((events, _)) = fields.table("events") else {
            return;
        };
        for (name, value) in in_order(events) {
            let Some(table) = value.get_ref().as_table() else {
                continue;
            };
            let sample = self.read_sample(reader, table, span_of(name));
            self.events.insert(name.get_ref().to_string(), sample);
        }
        let names: Vec<String> = self.events.keys().cloned().collect();
        for name in &names {
            self.check_chain(reader, name);
        }
    }

    fn read_sample(&self, reader: &mut Reader, table: &DeTable<'_>, span: Span) -> Sample {
        let before = reader.errors();
        let fields = Fields::open(reader, table, &EVENT, span);
        let bases: Vec<&str> = ["extends", "file", "json"]
            .into_iter()
            .filter(|key| table.contains_key(*key))
            .collect();
        if bases.len() > 1 {
            let message = format!("an event is based on {} things", bases.len());
            reader.report(
                Diagnostic::new(Code::EventBase, span, message)
                    .with_help(format!("Keep one of {}.", bases.join(", "))),
            );
        }
        let changes = Changes {
            remove: fields.strings("remove"),
            set: fields
                .table("set")
                .map(|(table, _)| object(reader, table))
                .unwrap_or_default(),
            null: fields
                .texts("null")
                .into_iter()
                .map(|(path, span)| (path.to_owned(), span))
                .collect(),
        };
        let base = self.read_base(reader, &fields);
        let base = if reader.errors() > before {
            Base::Broken
        } else {
            base
        };
        let own = fields
            .table("set")
            .map_or(0, |(_, span)| (span.end - span.start) as usize);
        let inherited = if let Base::Text(text) = &base {
            text.len()
        } else {
            0
        };
        Sample {
            base,
            changes,
            span,
            cost: 64 + own + inherited,
            used: false,
        }
    }

    fn read_base(&self, reader: &mut Reader, fields: &Fields<'_, '_>) -> Base {
        if let Some((name, span)) = fields.text("extends") {
            return Base::Name(name.to_owned(), span);
        }
        if let Some((path, span)) = fields.text("file") {
            let Some(text) = self.bases.file(path) else {
                let message = format!("there is no file `{path}` beside these tests");
                reader.report(Diagnostic::new(Code::EventFile, span, message));
                return Base::Broken;
            };
            if let Err(error) = serde_json::from_str::<Map<String, Value>>(text) {
                let message = format!("`{path}` is not a JSON object: {error}");
                reader.report(Diagnostic::new(Code::EventJson, span, message));
                return Base::Broken;
            }
            return Base::Text(text.trim().to_owned());
        }
        if let Some(written) = fields.written(reader, "json") {
            if let Err(error) = serde_json::from_str::<Map<String, Value>>(&written.text) {
                let at = offset_of(&written.text, error.line(), error.column());
                let span = written.map.span(Span::new(at, at + 1));
                let mut message = error.to_string();
                message.truncate(message.find(" at line ").unwrap_or(message.len()));
                let message = format!("the event is not a JSON object: {message}");
                reader.report(Diagnostic::new(Code::EventJson, span, message));
                return Base::Broken;
            }
            return Base::Text(written.text.trim().to_owned());
        }
        Base::Text("{}".to_owned())
    }

    /// Follows `extends` from an event to its base and reports a name that leads nowhere or back. A mistake is
    /// reported at the event that has it, not at those that extend it.
    fn check_chain(&mut self, reader: &mut Reader, name: &str) {
        let mut at = name;
        for step in 0..=SUITE_EVENT_CHAIN_MAX {
            let Some(Base::Name(next, span)) = self.events.get(at).map(|event| &event.base) else {
                return;
            };
            let span = *span;
            if next == name {
                let message = format!("the event `{name}` extends itself");
                let help = "Base one of them on the example of a source, such as `aws.cloudtrail`.";
                reader.report(Diagnostic::new(Code::EventCycle, span, message).with_help(help));
                return self.break_event(name);
            }
            if !self.events.contains_key(next) {
                if step == 0 && self.bases.example(next).is_none() {
                    let next = next.clone();
                    self.unknown(reader, &next, span);
                    self.break_event(name);
                }
                return;
            }
            at = next;
        }
        let span = self
            .events
            .get(name)
            .map(|event| event.span)
            .unwrap_or_default();
        let message = format!("the event `{name}` extends too many others");
        let help = format!("At most {SUITE_EVENT_CHAIN_MAX} in a row are allowed.");
        reader.report(Diagnostic::new(Code::Bound, span, message).with_help(help));
        self.break_event(name);
    }

    fn break_event(&mut self, name: &str) {
        if let Some(event) = self.events.get_mut(name) {
            event.base = Base::Broken;
        }
    }

    fn unknown(&self, reader: &mut Reader, name: &str, span: Span) {
        let message = format!("there is no event `{name}`");
        let mut diagnostic = Diagnostic::new(Code::EventUnknown, span, message);
        let sources = self.bases.sources();
        let names = self
            .events
            .keys()
            .map(String::as_str)
            .chain(sources.iter().copied());
        diagnostic = match did_you_mean(name, names) {
            Some(near) => diagnostic
                .with_help(format!("Did you mean `{near}`?"))
                .with_suggestion(span, format!("\"{near}\"")),
            None => diagnostic.with_help(format!(
                "Name an event of this file, or a source with an example: {}.",
                sources.join(", ")
            )),
        };
        reader.report(diagnostic);
    }

    /// The JSON text of an event, for the test that names it at `span`.
    pub(super) fn event(&mut self, reader: &mut Reader, name: &str, span: Span) -> Option<String> {
        if !self.events.contains_key(name) {
            let example = self.bases.example(name).map(str::to_owned);
            if example.is_none() {
                self.unknown(reader, name, span);
            }
            return example;
        }
        let mut chain: Vec<String> = vec![name.to_owned()];
        let base = loop {
            let event = self.events.get_mut(chain.last()?)?;
            event.used = true;
            self.cost += event.cost;
            match &event.base {
                Base::Name(next, _) if chain.len() <= SUITE_EVENT_CHAIN_MAX => {
                    let next = next.clone();
                    match self
                        .bases
                        .example(&next)
                        .filter(|_| !self.events.contains_key(&next))
                    {
                        Some(example) => break example.to_owned(),
                        None => chain.push(next),
                    }
                }
                Base::Text(text) => break text.clone(),
                Base::Name(..) | Base::Broken => return None,
            }
        };
        if self.cost > SUITE_EVENTS_BYTES_MAX || base.len() > EVENT_BYTES_MAX {
            let most = SUITE_EVENTS_BYTES_MAX;
            reader.within(
                "bytes of events in one file",
                self.cost.max(most + 1),
                most,
                span,
            );
            return None;
        }
        self.build(reader, base, &chain)
    }

    fn build(&self, reader: &mut Reader, base: String, chain: &[String]) -> Option<String> {
        let events: Vec<&Sample> = chain
            .iter()
            .rev()
            .filter_map(|name| self.events.get(name))
            .collect();
        if events.iter().all(|event| event.changes.is_empty()) {
            return Some(base);
        }
        let mut event: Value = serde_json::from_str(&base).ok()?;
        for sample in events {
            // Removing what is not there is no mistake: it says that the event must not have it.
            for path in &sample.changes.remove {
                edit(&mut event, path, Edit::Remove);
            }
            merge(&mut event, &sample.changes.set);
            for (path, span) in &sample.changes.null {
                if !edit(&mut event, path, Edit::Null) {
                    let message = format!("`{path}` leads through something that is no object");
                    note_once(reader, Diagnostic::new(Code::EventPath, *span, message));
                }
            }
        }
        Some(event.to_string())
    }

    /// Reports the events that no test uses, themselves or as a base.
    pub(super) fn report_unused(&self, reader: &mut Reader) {
        for (name, event) in self.events.iter().filter(|(_, event)| !event.used) {
            let message = format!("no test uses the event `{name}`");
            reader.report(Diagnostic::new(Code::EventUnused, event.span, message));
        }
    }
}

/// An event with some fields set; nothing when it is no object.
pub(super) fn changed(reader: &mut Reader, event_json: &str, set: &DeTable<'_>) -> Option<String> {
    let changes = object(reader, set);
    let mut event: Value = serde_json::from_str(event_json).ok()?;
    merge(&mut event, &changes);
    Some(event.to_string())
}

/// What plugins say of an event of a test.
#[derive(Clone, Debug, PartialEq)]
pub struct TestFacts {
    /// The answers, as plugins' answers stand beside an event.
    pub json: String,
    /// The plugins that give none.
    pub failed: Vec<PluginFailure>,
    /// Where they stand.
    pub place: Place,
}

/// Reads `facts` of a test or a moment.
pub(super) fn read_facts(reader: &mut Reader, fields: &Fields<'_, '_>) -> Option<TestFacts> {
    let (table, span) = fields.table("facts")?;
    let fields = Fields::open(reader, table, &super::shape::FACTS, span);
    let mut answers = Map::new();
    for key in ["enrich", "detect", "policy"] {
        if let Some((table, _)) = fields.table(key) {
            answers.insert(key.to_owned(), Value::Object(object(reader, table)));
        }
    }
    let failed = fields.strings("failed").into_iter();
    Some(TestFacts {
        place: reader.place(span),
        json: Value::Object(answers).to_string(),
        failed: failed
            .map(|plugin| PluginFailure {
                plugin,
                reason: "the test says so".to_owned(),
            })
            .collect(),
    })
}

/// Several tests build the same event; its mistakes are told once.
fn note_once(reader: &mut Reader, diagnostic: Diagnostic) {
    if !reader
        .reports
        .iter()
        .any(|report| report.diagnostic == diagnostic)
    {
        reader.report(diagnostic);
    }
}

fn offset_of(text: &str, line: usize, column: usize) -> usize {
    let before: usize = text
        .split('\n')
        .take(line.saturating_sub(1))
        .map(|line| line.len() + 1)
        .sum();
    (before + column.saturating_sub(1)).min(text.len())
}

/// A TOML table as JSON, in the order of the file.
fn object(reader: &mut Reader, table: &DeTable<'_>) -> Map<String, Value> {
    let mut object = Map::new();
    for (key, value) in in_order(table) {
        object.insert(key.get_ref().to_string(), json(reader, value));
    }
    object
}

fn json(reader: &mut Reader, value: &toml::Spanned<DeValue<'_>>) -> Value {
    match value.get_ref() {
        DeValue::String(text) => Value::String(text.to_string()),
        DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) => Value::from(number),
            Err(_) => no_json(reader, value, "an integer does not fit 64 bits"),
        },
        DeValue::Float(number) => match number.as_str().parse::<f64>().ok().and_then(finite) {
            Some(number) => number,
            None => no_json(reader, value, "JSON has no such number"),
        },
        DeValue::Boolean(flag) => Value::Bool(*flag),
        DeValue::Datetime(when) => Value::String(when.to_string()),
        DeValue::Array(items) => items.iter().map(|item| json(reader, item)).collect(),
        DeValue::Table(table) => Value::Object(object(reader, table)),
    }
}

fn finite(number: f64) -> Option<Value> {
    serde_json::Number::from_f64(number).map(Value::Number)
}

fn no_json(reader: &mut Reader, value: &toml::Spanned<DeValue<'_>>, message: &str) -> Value {
    reader.report(Diagnostic::new(Code::EventJson, span_of(value), message));
    Value::Null
}

/// Tables merge, everything else replaces.
fn merge(event: &mut Value, changes: &Map<String, Value>) {
    let Value::Object(object) = event else { return };
    for (key, change) in changes {
        match (object.get_mut(key), change) {
            (Some(old @ Value::Object(_)), Value::Object(change)) => merge(old, change),
            _ => {
                object.insert(key.clone(), change.clone());
            }
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Edit {
    Remove,
    Null,
}

/// Changes what a dotted path leads to; numbers lead into arrays. Says whether it could.
fn edit(event: &mut Value, path: &str, edit: Edit) -> bool {
    let mut at = event;
    let mut parts = path.split('.').peekable();
    while let Some(part) = parts.next() {
        let last = parts.peek().is_none();
        at = match at {
            Value::Object(object) if last => {
                return match edit {
                    Edit::Remove => object.shift_remove(part).is_some(),
                    Edit::Null => {
                        object.insert(part.to_owned(), Value::Null);
                        true
                    }
                };
            }
            Value::Object(object) => match object.get_mut(part) {
                Some(next) => next,
                None => return false,
            },
            Value::Array(items) => {
                let Some(index) = part
                    .parse()
                    .ok()
                    .filter(|index: &usize| *index < items.len())
                else {
                    return false;
                };
                match (last, edit) {
                    (true, Edit::Remove) => {
                        items.remove(index);
                        return true;
                    }
                    (true, Edit::Null) => {
                        items[index] = Value::Null;
                        return true;
                    }
                    (false, _) => &mut items[index],
                }
            }
            _ => return false,
        };
    }
    false
}
