//! Writing packed batches: what enrichers give back, and what tests are made of.
//!
//! A column has all its rows from the start, without values, and rows are set in any order: a row that nobody set is
//! one without a value, which is what enrichers mean by it. Columns to which rows are only pushed were rejected: one
//! forgotten push moves every fact after it to another event.

use crate::{Fault, Kind};

const HEADER_BYTES: usize = 16;
const COLUMN_BYTES: usize = 32;

/// Columns of the same number of rows.
///
/// ```
/// use tripline_plugin::{Column, Columns, Kind};
///
/// let mut country = Column::new(Kind::Symbol, 2);
/// country.set_text(1, "DE");
/// let columns = Columns::new(2).with(country);
/// assert!(columns.pack().starts_with(b"TPB1"));
/// ```
#[derive(Clone, Debug)]
pub struct Columns {
    rows: usize,
    columns: Vec<Column>,
}

impl Columns {
    /// No columns of so many rows.
    pub fn new(rows: usize) -> Self {
        let columns = Vec::new();
        Self { rows, columns }
    }

    /// How many rows each has.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// One column more.
    pub fn push(&mut self, column: Column) {
        debug_assert_eq!(
            column.rows, self.rows,
            "columns of one batch are equally long"
        );
        self.columns.push(column);
    }

    /// One column more.
    #[must_use]
    pub fn with(mut self, column: Column) -> Self {
        self.push(column);
        self
    }

    /// One column of `bool` more.
    #[must_use]
    pub fn with_bool(self, values: impl IntoIterator<Item = Option<bool>>) -> Self {
        self.with_each(Kind::Bool, values, Column::set_bool)
    }

    /// One column of `int` more.
    #[must_use]
    pub fn with_int(self, values: impl IntoIterator<Item = Option<i64>>) -> Self {
        self.with_each(Kind::Int, values, Column::set_int)
    }

    /// One column of `float` more.
    #[must_use]
    pub fn with_float(self, values: impl IntoIterator<Item = Option<f64>>) -> Self {
        self.with_each(Kind::Float, values, Column::set_float)
    }

    /// One column of `text` more.
    #[must_use]
    pub fn with_text<'t>(self, values: impl IntoIterator<Item = Option<&'t str>>) -> Self {
        self.with_each(Kind::Text, values, Column::set_text)
    }

    /// One column of `symbol` more.
    #[must_use]
    pub fn with_symbol<'t>(self, values: impl IntoIterator<Item = Option<&'t str>>) -> Self {
        self.with_each(Kind::Symbol, values, Column::set_text)
    }

    /// One column of `json` more.
    #[must_use]
    pub fn with_json<'t>(self, values: impl IntoIterator<Item = Option<&'t str>>) -> Self {
        self.with_each(Kind::Json, values, Column::set_text)
    }

    fn with_each<T>(
        self,
        kind: Kind,
        values: impl IntoIterator<Item = Option<T>>,
        set: impl Fn(&mut Column, usize, T),
    ) -> Self {
        let mut column = Column::new(kind, self.rows);
        for (row, value) in values.into_iter().enumerate() {
            if let Some(value) = value {
                set(&mut column, row, value);
            }
        }
        self.with(column)
    }

    /// The batch.
    pub fn pack(&self) -> Vec<u8> {
        let heads = HEADER_BYTES + self.columns.len() * COLUMN_BYTES;
        let buffers = self.columns.iter().flat_map(Column::buffers);
        let body: usize = buffers.map(|buffer| padded(buffer.len())).sum();
        let mut bytes = Vec::with_capacity(heads + body);
        bytes.resize(heads, 0);
        for (number, column) in self.columns.iter().enumerate() {
            let [present, data, arena, dictionary] = column
                .buffers()
                .map(|buffer| (append(&mut bytes, buffer), buffer.len()));
            let fields = [
                column.kind as u32,
                present.0,
                data.0,
                arena.0,
                arena.1 as u32,
                dictionary.0,
                (dictionary.1 / 8) as u32,
            ];
            let at = HEADER_BYTES + number * COLUMN_BYTES;
            for (field, place) in fields.iter().zip(bytes[at..].chunks_exact_mut(4)) {
                place.copy_from_slice(&field.to_le_bytes());
            }
        }
        let length = bytes.len() as u32;
        bytes[..4].copy_from_slice(b"TPB1");
        bytes[4..8].copy_from_slice(&length.to_le_bytes());
        bytes[8..12].copy_from_slice(&(self.rows as u32).to_le_bytes());
        bytes[12..16].copy_from_slice(&(self.columns.len() as u32).to_le_bytes());
        bytes
    }
}

