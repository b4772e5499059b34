//! Fields of parsed events as cells. Here and not where batches are gathered, so that whatever packs events packs the same cells.

use super::{ColumnKind, ColumnWriter};
use tripline_core::event::{Json, Number};

impl ColumnWriter {
    /// A row with the value of a field, or without one where it is of another kind than the column's.
    ///
    /// A part of whoever calls it: a value is six words, and handing them over in memory, where they are read in other pieces than
    /// they were written in, took longer than all the rest of this.
    #[inline(always)]
    pub fn push_field(&mut self, value: Option<Json<'_>>) {
        let Some(value) = value else {
            return self.push_absent();
        };
        match self.kind() {
            ColumnKind::Bool => self.push_bool_if(value.as_bool()),
            ColumnKind::Int => match value.as_number() {
                Some(Number::Int(value)) => self.push_int(value),
                _ => self.push_absent(),
            },
            ColumnKind::Float => match value.as_number() {
                Some(Number::Int(value)) => self.push_float(value as f64),
                Some(Number::Uint(value)) => self.push_float(value as f64),
                Some(Number::Double(value)) => self.push_float(value),
                None => self.push_absent(),
            },
            ColumnKind::Text | ColumnKind::Symbol => match value.as_text() {
                Some(text) if text.is_escaped() => self.push_text(&text.decode()),
                Some(text) => {
                    let whole = value.document().bytes();
                    self.push_text_within(whole, value.offset() + 1, text.raw());
                }
                None => self.push_absent(),
            },
            ColumnKind::Json => match std::str::from_utf8(value.raw()) {
                Ok(text) => self.push_text(text),
                Err(_) => self.push_absent(),
            },
        }
    }
}
