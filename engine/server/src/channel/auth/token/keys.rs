//! Public keys of issuers, as JSON Web Key Sets have them, in a file or at an address.
//!
//! Keys at an address are asked for when a token names one that is not known and when they are old, at most once a minute whoever
//! sends what; requests that wait for the same answer wait for one. Keys that cannot be asked for count for a day. One
//! address is asked once for all channels.

use super::Algorithm;
use crate::causes::with_causes;
use crate::outgoing::{Proxy, agent};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents,
    UnparsedPublicKey,
};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock, Weak};
use std::time::{Duration, Instant};

/// How long an address may take, and how long its answer may be.
const ANSWERS_WITHIN: Duration = Duration::from_secs(5);
const ANSWER_BYTES_MAX: u64 = 256 * 1024;

/// Keys of one set.
const KEYS_MAX: usize = 64;

/// How often an address may be asked, when keys are old, and when they no longer count.
const ASKED_EVERY: Duration = Duration::from_secs(60);
const OLD_AFTER: Duration = Duration::from_secs(600);
const COUNT_FOR: Duration = Duration::from_secs(86_400);

/// A key that may sign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PublicKey {
    kid: Option<String>,
    key: Key,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Key {
    Rsa { n: Vec<u8>, e: Vec<u8> },
    P256(Vec<u8>),
    Ed25519(Vec<u8>),
}

#[derive(Deserialize)]
struct Set {
    keys: Vec<Value>,
}

#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    r#use: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

/// The keys of a set that sign in ways that count; others are not ours to use.
pub(super) fn parse(text: &[u8]) -> Result<Vec<PublicKey>, String> {
    let set: Set =
        serde_json::from_slice(text).map_err(|why| format!("no JSON Web Key Set: {why}"))?;
    if set.keys.len() > KEYS_MAX {
        return Err(format!("more than {KEYS_MAX} keys"));
    }
    let keys: Vec<PublicKey> = set.keys.into_iter().filter_map(PublicKey::of).collect();
    match keys.is_empty() {
        true => Err("no key in it signs as RS256, ES256 or EdDSA do".to_owned()),
        false => Ok(keys),
    }
}

impl PublicKey {
    fn of(jwk: Value) -> Option<Self> {
        let jwk: Jwk = serde_json::from_value(jwk).ok()?;
        if jwk.r#use.as_deref().is_some_and(|one| one != "sig") {
            return None;
        }
        let bytes = |text: &Option<String>| URL_SAFE_NO_PAD.decode(text.as_deref()?).ok();
        let (key, names): (Key, &[&str]) = match (jwk.kty.as_str(), jwk.crv.as_deref()) {
            ("RSA", _) => {
                let (n, e) = (bytes(&jwk.n)?, bytes(&jwk.e)?);
                (Key::Rsa { n, e }, &["RS256"])
            }
            ("EC", Some("P-256")) => {
                let (x, y) = (bytes(&jwk.x)?, bytes(&jwk.y)?);
                if x.len() != 32 || y.len() != 32 {
                    return None;
                }
                (Key::P256([vec![4], x, y].concat()), &["ES256"])
            }
            ("OKP", Some("Ed25519")) => (Key::Ed25519(bytes(&jwk.x)?), &["EdDSA", "Ed25519"]),
            _ => return None,
        };
        let fits = jwk.alg.as_deref().is_none_or(|alg| names.contains(&alg));
        fits.then_some(Self { kid: jwk.kid, key })
    }

    /// Whether it signs in a way: the key decides, never the token alone.
    pub(super) fn signs(&self, algorithm: Algorithm) -> bool {
        matches!(
            (&self.key, algorithm),
            (Key::Rsa { .. }, Algorithm::Rs256)
                | (Key::P256(_), Algorithm::Es256)
                | (Key::Ed25519(_), Algorithm::EdDsa)
        )
    }

    pub(super) fn is_called(&self, kid: &str) -> bool {
        self.kid.as_deref() == Some(kid)
    }

    pub(super) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        let verified = match &self.key {
            Key::Rsa { n, e } => RsaPublicKeyComponents { n, e }.verify(
                &RSA_PKCS1_2048_8192_SHA256,
                message,
                signature,
            ),
            Key::P256(point) => {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(message, signature)
            }
            Key::Ed25519(point) => {
                UnparsedPublicKey::new(&ED25519, point).verify(message, signature)
            }
        };
        verified.is_ok()
    }
}

