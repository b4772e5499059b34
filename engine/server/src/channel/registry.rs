//! All channels of a folder, read again when a file changes.
//!
//! A file that is broken leaves the channel as it was, which is said loudly and shown; one that is gone closes it. Nothing is
//! kept by one request for longer than it lasts, so a change counts from the next request on.

use super::Channel;
use super::auth::{Sender, key_of};
use super::destination::DestinationNames;
use super::file::{ChannelFault, Scheme};
use axum::http::HeaderMap;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::SystemTime;

/// Most channels.
const CHANNELS_MAX: usize = 10_000;

/// What tells whether a file was changed.
type Stamp = (Option<SystemTime>, u64);

/// The channels.
pub(crate) struct Registry {
    folder: PathBuf,
    destinations: DestinationNames,
    now: RwLock<Arc<Channels>>,
    seen: Mutex<BTreeMap<PathBuf, Stamp>>,
}

/// The channels at one moment.
#[derive(Clone, Default)]
pub(crate) struct Channels {
    pub(crate) by_id: BTreeMap<String, Arc<Channel>>,
    /// Files that are broken.
    pub(crate) faults: BTreeMap<String, ChannelFault>,
    by_key: BTreeMap<[u8; 32], Vec<String>>,
}

impl Registry {
    /// Those of a folder, which may not be there yet.
    pub(crate) fn open(folder: &Path, destinations: DestinationNames) -> Self {
        let registry = Self {
            folder: folder.to_owned(),
            destinations,
            now: RwLock::default(),
            seen: Mutex::default(),
        };
        registry.refresh();
        registry
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The channels as they are now.
    pub(crate) fn now(&self) -> Arc<Channels> {
        self.now
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Where events may go beside the log.
    pub(crate) fn destinations(&self) -> &DestinationNames {
        &self.destinations
    }

    /// Reads what changed since the last time. Whether anything did.
    pub(crate) fn refresh(&self) -> bool {
        let stamps = match stamps(&self.folder) {
            Ok(stamps) => stamps,
            Err(fault) => {
                tracing::error!(folder = %self.folder.display(), %fault, "folder of channels not read; they stay as they are");
                return false;
            }
        };
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if *seen == stamps {
            return false;
        }
        let before = self.now();
        let mut next = Channels::default();
        for path in stamps.keys().filter(|path| is_channel(path)) {
            if next.by_id.len() == CHANNELS_MAX {
                tracing::error!(
                    most = CHANNELS_MAX,
                    "too many channels; the others are not read"
                );
                break;
            }
            let id = path
                .file_stem()
                .and_then(|stem| stem.to_str())
                .unwrap_or("");
            let known = before.by_id.get(id);
            let read = Channel::read(path, known.map(|one| one.live.clone()));
            let checked = |channel: Channel| {
                self.destinations
                    .check(path, &channel.file.destinations)
                    .map(|()| channel)
            };
            match read.and_then(checked) {
                Ok(channel) => {
                    if known.is_none() {
                        tracing::info!(channel = id, "channel open");
                    }
                    next.by_id.insert(id.to_owned(), Arc::new(channel));
                }
                Err(fault) => {
                    tracing::error!(channel = id, %fault, "channel broken; it stays as it was");
                    if let Some(known) = known {
                        next.by_id.insert(id.to_owned(), known.clone());
                    }
                    next.faults.insert(id.to_owned(), fault);
                }
            }
        }
        for id in before.by_id.keys() {
            if !next.by_id.contains_key(id) {
                tracing::info!(channel = id, "channel closed");
            }
        }
        next.index();
        *seen = stamps;
        drop(seen);
        *self.now.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(next);
        true
    }
}

impl Channels {
    fn index(&mut self) {
        for (id, channel) in &self.by_id {
            for key in channel.senders.iter().flat_map(Sender::keys) {
                self.by_key.entry(key).or_default().push(id.clone());
            }
        }
    }

    /// The channel of the key that a request bears, where its path names none.
    pub(crate) fn of_key(&self, headers: &HeaderMap) -> Option<Arc<Channel>> {
        let key = key_of(headers, None)?;
        let digest: [u8; 32] = Sha256::digest(key.as_bytes()).into();
        match self.by_key.get(&digest)?.as_slice() {
            [id] => self.by_id.get(id).cloned(),
            // One key for several channels says which is meant only in the path.
            _ => None,
        }
    }

    /// The channel that a request of an AWS client is for.
    pub(crate) fn of_arn(&self, arn: &str) -> Option<Arc<Channel>> {
        self.by_id.get(id_of(arn)).cloned()
    }
}

/// The id at the end of a name of AWS, or alone.
fn id_of(arn: &str) -> &str {
    arn.rsplit_once("channel/").map_or(arn, |(_, id)| id)
}

impl Channel {
    /// Whether it takes messages that are signed so.
    pub(crate) fn is_signed_as(&self, scheme: Scheme) -> bool {
        self.senders.iter().any(|one| one.signs_as(scheme))
    }
}

fn is_channel(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending == "toml")
}

/// The files of a folder and what is beside them: secrets count too.
fn stamps(folder: &Path) -> io::Result<BTreeMap<PathBuf, Stamp>> {
    let mut stamps = BTreeMap::new();
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(fault) if fault.kind() == io::ErrorKind::NotFound => return Ok(stamps),
        Err(fault) => return Err(fault),
    };
    for entry in entries {
        let entry = entry?;
        // A file that is gone by now is not there.
        let Ok(about) = std::fs::metadata(entry.path()) else {
            continue;
        };
        if about.is_file() {
            stamps.insert(entry.path(), (about.modified().ok(), about.len()));
        }
    }
    Ok(stamps)
}
