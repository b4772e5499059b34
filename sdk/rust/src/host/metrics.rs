//! Counters for the operator. Capability `metrics`; the names are fixed in the manifest, others are counted as refused.

/// Adds to a counter.
pub fn add(name: &str, delta: u64) {
    super::imports::metrics::add(name, delta);
}

/// Tells a value, such as a duration or a size; its count, sum, least and greatest are kept.
pub fn observe(name: &str, value: f64) {
    super::imports::metrics::observe(name, value);
}
