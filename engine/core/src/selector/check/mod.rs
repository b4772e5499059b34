//! What a selector means before any event is seen: types, names, constants, absent fields, cost.
//!
//! Relies on `declare` for functions, on a [`Schema`] for fields, on the parser's depth limit for its own stack.
//! Never fails early: every part gets a type, the type of a wrong part agrees with everything, so one mistake is
//! reported once. The rules of types are cel-go's, with three differences that events need: objects of a schema
//! have the fields it lists and no others, numbers of different kinds may be ordered (as the spec says, and
//! cel-go does when asked), and a macro over an undecided list decides nothing.
//!
//! After the types, five passes look at the whole: `constants` (patterns, networks, times that can never be read),
//! `faults` (parts that always err),
//! `contradiction` (conditions that never or always hold), `presence` (absent fields that silence the rule) and
//! `cost`. They run only when the types are right, as they rely on them.

use super::ast::{BinaryOp, Expr, ExprId, ExprKind, Literal, StructField, UnaryOp};
use super::declare::Overload;
use super::schema::Schema;
use super::types::{Substitution, Type};
use super::{contradiction, cost, presence, print};
use crate::diagnostic::{Code, Diagnostic, Level, Span};
use std::collections::BTreeMap;

mod calls;
mod constants;
mod faults;
mod fields;
mod macros;
mod names;
#[cfg(test)]
mod tests;

pub(super) use fields::constant_text;

/// What an expression may use and what it should give.
#[derive(Clone, Debug, Default)]
pub struct CheckEnv<'a> {
    /// The text that was parsed, for places inside string constants; may be empty.
    pub text: &'a str,
    /// The fields of `event`; without it the event is untyped.
    pub schema: Option<&'a Schema>,
    /// The names of the lists that there are; `None` when nobody knows.
    pub lists: Option<&'a [String]>,
    /// Variables other than `event`.
    pub variables: BTreeMap<String, Type>,
    /// Functions beside those of the language.
    pub functions: Vec<Overload>,
    /// The type wanted; `None` when any will do.
    pub expected: Option<Type>,
}

impl<'a> CheckEnv<'a> {
    /// For a condition on an event.
    pub fn condition(text: &'a str, schema: Option<&'a Schema>) -> Self {
        Self {
            expected: Some(Type::Bool),
            ..Self::value(text, schema)
        }
    }

    /// For an expression on an event that may give anything: a title's part, a key, a context value.
    pub fn value(text: &'a str, schema: Option<&'a Schema>) -> Self {
        let event = match schema {
            Some(_) => Type::Record(Schema::ROOT),
            None => Type::Dyn,
        };
        let variables = BTreeMap::from([("event".to_owned(), event)]);
        Self {
            text,
            schema,
            variables,
            ..Self::default()
        }
    }

    /// With the names of the site's lists.
    pub fn with_lists(mut self, lists: &'a [String]) -> Self {
        self.lists = Some(lists);
        self
    }
}

/// What was found out.
#[derive(Clone, Debug)]
pub struct Checked {
    /// The type of the whole.
    pub result: Type,
    /// Upper estimate of evaluating once, in the units of `limits::SELECTOR_COST_MAX`.
    pub cost: u64,
    /// Everything wrong or doubtful, by place.
    pub diagnostics: Vec<Diagnostic>,
    types: Vec<Type>,
}

impl Checked {
    /// The type of a part.
    pub fn type_of(&self, id: ExprId) -> &Type {
        self.types.get(id.0 as usize).unwrap_or(&Type::Dyn)
    }

    /// Whether anything found is an error.
    pub fn has_errors(&self) -> bool {
        self.diagnostics.iter().any(|one| one.level == Level::Error)
    }
}

