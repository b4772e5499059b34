//! Tests of remediation against everything that is not its own.
#![allow(unreachable_pub)]

use mimalloc::MiMalloc;

/// As in the binary: what is measured here is what it does.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

mod actions;
mod actions_hostile;
mod actions_real;
mod actions_shadow;
mod audit;
mod aws;
mod crashes;
mod hostile;
mod loops;
mod machine;
mod members;
mod planner;
mod policies;
mod stage;
mod storm;
mod switching;
mod timing;
mod undo;
mod votes;
mod world;
