//! Requests to a registry, by the distribution specification.
//!
//! Every answer is bounded in bytes and time. A login goes to the registry that it is for and to the place that this
//! registry names for tokens, never along with a redirect to elsewhere. Nothing goes over plain HTTP but to this machine,
//! or where a person said so; from HTTPS nothing leads there.

use super::credentials::Credentials;
use super::{MANIFEST_TYPE, OciFault, Reference, Which};
use crate::grant::http::tls;
use crate::limits::{
    OCI_ANSWER_BYTES_MAX, OCI_ANSWER_TIMEOUT, OCI_MANIFEST_BYTES_MAX, OCI_REDIRECTS_MAX,
    OCI_TIMEOUT,
};
use crate::sign::Digest;
use std::sync::Mutex;
use tripline_core::diagnostic::Printable;
use ureq::Agent;
use ureq::http::{Request, StatusCode, Uri};

/// Whether plain HTTP may be spoken to registries elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlainHttp {
    /// To this machine alone.
    Loopback,
    /// A person said so.
    Anywhere,
}

/// Longest part of a refusal that is told.
const WORDS_BYTES_MAX: usize = 300;

/// A registry, as one reference names it.
pub struct Registry {
    agent: Agent,
    scheme: &'static str,
    /// Where its interface is.
    host: String,
    /// As people call it.
    name: String,
    plain: PlainHttp,
    credentials: Credentials,
    /// The header that was good for the last request.
    authorization: Mutex<Option<String>>,
}

struct Answer {
    status: StatusCode,
    url: String,
    location: Option<String>,
    challenge: Option<String>,
    body: Vec<u8>,
}

/// What is asked.
#[derive(Clone, Copy)]
struct Asked<'r> {
    method: &'static str,
    accept: &'static str,
    content: &'static str,
    body: &'r [u8],
    /// Longest answer.
    most: usize,
}

impl Asked<'_> {
    fn new(method: &'static str) -> Self {
        Self {
            method,
            accept: "*/*",
            content: "application/octet-stream",
            body: &[],
            most: OCI_ANSWER_BYTES_MAX,
        }
    }
}

impl Registry {
    /// The registry of a reference. Nothing is sent yet.
    pub fn of(
        reference: &Reference,
        credentials: Credentials,
        plain: PlainHttp,
    ) -> Result<Self, OciFault> {
        let is_plain = reference.is_loopback() || plain == PlainHttp::Anywhere;
        let fault = |why: String| OciFault::Client {
            registry: reference.registry.clone(),
            why,
        };
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .accept_encoding("identity")
            .user_agent("tripline")
            .timeout_global(Some(OCI_TIMEOUT))
            .timeout_connect(Some(OCI_ANSWER_TIMEOUT))
            .timeout_recv_response(Some(OCI_ANSWER_TIMEOUT))
            // What is on this machine may send on to elsewhere, and need not.
            .tls_config(
                tls(true)
                    .or_else(|why| if is_plain { tls(false) } else { Err(why) })
                    .map_err(fault)?,
            );
        // A proxy of the environment is for what is elsewhere.
        let config = match reference.is_loopback() {
            true => config.proxy(None).build(),
            false => config.build(),
        };
        let host = match reference.registry.as_str() {
            "docker.io" => "registry-1.docker.io",
            other => other,
        };
        Ok(Self {
            agent: config.new_agent(),
            scheme: if is_plain { "http" } else { "https" },
            host: host.to_owned(),
            name: reference.registry.clone(),
            plain,
            credentials,
            authorization: Mutex::new(None),
        })
    }

    fn url(&self, reference: &Reference, rest: &str) -> String {
        let repository = &reference.repository;
        format!("{}://{}/v2/{repository}/{rest}", self.scheme, self.host)
    }

    fn manifest_url(&self, reference: &Reference) -> String {
        match &reference.which {
            Which::Tag(tag) => self.url(reference, &format!("manifests/{tag}")),
            Which::Digest(digest) => self.url(reference, &format!("manifests/{digest}")),
        }
    }

    /// The manifest's bytes.
    pub(super) fn manifest(&self, reference: &Reference) -> Result<Vec<u8>, OciFault> {
        let asked = Asked {
            accept: MANIFEST_TYPE,
            most: OCI_MANIFEST_BYTES_MAX,
            ..Asked::new("GET")
        };
        let answer = self.ask(&self.manifest_url(reference), &asked)?;
        match answer.status {
            StatusCode::OK => Ok(answer.body),
            _ => Err(refused(&answer)),
        }
    }

    /// A blob of this digest and length.
    pub(super) fn blob(
        &self,
        reference: &Reference,
        digest: Digest,
        size: usize,
    ) -> Result<Vec<u8>, OciFault> {
        let asked = Asked {
            most: size,
            ..Asked::new("GET")
        };
        let answer = self.ask(&self.url(reference, &format!("blobs/{digest}")), &asked)?;
        if answer.status != StatusCode::OK {
            return Err(refused(&answer));
        }
        let is = Digest::of(&answer.body);
        match is == digest {
            true => Ok(answer.body),
            false => Err(OciFault::Digest {
                reference: reference.to_string(),
                is,
                wanted: digest,
            }),
        }
    }