/// Checks an expression.
pub fn check(expr: &Expr, env: &CheckEnv<'_>) -> Checked {
    let mut checker = Checker::new(env);
    let result = checker.visit(expr);
    let result = checker.decided.resolve(&result);
    checker.expect_result(expr, &result);
    let types = checker
        .types
        .iter()
        .map(|one| checker.decided.resolve(one))
        .collect();
    let diagnostics = checker.diagnostics;
    let mut checked = Checked {
        result,
        cost: 0,
        diagnostics,
        types,
    };
    let estimate = cost::estimate(expr, &checked);
    checked.cost = estimate.total;
    checked.diagnostics.extend(estimate.refusal());
    if !checked.has_errors() {
        faults::find(expr, &mut checked.diagnostics);
    }
    if !checked.has_errors() && env.expected == Some(Type::Bool) {
        contradiction::find(expr, &mut checked.diagnostics);
        if let Some(schema) = env.schema {
            let found = presence::find(expr, schema, &checked);
            checked.diagnostics.extend(found);
        }
    }
    checked
        .diagnostics
        .sort_by_key(|one| (one.span.start, one.code));
    checked
}

/// Most nodes of one type; a larger one is treated as dyn, so that hostile text cannot grow types.
const TYPE_PARTS_MAX: usize = 100;

/// Most diagnostics of one expression.
const DIAGNOSTICS_MAX: usize = 50;

pub(super) struct Checker<'a> {
    env: &'a CheckEnv<'a>,
    decided: Substitution,
    types: Vec<Type>,
    /// Variables of macros, the innermost last.
    scopes: Vec<(String, Type)>,
    /// Types of the values of the enclosing `cel.block`.
    slots: Vec<Type>,
    diagnostics: Vec<Diagnostic>,
}

impl<'a> Checker<'a> {
    fn new(env: &'a CheckEnv<'a>) -> Self {
        Self {
            env,
            decided: Substitution::default(),
            types: Vec::new(),
            scopes: Vec::new(),
            slots: Vec::new(),
            diagnostics: Vec::new(),
        }
    }

    fn report(&mut self, diagnostic: Diagnostic) -> Type {
        if self.diagnostics.len() < DIAGNOSTICS_MAX {
            self.diagnostics.push(diagnostic);
        }
        Type::Error
    }

    fn expect_result(&mut self, expr: &Expr, result: &Type) {
        let Some(expected) = &self.env.expected else {
            return;
        };
        if self.decided.assign(expected, result) {
            return;
        }
        let message = format!("expected {expected}, found {}", self.show(result));
        let mut diagnostic = Diagnostic::new(Code::WrongResultType, expr.span, message);
        diagnostic = diagnostic.with_caret(format!("this is {}", self.describe(result)));
        if *expected == Type::Bool {
            let text = print(expr);
            let help = match (&expr.kind, result) {
                (ExprKind::Select { .. }, _) => {
                    format!(
                        "ask whether the field is there with `has({text})`, or compare it with something"
                    )
                }
                _ => "a condition is true or false: compare the value with something".to_owned(),
            };
            diagnostic = diagnostic.with_help(help);
        }
        self.report(diagnostic);
    }

    /// The type as people read it.
    fn show(&self, of: &Type) -> String {
        self.decided.resolve(of).to_string()
    }

    /// The type with its article.
    fn describe(&self, of: &Type) -> String {
        let name = match self.decided.resolve(of) {
            Type::Null => return "null".to_owned(),
            Type::Optional(inner) => format!("optional {inner}"),
            other => other.to_string(),
        };
        let article = if name.starts_with(['a', 'i', 'o']) {
            "an"
        } else {
            "a"
        };
        format!("{article} {name}")
    }

    fn visit(&mut self, expr: &Expr) -> Type {
        let found = self.kind(expr);
        let found = if self.decided.weighs_more(&found, TYPE_PARTS_MAX) {
            Type::Dyn
        } else {
            found
        };
        let index = expr.id.0 as usize;
        if self.types.len() <= index {
            self.types.resize(index + 1, Type::Dyn);
        }
        self.types[index] = found.clone();
        found
    }

