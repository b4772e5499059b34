//! Macros over arrays of the event, read from columns.
//!
//! As in `peek`: what a column cannot tell is not told, and the caller takes the general way, which is the only one that
//! decides. A question has three answers, true, false and *not known*, that `&&`, `||`, `!` and the macros join as
//! they join errors; so what is known here holds whatever the rest comes to. Looking in vain is paid for all the same: the
//! general way may need the first element only, and in a macro within a macro all others would be looked at for nothing.

use super::memo::Cell;
use super::{ConstantId, Evaluation, NodeId};
use crate::event::{Json, Kind};
use crate::selector::elements::{COLUMNS_MAX, ElementTest, OTHERS_MAX, Question, Test};
use crate::selector::function::operator::holds;
use crate::selector::program::Operator;
use crate::selector::value::Value;

/// Longer arrays are not read as columns: nearly all are much shorter, and what is remembered has to be bounded.
const ELEMENTS_MAX: usize = 64;
/// Nor are arrays of more bytes: looking up all elements must be a small part of a selector's budget, as the first element
/// may decide.
const ARRAY_BYTES_MAX: usize = 1 << 16;

/// The columns of a macro, found.
struct Columns<'e> {
    /// Where each begins.
    starts: [u32; COLUMNS_MAX],
    count: u32,
    others: [Other<'e>; OTHERS_MAX],
}

/// What elements are compared with.
#[derive(Clone, Copy)]
enum Other<'e> {
    Integer(i64),
    Text(&'e str),
}

impl<'e> Evaluation<'e> {
    /// Whether some element (`deciding` is true) or every element (false) holds.
    pub(super) fn quantified(&mut self, id: NodeId, deciding: bool) -> Option<bool> {
        let test = self.program.element_test(id)?;
        let columns = self.columns(test)?;
        let mut is_known = true;
        for element in 0..columns.count {
            match self.element_holds(&test.test, &columns, element) {
                Some(holds) if holds == deciding => return Some(deciding),
                Some(_) => {}
                None => is_known = false,
            }
        }
        is_known.then_some(!deciding)
    }

    /// How many elements hold.
    pub(super) fn counted(&mut self, id: NodeId) -> Option<u64> {
        let test = self.program.element_test(id)?;
        let columns = self.columns(test)?;
        let mut count = 0;
        for element in 0..columns.count {
            count += u64::from(self.element_holds(&test.test, &columns, element)?);
        }
        Some(count)
    }

    /// Whether a text is one of those that `map` gives of an array.
    pub(super) fn mapped_has(&mut self, id: NodeId, text: &str) -> Option<bool> {
        let test = self.program.element_test(id)?;
        let Test::Ask {
            column,
            question: Question::Value,
            ..
        } = test.test
        else {
            return None;
        };
        let columns = self.columns(test)?;
        let mut found = false;
        // All are looked at, as one that cannot be evaluated is an error.
        for element in 0..columns.count {
            found |= match self.cell(&columns, column, element) {
                Cell::Text(start, end) => self.bytes(start, end) == text.as_bytes(),
                Cell::Integer(_) | Cell::Bool(_) => false,
                Cell::Absent | Cell::Other => return None,
            };
        }
        Some(found)
    }

    /// The columns of a test on the event at hand, paid for.
    fn columns(&mut self, test: &'e ElementTest) -> Option<Columns<'e>> {
        let array = self.array(test.range)?;
        let count = array.len();
        let is_small = count <= ELEMENTS_MAX && array.raw().len() <= ARRAY_BYTES_MAX;
        if !is_small || !self.memo.has_slots() {
            return None;
        }
        self.meter.charge(1 + count as u64 * test.questions).ok()?;
        self.memo.make_room_for_cells(count * test.columns.len());
        let mut starts = [0; COLUMNS_MAX];
        for (start, column) in starts.iter_mut().zip(&test.columns) {
            *start = match self.memo.column(column.slot) {
                Some((start, paid)) => {
                    self.meter.charge(paid).ok()?;
                    start
                }
                None => self.find_column(array, column.slot, &column.keys)?,
            };
        }
        // What is not known once is not asked for each element.
        let mut others = [Other::Integer(0); OTHERS_MAX];
        for (place, other) in others.iter_mut().zip(&test.others) {
            *place = match self.integer(*other) {
                Some(integer) => Other::Integer(integer),
                None => Other::Text(self.plain_text(*other)?),
            };
        }
        let count = count as u32;
        Some(Columns {
            starts,
            count,
            others,
        })
    }

    /// Looks up the values under some keys of all elements.
    #[inline(never)]
    fn find_column(&mut self, array: Json<'e>, slot: u32, keys: &[ConstantId]) -> Option<u32> {
        let before = self.meter;
        let start = self.memo.cell_count();
        for element in array.elements() {
            let Some(cell) = self.find_cell(element, keys) else {
                self.memo.take_back_cells(start);
                return None;
            };
            self.memo.add_cell(cell);
        }
        let paid = self.meter.since(&before);
        self.memo.remember_column(slot, start, paid);
        Some(start)
    }

    /// What an element has under some keys; nothing where it cannot be paid for.
    fn find_cell(&mut self, mut part: Json<'e>, keys: &[ConstantId]) -> Option<Cell> {
        self.meter.charge(2).ok()?;
        for (at, key) in keys.iter().enumerate() {
            if part.kind() != Kind::Object {
                return Some(Cell::Other);
            }
            self.meter.charge(1 + part.len() as u64 / 8).ok()?;
            part = match self.program.get(part, *key) {
                Some(part) => part,
                None if at + 1 == keys.len() => return Some(Cell::Absent),
                None => return Some(Cell::Other),
            };
        }
        let cell = match part.kind() {
            Kind::Number => part.as_integer().map(Cell::Integer),
            Kind::Bool => part.as_bool().map(Cell::Bool),
            Kind::String => part
                .as_text()
                .filter(|text| !text.is_escaped())
                .map(|text| {
                    // Behind the quote.
                    let start = part.offset() as u32 + 1;
                    Cell::Text(start, start + text.raw().len() as u32)
                }),
            Kind::Null | Kind::Array | Kind::Object => None,
        };
        Some(cell.unwrap_or(Cell::Other))
    }

    #[inline]
    fn cell(&self, columns: &Columns<'_>, column: u32, element: u32) -> Cell {
        self.memo
            .cell(columns.starts[column as usize % COLUMNS_MAX] + element)
    }

    /// The bytes of a text that a cell names.
    #[inline]
    fn bytes(&self, start: u32, end: u32) -> &'e [u8] {
        match &self.view {
            Some((document, _)) => &document.bytes()[start as usize..end as usize],
            None => &[],
        }
    }

