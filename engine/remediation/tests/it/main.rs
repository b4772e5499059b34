//! Tests of remediation against everything that is not its own.

mod actions;
mod actions_hostile;
mod actions_real;
mod actions_shadow;
mod aws;
