//! The part of the parser that reads what follows a primary: fields, calls, indexes, message literals.

use super::{Failed, Macros, Parser, Sub};
use crate::diagnostic::Span;
use crate::selector::ast::{Expr, ExprKind};
use crate::selector::declare;
use crate::selector::lex::TokenKind;

impl Parser {
    /// A primary and what follows it: fields, calls, indexes, message literals.
    pub(super) fn member(&mut self) -> Result<Sub, Failed> {
        let start = self.span().start;
        let mut plain_name = matches!(self.kind(), TokenKind::Identifier(_) | TokenKind::Dot);
        let mut sub = self.primary()?;
        loop {
            match self.kind() {
                TokenKind::Dot => {
                    self.bump();
                    let optional = self.eat(&TokenKind::Question);
                    sub = self.field_or_call(sub, start, optional)?;
                }
                TokenKind::Question
                    if *self.kind_ahead(1) == TokenKind::Dot
                        && matches!(self.kind_ahead(2), TokenKind::Identifier(_))
                        && self.touching() =>
                {
                    let span = Span {
                        start: self.span().start,
                        end: self.span().end + 1,
                    };
                    let message = "`?.` is not an operator of CEL";
                    let help = "an optional field is written `.?`";
                    self.complain(span, message, help, Some((span, ".?")));
                    self.bump();
                    self.bump();
                    sub = self.field_or_call(sub, start, true)?;
                }
                TokenKind::BracketOpen => sub = self.index(sub, start)?,
                TokenKind::BraceOpen if plain_name => match sub.expr.qualified_name() {
                    Some(name) => {
                        let name_span = sub.expr.span;
                        sub = self.message(name, name_span)?;
                        plain_name = false;
                    }
                    None => return Ok(sub),
                },
                _ => return Ok(sub),
            }
        }
    }

    /// Whether the current token and the next have nothing between them.
    fn touching(&self) -> bool {
        self.tokens
            .get(self.at + 1)
            .is_some_and(|next| next.span.start == self.span().end)
    }

    fn field_or_call(&mut self, operand: Sub, start: u32, optional: bool) -> Result<Sub, Failed> {
        let field_span = self.span();
        let field = match self.kind() {
            TokenKind::Identifier(name) => name.clone(),
            TokenKind::QuotedIdentifier(name) => {
                let name = name.clone();
                self.bump();
                return self.select(operand, start, name, field_span, optional);
            }
            _ => return Err(self.blame("a field name")),
        };
        self.bump();
        if *self.kind() != TokenKind::ParenOpen || optional {
            return self.select(operand, start, field, field_span, optional);
        }
        let (args, depth) = self.arguments()?;
        let depth = depth.max(operand.depth);
        let span = self.span_from(start);
        if self.macros == Macros::Recognised {
            return self.member_macro(operand.expr, field, field_span, args, span, depth);
        }
        self.member_call(operand.expr, field, field_span, args, span, depth)
    }

    pub(super) fn member_call(
        &mut self,
        target: Box<Expr>,
        function: String,
        function_span: Span,
        args: Vec<Expr>,
        span: Span,
        depth: u32,
    ) -> Result<Sub, Failed> {
        if let Some(prefix) = target.qualified_name() {
            let dotted = format!("{}.{function}", prefix.trim_start_matches('.'));
            if declare::is_namespaced(&dotted) {
                let function_span = target.span.to(function_span);
                let kind = ExprKind::Call {
                    function: dotted,
                    function_span,
                    args,
                };
                return self.node(span, kind, depth);
            }
        }
        let kind = ExprKind::MemberCall {
            target,
            function,
            function_span,
            args,
        };
        self.node(span, kind, depth)
    }

    fn select(
        &mut self,
        operand: Sub,
        start: u32,
        field: String,
        field_span: Span,
        optional: bool,
    ) -> Result<Sub, Failed> {
        let operand_depth = operand.depth;
        let kind = ExprKind::Select {
            operand: operand.expr,
            field,
            field_span,
            optional,
        };
        self.node(self.span_from(start), kind, operand_depth)
    }

    fn index(&mut self, operand: Sub, start: u32) -> Result<Sub, Failed> {
        let opened = self.span();
        self.bump();
        let optional = self.eat(&TokenKind::Question);
        let index = self.expression()?;
        self.expect(TokenKind::BracketClose, Some(opened))?;
        let depth = operand.depth.max(index.depth);
        let kind = ExprKind::Index {
            operand: operand.expr,
            index: index.expr,
            optional,
        };
        self.node(self.span_from(start), kind, depth)
    }
}
