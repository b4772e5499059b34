//! Deciding about an event before it happens: may it, may it with approval, or may it not.
//!
//! Rules with an `effect` are evaluated like all others; of those that match, the strictest effect counts. A rule with a
//! strict effect that cannot be decided must not be taken for one that does not match: then a stated default counts,
//! which is to refuse unless somebody configured otherwise. Nothing here is remembered, and nothing is found.
//!
//! Where a policy gives the effect, one that gave no answer has no effect that is known: closed is to forbid. So is a
//! rule with an effect that is off for its mistakes: it may have forbidden what is asked about.

use super::ask::{Opinion, opinion};
use super::{Evaluator, RuleIndex};
use crate::event::Event;
use crate::rule::{Effect, RuleEffect};
use serde::Serialize;
use serde_json::{Map, Value};

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
    /// Its effect; `undecided` where only a policy could have said.
    pub effect: &'static str,
    /// What its policy says, or its title for this event; of a rule that could not be decided, why not.
    pub reason: String,
    /// The policy that gave the effect, or the plugin that gave no answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plugin: Option<String>,
    /// What else is to be kept in mind, as the policy says.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub obligations: Map<String, Value>,
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
    /// The rules with an effect that pass the event over, because a plugin gave no answer.
    pub skipped: Vec<DecidedBy>,
}

impl Decision {
    /// The decision when there is no time or no way to evaluate anything.
    pub fn without_rules(effect: Effect) -> Self {
        Self {
            effect,
            rules: Vec::new(),
            undecided: Vec::new(),
            skipped: Vec::new(),
        }
    }
}

/// The effect of a rule that could not be decided, as it is told.
fn told(effect: &RuleEffect) -> &'static str {
    match effect {
        RuleEffect::Fixed(effect) => effect.as_str(),
        RuleEffect::OfPolicy { .. } => "undecided",
    }
}

/// What one rule that matches says.
enum Said {
    /// This, as strict as that.
    Decided(Effect, DecidedBy),
    /// Nothing that counts: it allows, and matches only because a plugin gave no answer.
    Undecided(DecidedBy),
    /// Nothing: its policy abstains.
    Abstained,
}

