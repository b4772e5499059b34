//! What an input is cut into: records for the parser, and faults.
//!
//! A piece says where it stands, in bytes and in lines, so that whatever is wrong with it can be found
//! again. It owns nothing: its bytes stay in the reader's buffer.

use std::fmt;
use tripline_core::limits::EVENT_BYTES_MAX;

/// Why a piece of text is no record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It lacks its end.
    Truncated,
    /// It is longer than any event may be; its bytes were passed over.
    TooLong,
    /// It is not JSON.
    Syntax,
    /// A broken record hides where the next one starts, up to the end of this line or of the input.
    Unseparable,
    /// The text is UTF-16 or UTF-32.
    WideCharacters,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated => f.write_str("the text ends before the record does"),
            Self::TooLong => write!(f, "longer than {EVENT_BYTES_MAX} bytes"),
            Self::Syntax => f.write_str("not JSON"),
            Self::Unseparable => f.write_str(
                "what follows a broken record cannot be told apart; the rest of the line, or of a compact file, is passed over",
            ),
            Self::WideCharacters => f.write_str("UTF-16 or UTF-32 text; convert it to UTF-8"),
        }
    }
}

/// What a piece is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PieceKind {
    /// Bytes for the parser.
    Record,
    /// Nothing to parse.
    Fault(Fault),
}

/// One unit of an input: each is counted as read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    /// First byte in the buffer given; without meaning for a fault.
    pub(crate) start: usize,
    /// One past the last byte in the buffer given.
    pub(crate) end: usize,
    /// Byte in the (decompressed) input where it starts.
    pub(crate) offset: u64,
    /// Physical line, from 1, where it starts.
    pub(crate) line: u64,
    /// Record or fault.
    pub(crate) kind: PieceKind,
}

/// Whether more bytes will come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    More,
    Last,
}
