//! Sigma's regular expressions, which are PCRE's, as the language has them, which are RE2's.
//!
//! Most mean the same in both. Where the same signs mean something else (`\<` is a plain `<` in PCRE, and a brace or a
//! bracket may stand for itself) they are written so that they mean what the author meant. What no engine can do in
//! linear time is refused: an expression that is nearly the same would find too much or too little. Whether the result
//! compiles is for who uses it. The language's own patterns are none of this module's business.

use std::iter::Peekable;
use std::str::CharIndices;

/// What PCRE calls horizontal space.
const HORIZONTAL: &str = r"\t \x{A0}\x{1680}\x{180E}\x{2000}-\x{200A}\x{202F}\x{205F}\x{3000}";

/// The end, or before a line break that is there. Nothing comes after it that could want the line break.
const LAST: &str = r"(?:\n?\z)";

/// What PCRE calls vertical space.
const VERTICAL: &str = r"\n\x0B\f\r\x{85}\x{2028}\x{2029}";
/// What PCRE calls space: a vertical tab too, other than the language.
const SPACE: &str = r"\t\n\x0B\f\r ";

/// The expression in the language's terms, or why there is none. `flags` hold for all of it.
pub(super) fn translated(text: &str, flags: &str) -> Result<String, &'static str> {
    let mut translation = Translation {
        text,
        rest: text.char_indices().peekable(),
        out: String::with_capacity(text.len() + 16),
        repeated: false,
        lines: vec![flags.contains('m')],
    };
    while let Some((at, c)) = translation.rest.next() {
        translation.one(at, c)?;
    }
    Ok(translation.out)
}

struct Translation<'t> {
    text: &'t str,
    rest: Peekable<CharIndices<'t>>,
    out: String,
    /// What was read last says how often something comes.
    repeated: bool,
    /// Whether `$` is at the end of every line, in each of the groups that are open.
    lines: Vec<bool>,
}

