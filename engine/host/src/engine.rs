//! The engine of all plugins, and the thread whose ticks end calls that take too long.
//!
//! Everything that no toolchain needs is switched off, concurrency above all: it made calls three times dearer and is
//! where this year's holes were. Deadlines are epochs, not fuel: fuel is deterministic but dearer on parsing code, and
//! says nothing about time. Memory comes from a pool with copy-on-write images, so that a fresh instance costs
//! microseconds; where the address space for that is not to be had, memory is mapped for each instance.

use crate::limits;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Instant;
use wasmtime::{
    Config, Enabled, Engine, EngineWeak, InstanceAllocationStrategy, PoolingAllocationConfig,
};

/// Where the memory of instances comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Memory {
    /// From slots that were reserved beforehand.
    Pooled {
        /// Instances that may be alive at the same time.
        instances: u32,
    },
    /// Mapped for each instance. The compiling child does so: it never instantiates.
    OnDemand,
}

/// What is counted while plugins run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Meter {
    /// The time alone.
    #[default]
    Time,
    /// Instructions too, the same whatever the machine is doing: for measuring, since everything is slower by half.
    Instructions,
}

/// Makes engines that may share what they compile, when they count the same.
fn config(meter: Meter) -> Config {
    let mut config = Config::new();
    config
        .concurrency_support(false)
        .consume_fuel(meter == Meter::Instructions)
        .epoch_interruption(true)
        .wasm_memory64(false)
        .wasm_relaxed_simd(false)
        .wasm_tail_call(false)
        .wasm_wide_arithmetic(false)
        .wasm_custom_page_sizes(false)
        // Without it, compiling a component whose parts call each other panics.
        .wasm_multi_memory(true)
        // Python's components need it.
        .wasm_extended_const(true)
        .max_wasm_stack(limits::STACK_BYTES)
        .memory_init_cow(true)
        .wasm_backtrace_max_frames(NonZeroUsize::new(20));
    config
}

fn pool(instances: u32) -> PoolingAllocationConfig {
    let instances = instances.clamp(1, limits::INSTANCES_MAX);
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(instances)
        .total_core_instances(instances.saturating_mul(8))
        .total_memories(instances.saturating_mul(2))
        .total_tables(instances.saturating_mul(4))
        .table_elements(limits::TABLE_ELEMENTS_MAX)
        .max_memory_size(limits::MEMORY_BYTES_MAX)
        .max_core_instances_per_component(limits::CORE_MODULES_MAX as u32)
        .max_memories_per_component(limits::MEMORIES_MAX as u32)
        .max_tables_per_component(limits::TABLES_MAX as u32)
        .max_tables_per_module(4)
        .linear_memory_keep_resident(limits::MEMORY_RESIDENT_BYTES)
        .table_keep_resident(limits::TABLE_RESIDENT_BYTES)
        // Without scanning for touched pages, keeping memory resident doubles the cost instead of halving it.
        .pagemap_scan(Enabled::Auto);
    pool
}

/// An engine, and where its instances' memory really comes from.
pub(crate) fn engine(memory: Memory, meter: Meter) -> wasmtime::Result<(Engine, Memory)> {
    if let Memory::Pooled { instances } = memory {
        let mut pooled = config(meter);
        pooled.allocation_strategy(InstanceAllocationStrategy::Pooling(pool(instances)));
        // The reservation itself is the probe: it either works as a whole or leaves nothing behind.
        if let Ok(engine) = Engine::new(&pooled) {
            return Ok((engine, memory));
        }
    }
    Ok((Engine::new(&config(meter))?, Memory::OnDemand))
}

/// Ends calls that take too long, by letting the engine's epoch tick. Stops when it is dropped.
#[derive(Debug)]
pub(crate) struct Ticker {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Ticker {
    pub(crate) fn start(engine: &Engine) -> std::io::Result<Self> {
        let (stop, stopped) = channel::<()>();
        let engine = engine.weak();
        let tick = move || {
            let mut ticked = Instant::now();
            while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(limits::TICK) {
                if !advance(&engine, &mut ticked) {
                    return;
                }
            }
        };
        let thread = std::thread::Builder::new()
            .name("plugin-ticks".to_owned())
            .spawn(tick)?;
        Ok(Self {
            stop: Some(stop),
            thread: Some(thread),
        })
    }
}

/// Ticks as often as time has gone by; false when the engine is gone.
fn advance(engine: &EngineWeak, ticked: &mut Instant) -> bool {
    let Some(engine) = engine.upgrade() else {
        return false;
    };
    let now = Instant::now();
    let late = now.duration_since(*ticked).as_micros() / limits::TICK.as_micros();
    *ticked = now;
    let ticks = (late as u64).clamp(1, limits::TICKS_MADE_UP_MAX);
    for _ in 0..ticks {
        engine.increment_epoch();
    }
    true
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            // A ticking thread that panicked has nothing to tell.
            let _ = thread.join();
        }
    }
}

/// What compiled code of two engines has to have in common to be exchanged, as text for file names.
pub(crate) fn compatibility(engine: &Engine) -> String {
    use sha2::Digest;
    use std::hash::Hash;
    struct Collect(sha2::Sha256);
    impl std::hash::Hasher for Collect {
        fn finish(&self) -> u64 {
            0
        }
        fn write(&mut self, bytes: &[u8]) {
            self.0.update(bytes);
        }
    }
    let mut collected = Collect(sha2::Sha256::new());
    engine.precompile_compatibility_hash().hash(&mut collected);
    let digest = collected.0.finalize();
    hex(&digest[..16])
}

/// Bytes as small hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let digit = |value: u8| char::from_digit(u32::from(value), 16).unwrap_or('?');
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.map(digit).collect()
}

/// The engine of a host: kept alive by every plugin, as is the thread that ticks for it.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) engine: Engine,
    pub(crate) memory: Memory,
    pub(crate) meter: Meter,
    idle: AtomicUsize,
    idle_max: usize,
    _ticker: Ticker,
}

/// Room for one idle instance; given back when it is dropped.
pub(crate) struct IdleRoom {
    running: Arc<Running>,
}

impl Drop for IdleRoom {
    fn drop(&mut self) {
        self.running.idle.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Running {
    pub(crate) fn start(memory: Memory, meter: Meter) -> wasmtime::Result<Arc<Self>> {
        let (engine, memory) = engine(memory, meter)?;
        let ticker = Ticker::start(&engine)?;
        let instances = match memory {
            Memory::Pooled { instances } => instances,
            Memory::OnDemand => limits::INSTANCES_DEFAULT,
        };
        Ok(Arc::new(Self {
            engine,
            memory,
            meter,
            idle: AtomicUsize::new(0),
            idle_max: instances as usize / limits::IDLE_INSTANCES_SHARE,
            _ticker: ticker,
        }))
    }

    /// Room for one more idle instance, if there is any.
    pub(crate) fn idle_room(self: &Arc<Self>) -> Option<IdleRoom> {
        let room = IdleRoom {
            running: self.clone(),
        };
        // Counted first: when it is one too many, dropping it counts it back.
        let before = self.idle.fetch_add(1, Ordering::Relaxed);
        (before < self.idle_max).then_some(room)
    }
}
