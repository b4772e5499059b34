//! Insights: rates that are unusual for their own series, told with when they began and when they ended.
//!
//! ```text
//!  observations ─▶ pending minutes ─▶ a minute is over ─▶ detect ─▶ changes ─▶ records ─▶ rules
//!                  (counts, names)                        (what is usual)      (start, end)
//! ```
//!
//! A rule of the kind `insight` has a [`SeriesMemory`]: a series for each of its groups. Minutes are looked at when nothing of
//! them can come any more, so what is found depends on the events and not on their arrival. `detect` knows numbers alone: which
//! minute, which series, how many. `gauge` is the same for measurements, of which each is one number, and `watching` knows which of both a rule needs. `labelled` makes series of which it is known what is unusual in them, and measures a
//! detector against that. What series and those whose activity it is are called is kept here, beside it. Relies on
//! the state above for time, order and memory. Pure: no clock, no chance, no IO.
//!
//! Rejected: a baseline for each group in the memory of groups, which could learn nothing of the other groups.

mod chart;
pub mod detect;
pub mod entity;
mod explained;
pub mod gauge;
mod giving_way;
pub mod labelled;
mod measured;
mod memory;
mod names;
mod pending;
mod record;
mod settings;
mod snapshot;
mod telling;
mod texts;
mod watching;

pub use memory::{InsightOf, Moment, SeriesMemory, Taken};
pub use record::Record;
pub use snapshot::MemoryFault;
pub use texts::SeriesTexts;