impl Translation<'_> {
    fn one(&mut self, at: usize, c: char) -> Result<(), &'static str> {
        let repeated = std::mem::take(&mut self.repeated);
        match c {
            '\\' => self.escape(at),
            '[' => self.brackets(),
            '(' if self.text[at..].starts_with("(?>") => {
                return Err("it has an atomic group, `(?>`");
            }
            '(' if self.text[at..].starts_with("(?#") => {
                // A comment.
                while self.rest.next().is_some_and(|(_, c)| c != ')') {}
            }
            '(' => {
                self.out.push(c);
                self.open(at);
            }
            ')' => {
                self.out.push(c);
                if self.lines.len() > 1 {
                    self.lines.pop();
                }
            }
            // Also before a line break that is the last character.
            '$' if !self.is_of_lines() => self.out.push_str(LAST),
            '+' if repeated => {
                return Err("it has a possessive quantifier, a `+` after another one");
            }
            // After another one it means as few as possible.
            '*' | '+' | '?' => {
                self.out.push(c);
                self.repeated = !repeated;
            }
            '{' => match counts(&self.text[at..]) {
                Some(length) => {
                    let written = &self.text[at..at + length];
                    self.out.push_str(&written.replace("{,", "{0,"));
                    self.skip_to(at + length);
                    self.repeated = true;
                }
                None => self.out.push_str("\\{"),
            },
            c => self.out.push(c),
        }
        Ok(())
    }

    fn is_of_lines(&self) -> bool {
        self.lines.last().is_some_and(|lines| *lines)
    }

    /// A group begins, which may set flags for itself, `(?m:…)`, or for the rest of the one that it is in, `(?m)`.
    fn open(&mut self, at: usize) {
        let lines = self.is_of_lines();
        let flags = self.text[at..].strip_prefix("(?").unwrap_or("");
        let length = flags
            .bytes()
            .take_while(|byte| byte.is_ascii_alphabetic() || *byte == b'-');
        let (flags, rest) = flags.split_at(length.count());
        let (set, unset) = flags.split_once('-').unwrap_or((flags, ""));
        let within = lines && !unset.contains('m') || set.contains('m');
        match rest.chars().next() {
            Some(':') => self.lines.push(within),
            Some(')') => {
                if let Some(lines) = self.lines.last_mut() {
                    *lines = within;
                }
                self.out.push_str(&self.text[at + 1..at + 3 + flags.len()]);
                self.skip_to(at + 3 + flags.len());
            }
            _ => self.lines.push(lines),
        }
    }

    fn skip_to(&mut self, end: usize) {
        while self.rest.next_if(|(at, _)| *at < end).is_some() {}
    }

    /// A backslash and what it is about.
    fn escape(&mut self, at: usize) {
        let Some((_, c)) = self.rest.next() else {
            self.out.push('\\');
            return;
        };
        match c {
            'Q' => {
                let start = at + 2;
                let end = self.text[start..].find("\\E");
                let end = end.map_or(self.text.len(), |end| start + end + 2);
                self.out.push_str(&self.text[at..end]);
                self.skip_to(end);
            }
            'Z' => self.out.push_str(LAST),
            'v' => self.out.push_str(&format!("[{VERTICAL}]")),
            'V' => self.out.push_str(&format!("[^{VERTICAL}]")),
            's' => self.out.push_str(&format!("[{SPACE}]")),
            'S' => self.out.push_str(&format!("[^{SPACE}]")),
            'h' => self.out.push_str(&format!("[{HORIZONTAL}]")),
            'H' => self.out.push_str(&format!("[^{HORIZONTAL}]")),
            'e' => self.out.push_str("\\x1B"),
            // In the language these are the edges of words.
            '<' | '>' => self.out.push(c),
            c if !c.is_ascii() => self.out.push(c),
            c => {
                self.out.push('\\');
                self.out.push(c);
                self.braces(c);
            }
        }
    }

    /// `[…]`, in which only `]`, `\`, `^` at the start and `-` between two members mean something.
    fn brackets(&mut self) {
        self.out.push('[');
        if self.rest.next_if(|(_, c)| *c == '^').is_some() {
            self.out.push('^');
        }
        // What a `-` would begin a range with, if another member follows.
        let mut low = false;
        let mut first = true;
        loop {
            let Some((here, c)) = self.rest.next() else {
                return;
            };
            let next = self.rest.peek().map(|(_, c)| *c);
            match c {
                ']' if !first => break,
                '[' if self.posix(here) => low = false,
                '\\' => low = self.member_escape(),
                // A range, unless a class of characters is at its other end.
                '-' if low && next.is_some_and(|c| c != ']') && !self.class_follows() => {
                    self.out.push('-');
                    let Some((_, high)) = self.rest.next() else {
                        continue;
                    };
                    match high {
                        '\\' => {
                            self.member_escape();
                        }
                        high => self.member(high),
                    }
                    low = false;
                }
                c => {
                    self.member(c);
                    low = true;
                }
            }
            first = false;
        }
        self.out.push(']');
    }

    /// A character that stands for itself.
    fn member(&mut self, c: char) {
        if matches!(c, '[' | ']' | '&' | '~' | '-' | '^') {
            self.out.push('\\');
        }
        self.out.push(c);
    }

    /// `[:alpha:]` in brackets.
    fn posix(&mut self, at: usize) -> bool {
        let rest = &self.text[at..];
        let Some(end) = rest.find(":]").filter(|_| rest.starts_with("[:")) else {
            return false;
        };
        if !rest[2..end]
            .chars()
            .all(|c| c.is_ascii_lowercase() || c == '^')
        {
            return false;
        }
        self.out.push_str(&rest[..end + 2]);
        self.skip_to(at + end + 2);
        true
    }

    /// An escape in brackets; whether it is one character, with which a range may begin.
    fn member_escape(&mut self) -> bool {
        let Some((_, c)) = self.rest.next() else {
            return false;
        };
        match c {
            'h' => self.out.push_str(HORIZONTAL),
            'v' => self.out.push_str(VERTICAL),
            's' => self.out.push_str(SPACE),
            'e' => self.out.push_str("\\x1B"),
            'b' => self.out.push_str("\\x08"),
            '<' | '>' => self.out.push(c),
            c if !c.is_ascii() => self.out.push(c),
            c => {
                self.out.push('\\');
                self.out.push(c);
                self.braces(c);
            }
        }
        !is_class(c)
    }

    /// The rest of `\x{…}` and `\p{…}`, or the two digits of `\x41`.
    fn braces(&mut self, c: char) {
        if !matches!(c, 'x' | 'p' | 'P' | 'u') {
            return;
        }
        if self.rest.peek().is_some_and(|(_, c)| *c == '{') {
            for (_, c) in self.rest.by_ref() {
                self.out.push(c);
                if c == '}' {
                    return;
                }
            }
        } else if c == 'x' {
            for _ in 0..2 {
                if let Some((_, c)) = self.rest.next_if(|(_, c)| c.is_ascii_hexdigit()) {
                    self.out.push(c);
                }
            }
        }
    }

    /// Whether a class such as `\d` comes next, which no range ends with.
    fn class_follows(&mut self) -> bool {
        let Some((at, _)) = self.rest.peek().copied() else {
            return false;
        };
        let rest = &self.text[at..];
        let escaped = rest.strip_prefix('\\').and_then(|rest| rest.chars().next());
        escaped.is_some_and(is_class) || rest.starts_with("[:")
    }
}

