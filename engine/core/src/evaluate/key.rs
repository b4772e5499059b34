//! Under what a rule is filed: the few things that must be so for it to be anything but false.
//!
//! A *component* is one look at one field: its exact value, the prefixes or literals in it, its presence.
//! From a formula we derive, per component, the set of local ids (see `tables`) of which one must be seen.
//! The key of a rule is one, two or three components, chosen so that few events hit it by chance. Peers file
//! by one field in written order, or walk all fields through an automaton; with thousands of rules that share
//! services and accounts, both leave thousands of rules half true. Negations and undecided tests never help
//! to find a rule, so they are never part of a key; they are checked afterwards.

use super::formula::{Condition, Constant, Formula, Test};
use super::outcome::Outcome;
use super::texts::{Texts, TextsAsk};
use crate::event::{FieldId, FieldPath, FieldSet};
use std::collections::{BTreeMap, BTreeSet};

/// How a component looks at its field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Look {
    Value,
    /// The exact text at a path, in any case.
    Text,
    Prefix,
    Literal,
    /// Literals in the text at a path, in any case.
    TextLiteral,
    Bound,
    Presence,
}

pub(super) type Component = (FieldId, Look);

/// What a component must show: one of these, or one of the states without a comparable value.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Accepted {
    pub(super) constants: Vec<Constant>,
    pub(super) absent: bool,
    /// What the field is in is absent; of texts: what stands there takes a closer look.
    pub(super) unreachable: bool,
    /// A value that is there but of the wrong type (prefix, literal, bound), or simply there (presence).
    pub(super) other: bool,
}

impl Accepted {
    /// Number of local ids.
    fn len(&self) -> usize {
        let states = [self.absent, self.unreachable, self.other];
        self.constants.len() + states.iter().filter(|one| **one).count()
    }

    fn widen(&mut self, other: &Self) {
        self.constants.extend(other.constants.iter().cloned());
        self.absent |= other.absent;
        self.unreachable |= other.unreachable;
        self.other |= other.other;
    }
}

/// What must be seen for a formula to be anything but false.
pub(super) type Needs = BTreeMap<Component, Accepted>;

/// Lists longer than this are not worth an index entry per value.
const CONSTANTS_MAX: usize = 512;

/// Derives the needs of `formula`; empty when nothing can be said.
pub(super) fn needs(formula: &Formula<'_>) -> Needs {
    match formula {
        Formula::Condition {
            condition,
            negated: false,
        } => condition_needs(condition),
        Formula::Residual {
            necessary: Some(necessary),
            ..
        } => {
            let constants = necessary.any_of.clone();
            let (absent, unreachable) = (necessary.absent, necessary.unreachable);
            let accepted = Accepted {
                constants,
                absent,
                unreachable,
                other: true,
            };
            Needs::from([((necessary.field, Look::Literal), accepted)])
        }
        Formula::Texts {
            texts,
            negated: false,
            ..
        } => texts_needs(texts),
        Formula::And(parts) => {
            let mut all = Needs::new();
            for part in parts {
                for (component, accepted) in needs(part) {
                    let smaller = all
                        .get(&component)
                        .is_none_or(|known| accepted.len() < known.len());
                    if smaller {
                        all.insert(component, accepted);
                    }
                }
            }
            for (field, reachable) in parts.iter().filter_map(guard) {
                for ((of, look), accepted) in &mut all {
                    if *of == field {
                        accepted.absent = false;
                        // Of texts it means another thing, of which presence says nothing.
                        let of_texts = matches!(look, Look::Text | Look::TextLiteral);
                        accepted.unreachable &= !reachable || of_texts;
                    }
                }
            }
            all
        }
        Formula::Or(parts) => {
            let mut parts = parts.iter().map(needs);
            let mut common = parts.next().unwrap_or_default();
            for other in parts {
                common.retain(|component, _| other.contains_key(component));
                for (component, accepted) in &mut common {
                    accepted.widen(&other[component]);
                }
            }
            common.retain(|_, accepted| accepted.constants.len() <= CONSTANTS_MAX);
            common
        }
        _ => Needs::new(),
    }
}

fn texts_needs(texts: &Texts) -> Needs {
    let (look, all) = match &texts.ask {
        TextsAsk::Is(all) => (Look::Text, all),
        TextsAsk::Holds(all) => (Look::TextLiteral, all),
    };
    if all.len() > CONSTANTS_MAX {
        return Needs::new();
    }
    let accepted = Accepted {
        constants: all
            .iter()
            .map(|text| Constant::Folded(text.clone()))
            .collect(),
        unreachable: true,
        ..Accepted::default()
    };
    Needs::from([((texts.field, look), accepted)])
}

/// The field whose absence makes this conjunct false, and whether an absent parent does so too.
fn guard(part: &Formula<'_>) -> Option<(FieldId, bool)> {
    match part {
        Formula::Condition {
            condition,
            negated: false,
        } if condition.absent == Outcome::False => {
            Some((condition.field, condition.required.is_none()))
        }
        _ => None,
    }
}

