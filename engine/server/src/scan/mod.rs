//! Scanning: records to findings, and an exact account of every record.
//!
//! `examine` works on batches, one thread's own; `report` takes what was found in input order, drops
//! duplicates, counts and hands on to an `outlet`; `accounting` is what was counted; `drive` puts them together.

pub(crate) mod accounting;
pub(crate) mod drive;
pub(crate) mod examine;
pub(crate) mod nested;
pub(crate) mod outlet;
pub(crate) mod progress;
pub(crate) mod record_id;
pub(crate) mod remember;
pub(crate) mod report;
pub(crate) mod statistics;
