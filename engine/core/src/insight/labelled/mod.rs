//! Series of which it is known what is unusual in them, and a measure of detectors against that.
//!
//! [`generate`] makes, from a seed, six weeks of per-minute counts of API calls and errors of many keys, with all that is
//! usual and looks otherwise (schedules, deployments, sessions, growth, slow wander, a holiday, keys that are born, gaps in
//! the delivery), and plants unusual activity; [`score`] measures what a detector found. Relies on nothing but the seed:
//! the same seed gives the same set on every machine of the same floating point functions. Must never be used to learn from: a detector that was fitted to a
//! generator finds what the generator makes. Recorded trails without labels cannot say what was missed.

mod generate;
pub mod nab;
mod plant;
mod random;
mod score;
mod shape;
#[cfg(test)]
mod tests;
pub mod trial;

pub use generate::{Profile, generate};
pub use score::{Breakdown, Found, Measure, breakdown, measure};
pub use shape::Class;

/// What is unusual about a planted span.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Many calls in a few minutes.
    Spike,
    /// More calls for up to an hour.
    Burst,
    /// Somewhat more calls for hours.
    Slow,
    /// Calls at a time that is silent otherwise.
    Offhours,
    /// A larger part of calls fails.
    ErrorJump,
    /// Failing calls where there were none.
    NewError,
    /// Far fewer calls.
    Drop,
    /// A job that did not run three times.
    MissingCron,
    /// More calls from now on.
    LevelShift,
}

impl Kind {
    /// All of them, in order.
    pub const ALL: [Self; 9] = [
        Self::Spike,
        Self::Burst,
        Self::Slow,
        Self::Offhours,
        Self::ErrorJump,
        Self::NewError,
        Self::Drop,
        Self::MissingCron,
        Self::LevelShift,
    ];

    /// As it is written in the shared format.
    pub fn name(self) -> &'static str {
        match self {
            Self::Spike => "spike",
            Self::Burst => "burst",
            Self::Slow => "slow",
            Self::Offhours => "offhours",
            Self::ErrorJump => "error_jump",
            Self::NewError => "new_error",
            Self::Drop => "drop",
            Self::MissingCron => "missing_cron",
            Self::LevelShift => "level_shift",
        }
    }

    /// Whether it shows in errors rather than calls.
    pub fn is_error(self) -> bool {
        matches!(self, Self::ErrorJump | Self::NewError)
    }
}

/// A span that is unusual: minutes from `start` up to but not with `end`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Label {
    /// The number of its key.
    pub key: usize,
    /// What is unusual.
    pub kind: Kind,
    /// First minute.
    pub start: u32,
    /// First minute after it.
    pub end: u32,
    /// Alerts up to here are repeats of it.
    pub grace_end: u32,
    /// Calls or errors that were added, or taken.
    pub excess: i64,
    /// The sum of the span against the most, or least, at comparable times.
    pub ratio: f64,
}

/// One key: its name and what it is like.
#[derive(Clone, Debug, PartialEq)]
pub struct Key {
    /// Source and name of the call.
    pub name: String,
    /// What it is like; no detector is told.
    pub class: &'static str,
}

/// A span of minutes: from the first up to but not with the second.
pub type Span = (u32, u32);

/// Series and what is unusual in them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Set {
    /// First minute, the first that is scored, and the first after the last.
    pub begin: u32,
    /// See [`Self::begin`].
    pub warm_until: u32,
    /// See [`Self::begin`].
    pub end: u32,
    /// All keys.
    pub keys: Vec<Key>,
    /// Calls and errors of each minute since `begin`, of each key; empty if only labels were read.
    pub counts: Vec<Vec<(u32, u32)>>,
    /// Unusual spans.
    pub labels: Vec<Label>,
    /// Minutes of which nothing was delivered.
    pub gaps: Vec<Span>,
    /// Spans of a key that are not scored.
    pub ignored: Vec<(usize, Span)>,
}

impl Set {
    /// Weeks that are scored, of all series.
    pub fn series_weeks(&self) -> f64 {
        f64::from(self.end - self.warm_until) / 10_080.0 * self.keys.len() as f64
    }
}
