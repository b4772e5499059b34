//! `POST /v1/logs`: log records of OpenTelemetry, as JSON and as protobuf.
//!
//! The key that a request bears names the channel; where something else proves who sends, the path does. Records have no ids: the
//! same body again is the same request again, by which none is taken twice.

use super::answer::{Refusal, json_with};
use super::channels::{Entered, body_seed, enter, inflated, refused, settle};
use super::events::no_space;
use super::{Peer, Shared, blocking};
use crate::channel::Channel;
use crate::channel::decode::{content_type, otlp};
use crate::channel::intake::{Outcome, Taken};
use axum::extract::{Extension, Path, Request, State};
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::json as value;
use std::net::IpAddr;
use std::sync::Arc;

/// How a request is written, and its answer.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Encoding {
    Json,
    Protobuf,
}

impl Encoding {
    fn of(headers: &HeaderMap) -> Option<Self> {
        match content_type(headers).as_str() {
            "application/json" => Some(Self::Json),
            "application/x-protobuf" => Some(Self::Protobuf),
            _ => None,
        }
    }
}

/// Takes log records; the key says of which channel.
pub(super) async fn logs(
    State(api): State<Shared>,
    Extension(Peer(peer)): Extension<Peer>,
    request: Request,
) -> Response {
    let channel = api.door.registry.now().of_key(request.headers());
    take(&api, channel, peer, request).await
}

/// The same where the path says it.
pub(super) async fn logs_of(
    State(api): State<Shared>,
    Path(id): Path<String>,
    Extension(Peer(peer)): Extension<Peer>,
    request: Request,
) -> Response {
    let channel = api.door.registry.now().by_id.get(&id).cloned();
    take(&api, channel, peer, request).await
}

async fn take(
    api: &Shared,
    channel: Option<Arc<Channel>>,
    peer: IpAddr,
    request: Request,
) -> Response {
    let Some(encoding) = Encoding::of(request.headers()) else {
        let words = "send application/x-protobuf or application/json";
        let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        return Refusal::new(status, "unsupported", words).into_response();
    };
    let entered = match enter(api, channel, peer, request).await {
        Ok(entered) => entered,
        Err(refusal) => return of_refusal(encoding, refusal),
    };
    let shared = api.clone();
    let done = blocking(move || take_body(&shared, &entered, encoding)).await;
    done.unwrap_or_else(|refusal| of_refusal(encoding, refusal))
}

fn take_body(api: &Shared, entered: &Entered, encoding: Encoding) -> Result<Response, Refusal> {
    if let Some(words) = no_space(api) {
        return Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "full", words).retry_after(10));
    }
    let channel = &entered.channel;
    let most = channel.file.limits.events_max;
    let body = inflated(channel, &entered.body)?;
    let read = match encoding {
        Encoding::Json => otlp::json(&body, most),
        Encoding::Protobuf => otlp::protobuf(&body, most),
    };
    let entries =
        read.map_err(|why| refused(channel, StatusCode::BAD_REQUEST, ("bad_request", why.words)))?;
    let entries = entries.ok_or_else(|| {
        let words = format!("more records than the {most} of one request (limits.events_max)");
        refused(channel, StatusCode::PAYLOAD_TOO_LARGE, ("too_large", words))
    })?;
    if entries.is_empty() {
        return Ok(answer(encoding, 0, ""));
    }
    let seed = body_seed("otlp", &entered.body);
    let taken = settle(api, entered, &entries, Some(&seed));
    told(encoding, &taken)
}

/// What became of records: those that may be taken later have the whole request sent again.
fn told(encoding: Encoding, taken: &Taken) -> Result<Response, Refusal> {
    let (mut rejected, mut first) = (0, None);
    for outcome in &taken.outcomes {
        let Outcome::Rejected(why) = outcome else {
            continue;
        };
        if why.is_retryable {
            let words = why.words.clone();
            let refusal = Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "busy", words);
            return Err(refusal.retry_after(1));
        }
        rejected += 1;
        first.get_or_insert(why);
    }
    let words = first.map_or_else(String::new, |why| format!("{}: {}", why.code, why.words));
    Ok(answer(encoding, rejected, &words))
}

fn answer(encoding: Encoding, rejected: u64, words: &str) -> Response {
    match (encoding, rejected) {
        (Encoding::Protobuf, _) => {
            let kind = [(CONTENT_TYPE, "application/x-protobuf")];
            (kind, otlp::partial_success(rejected, words)).into_response()
        }
        (Encoding::Json, 0) => json_with(StatusCode::OK, &value!({})),
        (Encoding::Json, _) => {
            let partial =
                value!({ "rejectedLogRecords": rejected.to_string(), "errorMessage": words });
            json_with(StatusCode::OK, &value!({ "partialSuccess": partial }))
        }
    }
}

/// A request that is not taken, as exporters read it.
fn of_refusal(encoding: Encoding, refusal: Refusal) -> Response {
    // Numbers of gRPC.
    let code = match refusal.status() {
        StatusCode::BAD_REQUEST => 3,
        StatusCode::PAYLOAD_TOO_LARGE | StatusCode::TOO_MANY_REQUESTS => 8,
        StatusCode::UNAUTHORIZED => 16,
        StatusCode::SERVICE_UNAVAILABLE | StatusCode::REQUEST_TIMEOUT => 14,
        _ => 13,
    };
    let (status, words) = (refusal.status(), refusal.words().to_owned());
    let retry = refusal.into_response().headers_mut().remove(RETRY_AFTER);
    let mut response = match encoding {
        Encoding::Json => json_with(status, &value!({ "code": code, "message": words })),
        Encoding::Protobuf => {
            let kind = [(
                CONTENT_TYPE,
                HeaderValue::from_static("application/x-protobuf"),
            )];
            (status, kind, otlp::status(code, &words)).into_response()
        }
    };
    if let Some(retry) = retry {
        response.headers_mut().insert(RETRY_AFTER, retry);
    }
    response
}
