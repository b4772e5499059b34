//! The rules that members have from each other: published by one, taken by all, and in force from one record of a partition on.
//!
//! ```text
//! own files ──(the first member; a reload)──▶ checked, packed ──▶ bucket, and an entry: published
//! published ──▶ every member compiles it, drains its partitions ──▶ an entry for each: from here on with this version
//! ```
//!
//! What rules remember up to a record was seen with the version of then. Who takes over a partition that has to do records
//! again does so with that version, and switches at the place where it is done. It must never evaluate a record with another
//! version than the one that is named for it; who cannot load that one takes no part.

use super::bundle::Contents;
use super::driver::{DriveFault, Ended};
use super::epochs::check_exact;
use super::partitions::Partitions;
use super::rules::{Prepared, arguments};
use super::service::ServeError;
use super::{bundle, clock};
use crate::causes::with_causes;
use crate::config::Config;
use crate::plugins::{Carried, PluginArguments};
use crate::terminal::ColorChoice;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use tripline_core::evaluate::RuleSet;
use tripline_core::port::{Epoch, FaultClass, Partition, PortFault, Sequence};
use tripline_core::state::State;
use tripline_host::grant::kv::Stores;
use tripline_store::shared::SharedStore;

/// Versions that are kept compiled: the one in force, the next, and one that a partition still needs.
const LOADED_MAX: usize = 3;

/// The folder of the data with the plugins that came with versions.
const HANDED_ON: &str = "handed-on";

/// The rules that members have from each other.
pub(crate) struct Versions {
    shared: Arc<SharedStore>,
    config: Config,
    color: ColorChoice,
    partitions: Partitions,
    /// What plugins keep for later.
    stores: Arc<Stores>,
    /// One at a time writes the files of plugins.
    writing: Mutex<()>,
    /// The newest last.
    loaded: Mutex<Vec<Arc<Prepared>>>,
}

impl Versions {
    pub(super) fn new(
        shared: Arc<SharedStore>,
        config: &Config,
        color: ColorChoice,
        partitions: &Partitions,
        stores: Arc<Stores>,
    ) -> Self {
        // What an earlier run left; what is in force is put there again.
        let _ = std::fs::remove_dir_all(PathBuf::from(&config.data).join(HANDED_ON));
        Self {
            shared,
            config: config.clone(),
            color,
            partitions: partitions.clone(),
            stores,
            writing: Mutex::default(),
            loaded: Mutex::default(),
        }
    }

    /// What partitions are to be evaluated with.
    pub(crate) fn published(&self) -> Option<String> {
        self.shared.published()
    }

    /// What a partition is evaluated with, and after which record.
    pub(crate) fn of(&self, partition: Partition) -> Option<(Sequence, String)> {
        self.shared.version_of(partition)
    }

    /// The rules to begin with: those that are published; our own when none are, which then are; and our own, with the reason,
    /// when those that are published cannot be loaded, so that somebody can publish others here.
    pub(super) fn first(&self) -> Result<(Arc<Prepared>, Option<String>), ServeError> {
        let Some(published) = self.published() else {
            return match self.publish_own() {
                Ok(prepared) => Ok((prepared, None)),
                Err(words) => Err(ServeError::Published(words)),
            };
        };
        match self.load(&published) {
            Ok(prepared) => Ok((prepared, None)),
            Err(NotNow::Soon(words) | NotNow::Lacks(words)) => match self.own() {
                Ok((prepared, _)) => Ok((prepared, Some(words))),
                Err(_) => Err(ServeError::Published(words)),
            },
        }
    }

    /// Publishes the rules of our own files. One mistake refuses all of them.
    pub(super) fn publish_own(&self) -> Result<Arc<Prepared>, String> {
        let (prepared, bytes) = self.own().map_err(|fault| with_causes(&fault))?;
        // Whoever takes them would refuse them.
        if let Some(words) = prepared.refusal() {
            return Err(words);
        }
        if let Some(words) = absent(&prepared) {
            return Err(words);
        }
        self.publish(&prepared, &bytes)?;
        Ok(prepared)
    }

