//! Instances for calls: fresh ones, idle ones, and the one that remembers.
//!
//! By default an instance serves one call and is dropped with everything that the call left in it. In the `reused` mode
//! idle instances wait for the next call, until they are worn or have failed. A stateful detector has one instance for each
//! memory, in which batches follow each other; after each batch it is asked to save what it remembers, so that after a trap
//! or a fault its successor goes on from there, and nothing is remembered twice or not at all when a batch is asked in
//! parts or again.

use crate::engine::{IdleRoom, Meter};
use crate::fault::Fault;
use crate::grant::Call;
use crate::grant::events::EventRows;
use crate::grant::reads::Asking;
use crate::instance::{Bounds, Instance, Pre, World, ended};
use crate::limits::{REUSED_CALLS_MAX, TICK};
use crate::manifest::InstanceMode;
use crate::plugin::Plugin;
use crate::state::State;
use crate::world::convert;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use wasmtime::Store;

/// The instances of one plugin between calls.
#[derive(Default)]
pub(crate) struct Instances {
    idle: Mutex<Vec<Idle>>,
}

struct Idle {
    instance: Instance,
    /// Given back when the instance is used or dropped.
    _room: IdleRoom,
}

impl Instances {
    fn idle(&self) -> MutexGuard<'_, Vec<Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a stateful detector remembers of one stream of events, and the instance that is in the midst of it. Each stream has
/// a memory of its own; calls with the same one follow each other.
#[derive(Default)]
pub struct Remembered(Mutex<Remembering>);

#[derive(Default)]
struct Remembering {
    instance: Option<Idle>,
    saved: Option<Arc<[u8]>>,
}

impl Remembered {
    /// One that goes on from what was saved.
    pub fn of(saved: Arc<[u8]>) -> Self {
        Self(Mutex::new(Remembering {
            instance: None,
            saved: Some(saved),
        }))
    }

    /// What is to be kept over restarts; nothing before the plugin answered for the first time.
    pub fn saved(&self) -> Option<Arc<[u8]>> {
        self.remembering().saved.clone()
    }

    fn remembering(&self) -> MutexGuard<'_, Remembering> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Remembered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remembered").finish_non_exhaustive()
    }
}

impl Plugin {
    /// Makes an instance, so that what is wrong with it is told when it is loaded.
    pub(crate) fn rehearse(&self) -> Result<(), Fault> {
        let context = self.context(None, &self.bounds);
        let instance = self.instance(context, &self.bounds)?;
        self.keep(instance);
        Ok(())
    }

    /// Runs something in an instance, no longer than `until` if there is one; with what it remembers, if that is its job.
    pub(crate) fn run<T>(
        &self,
        memory: Option<&Remembered>,
        events: Option<Arc<dyn EventRows>>,
        asking: Option<Asking>,
        until: Option<Instant>,
        call: impl FnOnce(&World, &mut Store<State>) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let begun = Instant::now();
        let answer = self.within(begun, until).and_then(|bounds| {
            let context = self.context(events, &bounds).asking(asking);
            let answer = match (&self.pre, memory) {
                (Pre::StatefulDetector(_), Some(memory)) => {
                    self.run_remembering(memory, context, &bounds, call)
                }
                (Pre::StatefulDetector(_), None) => Err(Fault::Misfit("it has no memory")),
                _ => self.run_forgetting(context, &bounds, call),
            };
            answer.map_err(|fault| match fault {
                // It is told what this call had, not what calls have otherwise.
                Fault::Deadline { .. } => Fault::Deadline {
                    deadline: bounds.deadline,
                },
                other => other,
            })
        });
        self.counters.called(begun.elapsed());
        if let Err(fault) = &answer {
            self.counters.failed(fault);
        }
        answer
    }

    /// The bounds of a call for whose answer nobody waits after `until`.
    pub(crate) fn within(&self, now: Instant, until: Option<Instant>) -> Result<Bounds, Fault> {
        let Some(until) = until else {
            return Ok(self.bounds);
        };
        let left = until.saturating_duration_since(now);
        // The clock of deadlines has no shorter time.
        if left < TICK {
            return Err(Fault::Late);
        }
        Ok(Bounds {
            deadline: self.bounds.deadline.min(left),
            ..self.bounds
        })
    }

    fn context(&self, events: Option<Arc<dyn EventRows>>, bounds: &Bounds) -> Call {
        let until = Instant::now() + bounds.deadline;
        Call::new(self.shared.clone(), events, until)
    }

    fn run_forgetting<T>(
        &self,
        context: Call,
        bounds: &Bounds,
        call: impl FnOnce(&World, &mut Store<State>) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let idle = self.instances.idle().pop().map(|idle| idle.instance);
        let mut instance = self.ready(idle, context, bounds)?;
        let answer = self.call(&mut instance, bounds, call);
        if let Ok(_) | Err(Fault::Guest(_)) = &answer {
            self.keep(instance);
        }
        answer
    }

