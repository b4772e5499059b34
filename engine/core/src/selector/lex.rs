//! Selector text to tokens, with the exact place of each.
//!
//! Relies on nothing but the text. Every text gives a token list that ends in `EndOfText`; mistakes are
//! collected beside it. Operators that people bring from other languages (`=`, `&`, `===`, `<>`, typographic
//! quotes) are reported and then read as what was meant, so that one slip does not hide the next. Must never
//! recurse and never look at a byte more than a few times, whatever the text.
//!
//! Tokens are made all at once rather than on demand: a selector is at most 64 KiB, and the parser wants to
//! look back and ahead freely to word its messages.

use super::literal::{self, Quote};
use crate::diagnostic::{Code, Diagnostic, Span};

/// What a token is.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum TokenKind {
    Identifier(String),
    /// A name in back-quotes, for fields that are no identifiers.
    QuotedIdentifier(String),
    /// Without its sign, so that the smallest integer can be written.
    Int(u64),
    Uint(u64),
    Double(f64),
    String(String),
    Bytes(Vec<u8>),
    True,
    False,
    Null,
    In,
    And,
    Or,
    Not,
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    Plus,
    Minus,
    Star,
    Slash,
    Percent,
    Question,
    Colon,
    Comma,
    Dot,
    ParenOpen,
    ParenClose,
    BracketOpen,
    BracketClose,
    BraceOpen,
    BraceClose,
    EndOfText,
}

impl TokenKind {
    /// How a message names the token.
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Identifier(name) => format!("the name `{name}`"),
            Self::QuotedIdentifier(name) => format!("the name `` `{name}` ``"),
            Self::Int(_) | Self::Uint(_) | Self::Double(_) => "a number".to_owned(),
            Self::String(_) => "a string".to_owned(),
            Self::Bytes(_) => "a bytes literal".to_owned(),
            Self::EndOfText => "the end of the selector".to_owned(),
            other => format!("`{}`", other.symbol()),
        }
    }

    /// The text of a token that is always written the same; empty for the others.
    pub(super) fn symbol(&self) -> &'static str {
        match self {
            Self::True => "true",
            Self::False => "false",
            Self::Null => "null",
            Self::In => "in",
            Self::And => "&&",
            Self::Or => "||",
            Self::Not => "!",
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessEqual => "<=",
            Self::Greater => ">",
            Self::GreaterEqual => ">=",
            Self::Plus => "+",
            Self::Minus => "-",
            Self::Star => "*",
            Self::Slash => "/",
            Self::Percent => "%",
            Self::Question => "?",
            Self::Colon => ":",
            Self::Comma => ",",
            Self::Dot => ".",
            Self::ParenOpen => "(",
            Self::ParenClose => ")",
            Self::BracketOpen => "[",
            Self::BracketClose => "]",
            Self::BraceOpen => "{",
            Self::BraceClose => "}",
            _ => "",
        }
    }
}

/// One token.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Token {
    pub(super) kind: TokenKind,
    pub(super) span: Span,
}

/// Reads all tokens of `text`; mistakes go to `diagnostics`.
pub(super) fn tokens(text: &str, diagnostics: &mut Vec<Diagnostic>) -> Vec<Token> {
    let mut lexer = Lexer {
        text,
        at: 0,
        tokens: Vec::new(),
        diagnostics,
    };
    while lexer.next() {}
    lexer.tokens
}

/// Texts that other languages use, what is read instead, and what to say.
const FOREIGN: &[(&str, TokenKind, &str)] = &[
    ("&&&", TokenKind::And, "both conditions is written `&&`"),
    ("|||", TokenKind::Or, "either condition is written `||`"),
    (
        "===",
        TokenKind::Equal,
        "CEL has one equality, `==`, which never converts types",
    ),
    (
        "!==",
        TokenKind::NotEqual,
        "CEL has one inequality, `!=`, which never converts types",
    ),
    (
        "=~",
        TokenKind::Equal,
        "match a regular expression with `text.matches(\"pattern\")`",
    ),
    (
        "!~",
        TokenKind::NotEqual,
        "write `!text.matches(\"pattern\")`",
    ),
    ("=>", TokenKind::GreaterEqual, "at least is written `>=`"),
    ("=<", TokenKind::LessEqual, "at most is written `<=`"),
    ("<>", TokenKind::NotEqual, "not equal is written `!=`"),
];

/// Operators of one meaning, longest first.
const OPERATORS: &[(&str, TokenKind)] = &[
    ("&&", TokenKind::And),
    ("||", TokenKind::Or),
    ("==", TokenKind::Equal),
    ("!=", TokenKind::NotEqual),
    ("<=", TokenKind::LessEqual),
    (">=", TokenKind::GreaterEqual),
    ("<", TokenKind::Less),
    (">", TokenKind::Greater),
    ("!", TokenKind::Not),
    ("+", TokenKind::Plus),
    ("-", TokenKind::Minus),
    ("*", TokenKind::Star),
    ("/", TokenKind::Slash),
    ("%", TokenKind::Percent),
    ("?", TokenKind::Question),
    (":", TokenKind::Colon),
    (",", TokenKind::Comma),
    (".", TokenKind::Dot),
    ("(", TokenKind::ParenOpen),
    (")", TokenKind::ParenClose),
    ("[", TokenKind::BracketOpen),
    ("]", TokenKind::BracketClose),
    ("{", TokenKind::BraceOpen),
    ("}", TokenKind::BraceClose),
];

