//! Any head and body as CloudEvents: reading never panics, what becomes an event has an id, is JSON, and fills in only what is not there.
//!
//! Lines with a header each, an empty line, the body.

use crate::channel::decode::{Entry, cloud_events};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use tripline_core::event::{Kind, Parser};

const EVENT_BYTES_MAX: usize = 8 * 1024;
const MOST: usize = 64;

/// Holds the input to the claims above.
pub(crate) fn run(bytes: &[u8]) {
    let (headers, body) = head(bytes);
    let _ = cloud_events::mode(&headers);
    check(&cloud_events::binary(&headers, body));
    if let Some(entries) = cloud_events::structured(body, EVENT_BYTES_MAX, MOST) {
        assert!(entries.len() <= MOST);
        entries.iter().for_each(check);
    }
}

fn check(entry: &Entry<'_>) {
    let Ok(body) = &entry.body else { return };
    assert!(entry.id.as_ref().is_some_and(|id| id.contains('\n')));
    assert!(entry.shown_id.as_ref().is_some_and(|id| !id.is_empty()));
    let mut parser = Parser::new();
    let document = parser.parse(body).expect("it was looked into");
    for (key, _) in &entry.more {
        let own = document.root().get(key);
        assert!(own.is_none_or(|value| value.kind() == Kind::Null));
    }
}

/// Headers of lines before an empty one, and what follows it.
fn head(bytes: &[u8]) -> (HeaderMap, &[u8]) {
    let mut headers = HeaderMap::new();
    let mut rest = bytes;
    loop {
        let end = rest.iter().position(|byte| *byte == b'\n');
        let (line, after) = match end {
            Some(end) => (&rest[..end], &rest[end + 1..]),
            None => return (headers, rest),
        };
        rest = after;
        if line.is_empty() {
            return (headers, rest);
        }
        let at = line.iter().position(|byte| *byte == b':');
        let (name, value) = line.split_at(at.unwrap_or(line.len()));
        let value = value.strip_prefix(b":").unwrap_or(value).trim_ascii();
        if let (Ok(name), Ok(value)) =
            (HeaderName::from_bytes(name), HeaderValue::from_bytes(value))
            && headers.len() < MOST
        {
            headers.append(name, value);
        }
    }
}
