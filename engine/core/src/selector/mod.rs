//! Selectors: predicates over an event, written in CEL.
//!
//! `parse` reads text to a tree that keeps places and macros as written, `print` writes the tree in canonical form,
//! `check` finds out what a tree means before any event is seen, relying on `schema` for the fields of a source and
//! on `declare` for the functions. `compile` adds a tree to a `program` that all selectors share, `eval` evaluates its
//! nodes on one event, `trace` shows every part with its value. Nothing here knows rules; whoever embeds a selector in a file moves its
//! diagnostics to their place there (`Diagnostic::relocated`).

pub mod ast;
mod check;
pub mod compile;
mod contradiction;
mod cost;
pub mod declare;
mod elements;
mod error;
pub mod eval;
mod function;
mod lex;
mod literal;
mod meter;
mod parse;
mod presence;
mod print;
pub mod program;
mod recall;
pub mod schema;
mod set;
pub(crate) mod texts;
pub mod trace;
pub mod types;
pub mod value;

pub use check::{CheckEnv, Checked, check};
pub use compile::{Environment, Unresolved};
pub use error::{EvalError, Why};
pub use eval::{Evaluated, Evaluation, EventView, Scratch};
pub(crate) use literal::quoted;
pub use parse::{Macros, parse, parse_with};
pub use print::print;
pub(crate) use program::Node;
pub use program::{NodeId, Program, ProgramBuilder};
pub use schema::Schema;
pub use types::Type;
pub use value::Value;

/// Whether a regular expression can be used; what is wrong with it when not.
pub(crate) fn compile_pattern(pattern: &str) -> Result<(), String> {
    match function::pattern::compile(pattern) {
        Ok(_) => Ok(()),
        Err(error) => Err(error.to_string()),
    }
}

/// Whether a text matches a regular expression.
#[cfg(test)]
pub(crate) fn matches_pattern(pattern: &str, text: &str) -> Result<bool, String> {
    let found = function::pattern::compile(pattern);
    found
        .map(|regex| regex.is_match(text))
        .map_err(|error| error.to_string())
}

/// Whether a text is a network such as `10.0.0.0/8`.
pub(crate) fn parse_network(text: &str) -> bool {
    function::parse_cidr(text).is_some()
}

/// Whether `texts` can follow a path.
pub(crate) fn is_text_path(path: &str) -> bool {
    texts::TextPath::new(path).is_some()
}
