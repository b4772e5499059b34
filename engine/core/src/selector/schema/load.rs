//! Reads schema files. Unknown keys, types and presences are mistakes; all are reported with their place.

use super::{Field, FieldKind, Presence, RecordId, Schema, mistake};
use crate::diagnostic::{Diagnostic, Span, did_you_mean};
use serde::Deserialize;
use std::collections::BTreeMap;
use toml::Spanned;

/// Deepest path of a field.
const PATH_PARTS_MAX: usize = 32;

/// What every source has beside its own fields.
const COMMON: &str = include_str!("common.toml");
const COMMON_ROOT: &str = "ingest";

/// Most marks: each is looked for in events that leave rules undecided.
const MARKS_MAX: usize = 16;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    id: String,
    title: String,
    #[serde(default)]
    reference: String,
    #[serde(default)]
    open: bool,
    #[serde(default)]
    marks: Vec<Spanned<String>>,
    example: Option<Spanned<String>>,
    fields: BTreeMap<Spanned<String>, FieldEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FieldEntry {
    r#type: Spanned<String>,
    presence: Spanned<String>,
    #[serde(default)]
    nullable: bool,
    #[serde(default)]
    open: bool,
    distinct: Option<u32>,
    follows: Option<String>,
    #[serde(default)]
    values: Vec<String>,
    format: Option<String>,
    #[serde(default)]
    doc: String,
}

/// The fields of every source, parents first.
fn common() -> Vec<(Spanned<String>, FieldEntry)> {
    #[derive(Deserialize)]
    struct Common {
        fields: BTreeMap<Spanned<String>, FieldEntry>,
    }
    // The file is ours, and read by the tests of every schema.
    let common: Common = toml::from_str(COMMON).unwrap_or(Common {
        fields: BTreeMap::new(),
    });
    let mut entries: Vec<_> = common.fields.into_iter().collect();
    entries.sort_by_key(|(path, _)| path.as_ref().matches('.').count());
    entries
}

pub(super) fn load(text: &str) -> Result<Schema, Vec<Diagnostic>> {
    let file: File = toml::from_str(text).map_err(|error| {
        let span = error
            .span()
            .map_or(Span::default(), |range| Span::new(range.start, range.end));
        vec![mistake(span, error.message().to_owned())]
    })?;
    let mut loader = Loader {
        fields: vec![event(file.open)],
        diagnostics: Vec::new(),
    };
    // Parents come before children, however the file orders them.
    let mut entries: Vec<_> = file.fields.into_iter().collect();
    entries.sort_by_key(|(path, _)| (path.as_ref().matches('.').count(), path.span().start));
    for (path, entry) in entries {
        loader.add(&path, entry);
    }
    // A source that has the name for itself keeps it.
    if !loader.fields.iter().any(|field| field.path == COMMON_ROOT) {
        for (path, entry) in common() {
            loader.add(&path, entry);
        }
    }
    let example = file
        .example
        .as_ref()
        .map_or("{}", |example| example.as_ref().trim());
    if let Err(error) = serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(example)
    {
        let range = file.example.as_ref().map_or(0..0, Spanned::span);
        let span = Span::new(range.start, range.end);
        loader.diagnostics.push(mistake(
            span,
            format!("the example is not a JSON object: {error}"),
        ));
    }
    let mut schema = Schema {
        id: file.id,
        title: file.title,
        reference: file.reference,
        example: example.to_owned(),
        marks: Vec::new(),
        fields: loader.fields,
    };
    loader
        .diagnostics
        .extend(mistaken_marks(&schema, &file.marks));
    if !loader.diagnostics.is_empty() {
        return Err(loader.diagnostics);
    }
    schema.marks = file.marks.into_iter().map(Spanned::into_inner).collect();
    Ok(schema)
}

/// A mark must be a field that can be looked for without going through a list.
fn mistaken_marks(schema: &Schema, marks: &[Spanned<String>]) -> Vec<Diagnostic> {
    let place = |mark: &Spanned<String>| Span::new(mark.span().start, mark.span().end);
    let mut diagnostics = Vec::new();
    for mark in marks {
        let path = mark.as_ref().as_str();
        if path.contains("[]") {
            let message = format!("the mark `{path}` lies in a list");
            diagnostics.push(mistake(place(mark), message));
        } else if schema.field(path).is_none() {
            let message = format!("the mark `{path}` is none of the fields");
            let mut diagnostic = mistake(place(mark), message);
            let names = schema.fields().map(|field| field.path.as_str());
            if let Some(near) = did_you_mean(path, names) {
                diagnostic = diagnostic.with_help(format!("did you mean `{near}`?"));
            }
            diagnostics.push(diagnostic);
        }
    }
    if let Some(surplus) = marks.get(MARKS_MAX) {
        let message = format!("more than {MARKS_MAX} marks");
        diagnostics.push(mistake(place(surplus), message));
    }
    diagnostics
}

