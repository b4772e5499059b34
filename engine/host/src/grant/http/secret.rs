//! Secrets that the host fills in, and keeps out of what comes back.
//!
//! A plugin writes `{{secret:name}}` and never sees what stands there. A secret is filled in only for requests that the
//! operator bound it to and the manifest named it for. A server that echoes requests would hand it over, so that what
//! comes back is searched for it, as it is and as forms and addresses spell it; an answer that cannot be searched is
//! refused. A server that wants to give a secret away in another spelling can: grants bind secrets to hosts that are
//! trusted with them.

use super::Address;
use super::header::is_value;
use crate::grant::Fault;
use crate::grant::limits::{HTTP_SECRET_BYTES_MAX, HTTP_SECRET_BYTES_MIN};
use crate::operator::{HttpRights, SecretSource};
use memchr::memmem;
use std::fmt::Write as _;

const OPEN: &str = "{{secret:";
const CLOSE: &str = "}}";

/// The secrets of one plugin.
#[derive(Default)]
pub struct Secrets {
    secrets: Vec<Secret>,
}

struct Secret {
    /// Which of the grants binds it.
    grant: usize,
    name: String,
    value: String,
    /// As it is, and as addresses, forms and JSON spell it where that differs; the longest first.
    spellings: Vec<String>,
}

impl Secrets {
    /// Asks for each of them once. Says of which there is something wrong, never what it is.
    pub fn gather(
        rights: &HttpRights,
        secret: &dyn Fn(&SecretSource) -> Option<String>,
    ) -> Result<Self, (String, &'static str)> {
        let mut secrets = Vec::new();
        for (grant, granted) in rights.granted.iter().enumerate() {
            for (name, source) in &granted.secrets {
                let fault = |why| (name.clone(), why);
                let value = secret(source).ok_or(fault("it is not there"))?;
                if value.len() < HTTP_SECRET_BYTES_MIN {
                    return Err(fault("it has fewer than 8 bytes"));
                }
                if value.len() > HTTP_SECRET_BYTES_MAX {
                    return Err(fault("it has more than 8 KiB"));
                }
                if !is_value(&value) {
                    return Err(fault("it holds characters that headers cannot"));
                }
                secrets.push(Secret {
                    grant,
                    name: name.clone(),
                    spellings: spellings(&value),
                    value,
                });
            }
        }
        Ok(Self { secrets })
    }

    /// A text with its placeholders filled in, and whether there were any.
    pub(super) fn filled(
        &self,
        text: &str,
        rights: &HttpRights,
        method: &str,
        address: &Address,
        bytes_max: usize,
    ) -> Result<(String, bool), Fault> {
        let mut out = String::with_capacity(text.len());
        let (mut rest, mut any) = (text, false);
        while let Some((before, after)) = rest.split_once(OPEN) {
            let Some((name, after)) = after.split_once(CLOSE) else {
                return Err(Fault::input("a placeholder of a secret has no end"));
            };
            let Some(value) = self.bound(name, rights, method, address) else {
                return Err(Fault::denied(format!(
                    "no secret `{name:.80}` is bound to {}",
                    address.origin()
                )));
            };
            out.push_str(before);
            out.push_str(value);
            (rest, any) = (after, true);
            // A placeholder may be a hundredth of what stands for it.
            if out.len() + rest.len() > bytes_max {
                return Err(Fault::limit("the request is too large with its secrets"));
            }
        }
        out.push_str(rest);
        Ok((out, any))
    }

    fn bound(
        &self,
        name: &str,
        rights: &HttpRights,
        method: &str,
        address: &Address,
    ) -> Option<&str> {
        let asks = rights.asked.iter().any(|ask| {
            ask.target.takes(method, address) && ask.secrets.iter().any(|secret| secret == name)
        });
        let is_bound = |secret: &&Secret| {
            let grant = rights.granted.get(secret.grant);
            secret.name == name && grant.is_some_and(|grant| grant.target.takes(method, address))
        };
        let secret = self.secrets.iter().find(is_bound);
        secret.filter(|_| asks).map(|secret| secret.value.as_str())
    }

    /// Bytes with the placeholders again where secrets stand.
    pub(super) fn hidden(&self, mut bytes: Vec<u8>) -> Vec<u8> {
        for secret in &self.secrets {
            let placeholder = format!("{OPEN}{}{CLOSE}", secret.name);
            for spelling in &secret.spellings {
                bytes = replaced(bytes, spelling.as_bytes(), placeholder.as_bytes());
            }
        }
        bytes
    }
}

fn spellings(value: &str) -> Vec<String> {
    let quoted = serde_json::Value::from(value).to_string();
    let json = quoted[1..quoted.len() - 1].to_owned();
    // Some writers of JSON escape slashes, too.
    let json_slashes = json.replace('/', "\\/");
    let mut spellings = vec![value.to_owned(), escaped(value), json, json_slashes];
    spellings.sort_by_key(|spelling| (std::cmp::Reverse(spelling.len()), spelling.clone()));
    spellings.dedup();
    spellings
}

/// As forms and addresses spell it.
fn escaped(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    for byte in value.bytes() {
        match byte {
            b'-' | b'.' | b'_' | b'~' => out.push(byte.into()),
            _ if byte.is_ascii_alphanumeric() => out.push(byte.into()),
            // Writing into memory cannot fail.
            _ => {
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
    out
}

fn replaced(bytes: Vec<u8>, needle: &[u8], with: &[u8]) -> Vec<u8> {
    let mut places = memmem::find_iter(&bytes, needle).peekable();
    if places.peek().is_none() {
        drop(places);
        return bytes;
    }
    let mut out = Vec::with_capacity(bytes.len());
    let mut done = 0;
    for at in places {
        out.extend(&bytes[done..at]);
        out.extend(with);
        done = at + needle.len();
    }
    out.extend(&bytes[done..]);
    out
}
