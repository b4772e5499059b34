//! Rows as batches.

use crate::rule::Row;
use tripline_host::batch::{BatchWriter, ColumnKind, ColumnWriter};

/// Packs rows as the server does: column writers that are kept.
pub(crate) struct Packer {
    columns: [ColumnWriter; 5],
    writer: BatchWriter,
}

impl Packer {
    pub(crate) fn new() -> Self {
        let kinds = [
            ColumnKind::Symbol,
            ColumnKind::Symbol,
            ColumnKind::Bool,
            ColumnKind::Text,
            ColumnKind::Text,
        ];
        Self {
            columns: kinds.map(ColumnWriter::new),
            writer: BatchWriter::default(),
        }
    }

    pub(crate) fn pack(&mut self, rows: &[Row]) -> &[u8] {
        let [name, error, mfa, address, policy] = &mut self.columns;
        for column in [
            &mut *name,
            &mut *error,
            &mut *mfa,
            &mut *address,
            &mut *policy,
        ] {
            column.clear();
        }
        let text = |column: &mut ColumnWriter, value: Option<&str>| match value {
            Some(value) => column.push_text(value),
            None => column.push_absent(),
        };
        for row in rows {
            text(name, Some(&row.event_name));
            text(error, row.error_code.as_deref());
            match row.mfa {
                Some(value) => mfa.push_bool(value),
                None => mfa.push_absent(),
            }
            text(address, Some(&row.address));
            text(policy, row.policy.as_deref());
        }
        self.writer.pack(rows.len(), self.columns.iter())
    }
}
