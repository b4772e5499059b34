//! Why a series is, or is not, unusual in one minute: asked beforehand, answered when that minute is over.
//!
//! A question is no part of what is remembered: snapshots do not have it, and nothing changes by it. Relies on `memory` for the tables
//! and on whoever watches for the numbers.

use super::detect::{Minute as DetectorMinute, Reading, SeriesId, SeriesState};
use super::memory::{InsightOf, NO_PART, SeriesMemory, minute_of};
use super::record::{minute_time, number, round, seconds, test_name};
use super::watching::Watching;
use crate::rule::kind::EventTime;
use serde_json::{Map, Value, json};

/// Most series that are told of one rule and minute.
const SERIES_MAX: usize = 1000;

/// A question, and what was answered so far.
#[derive(Default)]
pub(super) struct Asked {
    minute: u32,
    text: String,
    answers: Vec<Value>,
}

impl SeriesMemory {
    /// From now on the minute of this time is explained, of series of which a part of the key holds the text.
    pub fn explain(&mut self, time: EventTime, text: &str) {
        self.asked = Some(Box::new(Asked {
            minute: minute_of(time),
            text: text.to_owned(),
            answers: Vec::new(),
        }));
    }

    /// What was explained since, in the order of keys.
    pub fn take_explained(&mut self) -> Vec<Value> {
        let asked = self.asked.as_mut();
        asked.map_or_else(Vec::new, |asked| std::mem::take(&mut asked.answers))
    }

    /// Answers what was asked about a minute that is over.
    pub(super) fn answer(&mut self, of: InsightOf<'_>, minute: u32) {
        let Some(mut asked) = self.asked.take_if(|asked| asked.minute == minute) else {
            return;
        };
        let mut found: Vec<(Vec<&str>, u32)> = Vec::new();
        for (id, series) in (0u32..).zip(&self.series) {
            let Some(series) = series else { continue };
            let parts = series.parts.iter().filter(|part| **part != NO_PART);
            let key: Vec<&str> = parts.map(|part| self.texts.get(*part)).collect();
            if key.iter().any(|part| part.contains(&asked.text)) {
                found.push((key, id));
            }
        }
        found.sort();
        found.truncate(SERIES_MAX);
        let answers = found
            .iter()
            .filter_map(|(key, id)| self.explained(of, key, (*id, minute)));
        asked.answers = answers.collect();
        self.asked = Some(asked);
    }

    fn explained(
        &self,
        of: InsightOf<'_>,
        key: &[&str],
        (id, minute): (u32, u32),
    ) -> Option<Value> {
        let reading = self.detector.reading(SeriesId(id))?;
        let band = self
            .detector
            .expectation(SeriesId(id), DetectorMinute(minute))?;
        let series = self.series.get(id as usize)?.as_ref()?;
        let recent = self.recent.back().filter(|recent| recent.minute == minute);
        let row = recent.and_then(|recent| recent.row(id));
        let is_measured = of.insight.value.is_measured();
        let observed = match row {
            Some(row) => json!(row.count),
            None if is_measured => Value::Null,
            None => json!(0),
        };
        let key: Map<String, Value> = self
            .key_names
            .0
            .iter()
            .zip(key)
            .map(|(name, text)| (name.clone(), json!(text)))
            .collect();
        let mut told = json!({
            "rule": of.rule.id.as_str(),
            "key": key,
            "minute": seconds(minute_time(minute)),
            "state": state_name(reading.state),
            "since": seconds(minute_time(series.born)),
            "observed": observed,
            "expectedAMinute": { "average": band.expected, "low": band.low, "high": band.high },
            "baseline": reading.baseline_average,
            "surprise": round(reading.rarity),
            "threshold": round(self.detector.threshold()),
            "why": why(&reading, self.detector.threshold()),
        });
        match &self.detector {
            Watching::Counts(detector) => {
                if let Some(seen) = detector.seen(SeriesId(id)) {
                    told["level"] = json!(round(seen.level));
                    let usual = band.expected / seen.level.max(1e-9);
                    told["usualAtThisTimeOfTheWeek"] = json!(usual);
                    let windows = seen.windows.iter().map(|one| {
                        json!({
                            "minutes": one.minutes,
                            "test": test_name(one.test),
                            "observed": one.observed,
                            "expected": one.expected,
                            "probability": one.probability,
                            "surprise": round(one.surprise),
                        })
                    });
                    told["windows"] = json!(windows.collect::<Vec<_>>());
                }
            }
            Watching::Measured(_) => {}
        }
        told["attributions"] = self.contributions(id, row.map_or(&[], |row| &row.names));
        Some(told)
    }

    /// Whose the activity of the minute is, and whose it usually is.
    fn contributions(&self, id: u32, names: &[([u64; 3], f32)]) -> Value {
        let text = |hash: u64| {
            let number = self.called.get(&hash);
            number.map_or("", |number| self.texts.get(*number))
        };
        let usual = self.series.get(id as usize).and_then(Option::as_ref);
        let usual = usual.and_then(|series| series.names.as_deref());
        let all = self.names.iter().enumerate().map(|(place, name)| {
            let mut counts: std::collections::BTreeMap<u64, f64> =
                std::collections::BTreeMap::new();
            for (hashes, count) in names {
                if let Some(hash) = hashes.get(place).filter(|hash| **hash != 0) {
                    *counts.entry(*hash).or_default() += f64::from(*count);
                }
            }
            let mut now: Vec<(u64, f64)> = counts.into_iter().collect();
            now.sort_by(|left, right| right.1.total_cmp(&left.1).then(left.0.cmp(&right.0)));
            let usual = usual.map_or_else(Vec::new, |names| names.of(place as u8));
            let told = |all: Vec<(u64, f64)>, share: bool| -> Vec<Value> {
                let sum: f64 = all.iter().map(|(_, count)| count).sum();
                let all = all.into_iter().take(5);
                all.map(|(hash, count)| match share {
                    true => json!({ "value": text(hash), "share": round(count / sum) }),
                    false => json!({ "value": text(hash), "count": count }),
                })
                .collect()
            };
            json!({ "attribute": name, "minute": told(now, false), "usually": told(usual, true) })
        });
        Value::Array(all.collect())
    }
}

fn state_name(state: SeriesState) -> &'static str {
    match state {
        SeriesState::Warming => "learning",
        SeriesState::Quiet => "usual",
        SeriesState::Open => "insight",
    }
}

/// In one sentence.
fn why(reading: &Reading, threshold: f64) -> String {
    let window = match reading.window_minutes {
        _ if reading.rarity <= 0.0 => "no window stands out".to_owned(),
        1 => format!(
            "{} in 1 minute, where {} are expected",
            number(reading.observed),
            number(reading.expected)
        ),
        minutes => format!(
            "{} in {minutes} minutes, where {} are expected",
            number(reading.observed),
            number(reading.expected)
        ),
    };
    let (surprise, threshold) = (number(reading.rarity), number(threshold));
    match reading.state {
        SeriesState::Warming => {
            "nothing is said of a series in its first day: what is usual is being learnt".to_owned()
        }
        SeriesState::Quiet => format!(
            "usual: {window}; a surprise of {surprise} is below the {threshold} from which on it is told"
        ),
        SeriesState::Open => format!(
            "an insight is under way: {window}; surprise {surprise}, told from {threshold} on"
        ),
    }
}