/// One column, being written.
#[derive(Clone, Debug)]
pub struct Column {
    kind: Kind,
    rows: usize,
    values: usize,
    present: Vec<u8>,
    data: Vec<u8>,
    arena: Vec<u8>,
    dictionary: Vec<u8>,
    symbols: Symbols,
}

impl Column {
    /// A column of so many rows, all without a value.
    pub fn new(kind: Kind, rows: usize) -> Self {
        Self {
            kind,
            rows,
            values: 0,
            present: vec![0; rows.div_ceil(8)],
            data: vec![0; rows * kind.width()],
            arena: Vec::new(),
            dictionary: Vec::new(),
            symbols: Symbols::default(),
        }
    }

    /// What it holds.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// How many rows it has.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// How many rows have a value.
    pub fn values(&self) -> usize {
        self.values
    }

    /// Sets a row of a column of `bool`.
    ///
    /// # Panics
    ///
    /// When there is no such row, or the column is of another kind; the same for the functions below.
    pub fn set_bool(&mut self, row: usize, value: bool) {
        self.set(row, Kind::Bool, &[u8::from(value)]);
    }

    /// Sets a row of a column of `int`.
    pub fn set_int(&mut self, row: usize, value: i64) {
        self.set(row, Kind::Int, &value.to_le_bytes());
    }

    /// Sets a row of a column of `float`. A number that is not finite leaves the row without a value: rules could not
    /// compare it.
    pub fn set_float(&mut self, row: usize, value: f64) {
        if value.is_finite() {
            self.set(row, Kind::Float, &value.to_le_bytes());
        }
    }

    /// Sets a row of a column of `text`, `symbol` or `json`.
    pub fn set_text(&mut self, row: usize, value: &str) {
        if self.kind == Kind::Symbol {
            let symbol = self.symbol(value);
            self.set(row, Kind::Symbol, &symbol.to_le_bytes());
            return;
        }
        let kind = match self.kind {
            Kind::Json => Kind::Json,
            _ => Kind::Text,
        };
        let place = self.store(value);
        self.set(row, kind, &place);
    }

    fn set(&mut self, row: usize, kind: Kind, value: &[u8]) {
        assert_eq!(self.kind, kind, "a value of another kind than its column");
        assert!(row < self.rows, "row {row} of {}", self.rows);
        let bit = 1 << (row % 8);
        if self.present[row / 8] & bit == 0 {
            self.present[row / 8] |= bit;
            self.values += 1;
        }
        let at = row * value.len();
        self.data[at..at + value.len()].copy_from_slice(value);
    }

    fn store(&mut self, value: &str) -> [u8; 8] {
        let (offset, length) = (self.arena.len() as u64, value.len() as u64);
        self.arena.extend_from_slice(value.as_bytes());
        (offset | length << 32).to_le_bytes()
    }

    fn symbol(&mut self, value: &str) -> u32 {
        let known = self.symbols.find(value, |symbol| {
            let places = self.dictionary.as_chunks::<8>().0;
            let place = u64::from_le_bytes(places[symbol as usize]);
            let start = (place & 0xffff_ffff) as usize;
            &self.arena[start..start + (place >> 32) as usize]
        });
        known.unwrap_or_else(|slot| {
            let symbol = (self.dictionary.len() / 8) as u32;
            let place = self.store(value);
            self.dictionary.extend_from_slice(&place);
            self.symbols.insert(slot, symbol);
            symbol
        })
    }

    fn buffers(&self) -> [&[u8]; 4] {
        let present: &[u8] = match self.values == self.rows {
            true => &[],
            false => &self.present,
        };
        [present, &self.data, &self.arena, &self.dictionary]
    }
}

/// Which texts a column of symbols has: an open table of hashes and numbers. It is bounded by the rows of a batch, so
/// that texts chosen to collide cost at most a compare for each pair of rows; the standard table with its keyed hash
/// would add 20 KB to every plugin.
#[derive(Clone, Debug, Default)]
struct Symbols {
    slots: Vec<(u32, u32)>,
    count: usize,
}

/// No symbol: no batch has so many rows.
const FREE: u32 = u32::MAX;

/// Where a new text goes.
struct Slot {
    at: usize,
    hash: u32,
}