impl Evaluator<'_> {
    /// What the rules decide about an event.
    pub fn decide(&mut self, event: &Event<'_>, defaults: DecisionDefaults) -> Decision {
        let rules = self.set.rules();
        let decides = |rule: &&RuleIndex| rules[rule.0 as usize].rule.effect.is_some();
        let verdicts = self.evaluate(event);
        let of = |list: &[RuleIndex]| list.iter().filter(decides).copied().collect::<Vec<_>>();
        let matched = of(verdicts.matched);
        let (indeterminate, passed_over) = (of(verdicts.indeterminate), of(verdicts.skipped));
        let (mut decided, mut undecided) = (Vec::new(), Vec::new());
        let mut is_open = false;
        for rule in matched {
            match self.say(rule, event) {
                Said::Decided(effect, by) => decided.push((effect, rule, by)),
                Said::Undecided(by) => undecided.push(by),
                Said::Abstained => {}
            }
        }
        for rule in indeterminate {
            let effect = rules[rule.0 as usize].rule.effect.as_ref();
            // A rule that allows, and cannot be told to match, does not allow.
            is_open |= effect.is_some_and(RuleEffect::may_refuse);
            undecided.extend(self.unsaid(rule, event));
        }
        for (rule_id, effect) in self.set.deciding_off() {
            is_open |= effect.may_refuse();
            undecided.push(DecidedBy {
                rule_id: rule_id.to_string(),
                effect: told(effect),
                reason: "the rule is off for its mistakes; `tripline check` shows them".to_owned(),
                plugin: effect.policy().map(str::to_owned),
                obligations: Map::new(),
            });
        }
        let skipped = passed_over.into_iter();
        let skipped = skipped
            .filter_map(|rule| self.unsaid(rule, event))
            .collect();
        decided.sort_by_key(|(effect, rule, _)| (std::cmp::Reverse(*effect), *rule));
        let mut effect = decided
            .first()
            .map_or(defaults.unmatched, |(effect, ..)| *effect);
        if is_open {
            effect = effect.max(defaults.undecided);
        }
        Decision {
            effect,
            rules: decided.into_iter().map(|(.., by)| by).collect(),
            undecided,
            skipped,
        }
    }

    /// What a rule with an effect that matches says.
    fn say(&mut self, rule: RuleIndex, event: &Event<'_>) -> Said {
        let of = &self.set.rules()[rule.0 as usize].rule;
        let Some(effect) = &of.effect else {
            return Said::Abstained;
        };
        let failed = self.unanswered_by_inputs(rule, event);
        let failed = failed.map(|(plugin, reason)| (plugin.to_owned(), reason.to_owned()));
        let said = effect
            .policy()
            .map(|policy| (policy, opinion(policy, event)));
        let strict = match (effect, said) {
            (RuleEffect::Fixed(Effect::Allow), _) if failed.is_some() => {
                // To match all the same is the careful side for rules that refuse, and the careless one for this.
                let by = self.unsaid(rule, event);
                return by.map_or(Said::Abstained, Said::Undecided);
            }
            (RuleEffect::Fixed(effect), _) => *effect,
            (_, Some((policy, Some(said)))) => {
                let Opinion {
                    effect,
                    reason,
                    obligations,
                } = said;
                let reason = match reason.is_empty() {
                    true => self.title(rule, event),
                    false => reason,
                };
                let by = DecidedBy {
                    rule_id: of.id.to_string(),
                    effect: effect.as_str(),
                    reason,
                    plugin: Some(policy.to_owned()),
                    obligations,
                };
                return Said::Decided(effect, by);
            }
            (..) if failed.is_none() => return Said::Abstained,
            (..) => Effect::Deny,
        };
        let (plugin, reason) = match failed {
            Some((plugin, reason)) => {
                let words = format!(
                    "plugin `{plugin}` gave no answer ({reason}); the rule matches all the same"
                );
                (Some(plugin), words)
            }
            None => (None, self.title(rule, event)),
        };
        let by = DecidedBy {
            rule_id: of.id.to_string(),
            effect: strict.as_str(),
            reason,
            plugin,
            obligations: Map::new(),
        };
        Said::Decided(strict, by)
    }

    /// A rule with an effect that says nothing, and why not.
    fn unsaid(&mut self, rule: RuleIndex, event: &Event<'_>) -> Option<DecidedBy> {
        let of = &self.set.rules()[rule.0 as usize].rule;
        let effect = told(of.effect.as_ref()?);
        let plugin = self.unanswered_by_inputs(rule, event);
        Some(DecidedBy {
            rule_id: of.id.to_string(),
            effect,
            plugin: plugin.map(|(plugin, _)| plugin.to_owned()),
            reason: self.fault(rule, event),
            obligations: Map::new(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{DecisionDefaults, Effect};
    use crate::evaluate::{Evaluator, RuleSet};
    use crate::event::{Event, Facts, Parser, PluginFailure};
    use crate::rule::{Answer, FactKind, File, Plugins, load};

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

    const ASKING: &str = r#"
id = "guarded"
name = "Guarded"
description = "The guard says."
severity = "high"
status = "test"
effect = "policy.guard"
when = 'event.name != "Read"'
#---
id = "ask-first"
name = "Ask first"
description = "Production is careful."
severity = "medium"
status = "test"
effect = "require_approval"
when = 'event.account == "production"'
#---
id = "known-may"
name = "Known may"
description = "They are known."
severity = "low"
status = "test"
effect = "allow"
on_error = "fail-closed"
when = 'enrich.who.known == true'
"#;

    /// What is decided about an event with these answers of plugins: the effect, and the rules of each list.
    fn asked(
        on_error: &str,
        event: &str,
        (answers, failed): (&str, &[&str]),
        defaults: DecisionDefaults,
    ) -> (super::Decision, String) {
        let rules = ASKING.replacen(
            "effect = \"policy.guard\"",
            &format!("effect = \"policy.guard\"\non_error = \"{on_error}\""),
            1,
        );
        let files: Vec<File> = rules
            .split("#---\n")
            .enumerate()
            .map(|(number, text)| File::found(format!("{number}.toml"), text))
            .collect();
        let mut catalog = load(&files, jiff::civil::date(2026, 1, 1));
        catalog.plugins = Plugins::from([
            ("guard".to_owned(), Answer::Decision),
            (
                "who".to_owned(),
                Answer::Columns(vec![("known".to_owned(), FactKind::Bool)]),
            ),
        ]);
        let (rules, reports) = RuleSet::of_catalog(&catalog);
        assert_eq!(rules.rules().len(), 3, "{reports:?}");
        let (mut parser, mut of_answers) = (Parser::new(), Parser::new());
        let event = Event::new(parser.parse(event.as_bytes()).expect("an event"));
        let answers = of_answers.parse(answers.as_bytes()).expect("answers");
        let failed: Vec<PluginFailure> = failed
            .iter()
            .map(|plugin| PluginFailure {
                plugin: (*plugin).to_owned(),
                reason: "it trapped".to_owned(),
            })
            .collect();
        let event = event.with_facts(Facts::new(answers.root(), &failed));
        let decision = Evaluator::for_decisions(&rules).decide(&event, defaults);
        let names = |all: &[super::DecidedBy]| -> Vec<String> {
            let of = |one: &super::DecidedBy| format!("{}:{}", one.rule_id, one.effect);
            all.iter().map(of).collect()
        };
        let told = format!(
            "{} by {:?}, undecided {:?}, skipped {:?}",
            decision.effect,
            names(&decision.rules),
            names(&decision.undecided),
            names(&decision.skipped)
        );
        (decision, told)
    }

    const DELETE: &str = r#"{"name":"Delete","account":"production"}"#;
    const UNKNOWN: &str = r#""enrich":{"who":{"known":false}}"#;

    #[test]
    fn a_policy_gives_its_rule_the_effect() {
        let check = |said: &str, expected: &str| {
            let answers = format!(r#"{{{UNKNOWN},"policy":{{{said}}}}}"#);
            let defaults = DecisionDefaults::default();
            let (decision, told) = asked("indeterminate", DELETE, (&answers, &[]), defaults);
            assert_eq!(told, expected);
            decision
        };
        let denied = check(
            r#""guard":{"effect":"deny","reason":"not on Fridays","obligations":{"ticket":7}}"#,
            r#"deny by ["guarded:deny", "ask-first:require_approval"], undecided [], skipped []"#,
        );
        assert_eq!(denied.rules[0].reason, "not on Fridays");
        assert_eq!(denied.rules[0].plugin.as_deref(), Some("guard"));
        assert_eq!(denied.rules[0].obligations["ticket"], 7);
        let allowed = check(
            r#""guard":{"effect":"allow","reason":""}"#,
            r#"require_approval by ["ask-first:require_approval", "guarded:allow"], undecided [], skipped []"#,
        );
        assert_eq!(allowed.rules[1].reason, "Guarded", "the title, without one");
        check(
            "",
            r#"require_approval by ["ask-first:require_approval"], undecided [], skipped []"#,
        );
    }

    #[test]
    fn a_policy_without_an_answer_counts_as_its_rule_says() {
        let check = |on_error: &str, expected: &str| {
            let answers = format!("{{{UNKNOWN}}}");
            let failed = (answers.as_str(), &["guard"][..]);
            let (decision, told) = asked(on_error, DELETE, failed, DecisionDefaults::default());
            assert_eq!(told, expected);
            let all = [&decision.rules, &decision.undecided, &decision.skipped];
            let guarded = all
                .into_iter()
                .flatten()
                .find(|one| one.rule_id == "guarded");
            let guarded = guarded.expect("it is told");
            assert_eq!(guarded.plugin.as_deref(), Some("guard"));
            assert!(guarded.reason.contains("it trapped"), "{}", guarded.reason);
        };
        let ask_first = r#"["ask-first:require_approval"]"#;
        check(
            "indeterminate",
            &format!(r#"deny by {ask_first}, undecided ["guarded:undecided"], skipped []"#),
        );
        check(
            "skip",
            &format!(
                r#"require_approval by {ask_first}, undecided [], skipped ["guarded:undecided"]"#
            ),
        );
        check(
            "fail-closed",
            r#"deny by ["guarded:deny", "ask-first:require_approval"], undecided [], skipped []"#,
        );
    }

    #[test]
    fn what_allows_does_not_allow_because_a_plugin_failed() {
        let defaults = DecisionDefaults {
            unmatched: Effect::Deny,
            undecided: Effect::Deny,
        };
        let read = r#"{"name":"Read","account":"test"}"#;
        let known = r#"{"enrich":{"who":{"known":true}}}"#;
        let told = |answers: (&str, &[&str])| asked("skip", read, answers, defaults).1;
        assert_eq!(
            told((known, &[])),
            r#"allow by ["known-may:allow"], undecided [], skipped []"#
        );
        assert_eq!(
            told(("{}", &["who"])),
            r#"deny by [], undecided ["known-may:allow"], skipped []"#
        );
    }

    #[test]
    fn a_rule_that_is_off_for_its_mistakes_may_have_refused() {
        let broken = RULES.replace("event.account == ", "evnt.account == ");
        let files: Vec<File> = broken
            .split("#---\n")
            .enumerate()
            .map(|(number, text)| File::found(format!("{number}.toml"), text))
            .collect();
        let catalog = load(&files, jiff::civil::date(2026, 1, 1));
        let (rules, _) = RuleSet::of_catalog(&catalog);
        assert_eq!(rules.rules().len(), 3);
        let mut parser = Parser::new();
        let event = Event::new(parser.parse(br#"{"name":"Read"}"#).expect("an event"));
        let decision = Evaluator::for_decisions(&rules).decide(&event, DecisionDefaults::default());
        assert_eq!(decision.effect, Effect::Deny);
        assert_eq!(decision.undecided[0].rule_id, "ask-first");
        assert!(decision.undecided[0].reason.contains("tripline check"));
    }

    #[test]
    fn decisions_ask_only_the_plugins_of_rules_that_decide() {
        let files = [File::found(
            "a.toml",
            ASKING
                .split("#---\n")
                .next()
                .unwrap_or_default()
                .replace("effect = \"policy.guard\"", "")
                .replace("!= \"Read\"", "!= \"Read\" && has(policy.guard)"),
        )];
        let mut catalog = load(&files, jiff::civil::date(2026, 1, 1));
        catalog.plugins = Plugins::from([("guard".to_owned(), Answer::Decision)]);
        let (rules, reports) = RuleSet::of_catalog(&catalog);
        assert_eq!(rules.rules().len(), 1, "{reports:?}");
        let mut parser = Parser::new();
        let event = Event::new(parser.parse(DELETE.as_bytes()).expect("an event"));
        let awaits = |mut evaluator: Evaluator<'_>| evaluator.awaits(&event).plugins.len();
        assert_eq!(awaits(Evaluator::new(&rules)), 1);
        assert_eq!(awaits(Evaluator::for_decisions(&rules)), 0);
    }

    #[test]
    fn allowing_is_the_least_strict() {
        assert!(Effect::Allow < Effect::RequireApproval && Effect::RequireApproval < Effect::Deny);
    }
}