    fn own(&self) -> Result<(Arc<Prepared>, Vec<u8>), ServeError> {
        let arguments = arguments(&self.config);
        let texts = arguments.texts()?;
        let PluginArguments { file, cache, .. } = &arguments.plugins;
        let plugins = file.as_ref().map(|file| Carried::read(file, cache.clone()));
        let contents = Contents {
            texts,
            plugins: plugins.transpose()?,
        };
        let (version, bytes) = bundle::pack(&contents).map_err(ServeError::Published)?;
        Ok((self.prepare(&contents, &version)?, bytes))
    }

    /// The rules of a version and its plugins, from the same files whoever published it.
    fn prepare(&self, contents: &Contents, version: &str) -> Result<Arc<Prepared>, ServeError> {
        let own = arguments(&self.config).plugins;
        let plugins = match &contents.plugins {
            None => PluginArguments::default(),
            Some(carried) => {
                let _alone = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
                let folder = self.folder(version);
                let put = carried.put(&folder).map_err(|source| ServeError::Folder {
                    path: folder.clone(),
                    source,
                })?;
                let handed_on = PluginArguments::of(Some(put.display().to_string()), own.cache);
                handed_on
                    .trusting(own.file)
                    .with_stores(self.stores.clone())
            }
        };
        let prepared = Prepared::of_texts(&contents.texts, &plugins, version, self.color)?;
        check_exact(&self.config, &self.partitions, &prepared)?;
        Ok(Arc::new(prepared))
    }

    /// Where the plugins of a version are.
    fn folder(&self, version: &str) -> PathBuf {
        let handed_on = PathBuf::from(&self.config.data).join(HANDED_ON);
        handed_on.join(version)
    }

    fn publish(&self, prepared: &Arc<Prepared>, bytes: &[u8]) -> Result<(), String> {
        let version = prepared.texts.as_deref().unwrap_or_default();
        tripline_core::port::Store::set_now(self.shared.as_ref(), clock::now());
        self.shared
            .publish(version, bytes)
            .map_err(|fault| with_causes(&fault))?;
        tracing::info!(version, "rules published");
        self.keep(prepared.clone());
        Ok(())
    }

    /// The rules of a version that is published or a partition's.
    pub(super) fn load(&self, version: &str) -> Result<Arc<Prepared>, NotNow> {
        let is_it = |one: &&Arc<Prepared>| one.texts.as_deref() == Some(version);
        let known = self.lock().iter().find(is_it).cloned();
        if let Some(known) = known {
            return Ok(known);
        }
        let told =
            |words: String| format!("version {version} of the rules cannot be loaded: {words}");
        let bytes = self.shared.version(version).map_err(|fault| {
            let words = told(with_causes(&fault));
            match fault.class {
                FaultClass::Retry => NotNow::Soon(words),
                _ => NotNow::Lacks(words),
            }
        })?;
        let lacks = |words: String| NotNow::Lacks(told(words));
        let contents = bundle::unpack(version, &bytes).map_err(lacks)?;
        let prepared = self
            .prepare(&contents, version)
            .map_err(|fault| lacks(with_causes(&fault)))?;
        // It ran where it was published; without it this machine would find something else.
        if let Some(words) = absent(&prepared) {
            return Err(lacks(words));
        }
        // Whoever published it had none: another program, then, which would find something else.
        if !prepared.broken.is_empty() {
            let files = prepared.broken.join(", ");
            return Err(lacks(format!(
                "mistakes in {files}, which another program did not find"
            )));
        }
        self.keep(prepared.clone());
        Ok(prepared)
    }

