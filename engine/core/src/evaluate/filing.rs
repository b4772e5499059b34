//! Filing rules in the index: which branches a rule has, under which key each, and the tables laid out.
//!
//! Runs once per rule set; `index` is what it makes. Relies on `key` for choosing keys. Must file every branch under
//! every state in which it could be anything but false.

use super::formula::{Constant, Formula, Test};
use super::hash::hash_words;
use super::index::{
    ALONE, Columns, Compound, Index, IndexSummary, NONE, Record, SHAPES_MAX, Station,
};
use super::key::{Accepted, Component, Estimator, FieldHint, Key, Look, Needs, choose, needs};
use super::literals::Literals;
use super::outcome::Outcome;
use super::tables::{ABSENT, Bounds, FIRST, OTHER, Prefixes, UNREACHABLE};
use super::texts::{Anchor, TextsAsk};
use crate::event::{FieldId, FieldSet};
use std::collections::{BTreeMap, BTreeSet};

/// A chosen key in the index's own numbers: per component its look, and the local ids of which one must be seen.
type LocalKey = Vec<(u32, Vec<u32>)>;

/// Most branches that one rule is split into.
const BRANCHES_MAX: usize = 64;

/// One way for a rule to match: all of these must hold.
pub(super) struct Branch<'s> {
    pub(super) rule: u32,
    pub(super) parts: Vec<Formula<'s>>,
}

/// Splits a rule into branches where that makes it findable, and files them.
pub(super) struct IndexBuilder<'h> {
    hint: &'h dyn Fn(FieldId) -> Option<FieldHint>,
}

impl<'h> IndexBuilder<'h> {
    pub(super) fn new(hint: &'h dyn Fn(FieldId) -> Option<FieldHint>) -> Self {
        Self { hint }
    }

    /// `columns` is given the constants of all conditions: a value's records are laid out by its number.
    pub(super) fn build<'s>(
        &self,
        formulas: Vec<Formula<'s>>,
        fields: &FieldSet,
        columns: &mut Columns,
    ) -> (Index, Vec<Branch<'s>>, IndexSummary) {
        let of_rules: Vec<Needs> = formulas.iter().map(needs).collect();
        let estimator = Estimator::new(fields, self.hint, &of_rules);
        let enough = 0.5 / (formulas.len().max(1) as f64);
        let none = BTreeSet::new();
        let mut branches = Vec::new();
        let mut of_branches = Vec::new();
        for (rule, (formula, of_rule)) in formulas.into_iter().zip(of_rules).enumerate() {
            let whole = choose(&of_rule, &estimator, enough, &none);
            let tolerable = whole.is_some_and(|key| key.share <= 0.01);
            let alternatives = match formula {
                Formula::Fixed(Outcome::False) => continue,
                Formula::Or(parts) if !tolerable && parts.len() <= BRANCHES_MAX => parts,
                other if !tolerable => distribute(other),
                other => vec![other],
            };
            for alternative in alternatives {
                of_branches.push(needs(&alternative));
                branches.push(branch(rule, alternative));
            }
        }
        for part in branches.iter().flat_map(|branch| &branch.parts) {
            intern_constants(part, fields, columns);
        }
        let costs: Vec<f64> = branches.iter().map(check_cost).collect();
        let keys = choose_all(&of_branches, &costs, &estimator, enough);
        let (index, summary) = Filing::new(fields, columns).file(keys);
        (index, branches, summary)
    }
}

fn intern_constants(part: &Formula<'_>, fields: &FieldSet, columns: &mut Columns) {
    match part {
        Formula::Condition { condition, .. } => {
            if let Test::AnyOf(values) = &condition.test {
                let column = columns.of(condition.field);
                for value in values {
                    columns.all[column as usize].1.intern(value);
                }
            }
        }
        Formula::And(parts) | Formula::Or(parts) => {
            parts
                .iter()
                .for_each(|part| intern_constants(part, fields, columns));
        }
        Formula::Texts { texts, .. } => {
            if let TextsAsk::Is(all) = &texts.ask {
                let column = columns.of_texts(texts.field, fields);
                for text in all {
                    let constant = Constant::Folded(text.clone());
                    columns.all[column as usize].1.intern(&constant);
                }
            }
        }
        Formula::Fixed(_) | Formula::Residual { .. } => {}
    }
}

