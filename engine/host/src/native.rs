//! The one place where compiled code becomes runnable.
//!
//! Relies on `cache` for the promise that the bytes are what this host's own compiler wrote; must never be given
//! anything else, which its argument's type sees to.

#![allow(unsafe_code)] // Loading compiled code cannot be checked by the engine; who made it is checked by the MAC.

use crate::cache::Verified;
use std::time::Duration;
use wasmtime::Engine;
use wasmtime::component::Component;

/// Makes code runnable.
pub(crate) fn load(engine: &Engine, code: &Verified) -> wasmtime::Result<Component> {
    // SAFETY: a `Verified` holds what `precompile_component` gave, either just now in a child that is this very
    // program, or earlier, under a MAC whose key nobody else can read. The engine copies the bytes, so that nobody can
    // change them afterwards, and itself refuses those of another version or with other settings.
    let component = unsafe { Component::deserialize(engine, code.code()) }?;
    sealed(&component)?;
    Ok(component)
}

/// How often the images of memories are tried, and the first pause; each later one is twice as long.
const TRIES: u32 = 8;
const PAUSE: Duration = Duration::from_millis(5);

/// Makes the images that memories begin with now, and not at the first call. The kernel refuses to seal one while a page
/// of it is in use anywhere, which on a machine with much to do it is for a while though nobody else knows it.
fn sealed(component: &Component) -> wasmtime::Result<()> {
    let mut pause = PAUSE;
    for _ in 1..TRIES {
        if component.initialize_copy_on_write_image().is_ok() {
            return Ok(());
        }
        std::thread::sleep(pause);
        pause *= 2;
    }
    component.initialize_copy_on_write_image()
}
