//! `POST /v1/channels/{id}/events` and `POST /PutAuditEvents`: events of partners.
//!
//! In this order: the address, who it is as far as the head tells, the quota, the body within its bounds, who it is by what is
//! signed, room, decompression, and then what is in it. Whoever is not let in gets the same answer whether the channel is
//! there or not; why is counted at the channel.

use super::answer::{Refusal, json};
use super::events::no_space;
use super::streaming::{self, Streamer};
use super::totals::Totals;
use super::{Control, Peer, Shared, blocking, part};
use crate::channel::auth::certificate::Certificate;
use crate::channel::auth::{self, Asked, Early, Verified};
use crate::channel::decode::decoder::{self, Decoded, DecoderFault};
use crate::channel::decode::{self, Entry, InflateFault, cloud_events};
use crate::channel::file::{Scheme, is_id};
use crate::channel::intake::Taken;
use crate::channel::quota::Exceeded;
use crate::channel::record::Arrival;
use crate::channel::{Channel, ids};
use crate::serve::now;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Extension, Path, Request, State};
use axum::http::{HeaderMap, HeaderName, StatusCode};
use axum::response::Response;
use serde_json::json as value;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::OwnedSemaphorePermit;
use tripline_core::rule::kind::EventTime;

/// How long a body may take to come, of somebody who is known, and of somebody who is not yet.
pub(super) const BODY_SECONDS: Duration = Duration::from_secs(60);
const UNKNOWN_BODY_SECONDS: Duration = Duration::from_secs(20);

/// The longest body of a question how a channel does.
const STATUS_BODY_BYTES_MAX: usize = 4096;

/// How long a request waits for others of its channel, or for memory.
pub(super) const ROOM_SECONDS: Duration = Duration::from_secs(10);

const MIB: u64 = 1024 * 1024;

/// What a key of a request may be.
const IDEMPOTENCY_KEY_BYTES_MAX: usize = 256;

/// A request of somebody who was let in.
pub(super) struct Entered {
    pub(super) channel: Arc<Channel>,
    pub(super) arrival: Arrival,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
    /// Among the requests of its channel, and in memory.
    pub(super) _room: (OwnedSemaphorePermit, OwnedSemaphorePermit),
}

/// Takes events in any usual form.
pub(super) async fn push(
    State(api): State<Shared>,
    id: Result<Path<String>, PathRejection>,
    Extension(Peer(peer)): Extension<Peer>,
    request: Request,
) -> Result<Response, Refusal> {
    let id = part(id)?;
    let channel = api.door.registry.now().by_id.get(&id).cloned();
    prepare(&api, channel.as_ref(), peer, request.headers()).await;
    let (channel, early) = head_in(&api, channel, peer, &request)?;
    let entered = match early {
        Early::Known(verified) if streaming::may_go_on(&api, &channel, request.headers()) => {
            let address = api.door.address(peer, request.headers());
            channel.live.let_in(&verified.sender, now());
            let room = room_in(&channel).await?;
            let (head, body) = request.into_parts();
            let streamer = Streamer {
                channel,
                verified,
                address,
                room,
            };
            return streaming::take(&api, streamer, head, body).await;
        }
        early => body_in(&api, (channel, early), peer, request).await?,
    };
    blocking(move || take(&api, &entered)).await
}

pub(super) const ENDED_EARLY: &str = "the body ended early, or is not as its head says";

pub(super) fn late() -> Refusal {
    let words = "the body did not come in time";
    Refusal::new(StatusCode::REQUEST_TIMEOUT, "timeout", words)
}

/// The challenge by which Okta asks whether an address takes its events. It says nothing of the channel, so anybody may ask.
pub(super) async fn challenge(
    id: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    if !is_id(&part(id)?) {
        return Err(Refusal::bad("this is no id of a channel"));
    }
    let given = headers
        .get("x-okta-verification-challenge")
        .and_then(|value| value.to_str().ok())
        .filter(|text| text.len() <= 1024);
    match given {
        Some(text) => Ok(json(&value!({ "verification": text }))),
        None => Err(Refusal::bad(
            "events are pushed by POST; GET is how Okta asks, with X-Okta-Verification-Challenge",
        )),
    }
}

