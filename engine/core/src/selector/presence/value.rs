//! What a value can be when one field is absent or null.

use super::How;
use super::evaluate::Evaluation;
use super::outcomes::{Given, States, joined};
use crate::selector::ast::{
    BinaryOp, Comprehension, ComprehensionKind, Expr, ExprKind, Literal, UnaryOp,
};
use crate::selector::types::Type;

impl<'a> Evaluation<'a> {
    pub(super) fn value(&mut self, expr: &'a Expr) -> States {
        match &expr.kind {
            ExprKind::Literal(Literal::Null) => States::NULL,
            ExprKind::Literal(_) => States::VALUE,
            ExprKind::Ident(name) => {
                let scoped = self.scopes.iter().rev().find(|(scoped, _)| scoped == name);
                scoped.map_or(States::VALUE, |(_, states)| *states)
            }
            ExprKind::Select {
                operand, optional, ..
            } => {
                let operand_states = self.value(operand);
                self.field(expr, operand, operand_states, *optional)
            }
            ExprKind::Index {
                operand,
                index,
                optional,
            } => {
                let index = self.value(index);
                let operand_states = self.value(operand);
                let found = self.field(expr, operand, operand_states, *optional);
                if index.has(States::ERROR) {
                    found.or(States::ERROR)
                } else {
                    found
                }
            }
            ExprKind::Conditional {
                condition,
                then,
                otherwise,
            } => {
                let condition = self.silently(|evaluation| evaluation.condition(condition));
                let mut found = States::NONE;
                for (given, _) in condition.members() {
                    found = found.or(match given {
                        Given::True => self.value(then),
                        Given::False => self.value(otherwise),
                        Given::Error => States::ERROR,
                    });
                }
                found
            }
            ExprKind::OptMap {
                target, name, body, ..
            } => {
                let states = self.value(target);
                let mut found = states.missing();
                if states.has(States::VALUE.or(States::NULL)) {
                    found = found
                        .or(self.scoped(name, States::VALUE, |evaluation| evaluation.value(body)));
                }
                found
            }
            ExprKind::Bind { name, value, body } => {
                let value = self.value(value);
                self.scoped(name, value, |evaluation| evaluation.value(body))
            }
            ExprKind::Binary(operator, left, right) => {
                let tolerant = matches!(operator, BinaryOp::Equal | BinaryOp::NotEqual);
                let (left, right) = (self.value(left), self.value(right));
                if *operator == BinaryOp::In && !right.has(States::NULL) {
                    return joined([left, right], true);
                }
                joined([left, right], tolerant)
            }
            other => self.composed(expr, other),
        }
    }

    /// Calls, literals with parts and macros.
    fn composed(&mut self, expr: &'a Expr, kind: &'a ExprKind) -> States {
        match kind {
            ExprKind::MemberCall {
                target,
                function,
                args,
                ..
            } => self.member_call(target, function, args),
            ExprKind::Call { function, args, .. } => {
                let tolerant = matches!(
                    function.as_str(),
                    "isIP"
                        | "isCIDR"
                        | "type"
                        | "dyn"
                        | "optional.of"
                        | "optional.ofNonZeroValue"
                        | "inList"
                );
                let states = self.strict(args, tolerant);
                let drops_null = function == "optional.ofNonZeroValue" && states.has(States::NULL);
                if drops_null {
                    states.without(States::NULL).or(States::EMPTY)
                } else {
                    states
                }
            }
            ExprKind::List(items) => joined(items.iter().map(|item| self.value(&item.value)), true),
            ExprKind::Map(entries) => {
                joined(entries.iter().map(|entry| self.value(&entry.value)), true)
            }
            ExprKind::Comprehension(comprehension) => self.macro_value(comprehension),
            ExprKind::Has { .. }
            | ExprKind::And(_)
            | ExprKind::Or(_)
            | ExprKind::Unary(UnaryOp::Not, _) => {
                let outcomes = self.silently(|evaluation| evaluation.condition(expr));
                if outcomes.fails() {
                    States::VALUE.or(States::ERROR)
                } else {
                    States::VALUE
                }
            }
            ExprKind::Unary(UnaryOp::Negate, inner) => joined([self.value(inner)], false),
            _ => States::VALUE,
        }
    }

