//! `[first_seen]`: a value, or a combination of up to five, that was not seen before.
//!
//! ```toml
//! when = 'event.eventSource == "sts.amazonaws.com"'
//! group_by = ['event.userIdentity.arn']      # new for whom; for everybody without
//!
//! [first_seen]
//! of = ['event.awsRegion']
//! history = "30d"                 # what was not seen for so long is new again
//! learning = "7d"                 # after the rule's first event nothing is reported for so long
//! learning_of_group = "1d"        # nor after the first event of a new group
//! ```
//!
//! Values are kept as 128 bits of their SHA-256, so two different ones are taken for the same with a probability
//! below 1 in 10^20 even among ten million. With the time of the last sight a key takes about 30 bytes. Rejected: a
//! Bloom filter, which forgets nothing and calls some new things old.

use super::input::Input;
use super::period::{EventTime, Period};
use super::{Kind, WINDOW_MAX, period, read_selectors};
use crate::diagnostic::{Code, Diagnostic};
use crate::limits::FIRST_SEEN_PARTS_MAX;
use crate::rule::model::Selector;
use crate::rule::read::{Fields, Reader};

/// What `[first_seen]` says.
#[derive(Clone, Debug, PartialEq)]
pub struct FirstSeen {
    /// The values that are new together.
    pub of: Vec<Selector>,
    /// What was not seen for so long is new again.
    pub history: Period,
    /// After the rule's first event nothing is reported for so long.
    pub learning: Period,
    /// Nor after the first event of a group.
    pub learning_of_group: Period,
}

/// How long it is remembered that something was seen, when the rule does not say.
const HISTORY_DEFAULT: Period = Period::from_days(30);
/// How long a rule learns, when it does not say.
const LEARNING_DEFAULT: Period = Period::from_days(7);

/// Reads `[first_seen]`.
pub(super) fn read(
    reader: &mut Reader,
    fields: &Fields<'_, '_>,
    own: Input,
) -> Option<(Kind, Vec<Input>)> {
    let before = reader.errors();
    let of = read_values(reader, fields);
    let mut length = |name: &str, least: Period, default: Period| {
        period(reader, fields, name, least, WINDOW_MAX).map(|length| length.unwrap_or(default))
    };
    let history = length("history", Period::from_seconds(1), HISTORY_DEFAULT);
    let learning = length("learning", Period::ZERO, LEARNING_DEFAULT);
    let learning_of_group = length("learning_of_group", Period::ZERO, Period::ZERO);
    if reader.errors() > before {
        return None;
    }
    let first_seen = FirstSeen {
        of: of?,
        history: history?,
        learning: learning?,
        learning_of_group: learning_of_group?,
    };
    Some((Kind::FirstSeen(first_seen), vec![own]))
}

/// One to five values.
pub(super) fn read_values(reader: &mut Reader, fields: &Fields<'_, '_>) -> Option<Vec<Selector>> {
    let of = read_selectors(reader, fields, "of", FIRST_SEEN_PARTS_MAX)?;
    if of.is_empty() && fields.value("of").is_some() {
        reader.report(
            Diagnostic::new(
                Code::EmptyValue,
                fields.span,
                "`of` is empty: what is to be new?",
            )
            .with_help("Such as `of = ['event.awsRegion']`."),
        );
        return None;
    }
    Some(of)
}

/// What is known of a value when it comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Novelty {
    /// When it was last seen.
    pub last: Option<EventTime>,
    /// When the rule began.
    pub began: EventTime,
    /// When the value's group began.
    pub group_began: EventTime,
}

impl FirstSeen {
    /// Whether a value that comes at `time` is worth a finding.
    pub fn is_new(&self, known: Novelty, time: EventTime) -> bool {
        let forgotten = known
            .last
            .is_none_or(|last| last.plus(self.history) <= time);
        let learned = known.began.plus(self.learning) <= time || self.learning == Period::ZERO;
        let group_learned = known.group_began.plus(self.learning_of_group) <= time;
        forgotten && learned && group_learned
    }
}
