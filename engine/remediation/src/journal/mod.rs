//! The journal: everything that happened to actions, in one order, each record bound to the one before it.
//!
//! It is the store and the audit trail at once: what an action is, is the fold over its records, so there is nothing that
//! the trail could leave out. A record is a line of JSON whose last member is the SHA-256 of all of it before, and whose
//! `prev` is the hash of the line before. Some records are checkpoints, which are signed; copies of them lie elsewhere.

mod checkpoint;
mod file;
mod parcel;
mod read;
mod record;
mod verify;

pub use checkpoint::{Checkpoint, CheckpointFault, CheckpointKey};
pub(crate) use file::RECORD_BYTES_MAX;
pub use file::{FileJournal, JournalFault, Opened};
pub use parcel::{CopyFault, Parcel, ParcelFault, copy};
pub use record::{Entry, LineFault, Record, Scope};
pub use verify::{Flaw, Verified, verify};
