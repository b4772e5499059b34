//! Scanning: records to findings, and an exact account of every record.
//!
//! `examine` works on batches, one thread's own; `report` takes what was found in input order, drops
//! duplicates, counts and writes; `accounting` is what was counted.

pub(crate) mod accounting;
pub(crate) mod examine;
pub(crate) mod nested;
pub(crate) mod progress;
pub(crate) mod remember;
pub(crate) mod report;
pub(crate) mod statistics;
