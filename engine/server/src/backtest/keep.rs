//! What is kept of a finding: enough to count, compare, judge and show it, in about a hundred bytes.
//!
//! Texts that come again (keys, titles, files, traits) are kept once and named by number. Event ids that are UUIDs
//! and all finding ids are kept as numbers from which they can be written again. Texts from events are cut to a bound,
//! with a hash of the whole so that two stay two. Findings are bounded in number: beyond that nothing is kept and the
//! run ends, for a comparison of a part would look like one of the whole.

use super::traits::{Traits, traits_of};
use crate::output::Sighting;
use crate::pipeline::Flow;
use crate::scan::outlet::{Outlet, Placed, Shape, Side};
use crate::scan::record_id::uuid;
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use tripline_core::rule::Severity;

/// Findings of both versions that are kept: about 2 GiB.
pub(crate) const FINDINGS_KEPT_MAX: usize = 16 * 1024 * 1024;

/// Longest text of a key, title or id that is kept whole.
const TEXT_BYTES_MAX: usize = 256;

/// A finding as a thread hands it on.
#[derive(Default)]
pub(crate) struct Kept {
    pub(super) key: String,
    title: String,
    pub(super) event_id: String,
    finding_id: u128,
    seconds: Option<i64>,
    count: u64,
    traits: String,
}

/// Keeps what a backtest needs of findings.
pub(crate) struct Keeping {
    pub(crate) traits: Traits,
}

impl Shape for Keeping {
    type Shaped = Kept;

    fn shape(&self, sighting: &Sighting<'_>) -> Kept {
        let finding = sighting.finding;
        let time = finding.event_time.as_deref();
        let time = time.and_then(|text| text.parse::<jiff::Timestamp>().ok());
        let seen = finding.pattern.as_ref().map_or(1, |pattern| pattern.count);
        let suppressed = finding.suppressed.as_ref().map_or(0, |more| more.count);
        Kept {
            key: key_text(&finding.dedup_key),
            title: cut(&finding.title),
            event_id: cut(&finding.event_id),
            finding_id: u128::from_str_radix(&finding.finding_id, 16).unwrap_or_default(),
            seconds: time.map(jiff::Timestamp::as_second),
            count: seen + suppressed,
            traits: match self.traits {
                Traits::Kept => traits_of(sighting.event.root()),
                Traits::Unwanted => String::new(),
            },
        }
    }

    fn bytes(shaped: &Kept) -> usize {
        shaped.key.capacity()
            + shaped.title.capacity()
            + shaped.event_id.capacity()
            + shaped.traits.capacity()
    }
}

/// The parts of a key as one text, a JSON array.
pub(crate) fn key_text(parts: &[String]) -> String {
    let text = serde_json::json!(parts).to_string();
    if text.len() <= TEXT_BYTES_MAX {
        return text;
    }
    serde_json::json!([cut(&text)]).to_string()
}

/// The parts of a key from its text.
pub(crate) fn key_parts(text: &str) -> Vec<String> {
    serde_json::from_str(text).unwrap_or_else(|_| vec![text.to_owned()])
}

/// A text within its bound.
fn cut(text: &str) -> String {
    if text.len() <= TEXT_BYTES_MAX {
        return text.to_owned();
    }
    let mut end = TEXT_BYTES_MAX - 24;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    // The same in every run, so that two runs can be compared; whoever makes two alike only hides from a count.
    let mut hash = DefaultHasher::new();
    text.hash(&mut hash);
    format!("{}…#{:016x}", &text[..end], hash.finish())
}

/// Texts by number, each once.
#[derive(Default)]
pub(crate) struct Texts {
    numbers: HashMap<Arc<str>, u32>,
    texts: Vec<Arc<str>>,
}

impl Texts {
    fn number(&mut self, text: &str) -> u32 {
        if let Some(number) = self.numbers.get(text) {
            return *number;
        }
        let number = self.texts.len() as u32;
        let text: Arc<str> = text.into();
        self.texts.push(text.clone());
        self.numbers.insert(text, number);
        number
    }

    /// The text of a number.
    pub(crate) fn text(&self, number: u32) -> &str {
        &self.texts[number as usize]
    }

    /// The number of a text that is kept.
    pub(crate) fn find(&self, text: &str) -> Option<u32> {
        self.numbers.get(text).copied()
    }
}

/// The id of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum EventName {
    Uuid(u128),
    Text(u32),
}

