//! Sigma's strings: wildcards, escapes, placeholders, and what modifiers make of them before anything is compared.
//!
//! `*` and `?` are wildcards; a backslash before one of these or before another backslash takes its meaning away, and is
//! itself elsewhere. Everything here is from values to values; what is compared how is `item`'s.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// A string in pieces.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Pattern(pub(super) Vec<Piece>);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    Text(String),
    /// `*`
    Any,
    /// `?`
    One,
    /// `%name%`
    Placeholder(String),
}

/// How a string is compared, when it needs no wildcards inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Shape {
    Is,
    StartsWith,
    EndsWith,
    Contains,
    Like,
}

impl Pattern {
    /// Reads wildcards and escapes.
    pub(super) fn read(text: &str) -> Self {
        let mut pattern = Self::default();
        let mut rest = text.chars().peekable();
        while let Some(c) = rest.next() {
            match c {
                '*' => pattern.0.push(Piece::Any),
                '?' => pattern.0.push(Piece::One),
                '\\' => {
                    let escaped = rest.next_if(|next| matches!(next, '*' | '?' | '\\'));
                    pattern.push(escaped.unwrap_or('\\'));
                }
                c => pattern.push(c),
            }
        }
        pattern
    }

    /// A string without wildcards.
    pub(super) fn plain(text: impl Into<String>) -> Self {
        Self(vec![Piece::Text(text.into())])
    }

    fn push(&mut self, c: char) {
        match self.0.last_mut() {
            Some(Piece::Text(text)) => text.push(c),
            _ => self.0.push(Piece::Text(c.into())),
        }
    }

    fn append(&mut self, piece: Piece) {
        match (self.0.last_mut(), piece) {
            (Some(Piece::Text(text)), Piece::Text(more)) => text.push_str(&more),
            (_, piece) => self.0.push(piece),
        }
    }

    /// The text, when there are no wildcards.
    pub(super) fn as_plain(&self) -> Option<String> {
        let mut all = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => all.push_str(text),
                _ => return None,
            }
        }
        Some(all)
    }

    /// Any text may come before and after it, where it says so.
    pub(super) fn open(mut self, before: bool, after: bool) -> Self {
        if before && self.0.first() != Some(&Piece::Any) {
            self.0.insert(0, Piece::Any);
        }
        if after && (self.0.len() == 1 && before || self.0.last() != Some(&Piece::Any)) {
            // `*` around nothing is one star: it holds any text.
            if self.0.len() > 1 || !before {
                self.0.push(Piece::Any);
            }
        }
        self
    }

    /// How it is compared, and with which text.
    pub(super) fn shape(&self) -> (Shape, String) {
        match &self.0[..] {
            [] => (Shape::Is, String::new()),
            [Piece::Text(text)] => (Shape::Is, text.clone()),
            [Piece::Text(text), Piece::Any] => (Shape::StartsWith, text.clone()),
            [Piece::Any, Piece::Text(text)] => (Shape::EndsWith, text.clone()),
            [Piece::Any, Piece::Text(text), Piece::Any] => (Shape::Contains, text.clone()),
            _ => (Shape::Like, self.like()),
        }
    }

    /// The pattern for `anyLike`.
    fn like(&self) -> String {
        let mut out = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Any => out.push('*'),
                Piece::One => out.push('?'),
                Piece::Text(text) | Piece::Placeholder(text) => {
                    let mut rest = text.chars().peekable();
                    while let Some(c) = rest.next() {
                        // At the end of a piece a wildcard may follow, so there a backslash is always doubled.
                        let ambiguous = rest
                            .peek()
                            .is_none_or(|next| matches!(next, '*' | '?' | '\\'));
                        if matches!(c, '*' | '?') || (c == '\\' && ambiguous) {
                            out.push('\\');
                        }
                        out.push(c);
                    }
                }
            }
        }
        out
    }

    /// A regular expression for the whole text, case minded.
    pub(super) fn regex(&self) -> String {
        let mut out = String::from("(?s)^");
        for piece in &self.0 {
            match piece {
                Piece::Any => out.push_str(".*"),
                Piece::One => out.push('.'),
                Piece::Text(text) | Piece::Placeholder(text) => {
                    out.push_str(&regex_syntax::escape(text));
                }
            }
        }
        out.push('$');
        out
    }

    /// Finds `%name%`.
    pub(super) fn with_placeholders(self) -> Self {
        let mut found = Self::default();
        for piece in self.0 {
            let Piece::Text(text) = piece else {
                found.0.push(piece);
                continue;
            };
            let mut rest = text.as_str();
            while let Some((before, name, after)) = placeholder(rest) {
                if !before.is_empty() {
                    found.append(Piece::Text(before.to_owned()));
                }
                found.0.push(Piece::Placeholder(name.to_owned()));
                rest = after;
            }
            if !rest.is_empty() {
                found.append(Piece::Text(rest.to_owned()));
            }
        }
        found
    }

    /// How much memory it takes, about, in bytes.
    pub(super) fn weight(&self) -> usize {
        let texts = self.0.iter().map(|piece| match piece {
            Piece::Text(text) | Piece::Placeholder(text) => text.len(),
            Piece::Any | Piece::One => 0,
        });
        texts.sum::<usize>() + self.0.len()
    }

    /// How many placeholders are in it.
    pub(super) fn placeholders(&self) -> usize {
        let is = |piece: &&Piece| matches!(piece, Piece::Placeholder(_));
        self.0.iter().filter(is).count()
    }

    /// The first placeholder in it.
    pub(super) fn placeholder(&self) -> Option<&str> {
        self.0.iter().find_map(|piece| match piece {
            Piece::Placeholder(name) => Some(name.as_str()),
            _ => None,
        })
    }

    /// With the first placeholder filled by a pattern.
    pub(super) fn filled(&self, with: &Pattern) -> Self {
        let mut filled = Self::default();
        let mut done = false;
        for piece in &self.0 {
            if !done && matches!(piece, Piece::Placeholder(_)) {
                done = true;
                with.0
                    .iter()
                    .cloned()
                    .for_each(|piece| filled.append(piece));
            } else {
                filled.append(piece.clone());
            }
        }
        filled
    }
}

