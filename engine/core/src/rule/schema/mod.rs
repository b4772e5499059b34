//! The published JSON Schemas (draft 2020-12) of our files, by which editors complete and validate.
//!
//! Written by hand, with a sentence for every key, because editors show those. Tests hold them to the shapes
//! that the reader uses: same keys, same required ones, same words. Rejected: generating them from the shapes,
//! which would put pages of text for editors into the tables of the reader.

/// The kinds of files that have a schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FileKind {
    /// `rule.toml`
    Rule,
    /// `tests.toml`
    Tests,
    /// A file of overrides.
    Overrides,
    /// `lists/NAME.toml`
    List,
    /// A field schema.
    Fields,
}

impl FileKind {
    /// Every kind.
    pub const ALL: &'static [Self] = &[
        Self::Rule,
        Self::Tests,
        Self::Overrides,
        Self::List,
        Self::Fields,
    ];

    /// As people type it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rule => "rule",
            Self::Tests => "tests",
            Self::Overrides => "overrides",
            Self::List => "list",
            Self::Fields => "fields",
        }
    }

    /// The kind of this name.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.as_str() == word)
    }
}

/// The JSON Schema of a kind of file, as text.
pub fn json_schema(kind: FileKind) -> &'static str {
    match kind {
        FileKind::Rule => include_str!("rule.json"),
        FileKind::Tests => include_str!("tests.json"),
        FileKind::Overrides => include_str!("overrides.json"),
        FileKind::List => include_str!("list.json"),
        FileKind::Fields => include_str!("fields.json"),
    }
}

#[cfg(test)]
mod tests;
