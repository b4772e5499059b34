//! What a policy has done: an action of this crate, or what a plugin plans.

use super::planner::{self, Pinned};
use super::{Action, Parameter, PlanFault, Subject};
use crate::plan::Risk;
use serde_json::{Map, Value};

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Chosen {
    /// An action of this crate.
    Own(Action),
    /// What a plugin plans.
    Plugin {
        /// `plugin:NAME`.
        name: String,
        /// The plugin.
        plugin: Pinned,
    },
}

impl Chosen {
    /// What a plugin plans.
    pub fn of_plugin(plugin: Pinned) -> Self {
        Self::Plugin {
            name: planner::action_of(&plugin),
            plugin,
        }
    }

    /// The plugin, if it is one.
    pub fn plugin(&self) -> Option<&Pinned> {
        match self {
            Self::Own(_) => None,
            Self::Plugin { plugin, .. } => Some(plugin),
        }
    }

    /// Whether it acts on AWS, so that what it answers tells an account and a region.
    pub fn is_of_aws(&self) -> bool {
        match self {
            Self::Own(action) => action.name().starts_with("aws."),
            Self::Plugin { .. } => true,
        }
    }

    /// Its name: of the action, or `plugin:NAME`.
    pub fn name(&self) -> &str {
        match self {
            Self::Own(action) => action.name(),
            Self::Plugin { name, .. } => name,
        }
    }

    /// The least harm that it can do, as far as it is known without a plan.
    pub fn risk(&self) -> Risk {
        match self {
            Self::Own(action) => action.risk(),
            Self::Plugin { .. } => Risk::Low,
        }
    }

    /// Whether what it does cannot be taken back by anybody; of a plugin its plan tells.
    pub fn is_irreversible(&self) -> bool {
        matches!(self, Self::Own(action) if action.is_irreversible())
    }

    /// The parameters that are known of it.
    pub fn parameters(&self) -> &'static [Parameter] {
        match self {
            Self::Own(action) => action.parameters(),
            Self::Plugin { .. } => planner::PARAMETERS,
        }
    }

    /// What an event says of its parameters: of a plugin's the policy says all.
    pub fn parameters_of(&self, event: &Value) -> Result<Map<String, Value>, PlanFault> {
        match self {
            Self::Own(action) => action.parameters_of(event),
            Self::Plugin { .. } => Ok(Map::new()),
        }
    }

    /// What it would be about, and which bad state it would end.
    pub fn subject(
        &self,
        account: &str,
        region: &str,
        parameters: &Map<String, Value>,
    ) -> Result<Subject, PlanFault> {
        match self {
            Self::Own(action) => action.subject(account, region, parameters),
            Self::Plugin { plugin, .. } => planner::subject(plugin, account, parameters),
        }
    }

    /// The events that it answers, as source and name; empty when it answers any, as a plugin does.
    pub fn triggers(&self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Own(action) => action.triggers(),
            Self::Plugin { .. } => &[],
        }
    }

    /// Whether what it does makes events of the kind that it answers; nobody knows that of a plugin.
    pub fn may_answer_itself(&self) -> bool {
        let Self::Own(action) = self else {
            return true;
        };
        action.makes().iter().any(|made| {
            let mut triggers = action.triggers().iter();
            triggers.any(|trigger| trigger.0 == made.0 && made.1.starts_with(trigger.1))
        })
    }
}
