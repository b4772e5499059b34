//! Literals of selector text: numbers, strings and bytes with their escapes, and how to write them again.
//!
//! Relies on nothing but the text. Must never panic on any text and never read past the literal: an
//! unterminated string ends at the end of its line (or of the text, in triple quotes), so that what follows
//! is still checked.

use super::lex::{self, TokenKind};
use crate::diagnostic::is_printable;
use std::fmt::Write as _;

/// How a string is opened.
#[derive(Clone, Copy, Debug)]
pub(super) struct Quote {
    /// `"` or `'`.
    pub(super) mark: u8,
    /// Three marks: the text may span lines.
    pub(super) triple: bool,
}

/// Something wrong inside a literal; offsets from the literal's start.
#[derive(Debug)]
pub(super) struct Problem {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) message: String,
    pub(super) help: String,
}

/// A string or bytes literal as read.
pub(super) struct ScannedString {
    pub(super) kind: TokenKind,
    pub(super) length: usize,
    pub(super) problems: Vec<Problem>,
}

/// What is wrong with a number.
pub(super) struct NumberProblem {
    pub(super) message: String,
    pub(super) help: &'static str,
}

/// Reads the number at the start of `text`; also how many bytes it takes.
pub(super) fn number(text: &str) -> (Result<TokenKind, NumberProblem>, usize) {
    let bytes = text.as_bytes();
    let digits = |from: usize| {
        bytes[from..]
            .iter()
            .take_while(|byte| byte.is_ascii_digit())
            .count()
    };
    if bytes[0] == b'0' && matches!(bytes.get(1), Some(b'x' | b'X')) {
        let length = 2 + bytes[2..]
            .iter()
            .take_while(|byte| byte.is_ascii_hexdigit())
            .count();
        return integer(text, &text[2..length], 16, length);
    }
    let whole = digits(0);
    let mut length = whole;
    let mut fractional = false;
    if bytes.get(length) == Some(&b'.') && digits(length + 1) > 0 {
        length += 1 + digits(length + 1);
        fractional = true;
    }
    if matches!(bytes.get(length), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(length + 1), Some(b'+' | b'-')));
        let from = (length + 1 + sign).min(bytes.len());
        if digits(from) > 0 {
            length = from + digits(from);
            fractional = true;
        }
    }
    if !fractional {
        return integer(text, &text[..length], 10, length);
    }
    let value: f64 = text[..length].parse().unwrap_or(f64::INFINITY);
    if value.is_finite() {
        return (Ok(TokenKind::Double(value)), length);
    }
    let message = "the number is too large for a double".to_owned();
    (
        Err(NumberProblem {
            message,
            help: "the largest double is about 1.8e308",
        }),
        length,
    )
}

fn integer(
    text: &str,
    digits: &str,
    radix: u32,
    length: usize,
) -> (Result<TokenKind, NumberProblem>, usize) {
    let unsigned = matches!(text.as_bytes().get(length), Some(b'u' | b'U'));
    let length = length + usize::from(unsigned);
    let result = match u64::from_str_radix(digits, radix) {
        Ok(value) if unsigned => Ok(TokenKind::Uint(value)),
        Ok(value) => Ok(TokenKind::Int(value)),
        Err(_) if digits.is_empty() => Err(NumberProblem {
            message: "`0x` without digits".to_owned(),
            help: "hexadecimal numbers are written `0x1f`",
        }),
        Err(_) => Err(NumberProblem {
            message: "the number does not fit 64 bits".to_owned(),
            help: "integers reach from -9223372036854775808 to 9223372036854775807, \
                   unsigned ones to 18446744073709551615u",
        }),
    };
    (result, length)
}

/// Reads the string or bytes literal at the start of `text`, whose prefix is `prefix` bytes long.
pub(super) fn string(text: &str, prefix: usize) -> ScannedString {
    let letters = text[..prefix].to_ascii_lowercase();
    let raw = letters.contains('r');
    let is_bytes = letters.contains('b');
    let quote = lex::quote_of(&text[prefix..]).unwrap_or(Quote {
        mark: b'"',
        triple: false,
    });
    let open = prefix + if quote.triple { 3 } else { 1 };
    let mut problems = Vec::new();
    let (body_end, length) = match body_end(text, open, quote, raw) {
        Ok(end) => (end, end + open - prefix),
        Err(end) => {
            let mark = &text[prefix..open];
            problems.push(Problem {
                start: 0,
                end,
                message: "unterminated string".to_owned(),
                help: if quote.triple || !text[end..].starts_with('\n') {
                    format!("close it with `{mark}`")
                } else {
                    format!("close it with `{mark}`, or use `\"\"\"` for text of several lines")
                },
            });
            (end, end)
        }
    };
    let body = text.get(open..body_end).unwrap_or("");
    let mut reader = Unescape {
        body,
        at: 0,
        open,
        raw,
        is_bytes,
        out: Vec::new(),
        problems,
    };
    reader.run();
    let Unescape { out, problems, .. } = reader;
    let kind = if is_bytes {
        TokenKind::Bytes(out)
    } else {
        TokenKind::String(String::from_utf8_lossy(&out).into_owned())
    };
    ScannedString {
        kind,
        length,
        problems,
    }
}

