//! What a rule is, once read.
//!
//! Relies on the selector floor for the trees and on `place` for positions. Every text that is evaluated is a
//! `Selector`: its CEL, its tree and the way back to the file, so that any later diagnostic (types, cost,
//! missing list) points at the author's own bytes. A `Rule` of a catalog is always complete and parses; a
//! file with mistakes gives diagnostics and no rule. Never evaluates anything.

use super::kind::{Input, Memory, Suppress};
use super::place::{OffsetMap, Place, Report};
use super::plugin::{OnError, RuleEffect};
use super::template::Template;
use crate::diagnostic::Diagnostic;
use crate::selector::ast::Expr;
use jiff::Timestamp;
use jiff::civil::Date;
use std::fmt;

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $($(#[$variant_doc])* $variant,)+ }

        impl $name {
            /// Every one, in order.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];
            /// The written form of every one, in order.
            pub const WORDS: &'static [&'static str] = &[$($text,)+];

            /// As written in files.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }

            /// The one written so.
            pub fn from_word(word: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|one| one.as_str() == word)
            }
        }

        impl ::std::fmt::Display for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.pad(self.as_str())
            }
        }
    };
}
pub(super) use words;

words! {
    /// How much a finding matters.
    Severity {
        /// Worth keeping, not worth looking at by itself.
        Informational = "informational",
        /// Look at it when there is time.
        Low = "low",
        /// Look at it within a day or so.
        Medium = "medium",
        /// Look at it now.
        High = "high",
        /// Wake somebody.
        Critical = "critical",
    }
}

words! {
    /// How far a rule can be trusted.
    Status {
        /// New; may be noisy or wrong.
        Experimental = "experimental",
        /// Believed right, being watched.
        Test = "test",
        /// Proven by tests and use.
        Stable = "stable",
        /// Kept for those who use it; to be removed.
        Deprecated = "deprecated",
    }
}

words! {
    /// What a rule decides about an event that is asked about. The later one goes before the earlier.
    Effect {
        /// It may happen.
        Allow = "allow",
        /// It may happen when somebody approves of it.
        RequireApproval = "require_approval",
        /// It may not happen.
        Deny = "deny",
    }
}

/// The name of a rule: lower-case words joined by hyphens, unique in a catalog.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RuleId(String);

impl RuleId {
    /// The id, when `text` is one.
    pub fn new(text: &str) -> Option<Self> {
        let word = |part: &str| {
            let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
            !part.is_empty() && part.bytes().all(plain)
        };
        let good = text.len() <= crate::limits::RULE_ID_BYTES_MAX && text.split('-').all(word);
        good.then(|| Self(text.to_owned()))
    }

    /// As written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RuleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// An expression of a rule: the condition, a part of a title, a key.
#[derive(Clone, Debug, PartialEq)]
pub struct Selector {
    /// The CEL, as decoded from the file.
    pub text: String,
    /// Its tree; spans count from the first byte of `text`.
    pub expr: Expr,
    /// The whole string in its file.
    pub place: Place,
    /// From bytes of `text` to bytes of the file.
    pub map: OffsetMap,
}

impl Selector {
    /// A diagnostic about this text (its spans counting from the first byte of `text`), in its file.
    pub fn report(&self, diagnostic: Diagnostic) -> Report {
        let diagnostic = diagnostic.relocated(|span| self.map.span(span));
        Report {
            source: self.place.source.clone(),
            diagnostic,
        }
    }
}

/// One detection, as its author and the overrides of the site want it.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// Its name for machines.
    pub id: RuleId,
    /// Its name for people.
    pub name: String,
    /// What happens and why it matters.
    pub description: String,
    /// The severity in effect; see `severity_declared`.
    pub severity: Severity,
    /// The severity in the rule file.
    pub severity_declared: Severity,
    /// How far it can be trusted.
    pub status: Status,
    /// Name of the schema that describes its events; untyped without.
    pub source: Option<String>,
    /// Where the source is named.
    pub source_place: Option<Place>,
    /// Who wrote it.
    pub authors: Vec<String>,
    /// Where to read more.
    pub references: Vec<String>,
    /// What harmless things look the same.
    pub false_positives: Vec<String>,
    /// What to do about a finding.
    pub runbook: Option<String>,
    /// The ATT&CK tactics and techniques it shows.
    pub attack: Vec<AttackTag>,
    /// Words of the author's own.
    pub tags: Vec<String>,
    /// What it looks at: one condition on events, unless it is a rule that remembers.
    pub inputs: Vec<Input>,
    /// What it remembers, if it does.
    pub memory: Option<Memory>,
    /// How repeated findings are kept quiet, if they are.
    pub suppress: Option<Suppress>,
    /// Its detections only feed other rules, and are no findings.
    pub signal: bool,
    /// What a detection adds to the risk of an entity; by severity without.
    pub risk_score: Option<u64>,
    /// What becomes of it where a plugin that it asks gives no answer.
    pub on_error: OnError,
    /// Where the rule says so, if it does.
    pub on_error_place: Option<Place>,
    /// What it decides about an event that is asked about before it happens; nothing without.
    pub effect: Option<RuleEffect>,
    /// How its findings look.
    pub finding: FindingTemplate,
    /// When it does not apply: its own, then those that overrides added.
    pub exceptions: Vec<Exception>,
    /// The change that switched it off, if one did: position in `layers`.
    pub disabled: Option<usize>,
    /// What overrides changed, in order of application.
    pub layers: Vec<Layer>,
    /// The `id` in its file.
    pub place: Place,
}

impl Rule {
    /// Whether no override switched it off.
    pub fn is_enabled(&self) -> bool {
        self.disabled.is_none()
    }

