//! A JSON string as it stands in the event.
//!
//! Relies on the parser having checked every escape. Must never allocate for a string without escapes, and
//! never for a comparison: nearly no string of an audit event is escaped, and nearly all are only compared.

use std::borrow::Cow;
use std::fmt;

/// A string or key of an event: the bytes between its quotes, perhaps with escapes.
#[derive(Clone, Copy)]
pub struct Text<'d> {
    raw: &'d str,
    escaped: bool,
}

impl<'d> Text<'d> {
    pub(super) fn new(raw: &'d str, escaped: bool) -> Text<'d> {
        Text { raw, escaped }
    }

    /// What stands between the quotes, escapes not resolved.
    pub fn raw(self) -> &'d str {
        self.raw
    }

    /// Whether there are escapes, so that `raw` is not the value.
    pub fn is_escaped(self) -> bool {
        self.escaped
    }

    /// The value; borrowed from the event unless there are escapes.
    pub fn decode(self) -> Cow<'d, str> {
        if self.escaped {
            let mut value = String::with_capacity(self.raw.len());
            self.decode_into(&mut value);
            Cow::Owned(value)
        } else {
            Cow::Borrowed(self.raw)
        }
    }

    /// Puts the value behind what is in `out`.
    pub fn decode_into(self, out: &mut String) {
        if !self.escaped {
            out.push_str(self.raw);
            return;
        }
        for piece in self.pieces() {
            match piece {
                Piece::Plain(text) => out.push_str(text),
                Piece::Escape(character) => out.push(character),
            }
        }
    }

    /// How many code points the value has.
    pub fn count(self) -> usize {
        if !self.escaped {
            return count(self.raw);
        }
        self.pieces()
            .map(|piece| match piece {
                Piece::Plain(text) => count(text),
                Piece::Escape(_) => 1,
            })
            .sum()
    }

    /// Whether the value is `other`, without allocating.
    pub fn eq_str(self, other: &str) -> bool {
        if self.escaped {
            !self.differs_before_escapes(other)
                && same(self.pieces(), std::iter::once(Piece::Plain(other)))
        } else {
            self.raw == other
        }
    }

    fn pieces(self) -> Pieces<'d> {
        Pieces { rest: self.raw }
    }

    /// Whether this text with escapes surely is not `other`, which has none: what comes before the first escape differs.
    fn differs_before_escapes(self, other: &str) -> bool {
        let (raw, other) = (self.raw.as_bytes(), other.as_bytes());
        let at = common(raw, other);
        at < other.len() && memchr::memchr(b'\\', raw.get(..=at).unwrap_or(raw)).is_none()
    }

    /// Whether two texts with escapes surely are not the same: they differ first where neither has an escape.
    fn differs_beside_escapes(self, other: Text<'_>) -> bool {
        let (left, right) = (self.raw.as_bytes(), other.raw.as_bytes());
        let at = common(left, right);
        // What is before is the same in both; an escape that began there reaches `at` only from so near.
        let near = at.saturating_sub(ESCAPE_BYTES_MAX - 1);
        match (left.get(near..=at), right.get(near..=at)) {
            (Some(left), Some(right)) => !left.contains(&b'\\') && !right.contains(&b'\\'),
            _ => false,
        }
    }
}

/// The longest escape, `\u00e9`; of a pair of surrogates the second begins with a backslash of its own.
const ESCAPE_BYTES_MAX: usize = 6;

