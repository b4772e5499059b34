//! Any bytes as an operator's table: reading never panics, and a table that is taken answers any keys with a sound batch.
//!
//! The first byte chooses the form; then a line with keys, separated by blanks; the rest is the file.

use tripline_host::batch::{BatchView, ColumnKind};
use tripline_host::grant::lookup::Table;

/// Holds the input to the claims above.
pub(crate) fn run(bytes: &[u8]) {
    let Some((form, rest)) = bytes.split_first() else {
        return;
    };
    let form = match form {
        b'j' => "json",
        b'm' => "mmdb",
        _ => "csv",
    };
    let end = rest.iter().position(|byte| *byte == b'\n');
    let Some((keys, file)) = end.map(|end| (&rest[..end], &rest[end + 1..])) else {
        return;
    };
    let Ok(table) = Table::read(form, file.to_vec()) else {
        return;
    };
    let keys = String::from_utf8_lossy(keys);
    let keys: Vec<String> = keys.split(' ').take(64).map(str::to_owned).collect();
    let columns = table.columns();
    let Ok(packed) = table.find(&keys) else {
        return;
    };
    // What it is made of is in its heads.
    let kind = |number: usize| {
        let at = 16 + 32 * number;
        let said = u32::from(packed[at]);
        let mut all = ColumnKind::ALL.into_iter();
        all.find(|kind| *kind as u32 == said).expect("a kind")
    };
    let kinds: Vec<ColumnKind> = (0..columns.len()).map(kind).collect();
    let view = BatchView::read(&packed, keys.len(), &kinds).expect("the batch is sound");
    for column in view.columns() {
        for (row, key) in keys.iter().enumerate() {
            let cell = column.cell(row).expect("the cell is sound");
            // The same key has the same answer wherever it stands.
            let first = keys.iter().position(|other| other == key).unwrap_or(row);
            assert_eq!(cell, column.cell(first).expect("the cell is sound"));
        }
    }
}