    fn keep(&self, prepared: Arc<Prepared>) {
        let mut loaded = self.lock();
        loaded.retain(|one| one.texts != prepared.texts);
        loaded.push(prepared);
        let excess = loaded.len().saturating_sub(LOADED_MAX);
        for old in loaded.drain(..excess) {
            if let Some(version) = &old.texts {
                // It runs from memory; what stays behind is taken away with the data.
                let _ = std::fs::remove_dir_all(self.folder(version));
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Arc<Prepared>>> {
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a partition must be evaluated with before `wanted` may be: nothing, or the version that was named for what is to be
    /// done again. Asked before it is taken over, so that nobody takes what cannot be worked on.
    pub(super) fn before(
        &self,
        partition: Partition,
        wanted: &str,
    ) -> Result<Option<Arc<Prepared>>, NotNow> {
        let named = self.of(partition).map(|(_, version)| version);
        match named {
            Some(named) if named == wanted => Ok(None),
            _ if self.published().as_deref() != Some(wanted) => Err(NotNow::Soon(format!(
                "version {wanted} of the rules is not published any more, and the next one is not in force here yet"
            ))),
            Some(named) if !self.shared.may_switch(partition) => self.load(&named).map(Some),
            _ => Ok(None),
        }
    }

    /// These rules for a partition.
    pub(super) fn in_force<'v>(&'v self, version: &'v str, until: Until<'v>) -> InForce<'v> {
        InForce {
            shared: &self.shared,
            version,
            until,
        }
    }
}

/// What plugins of a version do not run here, and why.
fn absent(prepared: &Prepared) -> Option<String> {
    let off = prepared
        .off
        .iter()
        .map(|(alias, why)| (alias, "is off", why));
    let absent = prepared.started.absent.iter();
    let absent = absent.map(|(alias, why)| (alias, "did not start", why));
    let mut all = off.chain(absent);
    let (alias, what, why) = all.next()?;
    Some(format!("the plugin `{alias}` {what} here: {why}"))
}

/// Why a version cannot be had, or a partition not be worked on.
pub(super) enum NotNow {
    /// It can when other rules are in force here, which they will be, or a server answers.
    Soon(String),
    /// This process does not have the rules for it.
    Lacks(String),
}

/// How long a partition is evaluated with a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Until<'v> {
    /// Until something is asked of the driver.
    Asked,
    /// Until what was done with it before is done again; then this version is wanted.
    CaughtUp(&'v str),
}

/// A version with which a partition is to be evaluated.
#[derive(Clone, Copy)]
pub(crate) struct InForce<'v> {
    shared: &'v SharedStore,
    version: &'v str,
    until: Until<'v>,
}

impl InForce<'_> {
    /// Whether this is only to catch up.
    pub(super) fn catches_up(&self) -> bool {
        self.until != Until::Asked
    }

    /// Names the version for the partition that was taken over, if it is not named yet. How the drive ends already, if the
    /// partition cannot be evaluated with it now.
    pub(super) fn settle(
        &self,
        holder: (Partition, Epoch),
        rules: &RuleSet,
    ) -> Result<Option<Ended>, DriveFault> {
        let partition = holder.0;
        let named = self
            .shared
            .version_of(partition)
            .map(|(_, version)| version);
        let is_named = named.as_deref() == Some(self.version);
        match self.until {
            Until::Asked if is_named => Ok(None),
            Until::Asked if named.is_some() && !self.shared.may_switch(partition) => {
                Ok(Some(Ended::OtherRules))
            }
            Until::Asked => {
                self.switch(holder, self.version, false)?;
                Ok(None)
            }
            Until::CaughtUp(_) if !is_named => Ok(Some(Ended::OtherRules)),
            // There is nothing to do again.
            Until::CaughtUp(wanted) if !State::is_needed(rules) => {
                self.switch(holder, wanted, true)?;
                Ok(Some(Ended::OtherRules))
            }
            Until::CaughtUp(_) => Ok(None),
        }
    }

    fn switch(
        &self,
        holder: (Partition, Epoch),
        version: &str,
        forgets: bool,
    ) -> Result<(), DriveFault> {
        tripline_core::port::Store::set_now(self.shared, clock::now());
        self.shared
            .switch(holder, version, forgets)
            .map_err(|fault| match fault.class {
                // Something newer was published meanwhile.
                FaultClass::Reject => DriveFault::TakeOver(PortFault {
                    class: FaultClass::Retry,
                    ..fault
                }),
                _ => DriveFault::TakeOver(fault),
            })?;
        let partition = holder.0.0;
        tracing::info!(
            partition,
            version,
            "partition goes on with another version of the rules"
        );
        Ok(())
    }
}
