//! Tests of remediation against everything that is not its own.
#![allow(unreachable_pub)]

mod actions;
mod actions_hostile;
mod actions_real;
mod actions_shadow;
mod aws;
mod crashes;
mod stage;
mod storm;
mod world;
