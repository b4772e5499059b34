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

/// Names of fields whose values are secrets whatever they look like, in small letters and digits.
const NAMES: [&str; 8] = [
    "secretaccesskey",
    "awssecretaccesskey",
    "sessiontoken",
    "awssessiontoken",
    "clientsecret",
    "privatekey",
    "apikey",
    "password",
];

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

    /// The text of a field, as it may be shown.
    pub(super) fn of_field(&self, field: &str, text: &str) -> String {
        let way: Vec<String> = field.split('.').map(str::to_owned).collect();
        match self.paths.iter().any(|path| path.is(&way)) || self.is_named(&way) {
            true => HIDDEN.to_owned(),
            false => self.hidden(text).unwrap_or_else(|| text.to_owned()),
        }
    }

    /// Whether a field's name says that its value is a secret; asked only where secrets are looked for.
    fn is_named(&self, way: &[String]) -> bool {
        let Some(name) = way.last().filter(|_| self.secrets.is_some()) else {
            return false;
        };
        let plain: String = name
            .chars()
            .filter(char::is_ascii_alphanumeric)
            .map(|one| one.to_ascii_lowercase())
            .collect();
        NAMES.contains(&plain.as_str())
    }

    /// A text without secrets, when there are some in it.
    fn hidden(&self, text: &str) -> Option<String> {
        let secrets = self.secrets?;
        secrets
            .is_match(text)
            .then(|| secrets.replace_all(text, HIDDEN).into_owned())
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
                    let name = key.decode().into_owned();
                    match self.hidden(&name) {
                        Some(name) => {
                            into.extend_from_slice(Out::from(name).to_string().as_bytes())
                        }
                        None => {
                            into.push(b'"');
                            into.extend_from_slice(key.raw().as_bytes());
                            into.push(b'"');
                        }
                    }
                    into.push(b':');
                    way.push(name);
                    match self.paths.iter().any(|path| path.is(way)) || self.is_named(way) {
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
                let hidden = value.as_text().and_then(|text| self.hidden(&text.decode()));
                match hidden {
                    Some(text) => into.extend_from_slice(Out::from(text).to_string().as_bytes()),
                    None => into.extend_from_slice(value.raw()),
                }
            }
            Kind::Null | Kind::Bool | Kind::Number => into.extend_from_slice(value.raw()),
        }
    }
}