/// What a partner may know of its channel.
pub(super) async fn status(
    State(api): State<Shared>,
    id: Result<Path<String>, PathRejection>,
    Extension(Peer(peer)): Extension<Peer>,
    request: Request,
) -> Result<Response, Refusal> {
    let id = part(id)?;
    let channel = api.door.registry.now().by_id.get(&id).cloned();
    prepare(&api, channel.as_ref(), peer, request.headers()).await;
    let (channel, early) = let_in(&api, channel, peer, &request)?;
    if !matches!(early, Early::Known(_)) {
        // What is signed is the request, with the body that it has.
        let (head, body) = request.into_parts();
        let body = axum::body::to_bytes(body, STATUS_BODY_BYTES_MAX);
        let body = tokio::time::timeout(BODY_SECONDS, body).await;
        let Ok(Ok(body)) = body else {
            return Err(nobody());
        };
        let time = now();
        let asked = Asked {
            method: &head.method,
            path: head.uri.path(),
            query: head.uri.query().unwrap_or(""),
            headers: &head.headers,
            certificate: certificate(&head.extensions),
            now: time,
        };
        auth::by_body(&channel.senders, asked, &body).map_err(|why| {
            channel
                .live
                .refused(why.as_str(), "who asks how it does", time);
            nobody()
        })?;
    }
    let mut told = channel.live.seen().told();
    told["channel"] = channel.id.clone().into();
    told["paused"] = channel.file.paused.into();
    told["durability"] = api.partitions.durability().as_str().into();
    told["events_today"] = channel.live.quota.today(now()).into();
    Ok(json(&told))
}

/// Somebody who is not let in.
pub(super) fn nobody() -> Refusal {
    let words = "this request proves no sender of this channel";
    Refusal::new(StatusCode::UNAUTHORIZED, "unauthorized", words)
}

/// Has the keys of issuers that a request needs; nobody is asked for the sake of an address that is not allowed.
pub(super) async fn prepare(
    api: &Shared,
    channel: Option<&Arc<Channel>>,
    peer: IpAddr,
    headers: &HeaderMap,
) {
    if let Some(channel) = channel
        && channel.allow.address(api.door.address(peer, headers))
    {
        auth::ask_for_keys(&channel.senders, headers).await;
    }
}

/// Who sent a request, as far as its head tells; what it says of channels that are not there is what it says of those that are.
pub(super) fn let_in(
    api: &Shared,
    channel: Option<Arc<Channel>>,
    peer: IpAddr,
    request: &Request,
) -> Result<(Arc<Channel>, Early), Refusal> {
    let channel = channel.ok_or_else(nobody)?;
    let address = api.door.address(peer, request.headers());
    let time = now();
    let refuse = |code: &'static str, words: String| {
        channel.live.refused(code, &words, time);
        tracing::info!(channel = channel.id, code, "request of a channel refused");
        nobody()
    };
    if !channel.allow.address(address) {
        return Err(refuse("address_not_allowed", format!("from {address}")));
    }
    let early = auth::early(&channel.senders, asked(request, time));
    if let Early::Denied(why) = early {
        return Err(refuse(why.as_str(), format!("from {address}")));
    }
    Ok((channel, early))
}

fn asked(request: &Request, now: EventTime) -> Asked<'_> {
    Asked {
        method: request.method(),
        path: request.uri().path(),
        query: request.uri().query().unwrap_or(""),
        headers: request.headers(),
        certificate: certificate(request.extensions()),
        now,
    }
}

/// The certificate of the other end, where TLS verified one.
pub(super) fn certificate(extensions: &axum::http::Extensions) -> Option<&Certificate> {
    extensions.get::<Arc<Certificate>>().map(Arc::as_ref)
}

/// Lets a request in, with its body.
pub(super) async fn enter(
    api: &Shared,
    channel: Option<Arc<Channel>>,
    peer: IpAddr,
    request: Request,
) -> Result<Entered, Refusal> {
    prepare(api, channel.as_ref(), peer, request.headers()).await;
    let known = head_in(api, channel, peer, &request)?;
    body_in(api, known, peer, request).await
}

