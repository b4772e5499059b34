//! The rules of the service: read as the configuration says, and what is wrong with them.

use super::service::ServeError;
use crate::config::Config;
use crate::plugins::{PluginArguments, Plugins, PluginsError, Started};
use crate::rule_files::{RuleArguments, Texts};
use crate::rule_loading::{Compiled, Loaded, today_of};
use crate::sigma_files::SigmaArguments;
use crate::terminal::ColorChoice;
use jiff::Timestamp;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use tripline_core::evaluate::RuleSet;
use tripline_core::rule::Catalog;
use tripline_core::sigma::BaseRules;
use tripline_host::grant::kv::Stores;

/// Rules that can be put in force.
pub(super) struct Prepared {
    pub(super) rules: RuleSet,
    pub(super) started: Started,
    /// Plugins that are declared and off, and why.
    pub(super) off: Vec<(String, String)>,
    /// Files whose rules are off because of mistakes in them.
    pub(super) broken: Vec<String>,
    /// The first of the mistakes: where, and what.
    mistake: Option<String>,
    /// Tells this set from every other.
    pub(super) version: String,
    /// The version of the texts that they are made of, where members have them from each other.
    pub(super) texts: Option<String>,
}

impl Prepared {
    /// Reads, checks and compiles the rules, and starts the plugins that they ask, which find what they kept before.
    pub(super) fn read(
        config: &Config,
        stores: Arc<Stores>,
        color: ColorChoice,
    ) -> Result<Self, ServeError> {
        let mut arguments = arguments(config);
        arguments.plugins = arguments.plugins.with_stores(stores);
        let catalog = arguments.load(Vec::new(), today_of(Timestamp::now()))?;
        let start = |rules: &RuleSet| arguments.plugins.start(rules.plugins());
        let prepared = Self::of(catalog, start, color)?;
        Ok(Self {
            off: arguments.plugins.read()?.off.clone(),
            ..prepared
        })
    }

    /// The same of texts that were read, with the plugins beside them. `version` tells all this from others.
    pub(super) fn of_texts(
        texts: &Texts,
        plugins: &PluginArguments,
        version: &str,
        color: ColorChoice,
    ) -> Result<Self, ServeError> {
        let mut catalog = texts.catalog(BaseRules::AsTheySay, today_of(Timestamp::now()));
        let installed = plugins.read()?;
        catalog.plugins = installed.answers();
        let start = |rules: &RuleSet| plugins.start(rules.plugins());
        let prepared = Self::of(catalog, start, color)?;
        Ok(Self {
            texts: Some(version.to_owned()),
            off: installed.off.clone(),
            ..prepared
        })
    }

    fn of(
        catalog: Catalog,
        start: impl FnOnce(&RuleSet) -> Result<Started, PluginsError>,
        color: ColorChoice,
    ) -> Result<Self, ServeError> {
        let compiled = Loaded { catalog }.compile_and_tell(color);
        let Compiled {
            rules,
            broken,
            first: mistake,
            ..
        } = compiled;
        if rules.rules().is_empty() {
            return Err(ServeError::NoRules);
        }
        let started = start(&rules)?;
        let mut hash = Sha256::new();
        for rule in rules.rules() {
            hash.update(rule.rule.id.as_str());
            hash.update([0]);
            hash.update(&rule.version);
        }
        let version = hash.finalize()[..8]
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        Ok(Self {
            rules,
            started,
            off: Vec::new(),
            broken,
            mistake,
            version,
            texts: None,
        })
    }

    /// Why these rules are not to take the place of others: a mistake in a file, or a plugin that they ask and that does not run.
    pub(super) fn refusal(&self) -> Option<String> {
        let mut off = self.off.iter();
        let off: String = off
            .by_ref()
            .map(|(alias, why)| format!("; the plugin `{alias}` is off: {why}"))
            .collect();
        if !self.broken.is_empty() {
            let files = self.broken.join(", ");
            let first = self.mistake.as_deref();
            let first = first.map_or_else(String::new, |first| format!(" ({first})"));
            return Some(format!(
                "mistakes in {files}{first}; `tripline check` shows all{off}"
            ));
        }
        let (alias, why) = self.started.absent.first()?;
        Some(format!("the plugin `{alias}` did not start: {why}"))
    }

    /// The plugins as they are asked.
    pub(super) fn plugins(&self) -> Plugins<'_> {
        self.started.asked()
    }

    /// What each rule is about.
    pub(super) fn descriptions(&self) -> BTreeMap<String, String> {
        let rules = self.rules.rules().iter();
        rules
            .map(|one| (one.rule.id.to_string(), one.rule.description.clone()))
            .collect()
    }
}

pub(super) fn arguments(config: &Config) -> RuleArguments {
    let rules = &config.rules;
    RuleArguments {
        rules: rules.paths.clone(),
        lists: rules.lists.clone(),
        sigma: SigmaArguments::of(rules.sigma.clone(), rules.sigma_pipelines.clone()),
        plugins: plugins_of(config),
    }
}

/// The plugins of a service.
pub(crate) fn plugins_of(config: &Config) -> PluginArguments {
    PluginArguments::of(
        Some(config.rules.plugins.clone()).filter(|file| !file.is_empty()),
        Some(PathBuf::from(&config.data).join("plugins")),
    )
}
