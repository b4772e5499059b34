//! What rules remember: proved on random rules and events, and under attack.
//!
//! More cases: `TRIPLINE_STATE_CASES=1000 cargo test -p tripline-core state`.

mod changed;
mod hostile;
mod insight;
mod oracle;
mod order;
mod restart;
mod rules;
mod scored;
mod world;