fn event(open: bool) -> Field {
    Field {
        name: String::new(),
        path: String::new(),
        kind: FieldKind::Object,
        presence: Presence::Always,
        usual: true,
        nullable: false,
        open,
        distinct: None,
        follows: None,
        values: Vec::new(),
        format: None,
        doc: String::new(),
        children: BTreeMap::new(),
    }
}

struct Loader {
    fields: Vec<Field>,
    diagnostics: Vec<Diagnostic>,
}

impl Loader {
    fn add(&mut self, path: &Spanned<String>, entry: FieldEntry) {
        let place = Span::new(path.span().start, path.span().end);
        let path = path.as_ref();
        let (kind, presence) = match (self.kind(&entry.r#type), self.presence(&entry.presence)) {
            (Some(kind), Some(presence)) => (kind, presence),
            _ => return,
        };
        let Some(parent) = self.parent(path, place) else {
            return;
        };
        let name = path.rsplit('.').next().unwrap_or(path);
        if name.is_empty() || name.ends_with("[]") {
            self.diagnostics
                .push(mistake(place, format!("`{path}` names no field")));
            return;
        }
        let id = RecordId(self.fields.len() as u32);
        self.fields[parent.0 as usize]
            .children
            .insert(name.to_owned(), id);
        self.fields.push(Field {
            name: name.to_owned(),
            path: path.to_owned(),
            kind,
            presence,
            usual: entry.presence.as_ref() == "usually",
            nullable: entry.nullable,
            open: entry.open,
            distinct: entry.distinct,
            follows: entry.follows,
            values: entry.values,
            format: entry.format,
            doc: entry.doc,
            children: BTreeMap::new(),
        });
    }

    fn parent(&mut self, path: &str, place: Span) -> Option<RecordId> {
        let parts: Vec<&str> = path.split('.').collect();
        if parts.len() > PATH_PARTS_MAX {
            self.diagnostics.push(mistake(
                place,
                format!("`{path}` has more than {PATH_PARTS_MAX} parts"),
            ));
            return None;
        }
        let mut at = RecordId(0);
        for part in &parts[..parts.len() - 1] {
            let (name, of_list) = match part.strip_suffix("[]") {
                Some(name) => (name, true),
                None => (*part, false),
            };
            let found = self.fields[at.0 as usize].children.get(name).copied();
            let fits = |id: &RecordId| match &self.fields[id.0 as usize].kind {
                FieldKind::Object => !of_list,
                FieldKind::List(element) => of_list && **element == FieldKind::Object,
                _ => false,
            };
            let Some(next) = found.filter(fits) else {
                let wanted = if of_list {
                    "a list of objects"
                } else {
                    "an object"
                };
                let message =
                    format!("`{path}` lies in `{part}`, which is not declared as {wanted}");
                self.diagnostics.push(mistake(place, message));
                return None;
            };
            at = next;
        }
        Some(at)
    }

    fn kind(&mut self, text: &Spanned<String>) -> Option<FieldKind> {
        let kind = parse_kind(text.as_ref(), 0);
        if kind.is_none() {
            let names = [
                "string",
                "int",
                "double",
                "bool",
                "object",
                "any",
                "list<string>",
                "map<string>",
            ];
            let span = Span::new(text.span().start, text.span().end);
            let mut diagnostic = mistake(span, format!("unknown type `{}`", text.as_ref()))
                .with_help(format!("types are {}", names.join(", ")));
            if let Some(near) = did_you_mean(text.as_ref(), names) {
                diagnostic = diagnostic.with_help(format!("did you mean `{near}`?"));
            }
            self.diagnostics.push(diagnostic);
        }
        kind
    }

    fn presence(&mut self, text: &Spanned<String>) -> Option<Presence> {
        match text.as_ref().as_str() {
            "always" => Some(Presence::Always),
            "sometimes" | "usually" => Some(Presence::Sometimes),
            other => {
                let span = Span::new(text.span().start, text.span().end);
                let message =
                    format!("presence is `always`, `usually` or `sometimes`, not `{other}`");
                self.diagnostics.push(mistake(span, message));
                None
            }
        }
    }
}

fn parse_kind(text: &str, depth: usize) -> Option<FieldKind> {
    let inner = |prefix: &str| text.strip_prefix(prefix)?.strip_suffix('>');
    if let Some(inner) = inner("list<").filter(|_| depth < 4) {
        return Some(FieldKind::List(Box::new(parse_kind(inner, depth + 1)?)));
    }
    if let Some(inner) = inner("map<").filter(|_| depth < 4) {
        return Some(FieldKind::Map(Box::new(parse_kind(inner, depth + 1)?)));
    }
    Some(match text {
        "string" => FieldKind::String,
        "int" => FieldKind::Int,
        "double" => FieldKind::Double,
        "bool" => FieldKind::Bool,
        "object" => FieldKind::Object,
        "any" => FieldKind::Any,
        _ => return None,
    })
}
