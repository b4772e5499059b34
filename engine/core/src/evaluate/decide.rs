//! Deciding about an event before it happens: may it, may it with approval, or may it not.
//!
//! Rules with an `effect` are evaluated like all others; of those that match, the strictest effect counts. A rule with a
//! strict effect that cannot be decided must not be taken for one that does not match: then a stated default counts,
//! which is to refuse unless somebody configured otherwise. Nothing here is remembered, and nothing is found.

use super::{Evaluator, RuleIndex};
use crate::event::Event;
use crate::rule::Effect;
use serde::Serialize;

/// What counts when rules do not say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecisionDefaults {
    /// No rule with an effect matches.
    pub unmatched: Effect,
    /// A rule that would forbid it or want approval could not be decided; also when the answer would come too late.
    pub undecided: Effect,
}

impl Default for DecisionDefaults {
    /// What is not forbidden is allowed; what cannot be told is forbidden.
    fn default() -> Self {
        Self {
            unmatched: Effect::Allow,
            undecided: Effect::Deny,
        }
    }
}

/// A rule that decided, or could not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DecidedBy {
    /// The rule.
    pub rule_id: String,
    /// Its effect.
    pub effect: &'static str,
    /// Its title for this event; of a rule that could not be decided, why not.
    pub reason: String,
}

/// What is decided about an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// What is decided.
    pub effect: Effect,
    /// The rules with an effect that match, strictest first.
    pub rules: Vec<DecidedBy>,
    /// The rules with an effect that could not be decided.
    pub undecided: Vec<DecidedBy>,
}

impl Decision {
    /// The decision when there is no time or no way to evaluate anything.
    pub fn without_rules(effect: Effect) -> Self {
        Self {
            effect,
            rules: Vec::new(),
            undecided: Vec::new(),
        }
    }
}

impl Evaluator<'_> {
    /// What the rules decide about an event.
    pub fn decide(&mut self, event: &Event<'_>, defaults: DecisionDefaults) -> Decision {
        let rules = self.set.rules();
        let effect_of = |rule: &RuleIndex| {
            rules[rule.0 as usize]
                .rule
                .effect
                .map(|effect| (*rule, effect))
        };
        let verdicts = self.evaluate(event);
        let mut matched: Vec<(RuleIndex, Effect)> =
            verdicts.matched.iter().filter_map(effect_of).collect();
        let undecided: Vec<(RuleIndex, Effect)> = verdicts
            .indeterminate
            .iter()
            .filter_map(effect_of)
            .collect();
        matched.sort_by_key(|(rule, effect)| (std::cmp::Reverse(*effect), *rule));
        let mut effect = matched
            .first()
            .map_or(defaults.unmatched, |(_, effect)| *effect);
        // A rule that allows, and cannot be told to match, does not allow.
        if undecided.iter().any(|(_, effect)| *effect > Effect::Allow) {
            effect = effect.max(defaults.undecided);
        }
        let told = |rule: RuleIndex, effect: Effect, reason: String| DecidedBy {
            rule_id: rules[rule.0 as usize].rule.id.to_string(),
            effect: effect.as_str(),
            reason,
        };
        Decision {
            effect,
            rules: matched
                .into_iter()
                .map(|(rule, effect)| told(rule, effect, self.finding(rule, event).title))
                .collect(),
            undecided: undecided
                .into_iter()
                .map(|(rule, effect)| told(rule, effect, self.fault(rule, event)))
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{DecisionDefaults, Effect};
    use crate::evaluate::{Evaluator, RuleSet};
    use crate::event::{Event, Parser};
    use crate::rule::{File, load};

    const RULES: &str = r#"
id = "no-deleting"
name = "No deleting"
description = "Logs stay."
severity = "high"
status = "test"
effect = "deny"
when = 'event.name == "Delete"'

[finding]
title = "{event.who} may not delete"
#---
id = "ask-first"
name = "Ask first"
description = "Production is careful."
severity = "medium"
status = "test"
effect = "require_approval"
when = 'event.account == "production"'
#---
id = "robots-may"
name = "Robots may"
description = "They are tested."
severity = "low"
status = "test"
effect = "allow"
when = 'event.?who.orValue("") == "robot"'
#---
id = "only-found"
name = "Only found"
description = "It decides nothing."
severity = "low"
status = "test"
when = 'true'
"#;

    fn check(event: &str, expected: &str) {
        let files: Vec<File> = RULES
            .split("#---\n")
            .enumerate()
            .map(|(number, text)| File::found(format!("{number}.toml"), text))
            .collect();
        let catalog = load(&files, jiff::civil::date(2026, 1, 1));
        let (rules, reports) = RuleSet::of_catalog(&catalog);
        assert_eq!(rules.rules().len(), 4, "{reports:?} {:?}", catalog.reports);
        let mut parser = Parser::new();
        let event = Event::new(parser.parse(event.as_bytes()).expect("an event"));
        let decision = Evaluator::new(&rules).decide(&event, DecisionDefaults::default());
        let names = |all: &[super::DecidedBy]| -> Vec<String> {
            all.iter()
                .map(|one| format!("{} ({})", one.rule_id, one.reason))
                .collect()
        };
        let told = format!(
            "{} by {:?}, undecided {:?}",
            decision.effect,
            names(&decision.rules),
            decision
                .undecided
                .iter()
                .map(|one| one.rule_id.as_str())
                .collect::<Vec<_>>()
        );
        assert_eq!(told, expected);
    }

    #[test]
    fn the_strictest_rule_that_matches_decides() {
        check(
            r#"{"name":"Read","account":"test","who":"eve"}"#,
            "allow by [], undecided []",
        );
        check(
            r#"{"name":"Read","account":"production","who":"robot"}"#,
            r#"require_approval by ["ask-first (Ask first)", "robots-may (Robots may)"], undecided []"#,
        );
        check(
            r#"{"name":"Delete","account":"production","who":"eve"}"#,
            r#"deny by ["no-deleting (eve may not delete)", "ask-first (Ask first)"], undecided []"#,
        );
    }

    #[test]
    fn what_cannot_be_told_is_forbidden() {
        check(
            r#"{"account":"test","who":"robot"}"#,
            r#"deny by ["robots-may (Robots may)"], undecided ["no-deleting"]"#,
        );
    }

    #[test]
    fn allowing_is_the_least_strict() {
        assert!(Effect::Allow < Effect::RequireApproval && Effect::RequireApproval < Effect::Deny);
    }
}
