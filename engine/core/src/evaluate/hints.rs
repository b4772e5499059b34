//! What the schemas of the rules' sources say of fields, for the index: how many values they have, and how often they are there.
//!
//! Relies on the schemas alone. Where nothing is known a guess is made that makes no field look rare. Must never change what
//! a rule finds: hints only say where the index looks first.

use super::key::{FieldHint, Often};
use super::rule_set::RulePre;
use crate::event::FieldPath;
use crate::selector::Schema;
use crate::selector::schema::Presence;
use std::collections::BTreeMap;

/// Distinct values of a field of which nobody says.
const UNKNOWN_DISTINCT: u32 = 8;

/// What the schemas of the rules' sources say of fields, for the index.
pub(super) struct Hints(BTreeMap<String, FieldHint>);

impl Hints {
    pub(super) fn of<'s>(rules: &[RulePre], schema: &dyn Fn(&str) -> Option<&'s Schema>) -> Self {
        let mut sources: Vec<&str> = rules
            .iter()
            .filter_map(|rule| rule.rule.source.as_deref())
            .collect();
        sources.sort_unstable();
        sources.dedup();
        let mut hints: BTreeMap<String, FieldHint> = BTreeMap::new();
        for field in sources
            .iter()
            .filter_map(|source| schema(source))
            .flat_map(Schema::fields)
        {
            let distinct = field.distinct.unwrap_or(match field.values.len() {
                0 => UNKNOWN_DISTINCT,
                values => values as u32,
            });
            let presence = match (field.presence, field.usual) {
                (Presence::Always, _) => Often::Always,
                (Presence::Sometimes, true) => Often::Usually,
                (Presence::Sometimes, false) => Often::Sometimes,
            };
            // Of two sources, the one that promises less is believed.
            let follows = field.follows.as_deref().map(FieldPath::dotted);
            let hint = FieldHint {
                distinct,
                presence,
                follows,
            };
            let known = hints.entry(field.path.clone()).or_insert(hint);
            known.distinct = known.distinct.min(distinct);
            known.presence = known.presence.min(presence);
        }
        Self(hints)
    }

    pub(super) fn get(&self, path: &FieldPath) -> Option<FieldHint> {
        self.0.get(&path.keys().join(".")).cloned()
    }
}
