//! What time it is. Capability `clock`.

/// Milliseconds since 1970-01-01T00:00:00Z. Results that depend on it are not the same on a replay.
pub fn now_ms() -> u64 {
    super::imports::clock::now_ms()
}
