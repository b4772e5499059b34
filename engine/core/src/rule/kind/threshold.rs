//! `[threshold]`: so many events, or so much of something, within a window.
//!
//! ```toml
//! when = 'event.eventName == "ConsoleLogin" && event.?responseElements.?ConsoleLogin.orValue("") == "Failure"'
//! group_by = ['event.?sourceIPAddress.orValue("")']
//!
//! [threshold]
//! window = "5m"
//! over = "sliding"            # or "tumbling", "session" (then window is the longest pause)
//! measure = "distinct"        # or "events" (the default), "share", "sum", "average", "median", "percentile"
//! of = 'event.userIdentity.userName'
//! is = ">= 10"
//! ```
//!
//! A window that slides holds the events later than `window` before the newest one. A rule fires when its
//! comparison comes to hold, and again only after it ceased to. Only as many events are kept as the comparison needs,
//! so a group is small however busy it is. Comparisons that more events can make false (`<`, `==`) are asked
//! when a tumbling window or a session is over.

use super::comparison::{self, Comparison, Relation, Sense};
use super::entries::{Entries, Entry};
use super::input::Input;
use super::moves::{CITED_MAX, EventKey, Firing, Observed, StoredEvent};
use super::period::{EventTime, Period};
use super::{Kind, integer, window};
use crate::diagnostic::{Code, Diagnostic};
use crate::limits::{THRESHOLD_EVENTS_MAX, WINDOW_ENTRIES_MAX};
use crate::rule::model::{Selector, words};
use crate::rule::read::{Fields, Reader, span_of};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

/// What `[threshold]` says.
#[derive(Clone, Debug, PartialEq)]
pub struct Threshold {
    /// How long the window is; for sessions, the longest pause within one.
    pub window: Period,
    /// How windows follow one another.
    pub over: Over,
    /// What is compared.
    pub measure: Measure,
    /// Which percentile, between 0 and 100.
    pub percentile: f64,
    /// What is measured of each event.
    pub of: Option<Selector>,
    /// When the rule fires.
    pub is: Comparison,
    /// Fewer events than this never fire.
    pub events_min: u64,
}

words! {
    /// How windows follow one another.
    Over {
        /// One window that ends at each event.
        Sliding = "sliding",
        /// Windows side by side, aligned to 1970.
        Tumbling = "tumbling",
        /// As long as events follow one another without a longer pause.
        Session = "session",
    }
}

words! {
    /// What is compared.
    Measure {
        /// The number of events.
        Events = "events",
        /// The number of different values.
        Distinct = "distinct",
        /// The share of events of which a condition holds, between 0 and 1.
        Share = "share",
        /// The sum of a number.
        Sum = "sum",
        /// The mean of a number.
        Average = "average",
        /// The middle one of a number, in order; the mean of the two in the middle where the events are even in number.
        Median = "median",
        /// A percentile of a number.
        Percentile = "percentile",
    }
}

/// Reads `[threshold]`.
pub(super) fn read(
    reader: &mut Reader,
    fields: &Fields<'_, '_>,
    own: Input,
) -> Option<(Kind, Vec<Input>)> {
    let before = reader.errors();
    let window = window(reader, fields, "window");
    let word = |name: &str| fields.text(name).map(|(word, _)| word);
    let over = word("over").map_or(Some(Over::Sliding), Over::from_word);
    let measure = word("measure").map_or(Some(Measure::Events), Measure::from_word);
    let of = fields.selector(reader, "of");
    let is = comparison::read(reader, fields, "is");
    let events_min = integer(reader, fields, "events_min", 1, THRESHOLD_EVENTS_MAX);
    let percentile = integer(reader, fields, "percentile", 1, 99);
    if reader.errors() > before {
        return None;
    }
    let threshold = Threshold {
        window: window?,
        over: over?,
        measure: measure?,
        percentile: percentile?.unwrap_or(95) as f64,
        of,
        is: is?,
        events_min: events_min?.unwrap_or(1),
    };
    check(reader, fields, &threshold).then_some((Kind::Threshold(threshold), vec![own]))
}

