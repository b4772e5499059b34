//! What the terminal can show: colour or not, how wide, and escapes that must not reach it.
//!
//! Text from events is hostile: an escape sequence in a user agent could rewrite the screen of the person
//! reading findings. Whatever comes from an event goes through `Shown` before it is printed.

use clap::ValueEnum;
use std::fmt;
use std::io::IsTerminal;
use tripline_core::diagnostic::Palette;

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

/// Columns of a line on standard output: those of the terminal, or what COLUMNS says, or 120.
pub(crate) fn width() -> usize {
    let told = std::env::var("COLUMNS").ok();
    let told = told.and_then(|text| text.parse::<usize>().ok());
    let measured = || terminal_size::terminal_size_of(std::io::stdout());
    told.or_else(|| measured().map(|(width, _)| usize::from(width.0)))
        .filter(|width| *width > 0)
        .unwrap_or(120)
}

/// Text made safe to print: control and direction-changing characters are written as escapes.
pub(crate) struct Shown<'t>(pub(crate) &'t str);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0;
        while let Some((at, found)) = rest.char_indices().find(|(_, one)| is_unsafe(*one)) {
            f.write_str(&rest[..at])?;
            write!(f, "{}", found.escape_unicode())?;
            rest = &rest[at + found.len_utf8()..];
        }
        f.write_str(rest)
    }
}

fn is_unsafe(one: char) -> bool {
    one.is_control()
        || matches!(one, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
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

#[cfg(test)]
mod tests {
    use super::{Shown, counted, grouped};

    #[test]
    fn escapes_do_not_reach_the_terminal() {
        let check = |text: &str, expected: &str| assert_eq!(Shown(text).to_string(), expected);
        check("plain ünïcode", "plain ünïcode");
        check("a\u{1b}[2Jb\n", "a\\u{1b}[2Jb\\u{a}");
        check("\u{202e}exe", "\\u{202e}exe");
    }

    #[test]
    fn counts_read_well() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(1_234_567), "1,234,567");
        assert_eq!(counted(1, "event"), "1 event");
        assert_eq!(counted(1000, "event"), "1,000 events");
    }
}
