//! What the terminal can show: colour or not, how wide, and escapes that must not reach it.
//!
//! Whatever comes from events, rules, tests, names of files and messages about them goes through `Shown` (or
//! `printable_lines`, when it has lines) before it is printed. What is not printable is told by core, in one place.

use clap::ValueEnum;
use std::io::{self, IsTerminal, Write};
use tripline_core::diagnostic::Palette;

/// Text made safe to print.
pub(crate) use tripline_core::diagnostic::{Printable as Shown, printable_json, printable_lines};

/// When to use colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ColorChoice {
    /// On a terminal, unless NO_COLOR is set.
    Auto,
    Always,
    Never,
}

impl ColorChoice {
    /// The palette for a stream that is a terminal or not.
    pub(crate) fn palette(self, stream: &impl IsTerminal) -> Palette {
        let coloured = match self {
            Self::Always => true,
            Self::Never => false,
            Self::Auto => {
                let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
                let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
                stream.is_terminal() && !refused && !dumb
            }
        };
        if coloured {
            Palette::ANSI
        } else {
            Palette::PLAIN
        }
    }
}

/// Columns of a line: what COLUMNS says, or those of the terminal, also where standard output goes through a pager to
/// it, as the help of commands has it; or 120.
pub(crate) fn width() -> usize {
    let measured = || terminal_size::terminal_size().map(|(width, _)| usize::from(width.0));
    width_of(std::env::var("COLUMNS").ok().as_deref(), measured)
}

fn width_of(told: Option<&str>, measured: impl FnOnce() -> Option<usize>) -> usize {
    told.and_then(|text| text.parse().ok())
        .filter(|width| *width > 0)
        .or_else(measured)
        .unwrap_or(120)
}

/// Hands JSON on to a terminal, with what is not printable as escapes: the bytes of events too, which are kept as they
/// are everywhere else.
pub(crate) struct JsonForTerminal<W> {
    inner: W,
    /// The beginning of a character whose end has not come yet.
    begun: Vec<u8>,
}

impl<W> JsonForTerminal<W> {
    pub(crate) fn new(inner: W) -> Self {
        Self {
            inner,
            begun: Vec::new(),
        }
    }
}

impl<W: Write> Write for JsonForTerminal<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut whole = std::mem::take(&mut self.begun);
        whole.extend_from_slice(bytes);
        let mut rest = whole.as_slice();
        let mut text = String::new();
        loop {
            let (good, bad) = match std::str::from_utf8(rest) {
                Ok(good) => (good.len(), Some(0)),
                Err(error) => (error.valid_up_to(), error.error_len()),
            };
            text.push_str(&String::from_utf8_lossy(&rest[..good]));
            rest = &rest[good..];
            match bad {
                Some(0) => break,
                Some(length) => {
                    text.push(char::REPLACEMENT_CHARACTER);
                    rest = &rest[length..];
                }
                None => {
                    self.begun = rest.to_vec();
                    break;
                }
            }
        }
        self.inner.write_all(printable_json(&text).as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// A count with its digits in groups of three.
pub(crate) fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `1 event`, `2 events`.
pub(crate) fn counted(count: u64, noun: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", grouped(count))
}

/// How a text is shown that is empty: nothing would look like a mistake.
pub(crate) const NO_TEXT: &str = "\"\"";

/// The parts of a group or a key, in one text.
pub(crate) fn joined(parts: &[impl AsRef<str>], separator: &str) -> String {
    let parts = parts.iter().map(|part| match part.as_ref() {
        "" => NO_TEXT,
        part => part,
    });
    parts.collect::<Vec<_>>().join(separator)
}

/// Columns that a text takes on a terminal: characters of East Asia and pictures take two, combining marks none.
pub(crate) fn columns(text: &str) -> usize {
    text.chars().map(columns_of).sum()
}

fn columns_of(one: char) -> usize {
    match one {
        '\u{300}'..='\u{36f}'
        | '\u{483}'..='\u{489}'
        | '\u{591}'..='\u{5bd}'
        | '\u{610}'..='\u{61a}'
        | '\u{64b}'..='\u{65f}'
        | '\u{e31}'
        | '\u{e34}'..='\u{e3a}'
        | '\u{e47}'..='\u{e4e}'
        | '\u{1ab0}'..='\u{1aff}'
        | '\u{1dc0}'..='\u{1dff}'
        | '\u{20d0}'..='\u{20ff}'
        | '\u{fe00}'..='\u{fe0f}'
        | '\u{fe20}'..='\u{fe2f}'
        | '\u{1f3fb}'..='\u{1f3ff}' => 0,
        '\u{1100}'..='\u{115e}'
        | '\u{2e80}'..='\u{303e}'
        | '\u{3041}'..='\u{a4cf}'
        | '\u{a960}'..='\u{a97f}'
        | '\u{ac00}'..='\u{d7a3}'
        | '\u{f900}'..='\u{faff}'
        | '\u{fe30}'..='\u{fe6f}'
        | '\u{ff01}'..='\u{ff60}'
        | '\u{ffe0}'..='\u{ffe6}'
        | '\u{1f300}'..='\u{1f64f}'
        | '\u{1f680}'..='\u{1f6ff}'
        | '\u{1f900}'..='\u{1f9ff}'
        | '\u{20000}'..='\u{3fffd}' => 2,
        _ => 1,
    }
}

/// Text made safe to print, and as wide as its column of a table; longer text stays whole.
pub(crate) fn cell(text: &str, width: usize) -> String {
    let mut out = Shown(text).to_string();
    let missing = width.saturating_sub(columns(&out));
    out.extend(std::iter::repeat_n(' ', missing));
    out
}

#[cfg(test)]
mod tests {
    use super::{JsonForTerminal, cell, counted, grouped, width_of};
    use std::io::Write;

    #[test]
    fn json_for_a_terminal_says_the_same() {
        let json = "{\"a\":\"\u{9b}2J\u{202e}é日\"}\n";
        for pieces in 1..json.len() {
            let mut out = JsonForTerminal::new(Vec::new());
            for piece in json.as_bytes().chunks(pieces) {
                out.write_all(piece).expect("memory takes all");
            }
            let text = String::from_utf8(out.inner).expect("it is text");
            assert_eq!(text, "{\"a\":\"\\u009b2J\\u202eé日\"}\n");
        }
        let mut out = JsonForTerminal::new(Vec::new());
        out.write_all(b"a\xff\xe6b").expect("memory takes all");
        assert_eq!(out.inner, "a\u{fffd}\u{fffd}b".as_bytes());
    }

    #[test]
    fn the_width_is_told_or_measured() {
        let check = |told: Option<&str>, measured: Option<usize>, expected: usize| {
            assert_eq!(width_of(told, || measured), expected);
        };
        check(Some("90"), Some(70), 90);
        check(Some("0"), Some(70), 70);
        check(Some("wide"), Some(70), 70);
        check(None, Some(70), 70);
        check(None, None, 120);
    }

    #[test]
    fn cells_are_as_wide_as_they_look() {
        let check = |text: &str, expected: &str| assert_eq!(cell(text, 6), expected);
        check("logs", "logs  ");
        check("日本", "日本  ");
        check("e\u{301}te\u{301}", "e\u{301}te\u{301}   ");
        check("a\u{1b}", "a\\u{1b}");
        check("longer", "longer");
    }

    #[test]
    fn counts_read_well() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(1_234_567), "1,234,567");
        assert_eq!(counted(1, "event"), "1 event");
        assert_eq!(counted(1000, "event"), "1,000 events");
    }
}
