//! Who sent a request: keys and signatures, verified over the bytes as they came.
//!
//! Every live secret of every sender is tried, and comparisons take equally long whatever the difference. Whoever is not let in
//! learns only that; why is counted here and told to the owner of the channel. It must never look at what a body says: a
//! sender is who it proves to be.

pub(crate) mod certificate;
mod signed;
mod sigv4;
mod token;

pub(crate) use sigv4::hex;
pub(crate) use sigv4::percent_decoded;
pub(in crate::channel) use sigv4::{encode, signing};
pub(in crate::channel) use token::is_here;

use certificate::{Certificate, Wanted};
use token::{TokenSettings, Tokens};

use super::file::{Algorithm, CustomHmac, Encoding, KeyFile, Scheme, SenderFile, read_bounded};
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, Method};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};
use std::borrow::Cow;
use std::path::{Path, PathBuf};
use tripline_core::rule::kind::{EventTime, Period};

/// Most bytes of a file with a secret.
const SECRET_BYTES_MAX: u64 = 64 * 1024;

/// How far the time of signing may be from now, if the channel does not say otherwise.
const TOLERANCE: Period = Period::from_seconds(300);

/// What of a request is looked at, beside its body.
#[derive(Clone, Copy)]
pub(crate) struct Asked<'r> {
    pub(crate) method: &'r Method,
    /// As it came.
    pub(crate) path: &'r str,
    pub(crate) query: &'r str,
    pub(crate) headers: &'r HeaderMap,
    /// Of the other end of the connection, where TLS verified one.
    pub(crate) certificate: Option<&'r Certificate>,
    pub(crate) now: EventTime,
}

/// Who it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Verified {
    pub(crate) sender: String,
    /// What proved it.
    pub(crate) how: Cow<'static, str>,
    /// Who it is within the sender: the subject of its token, the name of its certificate.
    pub(crate) subject: Option<String>,
    /// The id of the message, where it is signed.
    pub(crate) message: Option<String>,
    /// The region that was signed for, of AWS signatures.
    pub(crate) region: Option<String>,
}

/// Why it is nobody; for the owner of the channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Denied {
    /// Nothing in the request proves anything.
    Missing,
    Key,
    Certificate,
    /// No token of its issuer, or signed in a way that does not count.
    Token,
    /// A token of another audience, or without what is wanted of it.
    Claims,
    Signature,
    /// Signed too long ago, or in the future.
    Time,
    /// The sender's time is over.
    Expired,
}

impl Denied {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "no_proof",
            Self::Key => "unknown_key",
            Self::Certificate => "unknown_certificate",
            Self::Token => "bad_token",
            Self::Claims => "token_claims",
            Self::Signature => "bad_signature",
            Self::Time => "signed_at_another_time",
            Self::Expired => "sender_expired",
        }
    }
}

/// What can be said before the body is there.
pub(crate) enum Early {
    /// Who it is.
    Known(Verified),
    /// The body decides.
    Body,
    Denied(Denied),
}

/// A sender, with the secrets of its files.
pub(crate) struct Sender {
    name: String,
    expires: Option<EventTime>,
    proof: Proof,
}

/// The SHA-256 of a key, and when it no longer counts.
struct Digest32 {
    sha256: [u8; 32],
    expires: Option<EventTime>,
}

enum Proof {
    Key {
        keys: Vec<Digest32>,
        header: Option<String>,
    },
    Hmac {
        scheme: Scheme,
        secrets: Vec<Vec<u8>>,
        tolerance: Period,
        custom: Option<CustomHmac>,
    },
    Sigv4 {
        access_key_id: String,
        secrets: Vec<Vec<u8>>,
    },
    Certificate(Wanted),
    Token(Tokens),
    /// Whoever may publish on the subject of the channel.
    Subject,
}

