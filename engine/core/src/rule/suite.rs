//! Tests of rules.

use super::model::words;
use std::fmt;

words! {
    /// What a test wants of the rule.
    Expect {
        /// The rule matches and no exception excuses the event.
        Match = "match",
        /// The rule does not match, or an exception excuses the event.
        NoMatch = "no_match",
        /// The rule cannot decide.
        Indeterminate = "indeterminate",
    }
}
