//! What was found out about the event at hand, for all rules that ask the same.
//!
//! Rules share the nodes of the program, so what takes longer to find out than to look up is found out once per
//! event: texts that have to be built, parts of a time, and what stands under a key in all elements of an array.
//! `recall` says which nodes have a slot here; none of them depends on a macro's variable.
//!
//! All slots are forgotten by a new stamp, never cleared. Whoever is told pays what finding out cost, so no verdict
//! depends on who asked first. When the memory is full everything is forgotten: hostile rules cost what they would
//! cost without it, and no more room than [`TEXT_BYTES_MAX`] and [`CELLS_MAX`] beyond one text.

/// Texts of this many bytes are remembered together; the room is given back after an event that needed more.
const TEXT_BYTES_MAX: usize = 1 << 16;
/// Values of elements that are remembered together.
const CELLS_MAX: usize = 1 << 12;

/// What a slot holds, valid under the current stamp.
#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    stamp: u32,
    /// What finding out cost.
    paid: u32,
    known: Known,
}

#[derive(Clone, Copy, Debug, Default)]
enum Known {
    #[default]
    Nothing,
    Integer(i64),
    /// A range of the texts.
    Text(u32, u32),
    /// Where the column begins in the cells.
    Column(u32),
}

/// What an element of an array has under a key.
#[derive(Clone, Copy, Debug)]
pub(super) enum Cell {
    Integer(i64),
    Bool(bool),
    /// Text without escapes, where it stands in the event.
    Text(u32, u32),
    /// The element is an object without the key.
    Absent,
    /// Something else, which takes a closer look.
    Other,
}

/// What is known of one event. Kept from event to event for its memory.
#[derive(Debug, Default)]
pub(super) struct Memo {
    stamp: u32,
    entries: Vec<Entry>,
    /// Built texts, one behind the other; gone while somebody builds another behind them.
    texts: Option<String>,
    cells: Vec<Cell>,
}

impl Memo {
    /// Begins with an event, of which nothing is known.
    pub(super) fn start(&mut self, slots: usize) {
        if self.entries.len() < slots {
            self.entries.resize(slots, Entry::default());
        }
        self.forget();
    }

    /// Gives back what an unusual event needed.
    pub(super) fn finish(&mut self) {
        self.texts
            .take_if(|texts| texts.capacity() > TEXT_BYTES_MAX);
    }

    fn forget(&mut self) {
        self.texts.get_or_insert_default().clear();
        self.cells.clear();
        self.stamp = self.stamp.wrapping_add(1);
        if self.stamp == 0 {
            self.entries.fill(Entry::default());
            self.stamp = 1;
        }
    }

    /// The texts, to look at one of them or to build another behind them; nothing while somebody else has them.
    pub(super) fn take_texts(&mut self) -> Option<String> {
        self.texts.take()
    }

    /// As [`Self::take_texts`], with everything forgotten when there is no room for another text.
    pub(super) fn take_texts_with_room(&mut self) -> Option<String> {
        if self.texts.as_ref()?.len() >= TEXT_BYTES_MAX {
            self.forget();
        }
        self.texts.take()
    }

    pub(super) fn put_texts(&mut self, texts: String) {
        self.texts = Some(texts);
    }

    /// Forgets everything when there is no room for so many cells.
    pub(super) fn make_room_for_cells(&mut self, count: usize) {
        if self.cells.len() + count > CELLS_MAX {
            self.forget();
        }
    }

    #[inline]
    fn known(&self, slot: Option<u32>) -> Option<&Entry> {
        let entry = self.entries.get(slot? as usize)?;
        (entry.stamp == self.stamp).then_some(entry)
    }

    /// The integer of a slot, and what it cost.
    #[inline]
    pub(super) fn integer(&self, slot: Option<u32>) -> Option<(i64, u64)> {
        let entry = self.known(slot)?;
        match entry.known {
            Known::Integer(value) => Some((value, u64::from(entry.paid))),
            _ => None,
        }
    }

    /// Where the text of a slot is in the texts, and what it cost.
    #[inline]
    pub(super) fn text(&self, slot: Option<u32>) -> Option<(std::ops::Range<usize>, u64)> {
        let entry = self.known(slot)?;
        match entry.known {
            Known::Text(start, end) => Some((start as usize..end as usize, u64::from(entry.paid))),
            _ => None,
        }
    }

    /// Where the column of a slot begins, and what it cost.
    #[inline]
    pub(super) fn column(&self, slot: u32) -> Option<(u32, u64)> {
        let entry = self.known(Some(slot))?;
        match entry.known {
            Known::Column(start) => Some((start, u64::from(entry.paid))),
            _ => None,
        }
    }

    pub(super) fn remember_integer(&mut self, slot: Option<u32>, value: i64, paid: u64) {
        self.remember(slot, Known::Integer(value), paid);
    }

    pub(super) fn remember_text(
        &mut self,
        slot: Option<u32>,
        range: std::ops::Range<usize>,
        paid: u64,
    ) {
        let range = u32::try_from(range.start)
            .ok()
            .zip(u32::try_from(range.end).ok());
        if let Some((start, end)) = range {
            self.remember(slot, Known::Text(start, end), paid);
        }
    }

    /// Remembers the cells from `start` on as a column.
    pub(super) fn remember_column(&mut self, slot: u32, start: u32, paid: u64) {
        self.remember(Some(slot), Known::Column(start), paid);
    }

    fn remember(&mut self, slot: Option<u32>, known: Known, paid: u64) {
        let place = slot.and_then(|slot| self.entries.get_mut(slot as usize));
        if let (Some(place), Ok(paid)) = (place, u32::try_from(paid)) {
            *place = Entry {
                stamp: self.stamp,
                paid,
                known,
            };
        }
    }

    /// Whether anything can be remembered.
    pub(super) fn has_slots(&self) -> bool {
        !self.entries.is_empty()
    }

    /// How many cells there are: where the next column begins.
    pub(super) fn cell_count(&self) -> u32 {
        self.cells.len() as u32
    }

    pub(super) fn add_cell(&mut self, cell: Cell) {
        self.cells.push(cell);
    }

    /// Takes back the cells from `start` on, which became no column.
    pub(super) fn take_back_cells(&mut self, start: u32) {
        self.cells.truncate(start as usize);
    }

    #[inline]
    pub(super) fn cell(&self, at: u32) -> Cell {
        self.cells.get(at as usize).copied().unwrap_or(Cell::Other)
    }
}
