//! Field schemas: which fields a source's events have, their types, and whether they are always there.
//!
//! Schemas are data (`*.toml` beside this file, or a user's own) so that a source is added without code. The
//! checker relies on them for types, suggestions and above all for presence: a field that is only sometimes
//! there is where rules silently fail. A source without a schema is untyped, never refused.
//!
//! Format: `id`, `title`, optional `reference`, `open` (unknown fields are allowed at the top), `marks` (see
//! [`Schema::marks`]) and `example` (one JSON record, the base of rule tests), and `[fields]` by dotted path, `[]` marking the elements of a list:
//! ```toml
//! "resources[].ARN" = { type = "string", presence = "sometimes", distinct = 1000, doc = "The resource." }
//! ```
//! `type` is `string`, `int`, `double`, `bool`, `object`, `any`, `list<…>` or `map<…>`; `presence` (of the field in
//! its parent) is `always` or `sometimes`; optional are `nullable`, `open`, `distinct` (order of magnitude of
//! different values a day), `values` (all known values) and `format`.

use super::types::{RecordId, Type};
use crate::diagnostic::{Code, Diagnostic, Span};
use std::collections::BTreeMap;
use std::sync::OnceLock;

mod load;

/// Whether a field is there whenever its parent is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// In every event.
    Always,
    /// In some events.
    Sometimes,
}

/// What a field holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FieldKind {
    /// Text.
    String,
    /// A whole number.
    Int,
    /// Any number.
    Double,
    /// True or false.
    Bool,
    /// Anything.
    Any,
    /// An object with known fields.
    Object,
    /// An object whose names are data.
    Map(Box<FieldKind>),
    /// A list; of `Object`, the elements' fields are the field's children.
    List(Box<FieldKind>),
}

/// One field of a schema.
#[derive(Clone, Debug)]
pub struct Field {
    /// Its name in its parent; empty for the event itself.
    pub name: String,
    /// Its path from the event, such as `resources[].ARN`.
    pub path: String,
    /// What it holds.
    pub kind: FieldKind,
    /// Whether it is always there.
    pub presence: Presence,
    /// Written `usually`: not always there, but missing from few events only. A hint for the index; what is not
    /// always there has to be guarded all the same.
    pub usual: bool,
    /// Whether it may be JSON null.
    pub nullable: bool,
    /// Whether it may have fields that the schema does not know.
    pub open: bool,
    /// Order of magnitude of different values a day; a hint for the index.
    pub distinct: Option<u32>,
    /// The field that nearly decides this one's value: seeing both says no more than seeing that one. A hint.
    pub follows: Option<String>,
    /// Every known value, when there are few.
    pub values: Vec<String>,
    /// What its text is, such as `timestamp`.
    pub format: Option<String>,
    /// What it means.
    pub doc: String,
    children: BTreeMap<String, RecordId>,
}

/// The fields of one source.
#[derive(Clone, Debug)]
pub struct Schema {
    id: String,
    title: String,
    reference: String,
    example: String,
    marks: Vec<String>,
    /// The event is the first.
    fields: Vec<Field>,
}

const BUILTIN: &[&str] = &[
    include_str!("aws.cloudtrail.toml"),
    include_str!("github.audit.toml"),
    include_str!("kubernetes.audit.toml"),
    include_str!("okta.system-log.toml"),
];

/// Every schema that comes with the product, by id.
pub fn builtin() -> &'static [Schema] {
    static SCHEMAS: OnceLock<Vec<Schema>> = OnceLock::new();
    SCHEMAS.get_or_init(|| {
        BUILTIN
            .iter()
            .filter_map(|text| Schema::from_toml(text).ok())
            .collect()
    })
}

impl Schema {
    /// The schema that comes with the product under `id`.
    pub fn builtin(id: &str) -> Option<&'static Schema> {
        builtin().iter().find(|schema| schema.id == id)
    }

    /// Reads a schema file; every mistake is reported.
    pub fn from_toml(text: &str) -> Result<Schema, Vec<Diagnostic>> {
        load::load(text)
    }

    /// The name rules use as `source`.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// What the records are.
    pub fn title(&self) -> &str {
        &self.title
    }

    /// Where the format is documented; may be empty.
    pub fn reference(&self) -> &str {
        &self.reference
    }

    /// A realistic record as JSON text; `{}` when the schema gives none.
    pub fn example(&self) -> &str {
        &self.example
    }

    /// Dotted paths of fields by which events of the source are told: each event has at least one, and one that has
    /// none is certainly of another source. Empty when the schema does not say.
    pub fn marks(&self) -> &[String] {
        &self.marks
    }

    /// Every field in the order of the file, without the event itself.
    pub fn fields(&self) -> impl Iterator<Item = &Field> {
        self.fields.iter().skip(1)
    }

    /// The field at a dotted path such as `userIdentity.arn` or `resources[].ARN`.
    pub fn field(&self, path: &str) -> Option<&Field> {
        let mut at = Self::ROOT;
        for name in path.split('.') {
            at = self.child(at, name.strip_suffix("[]").unwrap_or(name))?;
        }
        Some(self.record(at))
    }

    pub(super) const ROOT: RecordId = RecordId(0);

    pub(super) fn record(&self, id: RecordId) -> &Field {
        &self.fields[id.0 as usize]
    }

    pub(super) fn child(&self, parent: RecordId, name: &str) -> Option<RecordId> {
        self.record(parent).children.get(name).copied()
    }

    pub(super) fn child_names(&self, parent: RecordId) -> impl Iterator<Item = &str> {
        self.record(parent).children.keys().map(String::as_str)
    }

    /// The type of a value of the field.
    pub(super) fn type_of(&self, id: RecordId) -> Type {
        let field = self.record(id);
        let bare = kind_type(&field.kind, id);
        if field.nullable {
            Type::nullable(bare)
        } else {
            bare
        }
    }

    /// Paths of fields called `name` anywhere, for suggestions.
    pub(super) fn paths_ending_in(&self, name: &str) -> impl Iterator<Item = &str> {
        self.fields()
            .filter(move |field| field.name == name)
            .map(|field| field.path.as_str())
    }
}

fn kind_type(kind: &FieldKind, id: RecordId) -> Type {
    match kind {
        FieldKind::String => Type::String,
        FieldKind::Int => Type::Int,
        FieldKind::Double => Type::Double,
        FieldKind::Bool => Type::Bool,
        FieldKind::Any => Type::Dyn,
        FieldKind::Object => Type::Record(id),
        FieldKind::Map(value) => Type::map(Type::String, kind_type(value, id)),
        FieldKind::List(element) => Type::list(kind_type(element, id)),
    }
}

fn mistake(span: Span, message: impl Into<String>) -> Diagnostic {
    Diagnostic::new(Code::SchemaInvalid, span, message)
}

#[cfg(test)]
mod tests;