    fn kind(&mut self, expr: &Expr) -> Type {
        match &expr.kind {
            ExprKind::Literal(literal) => literal_type(literal),
            ExprKind::Ident(name) => self.ident(name, expr.span),
            ExprKind::Select {
                operand,
                field,
                field_span,
                optional,
            } => self.select(expr, operand, (field, *field_span), *optional),
            ExprKind::Has {
                operand,
                field,
                field_span,
            } => {
                let operand_type = self.visit(operand);
                self.field_type(operand, &operand_type, (field, *field_span));
                Type::Bool
            }
            ExprKind::Index {
                operand,
                index,
                optional,
            } => self.index(expr.span, operand, index, *optional),
            ExprKind::Call {
                function,
                function_span,
                args,
            } => self.call(expr.span, function, *function_span, args),
            ExprKind::MemberCall {
                target,
                function,
                function_span,
                args,
            } => self.member_call(expr.span, target, (function, *function_span), args),
            ExprKind::Unary(operator, operand) => self.unary(*operator, operand, expr.span),
            ExprKind::Binary(operator, left, right) => {
                self.binary(*operator, left, right, expr.span)
            }
            ExprKind::And(operands) => self.logical("&&", operands),
            ExprKind::Or(operands) => self.logical("||", operands),
            ExprKind::Conditional {
                condition,
                then,
                otherwise,
            } => self.conditional(condition, then, otherwise),
            other => self.composed(expr.span, other),
        }
    }

    /// Literals with parts, and macros.
    fn composed(&mut self, span: Span, kind: &ExprKind) -> Type {
        match kind {
            ExprKind::List(items) => {
                let mut joined = None;
                for item in items {
                    let found = self.visit(&item.value);
                    let found = self.unwrapped_if(item.optional, found, item.value.span);
                    joined = Some(self.join(joined, found));
                }
                Type::list(joined.unwrap_or_else(|| self.decided.fresh()))
            }
            ExprKind::Map(entries) => {
                let (mut keys, mut values) = (None, None);
                for entry in entries {
                    let key = self.map_key(&entry.key);
                    let value = self.visit(&entry.value);
                    let value = self.unwrapped_if(entry.optional, value, entry.value.span);
                    keys = Some(self.join(keys, key));
                    values = Some(self.join(values, value));
                }
                let keys = keys.unwrap_or_else(|| self.decided.fresh());
                Type::map(keys, values.unwrap_or_else(|| self.decided.fresh()))
            }
            ExprKind::Struct {
                name,
                name_span,
                fields,
            } => self.message(name, *name_span, fields),
            ExprKind::Comprehension(comprehension) => self.comprehension(comprehension),
            ExprKind::Bind { name, value, body } => {
                let value = self.visit(value);
                self.scoped(&[(name, value)], body)
            }
            ExprKind::OptMap {
                target,
                name,
                body,
                flat,
            } => self.optional_map(target, name, body, *flat),
            ExprKind::Block { slots, body } => self.block(slots, body, span),
            _ => Type::Dyn,
        }
    }

    fn map_key(&mut self, key: &Expr) -> Type {
        let found = self.visit(key);
        let shown = self.decided.resolve(&found);
        match shown {
            Type::Bool | Type::Int | Type::Uint | Type::String | Type::Dyn | Type::Error => found,
            other => self.report(
                Diagnostic::new(
                    Code::TypeMismatch,
                    key.span,
                    format!("{} cannot be a key", self.describe(&other)),
                )
                .with_help("keys are text, integers or booleans"),
            ),
        }
    }

    /// The value's type; of `?value`, the type inside its optional.
    fn unwrapped_if(&mut self, optional: bool, found: Type, span: Span) -> Type {
        if !optional {
            return found;
        }
        let inner = self.decided.fresh();
        if self.decided.assign(&Type::optional(inner.clone()), &found) {
            return inner;
        }
        let message = format!(
            "expected an optional after `?`, found {}",
            self.show(&found)
        );
        self.report(
            Diagnostic::new(Code::TypeMismatch, span, message)
                .with_help("optionals come from `.?field`, `[?index]` and `optional.of(value)`"),
        )
    }

    /// The type that holds both; dyn when they disagree.
    fn join(&mut self, one: Option<Type>, other: Type) -> Type {
        let Some(one) = one else { return other };
        if one.is_dyn() || self.decided.shallow(&other).is_dyn() {
            return Type::Dyn;
        }
        let (one_bare, other_bare) = (one.non_null().clone(), other.non_null().clone());
        if !self.decided.assign(&one_bare, &other_bare) {
            return if one_bare == Type::Null && self.decided.assign(&other, &one_bare) {
                other
            } else {
                Type::Dyn
            };
        }
        if other_bare != other || one_bare != one {
            Type::nullable(one_bare)
        } else {
            one
        }
    }

