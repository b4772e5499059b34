//! Requests to the outside. See `wit/http.wit`.
//!
//! A request is checked as a whole before anything is sent: its address, method and path against what the manifest
//! asked for and the operator granted, its headers, its size, and how many there were. Redirects are requests of their
//! own, each checked alike. What fails says nothing of secrets: messages are made here, never taken from below.
//! The client underneath follows nothing, mends nothing and asks no proxy.

mod header;
mod network;
mod pattern;
mod rate;
mod secret;
#[cfg(test)]
mod tests;

pub use pattern::{Address, Host, HostPattern, METHODS, PathPattern, Scheme};
pub use secret::Secrets;

use super::limits::{
    HTTP_HEADER_BYTES_MAX, HTTP_HEADERS_MAX, HTTP_REDIRECTS_MAX, HTTP_REQUEST_BYTES_MAX,
    HTTP_RESPONSE_BYTES_MAX, HTTP_TIMEOUT_MS_DEFAULT, HTTP_TIMEOUT_MS_MAX,
};
use super::{Fault, FaultKind};
use crate::manifest::HttpTarget;
use crate::operator::HttpRights;
use network::{CheckedResolver, Network, NotPublic, PublicInternet};
use rate::Rate;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};
use ureq::Agent;
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::unversioned::transport::DefaultConnector;

/// Connections that are kept for the next request: a plugin speaks to few hosts, from as many threads as there are.
const IDLE_CONNECTIONS_MAX: usize = 8;
/// How long they are kept: short, since the name is resolved and checked anew only for new ones.
const IDLE_SECONDS_MAX: u64 = 15;

/// A request, as the plugin gave it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
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

impl HttpTarget {
    /// Whether the request is of this shape.
    pub fn takes(&self, method: &str, address: &Address) -> bool {
        self.scheme == address.scheme
            && self.port == address.port
            && self.host.matches(&address.host)
            && self.methods.contains(&method)
            && self.paths.iter().any(|path| path.matches(&address.path))
    }
}

/// Sends the requests of one plugin.
pub struct Client {
    rights: HttpRights,
    secrets: Secrets,
    rate: Rate,
    agent: Agent,
}

impl Client {
    /// A client that reaches the public internet and nothing else.
    pub fn new(rights: HttpRights, secrets: Secrets, per_minute: u64) -> Result<Self, String> {
        Self::with_network(rights, secrets, per_minute, Arc::new(PublicInternet))
    }

    fn with_network(
        rights: HttpRights,
        secrets: Secrets,
        per_minute: u64,
        network: Arc<dyn Network>,
    ) -> Result<Self, String> {
        let is_encrypted = rights
            .granted
            .iter()
            .any(|one| one.target.scheme == Scheme::Https);
        let config = Agent::config_builder()
            .proxy(None)
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .max_response_header_size(HTTP_HEADER_BYTES_MAX)
            .max_idle_connections(IDLE_CONNECTIONS_MAX)
            .max_idle_age(Duration::from_secs(IDLE_SECONDS_MAX))
            .accept_encoding("identity")
            .user_agent("tripline-plugin")
            .tls_config(tls(is_encrypted)?)
            .build();
        let resolver = CheckedResolver(network);
        Ok(Self {
            rights,
            secrets,
            rate: Rate::new(per_minute),
            agent: Agent::with_parts(config, DefaultConnector::default(), resolver),
        })
    }

    /// Sends a request and waits for the whole answer, no longer than `left`.
    pub fn send(&self, request: &Request, left: Duration, now_ms: u64) -> Result<Response, Fault> {
        let asked_ms = match request.timeout_ms {
            0 => HTTP_TIMEOUT_MS_DEFAULT,
            asked => u64::from(asked).min(HTTP_TIMEOUT_MS_MAX),
        };
        let until = Instant::now() + left.min(Duration::from_millis(asked_ms));
        let mut address = Address::new(&request.url).map_err(Fault::input)?;
        header::check(&request.headers)?;
        let mut method = known(&request.method)?;
        let mut body: &[u8] = &request.body;
        check_body(method, body)?;
        for _ in 0..=HTTP_REDIRECTS_MAX {
            self.check(method, &address)?;
            self.rate.take(now_ms)?;
            let response = self.exchange(method, &address, &request.headers, body, until)?;
            let Some(next) = redirected(method, &address, &response)? else {
                return Ok(response);
            };
            if response.status == 303 && method != "HEAD" {
                (method, body) = ("GET", &[]);
            }
            address = next;
        }
        Err(Fault::limit(format!(
            "more than {HTTP_REDIRECTS_MAX} redirects"
        )))
    }

