//! Remediation as the service and the commands have it: the world that actions act on, policies from files, threads.

pub(crate) mod facts;
pub(crate) mod learning;
pub(crate) mod planners;
pub(crate) mod policies;
pub(crate) mod running;
pub(crate) mod settings;
pub(crate) mod sink;
pub(crate) mod targets;
pub(crate) mod telling;
pub(crate) mod world;

use std::sync::Arc;
use tripline_remediation::engine::Engine;
use world::World;

/// The engine as the service has it.
pub(crate) type Remediation = Arc<Engine<World>>;
