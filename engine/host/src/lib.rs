//! The plugin host: the only crate that names wasmtime.
//!
//! A component is scanned, compiled in a child process under limits, cached, and instantiated with nothing but the
//! imports that its operator granted. Events cross as packed batches. Every call is bounded in time, memory and output;
//! whatever a plugin does, it comes back as a value.

pub mod batch;
pub mod grant;
pub mod manifest;
pub mod operator;
pub mod sign;
