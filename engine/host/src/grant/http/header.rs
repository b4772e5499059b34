//! Which headers a plugin may send.
//!
//! Names and values are taken in a narrow form. What decides where a request ends, where it goes or as what it counts is
//! the host's: two servers that understand such a header differently would see two requests where one was checked.

use crate::grant::Fault;
use crate::grant::limits::{HTTP_HEADER_BYTES_MAX, HTTP_HEADERS_MAX};

/// Longest name of a header.
const NAME_BYTES_MAX: usize = 128;

/// The host's own, with underscores as hyphens.
const RESERVED: [&str; 17] = [
    "accept-encoding",
    "connection",
    "content-length",
    "expect",
    "forwarded",
    "host",
    "http2-settings",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
    // These change the method or the path behind the check.
    "x-http-method",
    "x-method-override",
    "x-original-url",
    "x-rewrite-url",
];
/// Beginnings of the host's own.
const RESERVED_BEGINNINGS: [&str; 4] = ["proxy-", "x-forwarded", "x-http-method-", "x-real-ip"];

/// Whether all headers may be sent; placeholders of secrets are not filled in yet.
pub(super) fn check(headers: &[(String, String)]) -> Result<(), Fault> {
    if headers.len() > HTTP_HEADERS_MAX {
        let message = format!(
            "{} headers; at most {HTTP_HEADERS_MAX} are sent",
            headers.len()
        );
        return Err(Fault::limit(message));
    }
    let bytes: usize = headers
        .iter()
        .map(|(name, value)| name.len() + value.len())
        .sum();
    if bytes > HTTP_HEADER_BYTES_MAX {
        let message = format!("headers of {bytes} bytes; at most {HTTP_HEADER_BYTES_MAX} are sent");
        return Err(Fault::limit(message));
    }
    for (name, value) in headers {
        if !is_name(name) {
            return Err(Fault::input(format!("`{name:.80}` is no name of a header")));
        }
        if is_reserved(name) {
            return Err(Fault::denied(format!("the header `{name}` is the host's")));
        }
        if !is_value(value) {
            return Err(Fault::input(format!(
                "the value of the header `{name}` is not well formed"
            )));
        }
    }
    Ok(())
}

fn is_name(name: &str) -> bool {
    let may_stand = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    !name.is_empty() && name.len() <= NAME_BYTES_MAX && name.bytes().all(may_stand)
}

fn is_reserved(name: &str) -> bool {
    // Gateways turn hyphens into underscores, so that both spellings are one name behind them.
    let name = name.to_ascii_lowercase().replace('_', "-");
    RESERVED.contains(&name.as_str()) || RESERVED_BEGINNINGS.iter().any(|one| name.starts_with(one))
}

/// Characters that are seen, with blanks between them.
pub(super) fn is_value(value: &str) -> bool {
    let may_stand = |byte: u8| byte.is_ascii_graphic() || matches!(byte, b' ' | b'\t');
    value.bytes().all(may_stand) && value.trim() == value
}
