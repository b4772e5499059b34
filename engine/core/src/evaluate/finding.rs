//! From a match to a finding: identity, title, severity, key and context, computed from the event.
//!
//! Runs only for matches, so it may allocate. Nothing here can undo a match: what cannot be computed is left
//! out or shown as `?`, and the finding's notes say why.

use super::evaluator::{Evaluator, describe};
use super::rule_set::{RuleIndex, RulePre, TitlePart};
use super::step::Parsers;
use crate::diagnostic::Printable;
use crate::event::Event;
use crate::rule::Severity;
use crate::rule::kind::{Firing, Kind};
use crate::selector::{Evaluation, NodeId, Program};
use crate::wire::{FINDING_VERSION, Finding, Pattern};
use serde_json::Value as JsonValue;
use sha2::{Digest, Sha256};

/// Longest text put into a title from one placeholder; an event is not ours to trust with a terminal line.
const TITLE_PART_CHARS_MAX: usize = 256;

impl Evaluator<'_> {
    /// The finding of a rule that matches `event`.
    pub fn finding(&mut self, rule: RuleIndex, event: &Event<'_>) -> Finding {
        let prepared = &self.set.rules()[rule.0 as usize];
        let event_id = event.id();
        let mut shaped = self.on_event(event, |evaluation, program| {
            shape(evaluation, program, prepared)
        });
        if let Some((plugin, reason)) = self.unanswered_by_inputs(rule, event) {
            let note = format!(
                "plugin `{plugin}` gave no answer ({reason}); the rule matches all the same"
            );
            shaped.notes.insert(0, note);
        } else if let Some((plugin, reason)) = self.unanswered(&prepared.shaped_by, event) {
            let note = format!("plugin `{plugin}` gave no answer ({reason})");
            shaped.notes.insert(0, note);
        }
        let time = event.time().map(|time| time.to_string());
        shaped.into_finding(prepared, event_id.as_str(), time, &[])
    }

    /// The title of what a rule that matches says of an event, without the rest of the finding.
    pub(super) fn title(&mut self, rule: RuleIndex, event: &Event<'_>) -> String {
        let prepared = &self.set.rules()[rule.0 as usize];
        let is_text = |part: &TitlePart| matches!(part, TitlePart::Text(_));
        if prepared.title.is_empty() || prepared.title.iter().all(is_text) {
            return fixed_title(prepared);
        }
        self.on_event(event, |evaluation, program| {
            let mut shaping = Shaping {
                evaluation,
                program,
                notes: Vec::new(),
            };
            shaping.title(prepared)
        })
    }

    /// What a finding is suppressed by, key and severity: much less work than the finding, of which most are only
    /// counted. Nothing when its events can no longer be read.
    pub fn firing_key(
        &mut self,
        rule: RuleIndex,
        firing: &Firing,
        parsers: &mut Parsers,
    ) -> Option<(Vec<String>, Severity)> {
        let prepared = &self.set.rules()[rule.0 as usize];
        self.on_firing(rule, firing, parsers, |evaluation, program| {
            let mut shaping = Shaping {
                evaluation,
                program,
                notes: Vec::new(),
            };
            let by = prepared.suppress_by.as_ref();
            let key = shaping.key("suppress.by", by.unwrap_or(&prepared.dedup_key));
            (key, shaping.severity(prepared))
        })
    }

    /// What a rule that remembers found at this input and in this group. Nothing when its events can no longer be read.
    pub fn firing_finding(
        &mut self,
        rule: RuleIndex,
        place: (u16, u128),
        firing: &Firing,
        parsers: &mut Parsers,
    ) -> Option<Finding> {
        let (shaped, group_text) = self.shape_firing(rule, place, firing, parsers)?;
        let prepared = &self.set.rules()[rule.0 as usize];
        let id = firing.event.key.to_string();
        let time = Some(firing.event.time.to_string());
        let memory = prepared.rule.memory.as_ref();
        // What asks about one event finds it like a rule that does not ask.
        let Some(memory) = memory.filter(|memory| memory.kind != Kind::Scored) else {
            return Some(shaped.into_finding(prepared, &id, time, &[]));
        };
        let telling = [
            place.1.to_le_bytes(),
            (firing.time.micros() as u128).to_le_bytes(),
        ]
        .concat();
        let finding = shaped.into_finding(prepared, &id, Some(firing.time.to_string()), &telling);
        let pattern = Pattern {
            kind: memory.kind.as_str().to_owned(),
            group: group_text,
            start: firing.start.to_string(),
            end: firing.time.to_string(),
            count: firing.count,
            value: firing.value,
            event_ids: firing.cited.iter().map(ToString::to_string).collect(),
        };
        Some(Finding {
            pattern: Some(pattern),
            ..finding
        })
    }
}

