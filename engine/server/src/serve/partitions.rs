//! The partitions: which log an event belongs into, and which rules that makes inexact.
//!
//! An event belongs where the text at one path of it says: its FNV-1a hash (64 bits, of the bytes of the text; of nothing where
//! it has none) modulo the number of partitions. So everything of one account, say, is evaluated in order by one worker. A
//! rule that remembers sees all that it must see only if it keeps apart what is kept apart here.

use std::sync::Arc;
use tripline_core::evaluate::RuleSet;
use tripline_core::event::Json;
use tripline_core::port::{AppendMax, Bus, Durability, Partition};
use tripline_core::rule::Selector;
use tripline_core::rule::kind::{Kind, Memory};

/// What findings are told apart by where their rule does not say.
const DEFAULT_PATH: &str = "recipientAccountId";

/// The logs, and the path that says which.
#[derive(Clone)]
pub(crate) struct Partitions {
    logs: Arc<[Arc<dyn Bus>]>,
    path: Arc<str>,
}

impl Partitions {
    /// There is one log at least.
    pub(crate) fn new(logs: Vec<Arc<dyn Bus>>, path: &str) -> Self {
        debug_assert!(!logs.is_empty());
        Self {
            logs: logs.into(),
            path: path.into(),
        }
    }

    pub(crate) fn count(&self) -> u32 {
        self.logs.len() as u32
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = (Partition, &Arc<dyn Bus>)> {
        (0..).map(Partition).zip(self.logs.iter())
    }

    /// The log of a partition that there is.
    pub(crate) fn log(&self, partition: Partition) -> &dyn Bus {
        self.logs[partition.0 as usize].as_ref()
    }

    /// Where an event belongs.
    pub(crate) fn of(&self, event: Json<'_>) -> Partition {
        if self.logs.len() == 1 {
            return Partition(0);
        }
        let found = self
            .path
            .split('.')
            .try_fold(event, |within, key| within.get(key));
        let text = found.and_then(Json::as_text).map(|text| text.decode());
        let hash = fnv(text.as_deref().unwrap_or("").as_bytes());
        Partition((hash % self.logs.len() as u64) as u32)
    }

    /// What every log takes in one append.
    pub(crate) fn append_max(&self) -> AppendMax {
        self.logs[0].append_max()
    }

    /// What acknowledgements of every log outlive.
    pub(crate) fn durability(&self) -> Durability {
        self.logs[0].durability()
    }

    /// The rules that see only a part of what they must see, and what to do about each.
    pub(super) fn inexact(&self, rules: &RuleSet) -> Vec<String> {
        if self.logs.len() == 1 {
            return Vec::new();
        }
        let path = self.path.as_ref();
        let holds = |keys: &[Selector]| keys.iter().any(|key| is_path(&key.text, path));
        let mut found = Vec::new();
        for one in rules.rules() {
            let rule = &one.rule;
            let mut tell = |what: &str| {
                found.push(format!(
                    "{}: {what} does not name `event.{path}`, by which events are told apart",
                    rule.id
                ));
            };
            // What a rule that asks is told is as exact as the rules that it asks, which are looked at themselves.
            let asks = |memory: &&Memory| !matches!(memory.kind, Kind::Scored);
            if let Some(memory) = rule.memory.as_ref().filter(asks) {
                let inputs = rule.inputs.iter().filter_map(|one| one.group_by.as_deref());
                let is_apart = holds(&memory.group_by) && inputs.clone().all(holds);
                if !is_apart {
                    tell("group_by");
                    continue;
                }
            }
            if let Some(suppress) = &rule.suppress {
                let by = suppress.by.as_ref().or(rule.finding.dedup_key.as_ref());
                // Without any it is the account and who acted.
                let is_apart = by.map_or(path == DEFAULT_PATH, |by| holds(by));
                if !is_apart {
                    tell("the key of [suppress]");
                }
            }
        }
        found
    }
}

/// Whether a selector is what is at a path, maybe with a text where there is nothing.
fn is_path(text: &str, path: &str) -> bool {
    let plain: String = text
        .chars()
        .filter(|one| !one.is_whitespace() && *one != '?')
        .collect();
    let plain = match plain.split_once(".orValue(") {
        // Any other text would be a key of its own there, and none here.
        Some((before, "\"\")" | "'')")) => before,
        _ => &plain,
    };
    plain.strip_prefix("event.") == Some(path)
}

fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::{fnv, is_path};

    #[test]
    fn hashes_are_those_that_others_compute() {
        // The vectors that the authors of FNV publish.
        for (text, hash) in [
            ("", 0xcbf2_9ce4_8422_2325),
            ("a", 0xaf63_dc4c_8601_ec8c),
            ("foobar", 0x8594_4171_f739_67e8),
        ] {
            assert_eq!(fnv(text.as_bytes()), hash, "{text}");
        }
    }

    #[test]
    fn paths_are_recognized_as_authors_write_them() {
        for (text, path, is) in [
            ("event.recipientAccountId", "recipientAccountId", true),
            (
                "event.?recipientAccountId.orValue(\"\")",
                "recipientAccountId",
                true,
            ),
            (
                "event.?userIdentity.?accountId.orValue('')",
                "userIdentity.accountId",
                true,
            ),
            ("event.userIdentity.arn", "userIdentity.accountId", false),
            (
                "event.recipientAccountId + \"x\"",
                "recipientAccountId",
                false,
            ),
            ("recipientAccountId", "recipientAccountId", false),
        ] {
            assert_eq!(is_path(text, path), is, "{text}");
        }
    }
}
