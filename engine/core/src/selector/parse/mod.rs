//! Selector text to a tree, or to everything that is wrong with it.
//!
//! Grammar: `doc/langdef.md` of the cel-spec. Relies on `lex` for tokens and on `macros` for the calls that are
//! no functions. Written by hand rather than taken from the `cel` crate: that one gives no spans for names,
//! stops at the first mistake, expands macros beyond recognition and overflows its stack on a long sum.
//!
//! Must never overflow the stack or make a tree that others overflow on: every node knows how deep it is, and
//! text that nests deeper than [`limits::SELECTOR_DEPTH_MAX`], or has too many nodes, is refused before the
//! node is made (so that dropping the tree is safe as well). After a mistake reading goes on at the next
//! `,`, `&&`, `||` or closing bracket of the same level, and one place is reported once.
//!
//! What the tree says that the text does not:
//! - parentheses are gone; `&&` within `&&` and `||` within `||` are one list, parenthesised or not, because
//!   both absorb errors in any order;
//! - `-1` is one literal, so that the smallest integer can be written;
//! - a call on a dotted name that is a known namespaced function (`math.greatest(a, b)`, `optional.of(x)`; the
//!   list is `declare::is_namespaced`) is a `Call` of that dotted name. No variable can be meant: no type
//!   has a member function of such a name. Other dotted names stay `Select` and `MemberCall`; use
//!   [`Expr::qualified_name`] to read them as one (`google.protobuf.Timestamp`);
//! - a leading dot stays in `Ident` (`.x` skips comprehension variables) and is dropped from called functions,
//!   which nothing can shadow;
//! - `cel.index(n)` is a `Call`; `cel.iterVar(n, m)` and `cel.accuVar(n, m)` are identifiers named
//!   `@it:n:m` and `@ac:n:m`, which no text can spell.

use super::ast::{Expr, ExprId, ExprKind};
use super::lex::{self, Token, TokenKind};
use crate::diagnostic::{Code, Diagnostic, Span};
use crate::limits;

mod macros;
mod member;
mod operators;
mod primary;
#[cfg(test)]
mod tests;

/// Most diagnostics of one text: after that many the person should mend and try again.
const DIAGNOSTICS_MAX: usize = 20;

/// Whether `has`, `exists` and the others are macros or plain function names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Macros {
    /// As the language is used.
    Recognised,
    /// Every call is a function call; only the conformance cases want that.
    Ignored,
}

/// Reads a selector; spans are relative to `text`.
pub fn parse(text: &str) -> Result<Expr, Vec<Diagnostic>> {
    parse_with(text, Macros::Recognised)
}

/// Reads a selector with or without macros.
pub fn parse_with(text: &str, macros: Macros) -> Result<Expr, Vec<Diagnostic>> {
    if text.len() > limits::SELECTOR_BYTES_MAX {
        let message = format!(
            "the selector is {} bytes long, more than {}",
            text.len(),
            limits::SELECTOR_BYTES_MAX
        );
        return Err(vec![
            Diagnostic::new(Code::SelectorTooLarge, Span::new(0, 1), message).with_help(
                "keep long lists of values in a list file and ask `inList(\"name\", value)`",
            ),
        ]);
    }
    let mut diagnostics = Vec::new();
    let tokens = lex::tokens(text, &mut diagnostics);
    let mut parser = Parser {
        tokens,
        at: 0,
        macros,
        next_id: 0,
        nesting: 0,
        blamed: None,
        exhausted: false,
        diagnostics,
    };
    let parsed = parser.whole();
    let mut diagnostics = parser.diagnostics;
    match parsed {
        Ok(sub) if diagnostics.is_empty() => Ok(*sub.expr),
        _ => {
            diagnostics.sort_by_key(|diagnostic| diagnostic.span.start);
            diagnostics.truncate(DIAGNOSTICS_MAX);
            Err(diagnostics)
        }
    }
}

/// A mistake was reported; the part it is in has no tree.
#[derive(Debug)]
pub(super) struct Failed;

/// A tree and how many levels it has. Boxed, so that the parser's own frames stay small.
pub(super) struct Sub {
    pub(super) expr: Box<Expr>,
    pub(super) depth: u32,
}

pub(super) struct Parser {
    pub(super) tokens: Vec<Token>,
    pub(super) at: usize,
    macros: Macros,
    next_id: u32,
    nesting: usize,
    /// The token that the last syntax error was at: it is reported once.
    blamed: Option<usize>,
    /// A limit was reached: nothing more is read or reported.
    exhausted: bool,
    diagnostics: Vec<Diagnostic>,
}

impl Parser {
    pub(super) fn kind(&self) -> &TokenKind {
        &self.tokens[self.at].kind
    }

    pub(super) fn span(&self) -> Span {
        self.tokens[self.at].span
    }

    fn kind_ahead(&self, ahead: usize) -> &TokenKind {
        let last = self.tokens.len() - 1;
        &self.tokens[(self.at + ahead).min(last)].kind
    }

