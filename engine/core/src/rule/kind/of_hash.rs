//! Hashing of keys that are hashes already, for tables that remember by them.
//!
//! Cheap, and the same on every machine: tables are never gone through in their own order where that could be seen. Must not
//! be used for keys that somebody can choose freely.

use std::hash::{BuildHasher, Hasher};

/// The keys are hashes already: SHA-256, of which nobody can choose the bits that matter without work that grows with
/// the table.
#[derive(Clone, Copy, Debug, Default)]
pub struct OfHash;

/// The hash so far.
#[derive(Debug)]
pub struct OfHashState(u64);

impl BuildHasher for OfHash {
    type Hasher = OfHashState;
    fn build_hasher(&self) -> OfHashState {
        OfHashState(0)
    }
}

impl Hasher for OfHashState {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    fn write_u64(&mut self, word: u64) {
        let mixed = (self.0 ^ word).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        self.0 = mixed ^ (mixed >> 31);
    }

    fn write_u128(&mut self, word: u128) {
        self.write_u64(word as u64);
        self.write_u64((word >> 64) as u64);
    }

    fn write_usize(&mut self, _length: usize) {
        // Lengths of fixed-size keys say nothing.
    }
}
