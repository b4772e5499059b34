//! The look-ups that turn an event's field into the few numbers that rules are filed under.
//!
//! Three of them: the exact value (`Column`), the prefixes in use (`Prefixes`), the literals in use
//! (`Literals`). Each gives *local ids*. Ids below `FIRST` say that there is no value to compare; rules
//! that would be undecided then are filed under them, so that no indeterminate verdict is lost.

use super::formula::{Comparison, Constant, same};
use super::hash::{Filter, Hasher, hash_bytes, hash_lowered, tail};
use super::number_order::compare;
use super::texts::{Anchor, Standing};
use crate::event::{Document, Json, Kind, Number, Slots};
use crate::selector::texts::{scalar_text, with_folded};
use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};
use memchr::memmem::Finder;

/// The field is not there, though what it would be in is.
pub(super) const ABSENT: u32 = 0;
/// What the field would be in is not there either.
pub(super) const UNREACHABLE: u32 = 1;
/// Of texts at a path, instead: what stands there takes a closer look.
pub(super) const ODD: u32 = UNREACHABLE;
/// There is a value that no rule names; for prefixes and literals: a value that is not a string.
pub(super) const OTHER: u32 = 2;
/// The first id of a value, prefix or literal.
pub(super) const FIRST: u32 = 3;
/// Nobody has asked yet which id a column has. No id of a column.
pub(super) const UNASKED: u32 = u32::MAX;

/// Open addressing over 64-bit hashes; the caller confirms a hit where a collision would matter.
#[derive(Debug, Default)]
struct HashTable {
    slots: Vec<(u64, u32)>,
    seed: u64,
}

const EMPTY: u32 = u32::MAX;
/// Longest run of occupied slots accepted before another seed is tried.
const PROBES_MAX: usize = 16;

impl HashTable {
    fn build(count: usize, hash: impl Fn(u64, u32) -> u64) -> Self {
        let size = (count * 2).next_power_of_two().max(8);
        let mut table = Self::default();
        for seed in 0..8 {
            table = Self {
                slots: vec![(0, EMPTY); size],
                seed,
            };
            let mut longest = 0;
            for id in 0..count as u32 {
                longest = longest.max(table.insert(hash(seed, id), id));
            }
            if longest <= PROBES_MAX {
                break;
            }
        }
        table
    }

    fn insert(&mut self, hash: u64, id: u32) -> usize {
        let mask = self.slots.len() - 1;
        let mut at = hash as usize & mask;
        let mut probes = 1;
        while self.slots[at].1 != EMPTY {
            at = (at + 1) & mask;
            probes += 1;
        }
        self.slots[at] = (hash, id);
        probes
    }

    #[inline]
    fn find(&self, hash: u64, confirm: impl Fn(u32) -> bool) -> Option<u32> {
        let mask = self.slots.len().wrapping_sub(1);
        let mut at = hash as usize & mask;
        loop {
            let (found, id) = *self.slots.get(at)?;
            if id == EMPTY {
                return None;
            }
            if found == hash && confirm(id) {
                return Some(id);
            }
            at = (at + 1) & mask;
        }
    }
}

/// Texts one behind the other: thousands of them apart would be thousands of pages to look at.
#[derive(Debug, Default)]
struct PackedTexts {
    bytes: String,
    spans: Vec<(u32, u32)>,
}

impl PackedTexts {
    fn push(&mut self, text: &str) {
        let start = self.bytes.len() as u32;
        self.bytes.push_str(text);
        self.spans.push((start, self.bytes.len() as u32));
    }

    #[inline]
    fn get(&self, at: u32) -> &str {
        let (start, end) = self.spans[at as usize];
        &self.bytes[start as usize..end as usize]
    }
}

/// The constants that rules compare one field with, numbered.
#[derive(Debug, Default)]
pub(super) struct Column {
    texts: PackedTexts,
    table: HashTable,
    text_ids: Vec<u32>,
    numbers: Vec<(Number, u32)>,
    bools: [Option<u32>; 2],
    null: Option<u32>,
    count: u32,
    by_text: std::collections::BTreeMap<Box<str>, u32>,
    /// Set when the constants are lowered texts at a path.
    anchor: Option<Anchor>,
}

impl Column {
    /// A column of lowered texts at a path.
    pub(super) fn of_texts(anchor: Anchor) -> Self {
        Self {
            anchor: Some(anchor),
            ..Self::default()
        }
    }

    /// The id of what stands at the path, for a column of texts.
    #[inline]
    pub(super) fn id_at_path(&self, document: Document<'_>, slots: &Slots) -> Option<u32> {
        let anchor = self.anchor.as_ref()?;
        Some(match anchor.look(document, slots) {
            Standing::Absent => ABSENT,
            Standing::Odd => ODD,
            Standing::Scalar(value) => self.id_of_lowered(&scalar_text(value)),
        })
    }

