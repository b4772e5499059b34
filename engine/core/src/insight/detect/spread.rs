//! How far counts of a window stray from what is expected.
//!
//! The variance is `mean * (1 + clump) + wander * mean^2`. Calls that come in sessions add the first term, which does not
//! vanish where the mean does: five calls at once are as likely at night as the sessions are. Slow wander of the rate adds the
//! second. Both are fitted by least squares to squared residuals, so a size of the distribution that was learned by day is
//! not used by night as it is. A negative binomial with one size for a window takes a session at
//! night for a miracle.

/// Sums of the fit, and what came of them.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Spread {
    pub(super) weight: f32,
    pub(super) mean: f32,
    pub(super) square: f32,
    pub(super) excess: f32,
    pub(super) excess_mean: f32,
    pub(super) clump: f32,
    pub(super) wander: f32,
}

/// Prior values and their weights, in expected events.
const CLUMP: f32 = 1.0;
const WANDER: f32 = 0.1;
const PRIOR: f32 = 6.0;
/// A window teaches no more than a count so many deviations, and so many events, away.
const FAR: f32 = 8.0;
const FAR_EVENTS: f32 = 10.0;
/// Means beyond this are taken for it, so that squares of squares stay finite.
const MEAN_MAX: f32 = 1e8;
/// Kept by day: a half-life of 14 days.
const KEPT: f32 = 0.951_7;

impl Spread {
    pub(super) fn new() -> Self {
        Self {
            clump: CLUMP,
            wander: WANDER,
            ..Self::default()
        }
    }

    /// A window that is over.
    pub(super) fn add(&mut self, count: f32, mean: f32) {
        let mean = mean.min(MEAN_MAX);
        // One burst teaches no more than a count at the edge of what is known.
        let most = FAR * f32::sqrt(self.variance(mean)) + FAR_EVENTS;
        let count = count.clamp(mean - most, mean + most);
        let scale = 1.0 / (1.0 + mean);
        let excess = ((count - mean) * (count - mean) - mean) * scale;
        let weight = mean * scale;
        self.weight += weight;
        self.mean += weight * mean;
        self.square += weight * mean * mean;
        self.excess += excess;
        self.excess_mean += excess * mean;
    }

    /// Fits anew.
    pub(super) fn fit(&mut self) {
        // A series without a season gives nearly equal equations, so their difference is taken in double precision.
        let (a, d) = (
            f64::from(self.weight + PRIOR),
            f64::from(self.square + PRIOR),
        );
        let b = f64::from(self.mean);
        let y = f64::from(self.excess + PRIOR * CLUMP);
        let z = f64::from(self.excess_mean + PRIOR * WANDER);
        let determinant = (a * d - b * b).max(1e-6 * a * d);
        let mut clump = (y * d - z * b) / determinant;
        let mut wander = (z * a - y * b) / determinant;
        if clump < 0.0 {
            (clump, wander) = (0.0, z / d);
        } else if wander < 0.0 {
            (clump, wander) = (y / a, 0.0);
        }
        self.clump = (clump as f32).clamp(0.0, 1e6);
        self.wander = (wander as f32).clamp(0.001, 100.0);
    }

    pub(super) fn close_day(&mut self) {
        for sum in [
            &mut self.weight,
            &mut self.mean,
            &mut self.square,
            &mut self.excess,
            &mut self.excess_mean,
        ] {
            *sum *= KEPT;
        }
        self.fit();
    }

    pub(super) fn variance(&self, mean: f32) -> f32 {
        mean * (1.0 + self.clump) + self.wander * mean * mean
    }

    /// The size of the negative binomial distribution of that variance.
    pub(super) fn size(&self, mean: f32) -> f64 {
        let mean = f64::from(mean);
        let size = mean / (f64::from(self.clump) + f64::from(self.wander) * mean);
        size.clamp(1e-6, 1e6)
    }
}
