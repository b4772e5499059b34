//! Conditions on the texts at a path (`texts("a.b").anyIs("x")`), as far as an index can look at them.
//!
//! Most events have one string, number or boolean at a path, reached through objects only: there the field's place in
//! the event tells everything. What stands otherwise (a list or an object at the end, a list on the way, a key with
//! dots in it) is *odd*: rules are filed under oddness as under any value they accept, and the check leaves odd
//! fields to the program. Such conditions are never undecided: a field that is absent has no texts.

use super::formula::{LITERAL_BYTES_MIN, literal_texts, regex_literals};
use crate::event::{Document, FieldId, FieldPath, FieldSet, Json, Kind, Slots};
use crate::selector::ast::{Expr, ExprKind, Literal};
use crate::selector::texts::{Like, TextPath, fold};

/// What a condition asks of the texts at a path, lowered.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum TextsAsk {
    /// One of the texts is one of these.
    Is(Vec<Box<str>>),
    /// One of these must be in one of the texts, or the condition is false.
    Holds(Vec<Box<str>>),
}

/// A condition on the texts at a path.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Texts {
    pub(super) field: FieldId,
    pub(super) ask: TextsAsk,
}

impl Texts {
    /// The condition that `expr` is, if the index can do anything with it.
    pub(super) fn of(expr: &Expr, fields: &mut FieldSet) -> Option<Self> {
        let ExprKind::MemberCall {
            target,
            function,
            args,
            ..
        } = &expr.kind
        else {
            return None;
        };
        let path = path_of(target, "texts")?;
        let [constants] = &args[..] else { return None };
        let constants = literal_texts(constants)?;
        let folded = |text: &&str| fold(text).into_boxed_str();
        let ask = match function.as_str() {
            "anyIs" => TextsAsk::Is(constants.iter().map(folded).collect()),
            "anyStartsWith" | "anyEndsWith" | "anyContains" => {
                TextsAsk::Holds(constants.iter().map(folded).collect())
            }
            "anyLike" => {
                let longest = |text: &&str| Like::new(text).longest_text().into_boxed_str();
                TextsAsk::Holds(constants.iter().map(longest).collect())
            }
            "anyMatches" => {
                let literals: Option<Vec<Vec<String>>> =
                    constants.iter().map(|text| regex_literals(text)).collect();
                let literals = literals?.into_iter().flatten();
                TextsAsk::Holds(literals.map(|text| fold(&text).into_boxed_str()).collect())
            }
            _ => return None,
        };
        let telling = match &ask {
            TextsAsk::Is(_) => true,
            TextsAsk::Holds(all) => all.iter().all(|text| text.len() >= LITERAL_BYTES_MIN),
        };
        let field = path.field().filter(|_| telling)?;
        for shortcut in path.shortcuts() {
            fields.intern(&shortcut);
        }
        let field = fields.intern(&field);
        Some(Self { field, ask })
    }
}

/// The path in `function("path")`.
pub(super) fn path_of(expr: &Expr, function: &str) -> Option<TextPath> {
    match &expr.kind {
        ExprKind::Call {
            function: name,
            args,
            ..
        } if name == function => match &args[..] {
            [
                Expr {
                    kind: ExprKind::Literal(Literal::String(path)),
                    ..
                },
            ] => TextPath::new(path),
            _ => None,
        },
        _ => None,
    }
}

/// Where a path's texts are looked for in an event.
#[derive(Clone, Debug)]
pub(super) struct Anchor {
    field: FieldId,
    /// What the field is in, from the outside.
    parents: Vec<FieldId>,
    /// The fields that come before it when they are there.
    shortcuts: Vec<FieldId>,
}

/// What an event has at a path.
pub(super) enum Standing<'d> {
    /// No text.
    Absent,
    /// Something that takes a closer look.
    Odd,
    /// One string, number or boolean.
    Scalar(Json<'d>),
}

impl Anchor {
    pub(super) fn new(field: FieldId, fields: &FieldSet) -> Self {
        let mut parents = Vec::new();
        let mut inner = field;
        while let Some(parent) = fields.parent(inner) {
            parents.push(parent);
            inner = parent;
        }
        let path: &FieldPath = fields.path(field);
        let shortcuts = TextPath::new(&path.keys().join("."))
            .iter()
            .flat_map(|path| path.shortcuts().collect::<Vec<_>>())
            .filter_map(|shortcut| fields.find(&shortcut))
            .collect();
        Self {
            field,
            parents,
            shortcuts,
        }
    }

    /// Whether an event without the field has nothing at the path for sure.
    pub(super) fn is_plain(&self) -> bool {
        self.parents.is_empty()
    }

    #[inline]
    pub(super) fn look<'d>(&self, document: Document<'d>, slots: &Slots) -> Standing<'d> {
        let there = |field: &FieldId| slots.get(*field).is_some();
        if self.shortcuts.iter().any(there) {
            return Standing::Odd;
        }
        match slots.get(self.field) {
            Some(node) => {
                let value = document.at(node);
                match value.kind() {
                    Kind::Null => Standing::Absent,
                    Kind::Array | Kind::Object => Standing::Odd,
                    Kind::String | Kind::Number | Kind::Bool => Standing::Scalar(value),
                }
            }
            None => {
                let list = |field: &FieldId| {
                    slots
                        .get(*field)
                        .is_some_and(|node| document.at(node).kind() == Kind::Array)
                };
                if self.parents.iter().any(list) {
                    Standing::Odd
                } else {
                    Standing::Absent
                }
            }
        }
    }
}
