//! `/services/collector`: events of forwarders that speak Splunk's HTTP Event Collector, answered in its own words and codes.
//!
//! The token is the key of a channel, which it also names. A request is answered when it is durable, so an acknowledgement that a
//! sender asks for is true from the start. What can be read is taken though something else of the same request cannot. Events
//! have no ids here: the same body again is the same request again, by which none is taken twice.

use super::answer::{Refusal, json_with};
use super::channels::{Entered, body_seed, enter, inflated, let_in, prepare, settle};
use super::events::no_space;
use super::{Peer, Shared, blocking};
use crate::channel::auth::percent_decoded;
use crate::channel::decode::hec;
use crate::channel::intake::{Outcome, Taken};
use axum::Router;
use axum::extract::{Extension, Request, State};
use axum::http::header::{AUTHORIZATION, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::{Map, Value, json as value};
use std::collections::BTreeMap;

/// The longest question about acknowledgements, and numbers in it.
const ASKED_BYTES_MAX: usize = 1 << 20;
const ASKED_MAX: usize = 100_000;

/// What Splunk answers, with its number for it.
type Words = (StatusCode, u32, &'static str);

const SUCCESS: Words = (StatusCode::OK, 0, "Success");
const TOKEN_MISSING: Words = (StatusCode::UNAUTHORIZED, 2, "Token is required");
const TOKEN_INVALID: Words = (StatusCode::FORBIDDEN, 4, "Invalid token");
const NO_DATA: Words = (StatusCode::BAD_REQUEST, 5, "No data");
const INVALID: Words = (StatusCode::BAD_REQUEST, 6, "Invalid data format");
const BROKEN: Words = (
    StatusCode::INTERNAL_SERVER_ERROR,
    8,
    "Internal server error",
);
const BUSY: Words = (StatusCode::SERVICE_UNAVAILABLE, 9, "Server is busy");
const NO_CHANNEL: Words = (StatusCode::BAD_REQUEST, 10, "Data channel is missing");
const INVALID_CHANNEL: Words = (StatusCode::BAD_REQUEST, 11, "Invalid data channel");
const EVENT_MISSING: Words = (StatusCode::BAD_REQUEST, 12, "Event field is required");
const EVENT_BLANK: Words = (StatusCode::BAD_REQUEST, 13, "Event field cannot be blank");
const FIELDS: Words = (
    StatusCode::BAD_REQUEST,
    15,
    "Error in handling indexed fields",
);
const QUERY_TOKEN: Words = (
    StatusCode::BAD_REQUEST,
    16,
    "Query string authorization is not enabled",
);
const HEALTHY: Words = (StatusCode::OK, 17, "HEC is healthy");
const FULL: Words = (
    StatusCode::SERVICE_UNAVAILABLE,
    18,
    "HEC is unhealthy, queues are full",
);
const ENDING: Words = (
    StatusCode::SERVICE_UNAVAILABLE,
    23,
    "Server is shutting down",
);
const TOO_LARGE: Words = (
    StatusCode::PAYLOAD_TOO_LARGE,
    27,
    "Request entity too large",
);

/// What a body holds.
#[derive(Clone, Copy)]
enum Form {
    Events,
    Raw,
}

/// Where forwarders send to.
pub(super) fn doors() -> Router<Shared> {
    let mut doors = Router::new();
    for path in ["", "/event", "/event/1.0"] {
        doors = doors.route(&format!("/services/collector{path}"), post(events));
    }
    for version in ["", "/1.0"] {
        let at = |what: &str| format!("/services/collector/{what}{version}");
        doors = doors
            .route(&at("raw"), post(raw))
            .route(&at("ack"), post(ack))
            .route(&at("health"), get(health));
    }
    doors
}

fn say((status, code, text): Words) -> Response {
    json_with(status, &value!({ "text": text, "code": code }))
}

/// How it is, without a token as Splunk has it.
async fn health(State(api): State<Shared>) -> Response {
    if api.status.get().is_draining {
        return say(ENDING);
    }
    match no_space(&api) {
        None => say(HEALTHY),
        Some(_) => say(FULL),
    }
}

async fn events(state: State<Shared>, peer: Extension<Peer>, request: Request) -> Response {
    take(state, peer, request, Form::Events).await
}

async fn raw(state: State<Shared>, peer: Extension<Peer>, request: Request) -> Response {
    take(state, peer, request, Form::Raw).await
}

async fn take(
    State(api): State<Shared>,
    Extension(Peer(peer)): Extension<Peer>,
    request: Request,
    form: Form,
) -> Response {
    let parameters = parameters(&request);
    let sender = match sender_of(&request, &parameters) {
        Ok(sender) => sender,
        Err(words) => return say(words),
    };
    if let Some(words) = lacks_token(&request, &parameters) {
        return say(words);
    }
    let channel = api.door.registry.now().of_key(request.headers());
    let entered = match enter(&api, channel, peer, request).await {
        Ok(entered) => entered,
        Err(refusal) => return of_refusal(refusal),
    };
    let done = blocking(move || take_body(&api, &entered, form, (&parameters, sender))).await;
    done.unwrap_or_else(of_refusal)
}

fn take_body(
    api: &Shared,
    entered: &Entered,
    form: Form,
    (parameters, sender): (&BTreeMap<String, String>, Option<String>),
) -> Result<Response, Refusal> {
    if no_space(api).is_some() {
        return Ok(say(BUSY));
    }
    let channel = &entered.channel;
    let limits = &channel.file.limits;
    let text = inflated(channel, &entered.body)?;
    let event_max = usize::try_from(limits.event_max_kib * 1024).unwrap_or(usize::MAX);
    let entries = match form {
        Form::Events => hec::events(&text, event_max, limits.events_max),
        Form::Raw => hec::raw(&text, &said(parameters), limits.events_max),
    };
    let Some(entries) = entries else {
        return Ok(say(TOO_LARGE));
    };
    if entries.is_empty() {
        return Ok(say(NO_DATA));
    }
    // The same lines of another host are others.
    let form = format!("hec {}", Value::Object(said(parameters)));
    let seed = body_seed(&form, &entered.body);
    let taken = settle(api, entered, &entries, Some(&seed));
    let ack = sender
        .filter(|_| is_whole(&taken))
        .map(|sender| api.door.acks.give(&channel.id, &sender));
    Ok(answer(&taken, ack))
}

fn is_whole(taken: &Taken) -> bool {
    let is_taken = |one: &Outcome| !matches!(one, Outcome::Rejected(_));
    taken.outcomes.iter().all(is_taken)
}

fn answer(taken: &Taken, ack: Option<u64>) -> Response {
    let mut first = None;
    for (index, outcome) in taken.outcomes.iter().enumerate() {
        let Outcome::Rejected(why) = outcome else {
            continue;
        };
        if why.is_retryable {
            let mut response = say(BUSY);
            let seconds = HeaderValue::from_static("1");
            response.headers_mut().insert(RETRY_AFTER, seconds);
            return response;
        }
        first.get_or_insert((index, why));
    }
    let Some((index, why)) = first else {
        let (status, code, text) = SUCCESS;
        let mut body = value!({ "text": text, "code": code });
        if let Some(number) = ack {
            body["ackId"] = number.into();
        }
        return json_with(status, &body);
    };
    let (status, code, text) = match why.code {
        hec::EVENT_MISSING => EVENT_MISSING,
        hec::EVENT_BLANK => EVENT_BLANK,
        hec::FIELDS => FIELDS,
        _ => INVALID,
    };
    let body = value!({
        "text": text, "code": code, "invalid-event-number": index, "reason": why.code, "message": why.words,
    });
    json_with(status, &body)
}

/// Says of numbers whether what they were given for is durable.
async fn ack(
    State(api): State<Shared>,
    Extension(Peer(peer)): Extension<Peer>,
    request: Request,
) -> Response {
    let parameters = parameters(&request);
    let sender = match sender_of(&request, &parameters) {
        Ok(Some(sender)) => sender,
        Ok(None) => return say(NO_CHANNEL),
        Err(words) => return say(words),
    };
    if let Some(words) = lacks_token(&request, &parameters) {
        return say(words);
    }
    let channel = api.door.registry.now().of_key(request.headers());
    prepare(&api, channel.as_ref(), peer, request.headers()).await;
    let channel = match let_in(&api, channel, peer, &request) {
        Ok((channel, _)) => channel,
        Err(refusal) => return of_refusal(refusal),
    };
    let Ok(body) = axum::body::to_bytes(request.into_body(), ASKED_BYTES_MAX).await else {
        return say(TOO_LARGE);
    };
    #[derive(serde::Deserialize)]
    struct Asked {
        acks: Vec<u64>,
    }
    let asked = serde_json::from_slice::<Asked>(&body);
    let Ok(asked) = asked.map(|asked| asked.acks) else {
        return say(INVALID);
    };
    if asked.len() > ASKED_MAX {
        return say(TOO_LARGE);
    }
    let told: Map<String, Value> = api
        .door
        .acks
        .read(&channel.id, &sender, &asked)
        .into_iter()
        .map(|(number, is_durable)| (number.to_string(), is_durable.into()))
        .collect();
    json_with(StatusCode::OK, &value!({ "acks": told }))
}

fn parameters(request: &Request) -> BTreeMap<String, String> {
    let query = request.uri().query().unwrap_or("");
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs
        .filter_map(|(key, text)| {
            let text = String::from_utf8(percent_decoded(&text.replace('+', " "))?).ok()?;
            Some((key.to_owned(), text))
        })
        .collect()
}

/// What an address says of raw lines.
fn said(parameters: &BTreeMap<String, String>) -> Map<String, Value> {
    const KEYS: [&str; 5] = ["host", "source", "sourcetype", "index", "time"];
    let given = KEYS.iter().filter_map(|key| {
        let text = parameters.get(*key)?;
        Some(((*key).to_owned(), text.clone().into()))
    });
    given.collect()
}

/// What a sender that wants acknowledgements calls itself, which Splunk calls a channel: a UUID.
fn sender_of(
    request: &Request,
    parameters: &BTreeMap<String, String>,
) -> Result<Option<String>, Words> {
    let header = request.headers().get("x-splunk-request-channel");
    let header = header.map(|value| value.to_str().unwrap_or("").to_owned());
    let Some(text) = header.or_else(|| parameters.get("channel").cloned()) else {
        return Ok(None);
    };
    let is_uuid = text.len() == 36
        && text.bytes().enumerate().all(|(place, byte)| match place {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        });
    match is_uuid {
        true => Ok(Some(text.to_ascii_lowercase())),
        false => Err(INVALID_CHANNEL),
    }
}

fn lacks_token(request: &Request, parameters: &BTreeMap<String, String>) -> Option<Words> {
    if request.headers().contains_key(AUTHORIZATION) {
        return None;
    }
    match parameters.contains_key("token") {
        true => Some(QUERY_TOKEN),
        false => Some(TOKEN_MISSING),
    }
}

/// A request that is not taken, as forwarders read it: what they must send again later is busy, whatever the reason.
fn of_refusal(refusal: Refusal) -> Response {
    let words = match (refusal.status(), refusal.code()) {
        (StatusCode::UNAUTHORIZED, _) => TOKEN_INVALID,
        (_, "ending") => ENDING,
        (StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE, _)
        | (StatusCode::REQUEST_TIMEOUT, _) => BUSY,
        (StatusCode::PAYLOAD_TOO_LARGE, _) => TOO_LARGE,
        (StatusCode::INTERNAL_SERVER_ERROR, _) => BROKEN,
        _ => INVALID,
    };
    let retry = refusal.into_response().headers_mut().remove(RETRY_AFTER);
    let mut response = say(words);
    if let Some(retry) = retry {
        response.headers_mut().insert(RETRY_AFTER, retry);
    }
    response
}