fn check(reader: &mut Reader, fields: &Fields<'_, '_>, threshold: &Threshold) -> bool {
    let Some(mistake) = threshold.mistake() else {
        return true;
    };
    let at = fields.value(mistake.key).map_or(fields.span, span_of);
    reader.report(Diagnostic::new(Code::RuleKind, at, mistake.message).with_help(mistake.help));
    false
}

/// What keeps the keys of a table from making sense together.
struct Mistake {
    /// The key to point at; the whole table when it is not there.
    key: &'static str,
    message: String,
    help: &'static str,
}

impl Threshold {
    /// Why it makes no sense, when it does not; for who builds one without a table.
    pub(crate) fn fault(&self) -> Option<String> {
        self.mistake().map(|mistake| mistake.message)
    }

    /// Why a count of values makes no sense when there are at most `most`.
    pub(crate) fn fault_of_values(&self, most: u64) -> Option<String> {
        let (is, whole) = (self.is, self.is.of_whole_numbers());
        let most = most as f64;
        let sense = match whole.relation {
            Relation::AtLeast if (1.0..=most).contains(&whole.number) => Sense::Tells,
            _ => whole.sense(1.0, most),
        };
        match sense {
            Sense::Tells => None,
            Sense::Never => Some(format!(
                "`{is}` never holds of a count that is at most {most}"
            )),
            Sense::Always => Some(format!(
                "`{is}` always holds of a count that is at most {most}"
            )),
        }
    }

    fn mistake(&self) -> Option<Mistake> {
        let Self {
            over, measure, is, ..
        } = self;
        let mistake = |key, message, help| Some(Mistake { key, message, help });
        if self.of.is_none() && *measure != Measure::Events {
            let help = "Add `of = '…'`: CEL on the event.";
            return mistake("of", format!("`{measure}` needs `of`: of what?"), help);
        }
        if self.of.is_some() && *measure == Measure::Events {
            let message = "`of` says what to measure, and events are only counted".to_owned();
            let help = "Add `measure`, such as `measure = \"distinct\"`, or leave `of` out.";
            return mistake("of", message, help);
        }
        if *measure == Measure::Distinct && self.events_min > 1 {
            let message = "values are counted, and not in how many events they come".to_owned();
            let help = "Leave `events_min` out: of each value the latest event is kept, so there is no count of events.";
            return mistake("events_min", message, help);
        }
        if let Some(mistake) = self.senseless() {
            return Some(mistake);
        }
        if *over == Over::Sliding && !is.is_rising() && self.counts() {
            let message = format!("`{is}` holds as soon as the first event comes");
            let help = "Ask it when a window is over: `over = \"tumbling\"` or `\"session\"`. For what does \
                        not happen at all, there is `[absence]`.";
            return mistake("is", message, help);
        }
        if !self.counts() && self.events_min > WINDOW_ENTRIES_MAX as u64 {
            let message =
                format!("`{measure}` is taken over a window that never holds so many events");
            return mistake("events_min", message, "It holds at most the latest 4,096.");
        }
        None
    }

    /// A comparison that holds of nothing that can be measured, or of everything.
    fn senseless(&self) -> Option<Mistake> {
        let is = self.is;
        let mistake = |message, help| {
            let key = "is";
            Some(Mistake { key, message, help })
        };
        let (sense, help) = match self.measure {
            Measure::Events | Measure::Distinct => {
                let whole = is.of_whole_numbers();
                if whole.number > THRESHOLD_EVENTS_MAX as f64 {
                    let message = format!("`{is}` is more than can be counted");
                    return mistake(message, "A window holds at most 100,000 events.");
                }
                (count_sense(whole, self.events_min as f64), COUNTS_ARE)
            }
            Measure::Share => (is.sense(0.0, 1.0), SHARES_ARE),
            Measure::Sum | Measure::Average | Measure::Median | Measure::Percentile => {
                return None;
            }
        };
        match sense {
            Sense::Tells => None,
            Sense::Never => mistake(format!("`{is}` never holds of a {}", self.noun()), help),
            Sense::Always => mistake(format!("`{is}` always holds of a {}", self.noun()), help),
        }
    }

