//! Tails of the negative binomial distribution, as -log10 of the probability.
//!
//! Relies on `statrs` for gamma and beta functions. Must never return NaN or infinity, whatever it is given. The tail is
//! summed from its first term, because a sum that begins at the observed count keeps all digits of 1e-200 and needs few
//! terms exactly where it matters; the incomplete beta function of `statrs` costs 0.7 microseconds wherever it is asked,
//! and serves where the sum would be long.

use statrs::function::beta::checked_beta_reg;
use statrs::function::erf::erfc;
use statrs::function::gamma::ln_gamma;

/// Nothing is less likely than this.
pub(super) const SCORE_MAX: f64 = 300.0;

/// Terms after which the incomplete beta function is cheaper.
const TERMS_MAX: u32 = 48;
/// From this ratio of neighbouring terms on, the sum would be long.
const NEAR: f64 = 0.97;
/// Below this size and mean the distribution is no gamma whose cube root is nearly normal.
const SHAPE_LEAST: f64 = 3.0;
/// Deviations up to which that holds within two per cent.
const NEAR_Z: f64 = 4.0;
/// Up to here the coefficient is a product of its own.
const PRODUCT_MAX: f64 = 24.0;

/// -log10 of the probability of `count` or more, of a mean and a size; the variance is `mean + mean^2 / size`.
pub(super) fn above(count: f64, mean: f64, size: f64) -> f64 {
    let n = count.floor();
    if !(n >= 1.0 && size > 0.0) {
        return 0.0;
    }
    if mean.is_nan() || mean <= 0.0 {
        return SCORE_MAX;
    }
    let q = mean / (mean + size);
    let first_ratio = q * (n + size) / (n + 1.0);
    if first_ratio > NEAR
        && size > SHAPE_LEAST
        && mean > SHAPE_LEAST
        && let Some(score) = near(n - 0.5, mean, size)
    {
        return score;
    }
    if first_ratio > NEAR {
        return score(regularized(n, size, q));
    }
    let (mut term, mut sum, mut k) = (1.0, 1.0, n);
    for _ in 0..TERMS_MAX {
        let ratio = q * (k + size) / (k + 1.0);
        term *= ratio;
        sum += term;
        k += 1.0;
        if term < sum * 1e-6 {
            return from_ln(ln_mass(n, mean, size) + f64::ln(sum));
        }
    }
    score(regularized(n, size, q))
}

/// -log10 of the probability of `count` or fewer.
pub(super) fn below(count: f64, mean: f64, size: f64) -> f64 {
    let n = count.ceil();
    if !(n >= 0.0 && size > 0.0 && mean > 0.0) {
        return 0.0;
    }
    let q = mean / (mean + size);
    if n > 0.0 && n / ((n - 1.0 + size) * q) > 0.97 {
        return score(checked_beta_reg(size, n + 1.0, (1.0 - q).clamp(0.0, 1.0)).unwrap_or(1.0));
    }
    let (mut term, mut sum, mut k) = (1.0, 1.0, n);
    for _ in 0..4 * TERMS_MAX {
        if k < 1.0 {
            break;
        }
        term *= k / ((k - 1.0 + size) * q);
        sum += term;
        k -= 1.0;
        if term < sum * 1e-6 {
            break;
        }
    }
    from_ln(ln_mass(n, mean, size) + f64::ln(sum))
}

/// The upper tail near the mean, where its terms fall slowly: of a gamma, whose cube root is nearly normal (Wilson and
/// Hilferty 1931). Nothing further out, where that would be off by a tenth.
fn near(count: f64, mean: f64, size: f64) -> Option<f64> {
    let shape = mean / (1.0 + mean / size);
    let root = f64::cbrt(count.max(0.0) / mean);
    let z = (root - 1.0 + 1.0 / (9.0 * shape)) * 3.0 * f64::sqrt(shape);
    (z < NEAR_Z).then(|| score(0.5 * erfc(z * std::f64::consts::FRAC_1_SQRT_2)))
}

/// The logarithm of the probability of exactly `n`.
fn ln_mass(n: f64, mean: f64, size: f64) -> f64 {
    let p0 = -size * f64::ln_1p(mean / size);
    let ln_q = -f64::ln_1p(size / mean);
    if n <= PRODUCT_MAX {
        let (mut product, mut i) = (1.0, 0.0);
        while i < n {
            product *= (size + i) / (i + 1.0);
            i += 1.0;
        }
        return p0 + n * ln_q + f64::ln(product);
    }
    p0 + n * ln_q + ln_gamma(n + size) - ln_gamma(size) - ln_gamma(n + 1.0)
}

/// P(X >= n), by the incomplete beta function.
fn regularized(n: f64, size: f64, q: f64) -> f64 {
    checked_beta_reg(n, size, q.clamp(0.0, 1.0)).unwrap_or(1.0)
}

fn score(p: f64) -> f64 {
    from_ln(f64::ln(p.max(1e-300)))
}

fn from_ln(ln_p: f64) -> f64 {
    let score = -ln_p * std::f64::consts::LOG10_E;
    if score.is_nan() {
        0.0
    } else {
        score.clamp(0.0, SCORE_MAX)
    }
}
