//! Which events certainly do not concern a rule: those of another source than its own.
//!
//! Relies on the marks that field schemas name. Asked only of rules that could not be decided, so an event on which
//! every rule decides pays nothing, and no match is ever lost: a rule that holds does so whatever the event
//! looks like. Rejected: choosing the rules of an event by its source before evaluating, which costs on every
//! event and silences rules on records that lack what their schema promises.

use super::rule_set::{RuleIndex, RulePre};
use crate::event::{Event, FieldPath, Json};
use crate::selector::Schema;

/// Stands for the source of a rule that has none, or none that is told by marks.
const UNMARKED: u32 = u32::MAX;

/// How the events of a rule's source are told from others.
#[derive(Debug)]
pub struct Marks {
    /// The source, such as `aws.cloudtrail`.
    pub source: String,
    /// Fields of which its events have at least one.
    pub fields: Vec<FieldPath>,
}

impl Marks {
    /// Whether the event has none of the fields, so that it is certainly of another source.
    pub(super) fn miss(&self, event: &Event<'_>) -> bool {
        !self.fields.iter().any(|path| has(event.root(), path))
    }
}

fn has(root: Json<'_>, path: &FieldPath) -> bool {
    let mut keys = path.keys().iter();
    keys.try_fold(root, |object, key| object.get(key)).is_some()
}

/// The marks of every source that some rule has.
#[derive(Debug, Default)]
pub(super) struct Sources {
    marks: Vec<Marks>,
    of_rule: Vec<u32>,
}

impl Sources {
    pub(super) fn of<'s>(rules: &[RulePre], schema: &dyn Fn(&str) -> Option<&'s Schema>) -> Self {
        let mut sources = Self::default();
        for rule in rules {
            let source = rule.rule.source.as_deref();
            let at = source.map_or(UNMARKED, |source| sources.add(source, schema));
            sources.of_rule.push(at);
        }
        sources
    }

    fn add<'s>(&mut self, source: &str, schema: &dyn Fn(&str) -> Option<&'s Schema>) -> u32 {
        if let Some(at) = self.marks.iter().position(|marks| marks.source == source) {
            return at as u32;
        }
        let fields = schema(source).map_or(&[][..], Schema::marks);
        if fields.is_empty() {
            return UNMARKED;
        }
        self.marks.push(Marks {
            source: source.to_owned(),
            fields: fields.iter().map(|path| FieldPath::dotted(path)).collect(),
        });
        self.marks.len() as u32 - 1
    }

    /// The marks of a rule's source, if it has any.
    pub(super) fn marks(&self, rule: RuleIndex) -> Option<&Marks> {
        self.marks.get(self.of_rule[rule.0 as usize] as usize)
    }

    /// Moves those of `undecided` that the event does not concern to `not_applicable`. `missed` is room for what
    /// is known of each source.
    pub(super) fn set_aside(
        &self,
        event: &Event<'_>,
        undecided: &mut Vec<RuleIndex>,
        not_applicable: &mut Vec<RuleIndex>,
        missed: &mut Vec<bool>,
    ) {
        missed.clear();
        missed.extend(self.marks.iter().map(|marks| marks.miss(event)));
        if !missed.contains(&true) {
            return;
        }
        undecided.retain(|rule| {
            let source = self.of_rule[rule.0 as usize] as usize;
            let concerns = !missed.get(source).copied().unwrap_or(false);
            if !concerns {
                not_applicable.push(*rule);
            }
            concerns
        });
    }
}
