//! Answers that need not be asked for again: what a plugin that cannot remember anything said of the same fields.
//!
//! Keys are 128 bits of two keyed hashes of everything that the plugin is given of an event, so that nobody who writes
//! events can make two of them look the same. Failures are never kept. When it is full all is forgotten: what comes
//! often is there again at once, and nothing has to be noted when an answer is found.

use super::answers::RowAnswer;
use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use tripline_core::event::Json;

/// Answers of one plugin that a thread keeps: a few megabytes with answers of usual size.
const ANSWERS_MAX: usize = 16 * 1024;

/// The answers of one plugin.
pub(super) struct Memo {
    states: [RandomState; 2],
    answers: HashMap<u128, RowAnswer>,
}

impl Memo {
    pub(super) fn new() -> Self {
        Self {
            states: [RandomState::new(), RandomState::new()],
            answers: HashMap::new(),
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
        if matches!(answer, RowAnswer::Failed(_)) {
            return;
        }
        if self.answers.len() >= ANSWERS_MAX {
            self.answers.clear();
        }
        self.answers.insert(key, answer.clone());
    }
}
