//! Shapes the series has shown: a bounded collection of short stretches, and how far the latest one is from all of them.
//!
//! What for: a plateau at half the usual height, a ramp where there were only steps, a spike twice as wide: each value is
//! usual and their sequence is not. The distance of the latest stretch to its nearest neighbour among earlier ones is the
//! reading (as in KNN-CAD, Burnaev and Ishimtsev 2016, and in matrix profiles, Yeh et al. 2016), small where the series
//! repeats itself, large where it does something for the first time.
//!
//! Relies on values put on the footing of `reference`. Holds so many shapes and no more: one that is like a known shape
//! renews that, one that is not takes the place of the shape longest unseen. So usual shapes cost one place each and rare ones
//! are remembered for long. Must never compare a stretch with itself: rows enter only as whole stretches, later.

use super::GaugeSettings;
use serde::{Deserialize, Serialize};

/// Distances nearer to each other than this are the same: what rounding makes of a series in another unit must not
/// decide which shape is kept.
const SAME: f64 = 1e-7;
/// Shapes for which room is made at once: doubling would hold a third for nothing.
const GROWTH: usize = 16;
/// How fast the usual distance follows.
const USUAL_RATE: f64 = 0.05;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Shapes {
    /// Places of the points of all shapes, one after another.
    points: Vec<f64>,
    /// When each shape was last met, in rows.
    met: Vec<u64>,
    /// Distance at which stretches usually are from their nearest.
    usual: f64,
    row: u64,
    since: u32,
}

impl Shapes {
    pub(super) fn new() -> Self {
        Self {
            points: Vec::new(),
            met: Vec::new(),
            usual: 0.0,
            row: 0,
            since: 0,
        }
    }

    pub(super) fn is_sound(&self, length: usize, settings: &GaugeSettings) -> bool {
        self.met.len() <= settings.shapes_max as usize
            && self.points.len() == self.met.len() * length
    }

    pub(super) fn bytes(&self) -> usize {
        size_of::<Self>() + 8 * (self.points.capacity() + self.met.capacity())
    }

    /// Mean distance, a point, of the latest stretch from the nearest known shape.
    pub(super) fn reading(
        &mut self,
        stretch: &[f64],
        every: u32,
        settings: &GaugeSettings,
    ) -> Option<f64> {
        self.row = self.row.saturating_add(1);
        let mut nearest = f64::MAX;
        let mut which = 0;
        for (at, shape) in self.points.chunks_exact(stretch.len()).enumerate() {
            let distance: f64 = shape.iter().zip(stretch).map(|(a, b)| (a - b).abs()).sum();
            if distance < nearest - SAME {
                (nearest, which) = (distance, at);
            }
        }
        let known = !self.met.is_empty();
        let distance = if known {
            nearest / stretch.len() as f64
        } else {
            0.0
        };
        if known {
            self.met[which] = self.row;
        }
        self.since = self.since.saturating_add(1);
        if self.since >= every {
            self.since = 0;
            if !known || distance > self.usual * settings.shape_apart + SAME {
                self.keep(stretch, settings);
            }
            if known {
                self.usual += USUAL_RATE * (distance - self.usual);
            }
        }
        known.then_some(distance)
    }

    fn keep(&mut self, stretch: &[f64], settings: &GaugeSettings) {
        if self.met.len() < settings.shapes_max as usize {
            if self.met.len() == self.met.capacity() {
                self.points.reserve_exact(GROWTH * stretch.len());
                self.met.reserve_exact(GROWTH);
            }
            self.points.extend_from_slice(stretch);
            self.met.push(self.row);
            return;
        }
        let unseen = self.met.iter().enumerate().min_by_key(|(_, row)| **row);
        let oldest = unseen.map_or(0, |(at, _)| at);
        self.points[oldest * stretch.len()..][..stretch.len()].copy_from_slice(stretch);
        self.met[oldest] = self.row;
    }
}
