//! Stores: what came of the records, kept in memory, on disk, or on the disks of several processes.
//!
//! All are adapters of `tripline_core::port::Store` and pass the same conformance test. They read no clock and know
//! neither rules nor channels. This is the only crate that names `fjall`.

mod admit;
pub mod embedded;
pub mod limits;
pub mod memory;
pub mod shared;
