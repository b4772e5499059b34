//! Writing batches. Buffers are kept between batches, so that packing allocates nothing once it has begun.
//!
//! A column is written row by row; the batch puts columns behind each other. The same column may go into batches of
//! several plugins without being packed again.

use super::{COLUMN_BYTES, ColumnKind, HEADER_BYTES, MAGIC, padded};
use std::hash::{BuildHasher, RandomState};

/// One column, being written.
#[derive(Debug)]
pub struct ColumnWriter {
    kind: ColumnKind,
    rows: usize,
    values: usize,
    present: Vec<u8>,
    data: Vec<u8>,
    arena: Vec<u8>,
    dictionary: Vec<u8>,
    symbols: Symbols,
}

/// Numbers of texts that repeat, in a table of which never more than half is used. The hash is quick and keyed by chance; texts
/// that collide all the same cost a comparison, and a batch has at most 1,024 of them.
#[derive(Debug)]
struct Symbols {
    key: u64,
    /// Hash and number, or nothing.
    table: Vec<Option<(u32, u32)>>,
    count: usize,
}

/// Places of a table at first.
const TABLE_MIN: usize = 64;

impl Default for Symbols {
    fn default() -> Self {
        Self {
            key: RandomState::new().hash_one(0),
            table: vec![None; TABLE_MIN],
            count: 0,
        }
    }
}

impl Symbols {
    fn hash(&self, text: &str) -> u32 {
        const MIX: u64 = 0x9e37_79b9_7f4a_7c15;
        let mut hash = self.key ^ (text.len() as u64).wrapping_mul(MIX);
        let mut words = text.as_bytes().chunks_exact(8);
        for word in &mut words {
            let mut bytes = [0; 8];
            bytes.copy_from_slice(word);
            hash = (hash ^ u64::from_le_bytes(bytes))
                .wrapping_mul(MIX)
                .rotate_left(29);
        }
        let mut bytes = [0; 8];
        let rest = words.remainder();
        bytes[..rest.len()].copy_from_slice(rest);
        hash = (hash ^ u64::from_le_bytes(bytes)).wrapping_mul(MIX);
        (hash >> 32) as u32
    }

    /// The place of a text: where it is, or where it is to be. `is` tells whether a number stands for it.
    fn place(&self, hash: u32, is: impl Fn(u32) -> bool) -> usize {
        let mask = self.table.len() - 1;
        let mut at = hash as usize & mask;
        while let Some((other, symbol)) = self.table[at] {
            if other == hash && is(symbol) {
                break;
            }
            at = (at + 1) & mask;
        }
        at
    }

    fn clear(&mut self) {
        self.table.fill(None);
        self.count = 0;
    }

    fn grow(&mut self) {
        let double = self.table.len() * 2;
        let before = std::mem::replace(&mut self.table, vec![None; double]);
        for (hash, symbol) in before.into_iter().flatten() {
            let at = self.place(hash, |_| false);
            self.table[at] = Some((hash, symbol));
        }
    }
}

impl ColumnWriter {
    /// No rows.
    pub fn new(kind: ColumnKind) -> Self {
        Self {
            kind,
            rows: 0,
            values: 0,
            present: Vec::new(),
            data: Vec::new(),
            arena: Vec::new(),
            dictionary: Vec::new(),
            symbols: Symbols::default(),
        }
    }

    /// What it holds.
    pub fn kind(&self) -> ColumnKind {
        self.kind
    }

    /// How many rows were written.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Bytes of the texts so far.
    pub fn arena_bytes(&self) -> usize {
        self.arena.len()
    }

    /// No rows again.
    pub fn clear(&mut self) {
        self.rows = 0;
        self.values = 0;
        self.present.clear();
        self.data.clear();
        self.arena.clear();
        self.dictionary.clear();
        self.symbols.clear();
    }

    fn mark(&mut self, has_value: bool) {
        let bit = self.rows % 8;
        if bit == 0 {
            self.present.push(0);
        }
        if has_value {
            let last = self.present.len() - 1;
            self.present[last] |= 1 << bit;
            self.values += 1;
        }
        self.rows += 1;
    }

    /// A row without a value.
    pub fn push_absent(&mut self) {
        self.mark(false);
        let length = self.data.len() + self.kind.width();
        self.data.resize(length, 0);
    }

