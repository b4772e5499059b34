//! The one place where compiled code becomes runnable.
//!
//! Relies on `cache` for the promise that the bytes are what this host's own compiler wrote; must never be given
//! anything else, which its argument's type sees to.

#![allow(unsafe_code)] // Loading compiled code cannot be checked by the engine; who made it is checked by the MAC.

use crate::cache::Verified;
use wasmtime::Engine;
use wasmtime::component::Component;

/// Makes code runnable.
pub(crate) fn load(engine: &Engine, code: &Verified) -> wasmtime::Result<Component> {
    // SAFETY: a `Verified` holds what `precompile_component` gave, either just now in a child that is this very
    // program, or earlier, under a MAC whose key nobody else can read. The engine copies the bytes, so that nobody can
    // change them afterwards, and itself refuses those of another version or with other settings.
    unsafe { Component::deserialize(engine, code.code()) }
}
