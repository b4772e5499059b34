//! Requests to the outside. Capability `http`, with hosts, ports, methods and paths.

use crate::Fault;
pub use crate::bindings::host::tripline::plugin::http::{Request, Response};

impl Request {
    /// A request without headers and body that may take 10 seconds.
    pub fn new(method: impl Into<String>, url: impl Into<String>) -> Self {
        Self {
            method: method.into(),
            url: url.into(),
            headers: Vec::new(),
            body: Vec::new(),
            timeout_ms: 10_000,
        }
    }

    /// A header. Its value may hold `{{secret:name}}`, which the host fills in.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// The body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }
}

/// Sends a request and waits for the whole answer.
///
/// # Errors
///
/// `denied`, `invalid-input`, `limit`, `timeout` and `unavailable`.
pub fn send(request: &Request) -> Result<Response, Fault> {
    super::imports::http::send(request)
}
