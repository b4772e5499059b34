//! Chance. Capability `random`.

/// Bytes from a generator that the operating system seeded; at most 4,096 a call, more is a trap.
pub fn bytes(count: u32) -> Vec<u8> {
    super::imports::random::bytes(count)
}
