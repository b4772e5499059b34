//! What a sink is told in the configuration.

use super::length::Length;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use tripline_core::limits::OUTBOX_FINDINGS_MAX;
use tripline_core::rule::Severity;

/// A sink.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SinkConfig {
    #[serde(rename = "type")]
    pub(crate) kind: SinkKind,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) format: Option<FileFormat>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) path: Option<PathBuf>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) url: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) subject: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) template: Option<Template>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) secret_file: Option<PathBuf>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) from: Option<From>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) severity_min: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) timeout: Option<Length>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) tries_max: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) waiting_max: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) batch: Option<usize>,
}

/// What a sink is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum SinkKind {
    Stdout,
    File,
    Webhook,
    Otlp,
    Nats,
}

/// How findings are written to a stream or a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum FileFormat {
    Pretty,
    Jsonl,
    Ocsf,
}

/// Where a sink begins that the store does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum From {
    Now,
    Beginning,
}

/// What a webhook is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Template {
    Json,
    Slack,
    Teams,
    Pagerduty,
}

impl SinkConfig {
    /// What is wrong with it.
    pub(super) fn validate(&self) -> Result<(), String> {
        let kind = self.kind;
        let needs = |has: bool, key: &str| match has {
            true => Ok(()),
            false => Err(format!("a sink of this type needs `{key}`")),
        };
        let only = |has: bool, key: &str| match has {
            true => Err(format!("`{key}` means nothing to a sink of this type")),
            false => Ok(()),
        };
        let is_http = matches!(kind, SinkKind::Webhook | SinkKind::Otlp);
        match kind {
            SinkKind::File => needs(self.path.is_some(), "path")?,
            _ => only(self.path.is_some(), "path")?,
        }
        match is_http {
            true => {
                needs(self.url.is_some(), "url")?;
                only(self.format.is_some(), "format")?;
            }
            false => {
                only(self.url.is_some(), "url")?;
                only(self.timeout.is_some(), "timeout")?;
                only(self.secret_file.is_some(), "secret_file")?;
            }
        }
        match kind {
            SinkKind::Nats => {
                needs(self.subject.is_some(), "subject")?;
                only(self.format.is_some(), "format")?;
            }
            _ => only(self.subject.is_some(), "subject")?,
        }
        if let Some(subject) = &self.subject
            && !is_subject(subject)
        {
            return Err(format!(
                "subject = \"{}\" cannot be published on; give words with dots between them, without blanks, * and >",
                subject.escape_debug()
            ));
        }
        if kind != SinkKind::Webhook {
            only(self.template.is_some(), "template")?;
        }
        if self.template == Some(Template::Pagerduty) {
            needs(self.secret_file.is_some(), "secret_file")?;
        }
        if let Some(url) = &self.url
            && !(url.starts_with("https://") || url.starts_with("http://"))
        {
            return Err(format!(
                "url = \"{}\" begins neither with https:// nor with http://",
                url.escape_debug()
            ));
        }
        if let Some(word) = &self.severity_min
            && Severity::from_word(word).is_none()
        {
            return Err(format!(
                "severity_min = \"{}\" is none of {}",
                word.escape_debug(),
                Severity::WORDS.join(", ")
            ));
        }
        if self
            .batch
            .is_some_and(|batch| batch == 0 || batch > OUTBOX_FINDINGS_MAX)
        {
            return Err(format!(
                "batch is out of range; give 1 to {OUTBOX_FINDINGS_MAX}"
            ));
        }
        if self.tries_max == Some(0) {
            return Err("tries_max = 0 would take nothing; give at least 1".to_owned());
        }
        Ok(())
    }
}

/// Whether messages can be published on it.
pub(super) fn is_subject(text: &str) -> bool {
    let is_word = |word: &str| {
        !word.is_empty()
            && word
                .bytes()
                .all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'*' | b'>'))
    };
    text.len() <= 255 && text.split('.').all(is_word)
}