/// Lets the head of a request in.
fn head_in(
    api: &Shared,
    channel: Option<Arc<Channel>>,
    peer: IpAddr,
    request: &Request,
) -> Result<(Arc<Channel>, Early), Refusal> {
    if api.status.get().is_draining {
        return Err(Refusal::ending());
    }
    let (channel, early) = let_in(api, channel, peer, request)?;
    if let Early::Known(verified) = &early {
        admit(&channel, verified)?;
    }
    Ok((channel, early))
}

/// Lets the body of such a request in.
async fn body_in(
    api: &Shared,
    (channel, early): (Arc<Channel>, Early),
    peer: IpAddr,
    request: Request,
) -> Result<Entered, Refusal> {
    let address = api.door.address(peer, request.headers());
    let (head, body) = request.into_parts();
    // Whoever is known waits for others of its channel first, and holds nothing that other channels need.
    let mut room = match &early {
        Early::Known(verified) => {
            channel.live.let_in(&verified.sender, now());
            Some(room_in(&channel).await?)
        }
        Early::Body | Early::Denied(_) => None,
    };
    let is_known = room.is_some();
    let (body, memory) = read(api, &channel, (&head.headers, is_known), body).await?;
    let time = now();
    let verified = match early {
        Early::Known(verified) => verified,
        Early::Body | Early::Denied(_) => {
            let asked = Asked {
                method: &head.method,
                path: head.uri.path(),
                query: head.uri.query().unwrap_or(""),
                headers: &head.headers,
                certificate: certificate(&head.extensions),
                now: time,
            };
            let verified = auth::by_body(&channel.senders, asked, &body).map_err(|why| {
                channel
                    .live
                    .refused(why.as_str(), &format!("from {address}"), time);
                nobody()
            })?;
            admit(&channel, &verified)?;
            channel.live.let_in(&verified.sender, time);
            verified
        }
    };
    let room = match room.take() {
        Some(room) => room,
        None => room_in(&channel).await?,
    };
    let arrival = Arrival {
        verified,
        address: Some(address),
        time,
        headers: channel.shape.headers(&head.headers),
    };
    let memory = for_inflating(api, &channel, &body, memory).await?;
    Ok(Entered {
        channel,
        arrival,
        headers: head.headers,
        body,
        _room: (room, memory),
    })
}

/// Room among the requests of a channel.
async fn room_in(channel: &Channel) -> Result<OwnedSemaphorePermit, Refusal> {
    let room = tokio::time::timeout(ROOM_SECONDS, channel.room.clone().acquire_owned()).await;
    match room {
        Ok(Ok(room)) => Ok(room),
        _ => {
            let words =
                "too many requests of this channel at once (limits.requests_at_once); come again";
            channel.live.refused("requests_at_once", words, now());
            Err(Refusal::new(StatusCode::TOO_MANY_REQUESTS, "quota", words).retry_after(1))
        }
    }
}

/// Memory for so many bytes, of what all bodies may take together.
pub(super) async fn memory_for(api: &Shared, bytes: u64) -> Result<OwnedSemaphorePermit, Refusal> {
    let mib = u32::try_from(bytes.div_ceil(MIB))
        .unwrap_or(u32::MAX)
        .max(1);
    let mib = mib.min(api.memory_mib);
    let memory = tokio::time::timeout(ROOM_SECONDS, api.memory.clone().acquire_many_owned(mib));
    match memory.await {
        Ok(Ok(memory)) => Ok(memory),
        _ => {
            let words = "too many large bodies at once; come again";
            Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "busy", words).retry_after(1))
        }
    }
}

/// The memory that a body needs once it is decompressed, which is seen by its first bytes and not by what its head says, or decoded.
pub(super) async fn for_inflating(
    api: &Shared,
    channel: &Channel,
    body: &[u8],
    memory: OwnedSemaphorePermit,
) -> Result<OwnedSemaphorePermit, Refusal> {
    if !decode::is_compressed(body) && channel.file.decoder.is_none() {
        return Ok(memory);
    }
    // Given back first: whoever holds some and waits for more may wait for others who do the same.
    drop(memory);
    memory_for(api, channel.file.limits.inflated_max_kib * 1024).await
}

