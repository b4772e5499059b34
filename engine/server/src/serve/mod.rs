//! The service: the pipeline with threads, a clock, a log and a store.
//!
//! ```text
//!  producers ─▶ log ─▶ driver (one thread a partition: the worker of core) ─▶ store ─▶ one thread a sink
//!                       │      ▲                              ▲
//!                       ▼      │                              │
//!                      examiners: one thread a core      committer: what waits for the disk
//! ```
//!
//! Everything is decided by `tripline_core::pipeline`; here it is done. Threads end when the scope of an epoch ends: an epoch
//! is the time during which one set of rules is in force, and borrows it. A reload compiles the new rules first, drains
//! the worker, and begins another epoch where it stopped, so no record is seen by both sets and none by neither.

mod assignment;
mod bundle;
mod bus;
mod clock;
mod desk;
pub(crate) mod door;
mod driver;
mod epochs;
mod examiners;
mod holding;
pub(crate) mod http;
mod learnt;
mod opening;
mod outboxes;
mod partitions;
mod place;
mod pulling;
mod replay;
mod resends;
mod rules;
mod service;
mod shared_files;
mod sharing;
pub(crate) mod sink;
mod status;
mod tls;
mod traced;
mod versions;

pub(crate) use assignment::Assignment;
pub(crate) use bus::{connect_settings, remediation_ledger};
pub(crate) use clock::now;
pub(crate) use partitions::Partitions;
pub(crate) use replay::{Stretch, replay};
pub(crate) use rules::plugins_of;
pub(crate) use service::{Handles, ServeError, Service};
