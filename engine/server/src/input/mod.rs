//! From paths to records: which files, what they are compressed with, where their records start.
//!
//! Each step knows only the one before: `resolve` names, `decode` bytes, `through` what a decoder plugin makes of
//! them, `split` pieces, `reader` batches.
//! Memory is bounded by one batch and one record for each input that is open.

pub(crate) mod decode;
mod gzip;
pub(crate) mod reader;
pub(crate) mod resolve;
pub(crate) mod split;
pub(crate) mod through;
