//! Signatures over the body with a secret of both: those of Standard Webhooks, GitHub, Slack and Stripe, and any that can be
//! said in the same words.
//!
//! Where the scheme signs a time, the time must be near now; a request that is sent again within it is recognised by the ids
//! of its events. GitHub signs neither a time nor an id, so only what the body says tells one delivery from another.

use super::{Algorithm, CustomHmac, Denied, Encoding, Scheme, unhex};
use axum::http::HeaderMap;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::{Sha256, Sha512};
use tripline_core::rule::kind::{EventTime, Period};

/// Signatures of one request: a sender that rotates its secret sends two.
const SIGNATURES_MAX: usize = 8;

/// What a request says that it was signed with.
pub(super) struct Signed {
    algorithm: Algorithm,
    /// What is signed stands around the body.
    before: String,
    after: String,
    /// Seconds after 1970.
    timestamp: Option<i64>,
    id: Option<String>,
    signatures: Vec<Vec<u8>>,
}

/// Whether a request claims to be signed in this way.
pub(super) fn is_there(headers: &HeaderMap, scheme: Scheme, custom: Option<&CustomHmac>) -> bool {
    read(headers, scheme, custom).is_some()
}

/// The name of a way to sign, as it is told.
pub(super) fn word(scheme: Scheme) -> &'static str {
    match scheme {
        Scheme::StandardWebhooks => "hmac:standard-webhooks",
        Scheme::Github => "hmac:github",
        Scheme::Slack => "hmac:slack",
        Scheme::Stripe => "hmac:stripe",
        Scheme::Custom => "hmac:custom",
    }
}

/// What the head of a request says of its signature; nothing when it is not signed in this way.
pub(super) fn read(
    headers: &HeaderMap,
    scheme: Scheme,
    custom: Option<&CustomHmac>,
) -> Option<Signed> {
    let text = |name: &str| headers.get(name)?.to_str().ok().map(str::trim);
    match scheme {
        Scheme::StandardWebhooks => {
            let (id, time) = (text("webhook-id")?, text("webhook-timestamp")?);
            let given = text("webhook-signature")?.split(' ');
            let base64 = given.filter_map(|one| one.strip_prefix("v1,"));
            Some(Signed {
                algorithm: Algorithm::Sha256,
                before: format!("{id}.{time}."),
                after: String::new(),
                timestamp: Some(time.parse().ok()?),
                id: Some(id.to_owned()),
                signatures: decoded(base64, Encoding::Base64),
            })
        }
        Scheme::Github => {
            let hex = text("x-hub-signature-256")?.strip_prefix("sha256=")?;
            Some(Signed {
                algorithm: Algorithm::Sha256,
                before: String::new(),
                after: String::new(),
                timestamp: None,
                id: None,
                signatures: decoded([hex], Encoding::Hex),
            })
        }
        Scheme::Slack => {
            let time = text("x-slack-request-timestamp")?;
            let hex = text("x-slack-signature")?.strip_prefix("v0=")?;
            Some(Signed {
                algorithm: Algorithm::Sha256,
                before: format!("v0:{time}:"),
                after: String::new(),
                timestamp: Some(time.parse().ok()?),
                id: None,
                signatures: decoded([hex], Encoding::Hex),
            })
        }
        Scheme::Stripe => {
            let given = text("stripe-signature")?;
            let all = |name: &'static str| {
                let pairs = given
                    .split(',')
                    .filter_map(|one| one.trim().split_once('='));
                pairs
                    .filter(move |(key, _)| *key == name)
                    .map(|(_, value)| value)
            };
            let time = all("t").next()?;
            Some(Signed {
                algorithm: Algorithm::Sha256,
                before: format!("{time}."),
                after: String::new(),
                timestamp: Some(time.parse().ok()?),
                id: None,
                signatures: decoded(all("v1"), Encoding::Hex),
            })
        }
        Scheme::Custom => {
            let custom = custom?;
            let given = text(&custom.header)?.strip_prefix(custom.prefix.as_str())?;
            let part = |name: &Option<String>| match name {
                None => Some(None),
                Some(name) => text(name).map(Some),
            };
            let (time, id) = (part(&custom.timestamp_header)?, part(&custom.id_header)?);
            let filled = |text: &str| {
                text.replace("{timestamp}", time.unwrap_or(""))
                    .replace("{id}", id.unwrap_or(""))
            };
            let (before, after) = custom.message.split_once("{body}")?;
            Some(Signed {
                algorithm: custom.algorithm,
                before: filled(before),
                after: filled(after),
                timestamp: match time {
                    None => None,
                    Some(time) => Some(time.parse().ok()?),
                },
                id: id.map(str::to_owned),
                signatures: decoded([given], custom.encoding),
            })
        }
    }
}

impl Signed {
    /// The id of the message, which is signed too.
    pub(super) fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// Whether one of the secrets made one of the signatures, not too long ago.
    pub(super) fn verify(
        &self,
        body: &[u8],
        secrets: &[Vec<u8>],
        now: EventTime,
        tolerance: Period,
    ) -> Result<(), Denied> {
        let is_signed = secrets.iter().any(|secret| self.is_by(secret, body));
        if !is_signed {
            return Err(Denied::Signature);
        }
        // After the signature: what nobody signed says nothing.
        match self.timestamp {
            Some(time) if !is_near(time, now, tolerance) => Err(Denied::Time),
            _ => Ok(()),
        }
    }

    fn is_by(&self, secret: &[u8], body: &[u8]) -> bool {
        let parts = [self.before.as_bytes(), body, self.after.as_bytes()];
        match self.algorithm {
            Algorithm::Sha1 => is_by::<Hmac<Sha1>>(secret, parts, &self.signatures),
            Algorithm::Sha256 => is_by::<Hmac<Sha256>>(secret, parts, &self.signatures),
            Algorithm::Sha512 => is_by::<Hmac<Sha512>>(secret, parts, &self.signatures),
        }
    }
}

fn is_by<M: Mac + KeyInit + Clone>(
    secret: &[u8],
    parts: [&[u8]; 3],
    signatures: &[Vec<u8>],
) -> bool {
    // A key of any length is taken.
    let Ok(mut mac) = <M as KeyInit>::new_from_slice(secret) else {
        return false;
    };
    for part in parts {
        mac.update(part);
    }
    signatures
        .iter()
        .any(|signature| mac.clone().verify_slice(signature).is_ok())
}

/// Whether seconds after 1970 are within the tolerance of now.
pub(super) fn is_near(seconds: i64, now: EventTime, tolerance: Period) -> bool {
    let time = EventTime::from_micros(seconds.saturating_mul(1_000_000));
    now.since(time) <= tolerance && time.since(now) <= tolerance
}

fn decoded<'t>(texts: impl IntoIterator<Item = &'t str>, encoding: Encoding) -> Vec<Vec<u8>> {
    let texts = texts.into_iter().take(SIGNATURES_MAX);
    let bytes = texts.filter_map(|text| match encoding {
        Encoding::Base64 => STANDARD.decode(text).ok(),
        Encoding::Hex => {
            let mut bytes = vec![0; text.len() / 2];
            unhex(text.as_bytes(), &mut bytes)?;
            Some(bytes)
        }
    });
    bytes.collect()
}
