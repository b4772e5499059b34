//! What a series did before and during an insight, for people to look at: in every record, so that whoever gets one can draw it.
//!
//! A point is a minute until there are too many; then two become one, so that a long insight takes no more room than a short
//! one. Values are averages per minute. Never decides anything.

use super::detect::Band;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Most points: about as many as a wide terminal has columns, twice.
const POINTS_MAX: usize = 240;

/// Minutes before the start that are shown.
pub(super) const MINUTES_BEFORE: u32 = 60;

/// A series over time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Chart {
    /// The first minute.
    from: u32,
    /// Minutes of one point.
    step: u32,
    /// Minutes that are in the last point so far.
    filled: u32,
    points: Vec<Point>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Point {
    value: f32,
    expected: f32,
    high: f32,
}

impl Default for Chart {
    fn default() -> Self {
        Self::new(0)
    }
}

impl Chart {
    /// An empty one that begins at a minute.
    pub(super) fn new(from: u32) -> Self {
        Self {
            from,
            step: 1,
            filled: 1,
            points: Vec::new(),
        }
    }

    /// The next minute.
    pub(super) fn push(&mut self, value: f64, band: Band) {
        let point = Point {
            value: value as f32,
            expected: band.expected as f32,
            high: band.high as f32,
        };
        if self.filled < self.step
            && let Some(last) = self.points.last_mut()
        {
            last.join(point, self.filled as f32, 1.0);
            self.filled += 1;
            return;
        }
        if self.points.len() >= POINTS_MAX {
            self.halve();
        }
        self.points.push(point);
        self.filled = 1;
    }

    fn halve(&mut self) {
        let halves = self.points.chunks(2).map(|pair| {
            let mut first = pair[0];
            if let Some(second) = pair.get(1) {
                first.join(*second, 1.0, 1.0);
            }
            first
        });
        self.points = halves.collect();
        self.step *= 2;
    }

    /// As records have it.
    pub(super) fn told(&self, from: String) -> Value {
        let of = |get: fn(&Point) -> f32| -> Vec<Value> {
            let points = self.points.iter();
            points
                .map(|point| json!(short(f64::from(get(point)))))
                .collect()
        };
        json!({
            "from": from,
            "minutesAPoint": self.step,
            "values": of(|point| point.value),
            "expected": of(|point| point.expected),
            "high": of(|point| point.high),
        })
    }

    /// The average of so many minutes from one on, as far as they are drawn.
    pub(super) fn average(&self, from: u32, minutes: u32) -> Option<f64> {
        let first = (from.checked_sub(self.from)? / self.step) as usize;
        let count = (minutes.div_ceil(self.step) as usize).max(1);
        let points = self.points.get(first..)?;
        let points = &points[..count.min(points.len())];
        let sum: f64 = points.iter().map(|point| f64::from(point.value)).sum();
        (!points.is_empty()).then(|| sum / points.len() as f64)
    }

    /// Whether it is one that could have been drawn.
    pub(super) fn is_sound(&self) -> bool {
        let steps = (1..=1 << 20).contains(&self.step) && self.step.is_power_of_two();
        steps && self.points.len() <= POINTS_MAX && self.from < u32::MAX / 2
    }

    /// The minute after the last one that was more than usual.
    pub(super) fn unusual_until(&self) -> Option<u32> {
        let last = self
            .points
            .iter()
            .rposition(|point| point.value > point.high)?;
        Some(self.from + (last as u32 + 1) * self.step)
    }

    /// The first minute.
    pub(super) fn from(&self) -> u32 {
        self.from
    }
}

impl Point {
    /// The average of two, the first of which stands for `own` minutes.
    fn join(&mut self, other: Self, own: f32, others: f32) {
        let mean = |one: f32, two: f32| (one * own + two * others) / (own + others);
        self.value = mean(self.value, other.value);
        self.expected = mean(self.expected, other.expected);
        self.high = mean(self.high, other.high);
    }
}

/// Three digits are enough to be looked at.
fn short(value: f64) -> f64 {
    if value == 0.0 || !value.is_finite() {
        return 0.0;
    }
    let scale = 10f64.powf(2.0 - value.abs().log10().floor());
    (value * scale).round() / scale
}

#[cfg(test)]
mod tests {
    use super::{Chart, POINTS_MAX};
    use crate::insight::detect::Band;

    #[test]
    fn a_long_series_is_told_in_as_many_points() {
        let mut chart = Chart::new(100);
        for minute in 0..5000u32 {
            chart.push(f64::from(minute % 2) * 4.0, Band::default());
        }
        let told = chart.told("then".to_owned());
        let values = told["values"].as_array().expect("values");
        assert!(values.len() <= POINTS_MAX && values.len() > POINTS_MAX / 2 - 1);
        assert_eq!(told["minutesAPoint"], 32);
        assert!(
            values[..values.len() - 1].iter().all(|value| value == 2.0),
            "{values:?}"
        );
        assert_eq!(chart.from(), 100);
    }

    #[test]
    fn a_short_series_is_told_by_the_minute() {
        let mut chart = Chart::new(7);
        for value in [0.0, 1234.5, 0.001_234_5] {
            chart.push(value, Band::default());
        }
        let told = chart.told("then".to_owned());
        assert_eq!(told["values"], serde_json::json!([0.0, 1230.0, 0.00123]));
    }
}
