//! The events of the batch at hand beyond the declared fields. Capability `events`: for the few rows that matter.

use crate::{Fault, Value};

/// A field of a row by its dotted path; null when it is absent.
///
/// # Errors
///
/// `invalid-input` when there is no such row or the path is no path.
pub fn get(row: usize, path: &str) -> Result<Value, Fault> {
    super::imports::events::get(row as u32, path)
}

/// The event as it came, byte for byte.
///
/// # Errors
///
/// `invalid-input` when there is no such row.
pub fn raw(row: usize) -> Result<Vec<u8>, Fault> {
    super::imports::events::raw(row as u32)
}
