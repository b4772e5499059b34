//! Tokens (JWT), signed by an issuer whose public keys are in a file or at an address.
//!
//! Only what the sender's file says counts: RS256, ES256 and EdDSA with a key of that kind, this issuer, this audience, these claims. What a
//! token says of its own keys is never looked at, and a token that is not signed, or with a shared secret, is none.
//! Rejected: a crate for it, whose choice of cryptography would be a second one beside `ring`.

mod keys;

pub(in crate::channel) use keys::is_here;

use super::Denied;
use crate::channel::file::read_bounded;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keys::{PublicKey, Published};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use tripline_core::rule::kind::{EventTime, Period};

/// The longest token.
const TOKEN_BYTES_MAX: usize = 16 * 1024;

/// The longest file with keys.
const FILE_BYTES_MAX: u64 = 256 * 1024;

/// How far clocks may differ, if the channel does not say otherwise.
const LEEWAY: Period = Period::from_seconds(60);

/// What the file of a channel says of tokens.
pub(super) struct TokenSettings<'f> {
    pub(super) issuer: &'f str,
    pub(super) audience: &'f str,
    pub(super) jwks_file: Option<&'f Path>,
    pub(super) jwks_url: Option<&'f str>,
    pub(super) claims: &'f BTreeMap<String, String>,
    pub(super) leeway: Option<Period>,
}

/// Which tokens a sender has.
pub(super) struct Tokens {
    issuer: String,
    audience: String,
    claims: BTreeMap<String, String>,
    leeway: Period,
    keys: Keys,
}

enum Keys {
    Held(Vec<PublicKey>),
    Published(Arc<Published>),
}

/// Ways of signing that count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
enum Algorithm {
    #[serde(rename = "RS256")]
    Rs256,
    #[serde(rename = "ES256")]
    Es256,
    #[serde(rename = "EdDSA", alias = "Ed25519")]
    EdDsa,
}

#[derive(Deserialize)]
struct Head {
    alg: Algorithm,
    kid: Option<String>,
    /// What must be understood, and is not.
    crit: Option<Value>,
}

/// A token whose head could be read.
struct Read<'t> {
    head: Head,
    signed: &'t str,
    payload: Vec<u8>,
    signature: Vec<u8>,
}

impl<'t> Read<'t> {
    fn of(text: &'t str) -> Option<Self> {
        if text.len() > TOKEN_BYTES_MAX {
            return None;
        }
        let (signed, signature) = text.rsplit_once('.')?;
        let (head, payload) = signed.split_once('.')?;
        let head: Head = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(head).ok()?).ok()?;
        if head.crit.is_some() {
            return None;
        }
        Some(Self {
            head,
            signed,
            payload: URL_SAFE_NO_PAD.decode(payload).ok()?,
            signature: URL_SAFE_NO_PAD.decode(signature).ok()?,
        })
    }

    /// The keys that may have signed it.
    fn fitting<'k>(&self, keys: &'k [PublicKey]) -> Vec<&'k PublicKey> {
        let all = keys.iter().filter(|key| key.signs(self.head.alg));
        match &self.head.kid {
            Some(kid) => all.filter(|key| key.is_called(kid)).collect(),
            None => all.collect(),
        }
    }
}

impl Tokens {
    pub(super) fn new(settings: &TokenSettings<'_>, folder: &Path) -> Result<Self, String> {
        if settings.issuer.is_empty() || settings.audience.is_empty() {
            return Err("issuer and audience say whose tokens count, and for whom".to_owned());
        }
        let keys = match (settings.jwks_file, settings.jwks_url) {
            (Some(file), None) => {
                let path = folder.join(file);
                let told = |words: String| format!("{}: {words}", path.display());
                let text = read_bounded(&path, FILE_BYTES_MAX).map_err(told)?;
                Keys::Held(keys::parse(text.as_bytes()).map_err(told)?)
            }
            (None, Some(url)) => Keys::Published(Published::at(url)?),
            _ => return Err("give jwks_file or jwks_url".to_owned()),
        };
        Ok(Self {
            issuer: settings.issuer.to_owned(),
            audience: settings.audience.to_owned(),
            claims: settings.claims.clone(),
            leeway: settings.leeway.unwrap_or(LEEWAY),
            keys,
        })
    }

    /// The keys to be asked for before a token can be verified: it names one that is not known, or they are old.
    pub(super) fn wants(&self, text: &str) -> Option<Arc<Published>> {
        let Keys::Published(published) = &self.keys else {
            return None;
        };
        let read = Read::of(text)?;
        let is_known = !read.fitting(&published.keys()).is_empty();
        (!is_known || published.are_old()).then(|| published.clone())
    }

    /// Whom a token is of.
    pub(super) fn verify(&self, text: &str, now: EventTime) -> Result<Option<String>, Denied> {
        let read = Read::of(text).ok_or(Denied::Token)?;
        let published;
        let keys = match &self.keys {
            Keys::Held(keys) => keys,
            Keys::Published(one) => {
                published = one.keys();
                published.as_slice()
            }
        };
        let is_signed = read
            .fitting(keys)
            .into_iter()
            .any(|key| key.verifies(read.signed.as_bytes(), &read.signature));
        if !is_signed {
            return Err(Denied::Token);
        }
        let claims: Map<String, Value> =
            serde_json::from_slice(&read.payload).map_err(|_| Denied::Token)?;
        self.check(&claims, now)?;
        let subject = claims.get("sub").and_then(Value::as_str);
        Ok(subject.map(|text| text.chars().take(256).collect()))
    }

    fn check(&self, claims: &Map<String, Value>, now: EventTime) -> Result<(), Denied> {
        let has = |key: &str, wanted: &str| match claims.get(key) {
            Some(Value::String(text)) => text == wanted,
            Some(Value::Array(all)) => all.iter().any(|one| one.as_str() == Some(wanted)),
            Some(Value::Bool(is)) => wanted == if *is { "true" } else { "false" },
            _ => false,
        };
        let is_ours = claims.get("iss").and_then(Value::as_str) == Some(&self.issuer)
            && has("aud", &self.audience)
            && self.claims.iter().all(|(key, text)| has(key, text));
        if !is_ours {
            return Err(Denied::Claims);
        }
        let seconds = now.micros() as f64 / 1e6;
        let leeway = self.leeway.micros() as f64 / 1e6;
        let time = |key: &str| match claims.get(key) {
            None => Ok(None),
            Some(value) => value.as_f64().map(Some).ok_or(Denied::Token),
        };
        // A token without an end would count for ever.
        let end = time("exp")?.ok_or(Denied::Token)?;
        let begins = [time("nbf")?, time("iat")?];
        let is_early = begins.iter().flatten().any(|one| *one > seconds + leeway);
        match seconds >= end + leeway || is_early {
            true => Err(Denied::Time),
            false => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
