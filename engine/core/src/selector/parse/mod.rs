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

use super::ast::{BinaryOp, Expr, ExprId, ExprKind, UnaryOp};
use super::declare;
use super::lex::{self, Token, TokenKind};
use crate::diagnostic::{Code, Diagnostic, Span};
use crate::limits;

mod macros;
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

    fn whole(&mut self) -> Result<Sub, Failed> {
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
            last.labels.push(crate::diagnostic::Label {
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
    fn skip_to(&mut self, stops: &[TokenKind]) {
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

    /// A primary and what follows it: fields, calls, indexes, message literals.
    fn member(&mut self) -> Result<Sub, Failed> {
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
