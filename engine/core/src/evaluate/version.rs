//! What a change of a rule changes: what it finds, and what it remembers.

use super::finding::hex;
use crate::rule::kind::{Insight, Kind, Memory, Period, Temporal};
use crate::rule::{Condition, Rule, RuleEffect, Selector};
use crate::selector::print;
use sha2::{Digest, Sha256};

/// Hash of everything that can change what a rule finds: its selectors and severity in effect, not its prose.
pub(super) fn version(rule: &Rule) -> String {
    let mut hash = Sha256::new();
    let mut part = |text: &str| {
        hash.update((text.len() as u64).to_le_bytes());
        hash.update(text);
    };
    part(rule.severity.as_str());
    if !super::ask::asked(rule).is_empty() {
        part(rule.on_error.as_str());
    }
    for selector in rule.selectors() {
        part(&selector.text);
    }
    // The name of a policy is among the selectors.
    if let Some(RuleEffect::Fixed(effect)) = rule.effect {
        part(effect.as_str());
    }
    for exception in &rule.exceptions {
        part(
            &exception
                .expires
                .map_or(String::new(), |expiry| expiry.end.to_string()),
        );
        if let Condition::Listed { list, .. } = &exception.condition {
            part(list);
        }
    }
    if let Some(title) = &rule.finding.title {
        part(&title.text);
    }
    for (name, _) in &rule.finding.context {
        part(name);
    }
    if let Some(memory) = &rule.memory {
        part(&parameters(memory));
    }
    for reference in rule.inputs.iter().flat_map(|input| &input.rules) {
        part(&reference.pattern);
    }
    if let Some(suppress) = &rule.suppress {
        part(&suppress.window.to_string());
    }
    hex(&hash.finalize()[..8])
}

/// What a kind's table says beside its selectors, which are hashed by themselves.
fn parameters(memory: &Memory) -> String {
    let Memory {
        kind,
        lateness,
        groups_max,
        ..
    } = memory;
    let kind_text = match kind {
        Kind::Threshold(kind) => format!("{kind} {} {}", kind.events_min, kind.percentile),
        Kind::Sequence(kind) => format!(
            "{} {:?} {:?} {}",
            kind.within, kind.repeats, kind.until, kind.ties
        ),
        Kind::Temporal(kind) => format!("{} {}", kind.within, temporal_inputs(kind)),
        Kind::Absence(kind) => format!("{} {}", kind.within, kind.order),
        Kind::FirstSeen(kind) => format!(
            "{} {} {}",
            kind.history, kind.learning, kind.learning_of_group
        ),
        Kind::Rare(kind) => format!("{} {} {}", kind.window, kind.fewer_than, kind.learning),
        Kind::Risk(kind) => format!(
            "{} {} {}",
            kind.threshold, kind.half_life, kind.rule_score_max
        ),
        Kind::Insight(kind) => kind.to_string(),
        Kind::Entity(kind) => kind.to_string(),
        Kind::Scored => String::new(),
    };
    format!("{} {kind_text} {lateness} {groups_max}", kind.as_str())
}

/// How often each step happens, and which input must not; as it was before there could be one.
fn temporal_inputs(kind: &Temporal) -> String {
    let without = kind.without.map(|input| format!(" {input}"));
    format!("{:?}{}", kind.repeats, without.unwrap_or_default())
}

/// Selectors as trees, in one way of writing.
fn texts<'s>(selectors: impl IntoIterator<Item = &'s Selector>) -> Vec<String> {
    selectors.into_iter().map(|one| print(&one.expr)).collect()
}

/// What gives meaning to the series of an insight.
fn of_insight(insight: &Insight, part: &mut impl FnMut(&str, &[String])) {
    part("value", &[insight.value.as_str().to_owned()]);
    part("direction", &[insight.direction.as_str().to_owned()]);
    part("of", &texts(&insight.of));
    part("fails", &texts(&insight.fails));
    let all = insight.attributions.iter();
    let (names, of): (Vec<String>, Vec<&Selector>) =
        all.map(|(name, of)| (name.clone(), of)).unzip();
    part("attributions", &names);
    part("attributed", &texts(of));
}

/// Hash of what gives meaning to what a rule remembers: its kind, what it looks at, its keys and values. Titles,
/// severities, thresholds and lengths of windows may change and the memory stays good. Conditions are hashed as trees, so
/// that blanks, brackets and comments may change too.
pub(super) fn memory_version(rule: &Rule) -> String {
    let mut hash = Sha256::new();
    let mut part = |name: &str, texts: &[String]| {
        // Names and counts, so that a part cannot move from one list into the next and mean the same.
        for text in [&[name.to_owned()], texts].concat() {
            hash.update((text.len() as u64).to_le_bytes());
            hash.update(text);
        }
        hash.update((texts.len() as u64).to_le_bytes());
    };
    let word = |word: &str| word.to_owned();
    if let Some(memory) = &rule.memory {
        part("kind", &[word(memory.kind.as_str())]);
        part("group_by", &texts(&memory.group_by));
        match &memory.kind {
            Kind::Threshold(kind) => {
                part("of", &texts(&kind.of));
                part(
                    "window",
                    &[word(kind.measure.as_str()), word(kind.over.as_str())],
                );
            }
            Kind::Sequence(kind) => {
                part("repeats", &[format!("{:?} {:?}", kind.repeats, kind.until)]);
                part("ties", &[word(kind.ties.as_str())]);
            }
            Kind::Temporal(kind) => part("repeats", &[temporal_inputs(kind)]),
            Kind::Absence(kind) => part("order", &[word(kind.order.as_str())]),
            Kind::FirstSeen(kind) => {
                part("of", &texts(&kind.of));
                // Where values are kept depends on it.
                let learns = kind.learning_of_group > Period::ZERO;
                part(
                    "learns by group",
                    &[word(if learns { "yes" } else { "no" })],
                );
            }
            Kind::Rare(kind) => {
                part("of", &texts(&kind.of));
                part("by", &texts(&kind.by));
            }
            Kind::Risk(kind) => part("score", &texts(&kind.score)),
            Kind::Entity(kind) => {
                part("of", &texts(&kind.of));
                part("peers", &texts(&kind.peers));
            }
            Kind::Scored => {}
            Kind::Insight(kind) => of_insight(kind, &mut part),
        }
    }
    for input in &rule.inputs {
        let rules = input.rules.iter().map(|one| one.pattern.clone());
        part("input", std::slice::from_ref(&input.name));
        part("when", &texts(&input.when));
        part("rules", &rules.collect::<Vec<_>>());
        part("group_by", &texts(input.group_by.iter().flatten()));
    }
    hex(&hash.finalize()[..8])
}
