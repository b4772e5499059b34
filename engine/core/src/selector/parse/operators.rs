//! The part of the parser that reads operators, from the conditional down to negation.

use super::{Failed, Parser, Sub};
use crate::diagnostic::{Code, Diagnostic, Label, Span};
use crate::limits;
use crate::selector::ast::{BinaryOp, Expr, ExprKind, UnaryOp};
use crate::selector::lex::TokenKind;

/// Words that other languages use between two values, and how CEL says it.
const INFIX_WORDS: &[(&str, &str)] = &[
    ("contains", "call it on the text: `text.contains(\"part\")`"),
    (
        "startsWith",
        "call it on the text: `text.startsWith(\"prefix\")`",
    ),
    (
        "startswith",
        "call it on the text: `text.startsWith(\"prefix\")`",
    ),
    (
        "endsWith",
        "call it on the text: `text.endsWith(\"suffix\")`",
    ),
    (
        "endswith",
        "call it on the text: `text.endsWith(\"suffix\")`",
    ),
    (
        "matches",
        "call it on the text: `text.matches(\"pattern\")`",
    ),
    (
        "like",
        "use `glob(text, \"pattern*\")` or `text.matches(\"pattern\")`",
    ),
    ("not", "write `!(value in [...])`"),
    (
        "is",
        "compare with `==`; ask whether a field is there with `has(event.field)`",
    ),
    ("eq", "equality is written `==`"),
    ("ne", "not equal is written `!=`"),
    ("xor", "exclusive or of two conditions is `!=`"),
];

impl Parser {
    pub(super) fn whole(&mut self) -> Result<Sub, Failed> {
        let sub = self.expression();
        if *self.kind() != TokenKind::EndOfText && !self.exhausted {
            match self.kind() {
                TokenKind::ParenClose | TokenKind::BracketClose | TokenKind::BraceClose => {
                    let symbol = self.kind().symbol();
                    let span = self.span();
                    if self.blamed != Some(self.at) {
                        let message = format!("unmatched `{symbol}`");
                        self.report(Diagnostic::new(Code::SelectorSyntax, span, message));
                    }
                }
                _ => {
                    self.blame("an operator or the end of the selector");
                }
            }
            return Err(Failed);
        }
        sub
    }

    /// `or`, or `or ? or : expression`.
    pub(super) fn expression(&mut self) -> Result<Sub, Failed> {
        if self.nesting >= limits::SELECTOR_DEPTH_MAX {
            let span = self.span();
            return Err(self.too_deep(span));
        }
        self.nesting += 1;
        let result = self.conditional();
        self.nesting -= 1;
        result
    }

    fn conditional(&mut self) -> Result<Sub, Failed> {
        let start = self.span().start;
        let condition = self.any_of()?;
        if !self.eat(&TokenKind::Question) {
            return Ok(condition);
        }
        let then = self.any_of()?;
        if *self.kind() == TokenKind::Question {
            self.blamed = Some(self.at);
            let span = self.span();
            let help = "a conditional between `?` and `:` needs parentheses";
            self.complain(span, "expected `:`, found `?`", help, None);
            return Err(Failed);
        }
        self.expect(TokenKind::Colon, None)?;
        let otherwise = self.expression()?;
        let depth = condition.depth.max(then.depth).max(otherwise.depth);
        let kind = ExprKind::Conditional {
            condition: condition.expr,
            then: then.expr,
            otherwise: otherwise.expr,
        };
        self.node(self.span_from(start), kind, depth)
    }

    pub(super) fn expect(&mut self, kind: TokenKind, opened: Option<Span>) -> Result<(), Failed> {
        if self.eat(&kind) {
            return Ok(());
        }
        let reported = self.diagnostics.len();
        let failed = self.blame(&format!("`{}`", kind.symbol()));
        if let (Some(opened), Some(last)) = (opened, self.diagnostics.get_mut(reported)) {
            last.labels.push(Label {
                span: opened,
                message: "opened here".to_owned(),
            });
        }
        Err(failed)
    }

