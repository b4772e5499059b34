//! What a destination of channels is told in the configuration.

use super::length::Length;
use super::sink::is_subject;
use serde::{Deserialize, Serialize};
use std::path::{Component, PathBuf};

/// Where events of channels go beside the log.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DestinationConfig {
    #[serde(rename = "type")]
    pub(crate) kind: DestinationKind,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) path: Option<PathBuf>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) file_max_mib: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) keep: Option<Length>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) subject: Option<String>,
}

/// What a destination is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum DestinationKind {
    /// JSON lines in files of a folder.
    Folder,
    /// Messages on a subject that a stream takes.
    Nats,
}

impl DestinationConfig {
    /// What is wrong with it.
    pub(super) fn validate(&self) -> Result<(), String> {
        let kind = self.kind;
        let of = |wanted: DestinationKind, has: bool, key: &str, is_needed: bool| match has {
            true if kind != wanted => Err(format!(
                "`{key}` means nothing to a destination of this type"
            )),
            false if kind == wanted && is_needed => {
                Err(format!("a destination of this type needs `{key}`"))
            }
            _ => Ok(()),
        };
        use DestinationKind::{Folder, Nats};
        of(Folder, self.path.is_some(), "path", true)?;
        of(Folder, self.file_max_mib.is_some(), "file_max_mib", false)?;
        of(Folder, self.keep.is_some(), "keep", false)?;
        of(Nats, self.subject.is_some(), "subject", true)?;
        if let Some(subject) = self.subject.as_ref().filter(|text| !is_subject(text)) {
            return Err(format!(
                "subject = \"{}\" cannot be published on; give words with dots between them, without blanks, * and >",
                subject.escape_debug()
            ));
        }
        let is_place = |path: &&PathBuf| {
            let mut parts = path.components();
            parts.all(|part| !matches!(part, Component::ParentDir))
                && matches!(path.components().next_back(), Some(Component::Normal(_)))
        };
        if let Some(path) = self.path.as_ref().filter(|path| !is_place(path)) {
            return Err(format!(
                "path = \"{}\" is no folder of its own; give one such as \"archive\"",
                path.display()
            ));
        }
        if let Some(most) = self
            .file_max_mib
            .filter(|most| !(1..=65_536).contains(most))
        {
            return Err(format!(
                "file_max_mib = {most} is out of range; give 1 to 65536"
            ));
        }
        Ok(())
    }
}
