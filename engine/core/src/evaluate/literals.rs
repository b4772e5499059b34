//! The literals that rules are filed under, for one field: contained, at the end, or needed by a pattern.
//!
//! Each literal is known by one of its windows of a few bytes, the rarest among all. A text is asked window by window
//! whether a filter has it; nearly always the filter says no, without a look at anything beyond the nearest cache.
//! Where it says yes, the literals of the window are compared. Literals shorter than a window make an automaton of all.

use super::tables::FIRST;
use crate::selector::texts::with_folded;
use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};
use memchr::memmem::Finder;
use std::collections::BTreeMap;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Literals {
    texts: Vec<Box<str>>,
    by_text: BTreeMap<Box<str>, u32>,
    finder: Many,
    /// Some literal may occur in any case.
    folded: bool,
}

/// How the literals are looked for.
#[derive(Debug, Default)]
enum Many {
    /// Not at all: every literal counts as found.
    #[default]
    Nowhere,
    /// There is but one.
    Only(Finder<'static>),
    Windows(Windows),
    Automaton(AhoCorasick),
}

/// Most bytes of literals that are made into a full table; about a kilobyte of table each.
const TABLE_BYTES_MAX: usize = 4096;

/// What searching for literals came to.
pub(super) enum Search {
    /// Every literal that occurs was reported.
    Done,
    /// Too many occurrences to be worth telling apart: take every literal as found.
    Everything,
}

impl Literals {
    pub(super) fn intern(&mut self, text: &str) -> u32 {
        if let Some(id) = self.by_text.get(text) {
            return *id;
        }
        let id = FIRST + self.texts.len() as u32;
        self.texts.push(text.into());
        self.by_text.insert(text.into(), id);
        id
    }

    pub(super) fn len(&self) -> usize {
        self.texts.len()
    }

    /// A literal, in low ASCII letters, that may occur in any case.
    pub(super) fn intern_folded(&mut self, text: &str) -> u32 {
        self.folded = true;
        self.intern(text)
    }

    /// Makes what is searched with; when that cannot be built (too large), every literal counts as found.
    pub(super) fn finish(&mut self) {
        self.by_text = Default::default();
        if let [only] = &self.texts[..]
            && (!self.folded || only.is_ascii())
        {
            let wanted = match self.folded {
                true => only.to_ascii_lowercase(),
                false => only.to_string(),
            };
            self.finder = Many::Only(Finder::new(wanted.as_bytes()).into_owned());
            return;
        }
        self.finder = match Windows::new(&self.texts, self.folded) {
            Some(windows) => Many::Windows(windows),
            None => self.automaton().map_or(Many::Nowhere, Many::Automaton),
        };
    }

    fn automaton(&self) -> Option<AhoCorasick> {
        let texts = self.texts.iter().map(|text| text.as_bytes());
        // Small sets are searched twice as fast by a full table, which large ones would make too big.
        let bytes: usize = self.texts.iter().map(|text| text.len()).sum();
        let kind = (bytes <= TABLE_BYTES_MAX).then_some(AhoCorasickKind::DFA);
        AhoCorasick::builder()
            .kind(kind)
            .match_kind(MatchKind::Standard)
            .ascii_case_insensitive(self.folded)
            .build(texts)
            .ok()
    }

