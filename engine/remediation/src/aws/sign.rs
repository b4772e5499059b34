//! Signatures: AWS Signature Version 4, in headers.
//!
//! Our own: it is sixty lines over two crates that are here anyway, and the vendor's takes fifty more.

use super::encode::Request;
use super::endpoint::Endpoint;
use super::escape::{percent, percent_but};
use super::operation::Service;
use crate::plan::hex;
use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use sha2::{Digest, Sha256};
use std::fmt;

/// Who signs.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The name of the key, as `AKIA...`; no secret.
    pub access_key: String,
    /// The key.
    pub secret_key: String,
    /// What goes with a key that is only good for a time.
    pub token: Option<String>,
    /// Until when it is good.
    pub expires: Option<Timestamp>,
}

impl Credentials {
    /// Whether they are good at a time and for a while after it.
    pub fn is_good(&self, now: Timestamp, for_seconds: i64) -> bool {
        let left = |expires: Timestamp| expires.as_second().saturating_sub(now.as_second());
        self.expires
            .is_none_or(|expires| left(expires) > for_seconds)
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = formatter.debug_struct("Credentials");
        shown.field("access_key", &self.access_key);
        shown.field("expires", &self.expires);
        shown.finish_non_exhaustive()
    }
}

/// Adds the headers of a signature, and those that it covers: all that the request has, `host` and `x-amz-date`.
///
/// A request that is signed again loses the headers of the signature before.
pub fn sign(
    request: &mut Request,
    service: &Service,
    endpoint: &Endpoint,
    credentials: &Credentials,
    now: Timestamp,
) {
    let time = now.strftime("%Y%m%dT%H%M%SZ").to_string();
    let date = time.get(..8).unwrap_or_default();
    let body = hex(&Sha256::digest(&request.body));
    const OURS: [&str; 5] = [
        "host",
        "x-amz-date",
        "x-amz-security-token",
        "x-amz-content-sha256",
        "authorization",
    ];
    request
        .headers
        .retain(|(name, _)| !OURS.contains(&name.as_str()));
    let mut add = |name: &str, value: &str| {
        request.headers.push((name.to_owned(), value.to_owned()));
    };
    add("host", &endpoint.host);
    add("x-amz-date", &time);
    if let Some(token) = &credentials.token {
        add("x-amz-security-token", token);
    }
    if service.signing_name == "s3" {
        add("x-amz-content-sha256", &body);
    }
    let scope = format!(
        "{date}/{}/{}/aws4_request",
        endpoint.region, service.signing_name
    );
    let (canonical, names) = canonical(request, service, &body);
    let digest = hex(&Sha256::digest(canonical.as_bytes()));
    let text = format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{digest}");
    let first = format!("AWS4{}", credentials.secret_key);
    let parts = [date, &endpoint.region, service.signing_name, "aws4_request"];
    let key = parts
        .iter()
        .fold(first.into_bytes(), |key, part| mac(&key, part));
    let signature = hex(&mac(&key, &text));
    let value = format!(
        "AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={names}, Signature={signature}",
        credentials.access_key
    );
    request.headers.push(("authorization".to_owned(), value));
}

/// What is signed, and the names of the headers in it.
fn canonical(request: &Request, service: &Service, body: &str) -> (String, String) {
    // All services but S3 encode a path that is encoded already once more.
    let path = match service.signing_name {
        "s3" => request.path.clone(),
        _ => percent_but(&request.path, "/"),
    };
    let query = request.query.iter();
    let mut query: Vec<_> = query
        .map(|(name, value)| format!("{}={}", percent(name), percent(value)))
        .collect();
    query.sort();
    let mut headers: Vec<_> = request.headers.iter().collect();
    headers.sort();
    let names: Vec<_> = headers.iter().map(|(name, _)| name.as_str()).collect();
    let names = names.join(";");
    let headers: String = headers
        .iter()
        .map(|(name, value)| {
            let words: Vec<_> = value.split(' ').filter(|word| !word.is_empty()).collect();
            format!("{name}:{}\n", words.join(" "))
        })
        .collect();
    let query = query.join("&");
    let method = request.method;
    (
        format!("{method}\n{path}\n{query}\n{headers}\n{names}\n{body}"),
        names,
    )
}

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    // A key of any length is taken.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else {
        return Vec::new();
    };
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::{encode, endpoint, operation};
    use serde_json::Map;

    fn credentials() -> Credentials {
        Credentials {
            access_key: "AKIDEXAMPLE".to_owned(),
            secret_key: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".to_owned(),
            token: Some("a-token".to_owned()),
            expires: Some(Timestamp::UNIX_EPOCH),
        }
    }

    #[test]
    fn a_secret_is_not_shown() {
        let shown = format!("{:?}", credentials());
        assert!(shown.contains("AKIDEXAMPLE"));
        assert!(
            !shown.contains("wJalr") && !shown.contains("a-token"),
            "{shown}"
        );
    }

    #[test]
    fn credentials_are_good_for_a_while() {
        let credentials = credentials();
        let at = |second| Timestamp::from_second(second).unwrap();
        assert!(credentials.is_good(at(-61), 60));
        assert!(!credentials.is_good(at(-60), 60));
        let lasting = Credentials {
            expires: None,
            ..credentials
        };
        assert!(lasting.is_good(at(1_000_000), 60));
    }

    #[test]
    fn a_request_that_is_signed_twice_has_one_signature() {
        let operation = operation("sts.GetCallerIdentity").unwrap();
        let endpoint = endpoint(&operation.service, "eu-west-1", "", None).unwrap();
        let mut request = encode(operation, &Map::new(), "").unwrap();
        let now = Timestamp::from_second(1_440_938_160).unwrap();
        sign(
            &mut request,
            &operation.service,
            &endpoint,
            &credentials(),
            now,
        );
        let once = request.clone();
        sign(
            &mut request,
            &operation.service,
            &endpoint,
            &credentials(),
            now,
        );
        assert_eq!(once, request);
        assert_eq!(request.header("x-amz-date"), Some("20150830T123600Z"));
        let header = request.header("authorization").unwrap();
        assert!(
            header.contains("SignedHeaders=content-type;host;x-amz-date;x-amz-security-token,")
        );
    }
}
