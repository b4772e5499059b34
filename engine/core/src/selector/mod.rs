//! Selectors: predicates over an event, written in CEL.

pub mod ast;
