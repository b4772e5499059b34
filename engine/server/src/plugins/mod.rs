//! Plugins beside the rules: which there are, asking them about batches, and what became of that.

mod answers;
mod arguments;
mod gather;
mod hosted;
mod installed;
mod memo;
#[cfg(test)]
mod tests;
mod told;

pub(crate) use answers::{Answers, RowAnswer};
pub(crate) use arguments::{PluginArguments, asked};
pub(crate) use gather::{Gatherer, Plugins};
pub(crate) use hosted::{Hosted, kept};
pub(crate) use installed::{
    Declared, Installed, PluginsError, Signatures, counting_host, host, manifest_of,
};
pub(crate) use told::told;
