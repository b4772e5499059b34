//! Read-only tables of the operator. See `wit/lookup.wit`.
//!
//! A table is read once, whole, into one text and an index, and never changes: a changed file is a new table. CSV and
//! JSON become rows of cells; a MaxMind file stays as it is. The first column of CSV, or the first key of the objects of
//! JSON, is the key; when it is called `network`, or all of its values are networks such as `10.0.0.0/8`, keys are
//! addresses and the longest prefix counts. Files are the operator's, yet bounded: a wrong path must not fill memory.

mod maxmind;
mod network;
mod rows;
#[cfg(test)]
mod tests;
mod text;

use super::Fault;
use super::limits::{LOOKUP_ANSWER_BYTES_MAX, LOOKUP_FILE_BYTES_MAX, LOOKUP_KEYS_MAX};
use crate::batch::{BatchWriter, ColumnWriter};
use maxmind::MaxMind;
use rows::Rows;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use thiserror::Error;

/// Why a file is no table. None of these is mended by trying again, but for `Open`.
#[derive(Debug, Error)]
#[allow(missing_docs)] // Each is its own sentence.
pub enum TableFault {
    #[error("the file cannot be read")]
    Open(#[source] io::Error),
    #[error("the file has more than {LOOKUP_FILE_BYTES_MAX} bytes")]
    TooLarge,
    #[error("a table ends in .csv, .json or .mmdb")]
    UnknownForm,
    #[error("row {row}: {why}")]
    Row { row: usize, why: String },
    #[error("{0}")]
    Form(String),
}

/// A table.
#[derive(Debug)]
pub struct Table {
    form: Form,
}

#[derive(Debug)]
enum Form {
    Rows(Rows),
    MaxMind(MaxMind),
}

impl Table {
    /// Reads the file, by what its name ends in.
    pub fn open(path: &Path) -> Result<Self, TableFault> {
        let form = path
            .extension()
            .and_then(|form| form.to_str())
            .unwrap_or("");
        let mut bytes = Vec::new();
        let file = File::open(path).map_err(TableFault::Open)?;
        let read = file.take(LOOKUP_FILE_BYTES_MAX + 1).read_to_end(&mut bytes);
        read.map_err(TableFault::Open)?;
        if bytes.len() as u64 > LOOKUP_FILE_BYTES_MAX {
            return Err(TableFault::TooLarge);
        }
        Self::read(form, bytes)
    }

    /// The table in these bytes, which are `csv`, `json` or `mmdb`.
    pub fn read(form: &str, bytes: Vec<u8>) -> Result<Self, TableFault> {
        let form = match form {
            "csv" => Form::Rows(text::read_csv(&bytes)?),
            "json" => Form::Rows(text::read_json(&bytes)?),
            "mmdb" => Form::MaxMind(MaxMind::read(bytes)?),
            _ => return Err(TableFault::UnknownForm),
        };
        Ok(Self { form })
    }

    /// The columns, without the key's.
    pub fn columns(&self) -> Vec<String> {
        match &self.form {
            Form::Rows(rows) => rows.columns().iter().map(|one| one.name.clone()).collect(),
            Form::MaxMind(maxmind) => maxmind.columns().map(str::to_owned).collect(),
        }
    }

    /// A batch with a row for each key, and a column for each of `columns`.
    pub fn find(&self, keys: &[String]) -> Result<Vec<u8>, Fault> {
        if keys.len() > LOOKUP_KEYS_MAX {
            let message = format!(
                "{} keys in one call; at most {LOOKUP_KEYS_MAX} are taken",
                keys.len()
            );
            return Err(Fault::limit(message));
        }
        let mut room = Room(LOOKUP_ANSWER_BYTES_MAX);
        let columns = match &self.form {
            Form::Rows(rows) => rows.find(keys, &mut room)?,
            Form::MaxMind(maxmind) => maxmind.find(keys, &mut room)?,
        };
        Ok(BatchWriter::default()
            .pack(keys.len(), columns.iter())
            .to_vec())
    }
}

/// What an answer may still hold.
struct Room(usize);

impl Room {
    /// Takes room for the texts that a column has, after `before` bytes of them were counted.
    fn take(&mut self, column: &ColumnWriter, before: usize) -> Result<(), Fault> {
        // A cell without a text still costs its place.
        let bytes = column.arena_bytes() - before + 8;
        self.0 = self.0.checked_sub(bytes).ok_or_else(|| {
            Fault::limit(format!(
                "the answer has more than {LOOKUP_ANSWER_BYTES_MAX} bytes"
            ))
        })?;
        Ok(())
    }
}