/// Lets a message in that was published on the subject of a channel.
pub(super) async fn enter_message(
    api: &Shared,
    channel: Option<Arc<Channel>>,
    headers: HeaderMap,
    body: Vec<u8>,
) -> Result<Entered, Refusal> {
    if api.status.get().is_draining {
        return Err(Refusal::ending());
    }
    let channel = channel.ok_or_else(nobody)?;
    let time = now();
    let verified = auth::by_subject(&channel.senders, time).map_err(|why| {
        channel.live.refused(why.as_str(), "by a message", time);
        nobody()
    })?;
    admit(&channel, &verified)?;
    channel.live.let_in(&verified.sender, time);
    let room = room_in(&channel).await?;
    let (body, memory) = read(api, &channel, (&headers, true), Body::from(body)).await?;
    let memory = for_inflating(api, &channel, &body, memory).await?;
    let arrival = Arrival {
        verified,
        address: None,
        time,
        headers: channel.shape.headers(&headers),
    };
    Ok(Entered {
        channel,
        arrival,
        headers,
        body,
        _room: (room, memory),
    })
}

/// Whether a verified sender may push now.
fn admit(channel: &Channel, verified: &Verified) -> Result<(), Refusal> {
    if channel.file.paused {
        return Err(paused(channel, verified));
    }
    let quota = &channel.live.quota;
    let checked = quota.check(&channel.file.limits, now());
    checked.map_err(|exceeded| over_quota(channel, exceeded))
}

pub(super) fn paused(channel: &Channel, verified: &Verified) -> Refusal {
    let words = "the channel is paused; come again later";
    let sender = format!("sender {}", verified.sender);
    channel.live.refused("paused", &sender, now());
    Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "paused", words).retry_after(60)
}

pub(super) fn over_quota(channel: &Channel, exceeded: Exceeded) -> Refusal {
    let what = exceeded.what;
    let words = format!("the quota of this channel is used up (limits.{what})");
    channel.live.refused("quota", &words, now());
    let refusal = Refusal::new(StatusCode::TOO_MANY_REQUESTS, "quota", words);
    refusal.retry_after(exceeded.retry_seconds)
}

/// The body of a request, and the memory set aside for it.
async fn read(
    api: &Shared,
    channel: &Channel,
    (headers, is_known): (&HeaderMap, bool),
    body: Body,
) -> Result<(Vec<u8>, OwnedSemaphorePermit), Refusal> {
    let limits = &channel.file.limits;
    let most = usize::try_from(limits.body_max_kib * 1024).unwrap_or(usize::MAX);
    let too_large = || {
        let words = format!("the body is longer than {most} bytes (limits.body_max_kib)");
        channel.live.refused("too_large", &words, now());
        match is_known {
            true => Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", words),
            // Somebody who is not known learns nothing of a channel's bounds.
            false => nobody(),
        }
    };
    let told = headers
        .get("content-length")
        .and_then(|value| value.to_str().ok())
        .and_then(|text| text.parse::<usize>().ok());
    if told.is_some_and(|told| told > most) {
        return Err(too_large());
    }
    let memory = memory_for(api, told.unwrap_or(most) as u64).await?;
    let within = match is_known {
        true => BODY_SECONDS,
        false => UNKNOWN_BODY_SECONDS,
    };
    match tokio::time::timeout(within, axum::body::to_bytes(body, most)).await {
        Ok(Ok(bytes)) => Ok((bytes.to_vec(), memory)),
        Ok(Err(fault)) => match is_too_long(&fault) {
            true => Err(too_large()),
            false => Err(Refusal::bad(ENDED_EARLY)),
        },
        Err(_) => Err(late()),
    }
}

fn is_too_long(fault: &axum::Error) -> bool {
    use std::error::Error;
    let mut source = fault.source();
    while let Some(one) = source {
        if one.to_string().contains("length limit exceeded") {
            return true;
        }
        source = one.source();
    }
    false
}