    fn logical(&mut self, operator: &str, operands: &[Expr]) -> Type {
        for operand in operands {
            let found = self.visit(operand);
            if !self.decided.assign(&Type::Bool, &found) {
                let message = format!(
                    "`{operator}` joins conditions, this is a {}",
                    self.show(&found)
                );
                let mut diagnostic = Diagnostic::new(Code::TypeMismatch, operand.span, message);
                if matches!(operand.kind, ExprKind::Literal(_)) {
                    let help = "repeat the field for every value, or use `field in [value, value]`";
                    diagnostic = diagnostic.with_help(help);
                }
                self.report(diagnostic);
            }
        }
        Type::Bool
    }

    fn conditional(&mut self, condition: &Expr, then: &Expr, otherwise: &Expr) -> Type {
        let found = self.visit(condition);
        if !self.decided.assign(&Type::Bool, &found) {
            let message = format!("the condition before `?` is {}", self.describe(&found));
            self.report(Diagnostic::new(Code::TypeMismatch, condition.span, message));
        }
        let then_type = self.visit(then);
        let otherwise_type = self.visit(otherwise);
        let (left, right) = (
            self.decided.shallow(&then_type),
            self.decided.shallow(&otherwise_type),
        );
        if !left.is_dyn() && !right.is_dyn() && !self.decided.assign(&left, &right) {
            let (left, right) = (self.describe(&left), self.describe(&right));
            let message = format!("one branch is {left}, the other {right}");
            return self.report(
                Diagnostic::new(Code::TypeMismatch, then.span.to(otherwise.span), message)
                    .with_help("both branches need one type; `dyn(x)` switches the check off"),
            );
        }
        if matches!((&left, &right), (Type::Null, _) | (_, Type::Nullable(_))) {
            right
        } else {
            left
        }
    }

    fn message(&mut self, name: &str, name_span: Span, fields: &[StructField]) -> Type {
        for field in fields {
            self.visit(&field.value);
        }
        if let Some(known) = names::message_type(name) {
            return known;
        }
        self.report(
            Diagnostic::new(
                Code::Unsupported,
                name_span,
                format!("there is no message type `{name}`"),
            )
            .with_help("events are JSON: write a map, `{\"field\": value}`"),
        )
    }

    fn unary(&mut self, operator: UnaryOp, operand: &Expr, span: Span) -> Type {
        let found = self.visit(operand);
        let name = match operator {
            UnaryOp::Not => "!_",
            UnaryOp::Negate => "-_",
        };
        self.resolve(name, span, &[operand], &[found], calls::Form::Operator)
    }

    fn binary(&mut self, operator: BinaryOp, left: &Expr, right: &Expr, span: Span) -> Type {
        let types = [self.visit(left), self.visit(right)];
        let name = match operator {
            BinaryOp::Less | BinaryOp::LessEqual | BinaryOp::Greater | BinaryOp::GreaterEqual => {
                "_<_"
            }
            BinaryOp::Equal => "_==_",
            BinaryOp::NotEqual => "_!=_",
            BinaryOp::In => "_in_",
            BinaryOp::Add => "_+_",
            BinaryOp::Subtract => "_-_",
            BinaryOp::Multiply => "_*_",
            BinaryOp::Divide => "_/_",
            BinaryOp::Remainder => "_%_",
        };
        let result = self.resolve(
            name,
            span,
            &[left, right],
            &types,
            calls::Form::Infix(operator.symbol()),
        );
        if result != Type::Error {
            self.check_values(operator, left, right);
            self.check_null(operator, left, right, span);
        }
        result
    }
}

fn literal_type(literal: &Literal) -> Type {
    match literal {
        Literal::Null => Type::Null,
        Literal::Bool(_) => Type::Bool,
        Literal::Int(_) => Type::Int,
        Literal::Uint(_) => Type::Uint,
        Literal::Double(_) => Type::Double,
        Literal::String(_) => Type::String,
        Literal::Bytes(_) => Type::Bytes,
    }
}