    /// Sends a blob that the registry does not have.
    pub(super) fn put_blob(&self, reference: &Reference, bytes: &[u8]) -> Result<(), OciFault> {
        let digest = Digest::of(bytes);
        let url = self.url(reference, &format!("blobs/{digest}"));
        if self.ask(&url, &Asked::new("HEAD"))?.status == StatusCode::OK {
            return Ok(());
        }
        let uploads = self.url(reference, "blobs/uploads/");
        let begun = self.ask(&uploads, &Asked::new("POST"))?;
        if begun.status != StatusCode::ACCEPTED {
            return Err(refused(&begun));
        }
        let place = self.redirected(&begun)?;
        let separator = if place.contains('?') { '&' } else { '?' };
        let asked = Asked {
            body: bytes,
            ..Asked::new("PUT")
        };
        let put = self.ask(&format!("{place}{separator}digest={digest}"), &asked)?;
        match put.status {
            StatusCode::CREATED => Ok(()),
            _ => Err(refused(&put)),
        }
    }

    pub(super) fn put_manifest(&self, reference: &Reference, bytes: &[u8]) -> Result<(), OciFault> {
        let asked = Asked {
            content: MANIFEST_TYPE,
            body: bytes,
            ..Asked::new("PUT")
        };
        let put = self.ask(&self.manifest_url(reference), &asked)?;
        match put.status {
            StatusCode::CREATED => Ok(()),
            _ => Err(refused(&put)),
        }
    }

    /// Asks, and once more with a login when the registry wants one. Follows where questions are sent on to.
    fn ask(&self, url: &str, asked: &Asked<'_>) -> Result<Answer, OciFault> {
        let mut url = url.to_owned();
        let mut has_logged_in = false;
        for _ in 0..=OCI_REDIRECTS_MAX {
            let is_own = self.is_own(&url);
            let held = self.authorization.lock();
            let held = held.map_or(None, |held| held.clone());
            let authorization = held.filter(|_| is_own);
            let answer = self.exchange(&url, asked, authorization.as_deref())?;
            if answer.status == StatusCode::UNAUTHORIZED && is_own && !has_logged_in {
                has_logged_in = true;
                let header = self.login(answer.challenge.as_deref().unwrap_or_default())?;
                if let Ok(mut held) = self.authorization.lock() {
                    *held = Some(header);
                }
                continue;
            }
            let is_question = matches!(asked.method, "GET" | "HEAD");
            if !(is_question && answer.status.is_redirection()) {
                return Ok(answer);
            }
            url = self.redirected(&answer)?;
        }
        Err(OciFault::Redirect {
            url: shown(&url),
            why: "there are too many",
        })
    }

    fn exchange(
        &self,
        url: &str,
        asked: &Asked<'_>,
        authorization: Option<&str>,
    ) -> Result<Answer, OciFault> {
        let unreachable = |source: ureq::Error| OciFault::Unreachable {
            url: shown(url),
            source: Box::new(source),
        };
        let mut request = Request::builder()
            .method(asked.method)
            .uri(url)
            .header("accept", asked.accept);
        if let Some(authorization) = authorization {
            request = request.header("authorization", authorization);
        }
        let sent = match asked.method {
            "PUT" | "POST" => {
                let request = request.header("content-type", asked.content);
                let request = request.body(asked.body);
                let request = request.map_err(|cause| unreachable(cause.into()))?;
                self.agent.run(request)
            }
            _ => {
                let request = request.body(());
                let request = request.map_err(|cause| unreachable(cause.into()))?;
                self.agent.run(request)
            }
        };
        let mut answer = sent.map_err(unreachable)?;
        let header = |name: &str| {
            let value = answer.headers().get(name)?.to_str().ok()?;
            Some(value.to_owned())
        };
        let (location, challenge) = (header("location"), header("www-authenticate"));
        let status = answer.status();
        let most = match status.is_success() {
            true => asked.most,
            false => OCI_ANSWER_BYTES_MAX,
        };
        let body = answer.body_mut().with_config().limit(most as u64 + 1);
        let body = match body.read_to_vec() {
            Ok(body) if body.len() <= most => body,
            Ok(_) | Err(ureq::Error::BodyExceedsLimit(_)) => {
                let url = shown(url);
                return Err(OciFault::TooLong { url, most });
            }
            Err(cause) => return Err(unreachable(cause)),
        };
        Ok(Answer {
            status,
            url: url.to_owned(),
            location,
            challenge,
            body,
        })
    }

