//! The form of events: what a channel wants of them, and how they become the common record.
//!
//! In this order: the schema over what was sent, the mapping, and before anything is kept anywhere the redaction. What the mapping
//! does not name stays as it was sent. A mapping that cannot be made is the event's fault and never that of the others.

mod map;
mod redact;

use super::file::read_bounded;
use axum::http::HeaderMap;
use jsonschema::Validator;
use map::Mapping;
use redact::Redaction;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use tripline_core::event::Json;

/// Most bytes of a schema.
const SCHEMA_BYTES_MAX: u64 = 1024 * 1024;

/// What of a header a mapping sees.
const HEADER_CHARS_MAX: usize = 512;

/// What of a schema's complaint is told.
const WORDS_MAX: usize = 300;

/// What the file of a channel says of the form of its events.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct SchemaFile {
    /// A JSON Schema that events are held against as they are sent; relative to the folder of channels.
    pub(crate) file: Option<PathBuf>,
    pub(crate) mode: Mode,
    /// What becomes of an event that may not come as it is.
    pub(crate) invalid: Invalid,
    /// A mapping that comes with tripline.
    pub(crate) preset: Option<Preset>,
    /// Fields of the record, by the CEL that makes each; keys may be paths with dots.
    pub(crate) map: BTreeMap<String, String>,
    /// Headers of the request that the mapping may look at, as `headers["x-…"]`.
    pub(crate) headers: Vec<String>,
    /// Fields whose values are not kept; paths with dots, `*.name` for any depth.
    pub(crate) redact: Vec<String>,
    /// Whether texts that look like secrets (keys of AWS, tokens, private keys) are not kept, wherever they are.
    pub(crate) redact_secrets: bool,
    /// Whether what was sent is kept beside what the mapping made of it, as `ingest.sent`.
    pub(crate) keep_sent: bool,
}

/// What a schema's complaint leads to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Mode {
    /// Nothing; it is not even looked at.
    Off,
    /// It is counted and told, and the event is taken.
    #[default]
    Warn,
    /// The event is not taken as it is.
    Reject,
}

/// What becomes of an event that does not fit the schema or cannot be mapped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Invalid {
    /// Its sender is told, and keeps it.
    #[default]
    Refuse,
    /// It is taken, and set aside as a dead letter until what is wrong is mended.
    DeadLetter,
}

/// Mappings that come with tripline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Preset {
    /// Events of the Open Cybersecurity Schema Framework.
    Ocsf,
    /// Event hooks of Okta: one event for each of `data.events`.
    OktaEventHook,
    /// Webhooks of GitHub.
    GithubWebhook,
}

impl Preset {
    /// Fields, and the CEL that makes each.
    fn text(self) -> &'static str {
        match self {
            Self::Ocsf => include_str!("presets/ocsf.toml"),
            Self::OktaEventHook => include_str!("presets/okta-event-hook.toml"),
            Self::GithubWebhook => include_str!("presets/github-webhook.toml"),
        }
    }

    /// Headers that it looks at.
    fn headers(self) -> &'static [&'static str] {
        match self {
            Self::GithubWebhook => &["x-github-event"],
            Self::Ocsf | Self::OktaEventHook => &[],
        }
    }

    /// Where one request has a list of events.
    fn list(self) -> Option<&'static str> {
        match self {
            Self::OktaEventHook => Some("data.events"),
            Self::Ocsf | Self::GithubWebhook => None,
        }
    }
}

impl SchemaFile {
    pub(super) fn validate(&self) -> Result<(), String> {
        if self.file.is_none() && self.mode == Mode::Reject {
            return Err("schema.mode = \"reject\" needs schema.file".to_owned());
        }
        for header in &self.headers {
            let lower = header.to_ascii_lowercase();
            if matches!(
                lower.as_str(),
                "authorization" | "cookie" | "x-api-key" | "proxy-authorization"
            ) {
                return Err(format!("schema.headers: {lower} holds a secret"));
            }
        }
        Ok(())
    }
}

/// The form of the events of a channel.
pub(crate) struct Shape {
    validator: Option<(Validator, Mode)>,
    pub(crate) invalid: Invalid,
    mapping: Option<Mapping>,
    headers: Vec<String>,
    list: Option<&'static str>,
    redaction: Option<Redaction>,
    /// Whether what was sent is kept with the record.
    pub(crate) keeps_sent: bool,
}

/// Why an event may not come as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Misfit {
    pub(crate) code: &'static str,
    pub(crate) words: String,
}