    fn any_of(&mut self) -> Result<Sub, Failed> {
        self.chain(TokenKind::Or, &["or", "OR", "Or"], Self::all_of)
    }

    fn all_of(&mut self) -> Result<Sub, Failed> {
        self.chain(TokenKind::And, &["and", "AND", "And"], |parser| {
            parser.binary(1)
        })
    }

    /// Operands joined by one of the two logical operators.
    fn chain(
        &mut self,
        operator: TokenKind,
        words: &[&str],
        operand: impl Fn(&mut Self) -> Result<Sub, Failed>,
    ) -> Result<Sub, Failed> {
        let start = self.span().start;
        let mut first = None;
        let mut others = Vec::new();
        let mut failed = false;
        let mut depth = 0;
        loop {
            match operand(self) {
                Ok(sub) => {
                    depth = depth.max(sub.depth);
                    match first {
                        None => first = Some(sub),
                        Some(_) => others.push(*sub.expr),
                    }
                }
                Err(Failed) => {
                    failed = true;
                    self.skip_to(&[
                        TokenKind::And,
                        TokenKind::Or,
                        TokenKind::Comma,
                        TokenKind::Colon,
                    ]);
                }
            }
            if !self.eat(&operator) && !self.foreign_word(words, operator.symbol()) {
                break;
            }
        }
        match first {
            Some(first) if !failed && others.is_empty() => Ok(first),
            Some(first) if !failed => {
                let flat = flatten(&operator, *first.expr, others);
                let kind = match operator {
                    TokenKind::And => ExprKind::And(flat),
                    _ => ExprKind::Or(flat),
                };
                self.node(self.span_from(start), kind, depth)
            }
            _ => Err(Failed),
        }
    }

    /// `and` and `or` where an operator belongs: reported, and read as what is meant.
    fn foreign_word(&mut self, words: &[&str], symbol: &str) -> bool {
        let TokenKind::Identifier(name) = self.kind() else {
            return false;
        };
        if !words.contains(&name.as_str()) {
            return false;
        }
        let message = format!("`{name}` is not an operator of CEL");
        let span = self.span();
        self.report(
            Diagnostic::new(Code::SelectorSyntax, span, message)
                .with_help(format!("it is written `{symbol}`"))
                .with_suggestion(span, symbol),
        );
        self.bump();
        true
    }

    /// Moves to the next of `stops` or the closing bracket of this level.
    pub(super) fn skip_to(&mut self, stops: &[TokenKind]) {
        let mut open = 0usize;
        loop {
            match self.kind() {
                TokenKind::EndOfText => return,
                TokenKind::ParenOpen | TokenKind::BracketOpen | TokenKind::BraceOpen => open += 1,
                TokenKind::ParenClose | TokenKind::BracketClose | TokenKind::BraceClose => {
                    if open == 0 {
                        return;
                    }
                    open -= 1;
                }
                kind if open == 0 && stops.contains(kind) => return,
                _ => {}
            }
            self.bump();
        }
    }

    /// Relations (1), sums (2) and products (3), all to the left.
    fn binary(&mut self, level: u8) -> Result<Sub, Failed> {
        let start = self.span().start;
        let mut left = self.unary()?;
        loop {
            let Some((operator, found)) = binary_operator(self.kind()) else {
                if level == 1 && self.infix_word()? {
                    continue;
                }
                return Ok(left);
            };
            if found < level {
                return Ok(left);
            }
            self.bump();
            let right = if found == 3 {
                self.unary()?
            } else {
                self.binary(found + 1)?
            };
            let depth = left.depth.max(right.depth);
            let kind = ExprKind::Binary(operator, left.expr, right.expr);
            left = self.node(self.span_from(start), kind, depth)?;
        }
    }

