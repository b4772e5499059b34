//! What one insight rule remembers: its series, what is usual of them, and what is unusual now.
//!
//! Events are counted in minutes that are not over (`pending`). When nothing of a minute can come any more it is closed: its
//! rows are gone through in the order of their keys, new series get a number, and the detector is told. What it finds
//! becomes records. Whose the activity is, is counted beside it: over the last week of each series, over the last minutes of
//! all, and from the start of an insight to its end. All tables have bounds; series that were not active for longest give way, never
//! those that are unusual. The same events give the same memory, to the byte, in whatever order they came.

use super::chart::Chart;
use super::detect::{Change, Count, Coverage, Minute as DetectorMinute, Reading, SeriesId};
use super::explained::Asked;
use super::names::Names;
use super::pending::{Added, How, KeyWords, Measure, Minute, Tally};
use super::record::{KeyNames, Record, minute_time};
use super::settings::surprise;
use super::telling::{add_all, drawn};
use super::texts::{SeriesTexts, Texts};
use super::watching::Watching;
use crate::limits::{INSIGHT_KEY_PARTS_MAX, INSIGHT_NAMES_MAX, INSIGHT_RECENT_BYTES_MAX};
use crate::rule::Rule;
use crate::rule::kind::{Counted, CountedOf, EventTime, Insight, OfHash};
use hashbrown::HashMap;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};

/// Names counted of each attribution while a series is unusual.
pub(super) const OPEN_NAMES_MAX: usize = 20;

/// Events of a series after which it is counted whose they are: most series have fewer for ever.
const NAMED_FROM: f32 = 5.0;

/// Minutes without any event after which they are not gone through one by one: two days, and a fortnight where it is a gap in the
/// delivery, which series must not take for silence.
const STEPS_MAX: u32 = 2880;
const STEPS_OF_GAP_MAX: u32 = 14 * 1440;

/// Events a minute, of all series, below which a minute without any is no gap but silence: by chance alone one in
/// 20,000 such minutes is empty.
const GAP_FROM: f64 = 10.0;

/// How much of the usual rate is left after a minute: half of it after twenty.
const RATE_LEFT: f64 = 0.966;

const DAY: u32 = 1440;

/// When an event happened, and which it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// When.
    pub time: EventTime,
    /// Stands for its name.
    pub event: u64,
}

/// What became of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It is counted.
    Counted,
    /// It was counted before.
    Again,
    /// Its minute is over.
    Late,
}

/// Of which rule.
#[derive(Clone, Copy, Debug)]
pub struct InsightOf<'r> {
    /// The rule.
    pub rule: &'r Rule,
    /// Its table.
    pub insight: &'r Insight,
}

/// One series.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Series {
    pub(super) key: KeyWords,
    /// The texts of the parts of its key; [`NO_PART`] beyond them.
    pub(super) parts: [u32; PARTS],
    /// Its first minute, and the last in which it was active.
    pub(super) born: u32,
    pub(super) last: u32,
    /// Events so far.
    pub(super) total: f32,
    pub(super) names: Option<Box<Names>>,
}

/// Parts of a key.
pub(super) const PARTS: usize = INSIGHT_KEY_PARTS_MAX;
pub(super) const NO_PART: u32 = u32::MAX;

/// A series that is unusual.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Open {
    pub(super) names: Names,
    /// What was usual when it began.
    pub(super) usual: Names,
    /// The minute in which it was found, whose names it has.
    pub(super) found: u32,
    pub(super) chart: Chart,
    /// It is about errors, of which this many a minute are usual.
    pub(super) errors: Option<f64>,
}

/// Whose the activity of a minute was.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Recent {
    pub(super) minute: u32,
    pub(super) rows: Vec<RecentRow>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct RecentRow {
    pub(super) id: u32,
    pub(super) count: f32,
    pub(super) errors: f32,
    pub(super) names: Vec<([u64; 3], f32)>,
}

/// What one insight rule remembers.
pub struct SeriesMemory {
    pub(super) detector: Watching,
    pub(super) how: How,
    pub(super) key_names: KeyNames,
    pub(super) names: Vec<String>,
    pub(super) series_max: usize,
    /// By number; those that are free are among them.
    pub(super) series: Vec<Option<Series>>,
    pub(super) ids: HashMap<KeyWords, u32, OfHash>,
    pub(super) free: Vec<u32>,
    pub(super) open: BTreeMap<u32, Open>,
    pub(super) pending: BTreeMap<u32, Minute>,
    pub(super) pending_bytes: usize,
    pub(super) pending_events: u64,
    pub(super) recent: VecDeque<Recent>,
    pub(super) recent_bytes: usize,
    pub(super) texts: Texts,
    /// What names are called.
    pub(super) called: HashMap<u64, u32, OfHash>,
    /// Minutes before this one are over; nothing yet without.
    pub(super) next: Option<u32>,
    /// The last minute in which any series was active.
    pub(super) active: u32,
    /// Where the search for a series that gives way goes on.
    pub(super) cursor: usize,
    /// Texts and names after they were swept last.
    pub(super) swept: usize,
    /// Events a minute lately.
    pub(super) rate: f64,
    /// Bytes of names of series.
    pub(super) named_bytes: usize,
    pub(super) changes: Vec<Change>,
    /// A question of somebody who looks on; snapshots do not have it.
    pub(super) asked: Option<Box<Asked>>,
}

