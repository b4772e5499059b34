//! The part of the parser that reads primaries: literals, names, calls, lists, maps and messages.

use super::{Failed, Macros, Parser, Sub};
use crate::diagnostic::{Code, Diagnostic, Label, Span};
use crate::selector::ast::{Expr, ExprKind, ListItem, Literal, MapEntry, StructField};
use crate::selector::lex::TokenKind;

/// Words that the language keeps for itself; they can still name fields.
const RESERVED: &[&str] = &[
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "let",
    "loop",
    "package",
    "namespace",
    "return",
    "var",
    "void",
    "while",
];

impl Parser {
    /// A literal, a name, a call, a list, a map, or an expression in parentheses.
    pub(super) fn primary(&mut self) -> Result<Sub, Failed> {
        let start = self.span().start;
        let literal = match self.kind().clone() {
            TokenKind::Int(_) | TokenKind::Minus => return self.number(),
            TokenKind::Uint(value) => Literal::Uint(value),
            TokenKind::Double(value) => Literal::Double(value),
            TokenKind::String(text) => Literal::String(text),
            TokenKind::Bytes(bytes) => Literal::Bytes(bytes),
            TokenKind::True => Literal::Bool(true),
            TokenKind::False => Literal::Bool(false),
            TokenKind::Null => Literal::Null,
            TokenKind::Identifier(name) => return self.name(start, name),
            TokenKind::Dot => {
                self.bump();
                let TokenKind::Identifier(name) = self.kind().clone() else {
                    return Err(self.blame("a name"));
                };
                return self.name(start, format!(".{name}"));
            }
            TokenKind::ParenOpen => return self.parenthesised(),
            TokenKind::BracketOpen => return self.list(),
            TokenKind::BraceOpen => return self.map(),
            _ => return Err(self.blame("a value")),
        };
        self.bump();
        self.node(self.span_from(start), ExprKind::Literal(literal), 0)
    }

    /// A number that may have a sign.
    fn number(&mut self) -> Result<Sub, Failed> {
        let start = self.span().start;
        let negative = *self.kind() == TokenKind::Minus;
        if negative {
            self.bump();
        }
        let literal = match *self.kind() {
            TokenKind::Double(value) => Literal::Double(if negative { -value } else { value }),
            TokenKind::Int(magnitude) => {
                let value = i128::from(magnitude) * if negative { -1 } else { 1 };
                match i64::try_from(value) {
                    Ok(value) => Literal::Int(value),
                    Err(_) => {
                        let span = Span {
                            start,
                            end: self.span().end,
                        };
                        self.report(
                            Diagnostic::new(
                                Code::SelectorLiteral,
                                span,
                                "the number does not fit 64 bits",
                            )
                            .with_help(format!(
                                "as an unsigned number it is written `{magnitude}u`"
                            )),
                        );
                        Literal::Int(0)
                    }
                }
            }
            _ => return Err(self.blame("a number")),
        };
        self.bump();
        self.node(self.span_from(start), ExprKind::Literal(literal), 0)
    }

    fn name(&mut self, start: u32, name: String) -> Result<Sub, Failed> {
        let name_span = Span {
            start,
            end: self.span().end,
        };
        if RESERVED.contains(&name.trim_start_matches('.')) {
            let message = format!("`{name}` is a reserved word");
            let help = "it can name a field, but no variable and no function";
            self.complain(name_span, &message, help, None);
        }
        self.bump();
        if *self.kind() != TokenKind::ParenOpen {
            return self.node(name_span, ExprKind::Ident(name), 0);
        }
        let (args, depth) = self.arguments()?;
        let span = self.span_from(start);
        let function = name.trim_start_matches('.').to_owned();
        if self.macros == Macros::Recognised && function == "has" {
            return self.has_macro(name_span, args, span, depth);
        }
        self.node(
            span,
            ExprKind::Call {
                function,
                function_span: name_span,
                args,
            },
            depth,
        )
    }

    fn parenthesised(&mut self) -> Result<Sub, Failed> {
        let opened = self.span();
        self.bump();
        let inner = self.expression();
        if inner.is_ok() && *self.kind() == TokenKind::Comma {
            let span = self.span();
            self.blamed = Some(self.at);
            let help = "a list of values is written in square brackets: `x in [\"a\", \"b\"]`";
            self.complain(span, "expected `)`, found `,`", help, None);
            self.skip_to(&[]);
            self.eat(&TokenKind::ParenClose);
            return Err(Failed);
        }
        if inner.is_err() {
            self.skip_to(&[]);
            self.eat(&TokenKind::ParenClose);
            return inner;
        }
        self.expect(TokenKind::ParenClose, Some(opened))?;
        inner
    }

