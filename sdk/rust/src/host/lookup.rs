//! Read-only tables of the operator. Capability `lookup`, one table at a time.
//!
//! ```
//! use tripline_plugin::{Cell, lookup, testing};
//!
//! testing::table("owners", &["owner"], &[("web-1", &["alice"])]);
//!
//! let found = lookup::find("owners", &["web-1", "web-2"])?;
//! let owners = found.batch()?;
//! assert_eq!(owners.cell(0, 0), Some(Cell::Text("alice")));
//! assert_eq!(owners.cell(0, 1), None);
//! # Ok::<(), tripline_plugin::Fault>(())
//! ```

use super::owned;
use crate::{Batch, Fault};

/// Keys of one [`find`].
pub const KEYS_MAX: usize = 4096;

/// What was found, a row for each key.
#[derive(Clone, Debug)]
pub struct Found {
    bytes: Vec<u8>,
}

impl Found {
    /// The rows, with a column for each column of the table; without values where the key is unknown.
    ///
    /// # Errors
    ///
    /// `invalid-input` when it is no batch, which is a mistake of the host.
    pub fn batch(&self) -> Result<Batch<'_>, Fault> {
        crate::exported::batch(&self.bytes)
    }
}

/// The names of a table's columns, in the order of what [`find`] gives; the key's own column is not among them.
///
/// # Errors
///
/// `not-found`.
pub fn columns(table: &str) -> Result<Vec<String>, Fault> {
    super::imports::lookup::columns(table)
}

/// Looks up many keys in one call. Keys of a table of networks are addresses: the longest prefix that contains the
/// address counts.
///
/// # Errors
///
/// `not-found` when no such table was granted, `limit` for more than [`KEYS_MAX`] keys or too large an answer.
pub fn find(table: &str, keys: &[&str]) -> Result<Found, Fault> {
    let bytes = super::imports::lookup::find(table, &owned(keys))?;
    Ok(Found { bytes })
}
