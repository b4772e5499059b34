//! Rules as people write them: TOML files with CEL in them, their tests, and what a site changes about them.
//!
//! Relies on `selector` for the CEL and on `diagnostic` for mistakes. Takes texts and gives values: opening
//! files is the caller's, evaluating is the floor above. Every mistake of a file is found in one reading and
//! has its place in bytes; a rule with a mistake is left out and the others go on. Rejected: serde, which
//! stops at the first mistake and cannot say where a selector's third character stands in the file.

mod attack;
mod exception;
mod format;
pub mod kind;
mod layer;
mod list;
mod load;
mod model;
mod place;
mod plugin;
mod read;
mod rule_file;
mod sample;
mod schema;
mod shape;
mod suite;
mod template;
mod timeline;

pub(crate) use attack::attack_pairs;
pub use attack::{Coverage, TacticCoverage, TechniqueCoverage, coverage};
pub use format::format;
pub use layer::Override;
pub use list::{Lists, SiteList};
pub use load::{Catalog, File, Role, load, load_with};
pub use model::{
    AttackTag, Change, Condition, Effect, Exception, Expiry, FindingTemplate, Layer, Rule, RuleId,
    Selector, Severity, Status,
};
pub use place::{OffsetMap, Place, Report};
pub use plugin::{Answer, FactKind, OnError, Plugins, RuleEffect};
pub use sample::TestFacts;
pub use schema::{FileKind, json_schema};
pub use suite::{EventTest, Expect, Orphan, RefusedTest, Scenario, Suite, TestCase};
pub use template::{Part, Template};
pub use timeline::{Moment, TIMELINE_START, Timeline, Wanted, at_time};

#[cfg(test)]
mod tests;
