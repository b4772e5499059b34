//! Regular expressions and globs.
//!
//! The language's patterns are RE2's, and the `regex` crate differs in a few places: `\d`, `\w`, `\s` and `\b` are
//! ASCII in RE2, and within brackets `&&`, `--`, `~~` and `[` have no meaning of their own there. [`re2`] rewrites
//! a pattern so that both mean the same. Matching is linear in text times pattern; nothing backtracks.
//! What stays different is listed in the README beside this module.

use crate::limits;
use crate::selector::error::Why;

/// A regular expression of the language.
pub(crate) fn compile(pattern: &str) -> Result<regex::Regex, regex::Error> {
    build(pattern, limits::REGEX_BYTES_MAX)
}

/// Longest pattern that is compiled while evaluating, and the largest it may become.
const PATTERN_BYTES_MAX: usize = 1024;
const DYNAMIC_REGEX_BYTES_MAX: usize = 64 * 1024;

/// A regular expression that was computed: short ones only, as it is compiled for every evaluation.
pub(crate) fn compile_dynamic(pattern: &str) -> Result<regex::Regex, Why> {
    if pattern.len() > PATTERN_BYTES_MAX {
        return Err(Why::BadPattern);
    }
    build(pattern, DYNAMIC_REGEX_BYTES_MAX).map_err(|_| Why::BadPattern)
}

fn build(pattern: &str, size: usize) -> Result<regex::Regex, regex::Error> {
    regex::RegexBuilder::new(&re2(pattern))
        .size_limit(size)
        .dfa_size_limit(size)
        .nest_limit(100)
        .build()
}

/// The pattern as the `regex` crate has to be told it.
fn re2(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len() + 16);
    let mut rest = pattern;
    let mut in_brackets = false;
    while let Some(c) = rest.chars().next() {
        let length = match c {
            '\\' => escape(rest, in_brackets, &mut out),
            '[' if !in_brackets => open_brackets(rest, &mut in_brackets, &mut out),
            '[' => match rest.find(":]") {
                Some(end) if rest.starts_with("[:") => {
                    out.push_str(&rest[..end + 2]);
                    end + 2
                }
                _ => {
                    out.push_str("\\[");
                    1
                }
            },
            ']' if in_brackets => {
                in_brackets = false;
                out.push(']');
                1
            }
            '&' | '~' if in_brackets => {
                out.push('\\');
                out.push(c);
                1
            }
            _ => {
                out.push(c);
                c.len_utf8()
            }
        };
        rest = &rest[length..];
    }
    out
}

/// `[`, `[^`, and a `]` right after them, which is a member.
fn open_brackets(rest: &str, in_brackets: &mut bool, out: &mut String) -> usize {
    *in_brackets = true;
    let mut length = 1;
    out.push('[');
    if rest[length..].starts_with('^') {
        out.push('^');
        length += 1;
    }
    if rest[length..].starts_with(']') {
        out.push_str("\\]");
        length += 1;
    }
    length
}

fn escape(rest: &str, in_brackets: bool, out: &mut String) -> usize {
    let Some(letter) = rest[1..].chars().next() else {
        out.push('\\');
        return 1;
    };
    let class = match letter {
        'd' => Some("0-9"),
        'w' => Some("0-9A-Za-z_"),
        's' => Some("\\t\\n\\f\\r "),
        _ => None,
    };
    let negated = match letter {
        'D' => Some("[^0-9]"),
        'W' => Some("[^0-9A-Za-z_]"),
        'S' => Some("[^\\t\\n\\f\\r ]"),
        _ => None,
    };
    match (class, negated) {
        (Some(class), _) if in_brackets => out.push_str(class),
        (Some(class), _) => {
            out.push('[');
            out.push_str(class);
            out.push(']');
        }
        (_, Some(negated)) => out.push_str(negated),
        _ => match letter {
            'b' if !in_brackets => out.push_str("(?-u:\\b)"),
            'B' if !in_brackets => out.push_str("(?-u:\\B)"),
            'Q' if !in_brackets => {
                let quoted = &rest[2..];
                let end = quoted.find("\\E").unwrap_or(quoted.len());
                out.push_str(&regex::escape(&quoted[..end]));
                return (2 + end + 2).min(rest.len());
            }
            _ => {
                out.push('\\');
                out.push(letter);
            }
        },
    }
    1 + letter.len_utf8()
}

/// Whether `*` (any text) and `?` (one character) of `pattern` can be filled to give all of `text`.
///
/// Each part between stars is looked for from the left, which is right for globs and never goes back further
/// than one part; the work is bounded by text times the longest part.
pub(crate) fn glob(text: &str, pattern: &str) -> bool {
    let (first, behind) = next_part(pattern);
    let Some(mut rest) = first.strip_from(text) else {
        return false;
    };
    let Some(mut pattern) = behind else {
        return rest.is_empty();
    };
    loop {
        let (part, behind) = next_part(pattern);
        let Some(behind) = behind else {
            return part.ends(rest);
        };
        let Some(after) = part.behind_first_in(rest) else {
            return false;
        };
        (pattern, rest) = (behind, after);
    }
}

/// What a pattern has between stars.
#[derive(Clone, Copy)]
struct Part<'p> {
    text: &'p str,
    /// It has a `?`.
    is_open: bool,
}

/// The pattern up to its first star, and what comes behind that.
#[inline]
fn next_part(pattern: &str) -> (Part<'_>, Option<&str>) {
    let mut is_open = false;
    for (at, byte) in pattern.bytes().enumerate() {
        match byte {
            b'*' => {
                let text = &pattern[..at];
                return (Part { text, is_open }, Some(&pattern[at + 1..]));
            }
            b'?' => is_open = true,
            _ => {}
        }
    }
    let text = pattern;
    (Part { text, is_open }, None)
}

