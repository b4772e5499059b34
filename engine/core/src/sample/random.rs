//! Chance from a seed: the same seed gives the same numbers on every machine and in every version.
//!
//! xoshiro256++ (Blackman and Vigna, public domain), its state filled by SplitMix64. It must never be used
//! where somebody could gain from guessing. Rejected: the `rand` crate, whose streams may change between
//! versions, and the stored manifests of a sample would then no longer fit it.

/// A stream of numbers.
#[derive(Debug, Clone)]
pub struct Random {
    state: [u64; 4],
}

/// One step of SplitMix64: spreads any number, also a small counter, over all 64 bits.
pub(super) fn spread(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

impl Random {
    /// The stream of a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let mut state = [0; 4];
        let mut number = seed;
        for word in &mut state {
            *word = spread(number);
            number = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
        }
        Self { state }
    }

    /// 64 random bits.
    #[expect(
        clippy::should_implement_trait,
        reason = "an endless stream is no iterator to loop over"
    )]
    pub fn next(&mut self) -> u64 {
        let [a, b, c, d] = &mut self.state;
        let result = a.wrapping_add(*d).rotate_left(23).wrapping_add(*a);
        let shifted = *b << 17;
        *c ^= *a;
        *d ^= *b;
        *b ^= *c;
        *a ^= *d;
        *c ^= shifted;
        *d = d.rotate_left(45);
        result
    }

    /// A number below `bound`; 0 when the bound is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        let wide = u128::from(self.next()) * u128::from(bound);
        u64::try_from(wide >> 64).unwrap_or(0)
    }

    /// A number from `least` to `most`, both included.
    pub fn between(&mut self, least: u64, most: u64) -> u64 {
        least + self.below(most.saturating_sub(least) + 1)
    }

    /// An index below `count`, the low ones much likelier than the high ones: half of the draws fall
    /// into the first quarter.
    pub fn favoured(&mut self, count: usize) -> usize {
        let fraction = self.below(1 << 24);
        let squared = (fraction * fraction) >> 24;
        usize::try_from((squared * count as u64) >> 24).unwrap_or(0)
    }

    /// Whether a thing that happens `share` times in a thousand happens now.
    pub fn per_mille(&mut self, share: u64) -> bool {
        self.below(1000) < share
    }

    /// One of them. The slice must not be empty.
    pub fn one_of<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[usize::try_from(self.below(items.len() as u64)).unwrap_or(0)]
    }

    /// An index drawn by weight, from the running sums of the weights.
    pub fn weighted(&mut self, running_sums: &[u64]) -> usize {
        let total = running_sums.last().copied().unwrap_or(0);
        let drawn = self.below(total);
        running_sums.partition_point(|sum| *sum <= drawn)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stream_of_a_seed_never_changes() {
        let mut random = Random::new(7);
        let drawn: Vec<u64> = (0..3).map(|_| random.below(1_000_000)).collect();
        assert_eq!(drawn, {
            let mut again = Random::new(7);
            (0..3).map(|_| again.below(1_000_000)).collect::<Vec<_>>()
        });
        assert_ne!(drawn[0], Random::new(8).below(1_000_000));
    }

    #[test]
    fn bounds_hold_at_their_edges() {
        let mut random = Random::new(1);
        for _ in 0..2000 {
            assert_eq!(random.below(1), 0);
            assert_eq!(random.below(0), 0);
            assert!((3..=5).contains(&random.between(3, 5)));
            assert!(random.favoured(4) < 4);
            assert!([1, 2].contains(&random.weighted(&[0, 3, 9])));
        }
    }

    #[test]
    fn low_indexes_are_favoured() {
        let mut random = Random::new(2);
        let low = (0..4000).filter(|_| random.favoured(100) < 25).count();
        assert!((1800..2200).contains(&low), "{low}");
    }
}
