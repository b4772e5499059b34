//! What a score is worth: how often this series shows as much on a day.
//!
//! Probabilities of a model are as wrong as the model, and it is in the tail that it is wrong. So each window of each
//! series keeps the mean and variance of its daily highest scores, and a new score is read off the Gumbel distribution that
//! they make. They are kept apart by how busy the time is against the series' mean ([`pace`]): deployments of
//! working hours must not excuse a burst at night, nor the hour of a daily job every other one. The tail may only get
//! heavier than that of an exact probability, for which the scale is 1 / ln 10. A generalised Pareto tail has one
//! parameter more than 28 maxima can tell.

use super::half::Half;

/// Kinds of times: from nearly silent to the busiest.
pub(super) const PACES: usize = 4;

/// Daily maxima of the score of one window.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Extremes {
    pub(super) mean: [Half; PACES],
    pub(super) variance: [Half; PACES],
    pub(super) today: [Half; PACES],
}

/// Days of each pace that were seen, and which were seen today.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Days {
    pub(super) seen: [u8; PACES],
    pub(super) today: u8,
}

/// Days that are looked at.
const DAYS: f32 = 28.0;
/// Scale of exact probabilities: 1 / ln 10.
const SCALE_LEAST: f32 = std::f32::consts::LOG10_E;
/// Days of prior belief in exact probabilities.
const PRIOR_DAYS: f32 = 7.0;
/// (pi / ln 10)^2 / 6: variance of the maxima of exact probabilities.
const PRIOR_VARIANCE: f32 = 0.310_25;
/// Euler's constant: the mean of the standard Gumbel distribution.
const EULER: f32 = 0.577_215_7;
/// Days of prior belief in where the maxima lie.
const PRIOR_MEAN_DAYS: f32 = 3.0;
/// Bounds of paces: rates against the mean of the series.
const PACE_BOUNDS: [f32; PACES - 1] = [0.3, 0.9, 2.5];

/// The kind of time at which a series has such a rate.
pub(super) fn pace(rate: f32, mean: f32) -> usize {
    PACE_BOUNDS
        .iter()
        .filter(|bound| rate > **bound * mean)
        .count()
}

impl Days {
    pub(super) fn visit(&mut self, pace: usize) {
        self.today |= 1 << pace;
    }

    /// So many days went by without a score.
    pub(super) fn quiet(&mut self, days: u32) {
        self.seen = [days.min(255) as u8; PACES];
    }

    /// A day is over.
    pub(super) fn close(&mut self) {
        for (pace, seen) in self.seen.iter_mut().enumerate() {
            *seen = seen.saturating_add(self.today >> pace & 1);
        }
        self.today = 0;
    }

    fn of(&self, pace: usize) -> f32 {
        f32::from(self.seen[pace]).min(DAYS)
    }
}

impl Extremes {
    pub(super) fn note(&mut self, pace: usize, score: f32) {
        if score > self.today[pace].get() {
            self.today[pace] = Half::new(score);
        }
    }

    /// A day is over, before `days` is told so.
    pub(super) fn close_day(&mut self, days: &Days, theta: f32, prior: f32) {
        for pace in 0..PACES {
            if days.today >> pace & 1 == 0 {
                continue;
            }
            let limit = self.needed(pace, days, theta, prior);
            let step = 1.0 / (days.of(pace).min(DAYS - 1.0) + 1.0);
            let (mean, variance) = (self.mean[pace].get(), self.variance[pace].get());
            let change = self.today[pace].get().min(limit) - mean;
            self.mean[pace] = Half::new(mean + step * change);
            self.variance[pace] = Half::new((1.0 - step) * (variance + step * change * change));
            self.today[pace] = Half::default();
        }
    }

    fn law(&self, pace: usize, days: &Days, prior: f32) -> (f32, f32) {
        let days = days.of(pace);
        let variance =
            (days * self.variance[pace].get() + PRIOR_DAYS * PRIOR_VARIANCE) / (days + PRIOR_DAYS);
        let scale = (f32::sqrt(6.0 * variance) / std::f32::consts::PI).max(SCALE_LEAST);
        let mean =
            (days * self.mean[pace].get() + PRIOR_MEAN_DAYS * prior) / (days + PRIOR_MEAN_DAYS);
        (mean - EULER * scale, scale)
    }

    /// -log10 of the chance that this series shows so much on one day.
    pub(super) fn rarity(&self, score: f32, pace: usize, days: &Days, prior: f32) -> f32 {
        let (place, scale) = self.law(pace, days, prior);
        let height = (score - place) / scale;
        if height > 12.0 {
            return height * std::f32::consts::LOG10_E;
        }
        -f32::log10((-f32::exp_m1(-f32::exp(-height))).max(1e-30))
    }

    /// The score that is as rare as that.
    pub(super) fn needed(&self, pace: usize, days: &Days, rarity: f32, prior: f32) -> f32 {
        let (place, scale) = self.law(pace, days, prior);
        place + scale * rarity * std::f32::consts::LN_10
    }
}
