//! The last rows of a series: their values, and where these lay when they came.
//!
//! Relies on nothing. Sums are made anew at each row: a running sum would carry the rounding of one huge value
//! for ever. Must never grow.

use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// The last numbers of some kind, the newest at the end.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Recent {
    last: VecDeque<f64>,
}

impl Recent {
    pub(super) fn new() -> Self {
        Self {
            last: VecDeque::new(),
        }
    }

    pub(super) fn bytes(&self) -> usize {
        size_of::<Self>() + self.last.capacity() * size_of::<f64>()
    }

    pub(super) fn is_sound(&self, most: usize) -> bool {
        self.last.len() <= most
    }

    pub(super) fn push(&mut self, number: f64, most: usize) {
        if self.last.len() >= most {
            self.last.pop_front();
        }
        self.last.push_back(number);
    }

    /// Mean of so many of the last, once there are so many.
    pub(super) fn mean(&self, of: usize) -> Option<f64> {
        let last = self.last(of)?;
        Some(last.sum::<f64>() / of as f64)
    }

    /// Mean step from one to the next, over so many steps.
    pub(super) fn roughness(&self, steps: usize) -> Option<f64> {
        let before = self.last(steps + 1)?;
        let after = self.last(steps)?;
        let moved: f64 = before.zip(after).map(|(from, to)| (to - from).abs()).sum();
        Some(moved / steps as f64)
    }

    /// So many of the last, in order.
    pub(super) fn last(&self, of: usize) -> Option<impl Iterator<Item = f64> + '_> {
        let skipped = self.last.len().checked_sub(of)?;
        Some(self.last.iter().skip(skipped).copied())
    }
}