/// An event as it may come.
pub(crate) struct Shaped<'e> {
    pub(crate) bytes: Cow<'e, [u8]>,
    /// What its schema says against it, where that does not keep it out.
    pub(crate) warning: Option<String>,
}

impl Shape {
    pub(super) fn new(file: &SchemaFile, folder: &Path) -> Result<Self, String> {
        let validator = match (&file.file, file.mode) {
            (None, _) | (_, Mode::Off) => None,
            (Some(path), mode) => {
                let path = folder.join(path);
                let told = |words: String| format!("schema.file: {}: {words}", path.display());
                let text = read_bounded(&path, SCHEMA_BYTES_MAX).map_err(told)?;
                let value = serde_json::from_str(&text).map_err(|fault| told(fault.to_string()))?;
                let built = jsonschema::options()
                    .with_pattern_options(jsonschema::PatternOptions::regex())
                    .build(&value);
                Some((built.map_err(|fault| told(fault.to_string()))?, mode))
            }
        };
        let mut fields: BTreeMap<String, String> = match file.preset {
            None => BTreeMap::new(),
            Some(preset) => toml::from_str(preset.text()).map_err(|fault| fault.to_string())?,
        };
        let own = file
            .map
            .iter()
            .map(|(key, text)| (key.clone(), text.clone()));
        fields.extend(own);
        let mapping = match fields.is_empty() {
            true => None,
            false => Some(Mapping::new(&fields)?),
        };
        let preset_headers = file.preset.map_or(&[][..], Preset::headers);
        let headers = file.headers.iter().map(|one| one.to_ascii_lowercase());
        Ok(Self {
            validator,
            invalid: file.invalid,
            mapping,
            headers: headers
                .chain(preset_headers.iter().map(|one| (*one).to_owned()))
                .collect(),
            list: file.preset.and_then(Preset::list),
            redaction: Redaction::new(&file.redact, file.redact_secrets)?,
            keeps_sent: file.keep_sent,
        })
    }

    /// Where one request has a list of events, if it has one.
    pub(crate) fn list(&self) -> Option<&'static str> {
        self.list
    }

    /// What of a request the mapping may look at.
    pub(crate) fn headers(&self, headers: &HeaderMap) -> BTreeMap<String, String> {
        let found = self.headers.iter().filter_map(|name| {
            let text = headers.get(name)?.to_str().ok()?;
            // They may be kept with an event that is set aside.
            let short = text.chars().take(HEADER_CHARS_MAX).collect();
            Some((name.clone(), short))
        });
        found.collect()
    }

    /// The event as the record wants it.
    pub(crate) fn apply<'e>(
        &self,
        event: Json<'e>,
        headers: &BTreeMap<String, String>,
    ) -> Result<Shaped<'e>, Misfit> {
        let warning = match &self.validator {
            None => None,
            Some((validator, mode)) => match (complaint(validator, event), mode) {
                (Some(words), Mode::Reject) => {
                    return Err(Misfit {
                        code: "schema",
                        words,
                    });
                }
                (words, _) => words,
            },
        };
        let bytes = match &self.mapping {
            None => event.raw().into(),
            Some(mapping) => mapping
                .apply(event, headers)
                .map_err(|words| Misfit {
                    code: "unmapped",
                    words,
                })?
                .into(),
        };
        Ok(Shaped { bytes, warning })
    }

    /// The id that a sender gave, as it may be shown: not at all where its field or its looks say that it is a secret.
    pub(crate) fn shown_id(&self, id: &str, field: &str) -> String {
        match &self.redaction {
            Some(redaction) => redaction.of_field(field, id),
            None => id.to_owned(),
        }
    }

    /// A document without what is not to be kept; nothing where everything may be.
    pub(crate) fn redacted(&self, event: Json<'_>) -> Option<Vec<u8>> {
        self.redaction
            .as_ref()
            .map(|redaction| redaction.apply(event))
    }
}

/// What a schema says against an event.
fn complaint(validator: &Validator, event: Json<'_>) -> Option<String> {
    let value = match serde_json::from_slice(event.raw()) {
        Ok(value) => value,
        Err(fault) => return Some(fault.to_string()),
    };
    let fault = validator.iter_errors(&value).next()?;
    let place = fault.instance_path().to_string();
    // The value itself may be a secret, so only its place is told.
    let words = format!(
        "at {}: {}",
        if place.is_empty() { "/" } else { &place },
        fault.masked()
    );
    Some(words.chars().take(WORDS_MAX).collect())
}

#[cfg(test)]
mod tests;
