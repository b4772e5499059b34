//! Answers to findings: what is planned, what may be done, what was done, and how it is taken back.
//!
//! A plan is data (`plan`); `action` makes plans, `policy` says when, `machine` is what can happen to one action, `book`
//! what concerns several, `journal` where everything that happened stands, and `engine` asks the world and writes down
//! before and after each request. Everything but `journal` and `engine` is pure. Whoever finds a journal after a crash knows
//! what may have happened and how to find out.

pub mod action;
pub mod ask;
pub mod aws;
pub mod book;
pub mod engine;
pub mod guard;
pub mod journal;
pub mod machine;
pub mod plan;
pub mod policy;
pub mod shadow;
pub mod vote;
