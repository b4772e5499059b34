//! Calls that are no functions: they bind variables or look at a field without reading it.
//!
//! Relies on the parser for the arguments, already read. A macro called with the wrong arguments is a
//! diagnostic here and not an unknown function later, because the name says what was meant.

use super::{Failed, Parser, Sub};
use crate::diagnostic::{Code, Diagnostic, Span};
use crate::selector::ast::{Comprehension, ComprehensionKind, Expr, ExprKind, Literal};

/// How a comprehension macro is written, for messages.
fn form(name: &str) -> &'static str {
    match name {
        "all" => "list.all(x, condition) or map.all(key, value, condition)",
        "exists" => "list.exists(x, condition) or map.exists(key, value, condition)",
        "exists_one" | "existsOne" => {
            "list.existsOne(x, condition) or map.existsOne(key, value, condition)"
        }
        "map" => "list.map(x, result) or list.map(x, condition, result)",
        "filter" => "list.filter(x, condition)",
        "transformList" => {
            "list.transformList(index, value, result), with a condition before the result if needed"
        }
        "transformMap" => {
            "map.transformMap(key, value, result), with a condition before the result if needed"
        }
        "transformMapEntry" => {
            "map.transformMapEntry(key, value, {new_key: new_value}), with a condition before the entry if needed"
        }
        "optMap" => "optional.optMap(x, result)",
        "optFlatMap" => "optional.optFlatMap(x, optional_result)",
        "bind" => "cel.bind(name, value, body)",
        "block" => "cel.block([values], body)",
        "index" => "cel.index(0)",
        "iterVar" => "cel.iterVar(0, 0)",
        "accuVar" => "cel.accuVar(0, 0)",
        _ => "has(event.field)",
    }
}

impl Parser {
    fn misuse(&mut self, name: &str, span: Span, message: impl Into<String>) -> Failed {
        let help = format!("it is written `{}`", form(name));
        self.report(Diagnostic::new(Code::MacroMisuse, span, message).with_help(help));
        Failed
    }

    /// `has(a.b)`
    pub(super) fn has_macro(
        &mut self,
        name_span: Span,
        mut args: Vec<Expr>,
        span: Span,
        depth: u32,
    ) -> Result<Sub, Failed> {
        let Some(argument) = args.pop().filter(|_| args.is_empty()) else {
            return Err(self.misuse("has", name_span, "`has` takes one field"));
        };
        match argument.kind {
            ExprKind::Select {
                operand,
                field,
                field_span,
                optional: false,
            } => self.node(
                span,
                ExprKind::Has {
                    operand,
                    field,
                    field_span,
                },
                depth,
            ),
            ExprKind::Index { .. } => {
                let help = "whether a map has a key is asked with `key in map`";
                let message = "`has` takes a field, not an index";
                self.report(
                    Diagnostic::new(Code::MacroMisuse, argument.span, message).with_help(help),
                );
                Err(Failed)
            }
            ExprKind::Select { .. } => {
                let help = "an optional has a value: `a.?b.hasValue()`";
                let message = "`has` takes a plain field, not an optional one";
                self.report(
                    Diagnostic::new(Code::MacroMisuse, argument.span, message).with_help(help),
                );
                Err(Failed)
            }
            _ => Err(self.misuse("has", argument.span, "`has` takes a field of something")),
        }
    }

    /// `target.name(args)`: a macro, or else an ordinary member call.
    pub(super) fn member_macro(
        &mut self,
        target: Box<Expr>,
        name: String,
        name_span: Span,
        args: Vec<Expr>,
        span: Span,
        depth: u32,
    ) -> Result<Sub, Failed> {
        use ComprehensionKind as Kind;
        if matches!(&target.kind, ExprKind::Ident(ident) if ident == "cel") {
            match name.as_str() {
                "bind" => return self.bind_macro(name_span, args, span, depth),
                "block" => return self.block_macro(name_span, args, span, depth),
                "index" => return self.index_macro(target.span.to(name_span), args, span),
                "iterVar" | "accuVar" => {
                    return self.numbered_variable(&name, name_span, &args, span);
                }
                _ => {}
            }
        }
        let (kind, arities): (Kind, &[usize]) = match name.as_str() {
            "all" => (Kind::All, &[2, 3]),
            "exists" => (Kind::Exists, &[2, 3]),
            "exists_one" | "existsOne" => (Kind::ExistsOne, &[2, 3]),
            "map" => (Kind::Map, &[2, 3]),
            "filter" => (Kind::Filter, &[2]),
            "transformList" => (Kind::TransformList, &[3, 4]),
            "transformMap" => (Kind::TransformMap, &[3, 4]),
            "transformMapEntry" => (Kind::TransformMapEntry, &[3, 4]),
            "optMap" | "optFlatMap" => {
                let flat = name == "optFlatMap";
                return self.optional_macro(target, flat, name_span, args, (span, depth));
            }
            _ => return self.member_call(target, name, name_span, args, span, depth),
        };
        if !arities.contains(&args.len()) {
            let count = args.len();
            let message = format!(
                "`{name}` cannot take {count} argument{}",
                if count == 1 { "" } else { "s" }
            );
            return Err(self.misuse(&name, name_span, message));
        }
        self.comprehension(*target, kind, &name, args, (span, depth))
    }

