//! Operators and functions: which overload is meant, and what to say when none is.

use super::Checker;
use crate::diagnostic::{Code, Diagnostic, Span};
use crate::selector::ast::{Expr, ExprKind, Literal};
use crate::selector::declare::{self, Overload};
use crate::selector::literal::quoted;
use crate::selector::print;
use crate::selector::types::{Type, TypeVar};
use std::collections::BTreeMap;

/// How a call is written, for messages.
#[derive(Clone, Copy)]
pub(super) enum Form<'n> {
    Function(&'n str),
    Member(&'n str),
    Operator,
    Infix(&'n str),
    Index,
}

/// Most signatures shown in one help.
const SHOWN_MAX: usize = 8;

impl<'a> Checker<'a> {
    pub(super) fn call(
        &mut self,
        span: Span,
        function: &str,
        name_span: Span,
        args: &[Expr],
    ) -> Type {
        let types: Vec<Type> = args.iter().map(|arg| self.visit(arg)).collect();
        if function == "cel.index" {
            return self.slot(span, args);
        }
        if self.overloads(function, false).is_empty() {
            return self.unknown_function(function, name_span, None, args);
        }
        let exprs: Vec<&Expr> = args.iter().collect();
        let result = self.resolve(
            function,
            name_span,
            &exprs,
            &types,
            Form::Function(function),
        );
        self.check_constants(function, &exprs);
        result
    }

    fn slot(&mut self, span: Span, args: &[Expr]) -> Type {
        let number = args.first().and_then(|arg| match arg.kind {
            ExprKind::Literal(Literal::Int(number)) => usize::try_from(number).ok(),
            _ => None,
        });
        if let Some(found) = number.and_then(|number| self.slots.get(number)) {
            return found.clone();
        }
        self.report(
            Diagnostic::new(
                Code::UndeclaredName,
                span,
                "`cel.block` has no value of that number",
            )
            .with_help("a value sees only those before it"),
        )
    }

    pub(super) fn member_call(
        &mut self,
        _span: Span,
        target: &Expr,
        (function, name_span): (&str, Span),
        args: &[Expr],
    ) -> Type {
        if let Some(reported) = self.left_out(function, name_span, target) {
            return reported;
        }
        if self.overloads(function, true).is_empty() {
            // The target may be a misspelt namespace: it is not blamed as a variable as well.
            let namespace = matches!(&target.kind, ExprKind::Ident(name) if is_namespace(name));
            if !namespace {
                self.visit(target);
            }
            for arg in args {
                self.visit(arg);
            }
            return self.unknown_function(function, name_span, Some(target), args);
        }
        let mut types = vec![self.visit(target)];
        types.extend(args.iter().map(|arg| self.visit(arg)));
        let exprs: Vec<&Expr> = std::iter::once(target).chain(args).collect();
        let result = self.resolve(function, name_span, &exprs, &types, Form::Member(function));
        self.check_constants(function, &exprs);
        result
    }

    /// Every way to call a function: the language's and the environment's.
    fn overloads(&self, name: &str, member: bool) -> Vec<&'a Overload> {
        let given = self.env.functions.iter();
        let given = given.filter(|one| one.name == name && one.member == member);
        declare::overloads(name, member)
            .iter()
            .copied()
            .chain(given)
            .collect()
    }

    /// The result type of the overloads that take `types`; reports when there is none.
    pub(super) fn resolve(
        &mut self,
        name: &str,
        span: Span,
        args: &[&Expr],
        types: &[Type],
        form: Form<'_>,
    ) -> Type {
        let member = matches!(form, Form::Member(_));
        let overloads = self.overloads(name, member);
        let mut fitting: Vec<&Overload> = Vec::new();
        let mut results: Vec<Type> = Vec::new();
        for overload in overloads.iter().copied() {
            let mark = self.decided.mark();
            if let Some(result) = self.try_overload(overload, types) {
                fitting.push(overload);
                results.push(self.decided.resolve(&result));
            }
            self.decided.undo(mark);
        }
        match fitting.as_slice() {
            [] => self.no_overload(&overloads, span, args, types, form),
            // Only a single fit decides what was undecided.
            [only] => self.try_overload(only, types).unwrap_or(Type::Dyn),
            _ => {
                let first = results[0].clone();
                if results.iter().all(|result| *result == first) {
                    first
                } else {
                    Type::Dyn
                }
            }
        }
    }

    fn try_overload(&mut self, overload: &Overload, types: &[Type]) -> Option<Type> {
        let fits = match overload.variadic {
            true => types.len() >= overload.params.len(),
            false => types.len() == overload.params.len(),
        };
        if !fits {
            return None;
        }
        let mut fresh = BTreeMap::new();
        let mut number = None;
        for (index, given) in types.iter().enumerate() {
            let param = &overload.params[index.min(overload.params.len() - 1)];
            if !self.takes(param, given, &mut fresh, &mut number) {
                return None;
            }
        }
        match &overload.result {
            result if is_number(result) => Some(number.unwrap_or(Type::Dyn)),
            result => Some(self.instantiate(result, &mut fresh)),
        }
    }

    /// Whether a parameter takes a type. `number` of the table takes any kind of number, and remembers the kind
    /// while all are the same.
    fn takes(
        &mut self,
        param: &Type,
        given: &Type,
        fresh: &mut BTreeMap<TypeVar, Type>,
        number: &mut Option<Type>,
    ) -> bool {
        let given_shallow = self.decided.shallow(given);
        let kind = match param {
            param if is_number(param) => given_shallow.non_null().clone(),
            Type::List(element) if is_number(element) => match given_shallow.non_null() {
                Type::List(element) => self.decided.shallow(element).non_null().clone(),
                Type::Dyn | Type::Error => Type::Dyn,
                _ => return false,
            },
            _ => {
                let wanted = self.instantiate(param, fresh);
                return self.decided.assign(&wanted, given);
            }
        };
        match kind {
            Type::Int | Type::Uint | Type::Double => {
                let same = number.as_ref().is_none_or(|before| *before == kind);
                *number = Some(if same { kind } else { Type::Dyn });
                true
            }
            Type::Dyn | Type::Error | Type::Var(_) => {
                *number = Some(Type::Dyn);
                true
            }
            _ => false,
        }
    }

    /// A type of the table with variables of this call.
    fn instantiate(&mut self, of: &Type, fresh: &mut BTreeMap<TypeVar, Type>) -> Type {
        match of {
            Type::Var(variable) => {
                if let Some(known) = fresh.get(variable) {
                    return known.clone();
                }
                let new = self.decided.fresh();
                fresh.insert(*variable, new.clone());
                new
            }
            Type::List(inner) => Type::list(self.instantiate(inner, fresh)),
            Type::Map(key, value) => {
                let key = self.instantiate(key, fresh);
                Type::map(key, self.instantiate(value, fresh))
            }
            Type::Optional(inner) => Type::optional(self.instantiate(inner, fresh)),
            Type::Type(inner) => Type::type_of(self.instantiate(inner, fresh)),
            Type::Named(name, parameters) => {
                let parameters = parameters.iter().map(|one| self.instantiate(one, fresh));
                Type::Named(name.clone(), parameters.collect())
            }
            other => other.clone(),
        }
    }

    fn no_overload(
        &mut self,
        overloads: &[&Overload],
        span: Span,
        args: &[&Expr],
        types: &[Type],
        form: Form<'_>,
    ) -> Type {
        // A wrong part was reported already; what becomes of it is not another mistake.
        if types
            .iter()
            .any(|one| self.decided.shallow(one) == Type::Error)
        {
            return Type::Error;
        }
        let shown: Vec<String> = types.iter().map(|one| self.show(one)).collect();
        let described: Vec<String> = types.iter().map(|one| self.describe(one)).collect();
        let message = match form {
            Form::Infix("in") => {
                format!("`in` cannot look for {} in {}", described[0], described[1])
            }
            Form::Infix("==" | "!=") => {
                format!("{} can never equal {}", described[0], described[1])
            }
            Form::Infix(symbol) => {
                format!(
                    "`{symbol}` does not take {} and {}",
                    described[0], described[1]
                )
            }
            Form::Operator => format!("this operator does not take {}", described[0]),
            Form::Index => format!("{} cannot be indexed with {}", described[0], described[1]),
            Form::Function(name) => format!("`{name}` does not take ({})", shown.join(", ")),
            Form::Member(name) => {
                format!(
                    "`{name}` cannot be called on {} with ({})",
                    described[0],
                    shown[1..].join(", ")
                )
            }
        };
        let mut diagnostic = Diagnostic::new(Code::TypeMismatch, span, message);
        if args.len() == 2 && matches!(form, Form::Infix(_)) {
            diagnostic = diagnostic
                .with_label(args[0].span, described[0].clone())
                .with_label(args[1].span, described[1].clone());
        }
        match self.conversion(args, types, form) {
            Some((help, fix)) => {
                diagnostic = diagnostic.with_help(help);
                if let Some((span, text)) = fix {
                    diagnostic = diagnostic.with_suggestion(span, text);
                }
            }
            None if matches!(form, Form::Function(_) | Form::Member(_)) => {
                let signatures: Vec<&str> = overloads
                    .iter()
                    .map(|one| one.signature)
                    .take(SHOWN_MAX)
                    .collect();
                diagnostic =
                    diagnostic.with_help(format!("it is declared as\n{}", signatures.join("\n")));
            }
            None => {}
        }
        self.report(diagnostic)
    }

    /// Help for pairs of types that people mix up.
    fn conversion(
        &self,
        args: &[&Expr],
        types: &[Type],
        form: Form<'_>,
    ) -> Option<(String, Option<(Span, String)>)> {
        let types: Vec<Type> = types.iter().map(|one| self.decided.resolve(one)).collect();
        if let (Form::Member(_), Type::Optional(_)) = (form, types.first()?) {
            let text = print(args[0]);
            let help = format!("an optional needs a default first: `{text}.orValue(\"\")`");
            return Some((help, None));
        }
        if matches!(form, Form::Operator) && matches!(types[0], Type::Optional(_)) {
            return Some((
                format!(
                    "an optional needs a default first: `{}.orValue(false)`",
                    print(args[0])
                ),
                None,
            ));
        }
        let (Form::Infix(symbol), [left, right]) = (form, types.as_slice()) else {
            return None;
        };
        if symbol == "in" {
            return match right {
                Type::String => Some((
                    format!(
                        "look for a part of a text with `{}.contains({})`",
                        print(args[1]),
                        print(args[0])
                    ),
                    None,
                )),
                Type::List(element) => self.conversion_between(args[0], left, element),
                _ => None,
            };
        }
        self.conversion_between(args[0], left, right)
            .or_else(|| self.conversion_between(args[1], right, left))
            .or_else(|| self.constant_fix(args[1], left))
            .or_else(|| self.constant_fix(args[0], right))
    }

    fn conversion_between(
        &self,
        expr: &Expr,
        have: &Type,
        want: &Type,
    ) -> Option<(String, Option<(Span, String)>)> {
        let text = print(expr);
        match (have.non_null(), want.non_null()) {
            (Type::Optional(inner), _) => {
                let default = match **inner {
                    Type::Bool => "false",
                    Type::Int => "0",
                    _ => "\"\"",
                };
                let fixed = format!("{text}.orValue({default})");
                Some((
                    format!("an optional needs a default first: `{fixed}`"),
                    Some((expr.span, fixed)),
                ))
            }
            (Type::String, Type::Timestamp) => {
                let fixed = format!("timestamp({text})");
                Some((
                    format!("read the text as a moment: `{fixed}`"),
                    Some((expr.span, fixed)),
                ))
            }
            (Type::List(element), Type::String)
                if matches!(**element, Type::String | Type::Dyn) =>
            {
                Some((
                    format!("whether a list has a value is asked with `value in {text}`"),
                    None,
                ))
            }
            (Type::String, Type::Duration) => {
                let fixed = format!("duration({text})");
                Some((
                    format!("read the text as a length of time: `{fixed}`"),
                    Some((expr.span, fixed)),
                ))
            }
            (_, Type::Null) if matches!(expr.kind, ExprKind::Select { .. }) => Some((
                format!("`{text}` is never null, but may be absent: ask `has({text})`"),
                None,
            )),
            _ => None,
        }
    }

    /// A constant that only needs quotes, or none.
    fn constant_fix(
        &self,
        constant: &Expr,
        want: &Type,
    ) -> Option<(String, Option<(Span, String)>)> {
        let ExprKind::Literal(literal) = &constant.kind else {
            return None;
        };
        let fixed = match (literal, want.non_null()) {
            (
                Literal::Int(_) | Literal::Uint(_) | Literal::Double(_) | Literal::Bool(_),
                Type::String,
            ) => quoted(&print(constant)),
            (Literal::String(text), Type::Bool) if text == "true" || text == "false" => {
                text.clone()
            }
            (Literal::String(text), Type::Int) => text.parse::<i64>().ok()?.to_string(),
            (Literal::Int(value), Type::Double) => format!("{value}.0"),
            (Literal::Double(value), Type::Int) if value.fract() == 0.0 && value.abs() < 1e15 => {
                format!("{}", *value as i64)
            }
            _ => return None,
        };
        Some((
            format!("write it as {}: `{fixed}`", self.describe(want.non_null())),
            Some((constant.span, fixed)),
        ))
    }
}

fn is_namespace(name: &str) -> bool {
    matches!(
        name,
        "math"
            | "strings"
            | "lists"
            | "base64"
            | "json"
            | "optional"
            | "cel"
            | "ip"
            | "proto"
            | "regex"
            | "sets"
    )
}

/// Whether a type of the table stands for any kind of number.
fn is_number(of: &Type) -> bool {
    matches!(of, Type::Named(name, _) if **name == *"number")
}
