//! Any head and body as what proves a sender: nobody is let in who does not know a secret, and whoever does is, with any body, and not
//! with another one.
//!
//! Lines: path and query, then a header each, an empty line, the body.

use crate::channel::auth::{Asked, Denied, Early, Sender, Verified, by_body, early};
use crate::channel::file::ChannelFile;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::path::Path;
use std::sync::LazyLock;
use tripline_core::rule::kind::EventTime;

/// Seconds after 1970 at which everything happens.
const NOW: i64 = 1_767_225_600;
const SECRET: &str = "7bd5a3f19c0e4d26a8f0c3b1";
const HEADERS_MAX: usize = 64;

const SENDERS: &str = r#"
source = "billing"
[[senders]]
name = "key"
type = "key"
keys = [{ sha256 = "0000000000000000000000000000000000000000000000000000000000000001" }]
[[senders]]
name = "webhooks"
type = "hmac"
scheme = "standard-webhooks"
secret_files = ["secret"]
[[senders]]
name = "github"
type = "hmac"
scheme = "github"
secret_files = ["secret"]
[[senders]]
name = "slack"
type = "hmac"
scheme = "slack"
secret_files = ["secret"]
[[senders]]
name = "stripe"
type = "hmac"
scheme = "stripe"
secret_files = ["secret"]
[[senders]]
name = "custom"
type = "hmac"
scheme = "custom"
secret_files = ["secret"]
[senders.custom]
header = "x-signature"
prefix = "v="
algorithm = "sha512"
encoding = "base64"
message = "{id}.{timestamp}.{body}"
timestamp_header = "x-time"
id_header = "x-id"
[[senders]]
name = "aws"
type = "sigv4"
access_key_id = "TLKAEXAMPLEEXAMPLE01"
secret_files = ["secret"]
[[senders]]
name = "workload"
type = "jwt"
issuer = "https://issuer.example.com"
audience = "tripline"
jwks_file = "jwks.json"
"#;

/// The key of the first example of RFC 8037, whose private half proves nothing here, as no token of its issuer is signed.
const JWKS: &str = r#"{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"d","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;

static ALL: LazyLock<Vec<Sender>> = LazyLock::new(|| {
    let folder = std::env::temp_dir().join(format!("tripline-signature-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    for (name, text) in [("secret", SECRET), ("jwks.json", JWKS)] {
        std::fs::write(folder.join(name), text).expect("written");
    }
    let file = ChannelFile::parse(Path::new("billing.toml"), SENDERS).expect("a sound file");
    let new = |one| Sender::new(one, &folder).expect("a sound sender");
    let all = file.senders.iter().map(new).collect();
    std::fs::remove_dir_all(&folder).expect("removed");
    all
});

/// Holds the input to the claims above.
pub(crate) fn run(bytes: &[u8]) {
    let (line, rest) = split(bytes);
    let line = std::str::from_utf8(line).unwrap_or("/");
    let (path, query) = line.split_once('?').unwrap_or((line, ""));
    let (mut headers, body) = head(rest);
    let who = |headers: &HeaderMap, body: &[u8]| who(path, query, headers, body);
    let told = who(&headers, body);
    assert!(told.is_err(), "{told:?} is let in without a secret");
    // Whoever signs is let in, whatever else is in the head.
    for name in ["authorization", "x-api-key"] {
        headers.remove(name);
    }
    let (name, value) = match body.len() % 3 {
        0 => ("x-hub-signature-256", format!("sha256={}", signed(&[body]))),
        1 => {
            let time = NOW.to_string();
            let parts = [b"v0:", time.as_bytes(), b":", body];
            let value = format!("v0={}", signed(&parts));
            set(&mut headers, "x-slack-request-timestamp", &time);
            ("x-slack-signature", value)
        }
        _ => {
            let time = (NOW - 299).to_string();
            let hex = signed(&[time.as_bytes(), b".", body]);
            ("stripe-signature", format!("t={time},v1={hex}"))
        }
    };
    set(&mut headers, name, &value);
    let told = who(&headers, body).expect("it is signed");
    assert!(told.how.starts_with("hmac:"), "{told:?}");
    let other = [body, b"x"].concat();
    assert!(who(&headers, &other).is_err());
}

fn who(path: &str, query: &str, headers: &HeaderMap, body: &[u8]) -> Result<Verified, Denied> {
    let asked = Asked {
        method: &Method::POST,
        path,
        query,
        headers,
        certificate: None,
        now: EventTime::from_micros(NOW * 1_000_000),
    };
    match early(&ALL, asked) {
        Early::Known(verified) => Ok(verified),
        Early::Denied(why) => Err(why),
        Early::Body => by_body(&ALL, asked, body),
    }
}

fn signed(parts: &[&[u8]]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).expect("a key of any length");
    parts.iter().for_each(|part| mac.update(part));
    let bytes = mac.finalize().into_bytes();
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn set(headers: &mut HeaderMap, name: &'static str, value: &str) {
    headers.insert(name, HeaderValue::from_str(value).expect("a value"));
}

fn split(bytes: &[u8]) -> (&[u8], &[u8]) {
    let end = bytes.iter().position(|byte| *byte == b'\n');
    match end {
        Some(end) => (&bytes[..end], &bytes[end + 1..]),
        None => (bytes, b""),
    }
}

/// Headers of lines before an empty one, and what follows it.
fn head(bytes: &[u8]) -> (HeaderMap, &[u8]) {
    let mut headers = HeaderMap::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let (line, after) = split(rest);
        rest = after;
        if line.is_empty() {
            break;
        }
        let at = line.iter().position(|byte| *byte == b':');
        let (name, value) = line.split_at(at.unwrap_or(line.len()));
        let value = value.strip_prefix(b":").unwrap_or(value).trim_ascii();
        if let (Ok(name), Ok(value)) =
            (HeaderName::from_bytes(name), HeaderValue::from_bytes(value))
            && headers.len() < HEADERS_MAX
        {
            headers.append(name, value);
        }
    }
    (headers, rest)
}
