//! Decoders of channels: each is started when something is to be decoded for the first time, and kept until rules are read again.
//!
//! One that does not start is left alone for a moment, so that a channel that names it cannot keep the machine busy; others are not
//! concerned. It must never be started by what a sender says: the file of the channel names it.

use super::arguments::PluginArguments;
use super::hosted::Hosted;
use super::installed::PluginsError;
use crate::input::through::MakeEvents;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long one that did not start is left alone.
const AGAIN_AFTER: Duration = Duration::from_secs(5);

/// Those that are started, by what the operator's file calls them.
pub(crate) struct Decoders {
    /// The operator's file, and where compiled plugins are kept.
    file: Option<String>,
    cache: PathBuf,
    tried: Mutex<BTreeMap<String, Tried>>,
}

/// What became of starting one.
#[derive(Clone)]
pub(crate) enum Tried {
    Runs(Arc<Hosted>),
    Failed(Instant, String),
}

impl Decoders {
    pub(crate) fn new(file: Option<String>, cache: PathBuf) -> Self {
        Self {
            file,
            cache,
            tried: Mutex::default(),
        }
    }

    /// The decoder of a name, or why it cannot be had now.
    pub(crate) fn get(&self, name: &str) -> Result<Arc<dyn MakeEvents>, String> {
        let mut tried = self.tried.lock().unwrap_or_else(PoisonError::into_inner);
        match tried.get(name) {
            Some(Tried::Runs(decoder)) => return Ok(decoder.clone()),
            Some(Tried::Failed(at, words)) if at.elapsed() < AGAIN_AFTER => {
                return Err(words.clone());
            }
            Some(Tried::Failed(..)) | None => {}
        }
        let arguments = PluginArguments::of(self.file.clone(), Some(self.cache.clone()));
        let (now, told) = match arguments.decoder(name) {
            Ok(decoder) => (Tried::Runs(decoder.clone()), Ok(decoder)),
            Err(fault) => {
                let words = match fault {
                    PluginsError::Decoder(words) => words,
                    other => crate::causes::with_causes(&other),
                };
                tracing::warn!(decoder = name, fault = words, "decoder not started");
                (Tried::Failed(Instant::now(), words.clone()), Err(words))
            }
        };
        tried.insert(name.to_owned(), now);
        told.map(|decoder| decoder as _)
    }

    /// What became of all that were to be started.
    pub(crate) fn tried(&self) -> BTreeMap<String, Tried> {
        let tried = self.tried.lock().unwrap_or_else(PoisonError::into_inner);
        tried.clone()
    }

    /// From now on they are started anew, as the operator's file has them by then.
    pub(crate) fn forget(&self) {
        let mut tried = self.tried.lock().unwrap_or_else(PoisonError::into_inner);
        tried.clear();
    }
}
