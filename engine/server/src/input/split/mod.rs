//! Cuts a text into records while it streams: JSON lines, arrays, delivery files, values one after
//! another, compact or pretty-printed, told apart by what they hold.
//!
//! Relies on `structure` to find where a value ends. Must never hold more than one record, never look at
//! a byte more than a few times, never drop bytes without saying so: every piece is a record for the
//! parser or a fault, and both count. Nothing here judges JSON; a piece that cannot be one is either handed
//! to the parser, which names the reason, or carries the reason itself where its bytes are not kept.
//!
//! Lines of JSON, once seen, are cut at line ends alone, at the speed of `memchr`. What begins in the
//! middle of a broken text is found by lines: a record starts at a `{` as far to the right as the broken
//! one did. Searching for anything that parses was rejected, for it invents records out of nested objects.

mod piece;
mod structure;
#[cfg(test)]
mod tests;
mod value;

use memchr::memchr;
pub(crate) use piece::{Ending, Fault, Piece, PieceKind};
use structure::{Cursor, Structure};

/// A line longer than this is looked into while it arrives, for it may be a whole delivery file.
const LINE_LOOKAHEAD_BYTES: usize = 1024 * 1024;

/// A broken record that was meant to be one line has at most so many later lines taken back from it.
const LINES_TAKEN_BACK_MAX: u64 = 8;

/// How a delivery file starts when it is written by its service.
const WRAPPER_START: &[u8] = b"{\"Records\"";

/// Where something began.
#[derive(Clone, Copy, Debug)]
struct Place {
    /// In the buffer; meaningless once the bytes are discarded.
    start: usize,
    offset: u64,
    line: u64,
    /// Blanks before it when it is the first thing on its line.
    indent: Option<u32>,
}

/// A value being looked through.
#[derive(Debug)]
struct Unit {
    place: Place,
    structure: Structure,
    /// The indentation of `structure`'s restart is that of the list around it.
    restart_leaves_list: bool,
    /// Longer than allowed: its bytes are let go.
    discarded: bool,
}

/// A list whose elements are records.
#[derive(Debug)]
struct List {
    place: Place,
    /// What goes on after the list of a delivery file.
    outer: Option<Structure>,
    separator: Separator,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Separator {
    /// After `[`: a value or the end.
    Open,
    /// After a comma: a value.
    Value,
    /// After a value: a comma or the end.
    Comma,
    /// After a fault: anything.
    Unknown,
}

#[derive(Debug)]
enum State {
    /// Before the first byte.
    Start,
    /// Between values.
    Between,
    /// In a line that is one record, or no JSON at all; looked through up to `scanned`.
    Line(Place),
    /// In a value.
    Value(Unit),
    /// In a delivery file, after its list.
    Tail(Structure),
    /// Passing over the rest of a line.
    RestOfLine,
    /// Passing over lines until one starts a record with this indentation.
    Resync(u32),
    /// Passing over everything.
    Lost,
}

/// Whether to go on with the bytes at hand.
enum Flow {
    Continue,
    NeedMore,
}

/// Cuts one input into pieces.
#[derive(Debug)]
pub(crate) struct Splitter {
    state: State,
    list: Option<List>,
    cursor: Cursor,
    /// Where the next byte to look at stands in the buffer.
    scanned: usize,
    /// Where the buffer's first byte stands in the input.
    base: u64,
    record_bytes_max: usize,
    /// A record that was a line of its own has been seen.
    lines: bool,
    /// The last record began its line and did not leave it; a line end proves it was a line of its own.
    line_candidate: bool,
    /// A delivery file was seen, which is what a single record may be asked about.
    wrapped: bool,
}

impl Splitter {
    /// At the start of an input. Longer records than `record_bytes_max` are passed over.
    pub(crate) fn new(record_bytes_max: usize) -> Self {
        Self {
            state: State::Start,
            list: None,
            cursor: Cursor::start(),
            scanned: 0,
            base: 0,
            record_bytes_max,
            lines: false,
            line_candidate: false,
            wrapped: false,
        }
    }

    /// Whether the list of a delivery file was found.
    pub(crate) fn found_wrapper(&self) -> bool {
        self.wrapped
    }

    /// Cuts what it can of `buffer` and gives the number of bytes that are done with. The next call's
    /// buffer starts right after these, with the rest of this one and whatever came since.
    pub(crate) fn split(
        &mut self,
        buffer: &[u8],
        ending: Ending,
        pieces: &mut Vec<Piece>,
    ) -> usize {
        self.split_at_most(buffer, ending, pieces, usize::MAX)
    }

