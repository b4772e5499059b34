//! The clock of the service. The only place of it that reads one.

use jiff::Timestamp;
use std::sync::OnceLock;
use std::time::{Duration, Instant};
use tripline_core::rule::kind::{EventTime, Period};

/// Now. Goes on when the system's clock is set back: everything that waits would wait for that long too.
pub(crate) fn now() -> EventTime {
    static START: OnceLock<(EventTime, Instant)> = OnceLock::new();
    let wall = EventTime::from(Timestamp::now());
    let (start, since) = START.get_or_init(|| (wall, Instant::now()));
    let passed = i64::try_from(since.elapsed().as_millis()).unwrap_or(i64::MAX / 2_000_000);
    wall.max(start.plus(Period::from_millis(passed)))
}

/// How long until a time; nothing when it is past. Never longer than a minute, so that a clock that was set back does not
/// make anybody sleep for a year.
pub(super) fn until(at: EventTime) -> Duration {
    let micros = at.since(now()).micros().clamp(0, 60_000_000);
    Duration::from_micros(micros as u64)
}
