//! Loading plugins: scan, compile, link with what was granted and nothing else, try once.
//!
//! Everything that can be wrong with a plugin before it sees an event is told here, in the order in which it is cheap to
//! find: its bytes, its world, what it imports, what it compiles to, how it starts. Until the very last step, nothing of
//! the plugin runs.

use crate::breaker::{Breaker, BreakerSettings};
use crate::cache::{Cache, CacheCounts, Digest, Verified};
use crate::engine::{Memory, Meter, Running, compatibility};
use crate::fault::Fault;
use crate::fit;
use crate::grant::Shared;
use crate::instance::{Bounds, Pre};
use crate::jail::{self, CompileFault, Jail};
use crate::limits::{
    HANDED_OVER_BYTES, HANDED_OVER_BYTES_GRANTED, INSTANCES_DEFAULT, MEMORY_BYTES_MAX,
};
use crate::manifest::{Capability, Limits, Manifest, World};
use crate::native;
use crate::plugin::{LogSink, Plugin};
use crate::run::{Instances, Remembered};
use crate::scan::{ScanFault, scan};
use crate::state::State;
use crate::statistics::Counters;
use crate::world::imports::link;
use sha2::Digest as _;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
use thiserror::Error;
use wasmtime::component::{Component, Linker};

/// How a host works.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where components are compiled.
    pub compiler: Compiler,
    /// Where compiled plugins are kept; without it, each start compiles.
    pub cache: Option<PathBuf>,
    /// Where the memory of instances comes from.
    pub memory: Memory,
    /// What is counted.
    pub meter: Meter,
    /// When plugins are switched off.
    pub breaker: BreakerSettings,
}

impl Settings {
    /// The usual, with this way to compile.
    pub fn new(compiler: Compiler) -> Self {
        Self {
            compiler,
            cache: None,
            memory: Memory::Pooled {
                instances: INSTANCES_DEFAULT,
            },
            meter: Meter::default(),
            breaker: BreakerSettings::default(),
        }
    }
}

/// Where components are compiled.
#[derive(Clone, Debug)]
pub enum Compiler {
    /// In a child under limits.
    Jail(Jail),
    /// In this process, which a hostile component can abort: for authors who try their own plugins.
    InProcess,
}

/// Why a host cannot be opened.
#[derive(Debug, Error)]
pub enum OpenError {
    /// The engine refuses its settings, or its thread was not started.
    #[error("the engine cannot be started: {0}")]
    Engine(String),
    /// The folder of compiled plugins cannot be used.
    #[error("the cache folder {} cannot be used", folder.display())]
    Cache {
        /// Which.
        folder: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Why a plugin cannot be loaded.
#[derive(Debug, Error)]
pub enum LoadError {
    /// The component itself.
    #[error("the component is refused: {0}")]
    Scan(#[from] ScanFault),
    /// It is not what its manifest says.
    #[error("the manifest says `{}`, but the component exports {}; a plugin of that world exports {}",
        said.as_str(), listed(exports), listed(&fit::exports(*said)))]
    World {
        /// By the manifest.
        said: World,
        /// By the component.
        exports: Vec<String>,
    },
    /// It wants what the operator did not grant, or what its world does not have.
    #[error("it imports what it was not granted: {}{help}", listed(imports))]
    NotGranted {
        /// The names of the imports.
        imports: Vec<String>,
        /// Whose turn it is, and to do what.
        help: String,
    },
    /// It wants what there is not.
    #[error("it imports what no host has: {}{}", listed(imports), hint(imports))]
    Unknown {
        /// The names of the imports.
        imports: Vec<String>,
    },
    /// It cannot be compiled.
    #[error(transparent)]
    Compile(#[from] CompileFault),
    /// It uses interfaces in another way than the contract, such as a function that is newer than this host.
    #[error("it does not fit the contract: {0}")]
    Contract(String),
    /// It cannot be instantiated and configured.
    #[error("it does not start")]
    Start(#[source] Fault),
}

fn listed(names: &[String]) -> String {
    let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    match names.is_empty() {
        true => "nothing".to_owned(),
        false => names.join(", "),
    }
}

fn hint(imports: &[String]) -> &'static str {
    match imports.iter().any(|name| name.starts_with("wasi:")) {
        true => {
            "; there is no WASI: build for `wasm32-unknown-unknown`, or with the toolchain's `--stub-wasi`"
        }
        false => "",
    }
}

/// What is needed to load a plugin.
pub struct Loading<'l> {
    /// The component.
    pub component: &'l [u8],
    /// What it says of itself.
    pub manifest: Manifest,
    /// The operator's ceilings.
    pub limits: Limits,
    /// What it was granted.
    pub shared: Arc<Shared>,
    /// The operator's settings as JSON; given exactly when the manifest has any.
    pub config: Option<String>,
    /// Takes what it writes.
    pub log: Option<Arc<LogSink>>,
}

/// Runs plugins.
#[derive(Debug)]
pub struct Host {
    running: Arc<Running>,
    compiler: Compiler,
    cache: Option<Cache>,
    breaker: BreakerSettings,
    started: Instant,
}

impl Host {
    /// Starts the engine and opens the cache.
    pub fn open(settings: Settings) -> Result<Self, OpenError> {
        let running = Running::start(settings.memory, settings.meter);
        let running = running.map_err(|error| OpenError::Engine(format!("{error:#}")))?;
        let open = |folder: PathBuf| {
            let cache = Cache::open(&folder, compatibility(&running.engine));
            cache.map_err(|source| OpenError::Cache { folder, source })
        };
        Ok(Self {
            cache: settings.cache.map(open).transpose()?,
            compiler: settings.compiler,
            breaker: settings.breaker,
            started: Instant::now(),
            running,
        })
    }

