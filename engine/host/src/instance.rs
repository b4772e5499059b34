//! One instance of a plugin, with a store of its own.
//!
//! A trap marks the whole store, so that instances never share one. All bounds are set before anything of the plugin
//! runs: its start functions are the plugin's code too.

use crate::engine::{Meter, Running};
use crate::fault::{Fault, TrapKind};
use crate::grant::Call;
use crate::limits::HANDLES_MAX;
use crate::state::{ForbiddenCall, Limiter, State};
use crate::world::generated::{
    decoder, detector, enricher, planner, policy, remediator, scorer, stateful_detector,
};
use crate::world::types;
use std::time::Duration;
use wasmtime::component::InstancePre;
use wasmtime::{PoolConcurrencyLimitError, Store, Trap};

/// Bounds of one instance and its calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bounds {
    pub(crate) memory: usize,
    pub(crate) deadline: Duration,
    pub(crate) output: usize,
    /// Bytes that may be copied out of the plugin at once.
    pub(crate) handed_over: usize,
}

impl Bounds {
    /// The tick under way counts for nothing.
    fn ticks(&self) -> u64 {
        let ticks = self.deadline.as_micros() / crate::limits::TICK.as_micros();
        ticks as u64 + 1
    }
}

macro_rules! worlds {
    ($($name:ident $module:ident $pre:ident),* $(,)?) => {
        /// Linked and type-checked, to be instantiated.
        pub(crate) enum Pre {
            $($name($module::$pre<State>),)*
        }

        /// An instance by its world.
        pub(crate) enum World {
            $($name($module::$name),)*
        }

        impl Pre {
            fn instantiate(&self, store: &mut Store<State>) -> wasmtime::Result<World> {
                Ok(match self {
                    $(Self::$name(pre) => World::$name(pre.instantiate(store)?),)*
                })
            }

            /// Checks that the exports of a world are there.
            pub(crate) fn of(
                world: crate::manifest::World,
                pre: InstancePre<State>,
            ) -> wasmtime::Result<Self> {
                Ok(match world {
                    $(crate::manifest::World::$name => Self::$name($module::$pre::new(pre)?),)*
                })
            }
        }

        impl World {
            fn configure(
                &self,
                store: &mut Store<State>,
                config: &str,
            ) -> wasmtime::Result<Result<(), types::Fault>> {
                match self {
                    $(Self::$name(world) => {
                        world.tripline_plugin_setup().call_configure(store, config)
                    })*
                }
            }
        }
    };
}

worlds!(
    Enricher enricher EnricherPre,
    Detector detector DetectorPre,
    StatefulDetector stateful_detector StatefulDetectorPre,
    Scorer scorer ScorerPre,
    Policy policy PolicyPre,
    Decoder decoder DecoderPre,
    Remediator remediator RemediatorPre,
    Planner planner PlannerPre,
);

/// An instance, ready to be called.
pub(crate) struct Instance {
    pub(crate) store: Store<State>,
    pub(crate) world: World,
    pub(crate) calls: u64,
}

impl Instance {
    /// Makes one and configures it. Also tells how much memory it took when it failed.
    pub(crate) fn make(
        running: &Running,
        pre: &Pre,
        bounds: &Bounds,
        call: Call,
        config: Option<&str>,
    ) -> Result<Self, Unmade> {
        let limiter = Limiter::new(bounds.memory);
        let mut store = Store::new(&running.engine, State { call, limiter });
        store.limiter(|state| &mut state.limiter);
        store.set_hostcall_fuel(bounds.handed_over);
        store.set_max_component_handles(HANDLES_MAX);
        store.set_epoch_deadline(bounds.ticks());
        if running.meter == Meter::Instructions {
            // The time is the bound; this only counts.
            let _ = store.set_fuel(u64::MAX);
        }
        let made = make_within(&mut store, pre, bounds, config);
        match made {
            Ok(world) => Ok(Self {
                store,
                world,
                calls: 0,
            }),
            Err(fault) => Err(Unmade {
                fault,
                state: Box::new(store.into_data()),
            }),
        }
    }