/// What is in the body of somebody who was let in.
pub(super) fn take(api: &Shared, entered: &Entered) -> Result<Response, Refusal> {
    let channel = &entered.channel;
    let limits = &channel.file.limits;
    if let Some(words) = no_space(api) {
        return Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "full", words).retry_after(10));
    }
    let text = inflated(channel, &entered.body)?;
    if let Some(answer) = challenge_of_slack(channel, &text) {
        return Ok(answer);
    }
    let event_max = usize::try_from(limits.event_max_kib * 1024).unwrap_or(usize::MAX);
    let most = limits.events_max;
    // Headers that nobody signed say nothing of an event whose sender was known by a signature.
    let mode = cloud_events::mode(&entered.headers);
    let mode = mode.filter(|mode| !is_signed(entered) || *mode != cloud_events::Mode::Binary);
    let made;
    let entries = match mode {
        None => match &channel.file.decoder {
            None => decode::json(&text, event_max, most),
            Some(name) => {
                made = decoded(api, channel, name, &text)?;
                made.entries(event_max, most)
            }
        },
        Some(cloud_events::Mode::Binary) => {
            Some(vec![cloud_events::binary(&entered.headers, &text)])
        }
        Some(_) => cloud_events::structured(&text, event_max, most),
    };
    let entries = match channel.shape.list() {
        None => entries,
        Some(list) => entries.and_then(|entries| decode::within(entries, list, most)),
    };
    let entries = entries.ok_or_else(|| {
        let words = format!("more events than the {most} of one request (limits.events_max)");
        refused(channel, StatusCode::PAYLOAD_TOO_LARGE, ("too_large", words))
    })?;
    if entries.is_empty() {
        let words = "the body holds no event".to_owned();
        return Err(refused(
            channel,
            StatusCode::BAD_REQUEST,
            ("bad_request", words),
        ));
    }
    let seed = seed(api, entered, &text)?;
    let taken = settle(api, entered, &entries, seed.as_deref());
    Ok(Totals::of(&taken).answer())
}

/// Takes events and notes what became of them.
pub(super) fn settle(
    api: &Shared,
    entered: &Entered,
    entries: &[Entry<'_>],
    seed: Option<&str>,
) -> Taken {
    let (channel, arrival) = (&entered.channel, &entered.arrival);
    let bytes = entered.body.len() as u64;
    let amount = (entries.len() as u64, bytes);
    // Once more: others may have used it up while this body came.
    let quota = &channel.live.quota;
    let taken = match quota.try_take(&channel.file.limits, amount, arrival.time) {
        Ok(()) => api.door.intake.take(channel, arrival, entries, seed),
        Err(exceeded) => {
            let words = format!(
                "the quota of this channel is used up (limits.{})",
                exceeded.what
            );
            api.door.intake.refuse(entries.len(), ("quota", &words))
        }
    };
    note(api, (channel, arrival), bytes, &taken);
    taken
}

/// Notes what became of events.
pub(super) fn note(
    api: &Shared,
    (channel, arrival): (&Channel, &Arrival),
    bytes: u64,
    taken: &Taken,
) {
    let accepted = api.door.note(channel, arrival, bytes, taken);
    api.status.set(|now| {
        now.appended += accepted;
        now.appended_bytes += bytes;
    });
    if taken.has_stopped {
        taken.tell_stopped();
        // The service ends; whoever starts it again opens the log anew.
        let _ = api.control.send(Control::Failed);
    }
}

pub(super) fn refused(
    channel: &Channel,
    status: StatusCode,
    (code, words): (&'static str, String),
) -> Refusal {
    channel.live.refused(code, &words, now());
    Refusal::new(status, code, words)
}

pub(super) fn inflated<'b>(
    channel: &Channel,
    body: &'b [u8],
) -> Result<std::borrow::Cow<'b, [u8]>, Refusal> {
    let most = channel.file.limits.inflated_max_kib * 1024;
    decode::inflate(body, most).map_err(|fault| match fault {
        InflateFault::TooLarge => {
            let words = format!("the body is more than {most} bytes when it is decompressed (limits.inflated_max_kib)");
            refused(channel, StatusCode::PAYLOAD_TOO_LARGE, ("too_large", words))
        }
        InflateFault::Broken(why) => {
            let words = format!("the compressed body cannot be read to its end: {why}");
            refused(channel, StatusCode::BAD_REQUEST, ("bad_request", words))
        }
    })
}

