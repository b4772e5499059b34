//! What rules may ask of plugins.
//!
//! Relies on the caller for the plugins that there are: core knows their names and the shapes of their answers, and
//! nothing of how they run.

use super::model::words;
use std::collections::BTreeMap;

words! {
    /// What becomes of a rule on an event of which a plugin that it asks gave no answer.
    OnError {
        /// The rule could not be decided; that is counted and shown.
        Indeterminate = "indeterminate",
        /// The rule does not match; that is counted.
        Skip = "skip",
        /// The rule matches: better one finding too many.
        FailClosed = "fail-closed",
    }
}

/// What a column of answers holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FactKind {
    /// True or false.
    Bool,
    /// A whole number.
    Int,
    /// A number.
    Float,
    /// Text.
    Text,
    /// Any JSON.
    Any,
}

/// What a plugin answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// These columns, as `enrich.NAME.COLUMN`; each may be null.
    Columns(Vec<(String, FactKind)>),
    /// One number, as `enrich.NAME.score`; it may be null.
    Score,
    /// A hit or nothing, as `detect.NAME`.
    Hit,
    /// Nothing that rules ask for.
    Unasked {
        /// What it is, such as `a decoder`.
        job: &'static str,
        /// What it is good for, for who took it for something else.
        help: String,
    },
}

/// The plugins that rules may ask, by name.
pub type Plugins = BTreeMap<String, Answer>;