    /// The id of `constant`, new or known.
    pub(super) fn intern(&mut self, constant: &Constant) -> u32 {
        let next = FIRST + self.count;
        let id = match constant {
            Constant::Folded(_) if self.anchor.is_none() => OTHER,
            Constant::Text(text) | Constant::Folded(text) => match self.by_text.get(text) {
                Some(id) => *id,
                None => {
                    self.by_text.insert(text.clone(), next);
                    self.texts.push(text);
                    self.text_ids.push(next);
                    next
                }
            },
            Constant::Number(number) => {
                let known = self
                    .numbers
                    .iter()
                    .find(|(one, _)| same(&Constant::Number(*one), &Constant::Number(*number)));
                match known {
                    Some((_, id)) => *id,
                    None => {
                        self.numbers.push((*number, next));
                        next
                    }
                }
            }
            Constant::Bool(value) => *self.bools[usize::from(*value)].get_or_insert(next),
            Constant::Null => *self.null.get_or_insert(next),
            // No values that a field could have.
            Constant::Bound(..) => OTHER,
        };
        if id == next {
            self.count += 1;
        }
        id
    }

    /// Number of constants.
    pub(super) fn len(&self) -> usize {
        self.count as usize
    }

    /// Makes the look-up tables; `intern` is not called afterwards.
    pub(super) fn finish(&mut self) {
        self.by_text = Default::default();
        let texts = &mut self.texts;
        texts.bytes.shrink_to_fit();
        texts.spans.shrink_to_fit();
        self.table = HashTable::build(texts.spans.len(), |seed, id| {
            hash_bytes(seed, texts.get(id).as_bytes())
        });
        self.numbers.sort_by(|(left, _), (right, _)| {
            compare(*left, *right).unwrap_or(std::cmp::Ordering::Equal)
        });
    }

    /// The id of a value that is there.
    #[inline]
    pub(super) fn id_of(&self, value: Json<'_>) -> u32 {
        match value.kind() {
            Kind::String => match value.as_text() {
                Some(text) if !text.is_escaped() => self.id_of_text(text.raw()),
                Some(text) => self.id_of_text(&text.decode()),
                None => OTHER,
            },
            Kind::Number => {
                let Some(number) = value.as_number() else {
                    return OTHER;
                };
                let order = |one: &(Number, u32)| {
                    compare(one.0, number).unwrap_or(std::cmp::Ordering::Less)
                };
                match self.numbers.binary_search_by(order) {
                    Ok(at) => self.numbers[at].1,
                    Err(_) => OTHER,
                }
            }
            Kind::Bool => {
                let at = usize::from(value.as_bool() == Some(true));
                self.bools[at].unwrap_or(OTHER)
            }
            Kind::Null => self.null.unwrap_or(OTHER),
            Kind::Array | Kind::Object => OTHER,
        }
    }

    /// The id of a text in any case, for a column of lowered texts. Nearly all are ASCII: those are hashed as they
    /// stand, without a lowered copy.
    #[inline]
    fn id_of_lowered(&self, text: &str) -> u32 {
        let Some(hash) = hash_lowered(self.table.seed, text.as_bytes()) else {
            return with_folded(text, |text| self.id_of_text(text));
        };
        let is_same = |id| self.texts.get(id).eq_ignore_ascii_case(text);
        match self.table.find(hash, is_same) {
            Some(at) => self.text_ids[at as usize],
            None => OTHER,
        }
    }

    #[inline]
    fn id_of_text(&self, text: &str) -> u32 {
        let hash = hash_bytes(self.table.seed, text.as_bytes());
        match self.table.find(hash, |id| self.texts.get(id) == text) {
            Some(at) => self.text_ids[at as usize],
            None => OTHER,
        }
    }
}

/// Prefixes are found by hashing a value at these many lengths at most; with more lengths in use, prefixes
/// are filed under a shorter one, which is necessary though not sufficient.
const PREFIX_LENGTHS_MAX: usize = 10;

/// The prefixes that rules are filed under, for one field.
#[derive(Debug, Default)]
pub(super) struct Prefixes {
    texts: Vec<Box<str>>,
    by_text: std::collections::BTreeMap<Box<str>, u32>,
    lengths: Vec<usize>,
    /// Ids under one hash, one group behind the other: prefixes that were cut to the same bytes share it.
    ids: Vec<u32>,
    groups: Vec<(u32, u32)>,
    table: HashTable,
    filter: Filter,
}

impl Prefixes {
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

