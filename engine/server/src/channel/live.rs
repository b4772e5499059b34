//! What was seen of a channel since the process started: counts, the last event, the last mistake. Shown to its owner, and to
//! partners who ask with their own proof.

use super::quota::Quota;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tripline_core::rule::kind::{EventTime, Period};

/// Senders and reasons are few; this bounds them where a channel is changed often.
const NAMES_MAX: usize = 256;

/// What was seen.
#[derive(Default)]
pub(crate) struct Live {
    pub(crate) quota: Quota,
    silence: Mutex<Silence>,
    seen: Mutex<Seen>,
}

/// Whether a channel is silent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub(crate) struct Silence {
    /// When something came last, or when watching began; microseconds after 1970.
    pub(crate) since: i64,
    /// Whether it was told.
    pub(crate) was_told: bool,
}

/// What became of a channel since it was looked at before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    Silent,
    Resumed,
}

impl Silence {
    /// Looks at it: `last` is when something came last, if anything did.
    pub(crate) fn look(
        &mut self,
        last: Option<EventTime>,
        after: Period,
        now: EventTime,
    ) -> Option<Turn> {
        if self.since == 0 {
            self.since = now.micros();
        }
        let last = last.map_or(self.since, |last| last.micros().max(self.since));
        if last > self.since {
            self.since = last;
            if self.was_told {
                self.was_told = false;
                return Some(Turn::Resumed);
            }
        }
        let is_silent = now.since(EventTime::from_micros(self.since)) >= after;
        if is_silent && !self.was_told {
            self.was_told = true;
            return Some(Turn::Silent);
        }
        None
    }
}

/// The same at one moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) requests: u64,
    pub(crate) accepted: u64,
    pub(crate) duplicates: u64,
    pub(crate) bytes: u64,
    /// Events that were taken and set aside, and events that the schema says something against.
    pub(crate) set_aside: u64,
    pub(crate) warned: u64,
    /// Events that were not taken, by why.
    pub(crate) rejected: BTreeMap<&'static str, u64>,
    /// Requests that were not taken, by why.
    pub(crate) refused: BTreeMap<&'static str, u64>,
    pub(crate) last_event: Option<(EventTime, String)>,
    pub(crate) last_fault: Option<(EventTime, &'static str, String)>,
    /// When each sender was last let in.
    pub(crate) senders: BTreeMap<String, EventTime>,
}

impl Live {
    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn silence(&self) -> MutexGuard<'_, Silence> {
        self.silence.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn seen(&self) -> Seen {
        self.lock().clone()
    }

    /// Notes what a request came to.
    pub(crate) fn note(&self, change: impl FnOnce(&mut Seen)) {
        change(&mut self.lock());
    }

    /// Notes a request that was not taken.
    pub(crate) fn refused(&self, code: &'static str, words: &str, now: EventTime) {
        self.note(|seen| {
            seen.requests += 1;
            *seen.refused.entry(code).or_default() += 1;
            seen.last_fault = Some((now, code, words.to_owned()));
        });
    }

    /// Notes that a sender was let in.
    pub(crate) fn let_in(&self, sender: &str, now: EventTime) {
        self.note(|seen| {
            if seen.senders.len() < NAMES_MAX || seen.senders.contains_key(sender) {
                seen.senders.insert(sender.to_owned(), now);
            }
        });
    }
}

impl Seen {
    /// As it is told.
    pub(crate) fn told(&self) -> Value {
        let event = self
            .last_event
            .as_ref()
            .map(|(time, id)| json!({ "time": time.to_string(), "event_id": id }));
        let fault = self.last_fault.as_ref().map(|(time, code, words)| {
            json!({ "time": time.to_string(), "code": code, "message": words })
        });
        let senders: BTreeMap<&String, String> = self
            .senders
            .iter()
            .map(|(name, time)| (name, time.to_string()))
            .collect();
        json!({
            "requests": self.requests,
            "accepted": self.accepted,
            "duplicates": self.duplicates,
            "bytes": self.bytes,
            "set_aside": self.set_aside,
            "warned": self.warned,
            "rejected": self.rejected,
            "refused": self.refused,
            "last_event": event,
            "last_error": fault,
            "senders_last_seen": senders,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Silence, Turn};
    use tripline_core::rule::kind::{EventTime, Period};

    #[test]
    fn silence_is_told_once_and_its_end_too() {
        let at = |seconds: i64| EventTime::from_micros(1_767_225_600_000_000 + seconds * 1_000_000);
        let mut silence = Silence::default();
        let hour = Period::from_seconds(3600);
        for (last, now, turn) in [
            (None, 0, None),
            (None, 3599, None),
            (None, 3600, Some(Turn::Silent)),
            (None, 9000, None),
            (Some(9001), 9001, Some(Turn::Resumed)),
            (Some(9001), 12_600, None),
            (Some(12_600), 12_601, None),
            (Some(12_600), 16_200, Some(Turn::Silent)),
        ] {
            assert_eq!(silence.look(last.map(at), hour, at(now)), turn, "at {now}");
        }
    }
}
