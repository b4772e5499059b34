//! Dead letters: records that were set aside, and findings that a sink refused.

use super::answer::{Refusal, json};
use super::{Shared, blocking, number_in, number_of};
use crate::channel::intake::{Kept, Outcome, SetAside};
use crate::channel::record::Arrival;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use serde::Deserialize;
use serde_json::{Value, json as value};
use std::sync::PoisonError;
use std::time::Duration;
use tripline_core::pipeline::retried;
use tripline_core::port::{
    DeadFilter, DeadLetter, DeadNumber, DeadReason, NewRecord, Outgoing, Partition, RecordKind,
};

/// Dead letters of one answer, when nobody says how many, and at most.
const PAGE: usize = 100;
const PAGE_MAX: usize = 1000;

/// How long a sink may take to send a finding again.
const RESEND_SECONDS: Duration = Duration::from_secs(30);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    after: Option<String>,
    limit: Option<String>,
}

/// Dead letters, oldest first, without their bytes.
pub(super) async fn list(
    State(api): State<Shared>,
    wanted: Result<Query<Wanted>, axum::extract::rejection::QueryRejection>,
) -> Result<Response, Refusal> {
    let Query(wanted) = wanted.map_err(|rejection| Refusal::bad(rejection.body_text()))?;
    let after = number_of("after", wanted.after)?.unwrap_or(0);
    let max = number_of("limit", wanted.limit)?.unwrap_or(PAGE);
    let filter = DeadFilter {
        after: DeadNumber(after),
        max: max.clamp(1, PAGE_MAX),
    };
    blocking(move || {
        let letters = api.store.dead_letters(&filter)?;
        // A page may end early, because what is in it is long.
        let last = letters.last().map(|(number, _)| *number);
        let next = match last {
            None => None,
            Some(after) => {
                let rest = api.store.dead_letters(&DeadFilter { after, max: 1 })?;
                (!rest.is_empty()).then_some(after.0)
            }
        };
        let shown: Vec<Value> = letters
            .iter()
            .map(|(number, letter)| head(*number, letter))
            .collect();
        Ok(json(&value!({ "dead_letters": shown, "next": next })))
    })
    .await
}

/// One with its bytes.
pub(super) async fn one(
    State(api): State<Shared>,
    number: Result<Path<String>, PathRejection>,
) -> Result<Response, Refusal> {
    let number = number_in(number)?;
    blocking(move || {
        let number = DeadNumber(number);
        let letter = find(&api, number)?;
        let mut whole = head(number, &letter);
        whole["payload"] = String::from_utf8_lossy(&letter.payload).into();
        whole["payload_is_cut"] = ((letter.payload.len() as u64) < letter.bytes).into();
        Ok(json(&whole))
    })
    .await
}

/// Forgets one.
pub(super) async fn drop(
    State(api): State<Shared>,
    number: Result<Path<String>, PathRejection>,
) -> Result<Response, Refusal> {
    let number = number_in(number)?;
    blocking(move || {
        let gone = api.store.drop_dead_letters(&[DeadNumber(number)])?;
        match gone {
            0 => Err(unknown()),
            _ => Ok(json(&value!({ "dropped": number }))),
        }
    })
    .await
}

/// Appends the record of one to the log again, and forgets the dead letter when it is durable there.
pub(super) async fn retry(
    State(api): State<Shared>,
    number: Result<Path<String>, PathRejection>,
) -> Result<Response, Refusal> {
    let number = number_in(number)?;
    blocking(move || {
        let number = DeadNumber(number);
        // One at a time, so that of two who ask for the same one finds it gone.
        let _turn = api
            .door
            .retrying
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let letter = find(&api, number)?;
        if (letter.payload.len() as u64) < letter.bytes {
            return Err(Refusal::conflict(
                "not all of its bytes were kept; send the event again from where it came",
            ));
        }
        if let DeadReason::Sink { sink, .. } = &letter.reason {
            send_again(&api, sink, &letter)?;
            api.store.drop_dead_letters(&[number])?;
            return Ok(json(&value!({ "retried": number.0, "sink": sink })));
        }
        if let DeadReason::Channel { channel, .. } = &letter.reason {
            let place = through_channel(&api, channel, &letter)?;
            api.store.drop_dead_letters(&[number])?;
            return Ok(json(&value!({ "retried": number.0, "event_id": place })));
        }
        // It goes where it came from: what is no event belongs nowhere else.
        let partition = letter.partition.0.min(api.partitions.count() - 1);
        let log = api.partitions.log(Partition(partition));
        let appended = log.append(&[NewRecord {
            kind: RecordKind::Event,
            taken: super::super::now(),
            attributes: &retried(&letter.attributes),
            payload: &letter.payload,
        }])?;
        api.store.drop_dead_letters(&[number])?;
        Ok(json(
            &value!({ "retried": number.0, "sequence": appended.first.0 }),
        ))
    })
    .await
}

