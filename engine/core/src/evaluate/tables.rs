//! The look-ups that turn an event's field into the few numbers that rules are filed under.
//!
//! Of four kinds: the exact value (`Column`), the prefixes in use (`Prefixes`), the half-lines of numbers (`Bounds`),
//! the literals in use (`literals`). Each gives *local ids*. Ids below `FIRST` say that there is no value to compare; rules
//! that would be undecided then are filed under them, so that no indeterminate verdict is lost.

use super::formula::{Comparison, Constant, same};
use super::hash::{Filter, Hasher, hash_bytes, hash_lowered, tail};
use super::number_order::compare;
use super::texts::{Anchor, Standing};
use crate::event::{Document, Json, Kind, Number, Slots};
use crate::selector::texts::{scalar_text, with_folded};

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

/// Open addressing; the caller confirms a hit where a collision would matter.
#[derive(Debug, Default)]
struct HashTable {
    slots: Vec<Slot>,
    seed: u64,
}

/// All that a look-up wants to know, next to each other: a table of thousands is in no near cache.
#[derive(Clone, Copy, Debug)]
struct Slot {
    /// The upper half of the hash.
    tag: u32,
    id: u32,
    /// The key or what it leads to, a range of what the owner of the table keeps.
    start: u32,
    end: u32,
}

const EMPTY: u32 = u32::MAX;
/// Longest run of occupied slots accepted before another seed is tried.
const PROBES_MAX: usize = 16;

impl HashTable {
    /// Of `entries`, whose tags are found by `hash`: the seed and the number of the entry.
    fn build(
        entries: impl ExactSizeIterator<Item = Slot> + Clone,
        hash: impl Fn(u64, usize) -> u64,
    ) -> Self {
        let size = (entries.len() * 2).next_power_of_two().max(8);
        let free = Slot {
            tag: 0,
            id: EMPTY,
            start: 0,
            end: 0,
        };
        let mut table = Self::default();
        for seed in 0..8 {
            table = Self {
                slots: vec![free; size],
                seed,
            };
            let mut longest = 0;
            for (at, entry) in entries.clone().enumerate() {
                longest = longest.max(table.insert(hash(seed, at), entry));
            }
            if longest <= PROBES_MAX {
                break;
            }
        }
        table
    }

    fn insert(&mut self, hash: u64, entry: Slot) -> usize {
        let mask = self.slots.len() - 1;
        let mut at = hash as usize & mask;
        let mut probes = 1;
        while self.slots[at].id != EMPTY {
            at = (at + 1) & mask;
            probes += 1;
        }
        let tag = (hash >> 32) as u32;
        self.slots[at] = Slot { tag, ..entry };
        probes
    }

    #[inline]
    fn find(&self, hash: u64, mut confirm: impl FnMut(&Slot) -> bool) -> Option<&Slot> {
        let mask = self.slots.len().wrapping_sub(1);
        let mut at = hash as usize & mask;
        loop {
            let slot = self.slots.get(at)?;
            if slot.id == EMPTY {
                return None;
            }
            if slot.tag == (hash >> 32) as u32 && confirm(slot) {
                return Some(slot);
            }
            at = (at + 1) & mask;
        }
    }
}

/// The constants that rules compare one field with, numbered.
#[derive(Debug, Default)]
pub(super) struct Column {
    /// Texts one behind the other: thousands of them apart would be thousands of pages to look at.
    texts: String,
    table: HashTable,
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
        let mut known: Vec<(Box<str>, u32)> =
            std::mem::take(&mut self.by_text).into_iter().collect();
        known.sort_unstable_by_key(|(_, id)| *id);
        let mut entries = Vec::with_capacity(known.len());
        for (text, id) in &known {
            let start = self.texts.len() as u32;
            self.texts.push_str(text);
            entries.push(Slot {
                tag: 0,
                id: *id,
                start,
                end: self.texts.len() as u32,
            });
        }
        self.texts.shrink_to_fit();
        self.table = HashTable::build(entries.iter().copied(), |seed, at| {
            hash_bytes(seed, known[at].0.as_bytes())
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
        let is_same = |slot: &Slot| self.text(slot).eq_ignore_ascii_case(text.as_bytes());
        self.table.find(hash, is_same).map_or(OTHER, |slot| slot.id)
    }

    #[inline]
    fn id_of_text(&self, text: &str) -> u32 {
        let hash = hash_bytes(self.table.seed, text.as_bytes());
        let is_same = |slot: &Slot| same_bytes(self.text(slot), text.as_bytes());
        self.table.find(hash, is_same).map_or(OTHER, |slot| slot.id)
    }

    #[inline]
    fn text(&self, slot: &Slot) -> &[u8] {
        &self.texts.as_bytes()[slot.start as usize..slot.end as usize]
    }
}

/// Equality of short texts: a call of the library's costs more than that.
#[inline]
fn same_bytes(left: &[u8], right: &[u8]) -> bool {
    let ((left_words, left_rest), (right_words, right_rest)) =
        (left.as_chunks::<8>(), right.as_chunks::<8>());
    let mut words = left_words.iter().zip(right_words);
    left.len() == right.len()
        && words.all(|(left, right)| u64::from_le_bytes(*left) == u64::from_le_bytes(*right))
        && tail(left_rest) == tail(right_rest)
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
        let mut keys = Vec::with_capacity(groups.len());
        let mut entries = Vec::with_capacity(groups.len());
        for (id, (key, ids)) in groups.into_iter().enumerate() {
            let start = self.ids.len() as u32;
            self.ids.extend(ids);
            keys.push(key);
            entries.push(Slot {
                tag: 0,
                id: id as u32,
                start,
                end: self.ids.len() as u32,
            });
        }
        self.table = HashTable::build(entries.into_iter(), |seed, at| hash_bytes(seed, &keys[at]));
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
            if self.filter.may_have(hash) {
                // To the end of the run: another prefix may have the same tag.
                self.table.find(hash, |group| {
                    for id in &self.ids[group.start as usize..group.end as usize] {
                        found(*id);
                    }
                    false
                });
            }
        }
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

    /// Tags are halves of hashes, so among enough prefixes some have the same one, and of these some are next to each other.
    #[test]
    fn prefixes_with_one_tag_do_not_hide_each_other() {
        let mut all: Vec<(u64, String)> = (0..400_000)
            .map(|number: u32| format!("{:08x}", number.wrapping_mul(0x9E37_79B1)))
            .map(|text| (hash_bytes(0, text.as_bytes()), text))
            .collect();
        all.sort_unstable();
        let mut together = 0;
        for pair in all.windows(2) {
            let [(left_hash, left), (right_hash, right)] = pair else {
                continue;
            };
            if left_hash >> 32 != right_hash >> 32 {
                continue;
            }
            together += usize::from(left_hash % 8 == right_hash % 8);
            for text in [left, right] {
                assert!(
                    prefixes(&[left, right], text).contains(text),
                    "{left} {right}"
                );
            }
        }
        assert!(together > 0, "none of {} next to each other", all.len());
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
}
