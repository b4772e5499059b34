//! What became of the events of a request, counted: whoever looks at the status only learns whether to send the same again.

use super::answer::json_with;
use crate::channel::intake::{Outcome, Taken};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use serde_json::{Value, json};
use tripline_core::port::Durability;

/// Rejected events that are named in an answer; the others are counted.
const REJECTED_SHOWN_MAX: usize = 100;

#[derive(Debug)]
pub(super) struct Totals {
    events: u64,
    accepted: u64,
    duplicates: u64,
    set_aside: u64,
    rejected: u64,
    pub(super) is_retryable: bool,
    shown: Vec<Value>,
    /// Of each event in its place, where there are not too many.
    ids: Option<Vec<Value>>,
    durability: Durability,
}

impl Totals {
    pub(super) fn new(durability: Durability) -> Self {
        Self {
            events: 0,
            accepted: 0,
            duplicates: 0,
            set_aside: 0,
            rejected: 0,
            is_retryable: false,
            shown: Vec::new(),
            ids: None,
            durability,
        }
    }

    /// Of everything that was taken together, with the id of every event.
    pub(super) fn of(taken: &Taken) -> Self {
        let mut totals = Self {
            ids: Some(Vec::with_capacity(taken.outcomes.len())),
            ..Self::new(taken.durability)
        };
        totals.add(taken);
        totals
    }

    pub(super) fn add(&mut self, taken: &Taken) {
        self.durability = taken.durability;
        for outcome in &taken.outcomes {
            let id = match outcome {
                Outcome::Accepted { event_id } => {
                    self.accepted += 1;
                    event_id.as_str().into()
                }
                Outcome::Duplicate { event_id } => {
                    self.duplicates += 1;
                    event_id.as_str().into()
                }
                Outcome::SetAside { event_id, .. } => {
                    self.set_aside += 1;
                    event_id.as_str().into()
                }
                Outcome::Rejected(why) => {
                    self.reject(why.code, &why.words, why.is_retryable);
                    Value::Null
                }
            };
            self.events += 1;
            if let Some(ids) = &mut self.ids {
                ids.push(id);
            }
        }
    }

    /// Something that is too long to be looked at counts as an event too.
    pub(super) fn too_large(&mut self, words: &str) {
        self.reject("too_large", words, false);
        self.events += 1;
    }

    fn reject(&mut self, code: &str, words: &str, is_retryable: bool) {
        self.rejected += 1;
        self.is_retryable |= is_retryable;
        if self.shown.len() < REJECTED_SHOWN_MAX {
            self.shown.push(json!({
                "index": self.events, "code": code, "message": words, "retryable": is_retryable,
            }));
        }
    }

    /// As it is told.
    pub(super) fn told(self) -> Value {
        let mut told = json!({
            "accepted": self.accepted,
            "duplicates": self.duplicates,
            "set_aside": self.set_aside,
            "rejected": self.rejected,
            "first_rejected": self.shown,
            "durability": self.durability.as_str(),
        });
        match self.ids {
            Some(ids) => told["event_ids"] = ids.into(),
            None => told["events"] = self.events.into(),
        }
        told
    }

    pub(super) fn answer(self) -> Response {
        let is_retryable = self.is_retryable;
        let status = match (
            is_retryable,
            self.accepted + self.duplicates + self.set_aside,
        ) {
            (true, _) => StatusCode::SERVICE_UNAVAILABLE,
            (false, 0) => StatusCode::UNPROCESSABLE_ENTITY,
            (false, _) => StatusCode::OK,
        };
        let mut response = json_with(status, &self.told());
        if is_retryable {
            let seconds = HeaderValue::from_static("1");
            response.headers_mut().insert(header::RETRY_AFTER, seconds);
        }
        response
    }

    pub(super) fn is_empty(&self) -> bool {
        self.events == 0
    }
}