    /// Whether it was asked for and granted.
    fn check(&self, method: &str, address: &Address) -> Result<(), Fault> {
        let asked = self.rights.asked.iter().map(|ask| &ask.target);
        let granted = self.rights.granted.iter().map(|grant| &grant.target);
        let is_asked = asked
            .into_iter()
            .any(|target| target.takes(method, address));
        let is_granted = granted
            .into_iter()
            .any(|target| target.takes(method, address));
        match (is_asked, is_granted) {
            (true, true) => Ok(()),
            _ => Err(Fault::denied(format!(
                "{method} {}{} is not granted",
                address.origin(),
                address.path
            ))),
        }
    }

    fn exchange(
        &self,
        method: &'static str,
        address: &Address,
        headers: &[(String, String)],
        body: &[u8],
        until: Instant,
    ) -> Result<Response, Fault> {
        let mut has_secret = false;
        let mut fill = |text: &str, bytes_max: usize| -> Result<String, Fault> {
            let secrets = &self.secrets;
            let (text, any) = secrets.filled(text, &self.rights, method, address, bytes_max)?;
            has_secret |= any;
            Ok(text)
        };
        let uri = address.to_string();
        let mut request = ureq::http::Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(name.as_str(), fill(value, HTTP_HEADER_BYTES_MAX)?);
        }
        // A body that is no text is sent as it is.
        let body = match std::str::from_utf8(body) {
            Ok(text) => fill(text, HTTP_REQUEST_BYTES_MAX)?.into_bytes(),
            Err(_) => body.to_vec(),
        };
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(Fault::new(
                FaultKind::Timeout,
                "no time is left for the request",
            ));
        }
        let sent = match takes_body(method) {
            true => {
                let request = request.body(body).map_err(|_| malformed())?;
                let request = self.agent.configure_request(request);
                self.agent.run(request.timeout_global(Some(left)).build())
            }
            false => {
                let request = request.body(()).map_err(|_| malformed())?;
                let request = self.agent.configure_request(request);
                self.agent.run(request.timeout_global(Some(left)).build())
            }
        };
        let mut answer = sent.map_err(|cause| fault(&cause))?;
        let mut headers = Vec::new();
        for (name, value) in answer.headers().iter().take(HTTP_HEADERS_MAX + 1) {
            let value = self.secrets.hidden(value.as_bytes().to_vec());
            headers.push((
                name.as_str().to_owned(),
                String::from_utf8_lossy(&value).into_owned(),
            ));
        }
        if headers.len() > HTTP_HEADERS_MAX {
            return Err(Fault::limit(format!(
                "an answer with more than {HTTP_HEADERS_MAX} headers"
            )));
        }
        let is_plain =
            |value: &str| value.trim().is_empty() || value.eq_ignore_ascii_case("identity");
        let is_encoded = headers
            .iter()
            .any(|(name, value)| name == "content-encoding" && !is_plain(value));
        if has_secret && is_encoded {
            return Err(Fault::denied(
                "an answer to a request with a secret is encoded",
            ));
        }
        let body = answer
            .body_mut()
            .with_config()
            .limit(HTTP_RESPONSE_BYTES_MAX as u64);
        let body = body.read_to_vec().map_err(|cause| fault(&cause))?;
        let body = self.secrets.hidden(body);
        // A placeholder may be longer than what it stands for.
        if body.len() > HTTP_RESPONSE_BYTES_MAX {
            return Err(Fault::limit("the answer is too large"));
        }
        Ok(Response {
            status: answer.status().as_u16(),
            headers,
            body,
        })
    }
}

