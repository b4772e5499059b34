//! Series of measurements within a rule: a gauge for each, and what is unusual in them told with start and end.
//!
//! A minute of a series has one value or none, and without one nothing is known of it. A series becomes unusual in the minute whose
//! value a day of it hardly ever shows, and stays so until nothing of that kind came for a while. Numbers of series, changes
//! and readings are those of `detect`, so that whatever tells of a series needs not know which of both watches it. Must never be
//! asked about another series to judge one, nor let an insight go on for longer than a day.

use super::detect::{
    Band, Change, ChangeKind, Count, Minute, Reading, SeriesId, SeriesState, Settings, Test,
};
use super::gauge::{Gauge, GaugeSettings, Observed};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// The version of the layout, behind what no other memory begins with.
const VERSION: u32 = 1;
const MAGIC: u32 = 0x5452_4741;

/// Minutes over which the usual average is taken, about.
const WEEK: f64 = 10_080.0;

/// Minutes after which what was seen last says nothing of now.
const FRESH: u32 = 60;

/// Values for which the way back from an insight surprises by itself: as many as a gauge looks back over.
const SETTLING: u32 = 40;

/// All series of one rule.
pub(super) struct Gauges {
    settings: Settings,
    all: Vec<Option<Box<Measured>>>,
    /// Those with an open insight.
    open: BTreeSet<u32>,
    /// The last minute taken.
    minute: u32,
}

struct Measured {
    gauge: Gauge,
    rest: Rest,
}

/// What is kept of a series beside its gauge.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Rest {
    first: u32,
    latest: Latest,
    /// The average of the last week, about, and how many values it stands for.
    average: f64,
    weight: f64,
    /// Values until the last insight is no part any more of what is looked at, and how far off that was: till then only
    /// what is off by half of that, from what is usual, is new.
    settling: u32,
    off: f64,
    open: Option<Open>,
}

/// The last value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Latest {
    minute: u32,
    value: f64,
    expected: f64,
    low: f64,
    high: f64,
    surprise: f64,
    warming: bool,
}

/// An insight that is open.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Open {
    rises: bool,
    /// Somebody watches for this direction; the way back from the other one is nothing new either.
    is_told: bool,
    start: u32,
    /// The last unusual minute, and the values up to there.
    last: u32,
    sum: f64,
    values: f64,
    /// Values since then.
    sum_after: f64,
    values_after: f64,
    baseline: f64,
    baseline_minutes: u32,
    hit: Latest,
}

#[derive(Serialize, Deserialize)]
struct GaugesKept {
    magic: u32,
    version: u32,
    minute: u32,
    all: Vec<Option<(Vec<u8>, Rest)>>,
}

impl Gauges {
    /// Nothing is known yet.
    pub(super) fn new(settings: Settings) -> Self {
        Self {
            settings,
            all: Vec::new(),
            open: BTreeSet::new(),
            minute: 0,
        }
    }

    pub(super) fn open_series(&mut self, id: SeriesId, now: Minute) {
        self.close_series(id);
        let index = id.0 as usize;
        if index >= self.all.len() {
            self.all.resize_with(index + 1, || None);
        }
        self.all[index] = Some(Box::new(Measured {
            gauge: Gauge::new(&GaugeSettings::default()),
            rest: Rest {
                first: now.0,
                latest: Latest {
                    warming: true,
                    ..Latest::default()
                },
                average: 0.0,
                weight: 0.0,
                settling: 0,
                off: 0.0,
                open: None,
            },
        }));
    }

    pub(super) fn close_series(&mut self, id: SeriesId) {
        if let Some(place) = self.all.get_mut(id.0 as usize) {
            *place = None;
        }
        self.open.remove(&id.0);
    }

    /// Takes the values of one complete minute, sorted by series: `calls` is the value.
    pub(super) fn minute(&mut self, now: Minute, rows: &[Count], out: &mut Vec<Change>) {
        let now = now.0;
        self.minute = now;
        for row in rows {
            let Some(Some(series)) = self.all.get_mut(row.series.0 as usize) else {
                continue;
            };
            if let Some(opened) = series.take(&self.settings, now, row.calls) {
                self.open.insert(row.series.0);
                if opened.is_told {
                    out.push(opened.change((row.series, now), ChangeKind::Start));
                }
            }
        }
        let settings = &self.settings;
        let mut over = Vec::new();
        for id in &self.open {
            let Some(Some(series)) = self.all.get_mut(*id as usize) else {
                continue;
            };
            let Some(open) = series.rest.open else {
                continue;
            };
            let kind = if now - open.last.min(now) >= settings.close_after {
                ChangeKind::End
            } else if now + 1 - open.start.min(now) >= settings.absorb_after {
                ChangeKind::Absorbed
            } else {
                continue;
            };
            series.rest.open = None;
            series.rest.settling = SETTLING;
            series.rest.off = (open.hit.value - open.baseline).abs();
            if open.is_told {
                out.push(open.change((SeriesId(*id), now), kind));
            }
            over.push(*id);
        }
        for id in over {
            self.open.remove(&id);
        }
    }

