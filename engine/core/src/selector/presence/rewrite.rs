//! The corrected expression: absent fields counted as empty, or asked for first.

use super::paths::Sites;
use crate::selector::ast::{BinaryOp, Expr, ExprKind, Literal};
use crate::selector::check::Checked;
use crate::selector::print;
use crate::selector::types::Type;
use std::collections::BTreeSet;

/// What an absent value counts as.
#[derive(Clone, Copy)]
enum Empty {
    Text,
    /// The least text that a function can read.
    Least(&'static str),
    Int,
    Uint,
    Double,
    Bool,
    List,
    Map,
}

/// `expr` with every field that may be absent replaced by its optional form and a default; fields of the paths
/// `nulls` also when they are null.
pub(super) fn counted_as_empty(
    expr: &Expr,
    sites: &Sites<'_>,
    checked: &Checked,
    nulls: &BTreeSet<&str>,
) -> Expr {
    let mut fixed = expr.clone();
    Rewriter {
        sites,
        checked,
        nulls,
    }
    .visit(&mut fixed, None);
    fixed
}

/// `has(…) && has(…)` for what the chains go through.
pub(super) fn guards(chains: &[&Expr], sites: &Sites<'_>) -> String {
    let mut seen = BTreeSet::new();
    let mut guards = Vec::new();
    for chain in chains {
        let mut steps = Vec::new();
        let mut at = *chain;
        while let ExprKind::Select { operand, .. }
        | ExprKind::Has { operand, .. }
        | ExprKind::Index { operand, .. } = &at.kind
        {
            steps.push((at, operand));
            at = operand;
        }
        for (step, operand) in steps.into_iter().rev() {
            let parent_null = sites.site(operand).is_some_and(|site| site.null);
            let may_fail = sites.site(step).is_some_and(|site| site.absent) || parent_null;
            let plain_has = matches!(step.kind, ExprKind::Has { .. });
            if may_fail && !plain_has && seen.insert(print(step)) {
                let text = print(step).replace(".?", ".").replace("[?", "[");
                guards.push(match &step.kind {
                    ExprKind::Index { operand, index, .. } => {
                        format!("{} in {}", print(index), print(operand))
                    }
                    _ => format!("has({text})"),
                });
            }
        }
    }
    guards.join(" && ")
}

struct Rewriter<'a> {
    sites: &'a Sites<'a>,
    checked: &'a Checked,
    nulls: &'a BTreeSet<&'a str>,
}