    fn blame_item(&mut self, close: &TokenKind, opened: Span) {
        let reported = self.diagnostics.len();
        self.blame(&format!("`,` or `{}`", close.symbol()));
        if let Some(last) = self.diagnostics.get_mut(reported) {
            last.labels.push(Label {
                span: opened,
                message: "opened here".to_owned(),
            });
        }
    }

    /// Reads items up to `close`, going on after a mistake in one of them. `item` may be called when the
    /// closing bracket is the next token only for the first item.
    fn items(
        &mut self,
        close: &TokenKind,
        mut item: impl FnMut(&mut Self) -> Result<(), Failed>,
    ) -> Result<(), Failed> {
        let opened = self.span();
        self.bump();
        let mut failed = false;
        let trailing_comma = *close != TokenKind::ParenClose;
        if trailing_comma && *self.kind() == TokenKind::Comma && self.kind_ahead(1) == close {
            self.bump();
        }
        while self.kind() != close {
            if item(self).is_err() {
                failed = true;
                self.skip_to(&[TokenKind::Comma]);
            }
            if *self.kind() != TokenKind::Comma && self.kind() != close {
                failed = true;
                self.blame_item(close, opened);
                self.skip_to(&[TokenKind::Comma]);
            }
            if !self.eat(&TokenKind::Comma) {
                break;
            }
            if !trailing_comma && self.kind() == close {
                failed = true;
                self.blame("an argument");
            }
        }
        self.expect(close.clone(), Some(opened))?;
        if failed { Err(Failed) } else { Ok(()) }
    }

    /// `(a, b)`: the arguments and how deep they are.
    pub(super) fn arguments(&mut self) -> Result<(Vec<Expr>, u32), Failed> {
        let mut args = Vec::new();
        let mut depth = 0;
        self.items(&TokenKind::ParenClose, |parser| {
            let sub = parser.expression()?;
            depth = depth.max(sub.depth);
            args.push(*sub.expr);
            Ok(())
        })?;
        Ok((args, depth))
    }

    fn list(&mut self) -> Result<Sub, Failed> {
        let start = self.span().start;
        let mut items = Vec::new();
        let mut depth = 0;
        self.items(&TokenKind::BracketClose, |parser| {
            let optional = parser.eat(&TokenKind::Question);
            let sub = parser.expression()?;
            depth = depth.max(sub.depth);
            items.push(ListItem {
                value: *sub.expr,
                optional,
            });
            Ok(())
        })?;
        self.node(self.span_from(start), ExprKind::List(items), depth)
    }

    fn map(&mut self) -> Result<Sub, Failed> {
        let start = self.span().start;
        let mut entries = Vec::new();
        let mut depth = 0;
        self.items(&TokenKind::BraceClose, |parser| {
            let optional = parser.eat(&TokenKind::Question);
            let key = parser.expression()?;
            parser.expect(TokenKind::Colon, None)?;
            let value = parser.expression()?;
            depth = depth.max(key.depth).max(value.depth);
            entries.push(MapEntry {
                key: *key.expr,
                value: *value.expr,
                optional,
            });
            Ok(())
        })?;
        self.node(self.span_from(start), ExprKind::Map(entries), depth)
    }

    /// `Name{field: value}`, from the brace on.
    pub(super) fn message(&mut self, name: String, name_span: Span) -> Result<Sub, Failed> {
        let mut fields = Vec::new();
        let mut depth = 0;
        self.items(&TokenKind::BraceClose, |parser| {
            let optional = parser.eat(&TokenKind::Question);
            let name_span = parser.span();
            let name = match parser.kind().clone() {
                TokenKind::Identifier(name) | TokenKind::QuotedIdentifier(name) => name,
                _ => return Err(parser.blame("a field name")),
            };
            parser.bump();
            parser.expect(TokenKind::Colon, None)?;
            let value = parser.expression()?;
            depth = depth.max(value.depth);
            fields.push(StructField {
                name,
                name_span,
                value: *value.expr,
                optional,
            });
            Ok(())
        })?;
        let kind = ExprKind::Struct {
            name,
            name_span,
            fields,
        };
        self.node(self.span_from(name_span.start), kind, depth)
    }
}
