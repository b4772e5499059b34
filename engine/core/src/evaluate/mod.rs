//! Evaluating: from rules to verdicts, and from matches to findings.
//!
//! Reading order: `outcome` (three verdicts), `formula` and `texts` (conditions in a selector), `key`, `filing` and `index` (which rules
//! are worth checking), `check` (checking them), `matcher` (all of that together), `rule_set` and `evaluator` (rules and
//! events), `finding`, `explain`, `rule_tests`, `lint`. Relies on every floor below; nothing below knows it. The
//! index decides what is checked and never what is true.

mod check;
mod evaluator;
mod explain;
mod filing;
mod finding;
mod formula;
mod hash;
mod index;
mod key;
mod lint;
mod matcher;
mod number_order;
mod outcome;
mod rule_set;
mod rule_tests;
mod tables;
mod texts;

pub use evaluator::{Evaluated, Evaluator};
pub use explain::{Joint, Reason, Shown};
pub use index::IndexSummary;
pub use key::{FieldHint, Often};
pub use lint::check_rules;
pub use outcome::Outcome;
pub use rule_set::{RuleIndex, RulePre, RuleSet};
pub use rule_tests::{Failure, TestResult, run_tests};
