//! Refusals: every protocol has its own form, and what stands in between has none.

use super::{Decoded, Retry, shortened};
use crate::aws::xml::Element;
use crate::plan::Answer;
use serde_json::Value;

/// The most of a refusal's body that is looked at.
const BODY_BYTES_MAX: usize = 1 << 20;
/// The longest code that is kept.
const CODE_CHARACTERS_MAX: usize = 128;
/// The longest message that is kept.
const MESSAGE_CHARACTERS_MAX: usize = 1024;

// Codes by which services say that too much was asked: those that the vendor's own clients know. `LimitExceeded` of IAM is
// not among them: it is a quota, and no waiting helps.
const THROTTLED: [&str; 14] = [
    "BandwidthLimitExceeded",
    "EC2ThrottledException",
    "PriorRequestNotComplete",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "RequestThrottled",
    "RequestThrottledException",
    "ServiceQuotaExceededThrottling",
    "SlowDown",
    "ThrottledException",
    "Throttling",
    "ThrottlingException",
    "TooManyRequests",
    "TooManyRequestsException",
];

// Codes by which services say that they are in trouble, or that something is changing just now.
const PASSING: [&str; 22] = [
    "ConcurrentModification",
    "ConcurrentModificationException",
    "DependencyTimeoutException",
    "EntityTemporarilyUnmodifiable",
    "IDPCommunicationError",
    "InternalError",
    "InternalErrorException",
    "InternalFailure",
    "InternalServerError",
    "InternalServerErrorException",
    "InternalServiceError",
    "InvalidDBInstanceState",
    "InvalidDBInstanceStateFault",
    "KMSInternalException",
    "OperationAborted",
    "RequestTimeout",
    "RequestTimeoutException",
    "ServiceException",
    "ServiceFailure",
    "ServiceUnavailable",
    "ServiceUnavailableException",
    "Unavailable",
];

// Codes by which services say that what a request was signed with has expired.
const SIGNATURE: [&str; 7] = [
    "ExpiredToken",
    "ExpiredTokenException",
    "RequestExpired",
    "RequestInTheFuture",
    "RequestTimeTooSkewed",
    "TokenRefreshRequired",
    "ExpiredTokenIdException",
];

pub(super) fn read<'a>(
    status: u16,
    header: &impl Fn(&str) -> Option<&'a str>,
    body: &[u8],
    request_id: Option<String>,
) -> Decoded {
    let body = body
        .get(..body.len().min(BODY_BYTES_MAX))
        .unwrap_or_default();
    let text = String::from_utf8_lossy(body);
    let mut found = match text.trim_start().chars().next() {
        Some('{') => from_json(&text),
        Some('<') | Some('\u{feff}') => from_xml(&text),
        _ => Found::default(),
    };
    if let Some(code) = header("x-amzn-errortype") {
        found.code = Some(code.to_owned());
    }
    let code = found
        .code
        .map(|code| plain(&code))
        .filter(|code| !code.is_empty());
    // A code that no service uses says that there was none.
    let code = code.unwrap_or_else(|| format!("HttpStatus{status}"));
    let message = shortened(&found.message.unwrap_or_default(), MESSAGE_CHARACTERS_MAX);
    let request_id = request_id.or(found.request_id);
    Decoded {
        retry: retry(status, &code, &message),
        answer: Answer::Refused { code, message },
        request_id: request_id.map(|id| shortened(&id, CODE_CHARACTERS_MAX)),
        unknown: Vec::new(),
    }
}

fn retry(status: u16, code: &str, message: &str) -> Retry {
    let is_old = code.contains("Signature") && message.starts_with("Signature expired");
    // Functions say so as well when something is there already, and that does not pass.
    let is_changing = code == "ResourceConflictException" && message.contains("in progress");
    match () {
        () if is_changing => Retry::Passing,
        () if THROTTLED.contains(&code) || status == 429 => Retry::Throttled,
        () if SIGNATURE.contains(&code) || is_old => Retry::Signature,
        () if PASSING.contains(&code) => Retry::Passing,
        () if matches!(status, 408 | 500 | 502 | 503 | 504) => Retry::Passing,
        () => Retry::Never,
    }
}

#[derive(Default)]
struct Found {
    code: Option<String>,
    message: Option<String>,
    request_id: Option<String>,
}

/// A code without what stands before `#` and after `:`.
fn plain(code: &str) -> String {
    let code = code.split(':').next().unwrap_or_default();
    let code = code.rsplit('#').next().unwrap_or_default();
    shortened(code, CODE_CHARACTERS_MAX)
}

fn from_json(text: &str) -> Found {
    let Ok(value) = serde_json::from_str::<Value>(text) else {
        return Found::default();
    };
    let first = |names: &[&str]| {
        let mut found = names.iter().filter_map(|name| value.get(name)?.as_str());
        found.next().map(str::to_owned)
    };
    Found {
        code: first(&["__type", "code", "Code"]),
        message: first(&["message", "Message", "errorMessage"]),
        request_id: None,
    }
}

fn from_xml(text: &str) -> Found {
    let Ok(root) = Element::read(text) else {
        return Found::default();
    };
    let error = root.find("Error");
    let of = |name: &str| {
        error
            .and_then(|error| error.child_text(name))
            .map(str::to_owned)
    };
    let id = ["RequestId", "RequestID", "requestId"];
    let id = id.into_iter().find_map(|name| root.find(name));
    Found {
        code: of("Code"),
        message: of("Message"),
        request_id: id.map(|id| id.text.to_string()),
    }
}
