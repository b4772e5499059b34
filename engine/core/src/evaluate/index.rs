//! The index: from what an event shows to the few branches of rules worth checking.
//!
//! A rule is filed as one branch, or as one per alternative when only that makes it findable. Each branch has
//! a key (`key`): one component is filed directly under what is seen, two or three under a hash of them. The
//! sets of components in use are *shapes*; a bit mask per value seen tells which shapes can hit at all, so an
//! event probes only those. Guarantee: every branch whose verdict is not false is among the candidates.
//! Candidates may be reported more than once, and falsely; the caller checks them.

use super::hash::{Filter, hash_words};
use super::key::Look;
use super::literals::{Literals, Search};
use super::tables::{ABSENT, Bounds, Column, FIRST, ODD, OTHER, Prefixes, UNREACHABLE};
use super::texts::{Anchor, Standing};
use crate::event::{Document, FieldId, FieldSet, Slots};
use crate::selector::texts::scalar_text;
use std::collections::BTreeMap;

/// Shapes of two or three components are told apart by the bits of one word.
pub(super) const SHAPES_MAX: usize = 64;
/// Most combinations of values tried for one shape and event; a hostile value may hold thousands of the
/// rules' literals, and products of such lists would be quadratic in the rules.
const COMBINATIONS_MAX: usize = 256;
pub(super) const NONE: u32 = u32::MAX;
/// Marks the number of a branch in the place of a group's: most keys lead to one branch.
pub(super) const ALONE: u32 = 1 << 31;

/// What is filed under one value of one component.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Record {
    /// Shapes that have this value in some key.
    pub(super) shapes: u64,
    /// Branches filed under this value alone.
    pub(super) start: u32,
    pub(super) count: u32,
}

#[derive(Debug)]
pub(super) struct Station {
    pub(super) field: FieldId,
    pub(super) parent: Option<FieldId>,
    pub(super) look: Look,
    /// Where its records start; the record of local id `n` is at `base + n`.
    pub(super) base: u32,
    /// Which table of its kind it uses.
    pub(super) table: u32,
    /// Shapes that this component is part of.
    pub(super) shapes: u64,
    /// How many branches are filed under its values alone.
    pub(super) singles: u32,
    /// Nothing is filed under the field's absence, which is how it is for most fields of most events.
    pub(super) quiet: bool,
    /// Nor under the absence of what it would be in.
    pub(super) quiet_unreachable: bool,
    /// Of literals at a path: which anchor.
    pub(super) anchor: u32,
}

/// Finds candidate branches.
#[derive(Debug, Default)]
pub(super) struct Index {
    pub(super) looks: Vec<Station>,
    pub(super) prefixes: Vec<Prefixes>,
    pub(super) literals: Vec<Literals>,
    pub(super) bounds: Vec<Bounds>,
    pub(super) anchors: Vec<Anchor>,
    pub(super) records: Vec<Record>,
    /// Components of each shape; `NONE` fills the third of a pair.
    pub(super) shapes: Vec<[u32; 3]>,
    /// Taken whole when an event shows so many values that trying all combinations would cost more.
    pub(super) branches_of_shape: Vec<Vec<u32>>,
    /// Keys of values only, which nearly all events probe; kept small for the caches.
    pub(super) usual: Compound,
    /// Keys in which some field is absent or of another type.
    pub(super) unusual: Compound,
    pub(super) postings: Vec<u32>,
    /// Ranges of `postings` that compound keys lead to; apart, so that a slot is eight bytes.
    pub(super) groups: Vec<(u32, u32)>,
    /// Branches without a key: checked for every event.
    pub(super) always: Vec<u32>,
}

/// Open addressing: a tag of the hash, and the branch, or where the branches are if they are several. Tags collide, so
/// a search goes on to the end of the run; a wrong branch is found out when it is checked.
#[derive(Debug, Default)]
pub(super) struct Compound {
    slots: Vec<(u32, u32)>,
    filter: Filter,
}