    fn noun(&self) -> &'static str {
        match self.measure {
            Measure::Share => "share",
            _ => "count",
        }
    }

    /// Whether the comparison is about how many there are.
    fn counts(&self) -> bool {
        matches!(self.measure, Measure::Events | Measure::Distinct)
    }
}

const COUNTS_ARE: &str = "Only windows in which something happens are looked at: counts are whole numbers from 1, or \
                          from `events_min`. Write `>= 1` for the first event; for what does not happen at all, \
                          there is `[absence]`.";
const SHARES_ARE: &str = "A share is between 0 and 1: write `> 0.5` for more than 50 per cent, `>= 1` for all, `<= 0` for none.";

/// What a comparison with a whole number says of counts from `low` on.
fn count_sense(is: Comparison, low: f64) -> Sense {
    match is.relation {
        Relation::Equal if is.number.fract() != 0.0 => Sense::Never,
        Relation::Unequal if is.number.fract() != 0.0 => Sense::Always,
        // The first event of a window is worth a finding; none is not.
        Relation::AtLeast if is.number >= 1.0 => Sense::Tells,
        _ => is.sense(low, f64::INFINITY),
    }
}

/// The memory of one group.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ThresholdGroup {
    entries: Entries,
    /// Fired, and still holds.
    latched: bool,
    /// The last event, when it is needed after its window is over.
    last: Option<Arc<StoredEvent>>,
}

impl Threshold {
    /// An event comes into a group.
    pub fn observe(&self, group: &mut ThresholdGroup, observed: &Observed<'_>) -> Option<Firing> {
        let time = observed.time();
        group.entries.prepare();
        self.make_room(group, time);
        let key = &observed.event.key;
        let value = match self.measure {
            Measure::Events => 0,
            Measure::Distinct => (observed.captured.hash() >> 64) as u64,
            _ => observed.captured.number().to_bits(),
        };
        // One event may have several values to tell apart; otherwise it is one, whoever detects it.
        let same = |last: &Entry| last.time == time && last.key == *key && last.value == value;
        if group.entries.back().is_some_and(same) {
            return None;
        }
        let entry = Entry {
            time,
            key: key.clone(),
            value,
        };
        match self.measure {
            Measure::Distinct => group.entries.push_distinct(entry),
            _ => group.entries.push(entry),
        }
        while group.entries.len() > self.entries_needed() {
            group.entries.pop_front();
        }
        if self.waits_for_the_end() {
            group.last = Some(observed.event.clone());
            return None;
        }
        let holds = self.holds(group);
        let fires = holds && !group.latched;
        group.latched = holds;
        fires.then(|| self.firing(group, observed.event, time))
    }

    /// When the group has to be looked at again, if nothing comes.
    pub fn deadline(&self, group: &ThresholdGroup) -> Option<EventTime> {
        if !self.waits_for_the_end() {
            return None;
        }
        group.entries.back().map(|last| self.end(last.time))
    }

    /// The window is over.
    pub fn close(&self, group: &mut ThresholdGroup, now: EventTime) -> Option<Firing> {
        if self.deadline(group)? > now {
            return None;
        }
        let firing = match group.last.take() {
            Some(event) if self.holds(group) => {
                let end = group.entries.back().map_or(now, |last| self.end(last.time));
                Some(self.firing(group, &event, end))
            }
            _ => None,
        };
        group.entries.clear();
        firing
    }

    /// When a group with this last event can be forgotten.
    pub fn forgotten_after(&self, group: &ThresholdGroup) -> EventTime {
        group
            .entries
            .back()
            .map_or(EventTime::MIN, |last| last.time.plus(self.window))
    }

    /// Whether more can make the comparison false, so that only the end of a window tells.
    fn waits_for_the_end(&self) -> bool {
        self.over != Over::Sliding && !(self.is.is_rising() && self.counts())
    }

    fn end(&self, time: EventTime) -> EventTime {
        match self.over {
            Over::Tumbling => {
                let length = self.window.micros();
                EventTime::from_micros(
                    (time.micros().div_euclid(length) + 1).saturating_mul(length),
                )
            }
            _ => time.plus(self.window),
        }
    }

