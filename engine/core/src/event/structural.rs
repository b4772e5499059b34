//! Where the strings are: the positions of all quotes and of all that is unusual within strings.
//!
//! One pass over the text, before anything is understood. It gives the walk two lists: quotes that open or
//! close a string, and `specials`, backslashes and control characters within strings, so that the walk never
//! looks at the body of an ordinary string. It also says whether the text is UTF-8. Relies on nothing.
//!
//! A quote counts as escaped by the backslashes before it wherever they are; outside of strings that is wrong,
//! but there a backslash is a mistake that the walk meets first. All lists are in order and end with
//! [`END`], twice, so that an unclosed string has an end that no text has.

use super::reason::{Malformed, Reason};

/// Beyond every position.
pub(super) const END: u32 = u32::MAX;

/// What one pass over the text found.
#[derive(Default)]
pub(super) struct Marks {
    /// Positions of unescaped quotes.
    pub(super) quotes: Vec<u32>,
    /// Positions of backslashes, and of control characters within strings.
    pub(super) specials: Vec<u32>,
}

impl Marks {
    /// Reads `bytes` once; gives them as text.
    pub(super) fn scan<'d>(&mut self, bytes: &'d [u8]) -> Result<&'d str, Malformed> {
        self.quotes.clear();
        self.specials.clear();
        scan_plain(bytes, self);
        self.quotes.extend([END, END]);
        self.specials.extend([END, END]);
        std::str::from_utf8(bytes)
            .map_err(|error| Malformed::new(Reason::NotUtf8, error.valid_up_to()))
    }
}

/// The pass, byte by byte: what all other ways to do it must agree with.
fn scan_plain(bytes: &[u8], marks: &mut Marks) {
    let mut in_string = false;
    let mut escaped = false;
    for (position, byte) in bytes.iter().enumerate() {
        match byte {
            b'\\' => marks.specials.push(position as u32),
            b'"' if !escaped => {
                marks.quotes.push(position as u32);
                in_string = !in_string;
            }
            0..0x20 if in_string => marks.specials.push(position as u32),
            _ => {}
        }
        escaped = *byte == b'\\' && !escaped;
    }
}