    /// Whether this is the registry itself: nothing else learns the login.
    fn is_own(&self, url: &str) -> bool {
        let rest = url.strip_prefix(self.scheme);
        let rest = rest.and_then(|rest| rest.strip_prefix("://"));
        let rest = rest.and_then(|rest| rest.strip_prefix(self.host.as_str()));
        rest.is_some_and(|rest| rest.starts_with('/'))
    }

    /// Where an answer sends on to, if one may go there.
    fn redirected(&self, answer: &Answer) -> Result<String, OciFault> {
        let fault = |why| OciFault::Redirect {
            url: shown(&answer.url),
            why,
        };
        let location = answer.location.as_deref();
        let location = location.ok_or_else(|| fault("it does not say where to"))?;
        let (scheme, rest) = answer.url.split_once("://").unwrap_or_default();
        let origin = rest.split('/').next().unwrap_or_default();
        let next = match location.starts_with('/') && !location.starts_with("//") {
            true => format!("{scheme}://{origin}{location}"),
            false => location.to_owned(),
        };
        let uri: Uri = next.parse().map_err(|_| fault("it is no address"))?;
        if uri
            .authority()
            .is_some_and(|one| one.as_str().contains('@'))
        {
            return Err(fault("it holds a login"));
        }
        match uri.scheme_str() {
            Some("https") => Ok(next),
            Some("http") if self.may_be_plain(&next) => Ok(next),
            _ => Err(fault("it leads to plain HTTP")),
        }
    }

    fn may_be_plain(&self, url: &str) -> bool {
        self.plain == PlainHttp::Anywhere || (self.scheme == "http" && self.is_own(url))
    }

    /// The header for a registry that wants to know who asks.
    fn login(&self, challenge: &str) -> Result<String, OciFault> {
        let fault = |why: String| OciFault::Login {
            registry: self.name.clone(),
            why,
        };
        let login = self.credentials.of(&self.name);
        let (kind, rest) = challenge.split_once(' ').unwrap_or((challenge, ""));
        if kind.eq_ignore_ascii_case("basic") {
            return login.map(|login| login.header()).map_err(fault);
        }
        if !kind.eq_ignore_ascii_case("bearer") {
            return Err(fault("in a way that is not known here".to_owned()));
        }
        let given = parameters(rest);
        let get = |name: &str| given.iter().find(|(one, _)| one == name).map(|(_, it)| it);
        let realm = get("realm").ok_or_else(|| fault("it does not say where".to_owned()))?;
        if !realm.starts_with("https://") && !self.may_be_plain(realm) {
            return Err(fault("the place for tokens is not HTTPS".to_owned()));
        }
        let mut url = realm.clone();
        for name in ["service", "scope"] {
            if let Some(value) = get(name) {
                let separator = if url.contains('?') { '&' } else { '?' };
                url += &format!("{separator}{name}={}", encoded(value));
            }
        }
        // Without a login there may be a token that is for everybody.
        let header = login.as_ref().ok().map(|login| login.header());
        let answer = self.exchange(&url, &Asked::new("GET"), header.as_deref())?;
        if answer.status != StatusCode::OK {
            return Err(match login {
                Err(why) => fault(why),
                Ok(_) => refused(&answer),
            });
        }
        let token: Option<serde_json::Value> = serde_json::from_slice(&answer.body).ok();
        let text = |name: &str| token.as_ref()?.get(name)?.as_str();
        match text("token").or_else(|| text("access_token")) {
            Some(token) => Ok(format!("Bearer {token}")),
            None => Err(fault("there is no token in the answer".to_owned())),
        }
    }
}

/// An address without what follows a question mark, where some keep what opens a door.
fn shown(url: &str) -> String {
    url.split('?').next().unwrap_or_default().to_owned()
}

/// What the registry says of a refusal.
fn refused(answer: &Answer) -> OciFault {
    let said: Option<serde_json::Value> = serde_json::from_slice(&answer.body).ok();
    let first = said.as_ref().and_then(|said| said.get("errors")?.get(0));
    let text = |name: &str| Some(first?.get(name)?.as_str()?.to_owned());
    let words = text("message").or_else(|| text("code")).unwrap_or_default();
    // Whoever runs the registry writes to our terminal and our log: on one line, and nothing but text.
    let end = words.floor_char_boundary(WORDS_BYTES_MAX);
    let words = match words[..end].trim() {
        "" => String::new(),
        words => format!(": {}", Printable(words)),
    };
    OciFault::Refused {
        url: shown(&answer.url),
        status: answer.status.as_u16(),
        words,
    }
}

/// `realm="…",service="…"`.
pub(super) fn parameters(text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some((name, after)) = rest.split_once('=') {
        let name = name.trim_matches([' ', ',']).to_ascii_lowercase();
        let (value, after) = match after.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
            None => after.split_once(',').unwrap_or((after, "")),
        };
        found.push((name, value.to_owned()));
        rest = after;
    }
    found
}

/// As a part of a query.
fn encoded(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b':' | b'/' => {
                encoded.push(byte.into());
            }
            _ => encoded += &format!("%{byte:02X}"),
        }
    }
    encoded
}