    fn run_remembering<T>(
        &self,
        memory: &Remembered,
        context: Call,
        bounds: &Bounds,
        call: impl FnOnce(&World, &mut Store<State>) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let mut remembering = memory.remembering();
        let kept = remembering.instance.take().map(|idle| idle.instance);
        let is_new = kept.is_none();
        let mut instance = self.ready(kept, context, bounds)?;
        if is_new && let Some(saved) = remembering.saved.take() {
            match self.call(&mut instance, bounds, restore(&saved, self)) {
                Ok(()) => remembering.saved = Some(saved),
                // It starts anew, as the contract says.
                Err(fault @ Fault::Guest(_)) => self.counters.failed(&fault),
                // It may work another time; what it remembers is not given up for that.
                Err(fault) => {
                    remembering.saved = Some(saved);
                    return Err(fault);
                }
            }
        }
        // Of a batch that failed it may have remembered a part: its successor goes on from what was saved.
        let answer = self.call(&mut instance, bounds, call)?;
        match self.call(&mut instance, bounds, save(self)) {
            Ok(saved) => remembering.saved = Some(saved.into()),
            Err(fault) => {
                // The batch was answered; what it left is lost with the instance.
                self.counters.failed(&fault);
                return Ok(answer);
            }
        }
        if !self.is_worn(&instance) {
            remembering.instance = self.idle(instance);
        }
        Ok(answer)
    }

    /// Calls into an instance under the bounds of a call, and notes what that leaves behind.
    fn call<T>(
        &self,
        instance: &mut Instance,
        bounds: &Bounds,
        call: impl FnOnce(&World, &mut Store<State>) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        instance.begin(bounds);
        let answer = call(&instance.world, &mut instance.store);
        self.count(instance);
        self.leave(instance.store.data_mut());
        answer
    }

    /// An instance that was kept, or a fresh one.
    fn ready(
        &self,
        kept: Option<Instance>,
        context: Call,
        bounds: &Bounds,
    ) -> Result<Instance, Fault> {
        match kept {
            Some(mut instance) => {
                instance.store.data_mut().call = context;
                Ok(instance)
            }
            None => self.instance(context, bounds),
        }
    }

    fn instance(&self, context: Call, bounds: &Bounds) -> Result<Instance, Fault> {
        self.counters.instantiated();
        let config = self.config.as_deref();
        match Instance::make(&self.running, &self.pre, bounds, context, config) {
            Ok(mut instance) => {
                self.count(&mut instance);
                Ok(instance)
            }
            Err(mut unmade) => {
                self.leave(&mut unmade.state);
                Err(unmade.fault)
            }
        }
    }

    fn count(&self, instance: &mut Instance) {
        if self.running.meter == Meter::Instructions
            && let Some(instructions) = instance.take_instructions()
        {
            self.counters.ran(instructions);
        }
    }

    fn leave(&self, state: &mut State) {
        self.counters.used_memory(state.limiter.used());
        let log = state.call.take_log();
        if let Some(sink) = &self.log
            && !(log.lines.is_empty() && log.cut == 0 && log.dropped == 0)
        {
            sink(&log);
        }
    }

    /// Whether it has grown to near its bound, or old: it is replaced before it fails.
    fn is_worn(&self, instance: &Instance) -> bool {
        let used = instance.store.data().limiter.used();
        instance.calls >= REUSED_CALLS_MAX || used > self.bounds.memory / 4 * 3
    }

    /// Keeps an instance that answered, where that is wanted.
    fn keep(&self, instance: Instance) {
        let is_stateful = matches!(self.pre, Pre::StatefulDetector(_));
        let is_reused = self.manifest.instance == InstanceMode::Reused;
        if !is_reused || is_stateful || self.is_worn(&instance) {
            return;
        }
        if let Some(idle) = self.idle(instance) {
            self.instances.idle().push(idle);
        }
    }

    /// An instance that waits for its next call, as long as there is room for such.
    fn idle(&self, mut instance: Instance) -> Option<Idle> {
        // The events of the last batch are not kept alive by an idle instance.
        instance.store.data_mut().call = self.context(None, &self.bounds);
        let room = self.running.idle_room()?;
        Some(Idle {
            instance,
            _room: room,
        })
    }
}

fn restore<'s>(
    saved: &'s [u8],
    plugin: &'s Plugin,
) -> impl FnOnce(&World, &mut Store<State>) -> Result<(), Fault> + 's {
    move |world, store| {
        let World::StatefulDetector(world) = world else {
            return Err(Fault::Misfit("it remembers nothing"));
        };
        let checkpoint = world.tripline_plugin_checkpoint();
        let told = checkpoint.call_restore(&mut *store, saved);
        let told = told.map_err(|error| ended(&error, store, &plugin.bounds))?;
        told.map_err(|fault| Fault::Guest(convert::fault_in(fault)))
    }
}

fn save(plugin: &Plugin) -> impl FnOnce(&World, &mut Store<State>) -> Result<Vec<u8>, Fault> + '_ {
    move |world, store| {
        let World::StatefulDetector(world) = world else {
            return Err(Fault::Misfit("it remembers nothing"));
        };
        let checkpoint = world.tripline_plugin_checkpoint();
        let told = checkpoint.call_save(&mut *store);
        let told = told.map_err(|error| ended(&error, store, &plugin.bounds))?;
        let saved = told.map_err(|fault| Fault::Guest(convert::fault_in(fault)))?;
        match saved.len() > plugin.bounds.output {
            true => Err(Fault::output(format!("a state of {} bytes", saved.len()))),
            false => Ok(saved),
        }
    }
}