impl Sender {
    /// Of what its file says; paths of secrets are relative to the folder of that file.
    pub(crate) fn new(file: &SenderFile, folder: &Path) -> Result<Self, String> {
        let proof = match file {
            SenderFile::Key { keys, header, .. } => {
                let read = |one: &KeyFile| {
                    let mut sha256 = [0; 32];
                    unhex(one.sha256.as_bytes(), &mut sha256)?;
                    let expires = one.expires.map(|end| EventTime::from(end.0));
                    Some(Digest32 { sha256, expires })
                };
                let keys: Option<Vec<Digest32>> = keys.iter().map(read).collect();
                Proof::Key {
                    keys: keys.ok_or("sha256 is not 64 digits of hex")?,
                    header: header.clone(),
                }
            }
            SenderFile::Hmac {
                scheme,
                secret_files,
                tolerance,
                custom,
                ..
            } => Proof::Hmac {
                scheme: *scheme,
                secrets: read_secrets(secret_files, folder, *scheme)?,
                tolerance: tolerance.as_ref().map_or(TOLERANCE, |one| one.period()),
                custom: custom.clone(),
            },
            SenderFile::Sigv4 {
                access_key_id,
                secret_files,
                ..
            } => Proof::Sigv4 {
                access_key_id: access_key_id.clone(),
                secrets: read_secrets(secret_files, folder, Scheme::Custom)?,
            },
            SenderFile::Certificate { sha256, names, .. } => {
                Proof::Certificate(Wanted::new(sha256, names)?)
            }
            SenderFile::Jwt {
                issuer,
                audience,
                jwks_file,
                jwks_url,
                claims,
                tolerance,
                ..
            } => {
                let settings = TokenSettings {
                    issuer,
                    audience,
                    jwks_file: jwks_file.as_deref(),
                    jwks_url: jwks_url.as_deref(),
                    claims,
                    leeway: tolerance.as_ref().map(|one| one.period()),
                };
                Proof::Token(Tokens::new(&settings, folder)?)
            }
            SenderFile::Nats { .. } => Proof::Subject,
        };
        Ok(Self {
            name: file.name().to_owned(),
            expires: file.expires().map(|end| EventTime::from(end.0)),
            proof,
        })
    }

    fn is_over(&self, now: EventTime) -> bool {
        self.expires.is_some_and(|end| now >= end)
    }

    fn verified(&self, how: &'static str) -> Verified {
        Verified {
            sender: self.name.clone(),
            how: how.into(),
            subject: None,
            message: None,
            region: None,
        }
    }

    /// The digests that the key of a request may have, where it stands where keys usually are.
    pub(super) fn keys(&self) -> impl Iterator<Item = [u8; 32]> {
        let keys: &[Digest32] = match &self.proof {
            Proof::Key { keys, header: None } => keys,
            _ => &[],
        };
        keys.iter().map(|one| one.sha256)
    }

    pub(super) fn signs_as(&self, wanted: Scheme) -> bool {
        matches!(&self.proof, Proof::Hmac { scheme, .. } if *scheme == wanted)
    }
}

/// Who sent a request, as far as its head tells.
pub(crate) fn early(senders: &[Sender], asked: Asked<'_>) -> Early {
    let mut denied = Denied::Missing;
    let mut needs_body = false;
    for sender in senders {
        let mut verified = sender.verified("key");
        let known = match &sender.proof {
            Proof::Key { keys, header } => {
                let Some(key) = key_of(asked.headers, header.as_deref()) else {
                    continue;
                };
                denied = denied.max(Denied::Key);
                let digest: [u8; 32] = Sha256::digest(key.as_bytes()).into();
                let mut is_known = false;
                for one in keys.iter().filter(|one| is_same(&digest, &one.sha256)) {
                    match one.expires.is_some_and(|end| asked.now >= end) {
                        true => denied = Denied::Expired,
                        false => is_known = true,
                    }
                }
                is_known
            }
            Proof::Hmac { scheme, custom, .. } => {
                needs_body |= signed::is_there(asked.headers, *scheme, custom.as_ref());
                false
            }
            Proof::Sigv4 { .. } => {
                needs_body |= sigv4::is_there(asked.headers);
                false
            }
            Proof::Certificate(wanted) => {
                let Some(certificate) = asked.certificate else {
                    continue;
                };
                verified.how = "certificate".into();
                noted(
                    wanted.fits(certificate).map(Some),
                    &mut verified,
                    &mut denied,
                )
            }
            Proof::Token(tokens) => {
                let Some(text) = key_of(asked.headers, None) else {
                    continue;
                };
                verified.how = "jwt".into();
                noted(tokens.verify(&text, asked.now), &mut verified, &mut denied)
            }
            Proof::Subject => continue,
        };
        if known {
            match sender.is_over(asked.now) {
                true => denied = Denied::Expired,
                false => return Early::Known(verified),
            }
        }
    }
    match needs_body {
        true => Early::Body,
        false => Early::Denied(denied),
    }
}

/// Whether it is somebody, and who within the sender, or why not.
fn noted(
    tried: Result<Option<String>, Denied>,
    verified: &mut Verified,
    denied: &mut Denied,
) -> bool {
    match tried {
        Ok(subject) => {
            verified.subject = subject;
            true
        }
        Err(why) => {
            *denied = (*denied).max(why);
            false
        }
    }
}

/// Asks issuers for keys that a request needs and that are not known.
pub(crate) async fn ask_for_keys(senders: &[Sender], headers: &HeaderMap) {
    for sender in senders {
        if let Proof::Token(tokens) = &sender.proof
            && let Some(text) = key_of(headers, None)
            && let Some(published) = tokens.wants(&text)
        {
            published.ask().await;
        }
    }
}