    fn element_holds(
        &mut self,
        test: &'e Test,
        columns: &Columns<'e>,
        element: u32,
    ) -> Option<bool> {
        match test {
            Test::Ask {
                column,
                question,
                absent,
            } => match (self.cell(columns, *column, element), *question) {
                (Cell::Absent, _) => *absent,
                (Cell::Other, _) => None,
                (cell, Question::Other(operator, more, number)) => {
                    let other = columns.others[number as usize % OTHERS_MAX];
                    self.compared(operator, (cell, more), other)
                }
                (cell, question) => self.answer(question, cell),
            },
            Test::Not(test) => self
                .element_holds(test, columns, element)
                .map(|holds| !holds),
            Test::All(tests) => self.joined(tests, false, columns, element),
            Test::Any(tests) => self.joined(tests, true, columns, element),
        }
    }

    /// `&&` and `||`: one that decides wins over those that are not known.
    fn joined(
        &mut self,
        tests: &'e [Test],
        deciding: bool,
        columns: &Columns<'e>,
        element: u32,
    ) -> Option<bool> {
        let mut is_known = true;
        for test in tests {
            match self.element_holds(test, columns, element) {
                Some(holds) if holds == deciding => return Some(deciding),
                Some(_) => {}
                None => is_known = false,
            }
        }
        is_known.then_some(!deciding)
    }

    /// What a comparison with another thing of the event comes to, after adding a number.
    #[inline]
    fn compared(
        &mut self,
        operator: Operator,
        (cell, more): (Cell, Option<i64>),
        other: Other<'e>,
    ) -> Option<bool> {
        match (cell, more, other) {
            (Cell::Integer(value), _, Other::Integer(other)) => {
                let value = value.checked_add(more.unwrap_or(0))?;
                Some(holds(operator, value.cmp(&other)))
            }
            (Cell::Text(start, end), None, Other::Text(other)) => {
                let bytes = self.bytes(start, end);
                self.meter.charge_bytes(bytes.len().min(other.len())).ok()?;
                Some(holds(operator, bytes.cmp(other.as_bytes())))
            }
            _ => None,
        }
    }

    /// What a question comes to of a value; not known where it is an error.
    #[inline]
    fn answer(&mut self, question: Question, cell: Cell) -> Option<bool> {
        let program = self.program;
        match (question, cell) {
            (Question::Integer(operator, number), Cell::Integer(value)) => {
                Some(holds(operator, value.cmp(&number)))
            }
            // What is of different types is not equal.
            (Question::Integer(operator, _), Cell::Text(..) | Cell::Bool(_)) => match operator {
                Operator::Equal => Some(false),
                Operator::NotEqual => Some(true),
                _ => None,
            },
            (Question::Text(wanted), Cell::Text(start, end)) => {
                Some(self.bytes(start, end) == program.constant_text(wanted).as_bytes())
            }
            (Question::Text(_), Cell::Integer(_) | Cell::Bool(_)) => Some(false),
            (Question::StartsWith(part), Cell::Text(start, end)) => {
                let part = program.constant_text(part).as_bytes();
                Some(self.bytes(start, end).starts_with(part))
            }
            (Question::EndsWith(part), Cell::Text(start, end)) => {
                let part = program.constant_text(part).as_bytes();
                Some(self.bytes(start, end).ends_with(part))
            }
            (Question::In(set), cell) => {
                let set = &program.sets[set as usize];
                match cell {
                    Cell::Text(start, end) => Some(set.contains_text(self.text_at(start, end)?)),
                    Cell::Integer(value) => set.contains(&Value::Int(value), &mut self.meter).ok(),
                    _ => None,
                }
            }
            (Question::Search(node), Cell::Text(start, end)) => {
                let text = self.text_at(start, end)?;
                self.found(node, text).ok()
            }
            (Question::Present, _) => Some(true),
            (Question::Holds, Cell::Bool(value)) => Some(value),
            _ => None,
        }
    }

    fn text_at(&self, start: u32, end: u32) -> Option<&'e str> {
        std::str::from_utf8(self.bytes(start, end)).ok()
    }
}
