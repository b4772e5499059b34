//! The finding, as it is stored and delivered.
//!
//! Version 1. Old reader, new data: unknown fields are ignored. New reader, old data: every field added
//! later has a default. Old writer rewriting new data loses what it does not know, so findings are never edited,
//! only superseded.

use serde::{Deserialize, Serialize};

/// Version of the shape that this build writes.
pub const FINDING_VERSION: u32 = 1;

/// What a rule found in an event. The same rule, rule version and event always give the same finding.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// Version of this shape.
    pub version: u32,
    /// 32 hexadecimal digits from rule id, rule version and event id.
    pub finding_id: String,
    /// The rule.
    pub rule_id: String,
    /// 16 hexadecimal digits from everything in the rule that can change what is found.
    pub rule_version: String,
    /// The rule's name.
    pub rule_name: String,
    /// `informational` to `critical`, as computed for this event.
    pub severity: String,
    /// One line for people.
    pub title: String,
    /// Findings of one rule with the same key are about the same thing.
    pub dedup_key: Vec<String>,
    /// The event.
    pub event_id: String,
    /// When it happened, RFC 3339 in UTC; absent when the event does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_time: Option<String>,
    /// Named facts that the rule picked from the event.
    #[serde(default)]
    pub context: serde_json::Map<String, serde_json::Value>,
    /// ATT&CK, `tactic/technique`.
    #[serde(default)]
    pub attack: Vec<String>,
    /// What could not be computed for this finding, and why; the finding stands nevertheless.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// What a rule that remembers saw; absent for rules about single events. `event_time` is then the time at which
    /// it came to hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pattern: Option<Pattern>,
    /// Later detections that are counted on this finding; absent when there were none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suppressed: Option<SuppressedCount>,
    /// 0 when the finding is first told; more when it is told again because something was counted on it.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub revision: u32,
}

/// What a rule that remembers saw.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pattern {
    /// `threshold`, `sequence`, `temporal`, `absence`, `first_seen`, `rare` or `risk`.
    pub kind: String,
    /// The parts of the key of the group, as text; empty when the rule has none.
    pub group: Vec<String>,
    /// Time of the first event, RFC 3339.
    pub start: String,
    /// Time at which it came to hold, RFC 3339.
    pub end: String,
    /// How many events are in it.
    pub count: u64,
    /// What was compared: a count, a share, a sum, a score.
    pub value: f64,
    /// The latest of the events, at most 100.
    pub event_ids: Vec<String>,
}

/// Detections that were counted on a finding instead of making their own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SuppressedCount {
    /// How many.
    pub count: u64,
    /// When the last of them happened, RFC 3339.
    pub last: String,
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_finding_survives_writing_and_reading(
            texts in prop::collection::vec(".{0,12}", 8),
            key in prop::collection::vec(".{0,8}", 0..3),
            time in prop::option::of("[0-9TZ:-]{0,20}"),
        ) {
            let finding = Finding {
                version: FINDING_VERSION,
                finding_id: texts[0].clone(),
                rule_id: texts[1].clone(),
                rule_version: texts[2].clone(),
                rule_name: texts[3].clone(),
                severity: texts[4].clone(),
                title: texts[5].clone(),
                dedup_key: key.clone(),
                event_id: texts[6].clone(),
                context: key.iter().map(|one| (one.clone(), one.as_str().into())).collect(),
                attack: key.clone(),
                notes: key.clone(),
                pattern: time.as_ref().map(|end| Pattern {
                    kind: texts[0].clone(),
                    group: key.clone(),
                    start: texts[1].clone(),
                    end: end.clone(),
                    count: key.len() as u64,
                    value: 0.5,
                    event_ids: key.clone(),
                }),
                suppressed: time.as_ref().map(|last| SuppressedCount {
                    count: key.len() as u64,
                    last: last.clone(),
                }),
                revision: key.len() as u32,
                event_time: time,
            };
            let text = serde_json::to_string(&finding).expect("a finding is JSON");
            let read: Finding = serde_json::from_str(&text).expect("and reads back");
            prop_assert_eq!(read, finding);
        }
    }

    #[test]
    fn a_newer_finding_is_read_and_an_older_one_completed() {
        let text = r#"{"version":9,"finding_id":"f","rule_id":"r","rule_version":"v","rule_name":"n",
            "severity":"low","title":"t","dedup_key":[],"event_id":"e","colour":"unknown"}"#;
        let finding: Finding = serde_json::from_str(text).expect("unknown fields are ignored");
        assert_eq!(finding.version, 9);
        assert!(finding.context.is_empty() && finding.event_time.is_none());
    }
}
