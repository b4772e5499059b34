//! Hashes of short texts, for tables whose keys are fixed when rules are compiled.
//!
//! Not collision resistant: a collision costs a comparison or one more candidate, never a verdict. A table
//! whose rules' constants collide (by chance or malice) is built again with another seed, so that an
//! event cannot be made expensive.

const MULTIPLIER: u64 = 0x9E37_79B9_7F4A_7C15;

/// Hash state over whole 8-byte words; a prefix's hash is finished from the state before its last word.
#[derive(Clone, Copy)]
pub(super) struct Hasher(u64);

impl Hasher {
    #[inline]
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(MULTIPLIER) ^ 0x2545_F491_4F6C_DD1D)
    }

    #[inline]
    pub(super) fn word(&mut self, word: u64) {
        let mixed = (self.0 ^ word).wrapping_mul(MULTIPLIER);
        self.0 = mixed ^ (mixed >> 29);
    }

    #[inline]
    pub(super) fn finish(mut self, rest: u64, length: usize) -> u64 {
        self.word(rest ^ ((length as u64) << 56));
        self.0 ^ (self.0 >> 32)
    }
}

/// The up to 7 bytes that follow the last whole word, low byte first.
#[inline]
pub(super) fn tail(bytes: &[u8]) -> u64 {
    debug_assert!(bytes.len() < 8);
    let mut word = 0;
    if bytes.len() >= 4 {
        let low = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        let at = bytes.len() - 4;
        let high = u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        word = u64::from(low) | (u64::from(high) << (8 * at));
    } else if let [first, .., last] = bytes {
        word = u64::from(*first)
            | (u64::from(bytes[bytes.len() / 2]) << (8 * (bytes.len() / 2)))
            | (u64::from(*last) << (8 * (bytes.len() - 1)));
    } else if let [only] = bytes {
        word = u64::from(*only);
    }
    word
}

/// Hash of a whole text.
#[inline]
pub(super) fn hash_bytes(seed: u64, bytes: &[u8]) -> u64 {
    let mut hasher = Hasher::new(seed);
    let (words, rest) = bytes.as_chunks::<8>();
    for word in words {
        hasher.word(u64::from_le_bytes(*word));
    }
    hasher.finish(tail(rest), bytes.len() & 0x7F)
}

/// Hash of a whole text with its letters low; `None` when it is not all ASCII, where lowering takes more than that.
#[inline]
pub(super) fn hash_lowered(seed: u64, bytes: &[u8]) -> Option<u64> {
    let mut hasher = Hasher::new(seed);
    let mut all = 0;
    let (words, rest) = bytes.as_chunks::<8>();
    for word in words {
        let word = u64::from_le_bytes(*word);
        all |= word;
        hasher.word(lowered(word));
    }
    let last = tail(rest);
    all |= last;
    (all & HIGH_BITS == 0).then(|| hasher.finish(lowered(last), bytes.len() & 0x7F))
}

const ONES: u64 = u64::MAX / 0xFF;
const HIGH_BITS: u64 = ONES * 0x80;

/// Eight ASCII characters with their letters low. No sum of two such bytes reaches the next one.
#[inline]
fn lowered(word: u64) -> u64 {
    let from_a = word.wrapping_add(ONES * (0x80 - b'A' as u64));
    let behind_z = word.wrapping_add(ONES * (0x7F - b'Z' as u64));
    word | (((from_a ^ behind_z) & HIGH_BITS) >> 2)
}

/// Hash of a few numbers, for compound keys.
#[inline]
pub(super) fn hash_words(words: &[u32]) -> u64 {
    let mut hasher = Hasher::new(0);
    for word in words {
        hasher.word(u64::from(*word));
    }
    hasher.finish(0, words.len())
}

/// Which hashes were added, in few enough bits to stay in the nearest cache: `may_have` is never wrong when it
/// says no. Most look-ups of an event find nothing, and this answers them without touching the table.
#[derive(Clone, Debug, Default)]
pub(super) struct Filter {
    words: Vec<u64>,
}

impl Filter {
    /// For about `count` hashes, sixteen bits each.
    pub(super) fn new(count: usize) -> Self {
        Self {
            words: vec![0; (count / 4).next_power_of_two().max(1)],
        }
    }

    pub(super) fn add(&mut self, hash: u64) {
        let (word, bits) = self.place(hash);
        self.words[word] |= bits;
    }

    #[inline]
    pub(super) fn may_have(&self, hash: u64) -> bool {
        let (word, bits) = self.place(hash);
        self.words.get(word).is_some_and(|word| word & bits == bits)
    }

    /// Keeps those that `may_have` says yes to; without a jump that depends on the answer.
    #[inline]
    pub(super) fn retain(&self, hashes: &mut Vec<u64>) {
        let mut kept = 0;
        for at in 0..hashes.len() {
            let hash = hashes[at];
            hashes[kept] = hash;
            kept += usize::from(self.may_have(hash));
        }
        hashes.truncate(kept);
    }

    #[inline]
    fn place(&self, hash: u64) -> (usize, u64) {
        let word = (hash >> 12) as usize & self.words.len().wrapping_sub(1);
        (word, 1 << (hash & 63) | 1 << (hash >> 6 & 63))
    }
}

#[cfg(test)]
mod tests {
    use super::{hash_bytes, hash_lowered, tail};

    #[test]
    fn a_tail_holds_every_byte_in_order() {
        for length in 0..8 {
            let bytes: Vec<u8> = (1..=length as u8).collect();
            let mut padded = [0u8; 8];
            padded[..length].copy_from_slice(&bytes);
            assert_eq!(tail(&bytes), u64::from_le_bytes(padded), "{length}");
        }
    }

    #[test]
    fn a_lowered_hash_is_that_of_the_lowered_text() {
        let all: Vec<u8> = (0..=255).collect();
        for length in 0..20 {
            for text in all.windows(length.max(1)) {
                let text = &text[..length];
                let lowered = text.to_ascii_lowercase();
                let expected = text.is_ascii().then(|| hash_bytes(7, &lowered));
                assert_eq!(hash_lowered(7, text), expected, "{text:?}");
            }
        }
    }

    #[test]
    fn length_and_every_byte_matter() {
        let texts = [
            "",
            "\0",
            "\0\0",
            "a",
            "ab",
            "ba",
            "abcdefgh",
            "abcdefgh\0",
            "abcdefghi",
        ];
        let mut hashes: Vec<u64> = texts
            .iter()
            .map(|text| hash_bytes(1, text.as_bytes()))
            .collect();
        hashes.sort_unstable();
        hashes.dedup();
        assert_eq!(hashes.len(), texts.len());
    }
}