    /// The same, and no further once there are more pieces than `most`.
    pub(crate) fn split_at_most(
        &mut self,
        buffer: &[u8],
        ending: Ending,
        pieces: &mut Vec<Piece>,
        most: usize,
    ) -> usize {
        while pieces.len() <= most
            && let Flow::Continue = self.step(buffer, ending, pieces)
        {}
        let consumed = match &self.state {
            State::Start => 0,
            State::Line(place) => place.start,
            State::Value(unit) if !unit.discarded => unit.place.start,
            _ => self.scanned,
        };
        self.base += consumed as u64;
        self.scanned -= consumed;
        match &mut self.state {
            State::Line(place) => place.start = 0,
            State::Value(unit) => unit.place.start = 0,
            _ => {}
        }
        consumed
    }

    fn step(&mut self, buffer: &[u8], ending: Ending, pieces: &mut Vec<Piece>) -> Flow {
        match &self.state {
            State::Start => self.start(buffer, ending, pieces),
            State::Between => self.between(buffer, ending, pieces),
            State::Line(place) => {
                let place = *place;
                self.line(place, buffer, ending, pieces)
            }
            State::Value(_) => self.value(buffer, ending, pieces),
            State::Tail(_) => self.tail(buffer, ending, pieces),
            State::RestOfLine => self.rest_of_line(buffer),
            State::Resync(indent) => {
                let indent = *indent;
                self.resync(indent, buffer)
            }
            State::Lost => {
                self.scanned = buffer.len();
                Flow::NeedMore
            }
        }
    }

    /// Byte order marks and wide characters.
    fn start(&mut self, buffer: &[u8], ending: Ending, pieces: &mut Vec<Piece>) -> Flow {
        if buffer.len() < 4 && ending == Ending::More {
            return Flow::NeedMore;
        }
        self.state = State::Between;
        let wide = matches!(
            buffer,
            [0xff, 0xfe, ..]
                | [0xfe, 0xff, ..]
                | [0, 0, 0, b'{' | b'[', ..]
                | [b'{' | b'[', 0, ..]
                | [0, b'{' | b'[', ..]
        );
        if wide {
            pieces.push(self.fault(self.place_here(), Fault::WideCharacters));
            self.state = State::Lost;
        } else if buffer.starts_with(&[0xef, 0xbb, 0xbf]) {
            self.scanned = 3;
        }
        Flow::Continue
    }

    fn between(&mut self, buffer: &[u8], ending: Ending, pieces: &mut Vec<Piece>) -> Flow {
        let Some(byte) = self.skip_blanks(buffer) else {
            if ending == Ending::Last {
                self.end_of_input(pieces);
            }
            return Flow::NeedMore;
        };
        let place = self.place_here();
        self.line_candidate = false;
        if self.list.is_some() {
            return self.between_elements(byte, place, pieces);
        }
        match byte {
            b',' => {
                // Commas between records without a list around them: each is refused, the records stand.
                pieces.push(self.fault(place, Fault::Syntax));
                self.cursor.fresh = false;
                self.scanned += 1;
            }
            b'{' if self.lines && self.cursor.fresh => self.state = State::Line(place),
            b'{' => self.begin_value(place),
            b'[' => {
                self.cursor.fresh = false;
                self.scanned += 1;
                self.list = Some(List {
                    place,
                    outer: None,
                    separator: Separator::Open,
                });
            }
            _ => self.state = State::Line(place),
        }
        Flow::Continue
    }

    fn between_elements(&mut self, byte: u8, place: Place, pieces: &mut Vec<Piece>) -> Flow {
        let Some(list) = &mut self.list else {
            return Flow::Continue;
        };
        let separator = list.separator;
        match byte {
            b',' => {
                list.separator = Separator::Value;
                self.cursor.fresh = false;
                self.scanned += 1;
                if matches!(separator, Separator::Open | Separator::Value) {
                    pieces.push(self.fault(place, Fault::Syntax));
                }
            }
            b']' => {
                self.cursor.fresh = false;
                self.scanned += 1;
                let outer = list.outer.take();
                self.list = None;
                if separator == Separator::Value {
                    pieces.push(self.fault(place, Fault::Syntax));
                }
                if let Some(outer) = outer {
                    self.state = State::Tail(outer);
                }
            }
            b'{' if separator == Separator::Comma
                && place.indent.is_some()
                && place.indent == list.place.indent =>
            {
                // The list lacks its end, and this is the next line's record.
                let opened = list.place;
                self.list = None;
                pieces.push(self.fault(opened, Fault::Truncated));
            }
            _ => {
                list.separator = Separator::Comma;
                if separator == Separator::Comma {
                    pieces.push(self.fault(place, Fault::Syntax));
                }
                self.begin_value(place);
            }
        }
        Flow::Continue
    }