    /// Where the memory of instances really comes from.
    pub fn memory(&self) -> Memory {
        self.running.memory
    }

    /// How often the cache helped.
    pub fn cache_counts(&self) -> CacheCounts {
        self.cache.as_ref().map(Cache::counts).unwrap_or_default()
    }

    /// Loads a plugin.
    pub fn load(&self, loading: Loading<'_>) -> Result<Plugin, LoadError> {
        let scanned = scan(loading.component)?;
        let granted = fit::check(&scanned, &loading.manifest, Some(loading.shared.rights()))?;
        let digest: Digest = sha2::Sha256::digest(loading.component).into();
        let component = self.compiled(loading.component, &digest)?;
        let pre = self.linked(&component, loading.manifest.world, &granted)?;
        let limits = effective(loading.limits.least(loading.manifest.limits));
        let kinds = |columns: &[crate::manifest::Column]| {
            let kinds = columns.iter().map(|column| column.kind);
            kinds.collect()
        };
        let plugin = Plugin {
            running: self.running.clone(),
            bounds: bounds(limits, &granted),
            reads: kinds(&loading.manifest.reads),
            writes: kinds(&loading.manifest.writes),
            config: loading
                .config
                .filter(|_| !loading.manifest.settings.is_empty()),
            manifest: loading.manifest,
            digest,
            limits,
            pre,
            shared: loading.shared,
            log: loading.log,
            breaker: Breaker::new(self.breaker),
            started: self.started,
            counters: Counters::default(),
            instances: Instances::default(),
            memory: Remembered::default(),
        };
        plugin.rehearse().map_err(LoadError::Start)?;
        Ok(plugin)
    }

    /// From the cache, or compiled now.
    fn compiled(&self, component: &[u8], digest: &Digest) -> Result<Component, LoadError> {
        if let Some(cache) = &self.cache
            && let Some(verified) = cache.get(digest)
            && let Ok(component) = native::load(&self.running.engine, &verified)
        {
            return Ok(component);
        }
        let meter = self.running.meter;
        let code = match &self.compiler {
            Compiler::Jail(jail) => jail.compile(component, meter)?,
            Compiler::InProcess => jail::compile(component, meter)
                .map_err(|error| CompileFault::Refused(format!("{error:#}")))?,
        };
        if let Some(cache) = &self.cache {
            cache.put(digest, &code);
        }
        // The pool's own bounds, such as that on the least memory, are looked at here.
        let component = native::load(&self.running.engine, &Verified::compiled(code));
        component.map_err(|error| LoadError::Contract(format!("{error:#}")))
    }

    fn linked(
        &self,
        component: &Component,
        world: World,
        granted: &[Capability],
    ) -> Result<Pre, LoadError> {
        let mut linker: Linker<State> = Linker::new(&self.running.engine);
        let contract = |error: wasmtime::Error| LoadError::Contract(format!("{error:#}"));
        for capability in granted {
            link(&mut linker, *capability).map_err(contract)?;
        }
        let pre = linker.instantiate_pre(component).map_err(contract)?;
        Pre::of(world, pre).map_err(contract)
    }
}

fn effective(limits: Limits) -> Limits {
    Limits {
        memory: limits.memory.min(MEMORY_BYTES_MAX as u64),
        ..limits
    }
}

fn bounds(limits: Limits, granted: &[Capability]) -> Bounds {
    let output = limits.output as usize;
    let hands_over_much = granted.iter().any(|one| {
        use Capability::{Http, Kv, Lookup, Reads};
        matches!(one, Kv | Lookup | Http | Reads)
    });
    let beside = match hands_over_much {
        true => HANDED_OVER_BYTES_GRANTED,
        false => HANDED_OVER_BYTES,
    };
    Bounds {
        memory: limits.memory as usize,
        deadline: Duration::from_millis(limits.deadline_ms.max(1)),
        output,
        handed_over: output + beside,
    }
}