impl SeriesMemory {
    /// Nothing is remembered yet.
    pub fn new(of: InsightOf<'_>) -> Self {
        let memory = of.rule.memory.as_ref();
        let group_by = memory.map_or(&[][..], |memory| &memory.group_by);
        Self {
            detector: Watching::new(of.insight),
            how: match of.insight.value {
                Counted::Distinct => How::Distinct,
                Counted::ErrorShare => How::Shares,
                Counted::Average => How::Measured(Measure::Average),
                Counted::Max => How::Measured(Measure::Max),
                Counted::Min => How::Measured(Measure::Min),
                _ => How::Sum,
            },
            key_names: KeyNames::of(group_by),
            names: of
                .insight
                .attributions
                .iter()
                .map(|(name, _)| name.clone())
                .collect(),
            series_max: memory.map_or(usize::MAX, |memory| memory.groups_max),
            series: Vec::new(),
            ids: HashMap::default(),
            free: Vec::new(),
            open: BTreeMap::new(),
            pending: BTreeMap::new(),
            pending_bytes: 0,
            pending_events: 0,
            recent: VecDeque::new(),
            recent_bytes: 0,
            texts: Texts::default(),
            called: HashMap::default(),
            next: None,
            active: 0,
            cursor: 0,
            swept: 0,
            rate: 0.0,
            named_bytes: 0,
            changes: Vec::new(),
            asked: None,
        }
    }

    /// Counts an event. What its series is called is asked only when that is not known.
    pub fn count(
        &mut self,
        moment: Moment,
        key: u128,
        of: &CountedOf,
        texts: impl FnOnce() -> SeriesTexts,
    ) -> Taken {
        let minute = minute_of(moment.time);
        if self.next.is_some_and(|next| minute < next) {
            return Taken::Late;
        }
        let key = key_words(key);
        let pending = self.pending.entry(minute).or_default();
        let is_new = !self.ids.contains_key(&key) && !pending.has(key);
        let is_called = |name: &u64| *name == 0 || self.called.contains_key(name);
        let before = pending.bytes();
        let added = pending.add(moment.event, key, of, self.how);
        // What is not counted needs no name: names that nobody is to see must not fill the memory.
        let is_named = added == Added::Counted { is_named: true };
        let wants_names = is_named && !of.names.iter().all(is_called);
        if is_new || wants_names {
            let texts = texts();
            if is_new {
                pending.call(key, &texts, &mut self.texts);
            }
            for (hash, name) in of.names.iter().zip(&texts.names) {
                if wants_names && *hash != 0 && !self.called.contains_key(hash) {
                    self.called.insert(*hash, self.texts.number(name));
                }
            }
        }
        self.pending_bytes = self.pending_bytes + pending.bytes() - before;
        match added {
            Added::Counted { .. } => {
                self.pending_events += 1;
                Taken::Counted
            }
            Added::Again => Taken::Again,
        }
    }

    /// Nothing of what is before `until` will come any more. What is unusual, or no longer, is added to `out`, in the order of
    /// minutes and keys. Says how many series gave way.
    pub fn close(&mut self, of: InsightOf<'_>, until: EventTime, out: &mut Vec<Record>) -> u64 {
        let end = minute_of(until);
        let mut evicted = 0;
        while let Some(minute) = self.next_minute().filter(|minute| *minute < end) {
            evicted += self.close_minute(of, minute, out);
        }
        if let Some(next) = &mut self.next {
            *next = end.max(*next);
        }
        evicted
    }

    /// The next minute that has to be looked at. After a long silence of all series minutes say no more one by one, and it is
    /// the next one with an event.
    fn next_minute(&self) -> Option<u32> {
        let first = self.pending.keys().next().copied();
        let steps = match self.rate >= GAP_FROM {
            true => STEPS_OF_GAP_MAX,
            false => STEPS_MAX,
        };
        match self.next {
            Some(next) if next <= self.active.saturating_add(steps) => Some(next),
            _ => first,
        }
    }