    /// A line that is cut at its end alone.
    fn line(
        &mut self,
        place: Place,
        buffer: &[u8],
        ending: Ending,
        pieces: &mut Vec<Piece>,
    ) -> Flow {
        let head = &buffer[place.start..];
        // A line not looked into before may turn out to hold more, or less, than one record.
        let undecided = self.cursor.fresh && head.starts_with(b"{");
        if undecided && self.scanned == place.start {
            if head.starts_with(WRAPPER_START) {
                self.begin_value(place);
                return Flow::Continue;
            }
            if WRAPPER_START.starts_with(head) && ending == Ending::More {
                return Flow::NeedMore;
            }
        }
        let found = memchr(b'\n', &buffer[self.scanned..]).map(|length| self.scanned + length);
        let ended = found.is_some() || ending == Ending::Last;
        let end = found.unwrap_or(buffer.len());
        let text = buffer[place.start..end].trim_ascii_end();
        let long = text.len() > LINE_LOOKAHEAD_BYTES.min(self.record_bytes_max);
        if undecided && (long || ended && text.last() != Some(&b'}')) {
            self.scanned = place.start;
            self.begin_value(place);
            return Flow::Continue;
        }
        self.scanned = end;
        let too_long = text.len() > self.record_bytes_max;
        match (ended, too_long) {
            (false, false) => return Flow::NeedMore,
            (_, true) => {
                pieces.push(self.fault(place, Fault::TooLong));
                self.state = State::RestOfLine;
            }
            (true, false) => {
                pieces.push(self.record(place, place.start + text.len()));
                self.state = State::Between;
            }
        }
        self.cursor.fresh = false;
        Flow::Continue
    }

    fn rest_of_line(&mut self, buffer: &[u8]) -> Flow {
        match memchr(b'\n', &buffer[self.scanned..]) {
            Some(length) => {
                self.scanned += length;
                self.state = State::Between;
                Flow::Continue
            }
            None => {
                self.scanned = buffer.len();
                Flow::NeedMore
            }
        }
    }

    fn resync(&mut self, indent: u32, buffer: &[u8]) -> Flow {
        loop {
            let Some(byte) = self.skip_blanks(buffer) else {
                return Flow::NeedMore;
            };
            if self.cursor.fresh {
                let starts = byte == b'{' && self.cursor.indent == indent;
                let ends = byte == b']' && self.cursor.indent <= indent && self.list.is_some();
                if starts || ends {
                    self.state = State::Between;
                    return Flow::Continue;
                }
            }
            self.cursor.fresh = false;
            match memchr(b'\n', &buffer[self.scanned..]) {
                Some(length) => self.scanned += length,
                None => {
                    self.scanned = buffer.len();
                    return Flow::NeedMore;
                }
            }
        }
    }

    /// The input ended between two values, which is where a list must not end.
    fn end_of_input(&mut self, pieces: &mut Vec<Piece>) {
        if let Some(list) = self.list.take() {
            pieces.push(self.fault(list.place, Fault::Truncated));
        }
    }

    fn skip_blanks(&mut self, buffer: &[u8]) -> Option<u8> {
        while let Some(&byte) = buffer.get(self.scanned) {
            if !self.cursor.blank(byte) {
                return Some(byte);
            }
            self.lines |= byte == b'\n' && self.line_candidate;
            self.scanned += 1;
        }
        None
    }

    fn place_here(&self) -> Place {
        Place {
            start: self.scanned,
            offset: self.base + self.scanned as u64,
            line: self.cursor.line,
            indent: self.cursor.fresh.then_some(self.cursor.indent),
        }
    }

    fn record(&self, place: Place, end: usize) -> Piece {
        let Place {
            start,
            offset,
            line,
            ..
        } = place;
        Piece {
            start,
            end,
            offset,
            line,
            kind: PieceKind::Record,
        }
    }

    fn fault(&self, place: Place, fault: Fault) -> Piece {
        let Place { offset, line, .. } = place;
        Piece {
            start: 0,
            end: 0,
            offset,
            line,
            kind: PieceKind::Fault(fault),
        }
    }
}