    /// The condition of a rule about single events.
    pub fn when(&self) -> Option<&Selector> {
        match (&self.memory, self.inputs.as_slice()) {
            (None, [only]) => only.when.as_ref(),
            _ => None,
        }
    }

    /// What one of its detections adds to the risk of an entity.
    pub fn score(&self) -> f64 {
        self.risk_score.map_or_else(
            || super::kind::default_score(self.severity),
            |score| score as f64,
        )
    }

    /// The computed severity in effect; an override that sets a severity replaces the computed one too.
    pub fn severity_computed(&self) -> Option<&Selector> {
        let overridden = self
            .layers
            .iter()
            .any(|layer| matches!(layer.change, Change::Severity { .. }));
        if overridden {
            None
        } else {
            self.finding.severity.as_ref()
        }
    }

    /// The rule as its file has it, without the changes of overrides: what its own tests are about.
    pub fn as_shipped(&self) -> Self {
        let mut rule = self.clone();
        rule.severity = rule.severity_declared;
        rule.exceptions
            .retain(|exception| exception.layer.is_none());
        rule.disabled = None;
        rule.layers.clear();
        rule
    }

    /// The selectors that shape a finding.
    pub fn shaping(&self) -> impl Iterator<Item = &Selector> {
        let finding = &self.finding;
        let by = self.suppress.iter();
        let by = by.flat_map(|suppress| suppress.by.iter().flatten());
        let title = finding.title.iter().flat_map(|title| title.selectors());
        title
            .chain(finding.dedup_key.iter().flatten())
            .chain(&finding.severity)
            .chain(finding.context.iter().map(|(_, selector)| selector))
            .chain(by)
    }

    /// Every selector of the rule, for checking and compiling.
    pub fn selectors(&self) -> impl Iterator<Item = &Selector> {
        let finding = &self.finding;
        let kind = self
            .memory
            .iter()
            .flat_map(|memory| memory.kind.selectors());
        let groups = self.memory.iter().flat_map(|memory| &memory.group_by);
        self.inputs
            .iter()
            .flat_map(|input| input.when.iter().chain(input.group_by.iter().flatten()))
            .chain(groups)
            .chain(kind)
            .chain(
                self.suppress
                    .iter()
                    .flat_map(|suppress| suppress.by.iter().flatten()),
            )
            .chain(finding.title.iter().flat_map(|title| title.selectors()))
            .chain(finding.dedup_key.iter().flatten())
            .chain(&finding.severity)
            .chain(finding.context.iter().map(|(_, selector)| selector))
            .chain(self.exceptions.iter().map(|exception| exception.selector()))
            .chain(self.effect.iter().filter_map(RuleEffect::selector))
    }
}

/// How the findings of a rule are computed from the event.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FindingTemplate {
    /// The headline; the rule's name without.
    pub title: Option<Template>,
    /// What makes two findings the same; a default by account and principal without.
    pub dedup_key: Option<Vec<Selector>>,
    /// Gives a severity name; the rule's severity without.
    pub severity: Option<Selector>,
    /// Facts to show, in the order written.
    pub context: Vec<(String, Selector)>,
}

/// A reason why a rule does not apply to an event.
#[derive(Clone, Debug, PartialEq)]
pub struct Exception {
    /// What people call it.
    pub name: String,
    /// When it holds.
    pub condition: Condition,
    /// Who answers for it.
    pub owner: Option<String>,
    /// Why it is there.
    pub reason: Option<String>,
    /// The last day it holds.
    pub expires: Option<Expiry>,
    /// The override that added it: position in the rule's `layers`; the rule's own without.
    pub layer: Option<usize>,
    /// Its name in its file.
    pub place: Place,
}

impl Exception {
    /// What has to be evaluated.
    pub fn selector(&self) -> &Selector {
        match &self.condition {
            Condition::When(selector)
            | Condition::Listed {
                value: selector, ..
            } => selector,
        }
    }

    /// Whether it may excuse an event of this time. An event without a time is never excused by an
    /// exception that ends: nobody can say that it was in force.
    pub fn covers(&self, event_time: Option<Timestamp>) -> bool {
        match (&self.expires, event_time) {
            (None, _) => true,
            (Some(expires), Some(time)) => time < expires.end,
            (Some(_), None) => false,
        }
    }
}

/// When an exception holds.
#[derive(Clone, Debug, PartialEq)]
pub enum Condition {
    /// When this is true.
    When(Selector),
    /// When this value is in that site list.
    Listed {
        /// The list.
        list: String,
        /// Where it is named.
        list_place: Place,
        /// The value.
        value: Selector,
    },
}

/// The end of an exception.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expiry {
    /// The last day, in UTC.
    pub date: Date,
    /// The first instant after that day.
    pub end: Timestamp,
}

/// An ATT&CK tactic, and a technique of it: `TA0005/T1562.008`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttackTag {
    /// `TA0005`
    pub tactic: String,
    /// `T1562.008`
    pub technique: String,
    /// Where it is written.
    pub place: Place,
}

impl fmt::Display for AttackTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.tactic, self.technique)
    }
}

/// One thing that an override did to a rule.
#[derive(Clone, Debug, PartialEq)]
pub struct Layer {
    /// What changed.
    pub change: Change,
    /// Who answers for it.
    pub owner: Option<String>,
    /// Why.
    pub reason: Option<String>,
    /// Where it is written.
    pub place: Place,
}

/// What an override can change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// The rule is off.
    Disabled,
    /// The rule is on again, after an earlier override had switched it off.
    Enabled,
    /// Another severity.
    Severity {
        /// Before.
        from: Severity,
        /// After.
        to: Severity,
    },
    /// One more exception, by name.
    Exception(String),
}
