//! Buses: where records come from, in order, and stay until nobody needs them.
//!
//! Each adapter implements [`tripline_core::port::Bus`] and passes the tests that all of them share
//! (`tripline_core::port::conformance`). They never know each other, nor what the records mean.

pub mod embedded;
pub mod nats;
