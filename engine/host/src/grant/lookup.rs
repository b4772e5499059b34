//! Read-only tables of the operator. See `wit/lookup.wit`.

use super::Fault;
use std::path::Path;
use thiserror::Error;

/// Why a file is no table.
#[derive(Debug, Error)]
#[allow(missing_docs)]
pub enum TableFault {
    #[error("tables are not read yet")]
    Unsupported,
}

/// A table.
#[derive(Debug)]
pub struct Table {}

impl Table {
    /// Reads the file.
    pub fn open(_path: &Path) -> Result<Self, TableFault> {
        Err(TableFault::Unsupported)
    }

    /// The columns, without the key's.
    pub fn columns(&self) -> Vec<String> {
        Vec::new()
    }

    /// A batch with a row for each key.
    pub fn find(&self, _keys: &[String]) -> Result<Vec<u8>, Fault> {
        Err(Fault::limit("no table"))
    }
}