impl Compound {
    pub(super) fn new(keys: usize) -> Self {
        let slots = vec![(0, 0); (keys * 2).next_power_of_two().max(2)];
        Self {
            slots,
            filter: Filter::new(keys),
        }
    }

    /// `filed` is a group of branches, or `ALONE` and the branch.
    pub(super) fn insert(&mut self, hash: u64, filed: u32) {
        let mask = self.slots.len() - 1;
        let mut at = hash as usize & mask;
        while self.slots[at].0 != 0 {
            at = (at + 1) & mask;
        }
        self.slots[at] = (tag(hash), filed);
        self.filter.add(hash);
    }

    #[inline]
    fn find(&self, hash: u64, mut found: impl FnMut(u32)) {
        let mask = self.slots.len().wrapping_sub(1);
        let wanted = tag(hash);
        let mut at = hash as usize & mask;
        while let Some((tag, filed)) = self.slots.get(at)
            && *tag != 0
        {
            if *tag == wanted {
                found(*filed);
            }
            at = (at + 1) & mask;
        }
    }
}

/// Never 0, which marks a free slot.
#[inline]
fn tag(hash: u64) -> u32 {
    (hash >> 32) as u32 | 1
}

/// Buffers of one search, kept between events.
#[derive(Debug, Default)]
pub(super) struct Probe {
    pub(super) seen: Vec<u32>,
    pub(super) ends: Vec<u32>,
    /// Hashes of compound keys to look for, the usual ones and the others.
    pub(super) keys: [Vec<u64>; 2],
    /// Branches to check; cleared by each search.
    pub(super) candidates: Vec<u32>,
}

/// How the branches of a rule set were filed; for `--stats` and for authors.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IndexSummary {
    /// Branches in all.
    pub branches: usize,
    /// Branches filed under one, two and three components.
    pub by_components: [usize; 3],
    /// Branches checked for every event.
    pub always: usize,
    /// Index entries.
    pub entries: usize,
    /// Distinct combinations of components that are probed.
    pub shapes: usize,
    /// What is looked at in every event, as `event.userAgent literal`, and for how many branches.
    pub looks: Vec<(String, usize)>,
}

/// The columns of all conditions, by field.
#[derive(Debug, Default)]
pub(super) struct Columns {
    pub(super) all: Vec<(FieldId, Column)>,
    by_field: BTreeMap<FieldId, u32>,
    texts_by_field: BTreeMap<FieldId, u32>,
}

impl Columns {
    /// Makes the look-up tables; no constant is added afterwards.
    pub(super) fn finish(&mut self) {
        for (_, column) in &mut self.all {
            column.finish();
        }
    }

    /// The column of the lowered texts at the path of `field`.
    pub(super) fn of_texts(&mut self, field: FieldId, fields: &FieldSet) -> u32 {
        let all = &mut self.all;
        *self.texts_by_field.entry(field).or_insert_with(|| {
            all.push((field, Column::of_texts(Anchor::new(field, fields))));
            all.len() as u32 - 1
        })
    }

    /// The same, if there is one already.
    pub(super) fn known_texts(&self, field: FieldId) -> Option<u32> {
        self.texts_by_field.get(&field).copied()
    }

    pub(super) fn of(&mut self, field: FieldId) -> u32 {
        let all = &mut self.all;
        *self.by_field.entry(field).or_insert_with(|| {
            all.push((field, Column::default()));
            all.len() as u32 - 1
        })
    }
}

impl Index {
    /// Branches that are candidates for every event.
    pub(super) fn always(&self) -> &[u32] {
        &self.always
    }

    /// The columns that are looked at in every event.
    pub(super) fn columns(&self) -> Vec<u32> {
        let looks = self.looks.iter();
        let looks = looks.filter(|look| matches!(look.look, Look::Value | Look::Text));
        let mut columns: Vec<u32> = looks.map(|look| look.table).collect();
        columns.sort_unstable();
        columns.dedup();
        columns
    }

    /// Branches in the order in which they are found; some more than once.
    pub(super) fn postings(&self) -> &[u32] {
        &self.postings
    }

