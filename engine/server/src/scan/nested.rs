//! Records that turn out to hold records: delivery files, also within an envelope, and several values on a line.
//!
//! Relies on the splitter, which follows a list at the first level of a value only. Must never invent records: what
//! has an id of its own is one event, whatever it holds.

use crate::input::split::{Ending, Piece, PieceKind, Splitter};
use tripline_core::event::{Event, Kind, Parser};
use tripline_core::limits::EVENT_BYTES_MAX;

/// What a record turns out to hold, when it is not one event, and no more of it once there is more than `most`.
pub(crate) fn pieces_of_at_most(
    parser: &mut Parser,
    bytes: &[u8],
    most: usize,
) -> Option<Vec<Piece>> {
    match parser.parse(bytes) {
        Ok(document) => delivery_within(&Event::new(document), most),
        Err(_) => pieces_within(bytes, most),
    }
}

/// The records of a delivery file that came as one record, or in the envelope of one.
pub(crate) fn delivery_within(event: &Event<'_>, most: usize) -> Option<Vec<Piece>> {
    let root = event.root();
    if root.get("eventID").is_some() {
        return None;
    }
    let list = root.get("Records")?;
    if list.kind() != Kind::Array {
        return None;
    }
    let before = &event.document().bytes()[..root.offset()];
    let lines = memchr::memchr_iter(b'\n', before).count() as u64;
    let mut pieces = pieces_within(root.raw(), most)?;
    for piece in &mut pieces {
        piece.start += before.len();
        piece.end += before.len();
        piece.offset += before.len() as u64;
        piece.line += lines;
    }
    Some(pieces)
}

/// What a record turns out to hold, when it is not one event.
pub(crate) fn pieces_of(parser: &mut Parser, bytes: &[u8]) -> Option<Vec<Piece>> {
    pieces_of_at_most(parser, bytes, usize::MAX)
}

/// The pieces of a text that is no single record: a delivery file, or several whole values.
pub(crate) fn pieces_within(bytes: &[u8], most: usize) -> Option<Vec<Piece>> {
    let mut splitter = Splitter::new(EVENT_BYTES_MAX);
    let mut pieces = Vec::new();
    splitter.split_at_most(bytes, Ending::Last, &mut pieces, most);
    let is_object = |one: &Piece| one.kind == PieceKind::Record && bytes[one.start] == b'{';
    let several = pieces.len() > 1 && pieces.iter().all(is_object);
    (several || splitter.found_wrapper()).then_some(pieces)
}
