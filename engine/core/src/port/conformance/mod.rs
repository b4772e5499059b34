//! What every adapter of a port must do, as functions that its tests call. Adapters that are only simulated run the
//! same ones.
//!
//! Each function gets a way to open the adapter: what it was before it was closed must be there again.

mod bus;
mod store;

pub use bus::bus;
pub use store::{dead_letter, finding, store};
