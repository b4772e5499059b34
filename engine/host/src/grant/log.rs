//! Lines for the operator. See `wit/log.wit`.
//!
//! What plugins write is hostile text on its way to terminals and files: it is escaped here, once, and bounded after
//! that, since an escape is up to ten times as long as what it stands for.

use super::limits::{LOG_CALL_BYTES_MAX, LOG_LINE_BYTES_MAX, LOG_LINE_COST};
use std::fmt::Write as _;
use tripline_core::diagnostic::is_printable;

/// How loud a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)] // `log.wit` says what each is.
pub enum Level {
    Trace,
    Debug,
    Info,
    Warn,
    Error,
}

/// A line, safe to print.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// How loud.
    pub level: Level,
    /// What happened.
    pub message: String,
    /// To whom, and how.
    pub fields: Vec<(String, String)>,
}

/// What one call wrote.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CallLog {
    /// The lines, in order.
    pub lines: Vec<Line>,
    /// Lines that were too long, and are there in part.
    pub cut: u64,
    /// Lines that are not there: the call had written enough, or may not write.
    pub dropped: u64,
    bytes: usize,
}

impl CallLog {
    pub(super) fn write<'f>(
        &mut self,
        level: Level,
        message: &str,
        fields: impl Iterator<Item = (&'f str, &'f str)>,
    ) {
        let left = LOG_CALL_BYTES_MAX - self.bytes;
        if left <= LOG_LINE_COST {
            self.dropped += 1;
            return;
        }
        let most = LOG_LINE_BYTES_MAX.min(left - LOG_LINE_COST);
        let mut room = Room {
            left: most,
            cut: false,
        };
        let message = room.escaped(message);
        let mut kept = Vec::new();
        for (name, value) in fields {
            // What separates fields counts, so that empty ones are not free.
            if room.cut || room.left < 2 {
                room.cut = true;
                break;
            }
            room.left -= 2;
            let name = room.escaped(name);
            kept.push((name, room.escaped(value)));
        }
        self.bytes += LOG_LINE_COST + most - room.left;
        self.cut += u64::from(room.cut);
        self.lines.push(Line {
            level,
            message,
            fields: kept,
        });
    }
}

struct Room {
    left: usize,
    cut: bool,
}

impl Room {
    /// As much of a text as fits, escaped as `diagnostic::Printable` does it. Looks no further than that.
    fn escaped(&mut self, text: &str) -> String {
        let mut out = String::new();
        for one in text.chars() {
            let before = out.len();
            if is_printable(one) {
                out.push(one);
            } else {
                // Writing into memory cannot fail.
                let _ = write!(out, "{}", one.escape_unicode());
            }
            if out.len() > self.left {
                out.truncate(before);
                self.cut = true;
                break;
            }
        }
        self.left -= out.len();
        out
    }
}
