//! Rows of cells in one text, and the index over their keys.
//!
//! A cell is a place in the text, so that a million rows are some hundred megabytes at most and reading allocates nothing
//! for each. The hash is keyed: who writes the events that keys come from cannot make keys collide.

use super::network::{Network, Networks};
use super::{Room, TableFault};
use crate::batch::{ColumnKind, ColumnWriter};
use crate::grant::Fault;
use crate::grant::limits::{
    LOOKUP_CELL_BYTES_MAX, LOOKUP_COLUMNS_MAX, LOOKUP_KEY_BYTES_MAX, LOOKUP_ROWS_MAX,
};
use hashbrown::HashTable;
use std::hash::{BuildHasher, RandomState};

/// A column of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) kind: ColumnKind,
}

/// A place in the text; a cell that is not there has its end before its beginning.
#[derive(Clone, Copy, Debug)]
struct Cell {
    start: u32,
    end: u32,
}

const ABSENT: Cell = Cell { start: 1, end: 0 };

/// A table that is being read.
#[derive(Debug)]
pub(super) struct RowsBuilder {
    key: String,
    columns: Vec<Column>,
    text: String,
    keys: Vec<Cell>,
    cells: Vec<Cell>,
}

impl RowsBuilder {
    /// No rows, with the name of the key and of the columns beside it.
    pub(super) fn new(key: &str, names: Vec<String>) -> Result<Self, TableFault> {
        if names.is_empty() {
            return Err(TableFault::Form("there is no column beside the key".into()));
        }
        if names.len() >= LOOKUP_COLUMNS_MAX {
            let message = format!("there are more than {LOOKUP_COLUMNS_MAX} columns");
            return Err(TableFault::Form(message));
        }
        let all = || names.iter().map(String::as_str).chain([key]);
        if let Some(bad) = all().find(|name| name.is_empty() || name.len() > LOOKUP_KEY_BYTES_MAX) {
            let message = format!("a column has a name of {} bytes", bad.len());
            return Err(TableFault::Form(message));
        }
        for (at, name) in names.iter().enumerate() {
            if names[..at].contains(name) {
                let message = format!("there are two columns `{name:.80}`");
                return Err(TableFault::Form(message));
            }
        }
        let columns = names.into_iter().map(|name| Column {
            name,
            kind: ColumnKind::Text,
        });
        Ok(Self {
            key: key.to_owned(),
            columns: columns.collect(),
            text: String::new(),
            keys: Vec::new(),
            cells: Vec::new(),
        })
    }

    pub(super) fn columns_mut(&mut self) -> &mut [Column] {
        &mut self.columns
    }

    /// Takes a row of as many cells as there are columns.
    pub(super) fn push<'c>(
        &mut self,
        key: &str,
        cells: impl Iterator<Item = Option<&'c str>>,
    ) -> Result<(), TableFault> {
        let row = self.keys.len() + 1;
        let fault = |why: String| TableFault::Row { row, why };
        if row > LOOKUP_ROWS_MAX {
            return Err(fault(format!("there are more than {LOOKUP_ROWS_MAX} rows")));
        }
        if key.is_empty() || key.len() > LOOKUP_KEY_BYTES_MAX {
            return Err(fault(format!("the key has {} bytes", key.len())));
        }
        let key = self.store(key).map_err(fault)?;
        self.keys.push(key);
        for cell in cells {
            let cell = match cell {
                Some(text) => self.store(text).map_err(fault)?,
                None => ABSENT,
            };
            self.cells.push(cell);
        }
        debug_assert_eq!(self.cells.len(), self.keys.len() * self.columns.len());
        Ok(())
    }

    fn store(&mut self, text: &str) -> Result<Cell, String> {
        if text.len() > LOOKUP_CELL_BYTES_MAX {
            return Err(format!("a cell has {} bytes", text.len()));
        }
        let start = self.text.len();
        let end = u32::try_from(start + text.len());
        let end = end.map_err(|_| "the texts have more than 4 GiB".to_owned())?;
        self.text.push_str(text);
        Ok(Cell {
            start: start as u32,
            end,
        })
    }

    /// Makes the index.
    pub(super) fn finish(mut self) -> Result<Rows, TableFault> {
        self.text.shrink_to_fit();
        self.cells.shrink_to_fit();
        let mut rows = Rows {
            columns: self.columns,
            text: self.text,
            cells: self.cells,
            index: Index::Networks(Networks::default()),
        };
        let keys = self.keys;
        // The first key decides whether to look at the others at all.
        let named = self.key == "network";
        let is_network = |key: &Cell| {
            let key = rows.slice(*key);
            (named || key.contains('/'))
                .then(|| Network::new(key))
                .flatten()
        };
        let networks: Option<Vec<_>> = match keys.is_empty() {
            true => None,
            false => keys
                .iter()
                .zip(0..)
                .map(|(key, row)| Some((is_network(key)?, row)))
                .collect(),
        };
        rows.index = match networks {
            Some(networks) => Index::Networks(Networks::new(networks).map_err(twice)?),
            None if named && !keys.is_empty() => {
                let bad = keys.iter().position(|key| is_network(key).is_none());
                let row = bad.unwrap_or(0) + 1;
                let why = "the key is no network, such as `10.0.0.0/8`".into();
                return Err(TableFault::Row { row, why });
            }
            None => Index::Exact(rows.exact(keys)?),
        };
        Ok(rows)
    }
}

