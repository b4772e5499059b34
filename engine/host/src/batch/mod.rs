//! Packed batches: how events cross into a plugin, and how columns come back.
//!
//! The form is written down in `wit/README.md` and is part of the contract. The writer takes cells column by column;
//! the reader trusts nothing, since what it reads comes from a plugin. Records of WIT were rejected: the canonical ABI
//! calls the guest's allocator once for every string.

mod field;
pub(crate) mod part;
mod read;
mod short;
#[cfg(test)]
mod tests;
mod write;

pub use read::{BatchFault, BatchView, Cell, ColumnView};
pub use write::{BatchWriter, ColumnWriter};

/// The first bytes of every batch.
pub const MAGIC: [u8; 4] = *b"TPB1";
/// Rows of a batch.
pub const ROWS_MAX: usize = 1024;
/// Columns of a batch: as many fields as a manifest may declare.
pub const COLUMNS_MAX: usize = 64;

const HEADER_BYTES: usize = 16;
const COLUMN_BYTES: usize = 32;

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u32)]
pub enum ColumnKind {
    /// `true` or `false`.
    Bool = 1,
    /// Whole numbers.
    Int = 2,
    /// Numbers.
    Float = 3,
    /// Text.
    Text = 4,
    /// Text that repeats.
    Symbol = 5,
    /// Any value, as JSON text.
    Json = 6,
}

impl ColumnKind {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 6] = [
        Self::Bool,
        Self::Int,
        Self::Float,
        Self::Text,
        Self::Symbol,
        Self::Json,
    ];

    /// As manifests write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Bool => "bool",
            Self::Int => "int",
            Self::Float => "float",
            Self::Text => "text",
            Self::Symbol => "symbol",
            Self::Json => "json",
        }
    }

    /// The kind of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }

    fn of_number(number: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind as u32 == number)
    }

    fn is_text(self) -> bool {
        matches!(self, Self::Text | Self::Symbol | Self::Json)
    }

    /// Bytes of data per row.
    fn width(self) -> usize {
        match self {
            Self::Bool => 1,
            Self::Symbol => 4,
            Self::Int | Self::Float | Self::Text | Self::Json => 8,
        }
    }
}

fn padded(bytes: usize) -> usize {
    bytes.next_multiple_of(8)
}