/// Where the body ends: `Ok` at the closing quote, `Err` where an unterminated one is cut off.
fn body_end(text: &str, open: usize, quote: Quote, raw: bool) -> Result<usize, usize> {
    let bytes = text.as_bytes();
    let mut at = open;
    while at < bytes.len() {
        let byte = bytes[at];
        if byte == b'\\' && !raw {
            at += 1 + usize::from(!matches!(bytes.get(at + 1), None | Some(b'\n' | b'\r')));
            continue;
        }
        if !quote.triple && matches!(byte, b'\n' | b'\r') {
            return Err(at);
        }
        if byte == quote.mark {
            let closes = !quote.triple
                || (bytes.get(at + 1) == Some(&quote.mark)
                    && bytes.get(at + 2) == Some(&quote.mark));
            if closes {
                return Ok(at);
            }
        }
        at += 1;
    }
    Err(bytes.len())
}

struct Unescape<'t> {
    body: &'t str,
    at: usize,
    open: usize,
    raw: bool,
    is_bytes: bool,
    out: Vec<u8>,
    problems: Vec<Problem>,
}

impl Unescape<'_> {
    fn run(&mut self) {
        while let Some(c) = self.body[self.at..].chars().next() {
            if c == '\\' && !self.raw {
                self.escape();
            } else if c == '\r' {
                // The spec reads every line end as a line feed.
                self.at += 1 + usize::from(self.body[self.at + 1..].starts_with('\n'));
                self.out.push(b'\n');
            } else {
                self.at += c.len_utf8();
                self.push(c);
            }
        }
    }

    fn push(&mut self, c: char) {
        let mut buffer = [0; 4];
        self.out
            .extend_from_slice(c.encode_utf8(&mut buffer).as_bytes());
    }

    fn escape(&mut self) {
        let rest = &self.body[self.at + 1..];
        let Some(letter) = rest.chars().next() else {
            self.problem(1, "a lone backslash at the end of a string", "write `\\\\`");
            self.at += 1;
            return;
        };
        let simple = match letter {
            'a' => Some('\u{7}'),
            'b' => Some('\u{8}'),
            'f' => Some('\u{c}'),
            'n' => Some('\n'),
            'r' => Some('\r'),
            't' => Some('\t'),
            'v' => Some('\u{b}'),
            '\\' | '?' | '"' | '\'' | '`' => Some(letter),
            _ => None,
        };
        if let Some(c) = simple {
            self.push(c);
            self.at += 2;
            return;
        }
        match letter {
            'x' | 'X' => self.code(1, 2, 16),
            'u' if !self.is_bytes => self.code(1, 4, 16),
            'U' if !self.is_bytes => self.code(1, 8, 16),
            '0'..='3' => self.code(0, 3, 8),
            _ => {
                let shown = letter.escape_debug();
                self.problem(
                    1 + letter.len_utf8(),
                    &format!("unknown escape `\\{shown}`"),
                    "in a regular expression or path write `\\\\` or use a raw string: `r\"\\d+\"`",
                );
                self.at += 1 + letter.len_utf8();
            }
        }
    }

    /// An escape of exactly `count` digits, `skip` bytes after the backslash.
    fn code(&mut self, skip: usize, count: usize, radix: u32) {
        let from = self.at + 1 + skip;
        let digits = self.body.get(from..from + count);
        let valid = digits.filter(|digits| digits.chars().all(|c| c.is_digit(radix)));
        let Some(value) = valid.and_then(|digits| u32::from_str_radix(digits, radix).ok()) else {
            let kind = if radix == 16 { "hexadecimal" } else { "octal" };
            let message = format!("this escape needs {count} {kind} digits");
            self.problem(
                1 + skip,
                &message,
                "`\\x41`, `\\u0041`, `\\U00000041` and `\\101` are all `A`",
            );
            self.at += 1 + skip.max(1);
            return;
        };
        let length = 1 + skip + count;
        if self.is_bytes {
            self.out.push(value as u8);
        } else if let Some(c) = char::from_u32(value) {
            self.push(c);
        } else {
            self.problem(
                length,
                "this is not a Unicode code point",
                "surrogates cannot stand alone",
            );
        }
        self.at += length;
    }

    fn problem(&mut self, length: usize, message: &str, help: &str) {
        let start = self.open + self.at;
        let end = (start + length).min(self.open + self.body.len());
        let (message, help) = (message.to_owned(), help.to_owned());
        self.problems.push(Problem {
            start,
            end,
            message,
            help,
        });
    }
}

/// `text` as a string literal in double quotes, all of which can be seen.
pub(crate) fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if is_printable(c) => out.push(c),
            c if c > '\u{ffff}' => {
                let _ = write!(out, "\\U{:08x}", u32::from(c));
            }
            c => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
        }
    }
    out.push('"');
    out
}

/// `bytes` as a bytes literal.
pub(super) fn quoted_bytes(bytes: &[u8]) -> String {
    let mut out = String::from("b\"");
    for byte in bytes {
        match byte {
            b'"' => out.push_str("\\\""),
            b'\\' => out.push_str("\\\\"),
            0x20..=0x7e => out.push(char::from(*byte)),
            _ => {
                let _ = write!(out, "\\x{byte:02x}");
            }
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn all_of_a_quoted_text_can_be_seen() {
        assert_eq!(
            quoted("é \"\\\t\u{1b}\u{9b}\u{202e}\u{e0041}"),
            r#""é \"\\\t\u001b\u009b\u202e\U000e0041""#
        );
    }
}