    /// Gives branches other numbers: `numbers` has the new ones by the old ones.
    pub(super) fn renumber(&mut self, numbers: &[u32]) {
        let shapes = self.branches_of_shape.iter_mut().flatten();
        for branch in self
            .postings
            .iter_mut()
            .chain(&mut self.always)
            .chain(shapes)
        {
            *branch = numbers[*branch as usize];
        }
        let slots = self.usual.slots.iter_mut().chain(&mut self.unusual.slots);
        for (tag, filed) in slots {
            if *tag != 0 && *filed & ALONE != 0 {
                *filed = ALONE | numbers[(*filed & !ALONE) as usize];
            }
        }
    }

    /// Fills `probe.candidates`. `values` are the ids of the columns, in their order, at least of those looked at.
    #[inline]
    pub(super) fn search(
        &self,
        document: Document<'_>,
        slots: &Slots,
        values: &[u32],
        probe: &mut Probe,
    ) {
        probe.candidates.clear();
        probe.candidates.extend_from_slice(&self.always);
        probe.seen.clear();
        probe.ends.clear();
        let mut alive = u64::MAX;
        for look in &self.looks {
            let from = probe.seen.len();
            // Nothing is filed under it alone, and no shape that needs it can still hit.
            if look.singles == 0 && look.shapes & alive == 0 {
                probe.ends.push(from as u32);
                continue;
            }
            if look.quiet
                && slots.get(look.field).is_none()
                && (look.quiet_unreachable || absent_id(look.parent, slots) == ABSENT)
            {
                alive &= !look.shapes;
                probe.ends.push(from as u32);
                continue;
            }
            self.see(look, document, slots, values, &mut probe.seen);
            let mut shapes = !look.shapes;
            for record in &probe.seen[from..] {
                let record = self.records[*record as usize];
                shapes |= record.shapes;
                if record.count > 0 {
                    let (start, end) = (record.start, record.start + record.count);
                    probe
                        .candidates
                        .extend_from_slice(&self.postings[start as usize..end as usize]);
                }
            }
            alive &= shapes;
            probe.ends.push(probe.seen.len() as u32);
        }
        if self.shapes.len() < SHAPES_MAX {
            alive &= (1u64 << self.shapes.len()) - 1;
        }
        probe.keys.iter_mut().for_each(Vec::clear);
        while alive != 0 {
            let shape = alive.trailing_zeros() as usize;
            alive &= alive - 1;
            self.probe_shape(shape, probe);
        }
        let [usual, unusual] = &mut probe.keys;
        self.collect(&self.usual, usual, &mut probe.candidates);
        self.collect(&self.unusual, unusual, &mut probe.candidates);
    }

    #[inline]
    fn see(
        &self,
        look: &Station,
        document: Document<'_>,
        slots: &Slots,
        values: &[u32],
        seen: &mut Vec<u32>,
    ) {
        let base = look.base;
        if look.look == Look::TextLiteral {
            self.see_at_path(look, document, slots, seen);
            return;
        }
        if matches!(look.look, Look::Value | Look::Text) {
            seen.push(base + values[look.table as usize]);
            return;
        }
        let Some(node) = slots.get(look.field) else {
            seen.push(base + absent_id(look.parent, slots));
            return;
        };
        if look.look == Look::Presence {
            seen.push(base + OTHER);
            return;
        }
        if look.look == Look::Bound {
            match document.at(node).as_number() {
                Some(number) => {
                    self.bounds[look.table as usize].each(number, |id| seen.push(base + id))
                }
                None => seen.push(base + OTHER),
            }
            return;
        }
        let Some(text) = document.at(node).as_text() else {
            seen.push(base + OTHER);
            return;
        };
        let decoded;
        let text = if text.is_escaped() {
            decoded = text.decode();
            &*decoded
        } else {
            text.raw()
        };
        match look.look {
            Look::Prefix => {
                self.prefixes[look.table as usize].each(text, |id| seen.push(base + id));
            }
            _ => self.see_literals(look, text, seen),
        }
    }

