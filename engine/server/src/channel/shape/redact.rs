//! Redaction: what is not kept, by the name of its field or by how it looks.
//!
//! Patterns are those of tokens that say what they are: their issuers gave them a prefix so that they can be found. Anything
//! else would hide what investigators need.

use regex::Regex;
use serde_json::Value as Out;
use std::sync::LazyLock;
use tripline_core::event::{Json, Kind};

/// What stands in the place of what is not kept.
const HIDDEN: &str = "[redacted]";

/// What looks like a secret.
static SECRETS: LazyLock<Result<Regex, regex::Error>> = LazyLock::new(|| {
    let patterns = [
        // Keys of AWS; access key ids are no secrets, and are what investigators look for.
        r"(?-u:\b)(?i:aws_?secret_?access_?key|secretAccessKey)\W{1,4}[A-Za-z0-9/+=]{40}",
        r"-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----(?s:.*?)(?:-----END [A-Z ]{0,30}PRIVATE KEY-----|\z)",
        r"(?-u:\b)gh[pousr]_[A-Za-z0-9]{36,255}",
        r"(?-u:\b)github_pat_[A-Za-z0-9_]{22,255}",
        r"(?-u:\b)glpat-[A-Za-z0-9_-]{20,255}",
        r"(?-u:\b)xox[abeprs]-[A-Za-z0-9-]{10,255}",
        r"(?-u:\b)sk_live_[A-Za-z0-9]{16,255}",
        r"(?-u:\b)eyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}",
        r"(?-u:\b)tl_[0-9a-f]{8}_[A-Za-z0-9_-]{43}",
    ];
    Regex::new(&patterns.join("|"))
});

/// What is not kept.
pub(super) struct Redaction {
    paths: Vec<Path>,
    secrets: Option<&'static Regex>,
}

/// A path from the top, or a name at any depth.
struct Path {
    parts: Vec<String>,
    is_anywhere: bool,
}

impl Path {
    fn is(&self, way: &[String]) -> bool {
        match self.is_anywhere {
            true => way.ends_with(&self.parts),
            false => way == self.parts,
        }
    }
}

impl Redaction {
    pub(super) fn new(paths: &[String], secrets: bool) -> Result<Option<Self>, String> {
        if paths.is_empty() && !secrets {
            return Ok(None);
        }
        let secrets = match (secrets, SECRETS.as_ref()) {
            (false, _) => None,
            (true, Ok(secrets)) => Some(secrets),
            // Nothing is let through unseen.
            (true, Err(fault)) => return Err(format!("schema.redact_secrets: {fault}")),
        };
        let path = |text: &String| {
            let (is_anywhere, rest) = match text.strip_prefix("*.") {
                Some(rest) => (true, rest),
                None => (false, text.as_str()),
            };
            Path {
                parts: rest.split('.').map(str::to_owned).collect(),
                is_anywhere,
            }
        };
        Ok(Some(Self {
            paths: paths.iter().map(path).collect(),
            secrets,
        }))
    }

    /// The document without it.
    pub(super) fn apply(&self, event: Json<'_>) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(event.raw().len());
        self.write(event, &mut Vec::new(), &mut bytes);
        bytes
    }

    fn write(&self, value: Json<'_>, way: &mut Vec<String>, into: &mut Vec<u8>) {
        match value.kind() {
            Kind::Object => {
                into.push(b'{');
                for (place, (key, value)) in value.entries().enumerate() {
                    if place > 0 {
                        into.push(b',');
                    }
                    into.push(b'"');
                    into.extend_from_slice(key.raw().as_bytes());
                    into.extend_from_slice(b"\":");
                    way.push(key.decode().into_owned());
                    match self.paths.iter().any(|path| path.is(way)) {
                        true => into.extend_from_slice(Out::from(HIDDEN).to_string().as_bytes()),
                        false => self.write(value, way, into),
                    }
                    way.pop();
                }
                into.push(b'}');
            }
            Kind::Array => {
                into.push(b'[');
                for (place, value) in value.elements().enumerate() {
                    if place > 0 {
                        into.push(b',');
                    }
                    self.write(value, way, into);
                }
                into.push(b']');
            }
            Kind::String => {
                let hidden = self.secrets.and_then(|secrets| {
                    let text = value.as_text()?.decode();
                    let found = secrets.is_match(&text);
                    found.then(|| secrets.replace_all(&text, HIDDEN).into_owned())
                });
                match hidden {
                    Some(text) => into.extend_from_slice(Out::from(text).to_string().as_bytes()),
                    None => into.extend_from_slice(value.raw()),
                }
            }
            Kind::Null | Kind::Bool | Kind::Number => into.extend_from_slice(value.raw()),
        }
    }
}