    pub(super) fn finish(&mut self) {
        self.by_text = Default::default();
        let mut lengths: Vec<usize> = self.texts.iter().map(|text| text.len()).collect();
        lengths.sort_unstable();
        lengths.dedup();
        let mut granule = 2;
        while lengths.len() > PREFIX_LENGTHS_MAX {
            let cut = |length: usize| {
                if length < granule {
                    length
                } else {
                    length / granule * granule
                }
            };
            lengths = lengths.iter().map(|length| cut(*length)).collect();
            lengths.dedup();
            granule *= 2;
        }
        let mut groups: std::collections::BTreeMap<Vec<u8>, Vec<u32>> = Default::default();
        for (at, text) in self.texts.iter().enumerate() {
            let kept = lengths
                .iter()
                .rev()
                .find(|length| **length <= text.len())
                .copied();
            let bytes = text.as_bytes()[..kept.unwrap_or(0)].to_vec();
            groups.entry(bytes).or_default().push(FIRST + at as u32);
        }
        let keys: Vec<Vec<u8>> = groups.keys().cloned().collect();
        for ids in groups.into_values() {
            let start = self.ids.len() as u32;
            self.ids.extend(ids);
            self.groups.push((start, self.ids.len() as u32));
        }
        self.table = HashTable::build(keys.len(), |seed, id| hash_bytes(seed, &keys[id as usize]));
        self.filter = Filter::new(keys.len());
        for key in &keys {
            self.filter.add(hash_bytes(self.table.seed, key));
        }
        self.lengths = lengths;
    }

    /// Calls `found` with the id of every prefix that `text` may start with.
    #[inline]
    pub(super) fn each(&self, text: &str, mut found: impl FnMut(u32)) {
        let bytes = text.as_bytes();
        let (words, _) = bytes.as_chunks::<8>();
        let mut hasher = Hasher::new(self.table.seed);
        let mut hashed = 0;
        for &length in &self.lengths {
            if length > bytes.len() {
                break;
            }
            while hashed < length / 8 {
                hasher.word(u64::from_le_bytes(words[hashed]));
                hashed += 1;
            }
            let rest = match words.get(hashed) {
                Some(word) => {
                    let keep = (1u64 << (8 * (length & 7))) - 1;
                    u64::from_le_bytes(*word) & keep
                }
                None => tail(&bytes[hashed * 8..length]),
            };
            let hash = hasher.finish(rest, length & 0x7F);
            if self.filter.may_have(hash)
                && let Some(group) = self.table.find(hash, |_| true)
            {
                let (start, end) = self.groups[group as usize];
                for id in &self.ids[start as usize..end as usize] {
                    found(*id);
                }
            }
        }
    }
}

/// The literals that rules are filed under, for one field: contained, at the end, or needed by a pattern.
#[derive(Debug, Default)]
pub(super) struct Literals {
    texts: Vec<Box<str>>,
    by_text: std::collections::BTreeMap<Box<str>, u32>,
    automaton: Option<AhoCorasick>,
    /// The literal, when there is but one: it is found several times faster than by an automaton.
    only: Option<Finder<'static>>,
    /// Some literal may occur in any case.
    folded: bool,
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

    /// Makes the automaton; when it cannot be built (too large), every literal counts as found.
    pub(super) fn finish(&mut self) {
        self.by_text = Default::default();
        if let [only] = &self.texts[..]
            && (!self.folded || only.is_ascii())
        {
            let wanted = match self.folded {
                true => only.to_ascii_lowercase(),
                false => only.to_string(),
            };
            self.only = Some(Finder::new(wanted.as_bytes()).into_owned());
            return;
        }
        let texts = self.texts.iter().map(|text| text.as_bytes());
        // Small sets are searched twice as fast by a full table, which large ones would make too big.
        let bytes: usize = self.texts.iter().map(|text| text.len()).sum();
        let kind = (bytes <= TABLE_BYTES_MAX).then_some(AhoCorasickKind::DFA);
        self.automaton = AhoCorasick::builder()
            .kind(kind)
            .match_kind(MatchKind::Standard)
            .ascii_case_insensitive(self.folded)
            .build(texts)
            .ok();
    }

    /// Calls `found` with the id of every literal in `text`, perhaps more than once. Overlapping literals
    /// can occur as often as text times literals; the search gives up long before that.
    #[inline]
    pub(super) fn each(&self, text: &str, mut found: impl FnMut(u32)) -> Search {
        // Beyond ASCII, letters have cases that nothing here knows: `K` may be the Kelvin sign.
        if self.folded && !text.is_ascii() {
            return Search::Everything;
        }
        if let Some(only) = &self.only {
            let is_in = |text: &str| only.find(text.as_bytes()).is_some();
            let is_found = match self.folded {
                true => with_folded(text, is_in),
                false => is_in(text),
            };
            if is_found {
                found(FIRST);
            }
            return Search::Done;
        }
        let Some(automaton) = &self.automaton else {
            return Search::Everything;
        };
        let mut budget = self.texts.len() * 4 + 64;
        for one in automaton.find_overlapping_iter(text) {
            found(FIRST + one.pattern().as_u32());
            budget -= 1;
            if budget == 0 {
                return Search::Everything;
            }
        }
        Search::Done
    }
}

