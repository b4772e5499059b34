//! Actions: what waits, what was done, votes, and the switch.
//!
//! Whoever may use this API may turn a switch off, take something back or withdraw it. Nobody may agree to anything by it:
//! that needs a signature of an approver, which the API only hands on.

use super::answer::{Refusal, json};
use super::{Api, Shared, blocking, body_of, part};
use crate::remediation::Remediation;
use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, PathRejection};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json as value};
use std::sync::Arc;
use tripline_remediation::engine::EngineFault;
use tripline_remediation::journal::Scope;
use tripline_remediation::machine::{Action, Resolution};
use tripline_remediation::vote::SignedVote;

/// Actions of one answer, when nobody says how many, and at most.
const PAGE: usize = 100;
const PAGE_MAX: usize = 1_000;

impl From<EngineFault> for Refusal {
    fn from(fault: EngineFault) -> Self {
        let words = crate::causes::with_causes(&fault);
        match fault {
            EngineFault::NoAction(_) => Self::not_found(words),
            EngineFault::Vote(_) => Self::new(StatusCode::FORBIDDEN, "vote_refused", words),
            EngineFault::Illegal(_)
            | EngineFault::Changed(_)
            | EngineFault::Held(_)
            | EngineFault::NotActing
            | EngineFault::Overtaken => Self::conflict(words),
            EngineFault::Journal(_)
            | EngineFault::Ended(_)
            | EngineFault::Settings(_)
            | EngineFault::Unreachable(_) => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "stopped", words).retry_after(30)
            }
        }
    }
}

fn engine(api: &Shared) -> Result<Remediation, Refusal> {
    api.remediation.clone().ok_or_else(|| {
        Refusal::conflict(
            "this service answers no findings; set remediation.enabled = true in its configuration",
        )
    })
}

fn read<T: DeserializeOwned>(bytes: &Bytes) -> Result<T, Refusal> {
    serde_json::from_slice(bytes).map_err(|fault| Refusal::bad(format!("the body: {fault}")))
}

/// How many actions are in which state, what is off, what each policy did.
pub(super) async fn status(State(api): State<Shared>) -> Result<Response, Refusal> {
    let engine = engine(&api)?;
    blocking(move || {
        let counts = engine.counts();
        let policies = engine.policies();
        // None when there is one process.
        let standing = engine.standing().map(|one| {
            value!({
                "acts": one.acts,
                // Not known when it is only in the own files.
                "actor": Some(one.actor).filter(|name| !name.is_empty()),
                "epoch": one.epoch,
                "record": one.seq,
                "entry": one.place,
                "paused": one.paused,
            })
        });
        let book = engine.book();
        let off: Vec<Value> = book
            .off()
            .iter()
            .map(|(scope, reason)| value!({ "scope": scope, "reason": reason }))
            .collect();
        let policies: Vec<Value> = policies
            .policies
            .iter()
            .map(|policy| {
                value!({
                    "id": policy.id,
                    "version": policy.version,
                    "stage": policy.terms.stage.mode.name(),
                    "action": policy.action.name(),
                    "done": book.tallies().get(&policy.id),
                })
            })
            .collect();
        Ok(json(&value!({
            "states": counts,
            "off": off,
            "waiting": book.waiting(),
            "policies": policies,
            "members": standing,
        })))
    })
    .await
}

/// Which actions.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    state: Option<String>,
    policy: Option<String>,
    limit: Option<usize>,
}

/// An action in a few words.
fn brief(engine: &Remediation, action: &Action) -> Value {
    let proposal = &action.proposal;
    let trouble = || engine.trouble(&action.id);
    let reason = action.state.reason().map(str::to_owned).or_else(trouble);
    value!({
        "id": action.id,
        "state": action.state.name(),
        "reason": reason,
        "policy": proposal.policy.id,
        "action": proposal.action,
        "resource": proposal.subject.resource.arn,
        "finding": proposal.origin.finding,
        "summary": action.plan.as_ref().map(|(plan, _)| &plan.summary),
        "plan_hash": action.plan.as_ref().map(|(_, hash)| hash),
        "proposed": time(action.proposed),
        "changed": time(action.changed),
    })
}

fn time(micros: i64) -> String {
    jiff::Timestamp::from_microsecond(micros)
        .map(|time| time.to_string())
        .unwrap_or_default()
}

/// Actions, the newest first.
pub(super) async fn list(
    State(api): State<Shared>,
    wanted: Result<Query<Wanted>, axum::extract::rejection::QueryRejection>,
) -> Result<Response, Refusal> {
    let Query(wanted) = wanted.map_err(|rejection| Refusal::bad(rejection.body_text()))?;
    let engine = engine(&api)?;
    blocking(move || {
        let book = engine.book();
        let mut found: Vec<&Action> = book
            .actions()
            .filter(|one| {
                wanted
                    .state
                    .as_deref()
                    .is_none_or(|state| one.state.name() == state)
            })
            .filter(|one| {
                let policy = wanted.policy.as_deref();
                policy.is_none_or(|policy| one.proposal.policy.id == policy)
            })
            .collect();
        found.sort_by(|one, other| (other.proposed, &other.id).cmp(&(one.proposed, &one.id)));
        let most = wanted.limit.unwrap_or(PAGE).clamp(1, PAGE_MAX);
        let all = found.len();
        let found: Vec<Value> = found
            .into_iter()
            .take(most)
            .map(|one| brief(&engine, one))
            .collect();
        Ok(json(&value!({ "actions": found, "of": all })))
    })
    .await
}

