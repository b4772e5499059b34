//! The clock of the service. The only place of it that reads one.

use jiff::Timestamp;
use std::time::Duration;
use tripline_core::rule::kind::EventTime;

/// Now, by the system's clock.
pub(crate) fn now() -> EventTime {
    EventTime::from(Timestamp::now())
}

/// How long until a time; nothing when it is past. Never longer than a minute, so that a clock that was set back does not
/// make anybody sleep for a year.
pub(super) fn until(at: EventTime) -> Duration {
    let micros = at.since(now()).micros().clamp(0, 60_000_000);
    Duration::from_micros(micros as u64)
}
