//! Reading packed batches, in place.
//!
//! The form is written down in `wit/README.md`. A batch that the host hands in is sound by contract, so texts are not
//! checked for being UTF-8 again, which would cost more than most plugins do; every offset is still checked against the
//! buffer it points into, since a wrong manifest must end in a fault and not in wrong answers. A batch from anywhere
//! else goes through [`Batch::read`], which checks everything. Nothing here allocates for a row.

use crate::{Fault, Kind};
use std::ops::Range;

const HEADER_BYTES: usize = 16;
const COLUMN_BYTES: usize = 32;

/// Events, a row each, of which only the fields are there that `reads` in `plugin.toml` names, in that order.
///
/// ```
/// use tripline_plugin::{Batch, Columns};
///
/// let bytes = Columns::new(2)
///     .with_text([Some("198.51.100.7"), None])
///     .with_symbol([Some("GetObject"), Some("PutObject")])
///     .pack();
/// let batch = Batch::read(&bytes)?;
/// let (address, name) = (batch.text(0)?, batch.symbol(1)?);
/// assert_eq!(address.get(0), Some("198.51.100.7"));
/// assert_eq!(address.get(1), None);
/// assert_eq!(name.get(1), Some("PutObject"));
/// # Ok::<(), tripline_plugin::Fault>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Batch<'b> {
    bytes: &'b [u8],
    rows: usize,
    columns: usize,
}

impl<'b> Batch<'b> {
    /// Reads a batch from anywhere. Everything is checked: the reach of every buffer, and that texts are UTF-8.
    ///
    /// # Errors
    ///
    /// `invalid-input` when the bytes are no batch.
    pub fn read(bytes: &'b [u8]) -> Result<Self, Fault> {
        let batch = Self::head(bytes)?;
        for column in 0..batch.columns {
            batch.check(column)?;
        }
        Ok(batch)
    }

    /// Reads a batch that the host made.
    ///
    /// # Safety
    ///
    /// The texts of the batch are UTF-8, and its cells begin and end between characters. The host promises this in the
    /// contract.
    #[doc(hidden)]
    pub unsafe fn from_host(bytes: &'b [u8]) -> Result<Self, Fault> {
        Self::head(bytes)
    }

    fn head(bytes: &'b [u8]) -> Result<Self, Fault> {
        if bytes.len() < HEADER_BYTES || bytes[..4] != *b"TPB1" {
            return Err(Fault::invalid_input("the batch does not begin with `TPB1`"));
        }
        let (said, is) = (word(bytes, 4), bytes.len());
        if said != is {
            let message = format!("the batch says that it is {said} bytes long and is {is}");
            return Err(Fault::invalid_input(message));
        }
        let (rows, columns) = (word(bytes, 8), word(bytes, 12));
        let heads = columns.checked_mul(COLUMN_BYTES);
        if heads.is_none_or(|heads| heads > bytes.len() - HEADER_BYTES) {
            return Err(Fault::invalid_input("the columns reach beyond the batch"));
        }
        Ok(Self {
            bytes,
            rows,
            columns,
        })
    }

    /// How many rows.
    pub fn len(&self) -> usize {
        self.rows
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// The numbers of the rows.
    pub fn rows(&self) -> Range<usize> {
        0..self.rows
    }

    /// How many columns.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// What a column holds; nothing when there is no such column, or when it is of a kind that came later.
    pub fn kind(&self, column: usize) -> Option<Kind> {
        let head = self.column_head(column)?;
        Kind::of_number(word(head, 0))
    }

    /// A column of `bool`.
    ///
    /// # Errors
    ///
    /// `internal` when the column is of another kind: `reads` in the manifest says something else. The same for the
    /// functions below.
    pub fn bool(&self, column: usize) -> Result<BoolColumn<'b>, Fault> {
        let (present, head) = self.column(column, Kind::Bool)?;
        let data = self.part(column, word(head, 8), self.rows)?;
        Ok(BoolColumn { present, data })
    }

