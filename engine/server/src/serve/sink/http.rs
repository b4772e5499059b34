//! Requests of sinks, and what an answer means for the findings in them.

use crate::config::Length;
use crate::outgoing::{self, Proxy};
use std::io::Read;
use std::time::Duration;
use tripline_core::pipeline::SendFault;
use tripline_core::rule::kind::Period;
use ureq::Agent;
use ureq::http::{Response, StatusCode};

/// How long a receiver may take when nobody says otherwise.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Most that is read of an answer, to show what is wrong.
const ANSWER_BYTES_MAX: u64 = 4096;

/// Characters of an answer that are told.
const ANSWER_CHARS_MAX: usize = 200;

/// What sends requests.
pub(super) fn agent(timeout: Option<&Length>) -> Agent {
    let timeout = timeout.map_or(TIMEOUT, Length::duration);
    outgoing::agent(timeout, Proxy::AsTheEnvironmentSays)
}

/// Posts JSON with these headers.
pub(super) fn post(
    agent: &Agent,
    url: &str,
    headers: &[(&str, String)],
    body: &[u8],
) -> Result<(), SendFault> {
    let mut request = agent.post(url).header("content-type", "application/json");
    for (name, value) in headers {
        request = request.header(*name, value);
    }
    match request.send(body) {
        Ok(response) => judge(response),
        Err(fault) => Err(SendFault::Retry {
            detail: fault.to_string(),
            after: None,
        }),
    }
}

/// What an answer means: taken, come again, or never.
fn judge(mut response: Response<ureq::Body>) -> Result<(), SendFault> {
    let status = response.status();
    if status.is_success() {
        return Ok(());
    }
    let after = response
        .headers()
        .get("retry-after")
        .and_then(|value| value.to_str().ok()?.parse::<i64>().ok())
        .map(|seconds| Period::from_seconds(seconds.clamp(0, 86_400)));
    let mut bytes = Vec::new();
    // What cannot be read of an answer that is a refusal is not missed.
    let _ = response
        .body_mut()
        .as_reader()
        .take(ANSWER_BYTES_MAX)
        .read_to_end(&mut bytes);
    let answer: String = String::from_utf8_lossy(&bytes)
        .chars()
        .take(ANSWER_CHARS_MAX)
        .collect();
    let answer = match answer.is_empty() {
        true => String::new(),
        false => format!(": {}", answer.escape_debug()),
    };
    let detail = format!("{status}{answer}");
    // What is wrong with the sender's rights or the address may be mended; what is wrong with the finding may not.
    let is_about_the_finding = matches!(
        status,
        StatusCode::BAD_REQUEST | StatusCode::PAYLOAD_TOO_LARGE | StatusCode::UNPROCESSABLE_ENTITY
    );
    Err(match is_about_the_finding {
        true => SendFault::Refused { detail },
        false => SendFault::Retry { detail, after },
    })
}
