//! From a match to a finding: identity, title, severity, key and context, computed from the event.
//!
//! Runs only for matches, so it may allocate. Nothing here can undo a match: what cannot be computed is left
//! out or shown as `?`, and the finding's notes say why.

use super::evaluator::{Evaluator, describe};
use super::rule_set::{RuleIndex, RulePre, TitlePart};
use crate::event::Event;
use crate::rule::Severity;
use crate::selector::{Evaluation, NodeId, Program};
use crate::wire::{FINDING_VERSION, Finding};
use serde_json::Value as JsonValue;
use sha2::{Digest, Sha256};

/// Longest text put into a title from one placeholder; an event is not ours to trust with a terminal line.
const TITLE_PART_CHARS_MAX: usize = 256;

impl Evaluator<'_> {
    /// The finding of a rule that matches `event`.
    pub fn finding(&mut self, rule: RuleIndex, event: &Event<'_>) -> Finding {
        let prepared = &self.set.rules()[rule.0 as usize];
        let event_id = event.id();
        let (title, severity, dedup_key, context, notes) =
            self.on_event(event, |evaluation, program| {
                let mut shaping = Shaping {
                    evaluation,
                    program,
                    notes: Vec::new(),
                };
                let title = shaping.title(prepared);
                let severity = shaping.severity(prepared);
                let dedup_key = shaping.dedup_key(prepared);
                let context = shaping.context(prepared);
                (title, severity, dedup_key, context, shaping.notes)
            });
        Finding {
            version: FINDING_VERSION,
            finding_id: finding_id(prepared, event_id.as_str()),
            rule_id: prepared.rule.id.to_string(),
            rule_version: prepared.version.clone(),
            rule_name: prepared.rule.name.clone(),
            severity: severity.to_string(),
            title,
            dedup_key,
            event_id: event_id.as_str().to_owned(),
            event_time: event.time().map(|time| time.to_string()),
            context,
            attack: prepared
                .rule
                .attack
                .iter()
                .map(ToString::to_string)
                .collect(),
            notes,
        }
    }
}

/// The same rule, version and event give the same id, whoever computes it.
fn finding_id(rule: &RulePre, event_id: &str) -> String {
    let mut hash = Sha256::new();
    for part in [rule.rule.id.as_str(), &rule.version, event_id] {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hex(&hash.finalize()[..16])
}

/// Bytes as hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

struct Shaping<'s, 'e> {
    evaluation: &'s mut Evaluation<'e>,
    program: &'s Program,
    notes: Vec<String>,
}

impl Shaping<'_, '_> {
    fn title(&mut self, rule: &RulePre) -> String {
        if rule.title.is_empty() {
            return rule.rule.name.clone();
        }
        let mut title = String::new();
        for part in &rule.title {
            match part {
                TitlePart::Text(text) => title.push_str(text),
                TitlePart::Value(node) => match self.json(*node) {
                    Ok(value) => title.push_str(&printable(&plain(&value))),
                    Err(fault) => {
                        title.push('?');
                        self.notes.push(format!("title: {fault}"));
                    }
                },
            }
        }
        title
    }

    fn severity(&mut self, rule: &RulePre) -> Severity {
        let Some(node) = rule.severity else {
            return rule.rule.severity;
        };
        let fault = match self.json(node) {
            Ok(JsonValue::String(word)) => match Severity::from_word(&word) {
                Some(severity) => return severity,
                None => format!("`{word}` is no severity"),
            },
            Ok(other) => format!("{other} is no severity"),
            Err(fault) => fault,
        };
        self.notes.push(format!("severity: {fault}"));
        rule.rule.severity
    }

    fn dedup_key(&mut self, rule: &RulePre) -> Vec<String> {
        let mut key = Vec::with_capacity(rule.dedup_key.len());
        for (at, node) in rule.dedup_key.iter().enumerate() {
            match self.json(*node) {
                Ok(value) => key.push(plain(&value)),
                Err(fault) => {
                    key.push(String::new());
                    self.notes.push(format!("dedup_key[{at}]: {fault}"));
                }
            }
        }
        key
    }

    fn context(&mut self, rule: &RulePre) -> serde_json::Map<String, JsonValue> {
        let mut context = serde_json::Map::new();
        for (name, node) in &rule.context {
            match self.json(*node) {
                Ok(value) => {
                    context.insert(name.clone(), value);
                }
                Err(fault) => self.notes.push(format!("context.{name}: {fault}")),
            }
        }
        context
    }

    fn json(&mut self, node: NodeId) -> Result<JsonValue, String> {
        match self.evaluation.eval(node) {
            Ok(value) => Ok(value.to_json()),
            Err(fault) => Err(describe(&fault, self.program)),
        }
    }
}

/// A value as text: strings as they are, `null` as nothing, the rest as JSON.
fn plain(value: &JsonValue) -> String {
    match value {
        JsonValue::String(text) => text.clone(),
        JsonValue::Null => String::new(),
        other => other.to_string(),
    }
}

/// Text from an event must not move the cursor, colour the terminal or flood the line.
fn printable(text: &str) -> String {
    // Direction overrides can make `evil` read `live`.
    let unruly = |c: char| matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let clean = |c: char| {
        if c.is_control() || unruly(c) {
            '\u{fffd}'
        } else {
            c
        }
    };
    let mut out: String = text.chars().take(TITLE_PART_CHARS_MAX).map(clean).collect();
    if text.chars().nth(TITLE_PART_CHARS_MAX).is_some() {
        out.push('…');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::printable;

    #[test]
    fn titles_hold_no_control_characters_and_end() {
        assert_eq!(printable("a\u{1b}[31mb\n"), "a\u{fffd}[31mb\u{fffd}");
        assert_eq!(printable(&"x".repeat(300)).chars().count(), 257);
    }
}