    /// Drops what is no longer in the window that `time` is in.
    fn make_room(&self, group: &mut ThresholdGroup, time: EventTime) {
        match self.over {
            Over::Sliding => {
                let from = time.minus(self.window);
                while group
                    .entries
                    .front()
                    .is_some_and(|entry| entry.time <= from)
                {
                    group.entries.pop_front();
                }
                // With nothing left in it the window is a new one, whether it was swept away meanwhile or not.
                group.latched &= !group.entries.is_empty();
            }
            Over::Tumbling | Over::Session => {
                if group
                    .entries
                    .back()
                    .is_some_and(|last| self.end(last.time) <= time)
                {
                    group.entries.clear();
                    group.latched = false;
                    group.last = None;
                }
            }
        }
    }

    fn entries_needed(&self) -> usize {
        if !self.counts() {
            return WINDOW_ENTRIES_MAX;
        }
        // One more than the number that is compared with tells whether the count is above it.
        let compared = match self.is.is_rising() {
            true => self.is.least_count(),
            false => self.is.number.max(0.0) as u64 + 1,
        };
        (compared.max(self.events_min) as usize).clamp(1, THRESHOLD_EVENTS_MAX as usize + 1)
    }

    fn holds(&self, group: &ThresholdGroup) -> bool {
        let enough = group.entries.len() as u64 >= self.events_min;
        enough && self.is.holds(self.value(group))
    }

    /// What is compared. Sums of numbers that were all finite need not be, and findings are.
    fn value(&self, group: &ThresholdGroup) -> f64 {
        self.measured(group).clamp(f64::MIN, f64::MAX)
    }

    fn measured(&self, group: &ThresholdGroup) -> f64 {
        let numbers = || {
            group
                .entries
                .iter()
                .map(|entry| f64::from_bits(entry.value))
        };
        let count = group.entries.len() as f64;
        match self.measure {
            Measure::Events | Measure::Distinct => count,
            Measure::Sum => numbers().sum(),
            Measure::Share | Measure::Average => numbers().sum::<f64>() / count.max(1.0),
            Measure::Median => median(numbers().collect()),
            Measure::Percentile => {
                let mut all: Vec<f64> = numbers().collect();
                // The nearest rank: the smallest value that so many per cent do not exceed.
                let rank = (self.percentile / 100.0 * count).ceil().max(1.0) as usize;
                if rank > all.len() {
                    return 0.0;
                }
                *all.select_nth_unstable_by(rank - 1, f64::total_cmp).1
            }
        }
    }

    fn firing(&self, group: &ThresholdGroup, event: &Arc<StoredEvent>, time: EventTime) -> Firing {
        let skipped = group.entries.len().saturating_sub(CITED_MAX);
        let cited = group
            .entries
            .iter()
            .skip(skipped)
            .map(|entry| entry.key.clone());
        let mut cited: Vec<EventKey> = cited.collect();
        cited.dedup();
        Firing {
            time,
            event: event.clone(),
            start: group.entries.front().map_or(time, |first| first.time),
            count: group.entries.len() as u64,
            value: self.value(group),
            steps: Vec::new(),
            cited,
        }
    }
}

fn median(mut all: Vec<f64>) -> f64 {
    let middle = all.len() / 2;
    if all.is_empty() {
        return 0.0;
    }
    let even = all.len().is_multiple_of(2);
    let (below, upper, _) = all.select_nth_unstable_by(middle, f64::total_cmp);
    let lower = below.iter().copied().max_by(f64::total_cmp);
    match lower.filter(|_| even) {
        // Halves, as the sum of two large numbers need not be one.
        Some(lower) => lower / 2.0 + *upper / 2.0,
        None => *upper,
    }
}

impl ThresholdGroup {
    /// About how much memory it takes beside itself.
    pub fn heap_bytes(&self) -> usize {
        let last = self.last.as_ref().map_or(0, |event| event.heap_bytes());
        self.entries.heap_bytes() + last
    }
}

/// As people read it: `>= 10 distinct within 5m`.
impl fmt::Display for Threshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {} within {} ({})",
            self.measure, self.is, self.window, self.over
        )
    }
}