/// `%name%` in a text: what is before, the name, what is after.
fn placeholder(text: &str) -> Option<(&str, &str, &str)> {
    let sound = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | ':');
    // The second sign of what is no name may begin one.
    let mut start = text.find('%')?;
    loop {
        let end = start + 1 + text[start + 1..].find('%')?;
        let name = &text[start + 1..end];
        if !name.is_empty() && name.chars().all(sound) {
            return Some((&text[..start], name, &text[end + 1..]));
        }
        start = end;
    }
}

/// The signs that programs of Windows take for one another before an option.
const DASHES: [char; 5] = ['-', '/', '\u{2013}', '\u{2014}', '\u{2015}'];
/// Most dashes of one value that are varied, as every one multiplies the variants by five.
pub(super) const DASHES_MAX: usize = 4;

/// All ways to write the dashes that begin a word; `None` when there are too many.
pub(super) fn windash(pattern: &Pattern) -> Option<Vec<Pattern>> {
    let mut variants = vec![Pattern::default()];
    let mut dashes = 0;
    for piece in &pattern.0 {
        let Piece::Text(text) = piece else {
            variants
                .iter_mut()
                .for_each(|one| one.0.push(piece.clone()));
            continue;
        };
        let characters: Vec<char> = text.chars().collect();
        for (at, c) in characters.iter().enumerate() {
            let word = |c: Option<&char>| c.is_some_and(|c| c.is_alphanumeric() || *c == '_');
            let before = at.checked_sub(1).and_then(|before| characters.get(before));
            if DASHES.contains(c) && !word(before) && word(characters.get(at + 1)) {
                dashes += 1;
                if dashes > DASHES_MAX {
                    return None;
                }
                variants = variants
                    .iter()
                    .flat_map(|variant| {
                        DASHES.iter().map(|dash| {
                            let mut variant = variant.clone();
                            variant.push(*dash);
                            variant
                        })
                    })
                    .collect();
            } else {
                variants.iter_mut().for_each(|variant| variant.push(*c));
            }
        }
    }
    Some(variants)
}

/// How text becomes bytes before base64.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    Utf8,
    Utf16Le,
    Utf16Be,
    /// With a byte order mark.
    Utf16,
}

impl Encoding {
    pub(super) fn encode(self, text: &str) -> Vec<u8> {
        let units = || text.encode_utf16();
        match self {
            Self::Utf8 => text.as_bytes().to_vec(),
            Self::Utf16Le => units().flat_map(u16::to_le_bytes).collect(),
            Self::Utf16Be => units().flat_map(u16::to_be_bytes).collect(),
            Self::Utf16 => [0xFF, 0xFE]
                .into_iter()
                .chain(units().flat_map(u16::to_le_bytes))
                .collect(),
        }
    }
}

