//! Writing batches. Buffers are kept between batches, so that packing allocates nothing once it has begun.
//!
//! A column is written row by row; the batch puts columns behind each other. The same column may go into batches of
//! several plugins without being packed again.

use super::short::{SHORT, Words, words_in, words_of};
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
    keys: Words,
    /// Hash and number, counted from 1; 0 where nothing is.
    table: Vec<(u32, u32)>,
    /// The texts by number, as far as they are short.
    short: Vec<Words>,
}

/// Places of a table at first.
const TABLE_MIN: usize = 64;
/// Bytes of the bits of presence at first: those of the rows of a batch.
const PRESENT_MIN: usize = super::ROWS_MAX / 8;

impl Default for Symbols {
    fn default() -> Self {
        let chance = RandomState::new();
        Self {
            keys: std::array::from_fn(|number| chance.hash_one(number)),
            table: vec![(0, 0); TABLE_MIN],
            short: Vec::new(),
        }
    }
}

impl Symbols {
    /// Every bit of a word reaches the hash by way of a product with a word that nobody knows.
    #[inline(always)]
    fn hash_short(&self, words: Words, length: usize) -> u32 {
        let [one, two, three, four] = self.keys;
        let hash = folded(words[0] ^ one, words[1] ^ two)
            ^ folded(words[2] ^ three, words[3] ^ four ^ length as u64);
        (hash >> 32) as u32
    }

    fn hash_long(&self, text: &[u8]) -> u32 {
        let [one, two, ..] = self.keys;
        let hash = |hash, word: [u8; 8]| folded(hash ^ u64::from_le_bytes(word), two);
        let (words, _) = text.as_chunks::<8>();
        let whole = words.iter().copied().fold(one ^ text.len() as u64, hash);
        // The last bytes, some of them for the second time: what is left of a text has no length of its own.
        let last = text.last_chunk::<8>().copied().unwrap_or_default();
        (hash(whole, last) >> 32) as u32
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
        if !self.short.is_empty() {
            self.table.fill((0, 0));
            self.short.clear();
        }
    }

    /// Adds a text at its place.
    fn add(&mut self, (hash, at): (u32, usize), words: Words) {
        self.short.push(words);
        self.table[at] = (hash, self.short.len() as u32);
        if self.short.len() * 2 > self.table.len() {
            self.grow();
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

/// The product of two words, both halves of it.
#[inline(always)]
fn folded(one: u64, other: u64) -> u64 {
    let product = u128::from(one) * u128::from(other);
    product as u64 ^ (product >> 64) as u64
}

/// Where a short text stands, with whatever is behind it.
type Room<'t> = Option<&'t [u8; SHORT]>;

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

    /// A row of a `bool` column, perhaps without a value. Most columns of that kind have either as it comes, which no processor
    /// guesses; so this asks nothing.
    #[inline]
    pub(super) fn push_bool_if(&mut self, value: Option<bool>) {
        debug_assert_eq!(self.kind, ColumnKind::Bool);
        self.mark(value.is_some());
        self.data.push(u8::from(value == Some(true)));
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
        let whole = value.as_bytes().first_chunk();
        self.push_text_in(value, whole.filter(|_| value.len() == SHORT));
    }

    /// The same for a text that begins at `start` of a longer one.
    #[inline(always)]
    pub(super) fn push_text_within(&mut self, whole: &[u8], start: usize, value: &str) {
        debug_assert_eq!(
            whole.get(start..start + value.len()),
            Some(value.as_bytes())
        );
        let behind = whole.get(start..).and_then(<[u8]>::first_chunk);
        self.push_text_in(value, behind.filter(|_| value.len() <= SHORT));
    }

    #[inline]
    fn push_text_in(&mut self, value: &str, room: Room<'_>) {
        debug_assert!(self.kind.is_text());
        self.mark(true);
        if self.kind == ColumnKind::Symbol {
            let symbol = self.symbol(value, room);
            self.data.extend_from_slice(&symbol.to_le_bytes());
            return;
        }
        let place = self.store(value, room);
        self.data.extend_from_slice(&place.to_le_bytes());
    }

    /// Offset and length of the text.
    #[inline]
    fn store(&mut self, value: &str, room: Room<'_>) -> u64 {
        let offset = self.arena.len();
        match room {
            // As many bytes each time are copied without a call.
            Some(room) => {
                self.arena.extend_from_slice(room);
                self.arena.truncate(offset + value.len());
            }
            None => self.arena.extend_from_slice(value.as_bytes()),
        }
        place_of(offset, value.len())
    }

    #[inline]
    fn symbol(&mut self, value: &str, room: Room<'_>) -> u32 {
        let words = match room {
            Some(room) => words_in(room, value.len()),
            None if value.len() <= SHORT => words_of(value.as_bytes()),
            None => return self.long_symbol(value),
        };
        let hash = self.symbols.hash_short(words, value.len());
        let (places, _) = self.dictionary.as_chunks::<8>();
        let is = |symbol: u32| {
            let place = u64::from_le_bytes(places[symbol as usize]);
            place >> 32 == value.len() as u64 && same(&self.symbols.short[symbol as usize], &words)
        };
        let at = self.symbols.place(hash, is);
        match self.symbols.table[at] {
            (_, 0) => self.new_symbol(value, (hash, at), words),
            (_, symbol) => symbol - 1,
        }
    }

    #[cold]
    fn long_symbol(&mut self, value: &str) -> u32 {
        let bytes = value.as_bytes();
        let hash = self.symbols.hash_long(bytes);
        let at = self
            .symbols
            .place(hash, |symbol| self.entry(symbol) == bytes);
        match self.symbols.table[at] {
            (_, 0) => self.new_symbol(value, (hash, at), Words::default()),
            (_, symbol) => symbol - 1,
        }
    }

    #[cold]
    fn new_symbol(&mut self, value: &str, at: (u32, usize), words: Words) -> u32 {
        let symbol = (self.dictionary.len() / 8) as u32;
        self.symbols.add(at, words);
        let place = self.store(value, None);
        self.dictionary.extend_from_slice(&place.to_le_bytes());
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

/// Whether two short texts have the same bytes.
#[inline(always)]
fn same(one: &Words, other: &Words) -> bool {
    let unlike = |(one, other): (&u64, &u64)| one ^ other;
    one.iter()
        .zip(other)
        .map(unlike)
        .fold(0, |all, word| all | word)
        == 0
}

/// As columns say where a text is.
#[inline(always)]
fn place_of(offset: usize, length: usize) -> u64 {
    u64::from(length as u32) << 32 | u64::from(offset as u32)
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
