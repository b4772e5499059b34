//! Rules that ask what is known of their event: `insight` of its series, `entity` of whose it is.
//!
//! ```toml
//! when = 'event.eventName == "GetSecretValue" && entity.first_seen && entity.rarity > 0.9'
//! ```
//!
//! Such a rule has no table: that it mentions one of the variables makes it one that waits, like those that remember, until
//! everything is known that was known at the event's time. Relies on the reader for everything else of the rule. Must
//! never evaluate anything. Rejected: a table or a key that says so, which could be forgotten or be there in vain.

use super::{Kind, Memory, read_lateness};
use crate::diagnostic::{Code, Diagnostic};
use crate::limits::RULE_GROUPS_DEFAULT;
use crate::rule::model::Rule;
use crate::rule::read::{Fields, Reader};

/// The variable by which rules ask about the series of an event.
pub const INSIGHT: &str = "insight";
/// The variable by which rules ask what the entity of an event usually does.
pub const ENTITY: &str = "entity";

/// What of the two a rule asks about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Asks {
    /// It mentions `insight`.
    pub insight: bool,
    /// It mentions `entity`.
    pub entity: bool,
}

impl Asks {
    /// What a rule asks about, anywhere.
    pub fn of(rule: &Rule) -> Self {
        let asks = |name: &str| rule.selectors().any(|one| one.expr.mentions(name));
        Self {
            insight: asks(INSIGHT),
            entity: asks(ENTITY),
        }
    }

    /// Whether it asks about anything.
    pub fn any(self) -> bool {
        self.insight || self.entity
    }
}

/// Makes a rule about single events that asks one that waits. Nothing when that cannot be.
pub(in crate::rule) fn read_questions(
    reader: &mut Reader,
    fields: &Fields<'_, '_>,
    rule: &mut Rule,
) -> Option<()> {
    if rule.memory.is_some() {
        return Some(());
    }
    if !Asks::of(rule).any() {
        return super::refuse_lateness(reader, fields);
    }
    if let Some((_, span)) = fields.text("effect") {
        let message = "a rule that asks about insights or entities decides nothing about an event that has not happened";
        reader.report(
            Diagnostic::new(Code::RuleKind, span, message).with_help(
                "Remove `effect`: what is known of an event is known when it is counted.",
            ),
        );
        return None;
    }
    let place = rule.inputs.first().map_or(&rule.place, |own| &own.place);
    rule.memory = Some(Memory {
        lateness: read_lateness(reader, fields, &Kind::Scored)?,
        kind: Kind::Scored,
        group_by: Vec::new(),
        groups_max: RULE_GROUPS_DEFAULT,
        place: place.clone(),
    });
    Some(())
}
