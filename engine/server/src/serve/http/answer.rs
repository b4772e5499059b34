//! Answers of the API, and how it says no: always JSON, with a word for programs and a sentence for people.

use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tripline_core::port::{FaultClass, PortFault};

/// A request that is not done.
pub(super) struct Refusal(Box<Words>);

struct Words {
    status: StatusCode,
    code: &'static str,
    message: String,
    retry_seconds: Option<u32>,
    details: Value,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self(Box::new(Words {
            status,
            code,
            message: message.into(),
            retry_seconds: None,
            details: Value::Null,
        }))
    }

    pub(super) fn bad(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_request", message)
    }

    pub(super) fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", message)
    }

    pub(super) fn method() -> Self {
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "method_not_allowed",
            "this path has no such method",
        )
    }

    pub(super) fn unauthorized() -> Self {
        let words = "give the token of http.token_file as `Authorization: Bearer …`";
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", words)
    }

    pub(super) fn page() -> Self {
        let words = "without http.token_file only programs on this machine may ask, not pages that a browser shows: the \
                     request has an Origin, or a Host that is not this machine";
        Self::new(StatusCode::FORBIDDEN, "forbidden", words)
    }

    pub(super) fn conflict(message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "refused", message)
    }

    pub(super) fn ending() -> Self {
        let words = "the service is ending; come again when it is back";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "ending", words).retry_after(5)
    }

    pub(super) fn ours() -> Self {
        let words = "something broke in the service; its log tells more";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", words)
    }

    pub(super) fn status(&self) -> StatusCode {
        self.0.status
    }

    /// The word for programs.
    pub(super) fn code(&self) -> &'static str {
        self.0.code
    }

    /// The sentence for people.
    pub(super) fn words(&self) -> &str {
        &self.0.message
    }

    pub(super) fn retry_after(mut self, seconds: u32) -> Self {
        self.0.retry_seconds = Some(seconds);
        self
    }

    pub(super) fn details(mut self, details: Value) -> Self {
        self.0.details = details;
        self
    }
}

/// A fault of the log or the store, as whoever sent the request can act on it.
impl From<PortFault> for Refusal {
    fn from(fault: PortFault) -> Self {
        let words = crate::causes::with_causes(&fault);
        match fault.class {
            FaultClass::Full => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "full", words).retry_after(10)
            }
            FaultClass::Retry => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "busy", words).retry_after(1)
            }
            FaultClass::Reject => Self::bad(words),
            FaultClass::Fenced | FaultClass::Stop => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "stopped", words).retry_after(30)
            }
        }
    }
}

impl Refusal {
    /// As it is told.
    pub(super) fn body(&self) -> Value {
        let words = &self.0;
        let mut body = json!({ "error": words.code, "message": words.message });
        if !words.details.is_null() {
            body["details"] = words.details.clone();
        }
        body
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let body = self.body();
        let words = *self.0;
        let mut response = json_with(words.status, &body);
        if let Some(seconds) = words.retry_seconds {
            response
                .headers_mut()
                .insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

/// An answer.
pub(super) fn json(body: &Value) -> Response {
    json_with(StatusCode::OK, body)
}

pub(super) fn json_with(status: StatusCode, body: &Value) -> Response {
    let kind = [(CONTENT_TYPE, "application/json")];
    (status, kind, format!("{body}\n")).into_response()
}
