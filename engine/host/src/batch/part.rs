//! Taking batches apart by rows, and putting them together again: for finding the rows that a plugin fails on.

use super::{BatchFault, BatchView, BatchWriter, Cell, ColumnKind, ColumnWriter};
use std::ops::Range;

/// Copies rows of batches into one of their own.
pub(crate) struct Rows {
    columns: Vec<ColumnWriter>,
    rows: usize,
}

impl Rows {
    /// None yet.
    pub(crate) fn new(kinds: &[ColumnKind]) -> Self {
        Self {
            columns: kinds.iter().map(|kind| ColumnWriter::new(*kind)).collect(),
            rows: 0,
        }
    }

    /// Appends rows of a batch that has columns of the same kinds and at least so many rows.
    pub(crate) fn push(
        &mut self,
        view: &BatchView<'_>,
        rows: Range<usize>,
    ) -> Result<(), BatchFault> {
        self.rows += rows.len();
        for (from, to) in view.columns().iter().zip(&mut self.columns) {
            for row in rows.clone() {
                match from.cell(row)? {
                    None => to.push_absent(),
                    Some(Cell::Bool(value)) => to.push_bool(value),
                    Some(Cell::Int(value)) => to.push_int(value),
                    Some(Cell::Float(value)) => to.push_float(value),
                    Some(Cell::Text(text) | Cell::Json(text)) => to.push_text(text),
                }
            }
        }
        Ok(())
    }

    /// Appends rows without values.
    pub(crate) fn push_absent(&mut self, rows: usize) {
        self.rows += rows;
        for column in &mut self.columns {
            (0..rows).for_each(|_| column.push_absent());
        }
    }

    /// The batch.
    pub(crate) fn pack(&self) -> Vec<u8> {
        BatchWriter::default()
            .pack(self.rows, self.columns.iter())
            .to_vec()
    }
}
