//! Events: bytes that were checked, and ways to look into them.
//!
//! `Parser` turns the bytes of one record into a flat list of nodes that borrow from them; [`Document`],
//! [`Json`] and [`Text`] look into it; [`FieldPlan`] finds all fields that rules mention in one pass; [`Event`]
//! knows what a record is called and when it happened. Relies on [`crate::limits`] only.
//!
//! An event is parsed once and completely: text that RFC 8259 does not allow is refused wherever it is, and so
//! are things it allows and readers disagree on (one key twice, numbers without a finite value). Must never panic,
//! recurse, or take more than linear time and memory on any bytes. `serde_json::Value` was rejected as the form
//! of an event: making it costs five times what evaluating ten thousand rules may cost.

mod document;
mod facts;
mod field;
mod identity;
mod key;
mod node;
mod number;
mod parse;
mod plan;
mod reason;
mod structural;
mod text;

#[cfg(test)]
mod differential;
#[cfg(test)]
mod tests;

pub use document::{Document, Elements, Entries, Json, Kind};
pub use facts::{Facts, PluginFailure};
pub use field::{FieldId, FieldPath, FieldSet, Slots};
pub use identity::{Envelope, Event, EventId};
pub use key::KeyHash;
pub use number::Number;
pub use parse::Parser;
pub use plan::FieldPlan;
pub use reason::{Malformed, Reason};
pub use text::Text;