/// Whether an escape stands for several characters.
fn is_class(letter: char) -> bool {
    matches!(
        letter,
        'd' | 'D' | 'w' | 'W' | 's' | 'S' | 'h' | 'H' | 'v' | 'V' | 'p' | 'P'
    )
}

/// How long `{2}`, `{2,}`, `{2,3}` or `{,3}` at the start of a text is.
fn counts(text: &str) -> Option<usize> {
    let end = text.find('}')?;
    let (from, to) = match text[1..end].split_once(',') {
        Some((from, to)) => (from, to),
        None => (&text[1..end], ""),
    };
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let sound = digits(from) && digits(to) && !(from.is_empty() && to.is_empty());
    sound.then_some(end + 1)
}

#[cfg(test)]
mod tests {
    use super::translated;
    use crate::selector::matches_pattern;

    fn check(pattern: &str, matching: &[&str], others: &[&str]) {
        let written =
            translated(pattern, "").unwrap_or_else(|reason| panic!("{pattern}: {reason}"));
        let is_match = |text: &str| {
            matches_pattern(&written, text)
                .unwrap_or_else(|error| panic!("{pattern} -> {written}: {error}"))
        };
        for text in matching {
            assert!(is_match(text), "{pattern} -> {written} on {text}");
        }
        for text in others {
            assert!(!is_match(text), "{pattern} -> {written} on {text}");
        }
    }

