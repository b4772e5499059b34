//! Answers to findings: what is planned, what may be done, what was done, and how it is taken back.
//!
//! Everything here but `journal` is pure: what the outside says comes in as values, what is to be asked of it goes out as
//! [`plan::Call`]s. The server does the asking. A plan is data, and a journal entry is committed before and after each
//! request, so whoever finds a journal after a crash knows what may have happened and how to find out.

pub mod action;
pub mod aws;
pub mod plan;
