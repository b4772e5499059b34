//! The plugins that somebody wants to ask: those that run, and those that do not.

use super::gather::{Ask, Plugins};
use super::hosted::Hosted;

/// Plugins that were started.
#[derive(Default)]
pub(crate) struct Started {
    pub(crate) running: Vec<Hosted>,
    /// Those that did not start, and why.
    pub(crate) absent: Vec<(String, String)>,
}

impl Started {
    /// As rules ask them.
    pub(crate) fn asked(&self) -> Plugins<'_> {
        let named = self.running.iter();
        let named = named.map(|one| (one.alias.clone(), one as &dyn Ask));
        let absent = self.absent.iter().map(|(alias, _)| alias.clone());
        Plugins::new(named.collect(), absent.collect())
    }
}
