//! `[rare]`: a value that is seen fewer than so many times, or by fewer than so many, within a window.
//!
//! ```toml
//! when = 'event.eventSource == "kms.amazonaws.com"'
//!
//! [rare]
//! of = ['event.eventName']
//! window = "30d"
//! fewer_than = 3
//! by = 'event.userIdentity.arn'     # then: used by fewer than three of these
//! learning = "7d"
//! ```
//!
//! Each sight of a value that is still rare is a detection; `[suppress]` makes one finding of them.

use super::first_seen::read_values;
use super::input::Input;
use super::moves::{CITED_MAX, EventKey, Firing, Observed};
use super::period::{EventTime, Period};
use super::{Kind, WINDOW_MAX, integer, period, window};
use crate::limits::RARE_SIGHTS_MAX;
use crate::rule::model::Selector;
use crate::rule::read::{Fields, Reader};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// What `[rare]` says.
#[derive(Clone, Debug, PartialEq)]
pub struct Rare {
    /// The values that are rare together.
    pub of: Vec<Selector>,
    /// How far back sights count.
    pub window: Period,
    /// With so many sights a value is no longer rare.
    pub fewer_than: u64,
    /// Count different values of this instead of sights.
    pub by: Option<Selector>,
    /// After the rule's first event nothing is reported for so long.
    pub learning: Period,
}

/// Reads `[rare]`.
pub(super) fn read(
    reader: &mut Reader,
    fields: &Fields<'_, '_>,
    own: Input,
) -> Option<(Kind, Vec<Input>)> {
    let before = reader.errors();
    let of = read_values(reader, fields);
    let window = window(reader, fields, "window");
    let fewer_than = integer(reader, fields, "fewer_than", 2, RARE_SIGHTS_MAX);
    let by = fields.selector(reader, "by");
    let learning = period(reader, fields, "learning", Period::ZERO, WINDOW_MAX);
    if reader.errors() > before {
        return None;
    }
    let window = window?;
    let rare = Rare {
        of: of?,
        window,
        fewer_than: fewer_than??,
        by,
        learning: learning?.unwrap_or(window),
    };
    Some((Kind::Rare(rare), vec![own]))
}

/// The memory of one value in one group.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RareGroup {
    /// The latest sights: one for each event, or for each different value of `by`.
    sights: VecDeque<(EventTime, u64, EventKey)>,
}

impl Rare {
    /// The value comes.
    pub fn observe(
        &self,
        group: &mut RareGroup,
        observed: &Observed<'_>,
        began: EventTime,
    ) -> Option<Firing> {
        let (time, event) = (observed.time(), observed.event);
        let from = time.minus(self.window);
        while group.sights.front().is_some_and(|(at, _, _)| *at <= from) {
            group.sights.pop_front();
        }
        if group
            .sights
            .back()
            .is_some_and(|(at, _, key)| *at == time && *key == event.key)
        {
            return None;
        }
        let by = (observed.captured.hash() >> 64) as u64;
        if self.by.is_some() {
            group.sights.retain(|(_, known, _)| *known != by);
        }
        group.sights.push_back((time, by, event.key.clone()));
        if group.sights.len() as u64 > self.fewer_than {
            group.sights.pop_front();
        }
        let count = group.sights.len() as u64;
        let learned = began.plus(self.learning) <= time || self.learning == Period::ZERO;
        (learned && count < self.fewer_than).then(|| Firing {
            start: group.sights.front().map_or(time, |(first, _, _)| *first),
            count,
            value: count as f64,
            cited: group
                .sights
                .iter()
                .take(CITED_MAX)
                .map(|(_, _, key)| key.clone())
                .collect(),
            ..Firing::of_event(event)
        })
    }

    /// When the group can be forgotten.
    pub fn forgotten_after(&self, group: &RareGroup) -> EventTime {
        group
            .sights
            .back()
            .map_or(EventTime::MIN, |(last, _, _)| last.plus(self.window))
    }
}

impl RareGroup {
    /// About how much memory it takes beside itself.
    pub fn heap_bytes(&self) -> usize {
        self.sights.capacity() * size_of::<(EventTime, u64, EventKey)>()
    }
}