    fn close_minute(&mut self, of: InsightOf<'_>, minute: u32, out: &mut Vec<Record>) -> u64 {
        if minute.is_multiple_of(DAY) || self.next.is_none() {
            self.a_day_begins(of.insight);
        }
        let pending = self.pending.remove(&minute).unwrap_or_default();
        self.pending_bytes -= pending.bytes();
        self.pending_events -= pending.len() as u64;
        // Events, and not what they add up to: a sum is large with one.
        let events = pending.len() as f64;
        let rows = pending.into_rows();
        if !rows.is_empty() {
            self.active = minute;
        }
        let coverage = if rows.is_empty() && self.rate >= GAP_FROM {
            Coverage::Missing
        } else {
            Coverage::Delivered
        };
        if coverage == Coverage::Delivered {
            self.rate = self.rate * RATE_LEFT + events * (1.0 - RATE_LEFT);
        }
        let mut evicted = 0;
        let mut counts: Vec<Count> = Vec::with_capacity(rows.len());
        let mut recent = Vec::with_capacity(rows.len());
        for (key, row) in rows {
            let (id, gave_way) = self.series_of(key, &row, minute);
            evicted += gave_way;
            // There is no room for so many new ones in one minute.
            let Some(id) = id else { continue };
            let (calls, errors) = row.watched(self.how);
            counts.push(Count {
                series: SeriesId(id),
                calls,
                errors,
            });
            self.touch(id, minute, row.count);
            recent.push(RecentRow {
                id,
                count: calls as f32,
                errors: errors as f32,
                names: row.names,
            });
        }
        counts.sort_unstable_by_key(|count| count.series);
        recent.sort_unstable_by_key(|row| row.id);
        self.remember_names(minute, recent);
        let mut changes = std::mem::take(&mut self.changes);
        changes.clear();
        self.detector
            .minute(DetectorMinute(minute), coverage, &counts, &mut changes);
        self.draw(minute);
        let from = out.len();
        for change in &changes {
            out.extend(self.tell(of, change));
        }
        self.answer(of, minute);
        self.note_names(minute);
        // By key, not by number: numbers depend on what gave way before.
        out[from..].sort_by(|left, right| left.key.cmp(&right.key).then(left.id.cmp(&right.id)));
        self.changes = changes;
        self.next = Some(minute + 1);
        evicted
    }

    /// A day begins: what a false alarm a week means depends on how many series there are.
    fn a_day_begins(&mut self, insight: &Insight) {
        let series = self.detector.warm_series();
        self.detector.set_threshold(surprise(insight.alarm, series));
        self.sweep();
    }

    /// The number of a series, which is made when it is new, and how many gave way for it.
    fn series_of(&mut self, key: KeyWords, row: &Tally, minute: u32) -> (Option<u32>, u64) {
        if let Some(id) = self.ids.get(&key) {
            return (Some(*id), 0);
        }
        let mut evicted = 0;
        if self.ids.len() >= self.series_max {
            if !self.evict_one(minute) {
                return (None, 1);
            }
            evicted += 1;
        }
        let mut parts = [NO_PART; PARTS];
        for (place, part) in parts.iter_mut().zip(row.key.iter().flatten()) {
            *place = *part;
        }
        let series = Series {
            key,
            parts,
            born: minute,
            last: minute,
            total: 0.0,
            names: None,
        };
        let id = self.free.pop().unwrap_or(self.series.len() as u32);
        if id as usize == self.series.len() {
            self.series.push(None);
        }
        self.series[id as usize] = Some(series);
        self.ids.insert(key, id);
        self.detector
            .open_series(SeriesId(id), DetectorMinute(minute));
        (Some(id), evicted)
    }

    /// Notes that a series was active.
    fn touch(&mut self, id: u32, minute: u32, count: f64) {
        if let Some(series) = self.series.get_mut(id as usize).and_then(Option::as_mut) {
            series.last = minute;
            series.total += count as f32;
        }
    }

    /// Notes whose the activity of a minute was: of what is unusual where that minute was more than usual, and else of what is
    /// usual. After what began was told, so that nobody is usual by what made it unusual.
    fn note_names(&mut self, minute: u32) {
        let Some(recent) = self.recent.back().filter(|recent| recent.minute == minute) else {
            return;
        };
        for row in &recent.rows {
            let Some(series) = self
                .series
                .get_mut(row.id as usize)
                .and_then(Option::as_mut)
            else {
                continue;
            };
            if let Some(open) = self.open.get_mut(&row.id) {
                let (value, band) = drawn(&self.detector, (row.id, minute), Some(row), open.errors);
                // Of what is measured every event is part of it, whether it is high or low.
                let is_part = value > band.high || matches!(self.how, How::Measured(_));
                if open.found != minute && is_part {
                    add_all(&mut open.names, &row.names, OPEN_NAMES_MAX);
                }
                continue;
            }
            if series.total < NAMED_FROM {
                continue;
            }
            let before = series.named_bytes();
            let names = series.names.get_or_insert_default();
            names.fade(minute);
            add_all(names, &row.names, INSIGHT_NAMES_MAX);
            self.named_bytes = self.named_bytes + series.named_bytes() - before;
        }
    }