    /// What a rule may read of a series.
    pub(super) fn reading(&self, id: SeriesId) -> Option<Reading> {
        let series = self.all.get(id.0 as usize)?.as_ref()?;
        let Rest { latest, open, .. } = &series.rest;
        let state = match open {
            Some(open) if open.is_told => SeriesState::Open,
            _ if !series.is_known(&self.settings, self.minute) => SeriesState::Warming,
            _ => SeriesState::Quiet,
        };
        let is_fresh = open.is_some() || self.minute <= latest.minute.saturating_add(FRESH);
        let says = is_fresh && state != SeriesState::Warming;
        let rarity = if says { latest.surprise } else { 0.0 };
        Some(Reading {
            state,
            score: 1.0 - f64::powf(10.0, -rarity),
            rarity,
            test: test(latest.value >= latest.expected),
            window_minutes: 1,
            observed: latest.value,
            expected: latest.expected,
            baseline_average: series.rest.average,
        })
    }

    /// The last value of a series, and what was expected of it.
    pub(super) fn latest(&self, id: SeriesId) -> Option<(f64, Band)> {
        let series = self.all.get(id.0 as usize)?.as_ref()?;
        let latest = &series.rest.latest;
        let band = Band {
            expected: latest.expected,
            low: latest.low,
            high: latest.high,
        };
        Some((latest.value, band))
    }

    pub(super) fn threshold(&self) -> f64 {
        self.settings.threshold
    }

    pub(super) fn set_threshold(&mut self, threshold: f64) {
        if (0.5..=100.0).contains(&threshold) {
            self.settings.threshold = threshold;
        }
    }

    /// Series of which enough is known to find something unusual.
    pub(super) fn warm_series(&self) -> usize {
        let all = self.all.iter().flatten();
        all.filter(|one| one.is_known(&self.settings, self.minute))
            .count()
    }

    pub(super) fn bytes(&self) -> usize {
        let each = size_of::<Rest>() + 16;
        let gauges = self
            .all
            .iter()
            .flatten()
            .map(|one| one.gauge.bytes() + each);
        self.all.capacity() * size_of::<Option<Box<Measured>>>() + gauges.sum::<usize>()
    }

    /// Appends the memory to `out`.
    pub(super) fn snapshot(&self, out: &mut Vec<u8>) {
        let all = self.all.iter().map(|one| {
            let one = one.as_ref()?;
            let mut gauge = Vec::new();
            one.gauge.snapshot(&mut gauge);
            Some((gauge, one.rest.clone()))
        });
        let kept = GaugesKept {
            magic: MAGIC,
            version: VERSION,
            minute: self.minute,
            all: all.collect(),
        };
        // Plain data in memory always serialises.
        out.extend(postcard::to_allocvec(&kept).unwrap_or_default());
    }

    /// What `snapshot` wrote; nothing of what it did not.
    pub(super) fn restore(settings: Settings, bytes: &[u8]) -> Option<Self> {
        let kept: GaugesKept = postcard::from_bytes(bytes).ok()?;
        if (kept.magic, kept.version) != (MAGIC, VERSION) {
            return None;
        }
        let mut gauges = Self::new(settings);
        gauges.minute = kept.minute;
        for (id, one) in (0u32..).zip(kept.all) {
            let series = match one {
                None => None,
                Some((gauge, rest)) => {
                    if !rest.is_sound(kept.minute) {
                        return None;
                    }
                    if rest.open.is_some() {
                        gauges.open.insert(id);
                    }
                    let gauge = Gauge::restore(&gauge).ok()?;
                    Some(Box::new(Measured { gauge, rest }))
                }
            };
            gauges.all.push(series);
        }
        Some(gauges)
    }
}

impl Measured {
    fn is_known(&self, settings: &Settings, now: u32) -> bool {
        !self.rest.latest.warming && now >= self.rest.first.saturating_add(settings.warm_up)
    }

