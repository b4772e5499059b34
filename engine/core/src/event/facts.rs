//! What plugins said of an event. It stands beside the event, which is never edited.
//!
//! Answers come as one JSON object, `{"enrich": {…}, "detect": {…}, "policy": {…}}` by name of the plugin, so that expressions read
//! them with the same cursors as the event. A plugin that failed has no answer there but a reason here: that nothing is
//! known must not look like a fact.

use super::document::Json;

/// A plugin that gave no answer, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PluginFailure {
    /// The name that rules use.
    pub plugin: String,
    /// For people.
    pub reason: String,
}

/// The answers of plugins about one event.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'d> {
    root: Json<'d>,
    failed: &'d [PluginFailure],
}

impl<'d> Facts<'d> {
    /// The answers in `root`, and the plugins that gave none.
    pub fn new(root: Json<'d>, failed: &'d [PluginFailure]) -> Self {
        Self { root, failed }
    }

    /// What enrichers and scorers said, by name.
    pub fn enrich(&self) -> Option<Json<'d>> {
        self.root.get("enrich")
    }

    /// What detectors found, by name.
    pub fn detect(&self) -> Option<Json<'d>> {
        self.root.get("detect")
    }

    /// What policies decided, by name.
    pub fn policy(&self) -> Option<Json<'d>> {
        self.root.get("policy")
    }

    /// Everything.
    pub fn root(&self) -> Json<'d> {
        self.root
    }

    /// Why there is no answer of `plugin`, when it failed.
    pub fn failure(&self, plugin: &str) -> Option<&'d str> {
        let failed = self.failed.iter().find(|one| one.plugin == plugin)?;
        Some(&failed.reason)
    }
}
