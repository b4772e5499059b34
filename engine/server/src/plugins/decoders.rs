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
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long one that did not start is left alone.
const AGAIN_AFTER: Duration = Duration::from_secs(5);

/// Those that are started, by what the operator's file calls them.
pub(crate) struct Decoders {
    /// The operator's file, and where compiled plugins are kept.
    file: Option<String>,
    cache: PathBuf,
    tried: Mutex<BTreeMap<String, Arc<Place>>>,
}

/// What became of one; held while it is started, which may take as long as a registry or a compiler does.
type Place = Mutex<Option<Tried>>;

/// What became of starting one.
#[derive(Clone)]
pub(crate) enum Tried {
    Runs(Arc<Hosted>),
    Failed(Instant, String),
    /// Somebody is at it.
    Starting,
}

impl Decoders {
    pub(crate) fn new(file: Option<String>, cache: PathBuf) -> Self {
        Self {
            file,
            cache,
            tried: Mutex::default(),
        }
    }

    fn places(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Place>>> {
        self.tried.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The decoder of a name, or why it cannot be had now. Whoever wants the same one waits for whoever starts it, and nobody else.
    pub(crate) fn get(&self, name: &str) -> Result<Arc<dyn MakeEvents>, String> {
        let place = self.places().entry(name.to_owned()).or_default().clone();
        let mut tried = place.lock().unwrap_or_else(PoisonError::into_inner);
        match &*tried {
            Some(Tried::Runs(decoder)) => return Ok(decoder.clone()),
            Some(Tried::Failed(at, words)) if at.elapsed() < AGAIN_AFTER => {
                return Err(words.clone());
            }
            _ => {}
        }
        let arguments = PluginArguments::of(self.file.clone(), Some(self.cache.clone()));
        let (now, told) = match arguments.only(name).decoder(name) {
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
        *tried = Some(now);
        told.map(|decoder| decoder as _)
    }

    /// What became of all that were to be started, as far as it is known; waits for nobody.
    pub(crate) fn tried(&self) -> BTreeMap<String, Tried> {
        let places = self.places().clone();
        let told = places.into_iter().filter_map(|(name, place)| {
            let tried = match place.try_lock() {
                Ok(tried) => tried.clone()?,
                Err(_) => Tried::Starting,
            };
            Some((name, tried))
        });
        told.collect()
    }

    /// From now on they are started anew, as the operator's file has them by then.
    pub(crate) fn forget(&self) {
        self.places().clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_is_being_started_holds_up_nobody_else() {
        let decoders = Decoders::new(None, PathBuf::new());
        let place = decoders
            .places()
            .entry("slow".to_owned())
            .or_default()
            .clone();
        let _starting = place.lock().expect("nobody has it");
        let fault = decoders.get("other").expect_err("there is none");
        assert!(fault.contains("there is no plugin `other`"), "{fault}");
        let tried = decoders.tried();
        assert!(matches!(tried["slow"], Tried::Starting));
        assert!(matches!(tried["other"], Tried::Failed(..)));
        decoders.forget();
        assert!(decoders.tried().is_empty());
    }
}