/// Lets the sink of a finding send it once more, and waits for what comes of it.
fn send_again(api: &Shared, sink: &str, letter: &DeadLetter) -> Result<(), Refusal> {
    let refuse = |words: String| Err(Refusal::conflict(words));
    if !api.sinks.iter().any(|one| one == sink) {
        return refuse(format!(
            "the configuration has no sink `{sink}` any more; look the finding up and drop this"
        ));
    }
    if !api.assignment.sends() {
        return refuse("another process sends findings now; ask that one".to_owned());
    }
    let finding = serde_json::from_slice(&letter.payload).map_err(|fault| {
        Refusal::conflict(format!("the finding that was kept cannot be read: {fault}"))
    })?;
    let outgoing = Outgoing {
        number: letter.sequence,
        finding,
    };
    match api.status.resends.ask(sink, outgoing, RESEND_SECONDS) {
        Some(Ok(())) => Ok(()),
        Some(Err(words)) => refuse(format!("the sink `{sink}` does not take it: {words}")),
        None => refuse(format!(
            "the sink `{sink}` did not say in time; it may have it, and is asked again when this is tried again"
        )),
    }
}

/// Sends an event through its channel once more, as it came; its id.
fn through_channel(api: &Shared, id: &str, letter: &DeadLetter) -> Result<String, Refusal> {
    #[derive(Deserialize)]
    struct Attributes {
        key: String,
        hash: String,
        event_id: String,
        kept: Kept,
    }
    let channels = api.door.registry.now();
    let channel = channels.by_id.get(id);
    let channel = channel
        .ok_or_else(|| Refusal::conflict(format!("its channel `{id}` is not there any more")))?;
    let attributes: Attributes = serde_json::from_slice(&letter.attributes)
        .map_err(|_| Refusal::conflict("what was kept of its arrival cannot be read"))?;
    let before = SetAside {
        key: u128::from_str_radix(&attributes.key, 16).unwrap_or_default(),
        hash: u64::from_str_radix(&attributes.hash, 16).unwrap_or_default(),
        event_id: attributes.event_id,
        shown_id: attributes.kept.shown_id.clone(),
    };
    let arrival = Arrival::of_kept(attributes.kept);
    let taken = api
        .door
        .intake
        .take_again(channel, &arrival, &before, &letter.payload);
    match taken.outcomes.into_iter().next() {
        Some(Outcome::Rejected(why)) => {
            Err(Refusal::conflict(format!("{}: {}", why.code, why.words)))
        }
        Some(
            Outcome::Accepted { event_id }
            | Outcome::Duplicate { event_id }
            | Outcome::SetAside { event_id, .. },
        ) => Ok(event_id),
        None => Err(Refusal::ours()),
    }
}

fn find(api: &Shared, number: DeadNumber) -> Result<DeadLetter, Refusal> {
    api.store.dead_letter(number)?.ok_or_else(unknown)
}

fn unknown() -> Refusal {
    Refusal::not_found("there is no dead letter of this number, or it is no longer kept")
}

fn head(number: DeadNumber, letter: &DeadLetter) -> Value {
    value!({
        "number": number.0,
        "sequence": letter.sequence.0,
        "taken": letter.taken.to_string(),
        "reason": letter.reason,
        "bytes": letter.bytes,
        "attributes": serde_json::from_slice::<Value>(&letter.attributes).unwrap_or(Value::Null),
    })
}
