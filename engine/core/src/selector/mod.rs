//! Selectors: predicates over an event, written in CEL.
//!
//! `parse` reads text to a tree that keeps places and macros as written, `print` writes the tree in canonical form,
//! `check` finds out what a tree means before any event is seen, relying on `schema` for the fields of a source and
//! on `declare` for the functions. Nothing here knows rules; whoever embeds a selector in a file moves its
//! diagnostics to their place there (`Diagnostic::relocated`).

pub mod ast;
mod check;
mod contradiction;
mod cost;
pub mod declare;
mod lex;
mod literal;
mod parse;
mod presence;
mod print;
pub mod schema;
pub mod types;

pub use check::{CheckEnv, Checked, check};
pub use parse::{Macros, parse, parse_with};
pub use print::print;
pub use schema::Schema;
pub use types::Type;