fn condition_needs(condition: &Condition) -> Needs {
    let mut accepted = Accepted {
        absent: condition.absent != Outcome::False,
        unreachable: condition.nested
            && (condition.absent != Outcome::False || condition.required.is_some()),
        ..Accepted::default()
    };
    let text = |text: &str| vec![Constant::Text(text.into())];
    let look = match &condition.test {
        Test::AnyOf(values) if values.len() <= CONSTANTS_MAX => {
            accepted.constants = values.clone();
            Look::Value
        }
        Test::Prefix(prefix) if !prefix.is_empty() => {
            accepted.constants = text(prefix);
            accepted.other = true;
            Look::Prefix
        }
        Test::Suffix(literal) | Test::Contains(literal) if !literal.is_empty() => {
            accepted.constants = text(literal);
            accepted.other = true;
            Look::Literal
        }
        Test::Compare(comparison, number) => {
            accepted.constants = vec![Constant::Bound(*comparison, *number)];
            accepted.other = true;
            Look::Bound
        }
        Test::Present => {
            accepted.other = true;
            Look::Presence
        }
        _ => return Needs::new(),
    };
    // Whatever is asked of a value, there has to be one: cheaper to see than a prefix or a literal.
    let there = Accepted {
        constants: Vec::new(),
        other: true,
        ..accepted.clone()
    };
    let mut needs = Needs::from([((condition.field, look), accepted)]);
    if matches!(look, Look::Prefix | Look::Literal | Look::Bound) {
        needs.insert((condition.field, Look::Presence), there);
    }
    needs
}

/// What is known of a field before any event is seen; from the schema.
#[derive(Clone, Debug)]
pub struct FieldHint {
    /// About how many distinct values events carry.
    pub distinct: u32,
    /// How often it is there.
    pub presence: Often,
    /// The field that nearly decides this one's value, if there is one.
    pub follows: Option<FieldPath>,
}

/// How often a field is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Often {
    /// In some events.
    Sometimes,
    /// In nearly all events.
    Usually,
    /// In all events that are what they claim to be.
    Always,
}

impl Often {
    /// Share of the events that do not have the field.
    fn absent(self) -> f64 {
        match self {
            Self::Sometimes => 0.6,
            Self::Usually => 0.02,
            Self::Always => 0.0001,
        }
    }
}

/// Estimates how many events show what a component needs.
pub(super) struct Estimator<'h> {
    hint: &'h dyn Fn(FieldId) -> Option<FieldHint>,
    constants: BTreeMap<Component, BTreeSet<Vec<u8>>>,
    parents: BTreeMap<FieldId, Option<FieldId>>,
    follows: BTreeMap<FieldId, FieldId>,
}

impl<'h> Estimator<'h> {
    pub(super) fn new(
        fields: &FieldSet,
        hint: &'h dyn Fn(FieldId) -> Option<FieldHint>,
        all: &[Needs],
    ) -> Self {
        let mut constants: BTreeMap<Component, BTreeSet<Vec<u8>>> = BTreeMap::new();
        let (mut parents, mut follows) = (BTreeMap::new(), BTreeMap::new());
        for needs in all {
            for (component, accepted) in needs {
                parents
                    .entry(component.0)
                    .or_insert_with(|| fields.parent(component.0));
                let leader = hint(component.0).and_then(|hint| fields.find(&hint.follows?));
                follows.extend(leader.map(|leader| (component.0, leader)));
                let known = constants.entry(*component).or_default();
                for constant in &accepted.constants {
                    if let Constant::Text(text) | Constant::Folded(text) = constant {
                        known.insert(text.as_bytes().to_vec());
                    }
                }
            }
        }
        Self {
            hint,
            constants,
            parents,
            follows,
        }
    }

    /// Nanoseconds, roughly, that every event pays for this look, whatever it shows.
    pub(super) fn look_cost(&self, component: Component) -> f64 {
        let present = 1.0 - self.absent(component.0);
        match component.1 {
            Look::Value | Look::Presence => 5.0,
            Look::Text => 10.0,
            Look::Bound => 20.0,
            Look::Prefix => 60.0 * present,
            // One by itself is looked for by `memmem`.
            Look::Literal | Look::TextLiteral => match self.constants.get(&component) {
                Some(known) if known.len() == 1 => 60.0 * present,
                _ => 200.0 * present,
            },
        }
    }

    /// Whether another of `fields` says all that `field` could say.
    fn follows_one_of(&self, field: FieldId, fields: &[FieldId]) -> bool {
        self.follows
            .get(&field)
            .is_some_and(|leader| fields.contains(leader))
    }

    fn absent(&self, field: FieldId) -> f64 {
        (self.hint)(field)
            .map_or(Often::Sometimes, |hint| hint.presence)
            .absent()
    }

