//! From the log to durable findings, as a function of what came before and what happened now.
//!
//! ```text
//!             Effect                                Input
//!   Worker ──▶ Fetch ─────▶ bus ──────────────────▶ Fetched ──▶ Worker
//!          ──▶ Examine ───▶ threads, plugins ─────▶ Examined ─▶
//!          ──▶ Commit ────▶ store, durable ───────▶ Committed ▶
//!          ──▶ KeepSnapshot▶ store ───────────────▶ SnapshotKept
//!   Outbox ──▶ Load, Send, Save ──▶ store, sink ──▶ Loaded, Sent, Saved ──▶ Outbox
//! ```
//!
//! [`Worker`] owns one partition; [`Outbox`] owns one sink. Both are told the time and what happened, and say what is to be
//! done; a driver does it. So order, retries, back-pressure, crashes and shutdown are tested without a bus, a store or a
//! clock, and the simulator runs what runs in production. Neither does IO, reads a clock, or waits.
//!
//! What a record leads to depends on the log alone: records are examined in batches of any size on any thread, but what
//! rules remember moves forward at fixed places in the log ([`BLOCK`]). A worker that starts again from an
//! older snapshot comes to the same findings. Rejected: to move forward with each batch, whose sizes differ from run to run.

mod bound;
mod clock;
mod examine;
mod outbox;
mod step;
mod tally;
mod worker;

#[cfg(test)]
mod tests;

pub use clock::EventClock;
pub use examine::{Answers, Examined, Examiner, NoAnswers, retried};
pub use outbox::{Outbox, OutboxEffect, OutboxInput, OutboxSettings, SendFault};
pub use step::{Effect, Input, StartFault, StopReason, WorkerSettings};
pub use tally::Tally;
pub use worker::{Worker, goes_on_from};

/// Records after which what rules remember moves forward: at sequences that are multiples of it. Fewer would look at
/// timers more often than anybody notices; more would hold findings back on a slow stream, for which there are ticks.
pub const BLOCK: u64 = 256;
