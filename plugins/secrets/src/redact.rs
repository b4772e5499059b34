//! Texts and JSON without their secrets.

use crate::find::secrets;
use crate::forms::NAMES;
use serde_json::Value;

/// Kinds of what people choose.
const PASSWORDS: [&str; 2] = ["by-name", "password-in-address"];

/// How deep JSON is looked into; what is deeper stays as it is.
const DEPTH_MAX: usize = 64;

/// Takes secrets out.
#[derive(Debug)]
pub(crate) struct Redactor {
    names: Vec<String>,
    /// Whether the name of a field is enough.
    is_generic: bool,
}

impl Default for Redactor {
    fn default() -> Self {
        Self::new([], true)
    }
}

/// What is left, and what was taken out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Redacted {
    pub(crate) text: String,
    /// Of the first secret.
    pub(crate) kind: &'static str,
    /// Of the first secret that is random by its form; a password could be found by trying.
    pub(crate) fingerprint: Option<String>,
    pub(crate) count: i64,
}

/// What was taken out so far.
#[derive(Debug, Default)]
struct Taken {
    kind: Option<&'static str>,
    fingerprint: Option<String>,
    count: i64,
}

impl Taken {
    fn take(&mut self, kind: &'static str, secret: &str) -> String {
        self.count += 1;
        self.kind.get_or_insert(kind);
        if self.fingerprint.is_none() && !PASSWORDS.contains(&kind) {
            self.fingerprint = Some(fingerprint(secret));
        }
        format!("[{kind}]")
    }

    fn into_redacted(self, text: String) -> Option<Redacted> {
        Some(Redacted {
            text,
            kind: self.kind?,
            fingerprint: self.fingerprint,
            count: self.count,
        })
    }
}

impl Redactor {
    pub(crate) fn new<'n>(names: impl IntoIterator<Item = &'n str>, is_generic: bool) -> Self {
        Self {
            names: names.into_iter().map(plain).collect(),
            is_generic,
        }
    }

    /// A text without its secrets; nothing when it has none.
    pub(crate) fn text(&self, text: &str) -> Option<Redacted> {
        let mut taken = Taken::default();
        let text = cut(text, &mut taken)?;
        taken.into_redacted(text)
    }

    /// JSON without its secrets; nothing when it has none. Text that is no JSON is taken as text, put into quotes.
    pub(crate) fn json(&self, text: &str) -> Option<Redacted> {
        let Ok(mut value) = serde_json::from_str::<Value>(text) else {
            let redacted = self.text(text)?;
            let text = Value::from(redacted.text).to_string();
            return Some(Redacted { text, ..redacted });
        };
        let mut taken = Taken::default();
        self.walk(&mut value, None, 0, &mut taken);
        match taken.count {
            0 => None,
            _ => taken.into_redacted(value.to_string()),
        }
    }

    fn walk(&self, value: &mut Value, name: Option<&str>, depth: usize, taken: &mut Taken) {
        if depth > DEPTH_MAX {
            return;
        }
        match value {
            Value::Object(fields) => {
                for (name, value) in fields.iter_mut() {
                    self.walk(value, Some(name), depth + 1, taken);
                }
            }
            Value::Array(values) => {
                for value in values {
                    self.walk(value, name, depth + 1, taken);
                }
            }
            Value::String(text) => {
                if let Some(redacted) = cut(text, taken) {
                    *text = redacted;
                } else if name.is_some_and(|name| self.is_telling(name)) && is_value(text) {
                    *text = taken.take("by-name", text);
                }
            }
            _ => {}
        }
    }

    fn is_telling(&self, name: &str) -> bool {
        let name = plain(name);
        let is_known = self.is_generic && NAMES.contains(&name.as_str());
        is_known || self.names.contains(&name)
    }
}

/// A name without signs, in small letters.
fn plain(name: &str) -> String {
    let letters = name.chars().filter(|letter| letter.is_alphanumeric());
    letters.flat_map(char::to_lowercase).collect()
}

/// Whether a text can be a secret, and is not what CloudTrail writes in the place of one.
fn is_value(text: &str) -> bool {
    let is_hidden = text.contains("HIDDEN") || text.contains("***") || text.starts_with('[');
    let is_reference = text.starts_with("arn:") || text.contains("{{");
    text.len() >= 4 && !is_hidden && !is_reference
}

fn cut(text: &str, taken: &mut Taken) -> Option<String> {
    let found = secrets(text);
    if found.is_empty() {
        return None;
    }
    let mut left = String::with_capacity(text.len());
    let mut at = 0;
    for secret in found {
        // Secrets are ASCII at both ends, so these are bounds of characters.
        left.push_str(text.get(at..secret.start).unwrap_or_default());
        let hidden = text.get(secret.start..secret.end).unwrap_or_default();
        left.push_str(&taken.take(secret.kind, hidden));
        at = secret.end;
    }
    left.push_str(text.get(at..).unwrap_or_default());
    Some(left)
}

/// Twenty-four bits of a random secret: the same one has the same, and very many others have it too.
fn fingerprint(secret: &str) -> String {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in secret.bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
    }
    hash ^= hash >> 32;
    format!("{:06x}", hash & 0xff_ffff)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_told_by_name() {
        let redactor = Redactor::new(["pin"], true);
        let check = |json: &str, expected: Option<&str>| {
            let is = redactor.json(json).map(|redacted| redacted.text);
            assert_eq!(is.as_deref(), expected, "{json}");
        };
        check(
            r#"{"masterUserPassword":"hunter22"}"#,
            Some(r#"{"masterUserPassword":"[by-name]"}"#),
        );
        check(r#"{"PIN":["1234"]}"#, Some(r#"{"PIN":["[by-name]"]}"#));
        check(
            r#"{"masterUserPassword":"HIDDEN_DUE_TO_SECURITY_REASONS"}"#,
            None,
        );
        check(r#"{"secret":"arn:aws:secretsmanager:x"}"#, None);
        check(r#"{"passwordLength":"12345"}"#, None);
    }

    #[test]
    fn without_names_only_forms_count() {
        let redactor = Redactor::new([], false);
        assert_eq!(redactor.json(r#"{"password":"hunter22"}"#), None);
    }

    #[test]
    fn text_around_a_secret_stays() {
        let redacted = Redactor::default()
            .text("ä postgres://a:secret@h ö")
            .expect("a password");
        assert_eq!(redacted.text, "ä postgres://a:[password-in-address]@h ö");
        assert_eq!((redacted.count, redacted.fingerprint), (1, None));
    }
}