/// A finding as it is kept.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KeptFinding {
    pub(crate) event: EventName,
    pub(crate) finding_id: u128,
    pub(crate) seconds: Option<i64>,
    pub(crate) position: u64,
    /// Events in it, and later ones that were counted on it.
    pub(crate) count: u64,
    pub(crate) rule: u32,
    pub(crate) key: u32,
    pub(crate) title: u32,
    pub(crate) file: u32,
    pub(crate) traits: u32,
    pub(crate) severity: Severity,
}

/// Everything that was kept.
#[derive(Default)]
pub(crate) struct Keeper {
    /// Findings in input order, of the rules and of the baseline.
    sides: [Vec<KeptFinding>; 2],
    pub(crate) texts: Texts,
    /// Ids that somebody asks about, as numbers, and whether their record came.
    awaited: HashMap<u128, bool>,
    pub(crate) overflowed: bool,
}

impl Keeper {
    /// Notes whether records of these ids come.
    pub(crate) fn awaiting(ids: impl Iterator<Item = u128>) -> Self {
        Self {
            awaited: ids.map(|id| (id, false)).collect(),
            ..Self::default()
        }
    }

    /// Findings of a version of the rules, in input order.
    pub(crate) fn findings(&self, side: Side) -> &[KeptFinding] {
        &self.sides[index(side)]
    }

    /// Whether the record of an id that was asked about came.
    pub(crate) fn came(&self, id: u128) -> bool {
        self.awaited.get(&id).copied().unwrap_or(false)
    }

    /// The key of a finding, for people.
    pub(crate) fn key(&self, finding: &KeptFinding) -> Vec<String> {
        key_parts(self.texts.text(finding.key))
    }

    /// The id of the event of a finding.
    pub(crate) fn event_id(&self, finding: &KeptFinding) -> String {
        match finding.event {
            EventName::Uuid(number) => {
                let digits = format!("{number:032x}");
                let parts = [(0, 8), (8, 12), (12, 16), (16, 20), (20, 32)];
                parts.map(|(from, to)| &digits[from..to]).join("-")
            }
            EventName::Text(number) => self.texts.text(number).to_owned(),
        }
    }

    /// The name under which an event id is kept, if it is.
    pub(crate) fn event_name(&self, id: &str) -> Option<EventName> {
        match uuid(id.as_bytes()) {
            Some(number) => Some(EventName::Uuid(number)),
            None => self.texts.find(&cut(id)).map(EventName::Text),
        }
    }
}

fn index(side: Side) -> usize {
    match side {
        Side::Rules => 0,
        Side::Baseline => 1,
    }
}

impl Outlet for Keeper {
    type Shape = Keeping;

    fn finding(&mut self, placed: &Placed<'_>, shaped: Kept) {
        if self.sides[0].len() + self.sides[1].len() >= FINDINGS_KEPT_MAX {
            self.overflowed = true;
            return;
        }
        let event = match uuid(shaped.event_id.as_bytes()) {
            Some(number) => EventName::Uuid(number),
            None => EventName::Text(self.texts.number(&shaped.event_id)),
        };
        let finding = KeptFinding {
            event,
            finding_id: shaped.finding_id,
            seconds: shaped.seconds,
            position: placed.position,
            count: shaped.count,
            rule: placed.rule,
            key: self.texts.number(&shaped.key),
            title: self.texts.number(&shaped.title),
            file: self.texts.number(placed.file),
            traits: self.texts.number(&shaped.traits),
            severity: placed.severity,
        };
        self.sides[index(placed.side)].push(finding);
    }

    fn record(&mut self, id: u128) {
        if let Some(came) = self.awaited.get_mut(&id) {
            *came = true;
        }
    }

    fn batch(&mut self) -> Flow {
        if self.overflowed {
            Flow::Stop
        } else {
            Flow::Continue
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{TEXT_BYTES_MAX, cut, key_parts, key_text};

    #[test]
    fn texts_are_cut_and_two_stay_two() {
        let long = |last: &str| "é".repeat(300) + last;
        assert_eq!(cut("short"), "short");
        assert!(cut(&long("a")).len() <= TEXT_BYTES_MAX);
        assert_ne!(cut(&long("a")), cut(&long("b")));
        let parts = vec!["a\"b".to_owned(), String::new()];
        assert_eq!(key_parts(&key_text(&parts)), parts);
        assert_ne!(key_text(&[long("a")]), key_text(&[long("b")]));
        assert_eq!(key_parts(&key_text(&[long("a")])).len(), 1);
    }
}
