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
    /// One of a few words, or the policy that says: `policy.NAME`.
    Effect(&'static [&'static str]),
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
    /// A whole number.
    Integer,
    /// A length of time, such as `1h30m`.
    Period,
    /// A comparison with a number, such as `>= 10`.
    Comparison,
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
            Self::Text | Self::LongText | Self::Word(_) | Self::Effect(_) | Self::Template => {
                "a string"
            }
            Self::Selector => "a string holding CEL",
            Self::Texts => "an array of strings",
            Self::Selectors => "an array of strings holding CEL",
            Self::SelectorMap => "a table of strings holding CEL",
            Self::Date => "a date such as 2027-01-31",
            Self::Flag => "true or false",
            Self::Integer => "a whole number",
            Self::Period => "a string such as `10m`, `1h30m`, `30d`",
            Self::Comparison => "a string such as `>= 10`",
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
        optional("when", Kind::Selector),
        optional("rules", Kind::Texts),
        optional("group_by", Kind::Selectors),
        optional("lateness", Kind::Period),
        optional("groups_max", Kind::Integer),
        optional("signal", Kind::Flag),
        optional("risk_score", Kind::Integer),
        optional("on_error", Kind::Word(super::plugin::OnError::WORDS)),
        optional("effect", Kind::Effect(super::model::Effect::WORDS)),
        optional("threshold", Kind::Table(&THRESHOLD)),
        optional("sequence", Kind::Table(&SEQUENCE)),
        optional("temporal", Kind::Table(&TEMPORAL)),
        optional("absence", Kind::Table(&ABSENCE)),
        optional("first_seen", Kind::Table(&FIRST_SEEN)),
        optional("rare", Kind::Table(&RARE)),
        optional("risk", Kind::Table(&RISK)),
        optional("insight", Kind::Table(&INSIGHT)),
        optional("entity", Kind::Table(&ENTITY)),
        optional("suppress", Kind::Table(&SUPPRESS)),
        optional("finding", Kind::Table(&FINDING)),
        optional("exceptions", Kind::Tables(&EXCEPTION)),
        optional("events", Kind::TableMap(&EVENT)),
        optional("test", Kind::Tables(&TEST)),
    ],
};

/// `[threshold]`.
pub(super) static THRESHOLD: Shape = Shape {
    name: "`[threshold]`",
    keys: &[
        required("window", Kind::Period),
        optional("over", Kind::Word(super::kind::Over::WORDS)),
        optional("measure", Kind::Word(super::kind::Measure::WORDS)),
        optional("percentile", Kind::Integer),
        optional("of", Kind::Selector),
        required("is", Kind::Comparison),
        optional("events_min", Kind::Integer),
    ],
};

/// `[sequence]`.
pub(super) static SEQUENCE: Shape = Shape {
    name: "`[sequence]`",
    keys: &[
        required("within", Kind::Period),
        optional("ties", Kind::Word(super::kind::Ties::WORDS)),
        optional("until", Kind::Selector),
        required("step", Kind::Tables(&STEP)),
    ],
};

/// `[temporal]`.
pub(super) static TEMPORAL: Shape = Shape {
    name: "`[temporal]`",
    keys: &[
        required("within", Kind::Period),
        optional("without", Kind::Selector),
        required("step", Kind::Tables(&STEP)),
    ],
};

/// `[[sequence.step]]` and `[[temporal.step]]`.
pub(super) static STEP: Shape = Shape {
    name: "a step",
    keys: &[
        required("name", Kind::Text),
        optional("when", Kind::Selector),
        optional("rules", Kind::Texts),
        optional("group_by", Kind::Selectors),
        optional("repeat", Kind::Integer),
    ],
};

/// `[absence]`.
pub(super) static ABSENCE: Shape = Shape {
    name: "`[absence]`",
    keys: &[
        optional("of", Kind::Selector),
        optional("rules", Kind::Texts),
        optional("group_by", Kind::Selectors),
        required("within", Kind::Period),
        optional("order", Kind::Word(super::kind::Order::WORDS)),
    ],
};

/// `[first_seen]`.
pub(super) static FIRST_SEEN: Shape = Shape {
    name: "`[first_seen]`",
    keys: &[
        required("of", Kind::Selectors),
        optional("history", Kind::Period),
        optional("learning", Kind::Period),
        optional("learning_of_group", Kind::Period),
    ],
};

/// `[rare]`.
pub(super) static RARE: Shape = Shape {
    name: "`[rare]`",
    keys: &[
        required("of", Kind::Selectors),
        required("window", Kind::Period),
        required("fewer_than", Kind::Integer),
        optional("by", Kind::Selector),
        optional("learning", Kind::Period),
    ],
};

/// `[risk]`.
pub(super) static RISK: Shape = Shape {
    name: "`[risk]`",
    keys: &[
        required("threshold", Kind::Integer),
        required("half_life", Kind::Period),
        optional("rule_score_max", Kind::Integer),
        optional("score", Kind::Selector),
    ],
};

/// `[insight]`.
pub(super) static INSIGHT: Shape = Shape {
    name: "`[insight]`",
    keys: &[
        optional("value", Kind::Word(super::kind::Counted::WORDS)),
        optional("of", Kind::Selector),
        optional("fails", Kind::Selector),
        optional("direction", Kind::Word(super::kind::Direction::WORDS)),
        optional("is", Kind::Comparison),
        optional("false_alarms_per_week", Kind::Integer),
        optional("attributions", Kind::SelectorMap),
    ],
};

/// `[entity]`.
pub(super) static ENTITY: Shape = Shape {
    name: "`[entity]`",
    keys: &[
        required("of", Kind::Selectors),
        optional("peers", Kind::Selectors),
        optional("history", Kind::Period),
        optional("learning", Kind::Period),
    ],
};

/// `[suppress]`.
pub(super) static SUPPRESS: Shape = Shape {
    name: "`[suppress]`",
    keys: &[
        required("window", Kind::Period),
        optional("by", Kind::Selectors),
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
        optional("event", Kind::Text),
        optional("expect", Kind::Word(super::suite::Expect::WORDS)),
        optional("title", Kind::Text),
        optional("severity", Kind::Word(Severity::WORDS)),
        optional("dedup_key", Kind::Values),
        optional("facts", Kind::Table(&FACTS)),
        optional("timeline", Kind::Tables(&MOMENT)),
        optional("findings", Kind::Tables(&WANTED)),
    ],
};

/// `[[test.timeline]]`.
pub(super) static MOMENT: Shape = Shape {
    name: "a moment of a timeline",
    keys: &[
        optional("at", Kind::Text),
        optional("event", Kind::Text),
        optional("repeat", Kind::Integer),
        optional("every", Kind::Period),
        optional("set", Kind::Free),
        optional("facts", Kind::Table(&FACTS)),
    ],
};

/// `facts` of a test or a moment: what plugins say of its event.
pub(super) static FACTS: Shape = Shape {
    name: "the answers of plugins",
    keys: &[
        optional("enrich", Kind::Free),
        optional("detect", Kind::Free),
        optional("policy", Kind::Free),
        optional("failed", Kind::Texts),
    ],
};

/// `[[test.findings]]`.
pub(super) static WANTED: Shape = Shape {
    name: "a wanted finding",
    keys: &[
        optional("at", Kind::Period),
        optional("group", Kind::Values),
        optional("count", Kind::Integer),
        optional("title", Kind::Text),
        optional("severity", Kind::Word(Severity::WORDS)),
        optional("dedup_key", Kind::Values),
        optional("suppressed", Kind::Integer),
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
