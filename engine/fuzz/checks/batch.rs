//! Any bytes as the batch that a guest answers with: reading never panics and reads nothing beyond them, and what was
//! read is the same after it was packed again.
//!
//! The first byte is the number of rows, the second that of columns; then a byte for the kind of each column, and the
//! batch. Its length is put right, so that few inputs fall at the first fence.

use tripline_host::batch::{BatchView, BatchWriter, Cell, ColumnKind, ColumnWriter};

/// Holds the input to the claims above.
pub(crate) fn run(bytes: &[u8]) {
    let [rows, columns, rest @ ..] = bytes else {
        return;
    };
    let (rows, columns) = (usize::from(*rows), usize::from(*columns) % 8);
    let Some((kinds, batch)) = rest.split_at_checked(columns) else {
        return;
    };
    let kind = |number: &u8| ColumnKind::ALL[usize::from(*number) % ColumnKind::ALL.len()];
    let kinds: Vec<ColumnKind> = kinds.iter().map(kind).collect();
    let _ = BatchView::read(batch, rows, &kinds);
    let mut batch = batch.to_vec();
    let length = (batch.len() as u32).to_le_bytes();
    if let Some(said) = batch.get_mut(4..8) {
        said.copy_from_slice(&length);
    }
    let Ok(view) = BatchView::read(&batch, rows, &kinds) else {
        return;
    };
    assert_eq!((view.rows(), view.columns().len()), (rows, columns));
    let mut writers: Vec<_> = kinds.iter().map(|kind| ColumnWriter::new(*kind)).collect();
    let mut cells = Vec::new();
    for (column, writer) in view.columns().iter().zip(&mut writers) {
        for row in 0..rows {
            let cell = column.cell(row).unwrap_or(None);
            match cell {
                None => writer.push_absent(),
                Some(Cell::Bool(value)) => writer.push_bool(value),
                Some(Cell::Int(value)) => writer.push_int(value),
                Some(Cell::Float(value)) => {
                    assert!(value.is_finite());
                    writer.push_float(value);
                }
                Some(Cell::Text(text) | Cell::Json(text)) => writer.push_text(text),
            }
            cells.push(cell);
        }
    }
    let mut packed = BatchWriter::default();
    let packed = packed.pack(rows, writers.iter());
    let again = BatchView::read(packed, rows, &kinds).expect("the writer's are sound");
    let mut before = cells.iter();
    for column in again.columns() {
        for row in 0..rows {
            let cell = column.cell(row).expect("the writer's are sound");
            assert_eq!(Some(&cell), before.next());
        }
    }
}