    /// Takes a value. What begins with it, if something does.
    fn take(&mut self, settings: &Settings, now: u32, value: f64) -> Option<Open> {
        if !value.is_finite() {
            return None;
        }
        let observed = self.gauge.push(i64::from(now) * 60, value);
        let before = self.rest.latest.minute;
        self.rest.latest = Latest::of(now, value, &observed);
        let latest = self.rest.latest;
        let is_known = self.is_known(settings, now);
        let rest = &mut self.rest;
        if let Some(open) = &mut rest.open {
            open.sum_after += value;
            open.values_after += 1.0;
            if latest.surprise >= settings.threshold / 2.0 && open.holds(value) {
                open.last = now;
                open.sum += std::mem::take(&mut open.sum_after);
                open.values += std::mem::take(&mut open.values_after);
            }
            return None;
        }
        let is_settled = rest.settling == 0 || (value - rest.average).abs() > rest.off / 2.0;
        rest.settling = rest.settling.saturating_sub(1);
        let rises = latest.value >= latest.expected;
        let watched = if rises {
            settings.watch.up
        } else {
            settings.watch.down
        };
        if is_known && is_settled && latest.surprise >= settings.threshold {
            let baseline_minutes = now.saturating_sub(rest.first).clamp(1, WEEK as u32);
            rest.open = Some(Open {
                rises,
                is_told: watched,
                start: now,
                last: now,
                sum: value,
                values: 1.0,
                sum_after: 0.0,
                values_after: 0.0,
                baseline: rest.average,
                baseline_minutes,
                hit: latest,
            });
            return rest.open;
        }
        let passed = f64::from(now.saturating_sub(before));
        rest.weight = rest.weight * (-passed / WEEK).exp() + 1.0;
        rest.average += (value - rest.average) / rest.weight;
        None
    }
}

impl Rest {
    /// Whether it is one that could have been written in this minute.
    fn is_sound(&self, minute: u32) -> bool {
        let latest = &self.latest;
        let mut numbers = vec![self.average, self.weight, latest.value, latest.expected];
        numbers.push(self.off);
        numbers.extend([latest.low, latest.high, latest.surprise]);
        if let Some(open) = &self.open {
            numbers.extend([open.sum, open.values, open.sum_after, open.baseline]);
            if open.start > open.last || open.last > minute || open.values < 1.0 {
                return false;
            }
        }
        let is_past = latest.minute <= minute && self.first <= minute;
        is_past && minute < u32::MAX / 2 && numbers.iter().all(|number| number.is_finite())
    }
}

impl Latest {
    fn of(minute: u32, value: f64, observed: &Observed) -> Self {
        let finite = |bound: f64, other: f64| if bound.is_finite() { bound } else { other };
        let expected = finite(observed.expected, value);
        Self {
            minute,
            value,
            expected,
            // Nothing is out of bounds while there are none.
            low: finite(observed.low, expected.min(value)),
            high: finite(observed.high, expected.max(value)),
            surprise: finite(observed.surprise, 0.0),
            warming: observed.warming,
        }
    }
}

impl Open {
    /// Whether a value is more like what was unusual than like what was expected. A gauge is surprised by the way back as well.
    fn holds(&self, value: f64) -> bool {
        let off = self.hit.value - self.hit.expected;
        (value - self.hit.expected) * off.signum() > 0.5 * off.abs()
    }

    fn change(&self, (series, now): (SeriesId, u32), kind: ChangeKind) -> Change {
        let hit = &self.hit;
        Change {
            series,
            minute: Minute(now),
            kind,
            test: test(self.rises),
            window_minutes: 1,
            start: Minute(self.start),
            duration_minutes: self.last - self.start + 1,
            insight_average: self.sum / self.values,
            baseline_average: self.baseline,
            baseline_duration_minutes: self.baseline_minutes,
            observed: hit.value,
            expected: hit.expected,
            probability: f64::powf(10.0, -hit.surprise),
            score: hit.surprise,
            windows: vec![(1, hit.surprise as f32)],
        }
    }
}

fn test(rises: bool) -> Test {
    if rises { Test::Up } else { Test::Down }
}

#[cfg(test)]
mod tests {
    use super::Gauges;
    use crate::insight::detect::{Change, ChangeKind, Count, Minute, SeriesId, Settings, Test};

    const BEGIN: u32 = 29_000_160;

