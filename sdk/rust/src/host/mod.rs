//! What the host offers, a module for each capability.
//!
//! In a component each function is an import, and those that are not called are left out. Everywhere else
//! [`testing`](crate::testing) plays the host. Texts that go out are copied once a call, not once a row: all functions
//! that are worth calling for many rows take lists.

pub mod clock;
pub mod events;
pub mod http;
pub mod kv;
pub mod log;
pub mod lookup;
pub mod metrics;
pub mod random;
pub mod reads;

#[cfg(target_arch = "wasm32")]
pub(crate) use crate::bindings::host::tripline::plugin as imports;
#[cfg(not(target_arch = "wasm32"))]
pub(crate) use crate::testing::imports;

fn owned(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}
