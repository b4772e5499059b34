//! Selections as Sigma writes them: maps of fields, lists of alternatives, keywords.
//!
//! From YAML to a small tree with places, which pipelines may change before anything is lowered. Whether a modifier fits
//! a value is `item`'s to say; here only shapes and names are judged.

use super::yaml::{Node, Value, shorten};
use crate::diagnostic::{Code, Diagnostic, Span, did_you_mean};
use std::collections::BTreeSet;

/// What a selection asks of an event.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Detection {
    All(Vec<Detection>),
    Any(Vec<Detection>),
    Item(Item),
}

/// One field, or the whole event, and the values looked for.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Item {
    /// None for keywords.
    pub(super) field: Option<String>,
    pub(super) modifiers: Vec<Modifier>,
    /// Scalars.
    pub(super) values: Vec<Node>,
    pub(super) span: Span,
    /// The items of pipelines that were applied to it.
    pub(super) applied: BTreeSet<String>,
}

/// A named selection.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Selection {
    pub(super) name: String,
    pub(super) detection: Detection,
}

macro_rules! modifiers {
    ($($name:ident = $text:literal,)+) => {
        /// What stands after the bar of a field's name.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub(super) enum Modifier { $($name,)+ }

        impl Modifier {
            const WORDS: &'static [(&'static str, Modifier)] = &[$(($text, Modifier::$name),)+];

            /// As it is written.
            pub(super) fn word(self) -> &'static str {
                match self { $(Modifier::$name => $text,)+ }
            }
        }
    };
}

modifiers! {
    All = "all",
    Contains = "contains",
    StartsWith = "startswith",
    EndsWith = "endswith",
    Exists = "exists",
    Cased = "cased",
    Neq = "neq",
    Windash = "windash",
    Re = "re",
    IgnoreCase = "i",
    MultiLine = "m",
    SingleLine = "s",
    Base64 = "base64",
    Base64Offset = "base64offset",
    Wide = "wide",
    Utf16Le = "utf16le",
    Utf16Be = "utf16be",
    Utf16 = "utf16",
    Lt = "lt",
    Lte = "lte",
    Gt = "gt",
    Gte = "gte",
    Minute = "minute",
    Hour = "hour",
    Day = "day",
    Week = "week",
    Month = "month",
    Year = "year",
    Cidr = "cidr",
    Expand = "expand",
    FieldRef = "fieldref",
}

impl Item {
    /// What it takes, about, in bytes.
    pub(super) fn weight(&self) -> usize {
        let field = self.field.as_ref().map_or(0, String::len);
        64 + field + self.values.iter().map(Node::weight).sum::<usize>()
    }

    pub(super) fn has(&self, modifier: Modifier) -> bool {
        self.modifiers.contains(&modifier)
    }
}

impl Detection {
    /// Whether `test` holds of some item.
    pub(super) fn any_item(&self, test: &mut dyn FnMut(&Item) -> bool) -> bool {
        match self {
            Self::All(parts) | Self::Any(parts) => parts.iter().any(|part| part.any_item(test)),
            Self::Item(item) => test(item),
        }
    }

    /// Replaces every item by what `change` makes of it; one that gives nothing is dropped, and so is what then
    /// holds nothing.
    pub(super) fn rewritten(
        self,
        change: &mut dyn FnMut(Item) -> Option<Detection>,
    ) -> Option<Self> {
        let mut parts = |parts: Vec<Detection>| -> Vec<Detection> {
            let parts = parts.into_iter();
            parts.filter_map(|part| part.rewritten(change)).collect()
        };
        match self {
            Self::All(inner) => Some(Self::All(parts(inner))).filter(Self::holds_something),
            Self::Any(inner) => Some(Self::Any(parts(inner))).filter(Self::holds_something),
            Self::Item(item) => change(item),
        }
    }

    fn holds_something(&self) -> bool {
        match self {
            Self::All(parts) | Self::Any(parts) => !parts.is_empty(),
            Self::Item(_) => true,
        }
    }
}

/// Reads a selection; every mistake in it is added to `mistakes`.
pub(super) fn read(node: &Node, mistakes: &mut Vec<Diagnostic>) -> Detection {
    match &node.value {
        Value::Map(entries) => {
            if entries.is_empty() {
                mistakes.push(shape(node.span, "an empty map selects nothing"));
            }
            let items = entries
                .iter()
                .map(|(key, value)| item(key, value, mistakes))
                .collect();
            Detection::All(items)
        }
        Value::List(items) => {
            if items.is_empty() {
                mistakes.push(shape(node.span, "an empty list selects nothing"));
            }
            let (nested, keywords): (Vec<&Node>, Vec<&Node>) = items
                .iter()
                .partition(|item| matches!(item.value, Value::Map(_) | Value::List(_)));
            let mut parts: Vec<Detection> = nested
                .into_iter()
                .map(|item| read(item, mistakes))
                .collect();
            if let Some(first) = keywords.first() {
                let span = first.span;
                let values = keywords.into_iter().cloned().collect();
                parts.push(Detection::Item(plain(None, values, span)));
            }
            Detection::Any(parts)
        }
        _ => Detection::Item(plain(None, vec![node.clone()], node.span)),
    }
}

fn plain(field: Option<String>, values: Vec<Node>, span: Span) -> Item {
    Item {
        field,
        modifiers: Vec::new(),
        values,
        span,
        applied: BTreeSet::new(),
    }
}

fn shape(span: Span, message: impl Into<String>) -> Diagnostic {
    Diagnostic::new(Code::SigmaShape, span, message)
}

/// `field|modifier|…: value`
fn item(key: &Node, value: &Node, mistakes: &mut Vec<Diagnostic>) -> Detection {
    let name = key.text().unwrap_or_default();
    let mut words = name.split('|');
    let field = words.next().unwrap_or_default();
    let mut modifiers = Vec::new();
    for word in words {
        let found = Modifier::WORDS.iter().find(|(text, _)| *text == word);
        match found {
            Some((_, modifier)) => modifiers.push(*modifier),
            None => {
                let message = format!("there is no modifier `{}`", shorten(word));
                let known = Modifier::WORDS.iter().map(|(text, _)| *text);
                let mut diagnostic = Diagnostic::new(Code::SigmaModifier, key.span, message);
                if let Some(near) = did_you_mean(word, known) {
                    diagnostic = diagnostic.with_help(format!("Did you mean `{near}`?"));
                }
                mistakes.push(diagnostic);
            }
        }
    }
    if key.text().is_none() {
        mistakes.push(shape(
            key.span,
            format!("a field is a name, not {}", key.kind()),
        ));
    }
    let values = value.items().to_vec();
    for one in &values {
        if matches!(one.value, Value::Map(_) | Value::List(_)) {
            let message = format!("a value of `{}` is {}", shorten(name), one.kind());
            mistakes.push(shape(one.span, message).with_caret("expected text, a number or null"));
        }
    }
    if values.is_empty() {
        let message = format!("`{}` has an empty list of values", shorten(name));
        mistakes.push(shape(value.span, message));
    }
    let field = Some(field.to_owned()).filter(|field| !field.is_empty());
    let span = key.span.to(value.span);
    Detection::Item(Item {
        modifiers,
        ..plain(field, values, span)
    })
}