    fn see_literals(&self, look: &Station, text: &str, seen: &mut Vec<u32>) {
        let literals = &self.literals[look.table as usize];
        let (base, from) = (look.base, seen.len());
        if let Search::Everything = literals.each(text, |id| seen.push(base + id)) {
            seen.truncate(from);
            seen.extend((0..literals.len() as u32).map(|at| base + FIRST + at));
        }
        if seen.len() - from > 1 {
            let found = seen.split_off(from);
            let mut found: Vec<u32> = found;
            found.sort_unstable();
            found.dedup();
            seen.extend(found);
        }
    }

    fn see_at_path(
        &self,
        look: &Station,
        document: Document<'_>,
        slots: &Slots,
        seen: &mut Vec<u32>,
    ) {
        match self.anchors[look.anchor as usize].look(document, slots) {
            Standing::Absent => seen.push(look.base + ABSENT),
            Standing::Odd => seen.push(look.base + ODD),
            Standing::Scalar(value) => self.see_literals(look, &scalar_text(value), seen),
        }
    }

    #[inline]
    fn probe_shape(&self, shape: usize, probe: &mut Probe) {
        let [first, second, third] = self.shapes[shape];
        let range = |ends: &[u32], look: u32| {
            let start = if look == 0 {
                0
            } else {
                ends[look as usize - 1] as usize
            };
            start..ends[look as usize] as usize
        };
        let ranges = [first, second, third].map(|look| match look {
            NONE => 0..1,
            look => range(&probe.ends, look),
        });
        let combinations = ranges.iter().map(|one| one.len().max(1)).product::<usize>();
        if combinations > COMBINATIONS_MAX {
            probe
                .candidates
                .extend_from_slice(&self.branches_of_shape[shape]);
            return;
        }
        let bit = 1u64 << shape;
        let Probe { seen, keys, .. } = probe;
        let seen = |look: u32, at: usize| {
            let record = seen[at];
            let known = self.records[record as usize].shapes & bit != 0;
            let id = record - self.looks[look as usize].base;
            known.then(|| (record, self.is_unusual(look, id)))
        };
        for (a, a_unusual) in ranges[0].clone().filter_map(|at| seen(first, at)) {
            for (b, b_unusual) in ranges[1].clone().filter_map(|at| seen(second, at)) {
                if third == NONE {
                    let unusual = a_unusual || b_unusual;
                    keys[usize::from(unusual)].push(hash_words(&[a, b]));
                    continue;
                }
                for (c, c_unusual) in ranges[2].clone().filter_map(|at| seen(third, at)) {
                    let unusual = a_unusual || b_unusual || c_unusual;
                    keys[usize::from(unusual)].push(hash_words(&[a, b, c]));
                }
            }
        }
    }

    /// The branches of all keys at once: no look-up waits for another one's memory.
    #[inline]
    fn collect(&self, table: &Compound, keys: &mut Vec<u64>, candidates: &mut Vec<u32>) {
        table.filter.retain(keys);
        for key in keys {
            table.find(*key, |filed| {
                if filed & ALONE != 0 {
                    candidates.push(filed & !ALONE);
                    return;
                }
                let (start, count) = self.groups[filed as usize];
                let end = (start + count) as usize;
                candidates.extend_from_slice(&self.postings[start as usize..end]);
            });
        }
    }

    /// Whether a local id stands for no comparable value. Presence knows nothing but states, so there the
    /// usual one is that the field is present.
    #[inline]
    pub(super) fn is_unusual(&self, look: u32, id: u32) -> bool {
        match self.looks[look as usize].look {
            Look::Presence => id < OTHER,
            _ => id < FIRST,
        }
    }
}

/// `ABSENT` when what the field would be in is there, else `UNREACHABLE`.
#[inline]
pub(super) fn absent_id(parent: Option<FieldId>, slots: &Slots) -> u32 {
    match parent {
        Some(parent) if slots.get(parent).is_none() => UNREACHABLE,
        _ => ABSENT,
    }
}