    /// Share of events, between 0 and 1.
    fn share(&self, component: Component, accepted: &Accepted) -> f64 {
        let (field, look) = component;
        let hint = (self.hint)(field);
        let known = self.constants.get(&component).map_or(0, BTreeSet::len) as f64;
        let present = 1.0 - self.absent(field);
        let one = match look {
            Look::Value | Look::Text => {
                let distinct = hint.map_or(8.0, |hint| f64::from(hint.distinct)).max(known);
                2.0 / (distinct + 2.0)
            }
            Look::Prefix => 1.0 / (known + 8.0),
            Look::Literal | Look::TextLiteral => 0.02,
            Look::Bound => 0.3,
            Look::Presence => 0.0,
        };
        // Whatever the number of values, half of the events are likely to show none of them.
        let mut share = (present * one * accepted.constants.len() as f64).min(0.5);
        if accepted.other {
            share += if look == Look::Presence {
                present
            } else {
                0.0001
            };
        }
        if accepted.absent {
            share += self.absent(field);
        }
        if accepted.unreachable && matches!(look, Look::Text | Look::TextLiteral) {
            share += ODD_SHARE;
        } else if accepted.unreachable {
            let parent = self.parents.get(&field).copied().flatten();
            share += parent.map_or(0.0, |parent| self.absent(parent).min(0.2));
        }
        share.min(1.0)
    }
}

/// Share of events in which a field that rules take for text is a list, an object or inside a list.
const ODD_SHARE: f64 = 0.001;

/// Most index entries that one key may take.
const ENTRIES_MAX: usize = 96;
/// How many of the most telling components of a rule are combined.
const COMPONENTS_MAX: usize = 8;

/// A chosen key, and the share of events that it is expected to hit.
pub(super) struct Key {
    pub(super) components: Vec<(Component, Accepted)>,
    pub(super) share: f64,
}

/// Chooses the key with the fewest components whose share of events is at most `enough`; failing that,
/// the one with the smallest share. `None` when nothing can be said, or every event would hit it.
pub(super) fn choose(
    needs: &Needs,
    estimator: &Estimator<'_>,
    enough: f64,
    avoided: &BTreeSet<Component>,
) -> Option<Key> {
    let mut single: Vec<(f64, Component, &Accepted)> = needs
        .iter()
        .filter(|(component, accepted)| accepted.len() > 0 && !avoided.contains(component))
        .map(|(component, accepted)| (estimator.share(*component, accepted), *component, accepted))
        .collect();
    single.sort_by(|left, right| left.0.total_cmp(&right.0).then(left.1.cmp(&right.1)));
    single.truncate(COMPONENTS_MAX);
    let mut best: Option<(f64, Vec<usize>)> = None;
    for size in 1..=3 {
        if best.as_ref().is_some_and(|(share, _)| *share <= enough) {
            break;
        }
        for chosen in subsets(single.len(), size) {
            let entries: usize = chosen.iter().map(|at| single[*at].2.len()).product();
            let several_looks = chosen
                .iter()
                .map(|at| single[*at].1.0)
                .collect::<BTreeSet<_>>();
            if (size > 1 && entries > ENTRIES_MAX) || several_looks.len() < size {
                continue;
            }
            let fields: Vec<FieldId> = chosen.iter().map(|at| single[*at].1.0).collect();
            if fields
                .iter()
                .any(|field| estimator.follows_one_of(*field, &fields))
            {
                continue;
            }
            let share: f64 = chosen.iter().map(|at| single[*at].0).product();
            // A further component must earn its keep: entries and one more probe per event.
            let earned = best.as_ref().is_none_or(|(known, of)| {
                if of.len() < size {
                    share < known / 4.0
                } else {
                    share < *known
                }
            });
            if earned {
                best = Some((share, chosen));
            }
        }
    }
    let (share, chosen) = best?;
    let components = chosen
        .iter()
        .map(|at| (single[*at].1, single[*at].2.clone()))
        .collect();
    (share < 0.95).then_some(Key { components, share })
}

fn subsets(count: usize, size: usize) -> Vec<Vec<usize>> {
    let mut all: Vec<Vec<usize>> = vec![vec![]];
    for _ in 0..size {
        let longer = |one: &Vec<usize>| {
            let from = one.last().map_or(0, |last| last + 1);
            let extend = |next| one.iter().copied().chain([next]).collect();
            (from..count).map(extend).collect::<Vec<Vec<usize>>>()
        };
        all = all.iter().flat_map(longer).collect();
    }
    all
}

#[cfg(test)]
mod tests {
    use super::subsets;

    #[test]
    fn subsets_are_complete_and_distinct() {
        assert_eq!(subsets(4, 2).len(), 6);
        assert_eq!(subsets(3, 3), [[0, 1, 2]]);
        assert_eq!(subsets(2, 3), Vec::<Vec<usize>>::new());
    }
}