    /// Where the last token read ends.
    fn end(&self) -> u32 {
        self.at
            .checked_sub(1)
            .map_or(0, |at| self.tokens[at].span.end)
    }

    pub(super) fn span_from(&self, start: u32) -> Span {
        Span {
            start,
            end: self.end().max(start),
        }
    }

    /// Takes the token and moves on; the end of the text is never passed.
    fn bump(&mut self) -> Token {
        let last = self.tokens.len() - 1;
        let token = self.tokens[self.at].clone();
        if self.at < last {
            self.at += 1;
        }
        token
    }

    fn eat(&mut self, kind: &TokenKind) -> bool {
        let found = self.kind() == kind;
        if found {
            self.bump();
        }
        found
    }

    pub(super) fn report(&mut self, diagnostic: Diagnostic) {
        if !self.exhausted {
            self.diagnostics.push(diagnostic);
        }
    }

    /// Reports a syntax error. Apart from its callers to keep the frames of those that recurse small.
    fn complain(&mut self, span: Span, message: &str, help: &str, fix: Option<(Span, &str)>) {
        let mut diagnostic = Diagnostic::new(Code::SelectorSyntax, span, message).with_help(help);
        if let Some((span, replacement)) = fix {
            diagnostic = diagnostic.with_suggestion(span, replacement);
        }
        self.report(diagnostic);
    }

    /// Reports what stands at the current token, once.
    fn blame(&mut self, expected: &str) -> Failed {
        if self.blamed != Some(self.at) {
            self.blamed = Some(self.at);
            let found = self.kind().describe();
            let mut diagnostic = Diagnostic::new(
                Code::SelectorSyntax,
                self.visible_span(),
                format!("expected {expected}, found {found}"),
            )
            .with_caret(format!("expected {expected}"));
            diagnostic.help.extend(self.hint());
            self.report(diagnostic);
        }
        Failed
    }

    /// The current token's place; the end of the text is shown at the last character.
    fn visible_span(&self) -> Span {
        let span = self.span();
        if span.start == span.end && self.at > 0 {
            let end = self.end();
            return Span {
                start: end,
                end: end + 1,
            };
        }
        span
    }

    /// Help for what people often mean by the current token.
    fn hint(&self) -> Option<String> {
        let after_dot = self.at > 0 && self.tokens[self.at - 1].kind == TokenKind::Dot;
        let hint = match self.kind() {
            TokenKind::Dot
                if self.at > 0 && self.tokens[self.at - 1].kind == TokenKind::Question =>
            {
                "optional fields are written `a.?b`"
            }
            TokenKind::Question if self.at > 0 && *self.kind_before() == TokenKind::Question => {
                "a default for an absent field is written `event.?field.orValue(\"\")`"
            }
            TokenKind::Equal if self.at > 0 => "comparisons need a value on both sides",
            TokenKind::True | TokenKind::False | TokenKind::Null | TokenKind::In if after_dot => {
                return Some(format!(
                    "quote the field: `` .`{}` ``",
                    self.kind().symbol()
                ));
            }
            TokenKind::String(_) if after_dot => {
                "fields of any name are reached by index: `event[\"any name\"]`"
            }
            TokenKind::EndOfText if self.at == 0 => {
                "write a condition, such as `event.eventName == \"StopLogging\"`"
            }
            _ => return None,
        };
        Some(hint.to_owned())
    }

    fn kind_before(&self) -> &TokenKind {
        &self.tokens[self.at.saturating_sub(1)].kind
    }

    fn exhaust(&mut self, span: Span, message: String, help: &str) -> Failed {
        self.report(Diagnostic::new(Code::SelectorTooLarge, span, message).with_help(help));
        self.exhausted = true;
        self.at = self.tokens.len() - 1;
        Failed
    }

    fn too_deep(&mut self, span: Span) -> Failed {
        let message = format!(
            "the selector nests deeper than {} levels",
            limits::SELECTOR_DEPTH_MAX
        );
        self.exhaust(
            span,
            message,
            "use `in [...]`, `inList` or several rules; `&&` and `||` chains are free",
        )
    }

    /// Makes a node whose deepest child has `depth` levels.
    pub(super) fn node(&mut self, span: Span, kind: ExprKind, depth: u32) -> Result<Sub, Failed> {
        if depth as usize >= limits::SELECTOR_DEPTH_MAX {
            return Err(self.too_deep(span));
        }
        if self.next_id as usize >= limits::SELECTOR_NODES_MAX {
            let message = format!(
                "the selector has more than {} parts",
                limits::SELECTOR_NODES_MAX
            );
            return Err(self.exhaust(
                span,
                message,
                "keep long lists of values in a list file: `inList(\"name\", value)`",
            ));
        }
        let id = ExprId(self.next_id);
        self.next_id += 1;
        Ok(Sub {
            expr: Box::new(Expr { id, span, kind }),
            depth: depth + 1,
        })
    }
}