    #[test]
    fn expressions_mean_what_pcre_means() {
        check(r"^[a-z0-9_.-]+$", &["a-b.c_9"], &["A", "a b"]);
        check(r"^[\w-.]+$", &["a-b.c"], &["a,b"]);
        check(r"^[\w-\.]+$", &["a-b.c"], &["a,b"]);
        check(r"^[a-\d]+$", &["a-9"], &["b"]);
        check(r"^[a-c-e]+$", &["a-e", "b"], &["d"]);
        check(r"^[+--]+$", &["+,-"], &["."]);
        check(r"^[[a]+$", &["[a"], &["b"]);
        check(r"^[^[]$", &["a"], &["["]);
        check(r"^[]a]+$", &["]a"], &["b"]);
        check(r"^[^]a]$", &["b"], &["]", "a"]);
        check(r"^[a&&b]+$", &["a&b"], &["c"]);
        check(r"^[a~~b^]+$", &["a~b^"], &["c"]);
        check(r"^[[:alpha:]-]+$", &["a-b"], &["1"]);
        check(r"^[\]\\-]+$", &["]\\-"], &["a"]);
        check(r"^[\x41-\x43]+$", &["ABC"], &["D"]);
        check(r"^[\x{41}-C]+$", &["ABC"], &["D"]);
        check(r"^[\b]$", &["\u{8}"], &["b"]);
        check(r"\<script\>", &["<script>"], &["script"]);
        check(r"${jndi:", &[], &["x"]);
        check(r"\${jndi:", &["${jndi:x"], &["jndi"]);
        check(r"a{b}", &["a{b}"], &["ab"]);
        check(r"{\d}", &["{1}"], &["1"]);
        check(r"^a{2}$", &["aa"], &["a"]);
        check(r"^a{2,}$", &["aaa"], &["a"]);
        check(r"^a{,2}$", &["", "aa"], &["aaa"]);
        check(r"^a{1,2}?$", &["a", "aa"], &["aaa"]);
        check(r"^a+?b\++$", &["aab+"], &["b"]);
        check(r"^\Qa{b}[\E$", &["a{b}["], &["a"]);
        check(r"x\Z", &["x", "x\n"], &["x\n\n", "xy"]);
        check(r"^a\hb$", &["a b", "a\tb"], &["a\nb"]);
        check(r"^a\é$", &["aé"], &["a"]);
        check(r"^a(?# a word )b$", &["ab"], &["a"]);
        check(r"^(?<n>a)(?:b)$", &["ab"], &["a"]);
        check(r"^\p{L}\x{41}\x42$", &["éAB"], &["1AB"]);
        check(r"(?i)^\w{3}\s\S$", &["abc d"], &["ab d"]);
    }

    #[test]
    fn ends_and_spaces_are_those_of_pcre() {
        check(r"^a$", &["a", "a\n"], &["a\n\n", "a\nb", "a\r\n", "ab"]);
        check(r"^$", &["", "\n"], &["a", "\n\n"]);
        check(r"^(a|b$)$", &["a", "b\n"], &["b\na"]);
        check(r"^(?:a$|b)", &["a\n", "bc"], &["ac"]);
        check(r"[$]a\$", &["$a$"], &["a"]);
        check(r"(?m)^a$", &["a", "b\na\nb"], &["ab"]);
        check(r"(?i)^A$", &["a\n"], &["a\nb"]);
        check(r"(?i-m)^A$", &["a\n"], &["a\nb"]);
        check(r"(?m:^a$)\nb$", &["a\nb\n"], &["a\nb\nc"]);
        check(r"((?m)a$)\nb$", &["a\nb\n"], &["a\nb\nc"]);
        check(r"(?m)(?-m:a$)", &["b\na\n"], &["a\nb"]);
        check(r"(?<n>a)(?P<m>b)$", &["ab\n"], &["ab\nc"]);
        let lines = translated("^a$", "im").expect("it is linear");
        assert_eq!(lines, "^a$");
        check(
            r"^a\sb\Sc$",
            &["a\u{b}b-c", "a b-c"],
            &["a-b-c", "a b\u{b}c"],
        );
        check(r"^[\s-]+$", &["\u{b} -"], &["a"]);
        check(r"^[^\s]$", &["a"], &["\u{b}", " "]);
        check(r"^[\s\S]$", &["\u{b}", "a", "\n"], &["ab"]);
        check(
            r"^a\vb$",
            &["a\nb", "a\u{b}b", "a\u{2028}b", "a\u{85}b"],
            &["a b", "avb"],
        );
        check(r"^a\Vb$", &["a b"], &["a\u{b}b", "a\nb"]);
        check(r"^[\v,]+$", &[",\u{b}\r"], &["v"]);
    }

    #[test]
    fn what_cannot_be_linear_is_refused() {
        for pattern in [r"a++", r"a*+b", r"a?+", r"a{2}+", r"(?>a)"] {
            assert!(translated(pattern, "").is_err(), "{pattern}");
        }
        for pattern in [r"(?=a)", r"(?<!a)b", r"(a)\1", r"(?P=n)", r"\Ka", r"[a"] {
            let written = translated(pattern, "").expect("it is as it was");
            assert!(matches_pattern(&written, "").is_err(), "{pattern}");
        }
    }
}