fn known(method: &str) -> Result<&'static str, Fault> {
    let known = METHODS.into_iter().find(|known| *known == method);
    known.ok_or_else(|| Fault::input(format!("`{method:.80}` is no method that can be granted")))
}

fn takes_body(method: &str) -> bool {
    matches!(method, "POST" | "PUT" | "PATCH" | "DELETE")
}

fn check_body(method: &str, body: &[u8]) -> Result<(), Fault> {
    if body.len() > HTTP_REQUEST_BYTES_MAX {
        let message = format!(
            "a body of {} bytes; at most {HTTP_REQUEST_BYTES_MAX} are sent",
            body.len()
        );
        return Err(Fault::limit(message));
    }
    if !body.is_empty() && !takes_body(method) {
        return Err(Fault::input(format!("a {method} request has no body")));
    }
    Ok(())
}

/// Where the answer sends the same question, or the question for the result of a change. Other redirects are answers.
fn redirected(
    method: &str,
    address: &Address,
    response: &Response,
) -> Result<Option<Address>, Fault> {
    let is_question = matches!(method, "GET" | "HEAD");
    let leads_on = match response.status {
        303 => true,
        301 | 302 | 307 | 308 => is_question,
        _ => false,
    };
    let location = response.headers.iter().find(|(name, _)| name == "location");
    let Some((_, location)) = location.filter(|_| leads_on) else {
        return Ok(None);
    };
    let next = address.redirected(location);
    next.map(Some)
        .map_err(|why| Fault::denied(format!("a redirect is refused: {why}")))
}

fn malformed() -> Fault {
    Fault::input("the request is not well formed")
}

/// What went wrong below, without its words: they may hold what was sent.
fn fault(cause: &ureq::Error) -> Fault {
    use FaultKind::{Timeout, Unavailable};
    let (kind, message) = match cause {
        ureq::Error::Timeout(_) => (Timeout, "the host did not answer in time"),
        ureq::Error::HostNotFound => (Unavailable, "the host has no address"),
        ureq::Error::BodyExceedsLimit(_) => (FaultKind::Limit, "the answer is too large"),
        ureq::Error::LargeResponseHeader(..) => (FaultKind::Limit, "the headers are too large"),
        ureq::Error::Tls(_) | ureq::Error::Rustls(_) | ureq::Error::Pem(_) => {
            (Unavailable, "the host could not prove who it is")
        }
        ureq::Error::Io(cause) => return io_fault(cause),
        ureq::Error::Protocol(_) => (Unavailable, "the answer is no HTTP"),
        ureq::Error::ConnectionFailed => (Unavailable, "the host could not be reached"),
        ureq::Error::Http(_) | ureq::Error::BadUri(_) => return malformed(),
        _ => (FaultKind::Internal, "the request could not be sent"),
    };
    Fault::new(kind, message)
}

fn io_fault(cause: &io::Error) -> Fault {
    let inner = cause.get_ref();
    if inner.is_some_and(|inner| inner.is::<NotPublic>()) {
        return Fault::denied(NotPublic.to_string());
    }
    if let Some(cause) = inner.and_then(|inner| inner.downcast_ref::<ureq::Error>()) {
        return fault(cause);
    }
    match cause.kind() {
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => {
            Fault::new(FaultKind::Timeout, "the host did not answer in time")
        }
        io::ErrorKind::InvalidData => {
            Fault::new(FaultKind::Unavailable, "the host could not prove who it is")
        }
        _ => Fault::new(FaultKind::Unavailable, "the host could not be reached"),
    }
}

/// The roots that the machine trusts, so that an operator's own are among them.
pub(crate) fn tls(is_encrypted: bool) -> Result<TlsConfig, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = TlsConfig::builder().unversioned_rustls_crypto_provider(provider);
    if !is_encrypted {
        return Ok(config.root_certs(RootCerts::new_with_certs(&[])).build());
    }
    let found = rustls_native_certs::load_native_certs();
    if found.certs.is_empty() {
        return Err("this machine has no certificates of authorities".into());
    }
    let roots = found
        .certs
        .iter()
        .map(|one| Certificate::from_der(one.as_ref()).to_owned());
    Ok(config.root_certs(RootCerts::from(roots)).build())
}
