//! How far event time has come, by the events of the log and by its ticks.
//!
//! Events tell the time themselves, as far as several of them agree. When none come, time passes all the same: a tick in
//! the log says how much of it, and event time moves on by that, as far behind the bus as it was when events came. So
//! timers run out on a silent stream, and a log that is filled from last year's archive does not jump to today.

use crate::rule::kind::{EventKey, EventTime, Period};
use crate::state::Watermark;
use serde::{Deserialize, Serialize};

/// How far event time has come.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct EventClock {
    watermark: Watermark,
    /// When the bus took the record at which the watermark moved last.
    moved_at: Option<EventTime>,
    /// The time that ticks came to.
    ticked: Option<EventTime>,
}

impl EventClock {
    /// Events of records up to one that the bus took at this time: the newest of them.
    pub fn note<'k>(
        &mut self,
        newest: impl IntoIterator<Item = &'k (EventTime, EventKey)>,
        taken: EventTime,
    ) {
        let before = self.watermark.reached();
        for (time, key) in newest {
            self.watermark.note(*time, key);
        }
        if self.watermark.reached() > before {
            self.moved_at = Some(taken);
        }
    }

    /// The bus had nothing more at this time.
    pub fn tick(&mut self, at: EventTime) {
        let (Some(reached), Some(moved_at)) = (self.watermark.reached(), self.moved_at) else {
            return;
        };
        self.ticked = self.ticked.max(Some(reached.plus(at.since(moved_at))));
    }

    /// How far event time has come; nothing as long as too few events were seen.
    pub fn reached(&self) -> Option<EventTime> {
        self.watermark.reached().max(self.ticked)
    }

    /// How far event time is behind the bus, when events came last.
    pub fn lag(&self) -> Option<Period> {
        Some(self.moved_at?.since(self.watermark.reached()?))
    }
}

#[cfg(test)]
mod tests {
    use super::EventClock;
    use crate::limits::WATERMARK_WITNESSES;
    use crate::rule::kind::{EventKey, EventTime, Period};

    fn at(second: i64) -> EventTime {
        EventTime::from_micros(second * 1_000_000)
    }

    fn events(from: i64) -> Vec<(EventTime, EventKey)> {
        let count = WATERMARK_WITNESSES as i64;
        let numbers = from..from + count;
        numbers
            .map(|number| (at(number), EventKey::new(&number.to_string())))
            .collect()
    }

    #[test]
    fn time_passes_on_a_silent_stream_as_far_behind_as_before() {
        let mut clock = EventClock::default();
        clock.tick(at(5_000));
        assert_eq!(clock.reached(), None, "nobody knows what time it is");
        clock.note(&events(100), at(10_000));
        assert_eq!(clock.reached(), Some(at(100)));
        assert_eq!(clock.lag(), Some(Period::from_seconds(9_900)));
        clock.tick(at(10_060));
        assert_eq!(clock.reached(), Some(at(160)));
        clock.tick(at(10_030));
        assert_eq!(clock.reached(), Some(at(160)), "time does not go back");
        clock.note(&events(130), at(10_070));
        assert_eq!(clock.reached(), Some(at(160)));
        clock.note(&events(300), at(10_080));
        assert_eq!(clock.reached(), Some(at(300)));
    }
}
