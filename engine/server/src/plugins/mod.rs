//! Plugins beside the rules: which there are, asking them about batches, and what became of that.

mod answers;
mod arguments;
mod carried;
mod decoders;
mod gather;
mod hosted;
mod installed;
mod lines;
mod memo;
mod registry;
mod started;
#[cfg(test)]
mod tests;
mod told;

pub(crate) use answers::{Answers, RowAnswer};
pub(crate) use arguments::PluginArguments;
pub(crate) use carried::Carried;
pub(crate) use decoders::{Decoders, Tried};
#[cfg(test)]
pub(crate) use gather::Ask;
pub(crate) use gather::{Gatherer, Plugins};
pub(crate) use hosted::{Hosted, kept};
pub(crate) use installed::{
    Declared, Installed, PluginsError, bytes as bytes_of, counting_host, host, manifest_of,
    text as text_of,
};
pub(crate) use registry::registry;
pub(crate) use started::Started;
pub(crate) use told::told;
