//! Chance from a seed: the same seed gives the same run on every machine.
//!
//! SplitMix64, spelled out, so that a seed that failed once fails for ever; a crate's generator may change with its version.

/// A stream of numbers.
#[derive(Clone, Debug)]
pub struct Chance(u64);

impl Chance {
    /// The stream of a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed ^ 0x9e37_79b9_7f4a_7c15)
    }

    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`, which is not 0.
    pub fn below(&mut self, end: u64) -> u64 {
        self.number() % end
    }

    /// A number from `start` up to and without `end`.
    pub fn within(&mut self, start: i64, end: i64) -> i64 {
        start + self.below((end - start) as u64) as i64
    }

    /// Whether something happens that happens so often in a thousand.
    pub fn often(&mut self, per_thousand: u32) -> bool {
        self.below(1000) < u64::from(per_thousand)
    }

    /// Whether something happens that happens so often in a hundred thousand.
    pub fn seldom(&mut self, per_hundred_thousand: u32) -> bool {
        self.below(100_000) < u64::from(per_hundred_thousand)
    }

    /// One of these.
    pub fn one<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len() as u64) as usize]
    }

    /// A stream of its own, so that what one part draws does not shift what another draws.
    pub fn branch(&mut self) -> Self {
        Self::new(self.number())
    }
}