    /// Two series a minute: one that swings with the day, and one of another size that is higher for half an hour and lower
    /// for twenty minutes, some days later.
    fn rows(minute: u32) -> [Count; 2] {
        let mut mixed = u64::from(minute).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        mixed = (mixed ^ mixed >> 31).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let chance = ((mixed ^ mixed >> 29) % 1000) as f64 / 1000.0;
        let of_day = f64::from(minute % 1440) / 1440.0 * std::f64::consts::TAU;
        let odd = match minute {
            9000..9030 => 900.0,
            12_000..12_020 => -700.0,
            _ => 0.0,
        };
        let row = |id, calls| Count {
            series: SeriesId(id),
            calls,
            errors: 3.0,
        };
        [
            row(0, -5.0 + of_day.sin() + chance),
            row(1, 400.0 + 40.0 * chance + odd),
        ]
    }

    fn gauges(up: bool, down: bool) -> Gauges {
        let mut settings = Settings::default();
        (settings.watch.up, settings.watch.down) = (up, down);
        let mut gauges = Gauges::new(settings);
        gauges.open_series(SeriesId(0), Minute(BEGIN));
        gauges.open_series(SeriesId(1), Minute(BEGIN));
        gauges
    }

    fn run(gauges: &mut Gauges, minutes: std::ops::Range<u32>) -> Vec<Change> {
        let mut out = Vec::new();
        for minute in minutes {
            gauges.minute(Minute(BEGIN + minute), &rows(minute), &mut out);
        }
        out
    }

    #[test]
    fn what_is_unusual_is_told_with_start_and_end() {
        let told = run(&mut gauges(true, true), 0..14_000);
        let [up, up_end, down, down_end] = told.as_slice() else {
            panic!("{told:#?}");
        };
        for (change, kind, test, start) in [
            (up, ChangeKind::Start, Test::Up, 9000),
            (up_end, ChangeKind::End, Test::Up, 9000),
            (down, ChangeKind::Start, Test::Down, 12_000),
            (down_end, ChangeKind::End, Test::Down, 12_000),
        ] {
            assert_eq!((change.kind, change.test), (kind, test), "{change:?}");
            assert_eq!(change.start, Minute(BEGIN + start), "{change:?}");
            assert_eq!(change.series, SeriesId(1));
            assert!((change.baseline_average - 420.0).abs() < 5.0, "{change:?}");
            let length = if test == Test::Up { 30 } else { 20 };
            assert!(
                kind == ChangeKind::Start || change.duration_minutes == length,
                "{change:?}"
            );
        }
        assert!((up_end.insight_average - 1320.0).abs() < 30.0, "{up_end:?}");
        assert!((up.observed - 1320.0).abs() < 30.0, "{up:?}");
    }

    #[test]
    fn only_the_wanted_direction_is_told() {
        let told = run(&mut gauges(false, true), 0..14_000);
        assert!(
            told.iter().all(|one| one.test == Test::Down) && told.len() == 2,
            "{told:#?}"
        );
        assert_eq!(run(&mut gauges(true, false), 0..14_000).len(), 2);
    }

    #[test]
    fn a_restart_at_any_minute_changes_nothing() {
        let mut whole = gauges(true, true);
        let wanted = run(&mut whole, 0..10_000);
        for at in [1, 700, 3000, 8999, 9001, 9017, 9040] {
            let mut first = gauges(true, true);
            let mut told = run(&mut first, 0..at);
            let mut bytes = Vec::new();
            first.snapshot(&mut bytes);
            let settings = first.settings.clone();
            let mut second = Gauges::restore(settings.clone(), &bytes).expect("it was written");
            let mut again = Vec::new();
            second.snapshot(&mut again);
            assert_eq!(bytes, again);
            told.extend(run(&mut second, at..10_000));
            assert_eq!(told, wanted, "restarted at {at}");
            for step in 0..60 {
                let cut = bytes.len() * step / 60;
                assert!(Gauges::restore(settings.clone(), &bytes[..cut]).is_none());
                let mut torn = bytes.clone();
                torn[cut] ^= 1 << (step % 8);
                // What fits together may be read; it must do no harm.
                if let Some(mut odd) = Gauges::restore(settings.clone(), &torn) {
                    run(&mut odd, 9020..9040);
                }
            }
        }
    }

    #[test]
    fn silence_ends_what_is_unusual() {
        let mut gauges = gauges(true, true);
        assert_eq!(run(&mut gauges, 0..9003).len(), 1);
        let mut out = Vec::new();
        for minute in 9003..9030 {
            gauges.minute(Minute(BEGIN + minute), &[], &mut out);
        }
        assert_eq!(out.len(), 1);
        assert_eq!((out[0].kind, out[0].duration_minutes), (ChangeKind::End, 3));
        gauges.close_series(SeriesId(1));
        assert_eq!(gauges.reading(SeriesId(1)), None);
    }
}