    /// Calls `found` with the id of every literal in `text`, perhaps more than once. Overlapping literals
    /// can occur as often as text times literals; the search gives up long before that.
    #[inline]
    pub(super) fn each(&self, text: &str, mut found: impl FnMut(u32)) -> Search {
        // Beyond ASCII, letters have cases that nothing here knows: `K` may be the Kelvin sign.
        if self.folded && !text.is_ascii() {
            return Search::Everything;
        }
        let mut budget = self.texts.len() * 4 + 64;
        match &self.finder {
            Many::Nowhere => return Search::Everything,
            Many::Only(only) => {
                let is_in = |text: &str| only.find(text.as_bytes()).is_some();
                let is_found = match self.folded {
                    true => with_folded(text, is_in),
                    false => is_in(text),
                };
                if is_found {
                    found(FIRST);
                }
            }
            Many::Windows(windows) => {
                let texts = &self.texts;
                return windows.each(text.as_bytes(), |literal, start| {
                    let wanted = texts[literal as usize].as_bytes();
                    let there = text.as_bytes().get(start..start + wanted.len());
                    let is_there = there.is_some_and(|there| match self.folded {
                        true => there.eq_ignore_ascii_case(wanted),
                        false => there == wanted,
                    });
                    if is_there {
                        found(FIRST + literal);
                    }
                    budget -= 1;
                    budget > 0
                });
            }
            Many::Automaton(automaton) => {
                for one in automaton.find_overlapping_iter(text) {
                    found(FIRST + one.pattern().as_u32());
                    budget -= 1;
                    if budget == 0 {
                        return Search::Everything;
                    }
                }
            }
        }
        Search::Done
    }
}

/// Bytes of a window, unless a literal is one shorter.
const WIDTH: usize = 4;
const WIDTH_MIN: usize = 3;
/// Letters differ in this bit by their case, in each byte of a window.
const CASE: u32 = 0x2020_2020;

/// The literals by one window each.
#[derive(Debug)]
struct Windows {
    /// The bytes of a window that count, and what is set in it before it is looked up.
    kept: u32,
    set: u32,
    /// Which hashes of windows there are, a bit each.
    filter: Vec<u64>,
    /// The bits of a hash that the filter has.
    bits: u32,
    /// Open addressing: a window, and the range of `entries` with it; an empty range is a free slot.
    slots: Vec<(u32, u32, u32)>,
    /// A literal, and where in it the window is.
    entries: Vec<(u32, u32)>,
}

impl Windows {
    /// `None` when some literal is too short, or all are too long to count.
    fn new(literals: &[Box<str>], folded: bool) -> Option<Self> {
        let shortest = literals.iter().map(|text| text.len()).min()?;
        if shortest < WIDTH_MIN
            || literals
                .iter()
                .any(|text| u32::try_from(text.len()).is_err())
        {
            return None;
        }
        let width = shortest.min(WIDTH);
        let mut windows = Self {
            kept: u32::MAX >> (8 * (WIDTH - width)),
            set: 0,
            filter: Vec::new(),
            bits: 0,
            slots: Vec::new(),
            entries: Vec::with_capacity(literals.len()),
        };
        if folded {
            windows.set = CASE & windows.kept;
        }
        let all = |text: &str| -> Vec<u32> {
            let bytes = text.as_bytes().windows(width);
            bytes.map(|window| windows.word(window)).collect()
        };
        let mut uses: BTreeMap<u32, u32> = BTreeMap::new();
        for text in literals {
            for window in all(text) {
                *uses.entry(window).or_default() += 1;
            }
        }
        let mut filed: Vec<(u32, u32, u32)> = Vec::with_capacity(literals.len());
        for (literal, text) in literals.iter().enumerate() {
            let words = all(text);
            let places = words.iter().enumerate();
            let (at, word) = places.min_by_key(|(_, word)| uses[*word])?;
            filed.push((*word, literal as u32, at as u32));
        }
        filed.sort_unstable();
        let distinct = filed.chunk_by(|left, right| left.0 == right.0);
        let count = distinct.clone().count();
        // Sixteen bits a window: one text position in sixteen or more would be a false alarm with less.
        windows.bits = (count * 16).next_power_of_two().max(512).ilog2();
        windows.filter = vec![0; 1 << (windows.bits - 6)];
        windows.slots = vec![(0, 0, 0); (count * 2).next_power_of_two()];
        for group in distinct {
            let start = windows.entries.len() as u32;
            let entries = group.iter().map(|(_, literal, at)| (*literal, *at));
            windows.entries.extend(entries);
            windows.insert(group[0].0, (start, windows.entries.len() as u32));
        }
        Some(windows)
    }

    fn insert(&mut self, word: u32, (start, end): (u32, u32)) {
        let hash = hash(word);
        let bit = hash >> (32 - self.bits);
        self.filter[bit as usize / 64] |= 1 << (bit % 64);
        let mask = self.slots.len() - 1;
        let mut at = hash as usize & mask;
        while self.slots[at].1 < self.slots[at].2 {
            at = (at + 1) & mask;
        }
        self.slots[at] = (word, start, end);
    }

    /// The window as it is looked up: its first bytes, low one first.
    #[inline]
    fn word(&self, window: &[u8]) -> u32 {
        let word = match window {
            [a, b, c, d, ..] => u32::from_le_bytes([*a, *b, *c, *d]),
            [a, b, c] => u32::from_le_bytes([*a, *b, *c, 0]),
            _ => 0,
        };
        word & self.kept | self.set
    }

