//! Selectors: predicates over an event, written in CEL.

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