/// An action with all that is known of it.
pub(super) async fn one(
    State(api): State<Shared>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Response, Refusal> {
    let (engine, id) = (engine(&api)?, part(id)?);
    blocking(move || {
        let action = engine.action(&id).ok_or(EngineFault::NoAction(id))?;
        let mut whole = brief(&engine, &action);
        whole["record"] = value!(action);
        Ok(json(&whole))
    })
    .await
}

/// A vote, as an approver signed it.
pub(super) async fn vote(
    State(api): State<Shared>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Refusal> {
    let body = body_of(&api, body)?;
    Ok(json(&voted(&api, &body).await?))
}

/// The same for whoever votes by a message.
pub(crate) async fn vote_message(api: Arc<Api>, body: Bytes) -> Vec<u8> {
    let voted = match body.len() > api.body_bytes_max {
        true => Err(Refusal::bad("the message is too long")),
        false => voted(&api, &body).await,
    };
    let words = voted.unwrap_or_else(|refusal| refusal.body());
    words.to_string().into_bytes()
}

async fn voted(api: &Shared, body: &Bytes) -> Result<Value, Refusal> {
    let engine = engine(api)?;
    let vote: SignedVote = read(body)?;
    blocking(move || {
        let state = engine.vote(vote)?;
        Ok(value!({ "state": state.name() }))
    })
    .await
}

/// Who says something of an action, and why.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Word {
    by: String,
    #[serde(default)]
    reason: String,
    resolution: Option<Resolution>,
}

/// Whoever reads the trail is to know who it was.
fn check(by: &str, reason: &str) -> Result<(), Refusal> {
    if by.trim().is_empty() || by.len() > 200 || reason.len() > 1_000 {
        return Err(Refusal::bad(
            "give `by`, at most 200 bytes, and `reason`, at most 1,000",
        ));
    }
    Ok(())
}

async fn said(
    api: Shared,
    id: Result<Path<String>, PathRejection>,
    body: Result<Bytes, BytesRejection>,
    say: fn(&Remediation, &str, &Word) -> Result<(), Refusal>,
) -> Result<Response, Refusal> {
    let (engine, id) = (engine(&api)?, part(id)?);
    let word: Word = read(&body_of(&api, body)?)?;
    check(&word.by, &word.reason)?;
    blocking(move || {
        say(&engine, &id, &word)?;
        let action = engine.action(&id).ok_or(EngineFault::NoAction(id))?;
        Ok(json(&brief(&engine, &action)))
    })
    .await
}

/// Takes an action back.
pub(super) async fn revert(
    State(api): State<Shared>,
    id: Result<Path<String>, PathRejection>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Refusal> {
    said(api, id, body, |engine, id, word| {
        Ok(engine.revert(id, &word.by, &word.reason)?)
    })
    .await
}

/// Withdraws an action that has not begun.
pub(super) async fn cancel(
    State(api): State<Shared>,
    id: Result<Path<String>, PathRejection>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Refusal> {
    said(api, id, body, |engine, id, word| {
        Ok(engine.cancel(id, &word.by, &word.reason)?)
    })
    .await
}

/// Says what became of a request of which nothing tells.
pub(super) async fn resolve(
    State(api): State<Shared>,
    id: Result<Path<String>, PathRejection>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Refusal> {
    said(api, id, body, |engine, id, word| {
        let resolution = word
            .resolution
            .ok_or_else(|| Refusal::bad("give `resolution`: done, again or give_up"))?;
        Ok(engine.resolve(id, &word.by, resolution)?)
    })
    .await
}

/// A switch.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Turn {
    scope: Scope,
    off: bool,
    by: String,
    reason: String,
}

/// Turns a switch.
pub(super) async fn switch(
    State(api): State<Shared>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Refusal> {
    let engine = engine(&api)?;
    let turn: Turn = read(&body_of(&api, body)?)?;
    if turn.scope == Scope::KillFile {
        return Err(Refusal::bad("the kill file is turned by the file alone"));
    }
    check(&turn.by, &turn.reason)?;
    blocking(move || {
        engine.switch(turn.scope, turn.off, &turn.by, &turn.reason)?;
        engine.ring();
        let off: Vec<Value> = engine
            .book()
            .off()
            .iter()
            .map(|(scope, reason)| value!({ "scope": scope, "reason": reason }))
            .collect();
        Ok(json(&value!({ "off": off })))
    })
    .await
}

/// Actions in the text format of Prometheus.
pub(super) fn render(engine: &Remediation, out: &mut String) {
    use super::metrics::{family, label, label_with};
    let states = engine.counts();
    let states: Vec<(String, f64)> = states
        .iter()
        .map(|(state, count)| (label("state", state), *count as f64))
        .collect();
    family(
        out,
        "tripline_remediation_actions",
        "gauge",
        "Actions that are remembered, by state.",
        &states,
    );
    let book = engine.book();
    let single = |value: f64| vec![(String::new(), value)];
    family(
        out,
        "tripline_remediation_waiting",
        "gauge",
        "Actions that wait for people or for room.",
        &single(book.waiting() as f64),
    );
    family(
        out,
        "tripline_remediation_switched_off",
        "gauge",
        "Switches that are off: everything, policies, accounts.",
        &single(book.off().len() as f64),
    );
    let done: Vec<(String, f64)> = book
        .tallies()
        .iter()
        .flat_map(|(policy, tally)| {
            [
                ("proposed", tally.proposed),
                ("began", tally.began),
                ("succeeded", tally.succeeded),
                ("failed", tally.failed),
                ("reverted", tally.reverted),
            ]
            .map(|(what, count)| {
                (
                    label_with(&[("policy", policy), ("what", what)]),
                    count as f64,
                )
            })
        })
        .collect();
    family(
        out,
        "tripline_remediation_policy_total",
        "counter",
        "What policies did, in all of the journal; `reverted` by people.",
        &done,
    );
}
