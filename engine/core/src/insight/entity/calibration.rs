//! How unusual a surprise is, measured against the largest of each day so far.
//!
//! A Gumbel distribution through mean and variance of the last daily maxima gives the chance that a day shows as much.
//! Maxima are cut at what would be an alarm, so that an attack does not teach its own size. The tail may only get heavier
//! than that of exact probabilities, whose maxima have the scale 1 / ln 10. Days that are not over do not count.
//!
//! Must never do: answer from today's maximum, or the second of two surprises would be none. Rejected: the 28 maxima
//! themselves (seven times the memory).

use std::f64::consts::PI;

/// The scale of the daily maxima of an exact -log10 probability.
const SCALE_LEAST: f64 = std::f64::consts::LOG10_E;
const EULER: f64 = 0.577_215_664_901_532_9;
/// What is known before anything was seen weighs as much as so many days, in the variance and in the mean.
const PRIOR_DAYS: (f64, f64) = (7.0, 3.0);
/// A day weighs by so much less than the one after it: about 28 count.
const KEPT: f32 = 27.0 / 28.0;
/// -ln of the chance of an alarm, 1 in 1000.
const ALARM: f64 = 6.907_755;

/// The largest values of the days so far.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Maxima {
    /// How many days count.
    pub(super) days: f32,
    pub(super) mean: f32,
    /// Sum of squared differences from the mean.
    pub(super) spread: f32,
    /// The largest of today; negative when there is none.
    pub(super) today: f32,
}

impl Default for Maxima {
    fn default() -> Self {
        Self {
            days: 0.0,
            mean: 0.0,
            spread: 0.0,
            today: -1.0,
        }
    }
}

/// What is thought of daily maxima before any was seen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Prior {
    pub(super) mean: f64,
    pub(super) variance: f64,
}

impl Prior {
    /// Maxima of exact probabilities, with this mean.
    pub(super) fn exact(mean: f64) -> Self {
        Self {
            mean,
            variance: (SCALE_LEAST * PI).powi(2) / 6.0,
        }
    }
}

/// A Gumbel distribution.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Gumbel {
    location: f64,
    scale: f64,
}

impl Maxima {
    /// Today has this too.
    pub(super) fn note(&mut self, value: f64) {
        self.today = self.today.max(value as f32);
    }

    /// What a day that is over showed, as it is counted: cut at an alarm.
    pub(super) fn ended(&self, prior: Prior) -> Option<f32> {
        let alarm = self.gumbel(prior).alarm() as f32;
        (self.today >= 0.0).then(|| self.today.min(alarm))
    }

    /// With today over.
    pub(super) fn next_day(mut self, prior: Prior) -> Self {
        if let Some(value) = self.ended(prior) {
            self.days = self.days * KEPT + 1.0;
            let off = value - self.mean;
            self.mean += off / self.days;
            self.spread = self.spread * KEPT + off * (value - self.mean);
            self.today = -1.0;
        }
        self
    }

    /// The distribution of a day's largest value.
    pub(super) fn gumbel(&self, prior: Prior) -> Gumbel {
        let (days, (for_spread, for_mean)) = (f64::from(self.days), PRIOR_DAYS);
        let variance = (f64::from(self.spread) + for_spread * prior.variance) / (days + for_spread);
        let scale = ((6.0 * variance).sqrt() / PI).max(SCALE_LEAST);
        let mean = (days * f64::from(self.mean) + for_mean * prior.mean) / (days + for_mean);
        Gumbel {
            location: mean - EULER * scale,
            scale,
        }
    }

    pub(super) fn is_sound(&self) -> bool {
        let plain = [self.days, self.mean, self.spread, self.today];
        plain.iter().all(is_plain) && self.days >= 0.0 && self.spread >= 0.0
    }
}

impl Gumbel {
    fn alarm(&self) -> f64 {
        self.location + ALARM * self.scale
    }

    /// The chance that a day's largest value is below this one.
    pub(super) fn below(&self, value: f64) -> f64 {
        (-self.over(value)).exp()
    }

    /// -log10 of the chance that a day's largest value is as large as this one.
    pub(super) fn surprise(&self, value: f64) -> f64 {
        let over = self.over(value);
        if over < 1e-9 {
            // Then the chance is `over` itself, and its logarithm is at hand.
            return (value - self.location) / self.scale * SCALE_LEAST;
        }
        decades(-(-over).exp_m1())
    }

    fn over(&self, value: f64) -> f64 {
        (-(value - self.location) / self.scale).exp()
    }
}

/// -log10 of a chance. The natural logarithm is the cheaper one.
pub(super) fn decades(chance: f64) -> f64 {
    -chance.max(f64::MIN_POSITIVE).ln() * std::f64::consts::LOG10_E
}

/// Numbers that were read may be anything; those of probabilities are nowhere near as large.
fn is_plain(value: &f32) -> bool {
    value.abs() < 1e6
}

/// What daily maxima of all entities are like: their mean, and how each spreads around its own.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Everyday {
    pub(super) count: f32,
    pub(super) mean: f32,
    pub(super) variance: f32,
}

/// Fewer maxima than this are drawn to those of exact probabilities, with this mean.
const EVERYDAY_PRIOR: (f64, f64) = (7.0, 1.0);
const EVERYDAY_COUNT_MAX: f32 = 4096.0;

impl Everyday {
    /// An entity's day is over that showed a value, where its days showed others.
    pub(super) fn note(&mut self, value: f32, own: &Maxima) {
        self.count = (self.count + 1.0).min(EVERYDAY_COUNT_MAX);
        self.mean += (value - self.mean) / self.count;
        // Without days of its own nothing is known of how it spreads; with few, less than there is.
        let off = if own.days > 0.0 {
            value - own.mean
        } else {
            0.0
        };
        let seen = own.days / (own.days + 1.0);
        self.variance += (off * off * seen - self.variance) / self.count;
    }

    pub(super) fn prior(&self) -> Prior {
        let (count, (weight, mean)) = (f64::from(self.count), EVERYDAY_PRIOR);
        let over = |value: f32, before: f64| {
            (count * f64::from(value) + weight * before) / (count + weight)
        };
        let exact = Prior::exact(mean);
        Prior {
            mean: over(self.mean, mean),
            variance: over(self.variance, exact.variance),
        }
    }

    pub(super) fn is_sound(&self) -> bool {
        let plain = [self.count, self.mean, self.variance];
        plain.iter().all(is_plain) && self.count >= 0.0 && self.variance >= 0.0
    }
}
