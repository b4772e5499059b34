//! Which keys each kind of file has, in the order we write them.
//!
//! The one source of truth: the reader refuses other keys and wrong types by it, `format` orders by it, and
//! a test compares the published JSON Schemas with it. Holds no behaviour. Rejected: serde structs, which
//! stop at the first mistake and say nothing about order.

use super::model::{Severity, Status};

/// What a table may hold.
#[derive(Debug)]
pub(super) struct Shape {
    /// What a person calls it: "a rule", "an exception".
    pub(super) name: &'static str,
    /// Its keys, in the order `format` writes them.
    pub(super) keys: &'static [Key],
}

/// One key of a table.
#[derive(Debug)]
pub(super) struct Key {
    /// As written.
    pub(super) name: &'static str,
    /// Whether it may be left out.
    pub(super) need: Need,
    /// What its value must be.
    pub(super) kind: Kind,
}

/// Whether a key may be left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    /// It must be there.
    Required,
    /// It may be left out.
    Optional,
}

/// What a value must be.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    /// A string with something in it.
    Text,
    /// A string of several lines; `format` writes it as a multi-line string.
    LongText,
    /// One of a few words.
    Word(&'static [&'static str]),
    /// The text of a selector; `format` writes the long ones as multi-line literals.
    Selector,
    /// Text with selectors in braces.
    Template,
    /// A list of non-empty strings.
    Texts,
    /// A list of selectors.
    Selectors,
    /// Names, each with a selector.
    SelectorMap,
    /// A date without a time.
    Date,
    /// `true` or `false`.
    Flag,
    /// A list of strings, or of strings and numbers.
    Values,
    /// A table of any content: a part of an event.
    Free,
    /// A table.
    Table(&'static Shape),
    /// `[[tables]]`.
    Tables(&'static Shape),
    /// Names, each with a table.
    TableMap(&'static Shape),
}

impl Kind {
    /// What was expected, for messages.
    pub(super) fn expected(self) -> &'static str {
        match self {
            Self::Text | Self::LongText | Self::Word(_) | Self::Template => "a string",
            Self::Selector => "a string holding CEL",
            Self::Texts => "an array of strings",
            Self::Selectors => "an array of strings holding CEL",
            Self::SelectorMap => "a table of strings holding CEL",
            Self::Date => "a date such as 2027-01-31",
            Self::Flag => "true or false",
            Self::Values => "an array of strings",
            Self::Free | Self::Table(_) => "a table",
            Self::Tables(_) => "an array of tables",
            Self::TableMap(_) => "a table of tables",
        }
    }
}

impl Shape {
    /// The key of this name.
    pub(super) fn key(&self, name: &str) -> Option<&'static Key> {
        self.keys.iter().find(|key| key.name == name)
    }
}

const fn required(name: &'static str, kind: Kind) -> Key {
    Key {
        name,
        need: Need::Required,
        kind,
    }
}

const fn optional(name: &'static str, kind: Kind) -> Key {
    Key {
        name,
        need: Need::Optional,
        kind,
    }
}

/// `rule.toml`.
pub(super) static RULE: Shape = Shape {
    name: "a rule",
    keys: &[
        required("id", Kind::Text),
        required("name", Kind::Text),
        required("description", Kind::LongText),
        required("severity", Kind::Word(Severity::WORDS)),
        required("status", Kind::Word(Status::WORDS)),
        optional("source", Kind::Text),
        optional("authors", Kind::Texts),
        optional("references", Kind::Texts),
        optional("false_positives", Kind::Texts),
        optional("runbook", Kind::LongText),
        optional("attack", Kind::Texts),
        optional("tags", Kind::Texts),
        required("when", Kind::Selector),
        optional("finding", Kind::Table(&FINDING)),
        optional("exceptions", Kind::Tables(&EXCEPTION)),
        optional("events", Kind::TableMap(&EVENT)),
        optional("test", Kind::Tables(&TEST)),
    ],
};

/// `[finding]`.
pub(super) static FINDING: Shape = Shape {
    name: "`[finding]`",
    keys: &[
        optional("title", Kind::Template),
        optional("dedup_key", Kind::Selectors),
        optional("severity", Kind::Selector),
        optional("context", Kind::SelectorMap),
    ],
};

/// `[[exceptions]]` and `[[override.exceptions]]`.
pub(super) static EXCEPTION: Shape = Shape {
    name: "an exception",
    keys: &[
        required("name", Kind::Text),
        optional("when", Kind::Selector),
        optional("list", Kind::Text),
        optional("value", Kind::Selector),
        optional("owner", Kind::Text),
        optional("reason", Kind::Text),
        optional("expires", Kind::Date),
    ],
};

/// `tests.toml`.
pub(super) static TESTS: Shape = Shape {
    name: "a tests file",
    keys: &[
        optional("rule", Kind::Text),
        optional("events", Kind::TableMap(&EVENT)),
        required("test", Kind::Tables(&TEST)),
    ],
};

/// `[events.NAME]`.
pub(super) static EVENT: Shape = Shape {
    name: "an event",
    keys: &[
        optional("extends", Kind::Text),
        optional("file", Kind::Text),
        optional("json", Kind::LongText),
        optional("remove", Kind::Texts),
        optional("null", Kind::Texts),
        optional("set", Kind::Free),
    ],
};

/// `[[test]]`.
pub(super) static TEST: Shape = Shape {
    name: "a test",
    keys: &[
        required("name", Kind::Text),
        required("event", Kind::Text),
        required("expect", Kind::Word(super::suite::Expect::WORDS)),
        optional("title", Kind::Text),
        optional("severity", Kind::Word(Severity::WORDS)),
        optional("dedup_key", Kind::Values),
    ],
};

/// A file of overrides.
pub(super) static OVERRIDES: Shape = Shape {
    name: "an overrides file",
    keys: &[required("override", Kind::Tables(&OVERRIDE))],
};

/// `[[override]]`.
pub(super) static OVERRIDE: Shape = Shape {
    name: "an override",
    keys: &[
        required("rule", Kind::Text),
        optional("disabled", Kind::Flag),
        optional("severity", Kind::Word(Severity::WORDS)),
        optional("owner", Kind::Text),
        optional("reason", Kind::Text),
        optional("exceptions", Kind::Tables(&EXCEPTION)),
    ],
};

/// `lists/NAME.toml`.
pub(super) static LIST: Shape = Shape {
    name: "a site list",
    keys: &[
        optional("description", Kind::LongText),
        required("values", Kind::Values),
    ],
};