impl Symbols {
    fn find<'t>(&mut self, text: &str, of: impl Fn(u32) -> &'t [u8]) -> Result<u32, Slot> {
        if self.count * 2 >= self.slots.len() {
            self.grow();
        }
        let hash = hash(text.as_bytes());
        let mask = self.slots.len() - 1;
        let mut at = hash as usize & mask;
        loop {
            let (held, symbol) = self.slots[at];
            if symbol == FREE {
                return Err(Slot { at, hash });
            }
            if held == hash && of(symbol) == text.as_bytes() {
                return Ok(symbol);
            }
            at = (at + 1) & mask;
        }
    }

    fn insert(&mut self, slot: Slot, symbol: u32) {
        self.slots[slot.at] = (slot.hash, symbol);
        self.count += 1;
    }

    fn grow(&mut self) {
        let length = (self.slots.len() * 2).max(16);
        let old = std::mem::replace(&mut self.slots, vec![(0, FREE); length]);
        for (hash, symbol) in old {
            if symbol == FREE {
                continue;
            }
            let mut at = hash as usize & (length - 1);
            while self.slots[at].1 != FREE {
                at = (at + 1) & (length - 1);
            }
            self.slots[at] = (hash, symbol);
        }
    }
}

/// FNV-1a, its upper half folded in.
fn hash(bytes: &[u8]) -> u32 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in bytes {
        hash = (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
    }
    (hash ^ hash >> 32) as u32
}

impl TryFrom<Columns> for Vec<u8> {
    type Error = Fault;

    fn try_from(columns: Columns) -> Result<Self, Fault> {
        let odd = columns
            .columns
            .iter()
            .find(|column| column.rows != columns.rows);
        if let Some(column) = odd {
            let message = format!(
                "a column of {} rows among columns of {} rows",
                column.rows, columns.rows
            );
            return Err(Fault::internal(message));
        }
        Ok(columns.pack())
    }
}

fn padded(bytes: usize) -> usize {
    bytes.next_multiple_of(8)
}

/// Where the buffer begins; 0 for one that is empty.
fn append(bytes: &mut Vec<u8>, buffer: &[u8]) -> u32 {
    if buffer.is_empty() {
        return 0;
    }
    let at = bytes.len();
    bytes.extend_from_slice(buffer);
    bytes.resize(padded(bytes.len()), 0);
    at as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Batch;

    #[test]
    fn symbols_are_stored_once() {
        let texts: Vec<String> = (0..300)
            .map(|row| format!("symbol-{}", row % 100))
            .collect();
        let bytes = Columns::new(300)
            .with_symbol(texts.iter().map(|text| Some(text.as_str())))
            .pack();
        let symbols = Batch::read(&bytes).and_then(|batch| batch.symbol(0));
        let symbols = symbols.expect("the batch is sound");
        assert_eq!(symbols.texts().len(), 100);
        for (row, text) in texts.iter().enumerate() {
            assert_eq!(symbols.get(row), Some(text.as_str()));
        }
    }

    #[test]
    fn a_row_may_be_set_again() {
        let mut column = Column::new(Kind::Text, 2);
        column.set_text(1, "first");
        column.set_text(1, "second");
        assert_eq!(column.values(), 1);
        let bytes = Columns::new(2).with(column).pack();
        let text = Batch::read(&bytes).and_then(|batch| batch.text(0));
        let text = text.expect("the batch is sound");
        assert_eq!((text.get(0), text.get(1)), (None, Some("second")));
    }

    #[test]
    fn numbers_that_are_not_finite_are_left_out() {
        let bytes = Columns::new(2)
            .with_float([Some(f64::NAN), Some(f64::INFINITY)])
            .pack();
        let float = Batch::read(&bytes).and_then(|batch| batch.float(0));
        let float = float.expect("the batch is sound");
        assert_eq!((float.get(0), float.get(1)), (None, None));
    }

    #[test]
    fn columns_of_other_lengths_are_a_fault() {
        let mut columns = Columns::new(2);
        columns.columns.push(Column::new(Kind::Int, 3));
        let fault = Vec::<u8>::try_from(columns).expect_err("three rows");
        assert_eq!(fault.message, "a column of 3 rows among columns of 2 rows");
    }

    #[test]
    fn no_rows() {
        let bytes = Columns::new(0).with_symbol([]).with_bool([]).pack();
        let batch = Batch::read(&bytes).expect("the batch is sound");
        assert!(batch.is_empty() && batch.symbol(0).is_ok() && batch.bool(1).is_ok());
    }
}
