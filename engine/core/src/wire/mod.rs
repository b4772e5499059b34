//! Shapes that leave the process and outlive it: one file each, with a version.
//!
//! Before one is changed, write down here or beside it: old reader with new data, new reader with old data,
//! old writer rewriting new data. Fields are only ever added; readers ignore what they do not know.

mod finding;
mod plugin_memory;
pub mod snapshot;

pub use finding::{FINDING_VERSION, Finding, Pattern, SuppressedCount};
pub use plugin_memory::{PluginMemories, PluginMemory};
