//! Many threads over many inputs, one order.
//!
//! Every thread does whatever is most urgent: hand on results that are next in order, work on the
//! earliest batch, or read more. So one thread needs no queue to another, two are always both busy, and
//! compressed files are decompressed side by side. Results leave in input order whatever the number of
//! threads. Memory is bounded: an input may be only so many batches and so much output ahead of what was handed on,
//! only so many inputs are open, and a batch that gives much output is worked on in turns, the second and later
//! ones when it is next in order. A reader thread with a queue to workers was rejected: decompression then takes
//! one core for good, and with two cores that is half of them.

mod board;
pub(crate) mod dedup;
#[cfg(test)]
mod tests;

pub(crate) use board::{Delivery, Flow, Resume, Sink, Worker, Workload, run};