impl Part<'_> {
    /// What comes behind it in a text that begins with it.
    fn strip_from<'t>(&self, text: &'t str) -> Option<&'t str> {
        if !self.is_open {
            return text.strip_prefix(self.text);
        }
        let mut text = text.chars();
        for wanted in self.text.chars() {
            let c = text.next()?;
            if wanted != '?' && wanted != c {
                return None;
            }
        }
        Some(text.as_str())
    }

    /// What comes behind the first place at which a text has it.
    fn behind_first_in<'t>(&self, text: &'t str) -> Option<&'t str> {
        if !self.is_open {
            let at = place(text.as_bytes(), self.text.as_bytes())?;
            return Some(&text[at + self.text.len()..]);
        }
        text.char_indices()
            .find_map(|(at, _)| self.strip_from(&text[at..]))
    }

    fn ends(&self, text: &str) -> bool {
        if !self.is_open {
            return text.ends_with(self.text);
        }
        let mut text = text.chars().rev();
        self.text
            .chars()
            .rev()
            .all(|wanted| text.next().is_some_and(|c| wanted == '?' || wanted == c))
    }
}

/// Where a part is in a text. A short part of a short text is looked for by its first byte, which takes less than getting
/// ready for a search, and little whatever is in them.
fn place(text: &[u8], part: &[u8]) -> Option<usize> {
    let [first, ..] = part else { return Some(0) };
    if text.len() > SHORT_TEXT || part.len() > SHORT_PART {
        return memchr::memmem::find(text, part);
    }
    let last = text.len().checked_sub(part.len())?;
    memchr::memchr_iter(*first, &text[..=last]).find(|at| text[*at..].starts_with(part))
}

const SHORT_TEXT: usize = 256;
const SHORT_PART: usize = 16;

#[cfg(test)]
mod tests {
    use super::{SHORT_PART, SHORT_TEXT, compile, glob, re2};

    #[test]
    fn globs() {
        let check = |text: &str, pattern: &str, expected: bool| {
            assert_eq!(glob(text, pattern), expected, "{text} {pattern}");
        };
        check("", "", true);
        check("", "*", true);
        check("", "?", false);
        check("abc", "abc", true);
        check("abc", "ab", false);
        check("abc", "a*c", true);
        check("abc", "a?c", true);
        check("aéc", "a?c", true);
        check("abc", "*", true);
        check("abc", "**", true);
        check("abc", "*b*", true);
        check("abc", "*d*", false);
        check("abab", "*ab", true);
        check("ab", "ab*ab", false);
        check("abXab", "ab*ab", true);
        check("arn:aws:iam::1:role/x", "arn:aws:iam::*:role/?", true);
        check("mississippi", "m*iss?p*i", true);
        check("aXbXc", "a*?c", true);
        check("ac", "a*?c", false);
        check("a*c", "a[*]c", false);
        check("aab", "*aab*", true);
        check("aaab", "*aab*", true);
        check("aa", "*aab*", false);
        // As long as the longest text without a search, and one more.
        for filled in [SHORT_TEXT - 3, SHORT_TEXT - 2] {
            let text = format!("{}aab", "a".repeat(filled));
            check(&text, "*aab*", true);
            check(&text, "*aab?*", false);
            check(&text, "*aaba*", false);
        }
        for part in [SHORT_PART, SHORT_PART + 1] {
            let pattern = format!("*{}b*", "a".repeat(part - 1));
            check(&format!("{}b", "a".repeat(part)), &pattern, true);
            check(&format!("{}b", "a".repeat(part - 2)), &pattern, false);
        }
    }

    #[test]
    fn patterns_mean_what_re2_means() {
        let check = |pattern: &str, text: &str, expected: bool| {
            let regex = compile(pattern).unwrap_or_else(|error| panic!("{pattern}: {error}"));
            assert_eq!(
                regex.is_match(text),
                expected,
                "{pattern} -> {} on {text}",
                re2(pattern)
            );
        };
        check(r"^\d+$", "123", true);
        check(r"^\d+$", "١٢٣", false);
        check(r"^[\d.]+$", "1.2", true);
        check(r"^[^\d]+$", "ab", true);
        check(r"^[\D]+$", "ab", true);
        check(r"^\w$", "é", false);
        check(r"\bfoo\b", "a foo b", true);
        check(r"é\b", "é", false);
        check(r"^[a&&b]+$", "a&b", true);
        check(r"^[[a]+$", "[a", true);
        check(r"^[]a]+$", "]a", true);
        check(r"^[^]a]+$", "bc", true);
        check(r"^[[:alpha:]]+$", "abc", true);
        check(r"^\Qa.b\E$", "a.b", true);
        check(r"^\Qa.b\E$", "axb", false);
        check(r"(?i)^É$", "é", true);
        check(r"^.$", "é", true);
        check(r"\.", "a.b", true);
        check(r"^\pL+$", "é", true);
    }

    #[test]
    fn hostile_patterns_are_refused_or_linear() {
        assert!(compile(r"(a{1000}){1000}").is_err());
        assert!(compile(&"(".repeat(5000)).is_err());
        assert!(compile(r"(a)\1").is_err());
        assert!(compile(r"(?=a)").is_err());
        let nested = compile(r"^(a+)+$").unwrap();
        assert!(!nested.is_match(&format!("{}b", "a".repeat(10_000))));
    }
}
