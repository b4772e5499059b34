//! `POST /PutAuditEvents`: events as clients of AWS send them, with AWS's words for what is wrong.

use super::answer::{Refusal, json, json_with};
use super::channels::{Entered, enter, settle};
use super::events::no_space;
use super::{Peer, Shared, blocking};
use crate::channel::auth;
use crate::channel::decode::{Entry, audit_events};
use crate::channel::intake::Outcome;
use crate::serve::now;
use axum::extract::{Extension, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json as value;

/// Takes events as clients of AWS send them.
pub(super) async fn put_audit_events(
    State(api): State<Shared>,
    Extension(Peer(peer)): Extension<Peer>,
    request: Request,
) -> Response {
    let query = request.uri().query().unwrap_or("");
    let parameter = |name: &str| {
        let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        let (_, text) = pairs.find(|(key, _)| *key == name)?;
        String::from_utf8(auth::percent_decoded(text)?).ok()
    };
    let (arn, external) = (parameter("channelArn"), parameter("externalId"));
    let Some(arn) = arn.filter(|arn| !arn.is_empty()) else {
        return exception("InvalidChannelARN", "channelArn is missing");
    };
    let channel = api.door.registry.now().of_arn(&arn);
    let entered = match enter(&api, channel, peer, request).await {
        Ok(entered) => entered,
        Err(refusal) => return of_refusal(refusal),
    };
    let wanted = &entered.channel.allow.external_id;
    if !wanted.is_empty() && external.as_deref() != Some(wanted) {
        let words = "externalId is not the one that the channel wants";
        entered.channel.live.refused("external_id", words, now());
        return exception("ChannelInsufficientPermission", words);
    }
    match blocking(move || Ok(take_audit_events(&api, &entered))).await {
        Ok(response) => response,
        Err(refusal) => of_refusal(refusal),
    }
}

fn take_audit_events(api: &Shared, entered: &Entered) -> Response {
    let channel = &entered.channel;
    if no_space(api).is_some() {
        return exception("InternalFailure", "the disk is full");
    }
    let (arn, time) = (channel.arn(), entered.arrival.time.to_string());
    let around = audit_events::Around {
        arn: &arn,
        region: entered
            .arrival
            .verified
            .region
            .as_deref()
            .unwrap_or("local"),
        account: &channel.file.account,
        time: &time,
    };
    let (names, entries): (Vec<String>, Vec<Entry<'_>>) =
        match audit_events::read(&entered.body, &around) {
            Ok(read) => read.into_iter().unzip(),
            Err(why) => {
                channel.live.refused(why.name, &why.words, now());
                return exception(why.name, &why.words);
            }
        };
    let taken = settle(api, entered, &entries, None);
    let (mut successful, mut failed) = (Vec::new(), Vec::new());
    for (id, outcome) in names.iter().zip(&taken.outcomes) {
        match outcome {
            Outcome::Accepted { event_id }
            | Outcome::Duplicate { event_id }
            | Outcome::SetAside { event_id, .. } => {
                successful.push(value!({ "id": id, "eventID": event_id }));
            }
            Outcome::Rejected(why) => {
                let words: String = why.words.chars().take(1024).collect();
                failed.push(value!({
                    "id": id, "errorCode": error_code(why.code), "errorMessage": words, "retryable": why.is_retryable,
                }));
            }
        }
    }
    json(&value!({ "successful": successful, "failed": failed }))
}

/// The code of AWS for what is wrong with an event.
fn error_code(code: &'static str) -> &'static str {
    match code {
        "event_source_not_allowed" => "InvalidEventSource",
        "account_not_allowed" => "InvalidRecipient",
        "too_large" => "FieldTooLong",
        "malformed" | "schema" | "unmapped" => "InvalidData",
        "id_reused" => "IdempotencyMismatch",
        "busy" | "in_progress" => "Throttling",
        "full" | "stopped" | "refused_by_log" => "InternalFailure",
        code => code,
    }
}

/// A request that is not taken, as clients of AWS read it.
fn exception(name: &'static str, words: &str) -> Response {
    let status = match name {
        "InternalFailure" => StatusCode::INTERNAL_SERVER_ERROR,
        "ChannelInsufficientPermission" | "UnrecognizedClientException" => StatusCode::FORBIDDEN,
        "ChannelNotFound" => StatusCode::NOT_FOUND,
        "ThrottlingException" => StatusCode::TOO_MANY_REQUESTS,
        _ => StatusCode::BAD_REQUEST,
    };
    let mut response = json_with(status, &value!({ "message": words }));
    response.headers_mut().insert(
        "x-amzn-errortype",
        axum::http::HeaderValue::from_static(name),
    );
    response
}

fn of_refusal(refusal: Refusal) -> Response {
    let status = refusal.status();
    let name = match status {
        StatusCode::UNAUTHORIZED => "ChannelInsufficientPermission",
        StatusCode::TOO_MANY_REQUESTS => "ThrottlingException",
        StatusCode::SERVICE_UNAVAILABLE | StatusCode::INTERNAL_SERVER_ERROR => "InternalFailure",
        StatusCode::PAYLOAD_TOO_LARGE => "ValidationException",
        _ => "UnsupportedOperationException",
    };
    let words = refusal.words().to_owned();
    let retry = refusal.into_response().headers_mut().remove("retry-after");
    let mut response = exception(name, &words);
    if let Some(retry) = retry {
        response.headers_mut().insert("retry-after", retry);
    }
    response
}
