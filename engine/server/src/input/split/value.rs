//! Going through values: records that are looked into, what is wrong with them, and where to go on.
//!
//! Relies on `structure` for where a value ends or breaks. After a break the next record is found by lines
//! and their indentation; when there is nothing to go by, the rest is passed over and that is told.

use super::structure::{Cursor, Seen, Structure, Wrapper};
use super::{
    Ending, Fault, Flow, LINES_TAKEN_BACK_MAX, List, Piece, Place, Separator, Splitter, State, Unit,
};
use memchr::memchr;

impl Splitter {
    pub(super) fn begin_value(&mut self, place: Place) {
        let (restart_indent, restart_leaves_list) = match (&self.list, place.indent) {
            (_, Some(indent)) => (Some(indent), false),
            (Some(list), None) if list.place.line == place.line => (list.place.indent, true),
            _ => (None, false),
        };
        let wrapper = if self.list.is_none() {
            Wrapper::Sought
        } else {
            Wrapper::Ignored
        };
        let structure = Structure::new(wrapper, restart_indent);
        self.state = State::Value(Unit {
            place,
            structure,
            restart_leaves_list,
            discarded: false,
        });
    }

    pub(super) fn value(&mut self, buffer: &[u8], ending: Ending, pieces: &mut Vec<Piece>) -> Flow {
        let State::Value(unit) = &mut self.state else {
            return Flow::Continue;
        };
        let mut seen = unit
            .structure
            .advance(buffer, &mut self.scanned, &mut self.cursor);
        if unit.structure.may_end_here() && seen == Seen::More && ending == Ending::Last {
            seen = Seen::End;
        }
        let State::Value(mut unit) = std::mem::replace(&mut self.state, State::Between) else {
            return Flow::Continue;
        };
        unit.discarded |= self.is_too_long(&unit) && seen == Seen::More;
        if seen == Seen::More && ending == Ending::More {
            self.state = State::Value(unit);
            return Flow::NeedMore;
        }
        self.value_over(unit, seen, buffer, pieces)
    }

    /// A value ended, or cannot go on.
    fn value_over(
        &mut self,
        unit: Unit,
        seen: Seen,
        buffer: &[u8],
        pieces: &mut Vec<Piece>,
    ) -> Flow {
        let too_long = self.is_too_long(&unit);
        match seen {
            Seen::More if self.is_line_alone(&unit, buffer) => self.take_back(unit.place),
            Seen::More => {
                self.list = None;
                let kind = if unit.discarded {
                    Fault::TooLong
                } else {
                    Fault::Truncated
                };
                pieces.push(self.fault(unit.place, kind));
                self.scanned = buffer.len();
                Flow::Continue
            }
            Seen::End => {
                if too_long {
                    pieces.push(self.fault(unit.place, Fault::TooLong));
                } else {
                    pieces.push(self.record(unit.place, self.scanned));
                }
                self.line_candidate =
                    unit.place.indent.is_some() && unit.place.line == self.cursor.line;
                Flow::Continue
            }
            Seen::Wrapped => {
                self.wrapped = true;
                self.open_wrapper(unit.place, unit.structure);
                Flow::Continue
            }
            Seen::Restart if self.is_line_alone(&unit, buffer) => self.take_back(unit.place),
            Seen::Restart => {
                let reason = if too_long {
                    Fault::TooLong
                } else {
                    Fault::Truncated
                };
                pieces.push(self.fault(unit.place, reason));
                if unit.restart_leaves_list {
                    self.list = None;
                } else if let Some(list) = &mut self.list {
                    list.separator = Separator::Unknown;
                }
                Flow::Continue
            }
            Seen::Broken | Seen::OpenString => {
                if self.is_line_alone(&unit, buffer) {
                    self.take_back(unit.place)
                } else {
                    self.broken(unit, seen, too_long, pieces)
                }
            }
        }
    }

    fn is_too_long(&self, unit: &Unit) -> bool {
        let length = self.base + self.scanned as u64 - unit.place.offset;
        length > self.record_bytes_max as u64
    }

    /// Whether a value that went wrong was meant to be one line, so that the lines after it are records of
    /// their own. Only the last few lines are taken back: each byte is looked at a bounded number of times.
    fn is_line_alone(&self, unit: &Unit, buffer: &[u8]) -> bool {
        if self.list.is_some() || unit.place.indent.is_none() || self.is_too_long(unit) {
            return false;
        }
        let lines = self.cursor.line - unit.place.line;
        let text = &buffer[unit.place.start..self.scanned];
        let first = memchr(b'\n', text)
            .map_or(text, |end| &text[..end])
            .trim_ascii_end();
        // A brace alone on its line begins a pretty-printed record.
        lines == 0 || lines <= LINES_TAKEN_BACK_MAX && first.len() > 1
    }

    /// Goes back to the end of a value's first line, and leaves that line to the parser, which names the reason.
    fn take_back(&mut self, place: Place) -> Flow {
        self.scanned = place.start;
        self.cursor = Cursor {
            line: place.line,
            indent: 0,
            fresh: false,
        };
        self.state = State::Line(place);
        Flow::Continue
    }

    fn open_wrapper(&mut self, place: Place, outer: Structure) {
        self.list = Some(List {
            place,
            outer: Some(outer),
            separator: Separator::Open,
        });
        self.state = State::Between;
    }

    /// A value cannot go on as it does. Says so, and finds out where to look for the next one.
    fn broken(&mut self, unit: Unit, seen: Seen, too_long: bool, pieces: &mut Vec<Piece>) -> Flow {
        let place = unit.place;
        let reason = match seen {
            _ if too_long => Fault::TooLong,
            Seen::OpenString => Fault::Truncated,
            _ => Fault::Syntax,
        };
        pieces.push(self.fault(place, reason));
        if let Some(list) = &mut self.list {
            list.separator = Separator::Unknown;
        }
        match (place.indent, &self.list) {
            (Some(_), None) if place.line == self.cursor.line => self.state = State::RestOfLine,
            (Some(indent), _) => self.state = State::Resync(indent),
            (None, None) => {
                pieces.push(self.fault(self.place_here(), Fault::Unseparable));
                self.state = State::RestOfLine;
            }
            (None, Some(list)) => {
                let indent = list.place.indent;
                pieces.push(self.fault(self.place_here(), Fault::Unseparable));
                self.list = None;
                self.state = indent.map_or(State::Lost, State::Resync);
            }
        }
        Flow::Continue
    }

    /// Goes through what follows the list of a delivery file.
    pub(super) fn tail(&mut self, buffer: &[u8], ending: Ending, pieces: &mut Vec<Piece>) -> Flow {
        let State::Tail(mut outer) = std::mem::replace(&mut self.state, State::Between) else {
            return Flow::Continue;
        };
        match outer.advance(buffer, &mut self.scanned, &mut self.cursor) {
            Seen::End => Flow::Continue,
            Seen::Wrapped => {
                self.open_wrapper(self.place_here(), outer);
                Flow::Continue
            }
            Seen::More => {
                if ending == Ending::Last {
                    pieces.push(self.fault(self.place_here(), Fault::Truncated));
                } else {
                    self.state = State::Tail(outer);
                }
                Flow::NeedMore
            }
            Seen::Restart => {
                pieces.push(self.fault(self.place_here(), Fault::Truncated));
                Flow::Continue
            }
            Seen::Broken | Seen::OpenString => {
                pieces.push(self.fault(self.place_here(), Fault::Syntax));
                self.state = State::RestOfLine;
                Flow::Continue
            }
        }
    }
}
