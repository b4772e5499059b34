//! What the engine is told.

use crate::action::Planner;
use crate::book::Rules;
use crate::guard::Protected;
use crate::vote::Approver;
use std::sync::Arc;

/// Whether the engine ends at a named point; for tests, which go on with the journal that is left.
pub type EndsAt = Box<dyn Fn(&'static str) -> bool + Send + Sync>;

/// See the module.
#[derive(Default)]
pub struct Settings {
    /// What concerns all policies.
    pub rules: Rules,
    /// What is never touched.
    pub protected: Protected,
    /// Who may vote.
    pub approvers: Vec<Approver>,
    /// Who runs the plugins that make plans; without anybody, policies with such plugins do nothing.
    pub planner: Option<Arc<dyn Planner>>,
    /// The newest record that was told to others, as [`super::Engine::told_until`] was given it.
    pub told: u64,
    /// See [`EndsAt`].
    pub ends_at: Option<EndsAt>,
}

impl std::fmt::Debug for Settings {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        to.debug_struct("Settings")
            .field("rules", &self.rules)
            .field("protected", &self.protected)
            .field("approvers", &self.approvers)
            .finish_non_exhaustive()
    }
}
