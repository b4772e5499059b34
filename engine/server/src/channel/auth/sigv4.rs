//! AWS signatures, version 4, as AWS's own clients make them: in the `Authorization` header, over the whole request.
//!
//! What is signed is made again from the request as it came: method, path, query, the headers that the signature names and the
//! body. Signatures in the query (presigned requests) and of bodies in chunks are not taken; `PutAuditEvents` has neither.

use super::signed::is_near;
use super::{Asked, Denied, unhex};
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use sha2::{Digest, Sha256};
use std::fmt::Write;
use tripline_core::rule::kind::Period;

/// The service that clients of the data plane of channels sign for.
const SERVICE: &str = "cloudtrail-data";

/// What the head of a request says of its signature.
pub(super) struct Signature<'r> {
    date: &'r str,
    region: &'r str,
    signed_headers: Vec<&'r str>,
    signature: [u8; 32],
}

fn fields(headers: &HeaderMap) -> Option<&str> {
    let given = headers.get(AUTHORIZATION)?.to_str().ok()?;
    given.strip_prefix("AWS4-HMAC-SHA256 ")
}

/// Whether a request claims to be signed so.
pub(super) fn is_there(headers: &HeaderMap) -> bool {
    fields(headers).is_some()
}

fn field<'t>(fields: &'t str, name: &str) -> Option<&'t str> {
    let mut pairs = fields
        .split(',')
        .filter_map(|one| one.trim().split_once('='));
    pairs.find(|(key, _)| *key == name).map(|(_, value)| value)
}

/// What a request says, when it is about this key.
pub(super) fn read<'r>(headers: &'r HeaderMap, access_key_id: &str) -> Option<Signature<'r>> {
    let fields = fields(headers)?;
    let scope: Vec<&str> = field(fields, "Credential")?.split('/').collect();
    let [id, date, region, service, "aws4_request"] = scope[..] else {
        return None;
    };
    if id != access_key_id || service != SERVICE {
        return None;
    }
    let mut signature = [0; 32];
    unhex(field(fields, "Signature")?.as_bytes(), &mut signature)?;
    Some(Signature {
        date,
        region,
        signed_headers: field(fields, "SignedHeaders")?.split(';').collect(),
        signature,
    })
}

impl Signature<'_> {
    pub(super) fn region(&self) -> &str {
        self.region
    }

    /// Whether one of the secrets made it, of this request, not too long ago.
    pub(super) fn verify(
        &self,
        asked: Asked<'_>,
        body: &[u8],
        secrets: &[Vec<u8>],
        tolerance: Period,
    ) -> Result<(), Denied> {
        // Without the host a signature would be good for any service.
        let names = |name: &str| self.signed_headers.contains(&name);
        if !names("host") || !names("x-amz-date") {
            return Err(Denied::Signature);
        }
        let time = asked.headers.get("x-amz-date");
        let time = time.and_then(|value| value.to_str().ok()).unwrap_or("");
        let Some(request) = self.canonical(asked, body) else {
            return Err(Denied::Signature);
        };
        let scope = format!("{}/{}/{SERVICE}/aws4_request", self.date, self.region);
        let text = format!(
            "AWS4-HMAC-SHA256\n{time}\n{scope}\n{}",
            hex(&Sha256::digest(request.as_bytes()))
        );
        let is_signed = secrets.iter().any(|secret| {
            let key = key_of(secret, [self.date, self.region, SERVICE]);
            mac(&key, text.as_bytes())
                .verify_slice(&self.signature)
                .is_ok()
        });
        if !is_signed {
            return Err(Denied::Signature);
        }
        let seconds = DateTime::strptime("%Y%m%dT%H%M%SZ", time)
            .ok()
            .and_then(|time| time.to_zoned(TimeZone::UTC).ok())
            .map(|time| Timestamp::from(time).as_second());
        match seconds {
            Some(seconds)
                if time.starts_with(self.date) && is_near(seconds, asked.now, tolerance) =>
            {
                Ok(())
            }
            _ => Err(Denied::Time),
        }
    }

    /// The request in the form that is signed.
    fn canonical(&self, asked: Asked<'_>, body: &[u8]) -> Option<String> {
        let mut text = format!("{}\n", asked.method);
        encode(asked.path.as_bytes(), "/", &mut text);
        text.push('\n');
        text.push_str(&canonical_query(asked.query)?);
        text.push('\n');
        for name in &self.signed_headers {
            let mut values = Vec::new();
            for value in asked.headers.get_all(*name) {
                let words: Vec<&str> = value.to_str().ok()?.split_whitespace().collect();
                values.push(words.join(" "));
            }
            if values.is_empty() {
                return None;
            }
            // Writing to a text does not fail.
            let _ = writeln!(text, "{name}:{}", values.join(","));
        }
        let _ = write!(
            text,
            "\n{}\n{}",
            self.signed_headers.join(";"),
            hex(&Sha256::digest(body))
        );
        Some(text)
    }
}

/// The key that signs on a day, in a region, for a service.
fn key_of(secret: &[u8], [date, region, service]: [&str; 3]) -> Vec<u8> {
    let key = [b"AWS4", secret].concat();
    [date, region, service, "aws4_request"]
        .iter()
        .fold(key, |key, part| sign(&key, part.as_bytes()))
}

/// What a request that we make is signed for, and the signature, in hex.
pub(in crate::channel) fn signing(
    (secret, region, service): (&str, &str, &str),
    time: &str,
    request: &str,
) -> (String, String) {
    let date = time.get(..8).unwrap_or(time);
    let scope = format!("{date}/{region}/{service}/aws4_request");
    let text = format!(
        "AWS4-HMAC-SHA256\n{time}\n{scope}\n{}",
        hex(&Sha256::digest(request.as_bytes()))
    );
    let key = key_of(secret.as_bytes(), [date, region, service]);
    (scope, hex(&sign(&key, text.as_bytes())))
}

fn canonical_query(query: &str) -> Option<String> {
    let mut pairs = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let mut texts = [String::new(), String::new()];
        for (part, text) in [key, value].into_iter().zip(&mut texts) {
            encode(&percent_decoded(part)?, "", text);
        }
        pairs.push(texts);
    }
    pairs.sort();
    let texts: Vec<String> = pairs
        .iter()
        .map(|[key, value]| format!("{key}={value}"))
        .collect();
    Some(texts.join("&"))
}

/// The bytes that a part of a query says; nothing when it is broken.
pub(crate) fn percent_decoded(text: &str) -> Option<Vec<u8>> {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut place = 0;
    while let Some(byte) = bytes.get(place) {
        match byte {
            b'%' => {
                let mut one = [0];
                unhex(bytes.get(place + 1..place + 3)?, &mut one)?;
                out.push(one[0]);
                place += 3;
            }
            byte => {
                out.push(*byte);
                place += 1;
            }
        }
    }
    Some(out)
}

pub(in crate::channel) fn encode(bytes: &[u8], kept: &str, into: &mut String) {
    for byte in bytes {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                into.push(*byte as char);
            }
            byte if kept.as_bytes().contains(byte) => into.push(*byte as char),
            byte => {
                // Writing to a text does not fail.
                let _ = write!(into, "%{byte:02X}");
            }
        }
    }
}

fn mac(key: &[u8], text: &[u8]) -> Hmac<Sha256> {
    // A key of any length is taken.
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap_or_else(|_| unreachable!());
    mac.update(text);
    mac
}

fn sign(key: &[u8], text: &[u8]) -> Vec<u8> {
    mac(key, text).finalize().into_bytes().to_vec()
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        // Writing to a text does not fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}
