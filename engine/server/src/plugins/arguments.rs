//! Which plugins a command works with.

use super::hosted::Hosted;
use super::installed::{Installed, PluginsError};
use super::started::Started;
use crate::input::resolve::Input;
use clap::Args;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use tripline_host::grant::kv::Stores;
use tripline_host::manifest::World;

/// Which plugins rules may ask.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct PluginArguments {
    /// The operator's file that declares plugins and what each is granted. Rules ask them as `enrich.NAME`, `detect.NAME` and
    /// `policy.NAME`.
    #[arg(long = "plugins", value_name = "FILE")]
    pub(crate) file: Option<String>,

    /// Keep compiled plugins, and which versions ran, in this folder; `tripline/plugins` in the user's cache without it.
    #[arg(long = "plugin-cache", value_name = "DIR", requires = "file")]
    pub(crate) cache: Option<PathBuf>,

    /// Read once: what rules were checked against is what runs, whatever becomes of the files.
    #[arg(skip)]
    installed: OnceLock<Arc<Installed>>,
    /// What makes events of the inputs.
    #[arg(skip)]
    decoding: OnceLock<Arc<Hosted>>,
    /// The file that says whom this machine trusts, where the other was handed on.
    #[arg(skip)]
    own: Option<String>,
    /// The one plugin that is wanted, where that is known: the others are not even looked for.
    #[arg(skip)]
    only: Option<String>,
    /// What plugins keep for later.
    #[arg(skip)]
    stores: Arc<Stores>,
}

impl PluginArguments {
    /// Those of a file, kept compiled in a folder.
    pub(crate) fn of(file: Option<String>, cache: Option<PathBuf>) -> Self {
        Self {
            file,
            cache,
            ..Self::default()
        }
    }

    /// The same, of a file that others handed on, trusting whom this machine's own file trusts.
    pub(crate) fn trusting(self, own: Option<String>) -> Self {
        Self { own, ..self }
    }

    /// The same, without all plugins but this one.
    pub(crate) fn only(self, name: &str) -> Self {
        Self {
            only: Some(name.to_owned()),
            ..self
        }
    }

    /// The same, with what plugins kept that ran before.
    pub(crate) fn with_stores(self, stores: Arc<Stores>) -> Self {
        Self { stores, ..self }
    }

    /// The plugins that are declared.
    pub(crate) fn read(&self) -> Result<Arc<Installed>, PluginsError> {
        if let Some(installed) = self.installed.get() {
            return Ok(installed.clone());
        }
        let installed = Installed::read_trusting(
            self.file.as_deref(),
            self.cache.clone(),
            (self.own.as_deref(), self.only.as_deref()),
        )?;
        let installed = installed.with_stores(self.stores.clone());
        installed.tell_off();
        Ok(self.installed.get_or_init(|| Arc::new(installed)).clone())
    }

    /// Who tells why no rule is left: rules that ask a plugin which is off are off too.
    pub(crate) fn who_tells(&self) -> Result<String, PluginsError> {
        let Some(file) = &self.file else {
            return Ok("`tripline check` tells why".to_owned());
        };
        Ok(match self.read()?.off.is_empty() {
            true => format!("`tripline check --plugins {file}` tells why"),
            false => format!(
                "some plugins are off: `tripline plugin inspect --plugins {file}` tells why, `tripline check --plugins {file}` of the rules"
            ),
        })
    }

    /// Gives a decoder to the inputs that it is to make events of.
    pub(crate) fn decode(
        &self,
        decoder: Option<&str>,
        inputs: &mut [Input],
    ) -> Result<(), PluginsError> {
        let Some(name) = decoder else { return Ok(()) };
        let decoder = self.decoder(name)?;
        let decoder = self.decoding.get_or_init(|| decoder);
        for input in inputs {
            input.decoder = Some(decoder.clone());
        }
        Ok(())
    }

    /// The decoder that was given to inputs.
    pub(crate) fn decoding(&self) -> Option<&Hosted> {
        self.decoding.get().map(Arc::as_ref)
    }

    /// Starts a decoder.
    pub(crate) fn decoder(&self, name: &str) -> Result<Arc<Hosted>, PluginsError> {
        let installed = self.read()?;
        let declared = installed.plugins.iter().find(|one| one.alias == name);
        let why = match declared {
            Some(one) if one.manifest.world != World::Decoder => {
                format!("`{name}` is no decoder but {}", one.manifest.world.as_str())
            }
            Some(_) => String::new(),
            None => match installed.off.iter().find(|(alias, _)| alias == name) {
                Some((_, reason)) => format!("`{name}` is off: {reason}"),
                None => format!("there is no plugin `{name}`"),
            },
        };
        let refused = |why: String| PluginsError::Decoder(why);
        if !why.is_empty() {
            return Err(refused(why));
        }
        let mut started = installed.start(&[name.to_owned()])?;
        let Some(hosted) = started.running.pop() else {
            let reason = started.absent.pop().map(|(_, reason)| reason);
            let reason = reason.unwrap_or_default();
            return Err(refused(format!("`{name}` did not start: {reason}")));
        };
        Ok(Arc::new(hosted))
    }

    /// Starts those that rules ask.
    pub(crate) fn start(&self, asked: &[String]) -> Result<Started, PluginsError> {
        self.read()?.start(asked)
    }
}