fn twice((first, second): (u32, u32)) -> TableFault {
    TableFault::Row {
        row: first.max(second) as usize + 1,
        why: format!("the key is that of row {} too", first.min(second) + 1),
    }
}

/// A table in memory.
#[derive(Debug)]
pub(super) struct Rows {
    columns: Vec<Column>,
    text: String,
    cells: Vec<Cell>,
    index: Index,
}

#[derive(Debug)]
enum Index {
    Exact(Exact),
    Networks(Networks),
}

#[derive(Debug)]
struct Exact {
    hash: RandomState,
    keys: Vec<Cell>,
    rows: HashTable<u32>,
}

impl Rows {
    pub(super) fn columns(&self) -> &[Column] {
        &self.columns
    }

    fn slice(&self, cell: Cell) -> &str {
        self.text
            .get(cell.start as usize..cell.end as usize)
            .unwrap_or("")
    }

    fn exact(&self, keys: Vec<Cell>) -> Result<Exact, TableFault> {
        let hash = RandomState::new();
        let mut rows = HashTable::with_capacity(keys.len());
        let key_of = |row: u32| self.slice(keys[row as usize]);
        for (cell, row) in keys.iter().zip(0u32..) {
            let key = self.slice(*cell);
            let hashed = hash.hash_one(key);
            if let Some(other) = rows.find(hashed, |other| key_of(*other) == key) {
                return Err(twice((*other, row)));
            }
            rows.insert_unique(hashed, row, |row| hash.hash_one(key_of(*row)));
        }
        Ok(Exact { hash, keys, rows })
    }

    fn row(&self, key: &str) -> Option<usize> {
        if key.len() > LOOKUP_KEY_BYTES_MAX {
            return None;
        }
        let row = match &self.index {
            Index::Networks(networks) => networks.find(key)?,
            Index::Exact(exact) => {
                let is_it = |row: &u32| self.slice(exact.keys[*row as usize]) == key;
                *exact.rows.find(exact.hash.hash_one(key), is_it)?
            }
        };
        Some(row as usize)
    }

    /// The columns of the answer.
    pub(super) fn find(
        &self,
        keys: &[String],
        room: &mut Room,
    ) -> Result<Vec<ColumnWriter>, Fault> {
        let rows: Vec<Option<usize>> = keys.iter().map(|key| self.row(key)).collect();
        let width = self.columns.len();
        let mut writers = Vec::with_capacity(width);
        for (at, column) in self.columns.iter().enumerate() {
            let mut writer = ColumnWriter::new(column.kind);
            for row in &rows {
                let before = writer.arena_bytes();
                let cell = row.map_or(ABSENT, |row| self.cells[row * width + at]);
                match cell.start <= cell.end {
                    true => push(&mut writer, self.slice(cell)),
                    false => writer.push_absent(),
                }
                room.take(&writer, before)?;
            }
            writers.push(writer);
        }
        Ok(writers)
    }
}

/// A cell of a column of that kind; the reader made sure that it is one.
fn push(writer: &mut ColumnWriter, text: &str) {
    match writer.kind() {
        ColumnKind::Text | ColumnKind::Symbol | ColumnKind::Json => writer.push_text(text),
        ColumnKind::Bool => writer.push_bool(text == "true"),
        ColumnKind::Int => match text.parse() {
            Ok(number) => writer.push_int(number),
            Err(_) => writer.push_absent(),
        },
        ColumnKind::Float => match text.parse() {
            Ok(number) => writer.push_float(number),
            Err(_) => writer.push_absent(),
        },
    }
}