    /// A column of `int`.
    pub fn int(&self, column: usize) -> Result<IntColumn<'b>, Fault> {
        let (present, head) = self.column(column, Kind::Int)?;
        let data = self.eights(column, word(head, 8), self.rows)?;
        Ok(IntColumn { present, data })
    }

    /// A column of `float`.
    pub fn float(&self, column: usize) -> Result<FloatColumn<'b>, Fault> {
        let (present, head) = self.column(column, Kind::Float)?;
        let data = self.eights(column, word(head, 8), self.rows)?;
        Ok(FloatColumn { present, data })
    }

    /// A column of `text`.
    pub fn text(&self, column: usize) -> Result<TextColumn<'b>, Fault> {
        self.texts(column, Kind::Text)
    }

    /// A column of `json`: texts that are JSON.
    pub fn json(&self, column: usize) -> Result<TextColumn<'b>, Fault> {
        self.texts(column, Kind::Json)
    }

    fn texts(&self, column: usize, kind: Kind) -> Result<TextColumn<'b>, Fault> {
        let (present, head) = self.column(column, kind)?;
        let data = self.eights(column, word(head, 8), self.rows)?;
        let texts = Texts {
            places: data,
            arena: self.part(column, word(head, 12), word(head, 16))?,
        };
        Ok(TextColumn { present, texts })
    }

    /// A column of `symbol`: texts that repeat.
    pub fn symbol(&self, column: usize) -> Result<SymbolColumn<'b>, Fault> {
        let (present, head) = self.column(column, Kind::Symbol)?;
        let bytes = self.rows.checked_mul(4);
        let bytes = bytes.ok_or_else(|| Self::beyond(column))?;
        let (data, _) = self.part(column, word(head, 8), bytes)?.as_chunks();
        let dictionary = Texts {
            places: self.eights(column, word(head, 20), word(head, 24))?,
            arena: self.part(column, word(head, 12), word(head, 16))?,
        };
        Ok(SymbolColumn {
            present,
            data,
            dictionary,
        })
    }

    /// What a row of a column holds, whatever the kind; for columns whose kind the operator decides, such as those of
    /// lookup tables. The functions above are faster.
    pub fn cell(&self, column: usize, row: usize) -> Option<Cell<'b>> {
        match self.kind(column)? {
            Kind::Bool => self.bool(column).ok()?.get(row).map(Cell::Bool),
            Kind::Int => self.int(column).ok()?.get(row).map(Cell::Int),
            Kind::Float => self.float(column).ok()?.get(row).map(Cell::Float),
            Kind::Text => self.text(column).ok()?.get(row).map(Cell::Text),
            Kind::Symbol => self.symbol(column).ok()?.get(row).map(Cell::Text),
            Kind::Json => self.json(column).ok()?.get(row).map(Cell::Json),
        }
    }

    fn column_head(&self, column: usize) -> Option<&'b [u8]> {
        if column >= self.columns {
            return None;
        }
        let at = HEADER_BYTES + column * COLUMN_BYTES;
        self.bytes.get(at..at + COLUMN_BYTES)
    }

    fn column(&self, column: usize, wanted: Kind) -> Result<(Present<'b>, &'b [u8]), Fault> {
        let Some(head) = self.column_head(column) else {
            let message = format!(
                "the batch has {} columns and no column {column}: `reads` in plugin.toml names fewer fields",
                self.columns
            );
            return Err(Fault::internal(message));
        };
        let is = word(head, 0);
        if is != wanted as usize {
            let is = Kind::of_number(is).map_or("of an unknown kind", Kind::as_str);
            let wanted = wanted.as_str();
            let message = format!(
                "column {column} is {is} instead of {wanted}: `reads` in plugin.toml says so"
            );
            return Err(Fault::internal(message));
        }
        let bits = match word(head, 4) {
            0 => None,
            offset => Some(self.part(column, offset, self.rows.div_ceil(8))?),
        };
        Ok((Present { bits }, head))
    }

    fn part(&self, column: usize, offset: usize, length: usize) -> Result<&'b [u8], Fault> {
        let end = offset.checked_add(length);
        let part = end.and_then(|end| self.bytes.get(offset..end));
        part.ok_or_else(|| Self::beyond(column))
    }

    fn eights(&self, column: usize, offset: usize, count: usize) -> Result<&'b [[u8; 8]], Fault> {
        let bytes = count.checked_mul(8).ok_or_else(|| Self::beyond(column))?;
        let (eights, _) = self.part(column, offset, bytes)?.as_chunks();
        Ok(eights)
    }

    #[cold]
    fn beyond(column: usize) -> Fault {
        Fault::invalid_input(format!("column {column} reaches beyond the batch"))
    }

    /// Everything that the host would otherwise have to be trusted with.
    fn check(&self, column: usize) -> Result<(), Fault> {
        let Some(kind) = self.kind(column) else {
            return Ok(());
        };
        let (texts, rows) = match kind {
            Kind::Bool => return self.bool(column).map(drop),
            Kind::Int => return self.int(column).map(drop),
            Kind::Float => return self.float(column).map(drop),
            Kind::Text | Kind::Json => {
                let view = self.texts(column, kind)?;
                (view.texts, view.present)
            }
            Kind::Symbol => {
                let view = self.symbol(column)?;
                let all = Present { bits: None };
                (view.dictionary, all)
            }
        };
        let Ok(arena) = std::str::from_utf8(texts.arena) else {
            let message = format!("column {column} has texts that are not UTF-8");
            return Err(Fault::invalid_input(message));
        };
        for (row, place) in texts.places.iter().enumerate() {
            let (start, length) = place_of(place);
            let end = start.checked_add(length);
            let is_text = end.is_some_and(|end| arena.get(start..end).is_some());
            if !is_text && rows.has(row) {
                let message = format!("row {row} of column {column} is no text");
                return Err(Fault::invalid_input(message));
            }
        }
        Ok(())
    }
}

