//! The pure core of Tripline: what an event is, what a rule says of it, and what follows.
//!
//! Floors, each knowing only those to its right: `pipeline -> state -> evaluate -> rule -> selector -> event`. `diagnostic` and
//! `limits` serve all of them. Nothing here does IO, reads a clock, starts a thread or logs.

pub mod diagnostic;
pub mod evaluate;
pub mod event;
pub mod insight;
pub mod limits;
pub mod pipeline;
pub mod port;
pub mod rule;
pub mod rule_test;
pub mod sample;
pub mod selector;
pub mod sigma;
pub mod state;
pub mod wire;