/// The half-lines of numbers that rules are filed under, for one field.
#[derive(Debug, Default)]
pub(super) struct Bounds {
    all: Vec<(Comparison, Number)>,
    /// Ids of `>` and `>=` by rising number, of `<` and `<=` by falling number: those that hold come first.
    above: Vec<(Number, u32)>,
    below: Vec<(Number, u32)>,
}

impl Bounds {
    pub(super) fn intern(&mut self, comparison: Comparison, number: Number) -> u32 {
        self.all.push((comparison, number));
        FIRST + self.all.len() as u32 - 1
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    pub(super) fn finish(&mut self) {
        for (at, (comparison, number)) in self.all.iter().enumerate() {
            let side = match comparison {
                Comparison::Greater | Comparison::GreaterEqual => &mut self.above,
                Comparison::Less | Comparison::LessEqual => &mut self.below,
            };
            side.push((*number, FIRST + at as u32));
        }
        let order = |left: &(Number, u32), right: &(Number, u32)| {
            compare(left.0, right.0).unwrap_or(std::cmp::Ordering::Equal)
        };
        self.above.sort_by(order);
        self.below.sort_by(|left, right| order(right, left));
    }

    /// Calls `found` with the id of every bound that `number` may satisfy; equal ones are not told apart.
    pub(super) fn each(&self, number: Number, mut found: impl FnMut(u32)) {
        use std::cmp::Ordering::{Greater, Less};
        for (bound, id) in &self.above {
            if compare(number, *bound) == Some(Less) {
                break;
            }
            found(*id);
        }
        for (bound, id) in &self.below {
            if compare(number, *bound) == Some(Greater) {
                break;
            }
            found(*id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bound_that_holds_is_found() {
        let mut bounds = Bounds::default();
        let all = [
            (Comparison::Greater, 1),
            (Comparison::Greater, 5),
            (Comparison::GreaterEqual, 3),
            (Comparison::Less, 4),
            (Comparison::LessEqual, 2),
        ];
        for (comparison, number) in all {
            bounds.intern(comparison, Number::Int(number));
        }
        bounds.finish();
        for value in -1..8 {
            let mut found = Vec::new();
            bounds.each(Number::Int(value), |id| found.push((id - FIRST) as usize));
            for (at, (comparison, number)) in all.iter().enumerate() {
                if comparison.holds(Number::Int(value), Number::Int(*number)) {
                    assert!(found.contains(&at), "{value} {comparison:?} {number}");
                }
            }
        }
    }

    fn prefixes(texts: &[&str], value: &str) -> Vec<String> {
        let mut prefixes = Prefixes::default();
        for text in texts {
            prefixes.intern(text);
        }
        prefixes.finish();
        let mut found = Vec::new();
        prefixes.each(value, |id| {
            found.push(texts[(id - FIRST) as usize].to_owned())
        });
        found
    }

    #[test]
    fn prefixes_are_found_at_every_length() {
        let all = [
            "a",
            "ab",
            "abcdefgh",
            "abcdefghi",
            "abcdefghijklmnop",
            "abx",
        ];
        assert_eq!(
            prefixes(&all, "abcdefghijklmnop"),
            ["a", "ab", "abcdefgh", "abcdefghi", "abcdefghijklmnop"]
        );
        assert_eq!(prefixes(&all, "abcdefgh"), ["a", "ab", "abcdefgh"]);
        assert_eq!(prefixes(&all, "b"), Vec::<String>::new());
        assert_eq!(prefixes(&all, ""), Vec::<String>::new());
    }

    #[test]
    fn with_many_lengths_no_true_prefix_is_missed() {
        let texts: Vec<String> = (1..200).map(|length| "x".repeat(length)).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let value = "x".repeat(150);
        let found = prefixes(&texts, &value);
        for text in &texts {
            if value.starts_with(text) {
                assert!(found.iter().any(|one| one == text), "{}", text.len());
            }
        }
    }

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

    #[test]
    fn a_flood_of_overlapping_literals_is_cut_short() {
        let mut literals = Literals::default();
        for length in 1..100 {
            literals.intern(&"a".repeat(length));
        }
        literals.finish();
        let mut reported = 0;
        let end = literals.each(&"a".repeat(10_000), |_| reported += 1);
        assert!(matches!(end, Search::Everything));
        assert!(reported <= 99 * 4 + 64);
    }
}