/// A value whose kind is known only when it is there.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Cell<'b> {
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Another number.
    Float(f64),
    /// Text.
    Text(&'b str),
    /// JSON text.
    Json(&'b str),
}

impl<'b> Cell<'b> {
    /// The text, if it is one.
    pub fn as_text(self) -> Option<&'b str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The whole number, also when it is written as text.
    pub fn as_int(self) -> Option<i64> {
        match self {
            Self::Int(number) => Some(number),
            Self::Text(text) => text.trim().parse().ok(),
            _ => None,
        }
    }

    /// Whether it is true, also when it is written as `true`, `yes` or `1`, or as `false`, `no` or `0`.
    pub fn as_bool(self) -> Option<bool> {
        match self {
            Self::Bool(value) => Some(value),
            Self::Int(0) => Some(false),
            Self::Int(1) => Some(true),
            Self::Text(text) => match text.trim().to_ascii_lowercase().as_str() {
                "true" | "yes" | "1" => Some(true),
                "false" | "no" | "0" => Some(false),
                _ => None,
            },
            _ => None,
        }
    }
}

/// Which rows have a value. An absent bit map stands for all of them.
#[derive(Clone, Copy, Debug)]
struct Present<'b> {
    bits: Option<&'b [u8]>,
}

impl Present<'_> {
    #[inline(always)]
    fn has(self, row: usize) -> bool {
        match self.bits {
            None => true,
            Some(bits) => bits
                .get(row / 8)
                .is_some_and(|byte| byte & (1 << (row % 8)) != 0),
        }
    }
}

/// Texts in an arena.
#[derive(Clone, Copy, Debug)]
struct Texts<'b> {
    places: &'b [[u8; 8]],
    arena: &'b [u8],
}

impl<'b> Texts<'b> {
    #[inline(always)]
    fn get(self, at: usize) -> Option<&'b str> {
        let (start, length) = place_of(self.places.get(at)?);
        let text = self.arena.get(start..start.checked_add(length)?)?;
        // SAFETY: a batch is either read with `Batch::read`, which checked that every text of the column is UTF-8, or
        // made by the host, which promises it.
        Some(unsafe { std::str::from_utf8_unchecked(text) })
    }
}

/// A column of `bool`.
#[derive(Clone, Copy, Debug)]
pub struct BoolColumn<'b> {
    present: Present<'b>,
    data: &'b [u8],
}

