//! The plugin host: the only crate that names wasmtime.
//!
//! A component is scanned, compiled in a child process under limits, cached, and instantiated with nothing but the
//! imports that its operator granted. Events cross as packed batches. Every call is bounded in time, memory and output;
//! whatever a plugin does, it comes back as a value.

pub mod answer;
pub mod batch;
mod bisect;
pub mod breaker;
mod cache;
mod engine;
pub mod fault;
pub mod fit;
pub mod grant;
mod host;
mod instance;
pub mod jail;
pub mod limits;
pub mod manifest;
mod native;
pub mod oci;
pub mod operator;
mod plugin;
pub mod proposal;
pub mod provenance;
mod run;
pub mod scan;
pub mod sign;
mod state;
mod statistics;
pub mod versions;
mod world;

pub use cache::{CacheCounts, Digest};
pub use engine::{Memory, Meter};
pub use fault::{Disposition, Fault, FaultName, TrapKind};
pub use host::{Compiler, Host, LoadError, Loading, OpenError, Settings};
pub use plugin::{Answer, Batch, ExecuteMode, LogSink, Plugin};
pub use run::Remembered;
pub use statistics::Statistics;
