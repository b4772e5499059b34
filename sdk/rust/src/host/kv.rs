//! Small things to remember, of this plugin alone. Capability `kv`, with a quota and a longest lifetime.
//!
//! Keys are 1 to 256 bytes of text, values at most 64 KiB, calls at most 1,024 keys.

use super::owned;
use crate::Fault;

/// The values under the keys, in their order.
///
/// # Errors
///
/// `invalid-input` and `limit`; the same for the functions below.
pub fn get(keys: &[&str]) -> Result<Vec<Option<Vec<u8>>>, Fault> {
    super::imports::kv::get(&owned(keys))
}

/// Keeps all entries for so many milliseconds, or none of them.
pub fn set(entries: &[(&str, &[u8])], ttl_ms: u64) -> Result<(), Fault> {
    let entries = entries.iter();
    let entries = entries.map(|(key, value)| ((*key).to_owned(), value.to_vec()));
    super::imports::kv::set(&entries.collect::<Vec<_>>(), ttl_ms)
}

/// Adds to a number and gives the new one; one that is not there is 0. Nobody else's addition is lost.
pub fn add(key: &str, delta: i64, ttl_ms: u64) -> Result<i64, Fault> {
    super::imports::kv::add(key, delta, ttl_ms)
}

/// Forgets the keys; those that are not there are ignored.
pub fn delete(keys: &[&str]) -> Result<(), Fault> {
    super::imports::kv::delete(&owned(keys))
}
