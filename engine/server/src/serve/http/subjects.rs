//! Messages of NATS on the subjects of channels: what HTTP takes, answered as HTTP answers.
//!
//! That somebody may publish on the subject is what proves who it is, so only channels that say so take anything. The answer comes
//! when everything is durable, as `{"status": 200, "body": {…}}`, with `retry_after` where HTTP has that header.

use super::Api;
use super::answer::Refusal;
use super::channels::{enter_message, take};
use super::{Shared, blocking};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json as value};
use std::sync::Arc;
use tripline_bus::nats::Question;

/// The longest answer that is told: ids of as many events as a message may hold.
const ANSWER_BYTES_MAX: usize = 16 << 20;

/// Takes a message.
pub(crate) async fn channel_message(api: Arc<Api>, question: Question) -> Vec<u8> {
    let response = match answer(&api, question).await {
        Ok(response) => response,
        Err(refusal) => refusal.into_response(),
    };
    let mut told = value!({ "status": response.status().as_u16() });
    if let Some(seconds) = response.headers().get("retry-after") {
        let seconds = seconds
            .to_str()
            .ok()
            .and_then(|text| text.parse::<u32>().ok());
        told["retry_after"] = seconds.into();
    }
    let body = axum::body::to_bytes(response.into_body(), ANSWER_BYTES_MAX).await;
    let body = body.unwrap_or_default();
    told["body"] = serde_json::from_slice(&body).unwrap_or(Value::Null);
    told.to_string().into_bytes()
}

async fn answer(api: &Shared, question: Question) -> Result<Response, Refusal> {
    let id = question.subject.rsplit('.').next().unwrap_or("");
    let channel = api.door.registry.now().by_id.get(id).cloned();
    let mut headers = HeaderMap::new();
    for (name, text) in question.headers {
        let name = HeaderName::from_bytes(name.as_bytes());
        if let (Ok(name), Ok(text)) = (name, HeaderValue::from_str(&text)) {
            headers.append(name, text);
        }
    }
    let entered = enter_message(api, channel, headers, question.body.to_vec()).await?;
    let api = api.clone();
    blocking(move || take(&api, &entered)).await
}
