//! Requests to the outside. See `wit/http.wit`.

mod pattern;

pub use pattern::{Address, Host, HostPattern, METHODS, PathPattern, Scheme};

use super::Fault;
use crate::operator::{HttpRights, SecretSource};
use std::time::Duration;

/// A request, as the plugin gave it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// In capitals.
    pub method: String,
    /// Absolute.
    pub url: String,
    /// May hold `{{secret:name}}`.
    pub headers: Vec<(String, String)>,
    /// May hold it too, when it is text.
    pub body: Vec<u8>,
    /// In milliseconds; 0 stands for the default.
    pub timeout_ms: u32,
}

/// What came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// Names in small letters.
    pub headers: Vec<(String, String)>,
    /// The whole body.
    pub body: Vec<u8>,
}

/// Secrets, by the grants that bind them.
#[derive(Default)]
pub struct Secrets {}

impl Secrets {
    /// Asks for each of them once.
    pub fn gather(
        _rights: &HttpRights,
        _secret: &dyn Fn(&SecretSource) -> Option<String>,
    ) -> Result<Self, (String, &'static str)> {
        Ok(Self::default())
    }
}

/// Sends the requests of one plugin.
pub struct Client {}

impl Client {
    /// Checks addresses as production does.
    pub fn new(_rights: HttpRights, _secrets: Secrets, _per_minute: u64) -> Result<Self, String> {
        Ok(Self {})
    }

    /// Sends a request and waits for the whole answer, no longer than `left`.
    pub fn send(
        &self,
        _request: &Request,
        _left: Duration,
        _now_ms: u64,
    ) -> Result<Response, Fault> {
        Err(Fault::denied("requests are not sent yet"))
    }
}
