//! Evaluating: from rules to verdicts, and from matches to findings.
//!
//! Reading order: `outcome` (three verdicts), `formula` and `texts` (conditions in a selector), `key`, `filing` and `index` (which rules
//! are worth checking), `check` (checking them), `matcher` (all of that together), `rule_set` and `evaluator` (rules and
//! events), `source` (events that do not concern a rule), `memory`, `feeds` and `observe` (rules that remember),
//! `finding`, `step`, `explain`, `lint`. Relies on every floor below; nothing below knows it. The
//! index decides what is checked and never what is true.

mod ask;
mod check;
mod decide;
mod evaluator;
mod explain;
mod facts;
mod feeds;
mod filing;
mod finding;
mod formula;
mod group_key;
mod hash;
mod hints;
mod index;
mod key;
mod lint;
mod literals;
mod matcher;
mod memory;
mod number_order;
mod observe;
mod outcome;
mod rule_set;
mod scored;
mod source;
mod step;
mod tables;
mod texts;
mod version;

pub use ask::{Awaiting, PluginIndex};
pub use decide::{DecidedBy, Decision, DecisionDefaults};
pub use evaluator::{Evaluated, Evaluator};
pub use explain::{Joint, Reason, Shown};
pub use index::IndexSummary;
pub use key::{FieldHint, Often};
pub use lint::check_rules;
pub use observe::{OWN_DETECTION, Observation, Observations, ObserveFault};
pub use outcome::Outcome;
pub use rule_set::{RuleIndex, RulePre, RuleSet};
pub use scored::{Asked, Known};
pub use source::Marks;
pub use step::Parsers;
