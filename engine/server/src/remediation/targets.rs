//! Targets of `http.request` and of clusters: where an operator lets requests go, what proves who sends them, and which of them may be sent.

use super::world::{Failed, TIMEOUT_MAX, failed, refused};
use crate::outgoing::{Proxy, agent_of_file};
use crate::serve::sink::read_secret;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tripline_remediation::engine::Sent;
use tripline_remediation::plan::Answer;
use tripline_remediation::policy::glob;
use ureq::Agent;

/// A target as the configuration has it.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TargetConfig {
    /// What paths are put behind, as `https://example.okta.com`.
    pub(crate) url: String,
    /// The header that proves who sends, `authorization` unless it is said.
    #[serde(default)]
    pub(crate) header: String,
    /// What stands in it before the secret, as `SSWS `.
    #[serde(default)]
    pub(crate) prefix: String,
    /// The file with the secret.
    #[serde(default)]
    pub(crate) secret_file: String,
    /// A file of PEM with the authorities that prove who the target is; those of the machine without it. A cluster has its own.
    #[serde(default)]
    pub(crate) ca_file: String,
    /// Methods and paths that may be sent, `*` for anything: `POST /api/v1/users/*/lifecycle/suspend`. Reading is `GET`.
    pub(crate) allow: Vec<String>,
}

impl TargetConfig {
    /// What is wrong with it.
    pub(crate) fn validate(&self) -> Result<(), String> {
        let uri: Option<ureq::http::Uri> = self.url.parse().ok();
        let host = uri.as_ref().and_then(|uri| uri.host()).unwrap_or_default();
        let is_near = ["127.0.0.1", "[::1]", "localhost"].contains(&host);
        let scheme = uri.as_ref().and_then(|uri| uri.scheme_str());
        let is_safe = !host.is_empty()
            && !self.url.contains('@')
            && (scheme == Some("https") || (scheme == Some("http") && is_near));
        if !is_safe {
            return Err(format!(
                "url = \"{}\" is not https://, nor http:// on this machine",
                self.url.escape_debug()
            ));
        }
        if self.allow.is_empty() {
            return Err("allow is empty: no request could ever be sent".to_owned());
        }
        for one in &self.allow {
            let (method, path) = one.split_once(' ').unwrap_or_default();
            let is_method = ["GET", "POST", "PUT", "PATCH", "DELETE"].contains(&method);
            if !is_method || !path.starts_with('/') {
                return Err(format!(
                    "allow: `{}` is no method and path, as `POST /api/v1/users/*/lifecycle/suspend`",
                    one.escape_debug()
                ));
            }
        }
        Ok(())
    }
}

/// The targets of a service, and what sends to those with authorities of their own.
#[derive(Debug, Default)]
pub(crate) struct Targets(BTreeMap<String, (TargetConfig, Option<Agent>)>);

/// No answer is read beyond this: 1 MiB.
const ANSWER_BYTES_MAX: u64 = 1 << 20;

/// Whether a line of `allow` means a request: part by part of the path, so that a star stands within one part. A query is meant
/// only where one is written.
fn allows(line: &str, method: &str, path: &str) -> bool {
    let Some((allowed, pattern)) = line.split_once(' ') else {
        return false;
    };
    let halves = |text: &str| match text.split_once('?') {
        Some((path, query)) => (path.to_owned(), Some(query.to_owned())),
        None => (text.to_owned(), None),
    };
    let ((pattern, wanted), (path, query)) = (halves(pattern), halves(path));
    let is_query = match (wanted, query) {
        (None, None) => true,
        (Some(wanted), query) => glob(&wanted, &query.unwrap_or_default()),
        (None, Some(_)) => false,
    };
    let hides = path.to_ascii_lowercase();
    let hides = hides.contains("%2f") || hides.contains("%5c") || hides.contains("%3f");
    let parts = pattern
        .split('/')
        .zip(path.split('/'))
        .all(|(one, part)| glob(one, part));
    let count = pattern.split('/').count() == path.split('/').count();
    allowed == method && is_query && !hides && count && parts
}

