//! What was seen of a channel since the process started: counts, the last event, the last mistake. Shown to its owner, and to
//! partners who ask with their own proof.

use super::quota::Quota;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Semaphore;
use tripline_core::rule::kind::EventTime;

/// Senders and reasons are few; this bounds them where a channel is changed often.
const NAMES_MAX: usize = 256;

/// What was seen.
pub(crate) struct Live {
    pub(crate) quota: Quota,
    /// Requests at a time.
    pub(crate) room: Arc<Semaphore>,
    seen: Mutex<Seen>,
}

/// The same at one moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) requests: u64,
    pub(crate) accepted: u64,
    pub(crate) duplicates: u64,
    pub(crate) bytes: u64,
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
    pub(crate) fn new(requests_at_once: usize) -> Self {
        Self {
            quota: Quota::default(),
            room: Arc::new(Semaphore::new(requests_at_once)),
            seen: Mutex::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
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
            "rejected": self.rejected,
            "refused": self.refused,
            "last_event": event,
            "last_error": fault,
            "senders_last_seen": senders,
        })
    }
}
