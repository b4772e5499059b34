//! Sinks: where findings go.
//!
//! A sink is handed findings in order and says whether it took them all; everything else, tries and waits and what to do
//! with a finding that it refuses, is its outbox's. Kinds of sinks are a closed enum in the configuration; each has a file
//! here. None of them may panic on what a finding holds, which comes from outside.

mod http;
mod nats;
mod otlp;
mod stream;
mod webhook;

use super::service::ServeError;
use super::status::Descriptions;
use crate::config::{FileFormat, SinkConfig, SinkKind};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use tripline_bus::nats::ConnectSettings;
use tripline_core::diagnostic::Palette;
use tripline_core::pipeline::SendFault;
use tripline_core::port::{Outgoing, Store};
use tripline_core::rule::Severity;

/// Where findings go.
pub(crate) trait Sink: Send {
    /// Takes findings, all of them or as good as none: what it does not say it took is sent again.
    fn send(&mut self, batch: &[Outgoing]) -> Result<(), SendFault>;
}

/// What sinks know beside the findings.
#[derive(Clone)]
pub(crate) struct Surroundings {
    pub(crate) store: Arc<dyn Store>,
    /// What each rule in force is about, by its id.
    pub(crate) descriptions: Descriptions,
    pub(crate) palette: Palette,
}

/// Why a sink cannot be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SinkError {
    #[error("the sink `{sink}`: {path}: cannot be opened")]
    Open {
        sink: String,
        path: PathBuf,
        source: io::Error,
    },
    #[error("the sink `{sink}`: {path}: {words}")]
    Secret {
        sink: String,
        path: PathBuf,
        words: String,
    },
}

/// Makes a sink of its configuration. `settings` are those of NATS, for whoever needs them.
pub(crate) fn build(
    name: &str,
    config: &SinkConfig,
    around: Surroundings,
    settings: &dyn Fn() -> Result<ConnectSettings, ServeError>,
) -> Result<Box<dyn Sink>, ServeError> {
    let inner: Box<dyn Sink> = match config.kind {
        SinkKind::Stdout => {
            let format = config.format.unwrap_or(FileFormat::Pretty);
            Box::new(stream::Stream::stdout(format, around))
        }
        SinkKind::File => {
            let path = config.path.clone().unwrap_or_default();
            let format = config.format.unwrap_or(FileFormat::Jsonl);
            let opened = stream::Stream::file(&path, format, around);
            let opened = opened.map_err(|source| SinkError::Open {
                sink: name.to_owned(),
                path,
                source,
            })?;
            Box::new(opened)
        }
        SinkKind::Webhook => Box::new(webhook::Webhook::new(config, secret(name, config)?, around)),
        SinkKind::Otlp => Box::new(otlp::Otlp::new(config)),
        SinkKind::Nats => {
            let subject = config.subject.clone().unwrap_or_default();
            Box::new(nats::Nats::new(settings()?, subject))
        }
    };
    let severity_min = config.severity_min.as_deref().and_then(Severity::from_word);
    Ok(match severity_min {
        Some(least) => Box::new(AtLeast { least, inner }),
        None => inner,
    })
}

/// Most bytes of a file with a secret.
const SECRET_BYTES_MAX: usize = 64 * 1024;

/// The first line of the file with the secret.
fn secret(name: &str, config: &SinkConfig) -> Result<Option<String>, SinkError> {
    let Some(path) = &config.secret_file else {
        return Ok(None);
    };
    let wrong = |words: String| SinkError::Secret {
        sink: name.to_owned(),
        path: path.clone(),
        words,
    };
    read_secret(path).map(Some).map_err(wrong)
}

/// The first line of a file, without blanks around it.
pub(crate) fn read_secret(path: &std::path::Path) -> Result<String, String> {
    use std::io::Read;
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(|fault| format!("cannot be read: {fault}"))?;
    file.take(SECRET_BYTES_MAX as u64)
        .read_to_string(&mut text)
        .map_err(|fault| format!("cannot be read: {fault}"))?;
    let line = text.lines().next().unwrap_or("").trim().to_owned();
    match line.is_empty() {
        true => Err("its first line is empty; the secret must stand there".to_owned()),
        false => Ok(line),
    }
}

/// Only findings that are severe enough; the others count as taken.
struct AtLeast {
    least: Severity,
    inner: Box<dyn Sink>,
}

impl Sink for AtLeast {
    fn send(&mut self, batch: &[Outgoing]) -> Result<(), SendFault> {
        let is_severe = |one: &&Outgoing| {
            Severity::from_word(&one.finding.severity).is_none_or(|severity| severity >= self.least)
        };
        let batch: Vec<Outgoing> = batch.iter().filter(is_severe).cloned().collect();
        match batch.is_empty() {
            true => Ok(()),
            false => self.inner.send(&batch),
        }
    }
}