/// A key without literals is good enough when it is expected to hit no more events than this.
const SHARE_WITHOUT_LITERALS_MAX: f64 = 0.001;

/// About what checking a branch costs, in nanoseconds: a glance, unless an expression has to be evaluated.
fn check_cost(branch: &Branch<'_>) -> f64 {
    fn of(part: &Formula<'_>) -> f64 {
        match part {
            Formula::Residual {
                necessary: Some(_), ..
            } => 300.0,
            Formula::Residual { .. } => 50.0,
            Formula::Texts { texts, .. } => match &texts.ask {
                TextsAsk::Is(_) => 0.0,
                TextsAsk::Holds(_) => 150.0,
            },
            Formula::And(parts) | Formula::Or(parts) => parts.iter().map(of).sum(),
            Formula::Fixed(_) | Formula::Condition { .. } => 0.0,
        }
    }
    25.0 + branch.parts.iter().map(of).sum::<f64>()
}

/// Chooses every branch's key. A look that is dear for every event is only used when it spares enough candidates.
fn choose_all(
    needs: &[Needs],
    costs: &[f64],
    estimator: &Estimator<'_>,
    enough: f64,
) -> Vec<Option<Key>> {
    let none = BTreeSet::new();
    let literals: BTreeSet<Component> = needs
        .iter()
        .flat_map(Needs::keys)
        .filter(|one| matches!(one.1, Look::Literal | Look::TextLiteral))
        .copied()
        .collect();
    // Looking for literals is the dearest look: rules that are found well enough without it do without.
    let best = |one: &Needs, avoided: &BTreeSet<Component>| {
        let without: BTreeSet<Component> = avoided.union(&literals).copied().collect();
        choose(one, estimator, enough, &without)
            .filter(|key| key.share <= enough.max(SHARE_WITHOUT_LITERALS_MAX))
            .or_else(|| choose(one, estimator, enough, avoided))
    };
    let mut keys: Vec<Option<Key>> = needs.iter().map(|one| best(one, &none)).collect();
    let mut users: BTreeMap<Component, Vec<usize>> = BTreeMap::new();
    for (at, key) in keys.iter().enumerate() {
        for (component, _) in key.iter().flat_map(|key| &key.components) {
            if matches!(
                component.1,
                Look::Prefix | Look::Literal | Look::TextLiteral
            ) {
                users.entry(*component).or_default().push(at);
            }
        }
    }
    let mut avoided = BTreeSet::new();
    for (component, users) in &users {
        let mut without = avoided.clone();
        without.insert(*component);
        let more: f64 = users
            .iter()
            .map(|at| {
                let other = best(&needs[*at], &without);
                let share = |key: &Option<Key>| key.as_ref().map_or(1.0, |key| key.share);
                (share(&other) - share(&keys[*at])) * costs[*at]
            })
            .sum();
        if more < estimator.look_cost(*component) {
            avoided = without;
            for at in users {
                keys[*at] = best(&needs[*at], &avoided);
            }
        }
    }
    keys
}

