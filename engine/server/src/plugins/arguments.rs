//! Which plugins a command works with.

use super::gather::{Ask, Plugins};
use super::hosted::Hosted;
use super::installed::{Installed, PluginsError};
use crate::input::resolve::Input;
use crate::input::through::MakeEvents;
use clap::Args;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
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
}

impl PluginArguments {
    /// Those of a file, kept compiled in a folder.
    pub(crate) fn of(file: Option<String>, cache: Option<PathBuf>) -> Self {
        Self {
            file,
            cache,
            installed: OnceLock::new(),
        }
    }

    /// The plugins that are declared.
    pub(crate) fn read(&self) -> Result<Arc<Installed>, PluginsError> {
        if let Some(installed) = self.installed.get() {
            return Ok(installed.clone());
        }
        let installed = Installed::read(self.file.as_deref(), self.cache.clone())?;
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
        for input in inputs {
            input.decoder = Some(decoder.clone());
        }
        Ok(())
    }

    /// Starts a decoder.
    pub(crate) fn decoder(&self, name: &str) -> Result<Arc<dyn MakeEvents>, PluginsError> {
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
        let Some(hosted) = started.pop() else {
            return Err(refused(format!("`{name}` did not start")));
        };
        Ok(Arc::new(hosted))
    }

    /// Starts those that rules ask.
    pub(crate) fn start(&self, asked: &[String]) -> Result<Vec<Hosted>, PluginsError> {
        self.read()?.start(asked)
    }
}

/// Plugins that run, as they are asked.
pub(crate) fn asked(hosted: &[Hosted]) -> Plugins<'_> {
    let named = hosted.iter();
    Plugins::new(
        named
            .map(|one| (one.alias.clone(), one as &dyn Ask))
            .collect(),
    )
}