    /// Sets the bounds of the next call.
    pub(crate) fn begin(&mut self, bounds: &Bounds) {
        self.calls += 1;
        self.store.set_epoch_deadline(bounds.ticks());
    }

    /// Instructions since this was asked last; nothing where they are not counted.
    pub(crate) fn take_instructions(&mut self) -> Option<u64> {
        let left = self.store.get_fuel().ok()?;
        let _ = self.store.set_fuel(u64::MAX);
        Some(u64::MAX - left)
    }
}

/// Why there is no instance, and what its store held.
pub(crate) struct Unmade {
    pub(crate) fault: Fault,
    pub(crate) state: Box<State>,
}

fn make_within(
    store: &mut Store<State>,
    pre: &Pre,
    bounds: &Bounds,
    config: Option<&str>,
) -> Result<World, Fault> {
    let world = pre.instantiate(store);
    let world = world.map_err(|error| unmade(&error, store, bounds))?;
    if let Some(config) = config {
        let configured = world.configure(store, config);
        let configured = configured.map_err(|error| ended(&error, store, bounds))?;
        let fault = crate::world::convert::fault_in;
        configured.map_err(|told| Fault::Guest(fault(told)))?;
    }
    Ok(world)
}

/// What it means that there is no instance.
fn unmade(error: &wasmtime::Error, store: &mut Store<State>, bounds: &Bounds) -> Fault {
    if error.is::<PoolConcurrencyLimitError>() {
        return Fault::Busy;
    }
    if error.is::<Trap>() || error.is::<ForbiddenCall>() {
        return ended(error, store, bounds);
    }
    let limit = bounds.memory;
    match store.data_mut().limiter.take_refused() {
        true => Fault::Memory { limit },
        // Whatever else keeps it from being made is in the component: more instances or tables than are allowed.
        false => Fault::output(format!("it cannot be instantiated: {error:#}")),
    }
}

/// What it means that a call has no answer.
pub(crate) fn ended(error: &wasmtime::Error, store: &mut Store<State>, bounds: &Bounds) -> Fault {
    let was_refused = store.data_mut().limiter.take_refused();
    if error.is::<ForbiddenCall>() {
        let kind = TrapKind::Import;
        return Fault::Trap { kind };
    }
    let Some(trap) = error.downcast_ref::<Trap>() else {
        return wrong(error, bounds);
    };
    let kind = match trap {
        Trap::Interrupt => {
            let deadline = bounds.deadline;
            return Fault::Deadline { deadline };
        }
        // Allocators that are refused memory give up, or go on with what is no address.
        Trap::UnreachableCodeReached | Trap::MemoryOutOfBounds if was_refused => {
            let limit = bounds.memory;
            return Fault::Memory { limit };
        }
        Trap::StackOverflow => TrapKind::Stack,
        Trap::MemoryOutOfBounds | Trap::TableOutOfBounds => TrapKind::OutOfBounds,
        Trap::UnreachableCodeReached => TrapKind::Unreachable,
        Trap::IntegerOverflow | Trap::IntegerDivisionByZero | Trap::BadConversionToInteger => {
            TrapKind::Arithmetic
        }
        Trap::IndirectCallToNull | Trap::BadSignature => TrapKind::IndirectCall,
        _ => TrapKind::Other,
    };
    Fault::Trap { kind }
}

/// What is no trap is something that could not be taken over from the plugin: a list outside of its memory, text that is
/// not UTF-8, a variant without a case, or more than may be handed over.
fn wrong(error: &wasmtime::Error, bounds: &Bounds) -> Fault {
    let text = format!("{:#}", error.root_cause());
    // The engine has no type for this.
    if text.starts_with("too much data is being copied") {
        let bytes = bounds.handed_over;
        return Fault::output(format!("more than {bytes} bytes"));
    }
    Fault::output(text)
}