fn branch(rule: usize, formula: Formula<'_>) -> Branch<'_> {
    let parts = match formula {
        Formula::And(parts) => parts,
        other => vec![other],
    };
    Branch {
        rule: rule as u32,
        parts,
    }
}

/// `a && (b || c)` as `a && b`, `a && c`, for the first alternative list short enough.
fn distribute(formula: Formula<'_>) -> Vec<Formula<'_>> {
    let Formula::And(mut parts) = formula else {
        return vec![formula];
    };
    let found = parts
        .iter()
        .position(|part| matches!(part, Formula::Or(inner) if inner.len() <= BRANCHES_MAX / 4));
    let Some(at) = found else {
        return vec![Formula::And(parts)];
    };
    let Formula::Or(alternatives) = parts.swap_remove(at) else {
        return vec![Formula::And(parts)];
    };
    alternatives
        .into_iter()
        .map(|alternative| {
            let mut all = parts.clone();
            match alternative {
                Formula::And(inner) => all.extend(inner),
                other => all.push(other),
            }
            Formula::And(all)
        })
        .collect()
}

struct Filing<'c> {
    fields: &'c FieldSet,
    columns: &'c mut Columns,
    index: Index,
    by_component: BTreeMap<Component, u32>,
}

impl<'c> Filing<'c> {
    fn new(fields: &'c FieldSet, columns: &'c mut Columns) -> Self {
        Self {
            fields,
            columns,
            index: Index::default(),
            by_component: BTreeMap::new(),
        }
    }

    fn file(mut self, keys: Vec<Option<Key>>) -> (Index, IndexSummary) {
        let mut summary = IndexSummary {
            branches: keys.len(),
            ..IndexSummary::default()
        };
        let mut looks: BTreeMap<String, usize> = BTreeMap::new();
        for (component, _) in keys.iter().flatten().flat_map(|key| &key.components) {
            let (field, look) = component;
            let look = format!("{look:?}").to_ascii_lowercase();
            *looks
                .entry(format!("{} {look}", self.fields.path(*field)))
                .or_default() += 1;
        }
        summary.looks = looks.into_iter().collect();
        // Cheap looks first: what they show may make the dear ones unnecessary.
        let all = keys.iter().flatten().flat_map(|key| &key.components);
        let mut components: Vec<Component> = all.map(|(component, _)| *component).collect();
        components.sort_unstable_by_key(|(field, look)| (*look, *field));
        components.dedup();
        for component in components {
            self.look(component);
        }
        let kept = self.shapes_kept(&keys);
        // First every value gets its local id, then records can be laid out, then branches filed.
        let filed: Vec<Option<LocalKey>> = keys
            .into_iter()
            .map(|key| key.map(|key| self.local_ids(key, &kept)))
            .collect();
        self.lay_out();
        let mut single: Vec<(u64, u32)> = Vec::new();
        // By hash alone: two keys that collide share their branches, and the check tells them apart.
        let mut compound: [Vec<(u64, u32)>; 2] = [Vec::new(), Vec::new()];
        self.index.branches_of_shape = vec![Vec::new(); self.index.shapes.len()];
        for (branch, key) in filed.into_iter().enumerate() {
            let branch = branch as u32;
            let Some(key) = key else {
                self.index.always.push(branch);
                continue;
            };
            summary.by_components[key.len() - 1] += 1;
            if let [(look, ids)] = &key[..] {
                self.index.looks[*look as usize].singles += 1;
                let base = self.index.looks[*look as usize].base;
                single.extend(ids.iter().map(|id| (u64::from(base + id), branch)));
                continue;
            }
            let shape = kept[&components_of(&key)];
            self.mark(&key, shape);
            self.each_combination(&key, |hash, unusual| {
                compound[usize::from(unusual)].push((hash, branch));
            });
            self.index.branches_of_shape[shape].push(branch);
        }
        let [usual, unusual] = compound;
        summary.entries = single.len() + usual.len() + unusual.len();
        self.insert_single(single);
        self.index.usual = self.compound(usual);
        self.index.unusual = self.compound(unusual);
        self.note_quiet_looks();
        summary.always = self.index.always.len();
        summary.shapes = self.index.shapes.len();
        (self.index, summary)
    }

    fn note_quiet_looks(&mut self) {
        let records = &self.index.records;
        for look in &mut self.index.looks {
            let filed = |id: u32| {
                let record = records[(look.base + id) as usize];
                record.count > 0 || record.shapes != 0
            };
            let certain = match look.look {
                // A key with dots, or a list on the way, may lead to texts where the field is absent.
                Look::Text => self.fields.parent(look.field).is_none(),
                Look::TextLiteral => self.index.anchors[look.anchor as usize].is_plain(),
                _ => true,
            };
            look.quiet = certain && !filed(ABSENT);
            look.quiet_unreachable = !filed(UNREACHABLE);
        }
    }

    /// The most used shapes get a bit; rules of the others fall back to their first component.
    fn shapes_kept(&mut self, keys: &[Option<Key>]) -> BTreeMap<Vec<u32>, usize> {
        let mut counts: BTreeMap<Vec<Component>, usize> = BTreeMap::new();
        for key in keys.iter().flatten().filter(|key| key.components.len() > 1) {
            let mut shape: Vec<Component> = key.components.iter().map(|(one, _)| *one).collect();
            shape.sort_unstable();
            *counts.entry(shape).or_default() += 1;
        }
        let mut counts: Vec<(Vec<Component>, usize)> = counts.into_iter().collect();
        counts.sort_by(|left, right| right.1.cmp(&left.1).then(left.0.cmp(&right.0)));
        counts.truncate(SHAPES_MAX);
        let mut kept = BTreeMap::new();
        for (shape, _) in counts {
            let mut looks: Vec<u32> = shape.into_iter().map(|one| self.look(one)).collect();
            looks.sort_unstable();
            let bit = self.index.shapes.len();
            for look in &looks {
                self.index.looks[*look as usize].shapes |= 1 << bit;
            }
            let third = looks.get(2).copied().unwrap_or(NONE);
            self.index.shapes.push([looks[0], looks[1], third]);
            kept.insert(looks, bit);
        }
        kept
    }

    fn look(&mut self, component: Component) -> u32 {
        if let Some(look) = self.by_component.get(&component) {
            return *look;
        }
        let (field, look) = component;
        let table = match look {
            Look::Value => self.columns.of(field),
            Look::Text => self.columns.of_texts(field, self.fields),
            Look::Prefix => {
                self.index.prefixes.push(Prefixes::default());
                self.index.prefixes.len() as u32 - 1
            }
            Look::Literal | Look::TextLiteral => {
                self.index.literals.push(Literals::default());
                self.index.literals.len() as u32 - 1
            }
            Look::Bound => {
                self.index.bounds.push(Bounds::default());
                self.index.bounds.len() as u32 - 1
            }
            Look::Presence => 0,
        };
        let anchor = self.index.anchors.len() as u32;
        if look == Look::TextLiteral {
            self.index.anchors.push(Anchor::new(field, self.fields));
        }
        let id = self.index.looks.len() as u32;
        let parent = self.fields.parent(field);
        self.index.looks.push(Station {
            field,
            parent,
            look,
            base: 0,
            table,
            shapes: 0,
            singles: 0,
            quiet: false,
            quiet_unreachable: false,
            anchor,
        });
        self.by_component.insert(component, id);
        id
    }

    fn local_ids(&mut self, key: Key, kept: &BTreeMap<Vec<u32>, usize>) -> Vec<(u32, Vec<u32>)> {
        let mut components = key.components;
        if components.len() > 1 {
            let mut shape: Vec<u32> = components
                .iter()
                .filter_map(|(one, _)| self.by_component.get(one).copied())
                .collect();
            shape.sort_unstable();
            if shape.len() < components.len() || !kept.contains_key(&shape) {
                components.truncate(1);
            }
        }
        let mut ids: Vec<(u32, Vec<u32>)> = components
            .into_iter()
            .map(|(component, accepted)| {
                let look = self.look(component);
                (look, self.accepted_ids(look, &accepted))
            })
            .collect();
        ids.sort_unstable_by_key(|(look, _)| *look);
        ids
    }

    fn accepted_ids(&mut self, look: u32, accepted: &Accepted) -> Vec<u32> {
        let Station { look, table, .. } = self.index.looks[look as usize];
        let states = [
            (accepted.absent, ABSENT),
            (accepted.unreachable, UNREACHABLE),
            (accepted.other, OTHER),
        ];
        let mut ids: Vec<u32> = states
            .into_iter()
            .filter(|(taken, _)| *taken)
            .map(|(_, id)| id)
            .collect();
        for constant in &accepted.constants {
            let id = match (look, constant) {
                (Look::Value | Look::Text, constant) => {
                    self.columns.all[table as usize].1.intern(constant)
                }
                (Look::Prefix, Constant::Text(text)) => {
                    self.index.prefixes[table as usize].intern(text)
                }
                (Look::Literal, Constant::Text(text)) => {
                    self.index.literals[table as usize].intern(text)
                }
                (Look::Literal | Look::TextLiteral, Constant::Folded(text)) => {
                    self.index.literals[table as usize].intern_folded(text)
                }
                (Look::Bound, Constant::Bound(comparison, number)) => {
                    self.index.bounds[table as usize].intern(*comparison, *number)
                }
                _ => continue,
            };
            ids.push(id);
        }
        ids.sort_unstable();
        ids.dedup();
        ids
    }

    fn lay_out(&mut self) {
        let mut base = 0;
        for look in &mut self.index.looks {
            let table = look.table as usize;
            let count = match look.look {
                Look::Value | Look::Text => self.columns.all[table].1.len(),
                Look::Prefix => self.index.prefixes[table].len(),
                Look::Literal | Look::TextLiteral => self.index.literals[table].len(),
                Look::Bound => self.index.bounds[table].len(),
                Look::Presence => 0,
            };
            look.base = base;
            base += FIRST + count as u32;
        }
        self.index.records = vec![Record::default(); base as usize];
        self.index.prefixes.iter_mut().for_each(Prefixes::finish);
        self.index.literals.iter_mut().for_each(Literals::finish);
        self.index.bounds.iter_mut().for_each(Bounds::finish);
    }

    /// Notes at every accepted value that the shape has it in some key.
    fn mark(&mut self, key: &[(u32, Vec<u32>)], shape: usize) {
        for (look, ids) in key {
            let base = self.index.looks[*look as usize].base;
            for id in ids {
                self.index.records[(base + id) as usize].shapes |= 1 << shape;
            }
        }
    }

    /// Calls `found` with the hash of every combination of the accepted values, as record numbers, and whether
    /// some of them are no values.
    fn each_combination(&self, key: &[(u32, Vec<u32>)], mut found: impl FnMut(u64, bool)) {
        let records = |at: usize| {
            let (look, ids) = &key[at];
            let base = self.index.looks[*look as usize].base;
            ids.iter()
                .map(move |id| (base + id, self.index.is_unusual(*look, *id)))
        };
        for (a, a_unusual) in records(0) {
            for (b, b_unusual) in records(1) {
                if key.len() == 2 {
                    found(hash_words(&[a, b]), a_unusual || b_unusual);
                    continue;
                }
                for (c, c_unusual) in records(2) {
                    found(hash_words(&[a, b, c]), a_unusual || b_unusual || c_unusual);
                }
            }
        }
    }

    fn insert_single(&mut self, mut filed: Vec<(u64, u32)>) {
        filed.sort_unstable();
        for group in filed.chunk_by(|left, right| left.0 == right.0) {
            let (start, count) = self.post(group);
            let record = &mut self.index.records[group[0].0 as usize];
            (record.start, record.count) = (start, count);
        }
    }

    fn compound(&mut self, mut filed: Vec<(u64, u32)>) -> Compound {
        if filed.is_empty() {
            return Compound::default();
        }
        filed.sort_unstable();
        let keys = filed.chunk_by(|left, right| left.0 == right.0).count();
        let mut table = Compound::new(keys);
        for group in filed.chunk_by(|left, right| left.0 == right.0) {
            let posted = self.post(group);
            let filed = match group {
                [(_, branch)] => ALONE | branch,
                _ => {
                    self.index.groups.push(posted);
                    self.index.groups.len() as u32 - 1
                }
            };
            table.insert(group[0].0, filed);
        }
        table
    }

    fn post(&mut self, group: &[(u64, u32)]) -> (u32, u32) {
        let start = self.index.postings.len() as u32;
        self.index
            .postings
            .extend(group.iter().map(|(_, branch)| branch));
        (start, group.len() as u32)
    }
}

fn components_of(key: &[(u32, Vec<u32>)]) -> Vec<u32> {
    key.iter().map(|(look, _)| *look).collect()
}
