//! Answers that need not be asked for again: what a plugin that cannot remember anything said of the same fields.
//!
//! Keys are 128 bits of two keyed hashes of everything that the plugin is given of an event, so that nobody who writes
//! events can make two of them look the same. Failures are never kept. When it is full all is forgotten: what comes
//! often is there again at once, and nothing has to be noted when an answer is found.

use super::answers::RowAnswer;
use serde_json::Value;
use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use tripline_core::event::Json;

/// Memory of the answers of one plugin that a thread keeps; there are as many threads as cores.
const BYTES_MAX: usize = 8 * 1024 * 1024;
/// Longest answer that is kept: long ones come of long fields, which seldom repeat.
const ANSWER_BYTES_MAX: usize = 4 * 1024;

/// The answers of one plugin.
pub(super) struct Memo {
    states: [RandomState; 2],
    answers: HashMap<u128, RowAnswer>,
    bytes: usize,
}

impl Memo {
    pub(super) fn new() -> Self {
        Self {
            states: [RandomState::new(), RandomState::new()],
            answers: HashMap::new(),
            bytes: 0,
        }
    }

    /// What stands for these values, of which some may be absent.
    pub(super) fn key<'d>(&self, values: impl Iterator<Item = Option<Json<'d>>>) -> u128 {
        let mut hashers = self.states.each_ref().map(BuildHasher::build_hasher);
        for value in values {
            let raw = value.map(Json::raw);
            for hasher in &mut hashers {
                match raw {
                    // Lengths keep one value from running into the next.
                    Some(raw) => {
                        hasher.write_usize(raw.len());
                        hasher.write(raw);
                    }
                    None => hasher.write_usize(usize::MAX),
                }
            }
        }
        let [high, low] = hashers.map(|hasher| hasher.finish());
        u128::from(high) << 64 | u128::from(low)
    }

    pub(super) fn get(&self, key: u128) -> Option<&RowAnswer> {
        self.answers.get(&key)
    }

    pub(super) fn keep(&mut self, key: u128, answer: &RowAnswer) {
        let fields = match answer {
            RowAnswer::Facts(fields) | RowAnswer::Hit(fields) | RowAnswer::Decision(fields) => {
                Some(fields)
            }
            RowAnswer::Nothing => None,
            RowAnswer::Failed(_) => return,
        };
        let bytes = ENTRY_BYTES + fields.map_or(0, |fields| fields.iter().map(weight).sum());
        if bytes > ANSWER_BYTES_MAX {
            return;
        }
        if self.bytes + bytes > BYTES_MAX {
            self.answers.clear();
            self.bytes = 0;
        }
        if self.answers.insert(key, answer.clone()).is_none() {
            self.bytes += bytes;
        }
    }
}

/// About what a place in a table takes.
const ENTRY_BYTES: usize = 96;

/// About how much memory a field of an answer takes.
fn weight((name, value): (&String, &Value)) -> usize {
    ENTRY_BYTES + name.len() + value_weight(value)
}

fn value_weight(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len(),
        Value::Array(items) => items
            .iter()
            .map(|item| ENTRY_BYTES + value_weight(item))
            .sum(),
        Value::Object(fields) => fields.iter().map(weight).sum(),
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Map, json};

    fn answer(length: usize) -> RowAnswer {
        RowAnswer::Facts(Map::from_iter([(
            "a".to_owned(),
            json!("x".repeat(length)),
        )]))
    }

    #[test]
    fn answers_take_bounded_memory() {
        let mut memo = Memo::new();
        memo.keep(0, &answer(ANSWER_BYTES_MAX));
        assert_eq!(memo.get(0), None, "long answers are not kept");
        memo.keep(0, &RowAnswer::Failed("no".to_owned()));
        assert_eq!(memo.get(0), None, "failures are not kept");
        for key in 0..20_000 {
            memo.keep(key, &answer(2048));
            assert!(memo.bytes <= BYTES_MAX);
        }
        assert_eq!(memo.get(19_999), Some(&answer(2048)));
        assert!(memo.answers.len() < 8_000);
    }
}
