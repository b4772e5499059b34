//! What plugins are granted: one file for each interface of `wit/` that they may import.
//!
//! Plain Rust that knows nothing of how plugins run. `Shared` is the state of one plugin over all its instances and
//! threads; `Call` is that of one call, with its bounds. A capability that is not given is absent here, so that each
//! function refuses by itself, even if an interface were linked by mistake. Whatever a plugin asks, it gets a value or a
//! `Fault`; nothing here panics, waits without end or grows without bound.

pub mod clock;
pub mod events;
mod fault;
pub mod http;
pub mod kv;
pub mod limits;
pub mod log;
pub mod lookup;
pub mod metrics;
mod random;
pub mod reads;
mod shared;
#[cfg(test)]
mod tests;

pub use clock::{Clock, SystemClock};
pub use fault::{Fault, FaultKind};
pub use random::TooMuch;
pub use shared::{Call, Means, Shared, SharedFault};