/// The bytes in base64.
pub(super) fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// What is in the base64 of any text that holds the bytes, at each of the three places where they can stand.
pub(super) fn base64_offsets(bytes: &[u8]) -> Vec<String> {
    // Of the first group as many letters depend on what comes before, of the last on what comes after.
    const FIRST: [usize; 3] = [0, 2, 3];
    const LAST: [usize; 3] = [0, 3, 2];
    (0..3)
        .map(|shift| {
            let mut shifted = vec![b' '; shift];
            shifted.extend_from_slice(bytes);
            let text = STANDARD.encode(&shifted);
            let end = text.len() - LAST[shifted.len() % 3];
            text[FIRST[shift].min(end)..end].to_owned()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_follow_from_wildcards() {
        let check = |text: &str, shape: Shape, value: &str| {
            assert_eq!(
                Pattern::read(text).shape(),
                (shape, value.to_owned()),
                "{text}"
            );
        };
        check("abc", Shape::Is, "abc");
        check("", Shape::Is, "");
        check("abc*", Shape::StartsWith, "abc");
        check("*abc", Shape::EndsWith, "abc");
        check("*abc*", Shape::Contains, "abc");
        check("*", Shape::Like, "*");
        check("a*b?", Shape::Like, "a*b?");
        check(r"a\*b", Shape::Is, "a*b");
        check(r"\*a*", Shape::StartsWith, "*a");
        check(r"*\\cmd.exe", Shape::EndsWith, r"\cmd.exe");
        check(r"*\cmd.exe", Shape::EndsWith, r"\cmd.exe");
        check(r"c:\*\x?", Shape::Like, r"c:\*\x?");
        check(r"a\\*b*", Shape::Like, r"a\\*b*");
    }

    #[test]
    fn opening_adds_stars_once() {
        let check = |text: &str, before: bool, after: bool, value: (Shape, &str)| {
            let (shape, found) = Pattern::read(text).open(before, after).shape();
            assert_eq!((shape, found.as_str()), value, "{text}");
        };
        check("a", true, true, (Shape::Contains, "a"));
        check("*a", true, true, (Shape::Contains, "a"));
        check("*", true, true, (Shape::Like, "*"));
        check("", true, true, (Shape::Like, "*"));
        check("", false, true, (Shape::Like, "*"));
        check("a", false, true, (Shape::StartsWith, "a"));
        check("a", true, false, (Shape::EndsWith, "a"));
    }

    #[test]
    fn placeholders_are_found_and_filled() {
        let pattern = Pattern::read("100% a %x.y% b").with_placeholders();
        assert_eq!(pattern.placeholder(), Some("x.y"));
        let filled = pattern.filled(&Pattern::plain("z"));
        assert_eq!(filled.as_plain().as_deref(), Some("100% a z b"));
        let many = Pattern::read(&"% ".repeat(1_000_000)).with_placeholders();
        assert_eq!(many.placeholder(), None);
    }

    #[test]
    fn dashes_of_options_are_varied() {
        let variants = windash(&Pattern::read("x -a b-c /d")).expect("few dashes");
        assert_eq!(variants.len(), 25);
        assert!(variants.contains(&Pattern::plain("x /a b-c \u{2014}d")));
        assert_eq!(windash(&Pattern::read("-a -b -c -d -e")), None);
    }

    #[test]
    fn base64_is_found_at_every_place() {
        let holds = |before: &str, after: &str| {
            let whole = base64(format!("{before}foobar{after}").as_bytes());
            base64_offsets(b"foobar")
                .iter()
                .any(|part| whole.contains(part.as_str()))
        };
        for before in ["", "x", "xy", "xyz"] {
            for after in ["", "x", "xy", "xyz"] {
                assert!(holds(before, after), "{before} {after}");
            }
        }
        assert_eq!(base64(&Encoding::Utf16Le.encode("a")), "YQA=");
        assert_eq!(Encoding::Utf16.encode("a"), [0xFF, 0xFE, b'a', 0]);
        assert_eq!(Encoding::Utf16Be.encode("a"), [0, b'a']);
    }
}