    fn comprehension(
        &mut self,
        range: Expr,
        kind: ComprehensionKind,
        name: &str,
        args: Vec<Expr>,
        (span, depth): (Span, u32),
    ) -> Result<Sub, Failed> {
        use ComprehensionKind as Kind;
        let count = args.len();
        let mut args = args.into_iter();
        let mut next = || args.next().ok_or(Failed);
        let first = next()?;
        let variable = self.variable(name, &first)?;
        let two_variables = match kind {
            Kind::All | Kind::Exists | Kind::ExistsOne => count == 3,
            Kind::TransformList | Kind::TransformMap | Kind::TransformMapEntry => true,
            Kind::Map | Kind::Filter => false,
        };
        let mut variable_second = None;
        if two_variables {
            let second = next()?;
            let second_name = self.variable(name, &second)?;
            if second_name == variable {
                let message = "the two variables need different names";
                return Err(self.misuse(name, second.span, message));
            }
            variable_second = Some(second_name);
        }
        let (condition, transform) = match kind {
            Kind::All | Kind::Exists | Kind::ExistsOne | Kind::Filter => (Some(next()?), None),
            Kind::Map if count == 2 => (None, Some(next()?)),
            Kind::Map => (Some(next()?), Some(next()?)),
            _ if count == 3 => (None, Some(next()?)),
            _ => (Some(next()?), Some(next()?)),
        };
        let comprehension = Comprehension {
            kind,
            range,
            variable,
            variable_second,
            condition,
            transform,
        };
        self.node(
            span,
            ExprKind::Comprehension(Box::new(comprehension)),
            depth,
        )
    }

    /// The name that a macro binds.
    fn variable(&mut self, macro_name: &str, argument: &Expr) -> Result<String, Failed> {
        let message = match &argument.kind {
            ExprKind::Ident(name) if name == "__result__" => {
                "the variable of a macro cannot be called `__result__`"
            }
            ExprKind::Ident(name) if !name.starts_with('.') => return Ok(name.clone()),
            _ => "the variable of a macro is a plain name",
        };
        Err(self.misuse(macro_name, argument.span, message))
    }

    fn optional_macro(
        &mut self,
        target: Box<Expr>,
        flat: bool,
        name_span: Span,
        args: Vec<Expr>,
        (span, depth): (Span, u32),
    ) -> Result<Sub, Failed> {
        let name = if flat { "optFlatMap" } else { "optMap" };
        let Ok([variable, body]) = <[Expr; 2]>::try_from(args) else {
            let message = format!("`{name}` takes a variable and a result");
            return Err(self.misuse(name, name_span, message));
        };
        let variable = self.variable(name, &variable)?;
        let kind = ExprKind::OptMap {
            target,
            name: variable,
            body: Box::new(body),
            flat,
        };
        self.node(span, kind, depth)
    }

    fn bind_macro(
        &mut self,
        name_span: Span,
        args: Vec<Expr>,
        span: Span,
        depth: u32,
    ) -> Result<Sub, Failed> {
        let Ok([variable, value, body]) = <[Expr; 3]>::try_from(args) else {
            let message = "`cel.bind` takes a name, a value and an expression";
            return Err(self.misuse("bind", name_span, message));
        };
        let name = self.variable("bind", &variable)?;
        let kind = ExprKind::Bind {
            name,
            value: Box::new(value),
            body: Box::new(body),
        };
        self.node(span, kind, depth)
    }

    fn block_macro(
        &mut self,
        name_span: Span,
        args: Vec<Expr>,
        span: Span,
        depth: u32,
    ) -> Result<Sub, Failed> {
        let Ok([slots, body]) = <[Expr; 2]>::try_from(args) else {
            let message = "`cel.block` takes a list and an expression";
            return Err(self.misuse("block", name_span, message));
        };
        let slots_span = slots.span;
        let ExprKind::List(items) = slots.kind else {
            return Err(self.misuse("block", slots_span, "the values are a list literal"));
        };
        if items.iter().any(|item| item.optional) {
            return Err(self.misuse("block", slots_span, "the values cannot be optional"));
        }
        let slots = items.into_iter().map(|item| item.value).collect();
        self.node(
            span,
            ExprKind::Block {
                slots,
                body: Box::new(body),
            },
            depth,
        )
    }

    fn index_macro(&mut self, name_span: Span, args: Vec<Expr>, span: Span) -> Result<Sub, Failed> {
        match args.as_slice() {
            [
                Expr {
                    kind: ExprKind::Literal(Literal::Int(0..)),
                    ..
                },
            ] => {
                let function = "cel.index".to_owned();
                self.node(
                    span,
                    ExprKind::Call {
                        function,
                        function_span: name_span,
                        args,
                    },
                    1,
                )
            }
            _ => Err(self.misuse(
                "index",
                name_span,
                "`cel.index` takes the number of a value",
            )),
        }
    }

    fn numbered_variable(
        &mut self,
        name: &str,
        name_span: Span,
        args: &[Expr],
        span: Span,
    ) -> Result<Sub, Failed> {
        let number = |arg: &Expr| match arg.kind {
            ExprKind::Literal(Literal::Int(value @ 0..)) => Some(value),
            _ => None,
        };
        let prefix = if name == "iterVar" { "@it" } else { "@ac" };
        match args {
            [first, second] => match (number(first), number(second)) {
                (Some(first), Some(second)) => {
                    let name = format!("{prefix}:{first}:{second}");
                    self.node(span, ExprKind::Ident(name), 0)
                }
                _ => Err(self.misuse(name, name_span, format!("`cel.{name}` takes two numbers"))),
            },
            _ => Err(self.misuse(name, name_span, format!("`cel.{name}` takes two numbers"))),
        }
    }
}