impl BoolColumn<'_> {
    /// What a row holds; nothing when it has no value or is not there.
    #[inline]
    pub fn get(&self, row: usize) -> Option<bool> {
        let value = *self.data.get(row)?;
        self.present.has(row).then_some(value != 0)
    }
}

/// A column of `int`.
#[derive(Clone, Copy, Debug)]
pub struct IntColumn<'b> {
    present: Present<'b>,
    data: &'b [[u8; 8]],
}

impl IntColumn<'_> {
    /// What a row holds; nothing when it has no value or is not there.
    #[inline]
    pub fn get(&self, row: usize) -> Option<i64> {
        let value = *self.data.get(row)?;
        self.present.has(row).then(|| i64::from_le_bytes(value))
    }
}

/// A column of `float`.
#[derive(Clone, Copy, Debug)]
pub struct FloatColumn<'b> {
    present: Present<'b>,
    data: &'b [[u8; 8]],
}

impl FloatColumn<'_> {
    /// What a row holds; nothing when it has no value or is not there.
    #[inline]
    pub fn get(&self, row: usize) -> Option<f64> {
        let value = *self.data.get(row)?;
        self.present.has(row).then(|| f64::from_le_bytes(value))
    }
}

/// A column of `text` or `json`.
#[derive(Clone, Copy, Debug)]
pub struct TextColumn<'b> {
    present: Present<'b>,
    texts: Texts<'b>,
}

impl<'b> TextColumn<'b> {
    /// What a row holds; nothing when it has no value or is not there.
    #[inline]
    pub fn get(&self, row: usize) -> Option<&'b str> {
        if !self.present.has(row) {
            return None;
        }
        self.texts.get(row)
    }

    /// What each row holds.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Option<&'b str>> + use<'b> {
        let column = *self;
        (0..self.texts.places.len()).map(move |row| column.get(row))
    }
}

/// A column of `symbol`: texts that repeat, each stored once.
///
/// What is worked out of a symbol is best worked out once for each of them and not once for each row:
///
/// ```
/// use tripline_plugin::{Batch, Columns};
///
/// let bytes = Columns::new(3)
///     .with_symbol([Some("DeleteTrail"), Some("GetObject"), Some("DeleteTrail")])
///     .pack();
/// let names = Batch::read(&bytes)?.symbol(0)?;
/// let is_destructive = names.map(|name| name.starts_with("Delete"));
/// assert_eq!(is_destructive.get(2), Some(&true));
/// assert_eq!(is_destructive.get(1), Some(&false));
/// # Ok::<(), tripline_plugin::Fault>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct SymbolColumn<'b> {
    present: Present<'b>,
    data: &'b [[u8; 4]],
    dictionary: Texts<'b>,
}

impl<'b> SymbolColumn<'b> {
    /// What a row holds; nothing when it has no value or is not there.
    #[inline]
    pub fn get(&self, row: usize) -> Option<&'b str> {
        self.dictionary.get(self.symbol(row)?)
    }

    /// The number of what a row holds: equal in this column of this batch if and only if the texts are equal.
    #[inline]
    pub fn symbol(&self, row: usize) -> Option<usize> {
        let symbol = *self.data.get(row)?;
        let symbol = self.present.has(row).then_some(symbol)?;
        Some(u32::from_le_bytes(symbol) as usize)
    }

    /// The different texts, by number.
    pub fn texts(&self) -> impl ExactSizeIterator<Item = &'b str> + use<'b> {
        let texts = self.dictionary;
        (0..texts.places.len()).map(move |at| texts.get(at).unwrap_or_default())
    }

    /// Works something out of each of the different texts, once.
    pub fn map<T>(&self, of_text: impl FnMut(&'b str) -> T) -> SymbolMap<'b, T> {
        SymbolMap {
            column: *self,
            values: self.texts().map(of_text).collect(),
        }
    }
}

/// Something for each row, worked out once for each of the different texts of a [`SymbolColumn`].
#[derive(Clone, Debug)]
pub struct SymbolMap<'b, T> {
    column: SymbolColumn<'b>,
    values: Vec<T>,
}

