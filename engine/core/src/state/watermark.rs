//! How far event time has come, told by the events themselves.
//!
//! The newest event does not count: a single record with a wrong clock would make everything after it late. Time has
//! come as far as several different events say, so it takes that many to be misled. Exact duplicates are one.

use crate::limits::WATERMARK_WITNESSES;
use crate::rule::kind::{EventKey, EventTime};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// How far event time has come.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Watermark {
    /// The newest events.
    newest: BTreeSet<(EventTime, EventKey)>,
    /// Never goes back.
    reached: Option<EventTime>,
}

impl Watermark {
    /// An event was seen.
    pub fn note(&mut self, time: EventTime, key: &EventKey) {
        let oldest = self.newest.first().map(|(time, _)| *time);
        if self.newest.len() == WATERMARK_WITNESSES && oldest.is_some_and(|oldest| time <= oldest) {
            return;
        }
        self.newest.insert((time, key.clone()));
        if self.newest.len() > WATERMARK_WITNESSES {
            self.newest.pop_first();
        }
        if self.newest.len() == WATERMARK_WITNESSES {
            let witnessed = self.newest.first().map(|(time, _)| *time);
            self.reached = self.reached.max(witnessed);
        }
    }

    /// The time that enough events agree on; nothing as long as there are too few.
    pub fn reached(&self) -> Option<EventTime> {
        self.reached
    }
}

#[cfg(test)]
mod tests {
    use super::{EventKey, EventTime, WATERMARK_WITNESSES, Watermark};

    #[test]
    fn one_wrong_clock_does_not_move_time() {
        let at = |second: i64| EventTime::from_micros(second * 1_000_000);
        let mut watermark = Watermark::default();
        let key = |number: i64| EventKey::new(&number.to_string());
        for repeat in 0..20 {
            watermark.note(at(1_000_000), &key(-1));
            assert_eq!(watermark.reached(), None, "{repeat}");
        }
        for second in 0..100 {
            watermark.note(at(second), &key(second));
        }
        let reached = watermark.reached().expect("there were enough");
        assert_eq!(reached, at(100 - WATERMARK_WITNESSES as i64 + 1));
    }
}
