//! Selectors: predicates over an event, written in CEL.

pub mod ast;
pub mod declare;
mod lex;
mod literal;
mod parse;
mod print;
pub mod schema;
pub mod types;

pub use parse::{Macros, parse, parse_with};
pub use print::print;
pub use schema::Schema;
pub use types::Type;
