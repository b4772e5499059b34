//! Text that is safe to print, and looks like what it is.
//!
//! Text of events is hostile, and rule files are read before they are trusted: an escape sequence in a user agent could
//! rewrite the screen of the person who reads findings, a change of direction could make `evil` read `live`, and what
//! takes no room could make two names look the same. Such characters are written as escapes, in one notation
//! everywhere: `\u{1b}`. This is the only list of them. Leaving them out was rejected: a person must see that they
//! are there.

use std::fmt::{self, Write as _};

/// Text whose characters that are not printable are written as escapes; line ends and tabs are among them.
#[derive(Clone, Copy, Debug)]
pub struct Printable<'t>(pub &'t str);

impl fmt::Display for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0;
        while let Some((at, found)) = rest.char_indices().find(|(_, one)| !is_printable(*one)) {
            f.write_str(&rest[..at])?;
            write!(f, "{}", found.escape_unicode())?;
            rest = &rest[at + found.len_utf8()..];
        }
        f.write_str(rest)
    }
}

/// The same of a text of several lines: lines stay lines, and a tab is a space.
pub fn printable_lines(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        let ends = ["\r\n", "\n"].iter().find(|end| line.ends_with(**end));
        let line = &line[..line.len() - ends.map_or(0, |end| end.len())];
        // Writing into memory cannot fail.
        let _ = write!(out, "{}", Printable(&line.replace('\t', " ")));
        out.push_str(ends.map_or("", |_| "\n"));
    }
    out
}

/// Whether a character shows what it is, moves nothing and takes room. Combining marks and the selectors of
/// pictures do not count: languages need them.
pub fn is_printable(one: char) -> bool {
    if one.is_control() {
        return false;
    }
    !matches!(one,
        // A hyphen, joiners, fillers and separators that are not seen.
        '\u{ad}' | '\u{34f}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200d}' | '\u{2028}' | '\u{2029}' | '\u{2060}'..='\u{2065}' | '\u{3164}' | '\u{feff}'
        | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
        // Directions.
        | '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{206f}'
        // Tags, and selectors in which texts can be hidden.
        | '\u{e0000}'..='\u{e0fff}')
}

/// JSON in which what is not printable is written as escapes. It says the same: such characters stand in strings only.
pub fn printable_json(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for one in json.chars() {
        // Line ends and spaces between values are not in strings.
        if is_printable(one) || one.is_ascii_whitespace() {
            out.push(one);
        } else {
            for unit in one.encode_utf16(&mut [0; 2]) {
                let _ = write!(out, "\\u{unit:04x}");
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{Printable, printable_json, printable_lines};

    #[test]
    fn what_is_not_seen_is_shown() {
        let check = |text: &str, expected: &str| assert_eq!(Printable(text).to_string(), expected);
        check(
            "plain ünïcode, e\u{301}, 日本, 👍🏽",
            "plain ünïcode, e\u{301}, 日本, 👍🏽",
        );
        check("a\u{1b}[2Jb\n", "a\\u{1b}[2Jb\\u{a}");
        check("\u{9b}2J\u{7f}\t", "\\u{9b}2J\\u{7f}\\u{9}");
        check(
            "\u{202e}exe\u{61c}\u{2067}",
            "\\u{202e}exe\\u{61c}\\u{2067}",
        );
        check(
            "a\u{200b}\u{ad}\u{feff}\u{2060}b",
            "a\\u{200b}\\u{ad}\\u{feff}\\u{2060}b",
        );
        check("\u{e0041}\u{3164}", "\\u{e0041}\\u{3164}");
    }

    #[test]
    fn lines_stay_lines() {
        assert_eq!(
            printable_lines("a\tb\r\n\r\u{1b}c\n\nd"),
            "a b\n\\u{d}\\u{1b}c\n\nd"
        );
    }

    #[test]
    fn json_says_the_same() {
        let value = serde_json::json!({ "a\u{9b}": "\u{202e}\u{1b}\u{7f}é\u{e0041}" });
        for text in [value.to_string(), format!("{value:#}\n")] {
            let printable = printable_json(&text);
            assert!(
                printable.contains("\\u202e\\u001b\\u007fé\\udb40\\udc41"),
                "{printable}"
            );
            let read: serde_json::Value = serde_json::from_str(&printable).expect("JSON");
            assert_eq!(read, value);
        }
    }
}
