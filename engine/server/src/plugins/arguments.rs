//! Which plugins a command works with.

use super::gather::{Ask, Plugins};
use super::hosted::Hosted;
use super::installed::{Installed, PluginsError};
use clap::Args;
use std::path::PathBuf;

/// Which plugins rules may ask.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct PluginArguments {
    /// The operator's file that declares plugins and what each is granted. Rules ask them as `enrich.NAME` and
    /// `detect.NAME`.
    #[arg(long = "plugins", value_name = "FILE")]
    pub(crate) file: Option<String>,

    /// Keep compiled plugins in this folder; `tripline/plugins` in the user's cache without it.
    #[arg(long = "plugin-cache", value_name = "DIR", requires = "file")]
    pub(crate) cache: Option<PathBuf>,
}

impl PluginArguments {
    /// The plugins that are declared.
    pub(crate) fn read(&self) -> Result<Installed, PluginsError> {
        Installed::read(self.file.as_deref())
    }

    /// Starts those that rules ask.
    pub(crate) fn start(&self, asked: &[String]) -> Result<Vec<Hosted>, PluginsError> {
        self.read()?.start(asked, self.cache.clone())
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
