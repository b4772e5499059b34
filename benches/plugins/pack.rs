//! Rows, and parsed events, as batches.

use crate::read::Reader;
use crate::rule::Row;
use tripline_core::event::Document;
use tripline_host::batch::{BatchWriter, ColumnKind, ColumnWriter};

/// Packs as the server does: column writers that are kept.
pub(crate) struct Packer {
    reader: Reader,
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
            reader: Reader::new(),
            columns: kinds.map(ColumnWriter::new),
            writer: BatchWriter::default(),
        }
    }

    /// The batch of rows whose fields were read before.
    pub(crate) fn pack_rows(&mut self, rows: &[Row]) -> &[u8] {
        self.columns.iter_mut().for_each(ColumnWriter::clear);
        let [name, error, mfa, address, policy] = &mut self.columns;
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

    /// The batch of events that were parsed before, as the server makes it.
    pub(crate) fn pack_events(&mut self, events: &[Document<'_>]) -> &[u8] {
        self.columns.iter_mut().for_each(ColumnWriter::clear);
        for event in events {
            self.reader.find(event);
            for (number, column) in self.columns.iter_mut().enumerate() {
                column.push_field(self.reader.field(event, number));
            }
        }
        self.writer.pack(events.len(), self.columns.iter())
    }
}