    /// Goes on with the charts of what is unusual.
    fn draw(&mut self, minute: u32) {
        let rows = self.recent.back().filter(|recent| recent.minute == minute);
        for (id, open) in &mut self.open {
            let row = rows.and_then(|recent| recent.row(*id));
            let (value, band) = drawn(&self.detector, (*id, minute), row, open.errors);
            open.chart.push(value, band);
        }
    }

    fn remember_names(&mut self, minute: u32, rows: Vec<RecentRow>) {
        let recent = Recent { minute, rows };
        self.recent_bytes += recent.bytes();
        self.recent.push_back(recent);
        let is_old = |oldest: &Recent| minute - oldest.minute >= RECENT_MINUTES;
        while self.recent.front().is_some_and(is_old)
            || self.recent_bytes > INSIGHT_RECENT_BYTES_MAX
        {
            let Some(oldest) = self.recent.pop_front() else {
                break;
            };
            self.recent_bytes -= oldest.bytes();
        }
    }

    /// About how many bytes it takes, what waits not among them.
    pub fn bytes(&self) -> usize {
        self.detector.bytes()
            + self.series.capacity() * size_of::<Option<Series>>()
            + self.ids.allocation_size()
            + self.called.allocation_size()
            + self.texts.bytes()
            + self.named_bytes
            + self.recent_bytes
            + self.open.len() * (size_of::<Open>() + 1024)
    }

    /// About how many bytes wait for their time.
    pub fn pending_bytes(&self) -> usize {
        self.pending_bytes
    }

    /// How many events wait.
    pub fn pending(&self) -> u64 {
        self.pending_events
    }

    /// When the next minute is over that has to be looked at.
    pub fn due(&self) -> EventTime {
        let minute = self.next_minute();
        minute.map_or(EventTime::MAX, |minute| {
            minute_time(minute.saturating_add(1))
        })
    }

    /// The middle of what waits, by events.
    pub fn middle(&self) -> Option<EventTime> {
        let half = self.pending() / 2;
        let mut before = 0;
        for (minute, pending) in &self.pending {
            before += pending.len() as u64;
            if before >= half {
                return Some(minute_time(minute + 1));
            }
        }
        None
    }

    /// From which surprise on a series is told at the moment.
    pub fn threshold(&self) -> f64 {
        self.detector.threshold()
    }

    /// How many series there are.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// What is known of a series.
    pub fn reading(&self, key: u128) -> Option<Reading> {
        let id = self.ids.get(&key_words(key))?;
        self.detector.reading(SeriesId(*id))
    }
}

impl Series {
    /// Bytes of its names.
    pub(super) fn named_bytes(&self) -> usize {
        let names = self.names.as_ref();
        names.map_or(0, |names| names.heap_bytes() + NAMES_BYTES)
    }
}

impl Recent {
    pub(super) fn bytes(&self) -> usize {
        let rows = self.rows.iter();
        let names = rows.map(|row| size_of_val(row.names.as_slice()) + size_of::<RecentRow>());
        names.sum::<usize>() + size_of::<Self>()
    }

    pub(super) fn row(&self, id: u32) -> Option<&RecentRow> {
        let at = self.rows.binary_search_by_key(&id, |row| row.id).ok()?;
        self.rows.get(at)
    }
}

/// Minutes of which it is known whose their activity was: an insight that begins is told with them.
const RECENT_MINUTES: u32 = 240;

/// What names take beside their list.
const NAMES_BYTES: usize = size_of::<Names>() + 16;

/// The minute of a time, from 1970 on.
pub(super) fn minute_of(time: EventTime) -> u32 {
    u32::try_from(time.micros().max(0) / 60_000_000).unwrap_or(u32::MAX - 1)
}

pub(super) fn key_words(key: u128) -> KeyWords {
    let word = |at: u32| (key >> (32 * at)) as u32;
    [word(0), word(1), word(2), word(3)]
}

pub(super) fn key_hash(words: KeyWords) -> u128 {
    let word = |at: usize| u128::from(words[at]) << (32 * at);
    word(0) | word(1) | word(2) | word(3)
}