    /// A condition inside a test: its errors are the test's, not tests of their own.
    fn silently<R>(&mut self, inner: impl FnOnce(&mut Self) -> R) -> R {
        let failing = self.failing.len();
        let mended = std::mem::take(&mut self.mended);
        let result = inner(self);
        self.failing.truncate(failing);
        self.mended = mended;
        result
    }

    fn field(&self, expr: &Expr, operand: &Expr, states: States, optional: bool) -> States {
        let lenient = optional || matches!(self.checked.type_of(operand.id), Type::Optional(_));
        let mut found = states.missing();
        if states.has(States::NULL) {
            found = found.or(if lenient {
                States::EMPTY
            } else {
                States::ERROR
            });
        }
        if states.has(States::VALUE) {
            found = found.or(match self.assumed(expr) {
                Some(How::Absent) if lenient => States::EMPTY,
                Some(How::Absent) => States::ERROR,
                Some(How::Null) => States::NULL,
                None => States::VALUE,
            });
        }
        found
    }

    fn member_call(&mut self, target: &'a Expr, function: &str, args: &'a [Expr]) -> States {
        let states = self.value(target);
        let optional = matches!(
            self.checked.type_of(target.id),
            Type::Optional(_) | Type::Dyn
        );
        match function {
            "orValue" | "or" if optional => {
                let mut found = states.without(States::EMPTY);
                if states.has(States::EMPTY) || self.may_be_empty(target) {
                    found = found.or(self.strict(args, true));
                }
                found
            }
            "value" if optional && states.has(States::EMPTY) => {
                states.without(States::EMPTY).or(States::ERROR)
            }
            "contains" | "containsIP" | "containsCIDR"
                if matches!(self.checked.type_of(target.id), Type::Cidr) =>
            {
                self.strict(args, true)
            }
            _ => {
                let args = self.strict(args, false);
                joined([states, args], false)
            }
        }
    }

    /// Whether an optional value may be empty for another reason than the assumption: then what stands in for it is
    /// read, and may be the field that is absent.
    fn may_be_empty(&self, target: &Expr) -> bool {
        let here = self.sites.site(target);
        let mut may = here.is_some_and(|site| site.absent || site.null);
        target.for_each_child(&mut |child| may = may || self.may_be_empty(child));
        may
    }

    /// A function whose arguments all must be there.
    fn strict(&mut self, args: &'a [Expr], null_is_fine: bool) -> States {
        let states: Vec<States> = args.iter().map(|arg| self.value(arg)).collect();
        match states.as_slice() {
            [] => States::VALUE,
            [only] if null_is_fine => *only,
            _ => joined(states, null_is_fine),
        }
    }

    /// A macro that makes a list or map, or counts: an error of one element loses the whole.
    fn macro_value(&mut self, comprehension: &'a Comprehension) -> States {
        use ComprehensionKind as Kind;
        if matches!(comprehension.kind, Kind::All | Kind::Exists) {
            let range = self.value(&comprehension.range);
            return joined([range], false);
        }
        let range = self.value(&comprehension.range);
        let mut found = joined([range], false);
        if range.has(States::VALUE) {
            let condition = comprehension.condition.as_ref();
            let transform = comprehension.transform.as_ref();
            let lost = self.elements(comprehension, |evaluation| {
                let condition = condition.is_some_and(|condition| {
                    evaluation
                        .silently(|evaluation| evaluation.condition(condition))
                        .fails()
                });
                condition
                    || transform.is_some_and(|transform| {
                        evaluation
                            .value(transform)
                            .has(States::ERROR.or(States::LOST))
                    })
            });
            if lost {
                found = found.or(States::LOST);
            }
        }
        found
    }
}
