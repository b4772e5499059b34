//! `POST /v1/decide`, and questions by NATS: may this happen?
//!
//! The body is one event, or several as JSON lines or an array. The answer has a decision for each, in their order, with the
//! rules that decided and their reasons, those that could not, and those that passed it over because a plugin gave no answer.
//! It never takes longer than the deadline: then the stated default is the answer, and says that it is one.

use super::answer::{Refusal, json};
use super::events::records_of;
use super::{Api, Shared, body_of};
use crate::serve::desk::{Decided, Question};
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json as value};
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::oneshot;
use tripline_core::evaluate::Decision;
use tripline_core::rule::Effect;

/// Events of one question.
const EVENTS_MAX: usize = 1000;

/// Decides.
pub(super) async fn decide(
    State(api): State<Shared>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Refusal> {
    let body = body_of(&api, body)?;
    Ok(json(&answer(&api, &body).await?))
}

/// The same for whoever asks by a message.
pub(crate) async fn decide_message(api: Arc<Api>, body: Bytes) -> Vec<u8> {
    let answered = answer(&api, &body).await;
    let words = answered.unwrap_or_else(|refusal| refusal.body());
    words.to_string().into_bytes()
}

async fn answer(api: &Shared, body: &[u8]) -> Result<Value, Refusal> {
    if !api.decisions.has_threads {
        return Err(Refusal::not_found(
            "decisions.threads is 0: nobody decides here",
        ));
    }
    let events = records_of(api, body)?;
    if events.len() > EVENTS_MAX {
        return Err(Refusal::bad(format!(
            "{} events are more than the {EVENTS_MAX} of one question",
            events.len()
        )));
    }
    let count = events.len();
    let begun = Instant::now();
    let (answer, answered) = oneshot::channel();
    let question = Question {
        events,
        until: begun + api.decisions.deadline,
        answer,
    };
    if api.desk.ask(question).is_err() {
        let words = "too many ask at once; come again";
        return Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "busy", words).retry_after(1));
    }
    let decided = tokio::time::timeout(api.decisions.deadline, answered).await;
    let (decided, why): (Decided, _) = match decided {
        Ok(Ok(Ok(decided))) => (Ok(decided), None),
        Err(_) => (Err(()), Some("there was no answer within the deadline")),
        Ok(_) => (
            Err(()),
            Some("something broke in the service; its log tells more"),
        ),
    };
    let is_default = decided.is_err();
    let default = || vec![Decision::without_rules(api.decisions.defaults.undecided); count];
    let decisions = decided.unwrap_or_else(|()| default());
    api.status.set(|now| {
        for decision in &decisions {
            *now.decisions.entry(decision.effect.as_str()).or_default() += 1;
        }
        now.decisions_by_default += if is_default { count as u64 } else { 0 };
    });
    let shown: Vec<Value> = decisions
        .iter()
        .map(|decision| {
            value!({
                "decision": decision.effect.as_str(),
                "rules": decision.rules,
                "undecided": decision.undecided,
                "skipped": decision.skipped,
                "is_default": is_default,
                "why": why,
            })
        })
        .collect();
    let strictest = decisions
        .iter()
        .map(|decision| decision.effect)
        .max()
        .unwrap_or(Effect::Allow);
    Ok(value!({
        "decision": strictest.as_str(),
        "decisions": shown,
        "rules_version": api.status.get().rules_version,
        "micros": begun.elapsed().as_micros() as u64,
    }))
}