/// Keys at an address.
pub(in crate::channel) struct Published {
    url: String,
    now: RwLock<Asked>,
    tried: tokio::sync::Mutex<Option<Instant>>,
}

#[derive(Default)]
struct Asked {
    keys: Arc<Vec<PublicKey>>,
    at: Option<Instant>,
}

/// Addresses that channels have now: their keys outlive that a file is read again.
static KNOWN: Mutex<BTreeMap<String, Weak<Published>>> = Mutex::new(BTreeMap::new());

impl Published {
    /// Those of an address that nobody on the way can change.
    pub(super) fn at(url: &str) -> Result<Arc<Self>, String> {
        if !url.starts_with("https://") && !is_here(url) {
            return Err("jwks_url begins with https://, or is on this machine".to_owned());
        }
        let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, one| one.strong_count() > 0);
        if let Some(one) = known.get(url).and_then(Weak::upgrade) {
            return Ok(one);
        }
        let one = Arc::new(Self {
            url: url.to_owned(),
            now: RwLock::default(),
            tried: tokio::sync::Mutex::new(None),
        });
        known.insert(url.to_owned(), Arc::downgrade(&one));
        Ok(one)
    }

    pub(super) fn keys(&self) -> Arc<Vec<PublicKey>> {
        let now = self.now.read().unwrap_or_else(PoisonError::into_inner);
        match now.at.is_some_and(|at| at.elapsed() < COUNT_FOR) {
            true => now.keys.clone(),
            false => Arc::default(),
        }
    }

    pub(super) fn are_old(&self) -> bool {
        let now = self.now.read().unwrap_or_else(PoisonError::into_inner);
        now.at.is_none_or(|at| at.elapsed() >= OLD_AFTER)
    }

    /// Asks for them, unless that was done lately.
    pub(in crate::channel) async fn ask(self: Arc<Self>) {
        let mut tried = self.tried.lock().await;
        if tried.is_some_and(|at| at.elapsed() < ASKED_EVERY) {
            return;
        }
        *tried = Some(Instant::now());
        let asked = self.clone();
        let done = tokio::task::spawn_blocking(move || asked.fetch()).await;
        match done {
            Ok(Ok(keys)) => {
                let mut now = self.now.write().unwrap_or_else(PoisonError::into_inner);
                *now = Asked {
                    keys: Arc::new(keys),
                    at: Some(Instant::now()),
                };
            }
            Ok(Err(fault)) => tracing::warn!(url = self.url, fault, "keys of an issuer not had"),
            Err(_) => {}
        }
    }

    fn fetch(&self) -> Result<Vec<PublicKey>, String> {
        let proxy = match is_here(&self.url) {
            true => Proxy::Never,
            false => Proxy::AsTheEnvironmentSays,
        };
        let answer = agent(ANSWERS_WITHIN, proxy).get(&self.url).call();
        let mut answer = answer.map_err(|fault| with_causes(&fault))?;
        if !answer.status().is_success() {
            return Err(format!("it answers {}", answer.status()));
        }
        let body = answer.body_mut().with_config().limit(ANSWER_BYTES_MAX);
        parse(&body.read_to_vec().map_err(|fault| with_causes(&fault))?)
    }
}

/// Whether an address is on this machine, where nobody is on the way.
pub(in crate::channel) fn is_here(url: &str) -> bool {
    let host = url.strip_prefix("http://").unwrap_or("");
    let host = host.split('/').next().unwrap_or("");
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|one| one.is_ascii_digit()) => name,
        _ => host,
    };
    matches!(name, "localhost" | "127.0.0.1" | "[::1]")
}
