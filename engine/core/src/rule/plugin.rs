//! What rules may ask of plugins.
//!
//! Relies on the caller for the plugins that there are: core knows their names and the shapes of their answers, and
//! nothing of how they run.

use super::model::{Effect, Selector, words};
use crate::selector::ast::{Expr, ExprKind, Literal};
use std::collections::BTreeMap;

words! {
    /// What becomes of a rule on an event of which a plugin that it asks gave no answer.
    OnError {
        /// The rule could not be decided; that is counted and shown.
        Indeterminate = "indeterminate",
        /// The rule does not match; that is counted.
        Skip = "skip",
        /// The rule matches: better one finding too many.
        FailClosed = "fail-closed",
    }
}

/// What a column of answers holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FactKind {
    /// True or false.
    Bool,
    /// A whole number.
    Int,
    /// A number.
    Float,
    /// Text.
    Text,
    /// Any JSON.
    Any,
}

/// What a plugin answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// These columns, as `enrich.NAME.COLUMN`; each may be null.
    Columns(Vec<(String, FactKind)>),
    /// One number, as `enrich.NAME.score`; it may be null.
    Score,
    /// A hit or nothing, as `detect.NAME`.
    Hit,
    /// A decision, or nothing where the plugin has no opinion, as `policy.NAME`.
    Decision,
    /// Nothing that rules ask for.
    Unasked {
        /// What it is, such as `a decoder`.
        job: &'static str,
        /// What it is good for, for who took it for something else.
        help: String,
    },
    /// Nothing, as it is declared but cannot run.
    Off {
        /// What keeps it from running.
        reason: String,
    },
}

/// Where the effect of a rule comes from.
#[derive(Clone, Debug, PartialEq)]
pub enum RuleEffect {
    /// It is the same for every event that the rule matches.
    Fixed(Effect),
    /// A policy says, event by event.
    OfPolicy {
        /// The name of the plugin.
        policy: String,
        /// `policy.NAME`, as it is written.
        asked: Selector,
    },
}

impl RuleEffect {
    /// The policy that says, if one does.
    pub fn policy(&self) -> Option<&str> {
        match self {
            Self::Fixed(_) => None,
            Self::OfPolicy { policy, .. } => Some(policy),
        }
    }

    /// What asks the policy.
    pub fn selector(&self) -> Option<&Selector> {
        match self {
            Self::Fixed(_) => None,
            Self::OfPolicy { asked, .. } => Some(asked),
        }
    }

    /// Whether it may forbid something or want approval.
    pub fn may_refuse(&self) -> bool {
        *self != Self::Fixed(Effect::Allow)
    }
}

/// `policy.NAME` or `policy["NAME"]`: the name.
pub(super) fn policy_named(expr: &Expr) -> Option<&str> {
    let (operand, name) = match &expr.kind {
        ExprKind::Select {
            operand,
            field,
            optional: false,
            ..
        } => (operand, field),
        ExprKind::Index { operand, index, .. } => match &index.kind {
            ExprKind::Literal(Literal::String(name)) => (operand, name),
            _ => return None,
        },
        _ => return None,
    };
    matches!(&operand.kind, ExprKind::Ident(ident) if ident == "policy").then_some(name)
}

/// The plugins that rules may ask, by name.
pub type Plugins = BTreeMap<String, Answer>;