impl Rewriter<'_> {
    /// Rewrites `expr` in place; `wanted` is the default that its use suggests.
    fn visit(&self, expr: &mut Expr, wanted: Option<Empty>) {
        if let ExprKind::Has { .. } = expr.kind {
            self.has(expr);
            return;
        }
        let chain = matches!(expr.kind, ExprKind::Select { .. } | ExprKind::Index { .. });
        if chain && self.sites.site(expr).is_some() {
            self.chain(expr, wanted);
            return;
        }
        match &mut expr.kind {
            ExprKind::MemberCall {
                target,
                function,
                args,
                ..
            } => {
                let of_text = !matches!(
                    function.as_str(),
                    "size" | "orValue" | "hasValue" | "or" | "value"
                );
                let of_list = matches!(
                    function.as_str(),
                    "join" | "flatten" | "distinct" | "sort" | "slice"
                );
                let wanted = match (of_list, of_text) {
                    (true, _) => Some(Empty::List),
                    (false, true) => Some(Empty::Text),
                    _ => None,
                };
                self.visit(target, wanted);
                args.iter_mut()
                    .for_each(|arg| self.visit(arg, Some(Empty::Text)));
            }
            ExprKind::Call { function, args, .. } => {
                let wanted = least(function);
                args.iter_mut().for_each(|arg| self.visit(arg, wanted));
            }
            ExprKind::Binary(operator, left, right) => {
                let (left_wanted, right_wanted) = match operator {
                    BinaryOp::In => (element_empty(right), Some(Empty::List)),
                    _ => (literal_empty(right), literal_empty(left)),
                };
                self.visit(left, left_wanted);
                self.visit(right, right_wanted);
            }
            ExprKind::Comprehension(comprehension) => {
                self.visit(&mut comprehension.range, Some(Empty::List));
                for part in [&mut comprehension.condition, &mut comprehension.transform]
                    .into_iter()
                    .flatten()
                {
                    self.visit(part, Some(Empty::Bool));
                }
            }
            ExprKind::Unary(..) | ExprKind::And(_) | ExprKind::Or(_) => {
                expr.for_each_child_mut(&mut |child| self.visit(child, Some(Empty::Bool)));
            }
            _ => expr.for_each_child_mut(&mut |child| self.visit(child, None)),
        }
    }

    /// A field of the event, and what is read on the way to it.
    fn chain(&self, expr: &mut Expr, wanted: Option<Empty>) {
        let already = matches!(self.checked.type_of(expr.id), Type::Optional(_));
        let null = self
            .sites
            .site(expr)
            .is_some_and(|site| self.nulls.contains(site.path.as_str()));
        let changed = self.make_optional(expr);
        let empty = match (self.empty_of(expr), wanted) {
            (Some(Empty::Text) | None, Some(least @ Empty::Least(_))) => least,
            (by_type, wanted) => by_type.or(wanted).unwrap_or(Empty::Text),
        };
        if changed && !already {
            wrap(expr, "orValue", vec![empty.expr(expr)]);
        }
        if null && !already {
            let (id, span) = (expr.id, expr.span);
            let value = std::mem::replace(
                expr,
                Expr {
                    id,
                    span,
                    kind: ExprKind::Literal(Literal::Null),
                },
            );
            expr.kind = ExprKind::Call {
                function: "optional.ofNonZeroValue".to_owned(),
                function_span: span,
                args: vec![value],
            };
            wrap(expr, "orValue", vec![empty.expr(expr)]);
        }
    }

    /// `has(a.b.c)` with an `a.b` that may be absent: `a.?b.?c.hasValue()`.
    fn has(&self, expr: &mut Expr) {
        let ExprKind::Has {
            operand,
            field,
            field_span,
        } = &mut expr.kind
        else {
            return;
        };
        if !self.make_optional(operand) {
            return;
        }
        let select = ExprKind::Select {
            operand: operand.clone(),
            field: std::mem::take(field),
            field_span: *field_span,
            optional: true,
        };
        expr.kind = select;
        wrap(expr, "hasValue", Vec::new());
    }

    /// Makes the first step that may fail, and all after it, optional; false when no step may fail.
    fn make_optional(&self, expr: &mut Expr) -> bool {
        let site = self.sites.site(expr).cloned();
        let (ExprKind::Select {
            operand, optional, ..
        }
        | ExprKind::Index {
            operand, optional, ..
        }) = &mut expr.kind
        else {
            return false;
        };
        let parent_null = self.sites.site(operand).is_some_and(|site| site.null);
        let before = self.make_optional(operand);
        let may_fail = site.is_some_and(|site| site.absent) || parent_null;
        if before || may_fail {
            let changed = !*optional;
            *optional = true;
            return before || changed;
        }
        false
    }

    fn empty_of(&self, expr: &Expr) -> Option<Empty> {
        let of = match self.checked.type_of(expr.id) {
            Type::Optional(inner) => inner.non_null(),
            other => other.non_null(),
        };
        Some(match of {
            Type::String => Empty::Text,
            Type::Int => Empty::Int,
            Type::Uint => Empty::Uint,
            Type::Double => Empty::Double,
            Type::Bool => Empty::Bool,
            Type::List(_) => Empty::List,
            Type::Map(..) | Type::Record(_) => Empty::Map,
            _ => return None,
        })
    }
}

impl Empty {
    fn expr(self, at: &Expr) -> Expr {
        let kind = match self {
            Empty::Text => ExprKind::Literal(Literal::String(String::new())),
            Empty::Least(text) => ExprKind::Literal(Literal::String(text.to_owned())),
            Empty::Int => ExprKind::Literal(Literal::Int(0)),
            Empty::Uint => ExprKind::Literal(Literal::Uint(0)),
            Empty::Double => ExprKind::Literal(Literal::Double(0.0)),
            Empty::Bool => ExprKind::Literal(Literal::Bool(false)),
            Empty::List => ExprKind::List(Vec::new()),
            Empty::Map => ExprKind::Map(Vec::new()),
        };
        Expr {
            id: at.id,
            span: at.span,
            kind,
        }
    }
}

/// What a function that reads text can be given instead of an absent field.
fn least(function: &str) -> Option<Empty> {
    Some(match function {
        "timestamp" => Empty::Least("1970-01-01T00:00:00Z"),
        "duration" => Empty::Least("0s"),
        "int" | "uint" | "double" => Empty::Least("0"),
        "ip" => Empty::Least("0.0.0.0"),
        "cidr" => Empty::Least("0.0.0.0/32"),
        "json.parse" => Empty::Least("{}"),
        "bool" => Empty::Least("false"),
        "size" => Empty::List,
        _ => return None,
    })
}

fn literal_empty(expr: &Expr) -> Option<Empty> {
    let ExprKind::Literal(literal) = &expr.kind else {
        return None;
    };
    Some(match literal {
        Literal::String(_) => Empty::Text,
        Literal::Int(_) => Empty::Int,
        Literal::Uint(_) => Empty::Uint,
        Literal::Double(_) => Empty::Double,
        Literal::Bool(_) => Empty::Bool,
        _ => return None,
    })
}

fn element_empty(list: &Expr) -> Option<Empty> {
    match &list.kind {
        ExprKind::List(items) => items.first().and_then(|item| literal_empty(&item.value)),
        _ => None,
    }
}

/// `expr` becomes `expr.function(args)`.
fn wrap(expr: &mut Expr, function: &str, args: Vec<Expr>) {
    let target = expr.clone();
    expr.kind = ExprKind::MemberCall {
        target: Box::new(target),
        function: function.to_owned(),
        function_span: expr.span,
        args,
    };
}