impl Targets {
    /// Reads the authorities of targets.
    pub(crate) fn new(targets: BTreeMap<String, TargetConfig>) -> Result<Self, String> {
        let one = |(name, target): (String, TargetConfig)| {
            let path = Path::new(&target.ca_file);
            let agent = match target.ca_file.is_empty() {
                true => None,
                false => Some(
                    agent_of_file(TIMEOUT_MAX, Proxy::AsTheEnvironmentSays, path)
                        .map_err(|words| format!("remediation.http.{name}: ca_file: {words}"))?,
                ),
            };
            Ok((name, (target, agent)))
        };
        targets
            .into_iter()
            .map(one)
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Sends a request of a plan, or a question.
    pub(super) fn send(
        &self,
        agent: &Agent,
        parameters: &Map<String, Value>,
        is_read: bool,
        timeout: Duration,
    ) -> Result<Sent, Failed> {
        let text = |name: &str| {
            parameters
                .get(name)
                .and_then(Value::as_str)
                .unwrap_or_default()
        };
        let (name, path) = (text("target"), text("path"));
        let method = if is_read { "GET" } else { text("method") };
        let Some((target, own)) = self.0.get(name) else {
            return Ok(refused(
                "UnknownTarget",
                &format!("remediation.http has no target `{name}`"),
            ));
        };
        let line = format!("{method} {path}");
        if !target.allow.iter().any(|one| allows(one, method, path)) {
            return Ok(refused(
                "NotAllowed",
                &format!("remediation.http.{name} does not allow `{line}`"),
            ));
        }
        let url = format!("{}{path}", target.url.trim_end_matches('/'));
        let mut request = ureq::http::Request::builder().method(method).uri(&url);
        if !target.secret_file.is_empty() {
            let secret = match read_secret(&PathBuf::from(&target.secret_file)) {
                Ok(secret) => secret,
                Err(words) => {
                    return Err(Failed::NotDone(format!(
                        "remediation.http.{name}: {}: {words}",
                        target.secret_file
                    )));
                }
            };
            let header = match target.header.as_str() {
                "" => "authorization",
                header => header,
            };
            request = request.header(header, format!("{}{secret}", target.prefix));
        }
        if !text("idempotency_key").is_empty() {
            request = request.header("idempotency-key", text("idempotency_key"));
        }
        let body = match parameters.get("body") {
            Some(body) => {
                let kind = match text("content_type") {
                    "" => "application/json",
                    kind => kind,
                };
                request = request.header("content-type", kind);
                body.to_string().into_bytes()
            }
            None => Vec::new(),
        };
        let built = match request.header("accept", "application/json").body(body) {
            Ok(built) => built,
            Err(fault) => return Ok(refused("InvalidRequest", &fault.to_string())),
        };
        let agent = own.as_ref().unwrap_or(agent);
        let configured = agent.configure_request(built).timeout_global(Some(timeout));
        let configured = configured.allow_non_standard_methods(true).build();
        let mut answer = agent
            .run(configured)
            .map_err(|fault| failed(&line, &fault))?;
        let status = answer.status().as_u16();
        // A cluster names the events of its audit log so.
        let named = |name: &str| answer.headers().get(name)?.to_str().ok();
        let request_id = named("x-request-id").or_else(|| named("audit-id"));
        let request_id = request_id.unwrap_or_default().to_owned();
        let mut body = Vec::new();
        let read = answer
            .body_mut()
            .as_reader()
            .take(ANSWER_BYTES_MAX)
            .read_to_end(&mut body);
        if let Err(fault) = read {
            return Err(Failed::Unknown(format!(
                "{line}: its answer ended: {fault}"
            )));
        }
        let body: Value = serde_json::from_slice(&body).unwrap_or_else(|_| {
            Value::String(String::from_utf8_lossy(&body).chars().take(1_000).collect())
        });
        let answered = |answer| {
            Ok(Sent::Answered {
                answer,
                request: request_id,
            })
        };
        match status {
            200..300 => answered(Answer::Done(json!({ "status": status, "body": body }))),
            // Redirects are not followed: a secret goes where the operator said, and nowhere else.
            408 | 425 | 429 => Err(Failed::NotDone(format!("{line}: {status}"))),
            500.. => Err(Failed::Unknown(format!("{line}: {status}"))),
            _ => answered(Answer::Refused {
                code: status.to_string(),
                message: body.to_string().chars().take(500).collect(),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{TargetConfig, allows};

    fn target(url: &str, allow: &[&str]) -> TargetConfig {
        TargetConfig {
            url: url.to_owned(),
            header: String::new(),
            prefix: String::new(),
            secret_file: String::new(),
            ca_file: String::new(),
            allow: allow.iter().map(|one| (*one).to_owned()).collect(),
        }
    }

    #[test]
    fn a_star_stands_within_one_part_of_a_path() {
        let line = "POST /api/users/*/suspend";
        assert!(allows(line, "POST", "/api/users/00u1/suspend"));
        assert!(!allows(line, "GET", "/api/users/00u1/suspend"));
        assert!(!allows(line, "POST", "/api/users/x/y/suspend"));
        assert!(!allows(line, "POST", "/api/users/x/deactivate?x=/suspend"));
        assert!(!allows(line, "POST", "/api/users/x%2fy/suspend"));
        assert!(!allows(line, "POST", "/api/users/x/suspend?a=b"));
        assert!(allows("GET /api?*", "GET", "/api?limit=1"));
    }

    #[test]
    fn a_target_is_safe_and_says_what_may_be_sent() {
        let good = ["GET /a", "POST /a/*/b"];
        assert!(target("https://a.example", &good).validate().is_ok());
        assert!(target("http://127.0.0.1:8080", &good).validate().is_ok());
        assert!(target("http://a.example", &good).validate().is_err());
        let near = "http://localhost.evil.example";
        assert!(target(near, &good).validate().is_err());
        assert!(target("https://a.example", &[]).validate().is_err());
        assert!(target("https://a.example", &["/a"]).validate().is_err());
        assert!(
            target("https://a.example", &["TRACE /a"])
                .validate()
                .is_err()
        );
    }
}
