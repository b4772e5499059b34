//! Destinations: where events of a channel go beside the engine's own log, which rules see.
//!
//! An event is put there before it is appended to the log, so an acknowledgement means that it is durable everywhere. What fails on
//! the way is sent again by whoever was not answered, and is put there again: a destination has every event at least once,
//! with the same `eventID`. It must never let an event into the log that a destination has not.

mod folder;
mod subject;

use super::file::ChannelFault;
use crate::causes::with_causes;
use crate::config::{Config, DestinationConfig, DestinationKind};
use folder::Folder;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use subject::Subject;
use tripline_core::port::{FaultClass, PortFault};
use tripline_core::rule::kind::EventTime;

/// An event as the log gets it.
pub(crate) struct Put<'p> {
    pub(crate) channel: &'p str,
    pub(crate) event_id: &'p str,
    pub(crate) payload: &'p [u8],
}

/// All destinations of the configuration.
#[derive(Default)]
pub(crate) struct Destinations(BTreeMap<String, Destination>);

struct Destination {
    kind: Kind,
    seen: Mutex<Seen>,
}

enum Kind {
    Folder(Folder),
    Subject(Box<Subject>),
}

/// The names of destinations, where the configuration of the service is known.
#[derive(Clone, Debug)]
pub(crate) struct DestinationNames(Option<BTreeSet<String>>);

impl DestinationNames {
    pub(crate) const UNKNOWN: Self = Self(None);

    pub(crate) fn of(config: &Config) -> Self {
        Self(Some(config.channels.destinations.keys().cloned().collect()))
    }

    /// What is wrong with a file of a channel that names these.
    pub(super) fn check(&self, path: &Path, names: &[String]) -> Result<(), ChannelFault> {
        let Some(known) = &self.0 else {
            return Ok(());
        };
        let Some(name) = names.iter().find(|name| !known.contains(*name)) else {
            return Ok(());
        };
        let known: Vec<&str> = known.iter().map(String::as_str).collect();
        let known = match known.as_slice() {
            [] => "it has no other".to_owned(),
            known => format!("it has {}", known.join(", ")),
        };
        Err(ChannelFault {
            path: path.display().to_string(),
            words: format!(
                "destinations: the configuration of the service has no [channels.destinations.{}]; {known}",
                name.escape_debug()
            ),
        })
    }
}

/// What was seen of a destination.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) events: u64,
    pub(crate) bytes: u64,
    pub(crate) failures: u64,
    pub(crate) last_fault: Option<(EventTime, String)>,
}

/// Why a destination cannot be used at all.
#[derive(Debug, thiserror::Error)]
#[error("channels.destinations.{name}: {words}")]
pub(crate) struct DestinationError {
    name: String,
    words: String,
}

impl Destinations {
    /// Those of the configuration. Servers may be away for now, folders may not.
    pub(crate) fn open(config: &Config) -> Result<Self, DestinationError> {
        let mut all = BTreeMap::new();
        for (name, one) in &config.channels.destinations {
            let wrong = |words: String| DestinationError {
                name: name.clone(),
                words,
            };
            let kind = match one.kind {
                DestinationKind::Folder => {
                    let (path, settings) = folder_of(config, one);
                    let opened = Folder::open(&path, settings);
                    let told = |fault| wrong(format!("{}: {fault}", path.display()));
                    Kind::Folder(opened.map_err(told)?)
                }
                DestinationKind::Nats => {
                    let subject = one.subject.clone().unwrap_or_default();
                    Kind::Subject(Box::new(Subject::new(config.nats.clone(), subject)))
                }
            };
            let seen = Mutex::default();
            all.insert(name.clone(), Destination { kind, seen });
        }
        Ok(Self(all))
    }

    /// Puts events into destinations: which of them are durable in all, and why others are not.
    pub(crate) fn put(
        &self,
        names: &[String],
        events: &[Put<'_>],
        now: EventTime,
    ) -> (Vec<bool>, Option<PortFault>) {
        let mut done = vec![true; events.len()];
        let mut fault: Option<PortFault> = None;
        for name in names {
            let one = match self.0.get(name) {
                Some(one) => one,
                // Channels that name another are not opened.
                None => return (vec![false; events.len()], Some(gone(name))),
            };
            let left: Vec<usize> = (0..events.len()).filter(|number| done[*number]).collect();
            let wanted: Vec<&Put<'_>> = left.iter().map(|number| &events[*number]).collect();
            if wanted.is_empty() {
                break;
            }
            let (became, why) = match &one.kind {
                Kind::Folder(folder) => folder.put(&wanted),
                Kind::Subject(subject) => subject.put(&wanted),
            };
            let mut seen = one.lock();
            for ((number, event), is_there) in left.iter().zip(&wanted).zip(&became) {
                done[*number] = *is_there;
                if *is_there {
                    seen.events += 1;
                    seen.bytes += event.payload.len() as u64;
                }
            }
            if let Some(why) = why {
                seen.failures += 1;
                let words = with_causes(&why);
                if seen
                    .last_fault
                    .as_ref()
                    .is_none_or(|(_, last)| *last != words)
                {
                    tracing::error!(destination = name, fault = words, "events not put there");
                }
                seen.last_fault = Some((now, words));
                // The log itself goes on.
                let class = match why.class {
                    FaultClass::Fenced | FaultClass::Stop => FaultClass::Retry,
                    class => class,
                };
                let doing = format!("put events into the destination {name}");
                let why = PortFault::new(class, doing).because(why);
                fault = Some(PortFault::graver(fault.take(), why));
            }
        }
        (done, fault)
    }

    /// What was seen of each.
    pub(crate) fn seen(&self) -> impl Iterator<Item = (&str, &'static str, Seen)> {
        self.0.iter().map(|(name, one)| {
            let kind = match one.kind {
                Kind::Folder(_) => "folder",
                Kind::Subject(_) => "nats",
            };
            (name.as_str(), kind, one.lock().clone())
        })
    }

    /// Lets go of what is older than is to be kept.
    pub(crate) fn tidy(&self) {
        for (name, one) in &self.0 {
            if let Kind::Folder(folder) = &one.kind
                && let Err(fault) = folder.tidy()
            {
                tracing::warn!(destination = name, %fault, "old files not removed");
            }
        }
    }
}

impl Destination {
    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where a folder is, and how long its files are and last.
fn folder_of(config: &Config, one: &DestinationConfig) -> (PathBuf, folder::Settings) {
    let path = config.data.join(one.path.clone().unwrap_or_default());
    let settings = folder::Settings {
        file_bytes_max: one.file_max_mib.unwrap_or(folder::FILE_MIB) * 1024 * 1024,
        keep: one.keep.as_ref().map(crate::config::Length::duration),
    };
    (path, settings)
}

fn gone(name: &str) -> PortFault {
    PortFault::new(
        FaultClass::Retry,
        format!("put events into the destination {name}: there is none"),
    )
}
