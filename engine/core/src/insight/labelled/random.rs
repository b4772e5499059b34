//! Chance from a seed.
//!
//! SplitMix64, and the distributions that the generator needs. Must give the same numbers for the same seed always: sets
//! are named by their seed. A crate of distributions changes its algorithms between versions.

/// A stream of numbers.
#[derive(Clone, Debug)]
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64, stream: u64) -> Self {
        let mut random = Self(seed ^ stream.wrapping_mul(0xd1b5_4a32_d192_ed03));
        random.next();
        random
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    /// In [0, 1).
    pub(super) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    pub(super) fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    /// Evenly on a logarithmic scale.
    pub(super) fn scale(&mut self, low: f64, high: f64) -> f64 {
        f64::exp(self.between(f64::ln(low), f64::ln(high)))
    }

    /// A whole number in [low, high).
    pub(super) fn whole(&mut self, low: u32, high: u32) -> u32 {
        low + (self.unit() * f64::from(high.saturating_sub(low))) as u32
    }

    pub(super) fn chance(&mut self, part: f64) -> bool {
        self.unit() < part
    }

    pub(super) fn normal(&mut self) -> f64 {
        let radius = f64::sqrt(-2.0 * f64::ln(1.0 - self.unit()));
        radius * f64::cos(std::f64::consts::TAU * self.unit())
    }

    /// Gamma with mean one and the given shape (Marsaglia and Tsang 2000).
    pub(super) fn gamma(&mut self, shape: f64) -> f64 {
        if shape < 1.0 {
            let power = f64::powf(1.0 - self.unit(), 1.0 / shape);
            return self.gamma(shape + 1.0) * (shape + 1.0) * power / shape;
        }
        let d = shape - 1.0 / 3.0;
        let c = 1.0 / f64::sqrt(9.0 * d);
        loop {
            let x = self.normal();
            let v = f64::powi(1.0 + c * x, 3);
            if v > 0.0 && f64::ln(1.0 - self.unit()) < 0.5 * x * x + d - d * v + d * f64::ln(v) {
                return d * v / shape;
            }
        }
    }

    pub(super) fn poisson(&mut self, mean: f64) -> u32 {
        let (mut left, mut count) = (mean, 0);
        while left > 0.0 {
            let (part, limit) = (left.min(20.0), f64::exp(-left.min(20.0)));
            let mut product = self.unit();
            while product > limit {
                product *= self.unit();
                count += 1;
            }
            left -= part;
        }
        count
    }

    pub(super) fn binomial(&mut self, many: u32, part: f64) -> u32 {
        if part <= 0.0 {
            return 0;
        }
        (0..many).filter(|_| self.unit() < part).count() as u32
    }
}