    /// `a contains "x"`: reported, its right side read and forgotten.
    fn infix_word(&mut self) -> Result<bool, Failed> {
        let TokenKind::Identifier(name) = self.kind() else {
            return Ok(false);
        };
        let Some((word, help)) = INFIX_WORDS.iter().find(|(word, _)| word == name) else {
            return Ok(false);
        };
        let span = self.span();
        self.report(
            Diagnostic::new(
                Code::SelectorSyntax,
                span,
                format!("`{word}` is not an operator of CEL"),
            )
            .with_help(*help),
        );
        self.bump();
        self.eat(&TokenKind::In);
        self.binary(2)?;
        Ok(true)
    }

    fn unary(&mut self) -> Result<Sub, Failed> {
        let start = self.span().start;
        let mut operators = Vec::new();
        loop {
            let token_start = self.span().start;
            match self.kind() {
                TokenKind::Not => operators.push((UnaryOp::Not, token_start)),
                TokenKind::Minus if is_number(self.kind_ahead(1)) => break,
                TokenKind::Minus => operators.push((UnaryOp::Negate, token_start)),
                TokenKind::Identifier(name)
                    if name == "not" && starts_value(self.kind_ahead(1)) =>
                {
                    let span = self.span();
                    let fix = (
                        Span {
                            start: span.start,
                            end: span.end + 1,
                        },
                        "!",
                    );
                    let message = "`not` is not an operator of CEL";
                    self.complain(span, message, "negation is written `!`", Some(fix));
                    operators.push((UnaryOp::Not, token_start));
                }
                _ => break,
            }
            self.bump();
            if operators.len() > limits::SELECTOR_DEPTH_MAX {
                return Err(self.too_deep(Span {
                    start,
                    end: token_start + 1,
                }));
            }
        }
        let mut sub = self.member()?;
        while let Some((operator, start)) = operators.pop() {
            let kind = ExprKind::Unary(operator, sub.expr);
            sub = self.node(self.span_from(start), kind, sub.depth)?;
        }
        Ok(sub)
    }
}

/// The operator a token stands for, with its level in [`Parser::binary`].
fn binary_operator(kind: &TokenKind) -> Option<(BinaryOp, u8)> {
    Some(match kind {
        TokenKind::Equal => (BinaryOp::Equal, 1),
        TokenKind::NotEqual => (BinaryOp::NotEqual, 1),
        TokenKind::Less => (BinaryOp::Less, 1),
        TokenKind::LessEqual => (BinaryOp::LessEqual, 1),
        TokenKind::Greater => (BinaryOp::Greater, 1),
        TokenKind::GreaterEqual => (BinaryOp::GreaterEqual, 1),
        TokenKind::In => (BinaryOp::In, 1),
        TokenKind::Plus => (BinaryOp::Add, 2),
        TokenKind::Minus => (BinaryOp::Subtract, 2),
        TokenKind::Star => (BinaryOp::Multiply, 3),
        TokenKind::Slash => (BinaryOp::Divide, 3),
        TokenKind::Percent => (BinaryOp::Remainder, 3),
        _ => return None,
    })
}

fn is_number(kind: &TokenKind) -> bool {
    matches!(kind, TokenKind::Int(_) | TokenKind::Double(_))
}

/// Whether a token can only begin a value, never follow one.
fn starts_value(kind: &TokenKind) -> bool {
    use TokenKind as Kind;
    matches!(
        kind,
        Kind::Identifier(_) | Kind::String(_) | Kind::Int(_) | Kind::True | Kind::False | Kind::Not
    )
}

/// One list of the operands of nested chains of the same operator.
fn flatten(operator: &TokenKind, first: Expr, others: Vec<Expr>) -> Vec<Expr> {
    let mut flat = Vec::with_capacity(others.len() + 1);
    for expr in std::iter::once(first).chain(others) {
        match (operator, expr.kind) {
            (TokenKind::And, ExprKind::And(inner)) | (TokenKind::Or, ExprKind::Or(inner)) => {
                flat.extend(inner);
            }
            (_, kind) => flat.push(Expr {
                id: expr.id,
                span: expr.span,
                kind,
            }),
        }
    }
    flat
}
