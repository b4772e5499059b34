//! `[entity]`: what entities usually do, for other rules to ask about.
//!
//! ```toml
//! when = 'has(event.userIdentity.arn)'
//! group_by = ['event.userIdentity.arn']           # whose
//!
//! [entity]
//! of = ['event.eventSource', 'event.eventName']   # what it does
//! peers = ['event.recipientAccountId']            # with whom it is compared; with everybody without
//! history = "28d"                                 # what was not seen for so long is new again
//! learning = "7d"                                 # for so long after its first event nothing is new to an entity
//! ```
//!
//! A profile finds nothing by itself: rules that mention `entity` do. It takes in events and no detections, because those
//! that ask must come after it, and their detections may be what other rules take. Must never evaluate anything. Rejected:
//! a table within the rule that asks, which would keep the same memory once for each such rule.

use super::input::Input;
use super::period::Period;
use super::{Kind, WINDOW_MAX, first_seen, period, read_selectors};
use crate::diagnostic::{Code, Diagnostic};
use crate::limits::RULE_GROUP_PARTS_MAX;
use crate::rule::model::Selector;
use crate::rule::read::{Fields, Reader, span_of};
use std::fmt;

/// What `[entity]` says.
#[derive(Clone, Debug, PartialEq)]
pub struct Entity {
    /// What an entity does: these values together.
    pub of: Vec<Selector>,
    /// Entities of which these are the same are compared.
    pub peers: Vec<Selector>,
    /// What was not seen for so long is new again: whole days.
    pub history: Period,
    /// After the first event of an entity nothing is new to it for so long: whole days.
    pub learning: Period,
}

/// How long it is remembered what an entity did, when the rule does not say: as long as the baseline of an insight.
const HISTORY_DEFAULT: Period = Period::from_days(28);
/// How long an entity is learned, when the rule does not say: a week has every weekday in it.
const LEARNING_DEFAULT: Period = Period::from_days(7);

const DAY: Period = Period::from_days(1);

/// Reads `[entity]`.
pub(super) fn read(
    reader: &mut Reader,
    fields: &Fields<'_, '_>,
    own: Input,
) -> Option<(Kind, Vec<Input>)> {
    let before = reader.errors();
    if let Some(reference) = own.rules.first() {
        let message = "a profile takes in events, and no detections";
        reader.report(
            Diagnostic::new(Code::RuleKind, reference.place.span, message)
                .with_help("Say by `when` which events it takes in."),
        );
    }
    let of = first_seen::read_values(reader, fields);
    let peers = read_selectors(reader, fields, "peers", RULE_GROUP_PARTS_MAX);
    let history = days(reader, fields, "history", DAY);
    let learning = days(reader, fields, "learning", Period::ZERO);
    if reader.errors() > before {
        return None;
    }
    let entity = Entity {
        of: of?,
        peers: peers?,
        history: history?.unwrap_or(HISTORY_DEFAULT),
        learning: learning?.unwrap_or(LEARNING_DEFAULT),
    };
    Some((Kind::Entity(Box::new(entity)), vec![own]))
}

/// A length of whole days.
fn days(
    reader: &mut Reader,
    fields: &Fields<'_, '_>,
    name: &str,
    least: Period,
) -> Option<Option<Period>> {
    let read = period(reader, fields, name, least, WINDOW_MAX)?;
    let is_whole = |one: Period| one.micros() % DAY.micros() == 0;
    if read.is_some_and(|one| !is_whole(one)) {
        let span = fields.value(name).map_or(fields.span, span_of);
        let message = format!("`{name}` counts whole days");
        reader.report(
            Diagnostic::new(Code::PeriodSyntax, span, message)
                .with_help("Such as `7d` or `4w`: what entities do is counted by days."),
        );
        return None;
    }
    Some(read)
}

impl Entity {
    /// Days of its history.
    pub fn history_days(&self) -> u16 {
        whole_days(self.history)
    }

    /// Days of learning.
    pub fn learning_days(&self) -> u16 {
        whole_days(self.learning)
    }

    /// Every selector that only this kind has.
    pub(super) fn selectors(&self) -> Vec<&Selector> {
        self.of.iter().chain(&self.peers).collect()
    }
}

fn whole_days(period: Period) -> u16 {
    u16::try_from(period.micros() / DAY.micros()).unwrap_or(u16::MAX)
}

/// In one line: `what was done within 4w, after 1w of learning`.
impl fmt::Display for Entity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "what was done within {}, after {} of learning",
            self.history, self.learning
        )
    }
}
