//! `/v1/channels`: the channels, for their owner. Files are changed as `tripline channels` changes them.

use super::answer::{Refusal, json};
use super::{Shared, blocking};
use crate::channel::decode::Entry;
use crate::channel::edit::{self, EditError};
use crate::channel::file::{KeyFile, SenderFile};
use crate::channel::intake::Outcome;
use crate::channel::record::Arrival;
use crate::channel::{Channel, auth::Verified};
use crate::serve::now;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::{Value, json as value};
use std::collections::BTreeMap;
use std::sync::Arc;

/// How long an old key counts after it is rotated, if nobody says otherwise.
const GRACE_HOURS: i64 = 24;

/// All of them.
pub(super) async fn list(State(api): State<Shared>) -> Result<Response, Refusal> {
    let channels = api.door.registry.now();
    let shown: Vec<Value> = channels.by_id.values().map(|one| head(one)).collect();
    let faults: Vec<Value> = channels
        .faults
        .iter()
        .map(|(id, fault)| value!({ "channel": id, "fault": fault.to_string() }))
        .collect();
    let (known, full) = api.door.intake.ids.count();
    Ok(json(&value!({
        "folder": api.door.registry.folder().display().to_string(),
        "channels": shown,
        "broken": faults,
        "ids_known": known,
        "ids_forgotten_early": full,
    })))
}

/// One of them.
pub(super) async fn one(
    State(api): State<Shared>,
    Path(id): Path<String>,
) -> Result<Response, Refusal> {
    let channel = find(&api, &id)?;
    let mut shown = head(&channel);
    let senders: Vec<Value> = channel.file.senders.iter().map(sender).collect();
    shown["senders"] = senders.into();
    shown["arn"] = channel.arn().into();
    shown["limits"] = serde_json::to_value(&channel.file.limits).unwrap_or_default();
    if let Some(pull) = &channel.file.pull {
        // Nothing in it is secret.
        shown["pull"] = serde_json::to_value(pull).unwrap_or_default();
        shown["pulled"] = api.door.pulls.told(&channel.id);
    }
    shown["allow"] = serde_json::to_value(&channel.file.allow).unwrap_or_default();
    Ok(json(&shown))
}

fn head(channel: &Channel) -> Value {
    let file = &channel.file;
    value!({
        "channel": channel.id,
        "description": file.description,
        "owner": file.owner,
        "source": file.source,
        "tags": file.tags,
        "destinations": file.destinations,
        "paused": file.paused,
        "events_today": channel.live.quota.today(now()),
        "seen": channel.live.seen().told(),
    })
}

/// A sender without anything that proves it.
fn sender(one: &SenderFile) -> Value {
    let key = |one: &KeyFile| value!({ "prefix": one.prefix, "expires": one.expires });
    match one {
        SenderFile::Key {
            name,
            keys,
            expires,
            ..
        } => {
            let keys: Vec<Value> = keys.iter().map(key).collect();
            value!({ "name": name, "type": "key", "keys": keys, "expires": expires })
        }
        SenderFile::Hmac {
            name,
            scheme,
            secret_files,
            expires,
            ..
        } => {
            value!({ "name": name, "type": "hmac", "scheme": scheme, "secrets": secret_files.len(), "expires": expires })
        }
        SenderFile::Sigv4 {
            name,
            access_key_id,
            secret_files,
            expires,
        } => {
            value!({ "name": name, "type": "sigv4", "access_key_id": access_key_id, "secrets": secret_files.len(), "expires": expires })
        }
        // Nothing in these is secret.
        SenderFile::Certificate { .. } | SenderFile::Jwt { .. } | SenderFile::Nats { .. } => {
            serde_json::to_value(one).unwrap_or_default()
        }
    }
}