    /// Calls `may_be` with each literal that may be in `text`, and where it would start; gives up once that says no.
    #[inline]
    fn each(&self, text: &[u8], mut may_be: impl FnMut(u32, usize) -> bool) -> Search {
        let mut look = |at: usize, word: u32| {
            let hash = hash(word);
            let bit = hash >> (32 - self.bits);
            if self.filter[bit as usize / 64] & 1 << (bit % 64) == 0 {
                return true;
            }
            self.of(word, hash).iter().all(|(literal, offset)| {
                let start = at.checked_sub(*offset as usize);
                start.is_none_or(|start| may_be(*literal, start))
            })
        };
        for (at, window) in text.windows(WIDTH).enumerate() {
            if !look(at, self.word(window)) {
                return Search::Everything;
            }
        }
        // A shorter window fits once more.
        if self.kept != u32::MAX && text.len() >= WIDTH_MIN {
            let at = text.len() - WIDTH_MIN;
            if !look(at, self.word(&text[at..])) {
                return Search::Everything;
            }
        }
        Search::Done
    }

    #[inline(never)]
    fn of(&self, word: u32, hash: u32) -> &[(u32, u32)] {
        let mask = self.slots.len() - 1;
        let mut at = hash as usize & mask;
        loop {
            let (known, start, end) = self.slots[at];
            if start == end {
                return &[];
            }
            if known == word {
                return &self.entries[start as usize..end as usize];
            }
            at = (at + 1) & mask;
        }
    }
}

/// Its upper bits depend on all bits of the word, its lower ones on the lower ones; tables use them apart.
#[inline]
fn hash(word: u32) -> u32 {
    let mixed = word.wrapping_mul(0x9E37_79B1);
    mixed ^ (mixed >> 15)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_literal_by_itself_is_found_as_among_others() {
        for (text, literal, cased, folded) in [
            ("an AbC in it", "abc", false, true),
            ("an abc in it", "abc", true, true),
            ("ab", "abc", false, false),
            ("", "abc", false, false),
        ] {
            for others in [&[][..], &["another"][..]] {
                let search = |intern: fn(&mut Literals, &str) -> u32| {
                    let mut literals = Literals::default();
                    intern(&mut literals, literal);
                    others.iter().for_each(|other| {
                        intern(&mut literals, other);
                    });
                    literals.finish();
                    let mut found = Vec::new();
                    let _ = literals.each(text, |id| found.push(id));
                    found == [FIRST]
                };
                assert_eq!(search(Literals::intern), cased, "{text}");
                assert_eq!(search(Literals::intern_folded), folded, "{text}");
            }
        }
    }

    /// Texts of three letters, so that windows meet: every literal that is in one is found, and no other.
    #[test]
    fn exactly_what_is_in_a_text_is_found() {
        let mut state = 1u64;
        let mut text = |least: u64, most: u64| -> String {
            let mut next = |below: u64| {
                state = state.wrapping_mul(6364136223846793005).wrapping_add(1);
                (state >> 33) % below
            };
            let length = least + next(most - least + 1);
            (0..length)
                .map(|_| ['a', 'B', 'c'][next(3) as usize])
                .collect()
        };
        for shortest in [1, 3, 4] {
            for folded in [false, true] {
                let mut all: Vec<String> = (0..12).map(|_| text(shortest, 7)).collect();
                let mut literals = Literals::default();
                for one in &mut all {
                    if folded {
                        one.make_ascii_lowercase();
                        literals.intern_folded(one);
                    } else {
                        literals.intern(one);
                    }
                }
                literals.finish();
                assert_eq!(
                    matches!(literals.finder, Many::Windows(_)),
                    literals.texts.iter().all(|one| one.len() >= 3)
                );
                for _ in 0..300 {
                    let text = text(0, 12);
                    let mut found = Vec::new();
                    let end = literals.each(&text, |id| found.push(id));
                    assert!(matches!(end, Search::Done), "{text}");
                    found.sort_unstable();
                    found.dedup();
                    let place = match folded {
                        true => text.to_ascii_lowercase(),
                        false => text.clone(),
                    };
                    let ids = FIRST..FIRST + literals.len() as u32;
                    let expected: Vec<u32> = ids
                        .filter(|id| place.contains(&*literals.texts[(id - FIRST) as usize]))
                        .collect();
                    assert_eq!(found, expected, "{text} {all:?}");
                }
            }
        }
    }

    #[test]
    fn a_flood_of_overlapping_literals_is_cut_short() {
        for shortest in [1, 5] {
            let mut literals = Literals::default();
            for length in shortest..100 {
                literals.intern(&"a".repeat(length));
            }
            literals.finish();
            let mut reported = 0;
            let end = literals.each(&"a".repeat(10_000), |_| reported += 1);
            assert!(matches!(end, Search::Everything));
            assert!(reported <= 99 * 4 + 64);
        }
    }
}
