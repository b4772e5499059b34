//! Reading batches that a plugin wrote. Every offset, length and kind is checked before it is used.
//!
//! Texts are checked for being UTF-8 once a column, not once a cell.

use super::{COLUMN_BYTES, COLUMNS_MAX, ColumnKind, HEADER_BYTES, MAGIC};
use thiserror::Error;

/// Why bytes are no batch.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[allow(missing_docs)] // Each is its own sentence.
pub enum BatchFault {
    #[error("the batch does not begin with `TPB1`")]
    NoBatch,
    #[error("the batch says that it is {said} bytes long and is {is}")]
    Length { said: usize, is: usize },
    #[error("the batch has {is} rows instead of {wanted}")]
    Rows { is: usize, wanted: usize },
    #[error("the batch has {is} columns instead of {wanted}")]
    Columns { is: usize, wanted: usize },
    #[error("column {column} is of kind {is} instead of `{wanted}`")]
    Kind {
        column: usize,
        is: u32,
        wanted: &'static str,
    },
    #[error("column {column} reaches beyond the batch")]
    Reach { column: usize },
    #[error("column {column} has texts that are not UTF-8")]
    NotText { column: usize },
    #[error("row {row} of column {column} reaches beyond its texts or its symbols")]
    Cell { column: usize, row: usize },
    #[error("row {row} of column {column} is not a number that rules can compare")]
    NotFinite { column: usize, row: usize },
}

/// A value of a batch.
#[derive(Clone, Copy, Debug, PartialEq)]
#[allow(missing_docs)]
pub enum Cell<'b> {
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(&'b str),
    /// JSON text; not checked.
    Json(&'b str),
}

/// A batch that is sound as a whole.
#[derive(Debug)]
pub struct BatchView<'b> {
    rows: usize,
    columns: Vec<ColumnView<'b>>,
}

/// A column of one.
#[derive(Debug)]
pub struct ColumnView<'b> {
    number: usize,
    kind: ColumnKind,
    present: Option<&'b [u8]>,
    data: &'b [u8],
    arena: &'b str,
    dictionary: &'b [u8],
}

impl<'b> BatchView<'b> {
    /// Reads a batch that should have `rows` rows and columns of these kinds.
    pub fn read(bytes: &'b [u8], rows: usize, kinds: &[ColumnKind]) -> Result<Self, BatchFault> {
        if bytes.len() < HEADER_BYTES || bytes[..4] != MAGIC {
            return Err(BatchFault::NoBatch);
        }
        let said = word(bytes, 4);
        if said != bytes.len() {
            let is = bytes.len();
            return Err(BatchFault::Length { said, is });
        }
        let is = word(bytes, 8);
        if is != rows {
            return Err(BatchFault::Rows { is, wanted: rows });
        }
        let is = word(bytes, 12);
        if is != kinds.len() || is > COLUMNS_MAX {
            let wanted = kinds.len();
            return Err(BatchFault::Columns { is, wanted });
        }
        let columns = kinds.iter().enumerate();
        let columns = columns.map(|(number, kind)| column(bytes, rows, number, *kind));
        Ok(Self {
            rows,
            columns: columns.collect::<Result<_, _>>()?,
        })
    }

    /// How many rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The columns, in order.
    pub fn columns(&self) -> &[ColumnView<'b>] {
        &self.columns
    }
}

impl<'b> ColumnView<'b> {
    /// What a row holds; nothing when it has no value.
    pub fn cell(&self, row: usize) -> Result<Option<Cell<'b>>, BatchFault> {
        let is_absent = |bits: &[u8]| bits[row / 8] & (1 << (row % 8)) == 0;
        if self.present.is_some_and(is_absent) {
            return Ok(None);
        }
        let number = |at: usize| -> [u8; 8] {
            let mut bytes = [0; 8];
            bytes.copy_from_slice(&self.data[at * 8..at * 8 + 8]);
            bytes
        };
        let beyond = BatchFault::Cell {
            column: self.number,
            row,
        };
        let cell = match self.kind {
            ColumnKind::Bool => Cell::Bool(self.data[row] != 0),
            ColumnKind::Int => Cell::Int(i64::from_le_bytes(number(row))),
            ColumnKind::Float => {
                let value = f64::from_le_bytes(number(row));
                if !value.is_finite() {
                    let column = self.number;
                    return Err(BatchFault::NotFinite { column, row });
                }
                Cell::Float(value)
            }
            ColumnKind::Text => Cell::Text(self.text(self.data, row).ok_or(beyond)?),
            ColumnKind::Json => Cell::Json(self.text(self.data, row).ok_or(beyond)?),
            ColumnKind::Symbol => {
                let symbol = word(self.data, row * 4);
                if symbol >= self.dictionary.len() / 8 {
                    return Err(beyond);
                }
                Cell::Text(self.text(self.dictionary, symbol).ok_or(beyond)?)
            }
        };
        Ok(Some(cell))
    }

    fn text(&self, places: &[u8], at: usize) -> Option<&'b str> {
        let (offset, length) = (word(places, at * 8), word(places, at * 8 + 4));
        self.arena.get(offset..offset.checked_add(length)?)
    }
}

/// The `u32` at an offset that is known to be within.
fn word(bytes: &[u8], at: usize) -> usize {
    let mut word = [0; 4];
    word.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(word) as usize
}

fn column(
    bytes: &[u8],
    rows: usize,
    number: usize,
    kind: ColumnKind,
) -> Result<ColumnView<'_>, BatchFault> {
    let at = HEADER_BYTES + number * COLUMN_BYTES;
    let head = bytes
        .get(at..at + COLUMN_BYTES)
        .ok_or(BatchFault::Reach { column: number })?;
    let field = |place: usize| word(head, place * 4);
    let is = field(0) as u32;
    if ColumnKind::of_number(is) != Some(kind) {
        return Err(BatchFault::Kind {
            column: number,
            is,
            wanted: kind.as_str(),
        });
    }
    let part = |offset: usize, length: usize| {
        let end = offset.checked_add(length);
        let part = end.and_then(|end| bytes.get(offset..end));
        part.ok_or(BatchFault::Reach { column: number })
    };
    let present = match field(1) {
        0 => None,
        offset => Some(part(offset, rows.div_ceil(8))?),
    };
    let data = part(field(2), rows * kind.width())?;
    let arena = part(field(3), if kind.is_text() { field(4) } else { 0 })?;
    let dictionary = match kind {
        ColumnKind::Symbol => {
            let length = field(6).checked_mul(8);
            let length = length.ok_or(BatchFault::Reach { column: number })?;
            part(field(5), length)?
        }
        _ => &[],
    };
    let arena = std::str::from_utf8(arena).map_err(|_| BatchFault::NotText { column: number })?;
    Ok(ColumnView {
        number,
        kind,
        present,
        data,
        arena,
        dictionary,
    })
}