/// What the decoder of a channel makes of a body.
fn decoded(api: &Shared, channel: &Channel, name: &str, text: &[u8]) -> Result<Decoded, Refusal> {
    let most = channel.file.limits.inflated_max_kib * 1024;
    let decoder = api.door.decoders.get(name).map_err(DecoderFault::Failed);
    decoder
        .and_then(|one| decoder::decoded(&*one, text, most))
        .map_err(|fault| match fault {
            DecoderFault::TooLarge => {
                let words = format!("the body is more than {most} bytes when it is decoded (limits.inflated_max_kib)");
                refused(channel, StatusCode::PAYLOAD_TOO_LARGE, ("too_large", words))
            }
            DecoderFault::Failed(words) => {
                // Why is the owner's business, who can mend the plugin.
                channel.live.refused("decoder_failed", &words, now());
                let told = "what this channel is decoded with does not work for now; come again";
                Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "busy", told).retry_after(10)
            }
        })
}

/// The answer to the question by which Slack asks whether an address takes its events; it is signed like events.
fn challenge_of_slack(channel: &Channel, text: &[u8]) -> Option<Response> {
    if !channel.is_signed_as(Scheme::Slack) {
        return None;
    }
    #[derive(serde::Deserialize)]
    struct Question {
        r#type: String,
        challenge: String,
    }
    let question: Question = serde_json::from_slice(text).ok()?;
    (question.r#type == "url_verification")
        .then(|| json(&value!({ "challenge": question.challenge })))
}

/// Whether a sender was known by a signature over the body, which covers none of the headers that are looked at here.
fn is_signed(entered: &Entered) -> bool {
    let how = &entered.arrival.verified.how;
    how.starts_with("hmac:") || how == "sigv4"
}

/// What names the events of a request that have no id of their own: the id of the message, or the key that the sender gave it. A
/// key that was used for another body is a mistake of the sender.
fn seed(api: &Shared, entered: &Entered, body: &[u8]) -> Result<Option<String>, Refusal> {
    if let Some(message) = &entered.arrival.verified.message {
        return Ok(Some(format!("m\n{message}")));
    }
    if is_signed(entered) {
        // Nobody signed such a key; the same bytes are the same events.
        return Ok(None);
    }
    const KEY: HeaderName = HeaderName::from_static("idempotency-key");
    let Some(given) = entered.headers.get(KEY) else {
        return Ok(None);
    };
    let channel = &entered.channel;
    let text = given.to_str().unwrap_or("");
    if text.is_empty() || text.len() > IDEMPOTENCY_KEY_BYTES_MAX {
        let words =
            format!("Idempotency-Key has 1 to {IDEMPOTENCY_KEY_BYTES_MAX} printable characters");
        return Err(refused(
            channel,
            StatusCode::BAD_REQUEST,
            ("bad_request", words),
        ));
    }
    let (key, hash) = (
        ids::key(&channel.id, format!("k\n{text}").as_bytes()),
        ids::hash(body),
    );
    match api
        .door
        .intake
        .ids
        .remember((key, hash), entered.arrival.time)
    {
        Some(before) if before != hash => {
            let words = "this Idempotency-Key was used for another body".to_owned();
            Err(refused(
                channel,
                StatusCode::UNPROCESSABLE_ENTITY,
                ("idempotency_key_reused", words),
            ))
        }
        _ => Ok(Some(format!("k\n{text}"))),
    }
}

/// What names the events of a body whose form has no ids: the body, as it came.
pub(super) fn body_seed(form: &str, body: &[u8]) -> String {
    use sha2::{Digest, Sha256};
    format!("{form}\n{}", auth::hex(&Sha256::digest(body)))
}
