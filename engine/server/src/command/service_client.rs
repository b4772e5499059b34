//! What commands that ask a running service have in common.

use crate::outgoing::{self, Proxy};
use clap::Args;
use serde_json::Value;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use ureq::Agent;
use ureq::http::Response;

/// Most bytes of an answer: a page of findings with their events.
const ANSWER_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// How long an answer may take. Appending a large body to a busy disk takes seconds.
const TIMEOUT: Duration = Duration::from_secs(120);

/// How long a service takes to start, with all the rules that come with it.
const STARTS_WITHIN: Duration = Duration::from_secs(10);

/// A longer body is sent when the service says that it may come.
const ASKED_FIRST_BYTES: usize = 64 * 1024;

/// Which service.
#[derive(Args, Clone, Debug)]
pub(crate) struct ServiceArguments {
    /// Where the service listens.
    #[arg(
        long,
        value_name = "URL",
        default_value = "http://127.0.0.1:7878",
        env = "TRIPLINE_URL"
    )]
    url: String,

    /// The file with the token that the service wants.
    #[arg(
        long,
        value_name = "FILE",
        env = "TRIPLINE_TOKEN_FILE",
        hide_env_values = true
    )]
    token_file: Option<PathBuf>,
}

/// Why a service did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientError {
    #[error("{url}: no service answers; is `tripline serve` running there?")]
    Unreachable {
        url: String,
        source: Box<ureq::Error>,
    },
    #[error("{url}: {message}")]
    Refused { url: String, message: String },
    #[error("{url}: the answer is not what a tripline service says")]
    Answer { url: String },
    #[error("--token-file: {path}: {words}")]
    Token { path: PathBuf, words: String },
}

/// A service.
pub(crate) struct Client {
    agent: Agent,
    url: String,
    token: Option<String>,
}

impl ServiceArguments {
    /// The service.
    pub(crate) fn client(&self) -> Result<Client, ClientError> {
        let token =
            match &self.token_file {
                None => None,
                Some(path) => Some(crate::serve::sink::read_secret(path).map_err(|words| {
                    ClientError::Token {
                        path: path.clone(),
                        words,
                    }
                })?),
            };
        Ok(Client {
            agent: outgoing::agent(TIMEOUT, Proxy::Never),
            url: self.url.trim_end_matches('/').to_owned(),
            token,
        })
    }
}

impl Client {
    /// Waits a moment for a service that is being started. Whether it is there is seen when it is asked for something.
    pub(crate) fn wait_for_start(&self) {
        let begun = Instant::now();
        while begun.elapsed() < STARTS_WITHIN
            && self
                .agent
                .get(format!("{}/readyz", self.url))
                .call()
                .is_err()
        {
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Waits until what is in the logs now is evaluated.
    pub(crate) fn wait_evaluated(&self) -> Result<(), ClientError> {
        let places = |name: &str| -> Result<Vec<u64>, ClientError> {
            let status = self.get("/v1/status")?;
            let partitions = status["partitions"].as_array().cloned().unwrap_or_default();
            let places = partitions.iter().map(|one| one[name].as_u64().unwrap_or(0));
            Ok(places.collect())
        };
        let last = places("last")?;
        while places("position")?
            .iter()
            .zip(&last)
            .any(|(position, last)| position < last)
        {
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    /// What is at a path.
    pub(crate) fn get(&self, path: &str) -> Result<Value, ClientError> {
        let mut request = self.agent.get(format!("{}{path}", self.url));
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        self.read(request.call())
    }

    /// Takes away what is at a path.
    pub(crate) fn delete(&self, path: &str) -> Result<Value, ClientError> {
        let mut request = self.agent.delete(format!("{}{path}", self.url));
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        self.read(request.call())
    }

    /// Sends something.
    pub(crate) fn post(&self, path: &str, body: &[u8]) -> Result<Value, ClientError> {
        let mut request = self.agent.post(format!("{}{path}", self.url));
        if body.len() > ASKED_FIRST_BYTES {
            // Whoever is refused by the head hears why, instead of a connection that is closed while it sends.
            request = request.header("expect", "100-continue");
        }
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        self.read(request.send(body))
    }

    fn read(
        &self,
        answer: Result<Response<ureq::Body>, ureq::Error>,
    ) -> Result<Value, ClientError> {
        let url = self.url.clone();
        let mut answer = answer.map_err(|source| {
            let source = Box::new(source);
            ClientError::Unreachable {
                url: url.clone(),
                source,
            }
        })?;
        let is_well = answer.status().is_success();
        let text = answer
            .body_mut()
            .with_config()
            .limit(ANSWER_BYTES_MAX)
            .read_to_vec();
        let value: Option<Value> = text
            .ok()
            .and_then(|text| serde_json::from_slice(&text).ok());
        match value {
            Some(value) if is_well => Ok(value),
            Some(value) => {
                let message = value["message"].as_str().unwrap_or("refused").to_owned();
                let details = match &value["details"] {
                    Value::Null => String::new(),
                    details => format!(" {details}"),
                };
                Err(ClientError::Refused {
                    url,
                    message: message + &details,
                })
            }
            None => Err(ClientError::Answer { url }),
        }
    }
}

/// A text as part of a path or of a query.
pub(crate) fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                escaped.push(char::from(byte))
            }
            _ => escaped.push_str(&format!("%{byte:02X}")),
        }
    }
    escaped
}