impl<T> SymbolMap<'_, T> {
    /// What was worked out of the text of a row; nothing when it has none.
    #[inline]
    pub fn get(&self, row: usize) -> Option<&T> {
        self.values.get(self.column.symbol(row)?)
    }
}

#[inline(always)]
fn place_of(place: &[u8; 8]) -> (usize, usize) {
    let place = u64::from_le_bytes(*place);
    ((place & 0xffff_ffff) as usize, (place >> 32) as usize)
}

/// The `u32` at an offset that is known to be within.
#[inline(always)]
fn word(bytes: &[u8], at: usize) -> usize {
    let mut word = [0; 4];
    word.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(word) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Columns;

    fn packed() -> Vec<u8> {
        let each = |row: usize| (row % 4 != 3).then_some(row);
        Columns::new(11)
            .with_bool((0..11).map(|row| each(row).map(|row| row % 2 == 0)))
            .with_int((0..11).map(|row| each(row).map(|row| -(row as i64))))
            .with_float((0..11).map(|row| each(row).map(|row| row as f64 / 2.0)))
            .with_text((0..11).map(|row| each(row).map(|row| &"ääääääääääää"[..2 * row])))
            .with_symbol((0..11).map(|row| each(row).map(|row| ["put", "get", "get"][row % 3])))
            .with_json((0..11).map(|row| each(row).map(|_| r#"{"a":1}"#)))
            .pack()
    }

    /// What a row holds, as text; reading through every way in.
    fn row(batch: &Batch<'_>, row: usize) -> String {
        let cells = (0..batch.columns()).map(|column| match batch.cell(column, row) {
            Some(cell) => format!("{cell:?}"),
            None => "-".to_owned(),
        });
        cells.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn what_is_written_is_read() {
        let bytes = packed();
        let batch = Batch::read(&bytes).expect("the batch is sound");
        assert_eq!(
            row(&batch, 2),
            r#"Bool(true) Int(-2) Float(1.0) Text("ää") Text("get") Json("{\"a\":1}")"#
        );
        assert_eq!(row(&batch, 7), "- - - - - -");
        assert_eq!(row(&batch, 11), "- - - - - -");
    }

    #[test]
    fn no_byte_makes_reading_panic() {
        let sound = packed();
        for at in 0..sound.len() {
            for value in [0, 1, 7, 0x7f, 0x80, 0xff] {
                let mut bytes = sound.clone();
                bytes[at] = value;
                let Ok(batch) = Batch::read(&bytes) else {
                    continue;
                };
                for number in 0..20 {
                    let _ = row(&batch, number);
                }
                if let Ok(symbols) = batch.symbol(4) {
                    let _ = symbols.map(str::len);
                }
            }
            assert!(Batch::read(&sound[..at]).is_err(), "cut at {at}");
        }
    }

    #[test]
    fn lies_are_named() {
        let check = |at: usize, value: u32, expected: &str| {
            let mut bytes = packed();
            bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
            let fault = Batch::read(&bytes).expect_err("the batch lies");
            assert_eq!(fault.message, expected);
        };
        let is = packed().len();
        check(0, 0, "the batch does not begin with `TPB1`");
        let expected = format!("the batch says that it is 12 bytes long and is {is}");
        check(4, 12, &expected);
        check(8, u32::MAX, "column 0 reaches beyond the batch");
        check(12, u32::MAX, "the columns reach beyond the batch");
        check(16 + 32 + 8, u32::MAX, "column 1 reaches beyond the batch");
        check(16 + 96 + 16, 1, "column 3 has texts that are not UTF-8");
        check(16 + 96 + 16, 0, "row 1 of column 3 is no text");
    }

    #[test]
    fn a_wrong_manifest_is_a_fault() {
        let bytes = packed();
        let batch = Batch::read(&bytes).expect("the batch is sound");
        let message = |fault: Fault| fault.message;
        assert_eq!(
            batch.text(0).map_err(message).expect_err("another kind"),
            "column 0 is bool instead of text: `reads` in plugin.toml says so"
        );
        assert_eq!(
            batch.text(6).map_err(message).expect_err("no column"),
            "the batch has 6 columns and no column 6: `reads` in plugin.toml names fewer fields"
        );
    }
}