struct Lexer<'t, 'd> {
    text: &'t str,
    at: usize,
    tokens: Vec<Token>,
    diagnostics: &'d mut Vec<Diagnostic>,
}

impl<'t> Lexer<'t, '_> {
    fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    fn push(&mut self, kind: TokenKind, length: usize) {
        let span = Span::new(self.at, self.at + length);
        self.tokens.push(Token { kind, span });
        self.at += length;
    }

    /// Reads one token; false at the end.
    fn next(&mut self) -> bool {
        self.skip_blank();
        let rest = self.rest();
        let Some(first) = rest.chars().next() else {
            self.push(TokenKind::EndOfText, 0);
            return false;
        };
        let second = rest[first.len_utf8()..].chars().next();
        match first {
            '0'..='9' => self.number(),
            '.' if second.is_some_and(|c| c.is_ascii_digit()) => self.number(),
            '"' | '\'' => self.string(0),
            '`' => self.quoted_identifier(),
            'r' | 'R' | 'b' | 'B' if prefix_length(rest) > 0 => self.string(prefix_length(rest)),
            'a'..='z' | 'A'..='Z' | '_' => self.word(),
            '\u{201c}' | '\u{201d}' | '\u{201e}' | '\u{ab}' => self.typographic_string(),
            '\u{2018}' | '\u{2019}' | '\u{201a}' => self.typographic_string(),
            _ => self.operator(first),
        }
        true
    }

    fn skip_blank(&mut self) {
        loop {
            let rest = self.rest();
            let trimmed = rest.trim_start_matches([' ', '\t', '\n', '\r', '\u{c}']);
            self.at += rest.len() - trimmed.len();
            if !trimmed.starts_with("//") {
                return;
            }
            self.at += trimmed.find('\n').unwrap_or(trimmed.len());
        }
    }

    fn word(&mut self) {
        let rest = self.rest();
        let length = identifier_length(rest);
        let kind = match &rest[..length] {
            "true" => TokenKind::True,
            "false" => TokenKind::False,
            "null" => TokenKind::Null,
            "in" => TokenKind::In,
            name => TokenKind::Identifier(name.to_owned()),
        };
        self.push(kind, length);
    }

    fn number(&mut self) {
        let rest = self.rest();
        let (kind, length) = literal::number(rest);
        let span = Span::new(self.at, self.at + length);
        let kind = match kind {
            Ok(kind) => kind,
            Err(problem) => {
                self.diagnostics.push(
                    Diagnostic::new(Code::SelectorLiteral, span, problem.message)
                        .with_help(problem.help),
                );
                TokenKind::Int(0)
            }
        };
        let tail = &rest[length..];
        let letters = identifier_length(tail);
        if letters > 0 && &tail[..letters] != "in" {
            let place = Span::new(self.at + length, self.at + length + letters);
            self.diagnostics.push(
                Diagnostic::new(
                    Code::SelectorLiteral,
                    place,
                    format!("`{}` cannot follow a number", &tail[..letters]),
                )
                .with_help("numbers are written `10`, `10u` (unsigned), `0x1f` or `1.5e3`"),
            );
            self.push(kind, length);
            self.at += letters;
        } else {
            self.push(kind, length);
        }
    }

    fn string(&mut self, prefix: usize) {
        let scanned = literal::string(self.rest(), prefix);
        for problem in scanned.problems {
            let span = Span::new(self.at + problem.start, self.at + problem.end);
            self.diagnostics.push(
                Diagnostic::new(Code::SelectorLiteral, span, problem.message)
                    .with_help(problem.help),
            );
        }
        self.push(scanned.kind, scanned.length);
    }

    fn quoted_identifier(&mut self) {
        let rest = self.rest();
        let end = rest[1..].find(['`', '\n']).map(|at| at + 1);
        let Some(end) = end.filter(|end| rest[*end..].starts_with('`')) else {
            let span = Span::new(self.at, self.at + 1);
            self.diagnostics.push(
                Diagnostic::new(Code::SelectorSyntax, span, "unterminated back-quoted name")
                    .with_help("a field whose name is no identifier is written event.`its-name`"),
            );
            self.at += 1;
            return;
        };
        let name = &rest[1..end];
        let allowed = |c: char| c.is_ascii_alphanumeric() || "_.-/ ".contains(c);
        if name.is_empty() || !name.chars().all(allowed) {
            let span = Span::new(self.at, self.at + end + 1);
            self.diagnostics.push(
                Diagnostic::new(
                    Code::SelectorSyntax,
                    span,
                    "a back-quoted name holds letters, digits and `_.-/ ` only",
                )
                .with_help(format!(
                    "index with a string instead: `[{}]`",
                    literal::quoted(name)
                )),
            );
        }
        self.push(TokenKind::QuotedIdentifier(name.to_owned()), end + 1);
    }

    /// Text in quotes that a word processor made: reported, and read as a string.
    fn typographic_string(&mut self) {
        let rest = self.rest();
        let quotes = [
            '"', '\'', '\u{201c}', '\u{201d}', '\u{201e}', '\u{ab}', '\u{bb}', '\u{2018}',
            '\u{2019}',
        ];
        let first = rest.chars().next().map_or(1, char::len_utf8);
        let body = &rest[first..];
        let line = &body[..body.find('\n').unwrap_or(body.len())];
        let (inside, length) = match line.find(quotes) {
            Some(end) => {
                let closing = line[end..].chars().next().map_or(0, char::len_utf8);
                (&line[..end], first + end + closing)
            }
            None => (line, first + line.len()),
        };
        let span = Span::new(self.at, self.at + length);
        self.diagnostics.push(
            Diagnostic::new(
                Code::SelectorSyntax,
                span,
                "typographic quotes do not make a string",
            )
            .with_help("use straight quotes: `\"text\"` or `'text'`")
            .with_suggestion(span, literal::quoted(inside)),
        );
        self.push(TokenKind::String(inside.to_owned()), length);
    }

    fn operator(&mut self, first: char) {
        let rest = self.rest();
        let starts = |text: &str| rest.starts_with(text);
        if let Some((text, kind, help)) = FOREIGN.iter().find(|(text, ..)| starts(text)) {
            self.foreign(text, kind.clone(), help);
        } else if let Some((text, kind)) = OPERATORS.iter().find(|(text, _)| starts(text)) {
            self.push(kind.clone(), text.len());
        } else {
            match first {
                '=' => self.foreign("=", TokenKind::Equal, "equality is written `==`"),
                '&' => self.foreign("&", TokenKind::And, "both conditions is written `&&`"),
                '|' => self.foreign("|", TokenKind::Or, "either condition is written `||`"),
                _ => self.stray(first),
            }
        }
    }

    fn foreign(&mut self, text: &str, meant: TokenKind, help: &str) {
        let span = Span::new(self.at, self.at + text.len());
        let mut diagnostic = Diagnostic::new(
            Code::SelectorSyntax,
            span,
            format!("`{text}` is not an operator of CEL"),
        )
        .with_help(help);
        if !text.contains('~') {
            diagnostic = diagnostic.with_suggestion(span, meant.symbol());
        }
        self.diagnostics.push(diagnostic);
        self.push(meant, text.len());
    }

    /// A character that no token starts with; neighbours of the same kind are reported together.
    fn stray(&mut self, first: char) {
        let rest = self.rest();
        let same = |c: char| c == first || (!c.is_ascii() && !first.is_ascii());
        let length = rest.find(|c: char| !same(c)).unwrap_or(rest.len());
        let span = Span::new(self.at, self.at + length);
        let shown: String = rest[..length]
            .chars()
            .take(20)
            .flat_map(char::escape_debug)
            .collect();
        let help = match first {
            ';' => "a selector is one expression: join conditions with `&&`",
            '#' => "comments start with `//`",
            '$' | '@' => "fields are reached from the event: `event.userIdentity.arn`",
            '~' | '^' => {
                "regular expressions: `text.matches(\"pattern\")`; \
                          bits: `math.bitNot(x)`, `math.bitXor(x, y)`"
            }
            '\\' => {
                "a backslash has a meaning inside strings only; lines need no continuation mark"
            }
            c if c.is_whitespace() || c == '\u{feff}' || c == '\u{200b}' => {
                "this blank is not an ordinary space: type it again"
            }
            _ => "names use ASCII letters, digits and `_`; other text belongs in quotes",
        };
        self.diagnostics.push(
            Diagnostic::new(Code::SelectorSyntax, span, format!("unexpected `{shown}`"))
                .with_help(help),
        );
        self.at += length;
    }
}

/// Bytes of the identifier at the start of `text`, 0 when there is none.
pub(super) fn identifier_length(text: &str) -> usize {
    if !text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
        return 0;
    }
    text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .unwrap_or(text.len())
}

/// Letters before a string's quote (`r`, `b`, `br`), 0 when the text is no prefixed string.
fn prefix_length(text: &str) -> usize {
    let bytes = text.as_bytes();
    let letter = |at: usize| bytes.get(at).map(u8::to_ascii_lowercase);
    let quote = |at: usize| matches!(bytes.get(at), Some(b'"' | b'\''));
    match (letter(0), letter(1)) {
        (Some(b'r' | b'b'), _) if quote(1) => 1,
        (Some(b'b'), Some(b'r')) if quote(2) => 2,
        _ => 0,
    }
}

/// Which quote opens `text`.
pub(super) fn quote_of(text: &str) -> Option<Quote> {
    let first = text.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    let triple = text.len() >= 3 && text.bytes().take(3).all(|byte| byte == first as u8);
    Some(Quote {
        mark: first as u8,
        triple,
    })
}
