//! The shadow state as bytes, and what others described of resources, for a beginning.

use super::aspect::{Aspect, Said, Version};
use super::{Bounds, Counts, Shadow};
use crate::plan::canonical;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeSet;

/// The version of the shape. Another one is not read.
const VERSION: u32 = 1;
/// The event that described state is said to be of.
const IMPORT: &str = "import";

#[derive(Serialize, Deserialize)]
struct Stored {
    version: u32,
    #[serde(default)]
    evicted: u64,
    #[serde(default)]
    too_large: u64,
    entries: Vec<StoredEntry>,
}

#[derive(Serialize, Deserialize)]
struct StoredEntry {
    arn: String,
    aspect: String,
    /// Oldest first.
    versions: Vec<StoredVersion>,
    /// What was doubted and is not held: time and event.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    doubts: BTreeSet<Said>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    forgotten: Option<Said>,
}

#[derive(Serialize, Deserialize)]
struct StoredVersion {
    time: i64,
    event: String,
    value: Value,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    is_doubted: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    is_too_large: bool,
}

/// Why bytes are no shadow state.
#[derive(Debug, thiserror::Error)]
pub enum StoredFault {
    /// They are not the JSON that is written.
    #[error("the shadow state cannot be read")]
    Damaged(#[source] serde_json::Error),
    /// They are of another version.
    #[error("the shadow state is of version {0}, and this reads version {VERSION}")]
    Version(u32),
}

/// Why a line was not taken in.
#[derive(Debug, thiserror::Error)]
#[error("line {line}: {why}")]
pub struct ImportFault {
    /// The line's number, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub why: String,
}

/// A line of described state.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Described {
    arn: String,
    aspect: String,
    value: Value,
    /// As `2026-01-01T00:00:00Z`.
    time: String,
}

impl Shadow {
    /// As bytes. Equal state gives equal bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let entries = self.entries.iter().map(|((arn, aspect), known)| {
            let versions = known
                .versions
                .iter()
                .map(|((time, event), version)| StoredVersion {
                    time: *time,
                    event: event.to_string(),
                    value: serde_json::from_str(&version.value).unwrap_or_default(),
                    is_doubted: version.is_doubted,
                    is_too_large: version.value.is_empty(),
                });
            StoredEntry {
                arn: arn.to_string(),
                aspect: aspect.to_string(),
                versions: versions.collect(),
                doubts: known.doubts.clone(),
                forgotten: known.forgotten.clone(),
            }
        });
        let stored = Stored {
            version: VERSION,
            evicted: self.counts.evicted,
            too_large: self.counts.too_large,
            entries: entries.collect(),
        };
        canonical(&serde_json::to_value(stored).unwrap_or_default()).into_bytes()
    }

    /// From bytes, within bounds that may be others than when they were written.
    pub fn from_bytes(bytes: &[u8], bounds: Bounds) -> Result<Self, StoredFault> {
        #[derive(Deserialize)]
        struct Which {
            version: u32,
        }
        let which: Which = serde_json::from_slice(bytes).map_err(StoredFault::Damaged)?;
        if which.version != VERSION {
            return Err(StoredFault::Version(which.version));
        }
        let stored: Stored = serde_json::from_slice(bytes).map_err(StoredFault::Damaged)?;
        let mut shadow = Self::new(bounds);
        for entry in stored.entries {
            let mut known = Aspect {
                doubts: entry.doubts,
                forgotten: entry.forgotten,
                ..Aspect::default()
            };
            for one in entry.versions {
                let value = match one.is_too_large {
                    true => Box::default(),
                    false => shadow.held(&one.value),
                };
                let is_doubted = one.is_doubted;
                let version = Version { value, is_doubted };
                known.versions.insert((one.time, one.event.into()), version);
            }
            // Without a version there is nothing to find it by when room is needed.
            if !known.versions.is_empty() {
                let key = (entry.arn.into(), entry.aspect.into());
                shadow.change(key, |aspect| {
                    *aspect = known;
                    aspect.make_room(bounds.versions_max.max(1));
                });
            }
        }
        let now = shadow.counts;
        shadow.counts = Counts {
            evicted: stored.evicted + now.evicted,
            too_large: stored.too_large + now.too_large,
        };
        Ok(shadow)
    }

    /// Takes in described state: lines of `{"arn": …, "aspect": …, "value": …, "time": …}`. Says how many were taken in. Nothing
    /// is taken in when one of them is wrong.
    pub fn import(&mut self, lines: &str) -> Result<usize, ImportFault> {
        let mut all: Vec<(Described, i64)> = Vec::new();
        for (place, line) in lines.lines().enumerate() {
            if line.trim().is_empty() {
                continue;
            }
            let fault = |why: String| ImportFault {
                line: place + 1,
                why,
            };
            let one: Described =
                serde_json::from_str(line).map_err(|why| fault(why.to_string()))?;
            if !one.arn.starts_with("arn:") || one.arn.len() > 2048 {
                return Err(fault("the ARN is none".to_owned()));
            }
            if one.aspect.is_empty() || one.aspect.len() > 256 {
                return Err(fault("the aspect is none".to_owned()));
            }
            let time = one.time.parse::<jiff::Timestamp>();
            let time = time.map_err(|why| fault(format!("the time is none: {why}")))?;
            all.push((one, time.as_microsecond()));
        }
        for (one, time) in &all {
            self.put(&one.arn, &one.aspect, *time, IMPORT, &one.value, false);
        }
        Ok(all.len())
    }
}
