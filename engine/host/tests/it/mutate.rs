//! Components with bytes changed by chance, the same for the same seed.

/// Makes mutants.
pub(crate) struct Mutator {
    chance: u64,
}

impl Mutator {
    /// The same seed makes the same mutants.
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            // Zero would stay zero.
            chance: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
        }
    }

    fn below(&mut self, below: usize) -> usize {
        self.chance ^= self.chance << 13;
        self.chance ^= self.chance >> 7;
        self.chance ^= self.chance << 17;
        (self.chance >> 11) as usize % below.max(1)
    }

    /// One to four changes: of a bit, a byte or a length, pieces left out, doubled, or taken from another.
    pub(crate) fn mutant(&mut self, seeds: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = seeds[self.below(seeds.len())].clone();
        for _ in 0..=self.below(4) {
            let at = self.below(bytes.len());
            let end = (at + 1 + self.below(32)).min(bytes.len());
            match self.below(8) {
                0 => bytes[at] ^= 1 << self.below(8),
                1 => bytes[at] = self.below(256) as u8,
                2 => bytes[at] = bytes[at].wrapping_add(1),
                3 => bytes[at] = [0, 1, 0x7f, 0x80, 0xff][self.below(5)],
                4 => bytes.insert(at, self.below(256) as u8),
                5 => drop(bytes.drain(at..end)),
                6 => {
                    let piece = bytes[at..end].to_vec();
                    bytes.splice(at..at, piece);
                }
                _ => {
                    let other = &seeds[self.below(seeds.len())];
                    let from = self.below(other.len());
                    let to = (from + end - at).min(other.len());
                    bytes.splice(at..end, other[from..to].iter().copied());
                }
            }
            if bytes.is_empty() {
                return bytes;
            }
        }
        bytes
    }
}