    /// A row of a `bool` column.
    pub fn push_bool(&mut self, value: bool) {
        debug_assert_eq!(self.kind, ColumnKind::Bool);
        self.mark(true);
        self.data.push(u8::from(value));
    }

    /// A row of an `int` column.
    pub fn push_int(&mut self, value: i64) {
        debug_assert_eq!(self.kind, ColumnKind::Int);
        self.mark(true);
        self.data.extend(value.to_le_bytes());
    }

    /// A row of a `float` column.
    pub fn push_float(&mut self, value: f64) {
        debug_assert_eq!(self.kind, ColumnKind::Float);
        self.mark(true);
        self.data.extend(value.to_le_bytes());
    }

    /// A row of a column of texts.
    pub fn push_text(&mut self, value: &str) {
        debug_assert!(self.kind.is_text());
        self.mark(true);
        if self.kind == ColumnKind::Symbol {
            let symbol = self.symbol(value);
            self.data.extend(symbol.to_le_bytes());
            return;
        }
        let place = self.store(value);
        self.data.extend(place);
    }

    fn store(&mut self, value: &str) -> [u8; 8] {
        let mut place = [0; 8];
        place[..4].copy_from_slice(&(self.arena.len() as u32).to_le_bytes());
        place[4..].copy_from_slice(&(value.len() as u32).to_le_bytes());
        self.arena.extend(value.as_bytes());
        place
    }

    fn symbol(&mut self, value: &str) -> u32 {
        let hash = self.symbols.hash(value);
        let is = |symbol: u32| self.entry(symbol) == value.as_bytes();
        let at = self.symbols.place(hash, is);
        if let Some((_, symbol)) = self.symbols.table[at] {
            return symbol;
        }
        let symbol = (self.dictionary.len() / 8) as u32;
        self.symbols.table[at] = Some((hash, symbol));
        self.symbols.count += 1;
        if self.symbols.count * 2 > self.symbols.table.len() {
            self.symbols.grow();
        }
        let place = self.store(value);
        self.dictionary.extend(place);
        symbol
    }

    /// The text of a symbol.
    fn entry(&self, symbol: u32) -> &[u8] {
        let at = symbol as usize * 8;
        let word = |at: usize| {
            let mut bytes = [0; 4];
            bytes.copy_from_slice(&self.dictionary[at..at + 4]);
            u32::from_le_bytes(bytes) as usize
        };
        let (offset, length) = (word(at), word(at + 4));
        &self.arena[offset..offset + length]
    }

    fn buffers(&self) -> [&[u8]; 4] {
        let present = match self.values == self.rows {
            true => &[],
            false => self.present.as_slice(),
        };
        [present, &self.data, &self.arena, &self.dictionary]
    }
}

/// Puts columns together.
#[derive(Debug, Default)]
pub struct BatchWriter {
    bytes: Vec<u8>,
}

impl BatchWriter {
    /// The batch of these columns, which all have `rows` rows.
    pub fn pack<'c>(
        &mut self,
        rows: usize,
        columns: impl ExactSizeIterator<Item = &'c ColumnWriter>,
    ) -> &[u8] {
        let bytes = &mut self.bytes;
        bytes.clear();
        let heads = HEADER_BYTES + columns.len() * COLUMN_BYTES;
        let count = columns.len() as u32;
        bytes.resize(heads, 0);
        for (number, column) in columns.enumerate() {
            debug_assert_eq!(column.rows, rows);
            let [present, data, arena, dictionary] = column
                .buffers()
                .map(|buffer| (append(bytes, buffer), buffer.len()));
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
        bytes[..4].copy_from_slice(&MAGIC);
        bytes[4..8].copy_from_slice(&length.to_le_bytes());
        bytes[8..12].copy_from_slice(&(rows as u32).to_le_bytes());
        bytes[12..16].copy_from_slice(&count.to_le_bytes());
        bytes
    }
}

/// Where the buffer begins; 0 for one that is empty.
fn append(bytes: &mut Vec<u8>, buffer: &[u8]) -> u32 {
    if buffer.is_empty() {
        return 0;
    }
    let at = bytes.len();
    bytes.extend(buffer);
    bytes.resize(padded(bytes.len()), 0);
    at as u32
}