/// A title of which nothing is computed.
fn fixed_title(rule: &RulePre) -> String {
    let texts = rule.title.iter().filter_map(|part| match part {
        TitlePart::Text(text) => Some(text.as_str()),
        TitlePart::Value(_) => None,
    });
    match rule.title.is_empty() {
        true => rule.rule.name.clone(),
        false => texts.collect(),
    }
}

/// What of a finding is computed from its event.
pub(super) struct Shaped {
    title: String,
    severity: Severity,
    dedup_key: Vec<String>,
    context: serde_json::Map<String, JsonValue>,
    notes: Vec<String>,
}

/// Computes what a finding of `rule` says.
pub(super) fn shape(evaluation: &mut Evaluation<'_>, program: &Program, rule: &RulePre) -> Shaped {
    let mut shaping = Shaping {
        evaluation,
        program,
        notes: Vec::new(),
    };
    let title = shaping.title(rule);
    let severity = shaping.severity(rule);
    let dedup_key = shaping.key("dedup_key", &rule.dedup_key);
    let context = shaping.context(rule);
    // A part that has no value is noted, though the key itself is not told.
    if let Some(by) = &rule.suppress_by {
        shaping.key("suppress.by", by);
    }
    Shaped {
        title,
        severity,
        dedup_key,
        context,
        notes: shaping.notes,
    }
}

impl Shaped {
    /// The finding, whose id is told apart by `telling` when its rule may find several things at one event.
    fn into_finding(
        self,
        prepared: &RulePre,
        event_id: &str,
        event_time: Option<String>,
        telling: &[u8],
    ) -> Finding {
        let Self {
            title,
            severity,
            dedup_key,
            context,
            notes,
            ..
        } = self;
        Finding {
            version: FINDING_VERSION,
            finding_id: finding_id(prepared, event_id, telling),
            rule_id: prepared.rule.id.to_string(),
            rule_version: prepared.version.clone(),
            rule_name: prepared.rule.name.clone(),
            severity: severity.to_string(),
            title,
            dedup_key,
            event_id: event_id.to_owned(),
            event_time,
            context,
            attack: prepared
                .rule
                .attack
                .iter()
                .map(ToString::to_string)
                .collect(),
            notes,
            pattern: None,
            suppressed: None,
            revision: 0,
        }
    }
}

/// The same rule, version and event give the same id, whoever computes it.
fn finding_id(rule: &RulePre, event_id: &str, telling: &[u8]) -> String {
    let mut hash = Sha256::new();
    for part in [rule.rule.id.as_str(), &rule.version, event_id] {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hash.update(telling);
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
                        self.note(format!("title: {fault}"));
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
        self.note(format!("severity: {fault}"));
        rule.rule.severity
    }

    fn key(&mut self, name: &str, parts: &[NodeId]) -> Vec<String> {
        let mut key = Vec::with_capacity(parts.len());
        for (at, node) in parts.iter().enumerate() {
            match self.json(*node) {
                Ok(value) => key.push(plain(&value)),
                Err(fault) => {
                    key.push(String::new());
                    self.note(format!("{name}[{at}]: {fault}"));
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
                Err(fault) => self.note(format!("context.{name}: {fault}")),
            }
        }
        context
    }

    /// Says it once, however many parts have the same trouble.
    fn note(&mut self, note: String) {
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
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
    let cut = text.char_indices().nth(TITLE_PART_CHARS_MAX);
    match cut {
        Some((end, _)) => format!("{}…", Printable(&text[..end])),
        None => Printable(text).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::printable;

    #[test]
    fn titles_hold_no_control_characters_and_end() {
        assert_eq!(printable("a\u{1b}[31mb\n"), "a\\u{1b}[31mb\\u{a}");
        assert_eq!(printable(&"x".repeat(300)).chars().count(), 257);
    }
}
