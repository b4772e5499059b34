//! The pipeline in a world of virtual time, where everything fails as a seed has it.
//!
//! The workers and outboxes are those of production; the log, the store, the sink, the clock and all their faults are
//! simulated. Held at all times and compared in the end: nothing acknowledged is lost; the findings are the auditor's,
//! with as much counted on each; positions never go back and never run ahead of the log; the sink has what is stored; and
//! when faults stop, everything comes to rest. One seed gives one run, byte for byte.

pub mod auditor;
pub mod bus;
pub mod chance;
pub mod faults;
pub mod workload;
pub mod world;

pub use faults::{Faults, Length, Report};
pub use world::World;

/// Runs one seed.
pub fn run(seed: u64, records: u64, rules: [&tripline_core::evaluate::RuleSet; 2]) -> Report {
    World::new(seed, Length { records }, rules, None).run().0
}