/// How many bytes two texts have in common at their beginning.
fn common(left: &[u8], right: &[u8]) -> usize {
    let (left_words, right_words) = (left.as_chunks::<8>().0, right.as_chunks::<8>().0);
    let mut at = 0;
    for (one, other) in left_words.iter().zip(right_words) {
        let unlike = u64::from_le_bytes(*one) ^ u64::from_le_bytes(*other);
        if unlike != 0 {
            return at + unlike.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    let rest = left[at..].iter().zip(&right[at..]);
    at + rest.take_while(|(one, other)| one == other).count()
}

/// Code points; nearly all text is ASCII, which is seen faster than it is counted.
fn count(text: &str) -> usize {
    if text.is_ascii() {
        text.len()
    } else {
        text.chars().count()
    }
}

/// Whether two texts are the same, piece by piece; each piece is looked at once.
fn same<'d>(
    mut left: impl Iterator<Item = Piece<'d>>,
    mut right: impl Iterator<Item = Piece<'d>>,
) -> bool {
    const NOTHING: Piece<'static> = Piece::Plain("");
    let (mut one, mut other) = (NOTHING, NOTHING);
    loop {
        while one.is_empty()
            && let Some(next) = left.next()
        {
            one = next;
        }
        while other.is_empty()
            && let Some(next) = right.next()
        {
            other = next;
        }
        if one.is_empty() || other.is_empty() {
            return one.is_empty() && other.is_empty();
        }
        (one, other) = match (one, other) {
            (Piece::Plain(one), Piece::Plain(other)) => {
                let length = one.len().min(other.len());
                if one.as_bytes()[..length] != other.as_bytes()[..length] {
                    return false;
                }
                // Equal bytes up to the end of one text end at a character in the other as well.
                (
                    Piece::Plain(one.get(length..).unwrap_or("")),
                    Piece::Plain(other.get(length..).unwrap_or("")),
                )
            }
            (one, other) => {
                let ((first, one), (second, other)) = (one.first(), other.first());
                if first != second {
                    return false;
                }
                (one, other)
            }
        };
    }
}

impl PartialEq for Text<'_> {
    fn eq(&self, other: &Text<'_>) -> bool {
        match (self.escaped, other.escaped) {
            (false, _) => other.eq_str(self.raw),
            (true, false) => self.eq_str(other.raw),
            // The same bytes are the same text; other bytes may be as well.
            (true, true) => {
                self.raw == other.raw
                    || (!self.differs_beside_escapes(*other) && same(self.pieces(), other.pieces()))
            }
        }
    }
}

impl Eq for Text<'_> {}

impl fmt::Debug for Text<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.decode(), formatter)
    }
}

impl fmt::Display for Text<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&*self.decode(), formatter)
    }
}

/// Part of a string: text without escapes, or what one escape stands for.
#[derive(Clone, Copy)]
enum Piece<'d> {
    Plain(&'d str),
    Escape(char),
}

impl<'d> Piece<'d> {
    fn is_empty(self) -> bool {
        matches!(self, Piece::Plain(""))
    }

    /// The first character, and what follows.
    fn first(self) -> (Option<char>, Piece<'d>) {
        match self {
            Piece::Plain(text) => {
                let mut characters = text.chars();
                let first = characters.next();
                (first, Piece::Plain(characters.as_str()))
            }
            Piece::Escape(character) => (Some(character), Piece::Plain("")),
        }
    }
}

/// The pieces of a string whose escapes were checked. Text that was not checked gives replacement
/// characters rather than a panic.
struct Pieces<'d> {
    rest: &'d str,
}

impl<'d> Iterator for Pieces<'d> {
    type Item = Piece<'d>;

    fn next(&mut self) -> Option<Piece<'d>> {
        if let Some(after) = self.rest.strip_prefix('\\') {
            let mut characters = after.chars();
            let named = characters.next()?;
            self.rest = characters.as_str();
            return Some(Piece::Escape(match named {
                'b' => '\u{8}',
                'f' => '\u{c}',
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                'u' => self.code_point(),
                other => other,
            }));
        }
        if self.rest.is_empty() {
            return None;
        }
        let end = memchr::memchr(b'\\', self.rest.as_bytes()).unwrap_or(self.rest.len());
        let (plain, rest) = self.rest.split_at(end);
        self.rest = rest;
        Some(Piece::Plain(plain))
    }
}

impl Pieces<'_> {
    fn code_point(&mut self) -> char {
        let high = self.unit();
        if !(0xD800..0xDC00).contains(&high) {
            return char::from_u32(high).unwrap_or(char::REPLACEMENT_CHARACTER);
        }
        self.rest = self.rest.strip_prefix("\\u").unwrap_or(self.rest);
        let low = self.unit();
        let code = 0x10000 + ((high - 0xD800) << 10) + (low.wrapping_sub(0xDC00) & 0x3FF);
        char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER)
    }

    fn unit(&mut self) -> u32 {
        let Some((digits, rest)) = self.rest.split_at_checked(4) else {
            self.rest = "";
            return 0xFFFD;
        };
        self.rest = rest;
        u32::from_str_radix(digits, 16).unwrap_or(0xFFFD)
    }
}

