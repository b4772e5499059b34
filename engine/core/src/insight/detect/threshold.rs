//! The threshold, which follows the number of series where it is computed from a budget of false alarms.
//!
//! Relies on nothing. Insights that are open stay so: a threshold decides what begins.

use super::Detector;

impl Default for Detector {
    fn default() -> Self {
        Self::with(super::Settings::default())
    }
}

impl Detector {
    /// From now on an insight begins at this S*; what is no threshold changes nothing.
    pub fn set_threshold(&mut self, threshold: f64) {
        if (0.5..=100.0).contains(&threshold) {
            self.settings.threshold = threshold;
        }
    }

    /// The S* at which an insight begins.
    pub fn threshold(&self) -> f64 {
        self.settings.threshold
    }

    /// Series of which enough is known to find something unusual.
    pub fn warm_series(&self) -> usize {
        self.warm.len() - self.free.len()
    }
}