/// Puts a file in the place of a channel's, or makes it.
pub(super) async fn put(
    State(api): State<Shared>,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<Response, Refusal> {
    let text = String::from_utf8(body.to_vec())
        .map_err(|_| Refusal::bad("the file of a channel is text"))?;
    let destinations = api.door.registry.destinations().clone();
    change(api, id, move |folder, id| {
        edit::replace(folder, (id, &text), &destinations)
    })
    .await
}

/// Closes one.
pub(super) async fn delete(
    State(api): State<Shared>,
    Path(id): Path<String>,
) -> Result<Response, Refusal> {
    change(api, id, edit::remove).await
}

pub(super) async fn pause(
    State(api): State<Shared>,
    Path(id): Path<String>,
) -> Result<Response, Refusal> {
    change(api, id, |folder, id| edit::pause(folder, id, true)).await
}

pub(super) async fn resume(
    State(api): State<Shared>,
    Path(id): Path<String>,
) -> Result<Response, Refusal> {
    change(api, id, |folder, id| edit::pause(folder, id, false)).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Rotation {
    sender: String,
    grace_hours: Option<i64>,
}

/// Gives a sender a new secret, which is in this answer and nowhere else.
pub(super) async fn rotate(
    State(api): State<Shared>,
    Path(id): Path<String>,
    wanted: Result<Query<Rotation>, axum::extract::rejection::QueryRejection>,
) -> Result<Response, Refusal> {
    let Query(wanted) = wanted.map_err(|rejection| Refusal::bad(rejection.body_text()))?;
    let hours = wanted.grace_hours.unwrap_or(GRACE_HOURS).clamp(0, 24 * 365);
    blocking(move || {
        let grace = SignedDuration::from_hours(hours);
        let folder = api.door.registry.folder();
        let shown = edit::rotate(folder, (&id, &wanted.sender), grace, Timestamp::now())
            .map_err(refusal)?;
        api.door.registry.refresh();
        let shown: serde_json::Map<String, Value> = shown
            .into_iter()
            .map(|one| (one.what.replace(' ', "_"), one.text.into()))
            .collect();
        Ok(json(
            &value!({ "channel": id, "sender": wanted.sender, "shown_once": shown }),
        ))
    })
    .await
}

/// Sends an event of our own through a channel, past whoever must prove who it is.
pub(super) async fn test(
    State(api): State<Shared>,
    Path(id): Path<String>,
) -> Result<Response, Refusal> {
    blocking(move || {
        let channel = find(&api, &id)?;
        let time = now();
        let source = channel.file.allow.event_sources.first();
        let account = channel
            .file
            .allow
            .accounts
            .first()
            .unwrap_or(&channel.file.account);
        let event = value!({
            "eventVersion": "1.10",
            "eventTime": time.to_string(),
            "eventSource": source.map_or("tripline.channels", String::as_str),
            "eventName": "TestEvent",
            "recipientAccountId": account,
            "userIdentity": { "type": "AWSService", "invokedBy": "tripline" },
        })
        .to_string();
        let arrival = Arrival {
            verified: Verified {
                sender: "owner".to_owned(),
                how: "owner".into(),
                subject: None,
                message: None,
                region: None,
            },
            address: None,
            time,
            headers: BTreeMap::new(),
        };
        let entry = Entry::plain(event.as_bytes().into());
        let taken = api.door.intake.take(&channel, &arrival, &[entry], None);
        match taken.outcomes.into_iter().next() {
            Some(
                Outcome::Accepted { event_id }
                | Outcome::Duplicate { event_id }
                | Outcome::SetAside { event_id, .. },
            ) => Ok(json(&value!({
                "channel": id, "event_id": event_id, "durability": taken.durability.as_str(),
            }))),
            Some(Outcome::Rejected(why)) => Err(Refusal::conflict(format!(
                "the test event is rejected: {}",
                why.words
            ))),
            None => Err(Refusal::ours()),
        }
    })
    .await
}

fn find(api: &Shared, id: &str) -> Result<Arc<Channel>, Refusal> {
    let channels = api.door.registry.now();
    channels
        .by_id
        .get(id)
        .cloned()
        .ok_or_else(|| match channels.faults.get(id) {
            Some(fault) => Refusal::conflict(fault.to_string()),
            None => Refusal::not_found("there is no such channel"),
        })
}

async fn change(
    api: Shared,
    id: String,
    work: impl FnOnce(&std::path::Path, &str) -> Result<(), EditError> + Send + 'static,
) -> Result<Response, Refusal> {
    blocking(move || {
        work(api.door.registry.folder(), &id).map_err(refusal)?;
        api.door.registry.refresh();
        let channels = api.door.registry.now();
        match channels.faults.get(&id) {
            Some(fault) => Err(Refusal::conflict(fault.to_string())),
            None => {
                let is_open = channels.by_id.contains_key(&id);
                Ok(json(&value!({ "channel": id, "is_open": is_open })))
            }
        }
    })
    .await
}

fn refusal(error: EditError) -> Refusal {
    let words = crate::causes::with_causes(&error);
    match error {
        EditError::Missing(_) => Refusal::not_found(words),
        EditError::Exists(_) | EditError::Grace { .. } => Refusal::conflict(words),
        EditError::Id(_)
        | EditError::Sender { .. }
        | EditError::SenderName(_)
        | EditError::Source
        | EditError::Elsewhere(_)
        | EditError::Channel(_) => Refusal::bad(words),
        EditError::File { .. } | EditError::Random => {
            Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", words)
        }
    }
}