/// Checks the escape whose backslash is at `at` in a string that ends at `end`; gives the offset after it.
/// A pair of surrogates is one escape.
pub(super) fn check_escape(bytes: &[u8], at: usize, end: usize) -> Option<usize> {
    let body = bytes.get(at..end)?;
    match body.get(1)? {
        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Some(at + 2),
        b'u' => match unit_of(body.get(2..6)?)? {
            0xD800..=0xDBFF if body.get(6..8)? == b"\\u" => match unit_of(body.get(8..12)?)? {
                0xDC00..=0xDFFF => Some(at + 12),
                _ => None,
            },
            0xD800..=0xDFFF => None,
            _ => Some(at + 6),
        },
        _ => None,
    }
}

fn unit_of(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0, |unit, digit| {
        Some(unit << 4 | char::from(*digit).to_digit(16)?)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(raw: &str, expected: &str) {
        let text = Text::new(raw, raw.contains('\\'));
        assert_eq!(text.decode(), expected, "{raw}");
        assert!(text.eq_str(expected), "{raw}");
        assert!(!text.eq_str("something else"), "{raw}");
        assert_eq!(text.count(), expected.chars().count(), "{raw}");
        assert!(text == Text::new(expected, false), "{raw}");
        assert!(Text::new(expected, false) == text, "{raw}");
        assert_eq!(text.to_string(), expected);
    }

    #[test]
    fn decodes() {
        check("", "");
        check("plain", "plain");
        check(r#"a\"b\\c\/d\b\f\n\r\t"#, "a\"b\\c/d\u{8}\u{c}\n\r\t");
        check(r"\u0041\u00e9\u20AC\ud83d\ude00z", "Aé€😀z");
        check(r"\\u0041", r"\u0041");
        check("é\\u0000", "é\0");
    }

    #[test]
    fn escapes_do_not_hide_that_texts_are_the_same() {
        let same = |left: &str, right: &str| {
            let left = Text::new(left, left.contains('\\'));
            let right = Text::new(right, right.contains('\\'));
            assert_eq!(left == right, right == left);
            left == right
        };
        assert!(same(r"a\u00e9\/z\n", r"aé/z\u000A"));
        assert!(same(r"\ud83d\ude00\u0061", "😀a"));
        assert!(same(r"\u0061\u0062é", r"ab\u00e9"));
        assert!(!same(r"a\nb", r"a\nc"));
        assert!(!same(r"a\nb", r"a\nbc"));
        assert!(!same(r"é\n", r"è\n"));
        assert!(!same(r"\u00e9", r"\u00c3"));
        assert!(!same(r"\n", ""));
        assert!(same(r"\u00e9\u00e9", r"\u00e9é"));
        assert!(same(r"12345678\u00e9", r"12345678\u00E9"));
        assert!(same(r"\t\ud83d\ude00", r"\t😀"));
        assert!(!same(r"\t\ud83d\ude00", r"\t\ud83d\ude01"));
        assert!(!same(r"\t1234567a", r"\t1234567b"));
        assert!(!same(r"\t1234567", r"\t1234567b"));
        assert!(same(r"\t/1234567\/", r"\t\/1234567/"));
        assert!(!same(r"é\t", r"è\t"));
    }

    #[test]
    fn unchecked_text_does_not_panic() {
        for raw in [
            r"\",
            r"\u",
            r"\u12",
            r"\ud800",
            r"\ud800\u0041",
            r"\uzzzz",
            "\\ué€",
        ] {
            let _ = Text::new(raw, true).decode();
        }
    }

    #[test]
    fn escapes_are_checked() {
        let check = |text: &str, expected| {
            assert_eq!(
                check_escape(text.as_bytes(), 0, text.len()),
                expected,
                "{text}"
            );
        };
        check(r"\n", Some(2));
        check(r"\u00e9z", Some(6));
        check(r"\ud83d\ude00", Some(12));
        for refused in [
            r"\",
            r"\x",
            r"\u",
            r"\u12",
            r"\u12g4",
            r"\ud800",
            r"\ud800z",
            r"\ud800\n",
            r"\udc00",
            r"\ud800\ud800",
            r"\u+123",
        ] {
            check(refused, None);
        }
    }
}
