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
    /// A bit a row, and zeros behind them.
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
    /// Hash and number, counted from 1; 0 where nothing is.
    table: Vec<(u32, u32)>,
    count: usize,
}

/// Places of a table at first.
const TABLE_MIN: usize = 64;
/// Bytes of the bits of presence at first: those of the rows of a batch.
const PRESENT_MIN: usize = super::ROWS_MAX / 8;

impl Default for Symbols {
    fn default() -> Self {
        Self {
            key: RandomState::new().hash_one(0),
            table: vec![(0, 0); TABLE_MIN],
            count: 0,
        }
    }
}

impl Symbols {
    #[inline]
    fn hash(&self, text: &str) -> u32 {
        const MIX: u64 = 0x9e37_79b9_7f4a_7c15;
        let mut hash = self.key ^ (text.len() as u64).wrapping_mul(MIX);
        let (words, _) = text.as_bytes().as_chunks::<8>();
        for word in words {
            hash = (hash ^ u64::from_le_bytes(*word))
                .wrapping_mul(MIX)
                .rotate_left(29);
        }
        hash = (hash ^ last_word(text.as_bytes())).wrapping_mul(MIX);
        (hash >> 32) as u32
    }

    /// The place of a text: where it is, or where it is to be. `is` tells whether a number stands for it.
    #[inline]
    fn place(&self, hash: u32, is: impl Fn(u32) -> bool) -> usize {
        let mask = self.table.len() - 1;
        let mut at = hash as usize & mask;
        loop {
            let (other, symbol) = self.table[at];
            if symbol == 0 || (other == hash && is(symbol - 1)) {
                return at;
            }
            at = (at + 1) & mask;
        }
    }

    fn clear(&mut self) {
        if self.count > 0 {
            self.table.fill((0, 0));
            self.count = 0;
        }
    }

    #[cold]
    fn grow(&mut self) {
        let double = self.table.len() * 2;
        let before = std::mem::replace(&mut self.table, vec![(0, 0); double]);
        for (hash, symbol) in before.into_iter().filter(|(_, symbol)| *symbol > 0) {
            let at = self.place(hash, |_| false);
            self.table[at] = (hash, symbol);
        }
    }
}

/// The last eight bytes, or all of fewer: together with the length and the words before, every byte of the text.
/// Copying the rest of a text into a word would be a call each time.
#[inline]
fn last_word(bytes: &[u8]) -> u64 {
    if let Some(last) = bytes.last_chunk::<8>() {
        return u64::from_le_bytes(*last);
    }
    if let (Some(first), Some(last)) = (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
        let first = u64::from(u32::from_le_bytes(*first));
        return first | u64::from(u32::from_le_bytes(*last)) << 32;
    }
    match bytes {
        [] => 0,
        [first, .., last] => {
            let middle = u64::from(bytes[bytes.len() / 2]);
            u64::from(*first) | middle << 8 | u64::from(*last) << 16
        }
        [only] => u64::from(*only),
    }
}

impl ColumnWriter {
    /// No rows.
    pub fn new(kind: ColumnKind) -> Self {
        Self {
            kind,
            rows: 0,
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
        let used = self.rows.div_ceil(8);
        self.present[..used].fill(0);
        self.rows = 0;
        self.data.clear();
        self.arena.clear();
        self.dictionary.clear();
        self.symbols.clear();
    }

    #[inline]
    fn mark(&mut self, has_value: bool) {
        let (at, bit) = (self.rows / 8, self.rows % 8);
        if at >= self.present.len() {
            self.grow_present();
        }
        self.present[at] |= u8::from(has_value) << bit;
        self.rows += 1;
    }

    #[cold]
    fn grow_present(&mut self) {
        let longer = (self.present.len() * 2).max(PRESENT_MIN);
        self.present.resize(longer, 0);
    }

    /// A row without a value.
    #[inline]
    pub fn push_absent(&mut self) {
        self.mark(false);
        match self.kind {
            ColumnKind::Bool => self.data.push(0),
            ColumnKind::Symbol => self.data.extend_from_slice(&[0; 4]),
            _ => self.data.extend_from_slice(&[0; 8]),
        }
    }

    /// A row of a `bool` column.
    #[inline]
    pub fn push_bool(&mut self, value: bool) {
        debug_assert_eq!(self.kind, ColumnKind::Bool);
        self.mark(true);
        self.data.push(u8::from(value));
    }

    /// A row of an `int` column.
    #[inline]
    pub fn push_int(&mut self, value: i64) {
        debug_assert_eq!(self.kind, ColumnKind::Int);
        self.mark(true);
        self.data.extend_from_slice(&value.to_le_bytes());
    }

    /// A row of a `float` column.
    #[inline]
    pub fn push_float(&mut self, value: f64) {
        debug_assert_eq!(self.kind, ColumnKind::Float);
        self.mark(true);
        self.data.extend_from_slice(&value.to_le_bytes());
    }

    /// A row of a column of texts.
    #[inline]
    pub fn push_text(&mut self, value: &str) {
        debug_assert!(self.kind.is_text());
        self.mark(true);
        if self.kind == ColumnKind::Symbol {
            let symbol = self.symbol(value);
            self.data.extend_from_slice(&symbol.to_le_bytes());
            return;
        }
        let place = self.store(value);
        self.data.extend_from_slice(&place);
    }

    /// Offset and length of the text.
    #[inline]
    fn store(&mut self, value: &str) -> [u8; 8] {
        let (offset, length) = (self.arena.len() as u32, value.len() as u32);
        self.arena.extend_from_slice(value.as_bytes());
        (u64::from(length) << 32 | u64::from(offset)).to_le_bytes()
    }

    #[inline]
    fn symbol(&mut self, value: &str) -> u32 {
        let hash = self.symbols.hash(value);
        let is = |symbol: u32| self.entry(symbol) == value.as_bytes();
        let at = self.symbols.place(hash, is);
        match self.symbols.table[at] {
            (_, 0) => self.new_symbol(value, hash, at),
            (_, symbol) => symbol - 1,
        }
    }

    #[cold]
    fn new_symbol(&mut self, value: &str, hash: u32, at: usize) -> u32 {
        let symbol = (self.dictionary.len() / 8) as u32;
        self.symbols.table[at] = (hash, symbol + 1);
        self.symbols.count += 1;
        if self.symbols.count * 2 > self.symbols.table.len() {
            self.symbols.grow();
        }
        let place = self.store(value);
        self.dictionary.extend_from_slice(&place);
        symbol
    }

    /// The text of a symbol.
    #[inline]
    fn entry(&self, symbol: u32) -> &[u8] {
        let (places, _) = self.dictionary.as_chunks::<8>();
        let place = u64::from_le_bytes(places[symbol as usize]);
        let (offset, length) = (place as u32 as usize, (place >> 32) as usize);
        &self.arena[offset..offset + length]
    }

    fn buffers(&self) -> [&[u8]; 4] {
        let present = &self.present[..self.rows.div_ceil(8)];
        let values: u32 = present.iter().map(|bits| bits.count_ones()).sum();
        let present = match values as usize == self.rows {
            true => &[],
            false => present,
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
    bytes.extend_from_slice(buffer);
    bytes.resize(padded(bytes.len()), 0);
    at as u32
}
