//! The selector that a Sigma rule becomes, before it is text: calls joined by `&&`, `||` and `!`.

use crate::selector::quoted;
use std::collections::BTreeSet;

/// A condition in CEL.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Cel {
    All(Vec<Cel>),
    Any(Vec<Cel>),
    Not(Box<Cel>),
    /// Text that binds closer than any operator.
    Call(String),
}

impl Cel {
    /// All of the parts; parts that are themselves `&&` are joined in.
    pub(super) fn all(parts: impl IntoIterator<Item = Cel>) -> Self {
        let mut flat = Vec::new();
        for part in parts {
            match part {
                Self::All(inner) => flat.extend(inner),
                other => flat.push(other),
            }
        }
        if flat.len() == 1 {
            flat.remove(0)
        } else {
            Self::All(flat)
        }
    }

    /// One of the parts.
    pub(super) fn any(parts: impl IntoIterator<Item = Cel>) -> Self {
        let mut flat: Vec<Cel> = Vec::new();
        let mut seen = BTreeSet::new();
        for part in parts {
            let inner = match part {
                Self::Any(inner) => inner,
                other => vec![other],
            };
            flat.extend(inner.into_iter().filter(|part| seen.insert(part.inline())));
        }
        if flat.len() == 1 {
            flat.remove(0)
        } else {
            Self::Any(flat)
        }
    }

    pub(super) fn negated(self) -> Self {
        match self {
            Self::Not(inner) => *inner,
            other => Self::Not(Box::new(other)),
        }
    }

    /// About how long its text is.
    pub(super) fn length(&self) -> usize {
        match self {
            Self::All(parts) | Self::Any(parts) => {
                parts.iter().map(|part| part.length() + 6).sum::<usize>() + 6
            }
            Self::Not(inner) => inner.length() + 1,
            Self::Call(text) => text.len(),
        }
    }

    /// The text, one part of the outermost `&&` or `||` a line.
    pub(super) fn text(&self) -> String {
        let (parts, operator) = match self {
            Self::All(parts) if !parts.is_empty() => (parts, "&&"),
            Self::Any(parts) if !parts.is_empty() => (parts, "||"),
            other => return other.inline(),
        };
        let parts: Vec<String> = parts.iter().map(Cel::inside).collect();
        parts.join(&format!("\n  {operator} "))
    }

    fn inline(&self) -> String {
        let joined = |parts: &[Cel], operator: &str| {
            let parts: Vec<String> = parts.iter().map(Cel::inside).collect();
            parts.join(operator)
        };
        match self {
            Self::All(parts) if parts.is_empty() => "true".to_owned(),
            Self::Any(parts) if parts.is_empty() => "false".to_owned(),
            Self::All(parts) => joined(parts, " && "),
            Self::Any(parts) => joined(parts, " || "),
            Self::Not(inner) => format!("!{}", inner.inside()),
            Self::Call(text) => text.clone(),
        }
    }

    fn inside(&self) -> String {
        match self {
            Self::All(parts) | Self::Any(parts) if !parts.is_empty() => {
                format!("({})", self.inline())
            }
            other => other.inline(),
        }
    }
}

/// One literal, or a list of them.
pub(super) fn literals(values: &[String]) -> String {
    match values {
        [only] => quoted(only),
        many => {
            let many: Vec<String> = many.iter().map(|one| quoted(one)).collect();
            format!("[{}]", many.join(", "))
        }
    }
}
