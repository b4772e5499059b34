//! Finds unusual volumes and error rates in per-minute counts of many series.
//!
//! A [`Detector`] is given complete minutes in order and says when a series begins and ceases to be unusual against its own
//! past. It learns seasons ([`season`]), schedules ([`phase`]), how far windows stray ([`spread`]) and how rare its own
//! scores are ([`extremes`]); series of which little is known stay small ([`detector`]). Relies on nothing but its
//! arguments: the same minutes give the same changes, before and after a snapshot, wherever logarithms have the same last digit. Must never do IO, read
//! a clock, or panic, whatever it is given.
//!
//! Why windows of a negative binomial and not means and deviations: most series of an audit log are rare or come in
//! bursts, and three calls in five minutes may matter where the mean is one call a week.

mod change;
mod detector;
mod explain;
mod extremes;
mod half;
mod judge;
mod onset;
mod open;
mod phase;
mod season;
mod series;
mod settings;
mod snapshot;
mod spread;
mod tail;
#[cfg(test)]
mod tests;
mod threshold;
mod windows;

pub use change::{
    Band, Change, ChangeKind, Count, Coverage, Minute, Reading, SeriesId, SeriesState, Test,
};
pub use detector::{Detector, Dropped};
pub use explain::{Seen, WindowSeen};
pub use settings::{Settings, SettingsFault, Watch};
pub use snapshot::DetectorFault;
