//! What a change of a series is told as: whose it is, what was usual of them, and what the series did.
//!
//! Relies on `memory` for the tables. Names are counted over the minutes of the insight alone, and those of the week before it
//! stand beside them. Must never be asked of a series that gave way: then there is nothing to tell.

use super::chart::{Chart, MINUTES_BEFORE};
use super::detect::{Band, Change, ChangeKind, Minute as DetectorMinute, SeriesId, Test};
use super::memory::{InsightOf, NO_PART, OPEN_NAMES_MAX, Open, RecentRow, SeriesMemory, key_hash};
use super::names::{Names, minutes_stood_for};
use super::record::{Attribution, Record, Telling};
use super::watching::Watching;

impl SeriesMemory {
    /// What a change of a series is told as; nothing of a series that is gone.
    pub(super) fn tell(&mut self, of: InsightOf<'_>, change: &Change) -> Option<Record> {
        let id = change.series.0;
        let series = self.series.get(id as usize)?.as_ref()?;
        let (names, usual, chart) = if change.kind == ChangeKind::Start {
            let mut usual = series.names.as_deref().cloned().unwrap_or_default();
            let mut names = Names::default();
            for recent in self
                .recent
                .iter()
                .filter(|recent| recent.minute >= change.start.0)
            {
                if let Some(row) = recent.row(id) {
                    add_all(&mut names, &row.names, OPEN_NAMES_MAX);
                    // What made it unusual is not usual.
                    if recent.minute < change.minute.0 {
                        take_all(&mut usual, &row.names);
                    }
                }
            }
            let open = Open {
                names: names.clone(),
                usual: usual.clone(),
                errors: (change.test == Test::Errors).then_some(change.baseline_average),
                chart: self.chart_before(id, change),
                found: change.minute.0,
            };
            let chart = open.chart.clone();
            self.open.insert(id, open);
            (names, usual, chart)
        } else {
            let open = self.open.remove(&id).unwrap_or_default();
            (open.names, open.usual, open.chart)
        };
        let change = &match of.insight.value.is_measured() {
            true => change.clone(),
            false => without_quiet_end(change, &chart),
        };
        let minutes = f64::from(change.duration_minutes.max(1));
        let series = self.series.get(id as usize)?.as_ref()?;
        let stood_for = minutes_stood_for(f64::from(change.start.0.saturating_sub(series.born)));
        let attributions = self.attributions(&names, minutes, &usual, stood_for);
        let key = series.parts.iter().filter(|part| **part != NO_PART);
        let telling = Telling {
            rule: of.rule,
            insight: of.insight,
            names: &self.key_names,
            key: key.map(|part| self.texts.get(*part)).collect(),
            hash: key_hash(series.key),
            change,
            band: self
                .detector
                .expectation(change.series, change.minute)
                .unwrap_or_default(),
            attributions,
            chart,
        };
        Some(telling.record())
    }

    /// What a series did before it became unusual, and since.
    fn chart_before(&self, id: u32, change: &Change) -> Chart {
        let first = self
            .recent
            .front()
            .map_or(change.start.0, |recent| recent.minute);
        let from = first.max(change.start.0.saturating_sub(MINUTES_BEFORE));
        let errors = (change.test == Test::Errors).then_some(change.baseline_average);
        let mut chart = Chart::new(from);
        let mut recent = self
            .recent
            .iter()
            .skip_while(|recent| recent.minute < from)
            .peekable();
        for minute in from..=change.minute.0 {
            let row = recent.next_if(|recent| recent.minute == minute);
            let row = row.and_then(|recent| recent.row(id));
            let (value, band) = drawn(&self.detector, (id, minute), row, errors);
            chart.push(value, band);
        }
        chart
    }

    fn attributions(
        &self,
        names: &Names,
        minutes: f64,
        usual: &Names,
        usual_minutes: f64,
    ) -> Vec<Attribution> {
        let text = |hash: u64| {
            let number = self.called.get(&hash);
            number
                .map_or("", |number| self.texts.get(*number))
                .to_owned()
        };
        let of = |attribution: u8, from: &Names, minutes: f64| -> Vec<(String, f64)> {
            let all = from.of(attribution).into_iter();
            all.map(|(hash, count)| (text(hash), count / minutes))
                .collect()
        };
        let all = (0u8..)
            .zip(&self.names)
            .map(|(attribution, name)| Attribution {
                name: name.clone(),
                insight: of(attribution, names, minutes),
                baseline: of(attribution, usual, usual_minutes),
            });
        all.filter(|one| !one.insight.is_empty()).collect()
    }
}

/// A window is unusual for as long as what was unusual is within it: the minutes at the end that are usual by themselves are
/// none of the insight.
fn without_quiet_end(change: &Change, chart: &Chart) -> Change {
    let mut change = change.clone();
    let until = chart.unusual_until();
    if change.kind == ChangeKind::Start || change.test == Test::Down {
        return change;
    }
    if let Some(until) = until.filter(|until| *until > change.start.0) {
        let shorter = (until - change.start.0).min(change.duration_minutes);
        change.duration_minutes = shorter;
        if let Some(average) = chart.average(change.start.0, shorter) {
            change.insight_average = average;
        }
    }
    change
}

/// What a chart shows of one minute: calls and what is expected of them, or errors and what is usual.
pub(super) fn drawn(
    detector: &Watching,
    (id, minute): (u32, u32),
    row: Option<&RecentRow>,
    errors: Option<f64>,
) -> (f64, Band) {
    let expected = detector.expectation(SeriesId(id), DetectorMinute(minute));
    match errors {
        None => {
            // A count of nothing is 0; what was not measured is what it was.
            let without = || detector.measured(SeriesId(id)).unwrap_or(0.0);
            let value = row.map_or_else(without, |row| f64::from(row.count));
            (value, expected.unwrap_or_default())
        }
        Some(usual) => {
            // Errors that come one by one stray as chance does; one more than that is no wonder.
            let band = Band {
                expected: usual,
                low: 0.0,
                high: usual + 3.0 * usual.sqrt() + 1.0,
            };
            (row.map_or(0.0, |row| f64::from(row.errors)), band)
        }
    }
}

pub(super) fn add_all(names: &mut Names, of: &[([u64; 3], f32)], most: usize) {
    let mut sorted: Vec<&([u64; 3], f32)> = of.iter().collect();
    // The order in which events came must not be seen.
    sorted.sort_unstable_by_key(|(names, _)| *names);
    for (hashes, count) in sorted {
        for (attribution, hash) in (0u8..).zip(hashes) {
            names.add(attribution, *hash, *count, most);
        }
    }
}

fn take_all(names: &mut Names, of: &[([u64; 3], f32)]) {
    for (hashes, count) in of {
        for (attribution, hash) in (0u8..).zip(hashes) {
            names.take(attribution, *hash, *count);
        }
    }
}
