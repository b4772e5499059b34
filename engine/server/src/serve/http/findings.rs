//! Findings and the events that they cite, as they are kept.

use super::answer::{Refusal, json};
use super::{Shared, blocking, number_of, part};
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json as value};
use tripline_core::port::{FindingFilter, Sequence, Store, StoredFinding};
use tripline_core::rule::Severity;
use tripline_core::rule::kind::EventTime;

/// Findings of one answer, when nobody says how many, and at most.
const PAGE: usize = 100;
const PAGE_MAX: usize = 1000;

/// Which findings.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    rule: Option<String>,
    severity_min: Option<String>,
    since: Option<String>,
    before: Option<String>,
    limit: Option<String>,
}

impl Wanted {
    fn filter(self) -> Result<FindingFilter, Refusal> {
        let severities = match self.severity_min.as_deref() {
            None => Vec::new(),
            Some(word) => {
                let least = Severity::from_word(word).ok_or_else(|| {
                    Refusal::bad(format!(
                        "severity_min is none of {}",
                        Severity::WORDS.join(", ")
                    ))
                })?;
                let severe =
                    |word: &&&str| Severity::from_word(word).is_some_and(|one| one >= least);
                Severity::WORDS
                    .iter()
                    .filter(severe)
                    .map(|word| (*word).to_owned())
                    .collect()
            }
        };
        let since =
            match self.since.as_deref() {
                None => None,
                Some(text) => Some(text.parse::<Timestamp>().map(EventTime::from).map_err(
                    |_| {
                        Refusal::bad("since is no time with its zone, such as 2026-01-02T03:04:05Z")
                    },
                )?),
            };
        Ok(FindingFilter {
            rule: self.rule,
            severities,
            before: number_of("before", self.before)?.map(Sequence),
            since,
            max: number_of("limit", self.limit)?
                .unwrap_or(PAGE)
                .clamp(1, PAGE_MAX),
        })
    }
}

/// Findings, newest first.
pub(super) async fn list(
    State(api): State<Shared>,
    wanted: Result<Query<Wanted>, axum::extract::rejection::QueryRejection>,
) -> Result<Response, Refusal> {
    let Query(wanted) = wanted.map_err(|rejection| Refusal::bad(rejection.body_text()))?;
    let filter = wanted.filter()?;
    blocking(move || {
        let page = api.store.findings(&filter)?;
        let found: Vec<Value> = page.found.iter().map(numbered).collect();
        Ok(json(
            &value!({ "findings": found, "next": page.next.map(|next| next.0) }),
        ))
    })
    .await
}

/// A finding with all its events.
pub(super) async fn one(
    State(api): State<Shared>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Response, Refusal> {
    let id = part(id)?;
    blocking(move || {
        let Some(found) = api.store.finding(&id)? else {
            return Err(Refusal::not_found(
                "there is no finding of this id, or it is no longer kept",
            ));
        };
        let mut ids = vec![found.finding.event_id.clone()];
        if let Some(pattern) = &found.finding.pattern {
            ids.extend(pattern.event_ids.iter().cloned());
        }
        ids.sort();
        ids.dedup();
        let mut events = Vec::new();
        let mut missing = Vec::new();
        for id in ids {
            match event_of(api.store.as_ref(), &id)? {
                Some(event) => events.push(event),
                None => missing.push(id),
            }
        }
        let mut whole = numbered(&found);
        whole["events"] = events.into();
        whole["events_not_kept"] = missing.into();
        Ok(json(&whole))
    })
    .await
}

/// An event.
pub(super) async fn event(
    State(api): State<Shared>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Response, Refusal> {
    let id = part(id)?;
    blocking(move || match event_of(api.store.as_ref(), &id)? {
        Some(event) => Ok(json(&event)),
        None => Err(Refusal::not_found(
            "no finding cites an event of this id, or it is no longer kept",
        )),
    })
    .await
}

fn event_of(store: &dyn Store, id: &str) -> Result<Option<Value>, Refusal> {
    let bytes = store.event(id)?;
    // It was an event once, so it is JSON.
    Ok(bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
}

fn numbered(stored: &StoredFinding) -> Value {
    let mut value = value!(stored.finding);
    value["number"] = stored.number.0.into();
    value
}
