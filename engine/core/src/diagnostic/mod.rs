//! Author mistakes: what is wrong in a rule, a test, a list or an override, where, and what to do.
//!
//! Relies on nothing but text. Diagnostics are collected, never returned early: a person mends a file once,
//! not once per mistake. They are values; rendering them (`render`) is separate, so that the same mistake
//! reads the same in a terminal, in JSON and in an editor. Operating faults are not diagnostics: those are
//! `thiserror` enums of the module that meets them.

use std::fmt;

mod code;
mod printable;
mod render;

pub use code::Code;
pub use printable::{Printable, is_printable, printable_json, printable_lines};
pub use render::{Palette, render_json, render_text};

/// A half-open range of bytes in one text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

impl Span {
    /// The range `start..end`.
    pub fn new(start: usize, end: usize) -> Self {
        Self {
            start: start as u32,
            end: end.max(start) as u32,
        }
    }

    /// The smallest range holding both.
    pub fn to(self, other: Self) -> Self {
        Self {
            start: self.start.min(other.start),
            end: self.end.max(other.end),
        }
    }

    /// The bytes of `text` in this range, or nothing when the range does not fit it.
    pub fn slice(self, text: &str) -> &str {
        text.get(self.start as usize..self.end as usize)
            .unwrap_or("")
    }
}

/// How bad a diagnostic is. Errors switch the rule off; warnings do not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Something worth knowing.
    Note,
    /// Probably not what the author meant.
    Warning,
    /// The thing cannot be used as it is.
    Error,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        })
    }
}

/// A text that diagnostics point into: a rule file, or a selector given on its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// As the person would type it: a path, or a word such as `<selector>`.
    pub name: String,
    /// The whole text.
    pub text: String,
}

/// A second place that a diagnostic speaks of, in the same source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// Where.
    pub span: Span,
    /// What is there; a lowercase fragment.
    pub message: String,
}

/// A change of the text that would mend the mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suggestion {
    /// What to replace.
    pub span: Span,
    /// What to put there.
    pub replacement: String,
}

/// One mistake, with everything needed to mend it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// Stable name of the kind of mistake.
    pub code: Code,
    /// How bad it is.
    pub level: Level,
    /// What is wrong; a lowercase fragment without a full stop.
    pub message: String,
    /// Where, in the text that was being read.
    pub span: Span,
    /// What the caret should say; may be empty.
    pub caret: String,
    /// Other places that matter.
    pub labels: Vec<Label>,
    /// What to do about it, one sentence each.
    pub help: Vec<String>,
    /// A mechanical fix, when there is one.
    pub suggestion: Option<Suggestion>,
}

impl Diagnostic {
    /// A diagnostic with the code's own level and nothing but a message and a place.
    pub fn new(code: Code, span: Span, message: impl Into<String>) -> Self {
        Self {
            code,
            level: code.level(),
            message: message.into(),
            span,
            caret: String::new(),
            labels: Vec::new(),
            help: Vec::new(),
            suggestion: None,
        }
    }

    /// Says what the caret points at.
    pub fn with_caret(mut self, caret: impl Into<String>) -> Self {
        self.caret = caret.into();
        self
    }

    /// Adds a line of help.
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help.push(help.into());
        self
    }

    /// Adds a second place.
    pub fn with_label(mut self, span: Span, message: impl Into<String>) -> Self {
        self.labels.push(Label {
            span,
            message: message.into(),
        });
        self
    }

    /// Adds a mechanical fix.
    pub fn with_suggestion(mut self, span: Span, replacement: impl Into<String>) -> Self {
        self.suggestion = Some(Suggestion {
            span,
            replacement: replacement.into(),
        });
        self
    }

    /// Moves every place by `place`, for text that was embedded in a larger one.
    pub fn relocated(mut self, place: impl Fn(Span) -> Span) -> Self {
        self.span = place(self.span);
        for label in &mut self.labels {
            label.span = place(label.span);
        }
        if let Some(suggestion) = &mut self.suggestion {
            suggestion.span = place(suggestion.span);
        }
        self
    }
}

/// The nearest of `candidates` to `name`, when it is near enough to be a slip of the keyboard.
pub fn did_you_mean<'c>(
    name: &str,
    candidates: impl IntoIterator<Item = &'c str>,
) -> Option<&'c str> {
    let budget = (name.chars().count() / 3).clamp(1, 3);
    candidates
        .into_iter()
        .filter(|candidate| *candidate != name)
        .map(|candidate| (edit_distance(name, candidate), candidate))
        .filter(|(distance, _)| *distance <= budget)
        .min()
        .map(|(_, candidate)| candidate)
}

/// Optimal string alignment distance without regard to ASCII case: insert, delete, replace or swap
/// neighbours, one each; a different case alone counts as nothing, so that `eventname` finds `eventName`.
fn edit_distance(left: &str, right: &str) -> usize {
    let left: Vec<char> = left
        .chars()
        .take(64)
        .map(|c| c.to_ascii_lowercase())
        .collect();
    let right: Vec<char> = right
        .chars()
        .take(64)
        .map(|c| c.to_ascii_lowercase())
        .collect();
    let mut rows = vec![vec![0usize; right.len() + 1]; left.len() + 1];
    for (i, row) in rows.iter_mut().enumerate() {
        row[0] = i;
    }
    for (j, cell) in rows[0].iter_mut().enumerate() {
        *cell = j;
    }
    for i in 1..=left.len() {
        for j in 1..=right.len() {
            let replaced = rows[i - 1][j - 1] + usize::from(left[i - 1] != right[j - 1]);
            let mut best = replaced.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
            let swapped =
                i > 1 && j > 1 && left[i - 1] == right[j - 2] && left[i - 2] == right[j - 1];
            if swapped {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            rows[i][j] = best;
        }
    }
    rows[left.len()][right.len()]
}

#[cfg(test)]
mod tests {
    use super::did_you_mean;

    #[test]
    fn near_names_are_found_and_far_ones_are_not() {
        let names = ["eventName", "eventSource", "eventTime"];
        assert_eq!(did_you_mean("eventname", names), Some("eventName"));
        assert_eq!(did_you_mean("evnetSource", names), Some("eventSource"));
        assert_eq!(did_you_mean("requestParameters", names), None);
    }
}