/// Who published on the subject of a channel: its server let them.
pub(crate) fn by_subject(senders: &[Sender], now: EventTime) -> Result<Verified, Denied> {
    let mut denied = Denied::Missing;
    let publishers = senders
        .iter()
        .filter(|one| matches!(one.proof, Proof::Subject));
    for sender in publishers {
        match sender.is_over(now) {
            true => denied = Denied::Expired,
            false => return Ok(sender.verified("nats")),
        }
    }
    Err(denied)
}

/// Who sent a request, by what is signed of it.
pub(crate) fn by_body(
    senders: &[Sender],
    asked: Asked<'_>,
    body: &[u8],
) -> Result<Verified, Denied> {
    let mut denied = Denied::Missing;
    for sender in senders {
        let tried = match &sender.proof {
            Proof::Key { .. } | Proof::Certificate(_) | Proof::Token(_) | Proof::Subject => {
                continue;
            }
            Proof::Hmac {
                scheme,
                secrets,
                tolerance,
                custom,
            } => {
                let Some(signed) = signed::read(asked.headers, *scheme, custom.as_ref()) else {
                    continue;
                };
                signed
                    .verify(body, secrets, asked.now, *tolerance)
                    .map(|()| Verified {
                        message: signed.id().map(str::to_owned),
                        ..sender.verified(signed::word(*scheme))
                    })
            }
            Proof::Sigv4 {
                access_key_id,
                secrets,
            } => {
                let Some(signature) = sigv4::read(asked.headers, access_key_id) else {
                    continue;
                };
                signature
                    .verify(asked, body, secrets, TOLERANCE)
                    .map(|()| Verified {
                        region: Some(signature.region().to_owned()),
                        ..sender.verified("sigv4")
                    })
            }
        };
        match tried {
            Ok(verified) if !sender.is_over(asked.now) => return Ok(verified),
            Ok(_) => denied = denied.max(Denied::Expired),
            Err(why) => denied = denied.max(why),
        }
    }
    Err(denied)
}

/// The key that a request bears: in a header of its own, or where keys usually are.
pub(super) fn key_of(headers: &HeaderMap, header: Option<&str>) -> Option<String> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(name) = header {
        return text(name).map(|value| value.trim().to_owned());
    }
    if let Some(key) = text("x-api-key") {
        return Some(key.trim().to_owned());
    }
    let given = text(AUTHORIZATION.as_str())?.trim();
    let Some((word, rest)) = given.split_once(' ') else {
        return Some(given.to_owned());
    };
    let rest = rest.trim();
    match word.to_ascii_lowercase().as_str() {
        "bearer" | "splunk" => Some(rest.to_owned()),
        "basic" => {
            let decoded = STANDARD.decode(rest).ok()?;
            let text = String::from_utf8(decoded).ok()?;
            text.split_once(':')
                .map(|(_, password)| password.to_owned())
        }
        _ => None,
    }
}

/// Whether two digests are the same, in a time that does not tell where they differ.
pub(super) fn is_same(left: &[u8; 32], right: &[u8; 32]) -> bool {
    let differs = left
        .iter()
        .zip(right)
        .fold(0, |differs, (a, b)| differs | (a ^ b));
    std::hint::black_box(differs) == 0
}

fn read_secrets(files: &[PathBuf], folder: &Path, scheme: Scheme) -> Result<Vec<Vec<u8>>, String> {
    let mut secrets = Vec::new();
    for file in files {
        let path = folder.join(file);
        let told = |words: String| format!("{}: {words}", path.display());
        let text = read_bounded(&path, SECRET_BYTES_MAX).map_err(told)?;
        let line = text.lines().next().unwrap_or("").trim();
        if line.len() < 16 {
            return Err(told(
                "the first line must have a secret of 16 characters at least".to_owned(),
            ));
        }
        let base64 = line
            .strip_prefix("whsec_")
            .filter(|_| scheme == Scheme::StandardWebhooks);
        secrets.push(match base64 {
            None => line.as_bytes().to_vec(),
            Some(text) => STANDARD
                .decode(text)
                .map_err(|_| told("what follows `whsec_` is not base64".to_owned()))?,
        });
    }
    Ok(secrets)
}

/// Writes the bytes that digits of hex say.
fn unhex(digits: &[u8], into: &mut [u8]) -> Option<()> {
    if digits.len() != 2 * into.len() {
        return None;
    }
    let value = |digit: u8| (digit as char).to_digit(16);
    for (byte, pair) in into.iter_mut().zip(digits.chunks(2)) {
        *byte = (value(pair[0])? * 16 + value(pair[1])?) as u8;
    }
    Some(())
}

#[cfg(test)]
mod tests;
