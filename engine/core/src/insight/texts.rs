//! Texts that series and names are shown by, each kept once and called by a number.
//!
//! Keys of series share their parts: a million of them have a few thousand different ones. Numbers are given in the order of
//! first use and kept for good until a sweep gives free those that nobody uses. Never looks into a text.

use crate::limits::INSIGHT_TEXT_BYTES_MAX;
use std::collections::BTreeMap;

/// What a series and those whose it is are called.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SeriesTexts {
    /// The parts of its key.
    pub key: Vec<String>,
    /// The name of each attribution.
    pub names: Vec<String>,
}

/// Texts by number.
#[derive(Clone, Debug, Default)]
pub(super) struct Texts {
    all: Vec<Option<Box<str>>>,
    numbers: BTreeMap<Box<str>, u32>,
    free: Vec<u32>,
    bytes: usize,
}

/// What a text takes beside its bytes: twice a pointer and a length, a number, and its share of the nodes of a tree.
const TEXT_BYTES: usize = 64;

impl Texts {
    /// The number of a text; too long ones are cut.
    pub(super) fn number(&mut self, text: &str) -> u32 {
        let text = cut(text);
        if let Some(number) = self.numbers.get(text) {
            return *number;
        }
        let number = self.free.pop().unwrap_or_else(|| {
            self.all.push(None);
            (self.all.len() - 1) as u32
        });
        self.put(number, text);
        number
    }

    fn put(&mut self, number: u32, text: &str) {
        self.bytes += 2 * text.len() + TEXT_BYTES;
        self.all[number as usize] = Some(text.into());
        self.numbers.insert(text.into(), number);
    }

    /// The text of a number.
    pub(super) fn get(&self, number: u32) -> &str {
        let text = self.all.get(number as usize).and_then(Option::as_deref);
        text.unwrap_or("")
    }

    /// Forgets all texts but those of which `is_used` holds.
    pub(super) fn keep(&mut self, is_used: impl Fn(u32) -> bool) {
        for (number, text) in (0u32..).zip(&mut self.all) {
            if text.is_some() && !is_used(number) {
                let Some(text) = text.take() else { continue };
                self.numbers.remove(&text);
                self.bytes -= 2 * text.len() + TEXT_BYTES;
                self.free.push(number);
            }
        }
    }

    /// About how many bytes they take.
    pub(super) fn bytes(&self) -> usize {
        self.bytes + self.all.capacity() * 16
    }

    /// Every text with its number, in order.
    pub(super) fn kept(&self) -> Vec<(u32, String)> {
        let all = (0u32..).zip(&self.all);
        all.filter_map(|(number, text)| Some((number, text.as_deref()?.to_owned())))
            .collect()
    }

    /// From what was kept. The numbers that are free come in an order of their own, so that the next text gets the same number
    /// as it would have.
    pub(super) fn restored(kept: Vec<(u32, String)>, free: Vec<u32>) -> Option<Self> {
        let mut texts = Self::default();
        let count = kept.len() + free.len();
        texts.all = vec![None; count];
        for (number, text) in kept {
            let place = texts.all.get(number as usize)?;
            if place.is_some() || text.len() > INSIGHT_TEXT_BYTES_MAX {
                return None;
            }
            texts.put(number, &text);
        }
        let sound = |number: &u32| {
            let place = texts.all.get(*number as usize);
            place.is_some_and(Option::is_none)
        };
        if !free.iter().all(sound) {
            return None;
        }
        texts.free = free;
        Some(texts)
    }

    /// Numbers that are free, the next one last.
    pub(super) fn free(&self) -> &[u32] {
        &self.free
    }
}

fn cut(text: &str) -> &str {
    let mut end = text.len().min(INSIGHT_TEXT_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}
