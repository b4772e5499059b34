//! What a condition can give, and what was meant, when one field is absent or null.
//!
//! Sets instead of values: a test that does not touch the field may go either way. The sets are over-approximations
//! (free tests are independent), so a hole that exists is found; see the module above for what that costs.

use super::outcomes::{Given, Outcomes, States, chosen};
use super::paths::Sites;
use super::{Assumption, How};
use crate::selector::ast::{
    BinaryOp, Comprehension, ComprehensionKind, Expr, ExprId, ExprKind, Literal, UnaryOp,
};
use crate::selector::check::Checked;
use crate::selector::types::Type;
use std::collections::BTreeSet;

/// One walk over a selector under one assumption.
pub(super) struct Evaluation<'a> {
    pub(super) sites: &'a Sites<'a>,
    pub(super) checked: &'a Checked,
    pub(super) assumption: &'a Assumption,
    pub(super) scopes: Vec<(&'a str, States)>,
    /// Tests that were an error.
    pub(super) failing: Vec<ExprId>,
    /// Tests that are taken as mended.
    pub(super) mended: BTreeSet<ExprId>,
}

impl<'a> Evaluation<'a> {
    pub(super) fn new(
        sites: &'a Sites<'a>,
        checked: &'a Checked,
        assumption: &'a Assumption,
    ) -> Self {
        Self {
            sites,
            checked,
            assumption,
            scopes: Vec::new(),
            failing: Vec::new(),
            mended: BTreeSet::new(),
        }
    }

    pub(super) fn condition(&mut self, expr: &'a Expr) -> Outcomes {
        match &expr.kind {
            ExprKind::Literal(Literal::Bool(true)) => Outcomes::TRUE,
            ExprKind::Literal(Literal::Bool(false)) => Outcomes::FALSE,
            ExprKind::And(operands) => operands
                .iter()
                .fold(Outcomes::TRUE, |all, one| all.and(self.condition(one))),
            ExprKind::Or(operands) => operands
                .iter()
                .fold(Outcomes::FALSE, |all, one| all.either(self.condition(one))),
            ExprKind::Unary(UnaryOp::Not, inner) => self.condition(inner).negated(),
            ExprKind::Conditional {
                condition,
                then,
                otherwise,
            } => {
                let condition = self.condition(condition);
                let (then, otherwise) = (self.condition(then), self.condition(otherwise));
                chosen(condition, then, otherwise)
            }
            ExprKind::Binary(operator @ (BinaryOp::Equal | BinaryOp::NotEqual), left, right) => {
                match self.truth_compared(left, right) {
                    Some((inner, wanted)) => {
                        let inner = self.condition(inner);
                        let same = (*operator == BinaryOp::Equal) == wanted;
                        if same { inner } else { inner.negated() }
                    }
                    None => self.test(expr),
                }
            }
            ExprKind::Bind { name, value, body } => {
                let value = self.value(value);
                self.scoped(name, value, |evaluation| evaluation.condition(body))
            }
            ExprKind::Comprehension(comprehension) => self.macro_condition(expr, comprehension),
            _ => self.test(expr),
        }
    }

    /// `condition == true` and the like, when the side is more than a field.
    fn truth_compared(&self, left: &'a Expr, right: &'a Expr) -> Option<(&'a Expr, bool)> {
        let wanted = |expr: &Expr| match expr.kind {
            ExprKind::Literal(Literal::Bool(value)) => Some(value),
            _ => None,
        };
        let composed = |expr: &Expr| {
            matches!(
                expr.kind,
                ExprKind::Has { .. }
                    | ExprKind::And(_)
                    | ExprKind::Or(_)
                    | ExprKind::Unary(UnaryOp::Not, _)
                    | ExprKind::Comprehension(_)
                    | ExprKind::Call { .. }
                    | ExprKind::MemberCall { .. }
                    | ExprKind::Binary(..)
            ) && *self.checked.type_of(expr.id) == Type::Bool
        };
        match (wanted(left), wanted(right)) {
            (None, Some(wanted)) if composed(left) => Some((left, wanted)),
            (Some(wanted), None) if composed(right) => Some((right, wanted)),
            _ => None,
        }
    }

    /// A test that is judged as one.
    fn test(&mut self, expr: &'a Expr) -> Outcomes {
        let found = match &expr.kind {
            ExprKind::Has { operand, .. } => self.has(expr, operand),
            ExprKind::MemberCall {
                target, function, ..
            } if function == "hasValue" => {
                let states = self.value(target);
                self.outcomes(states, false, |states| states.has(States::EMPTY))
            }
            _ => {
                let states = self.value(expr);
                self.outcomes(states, meant_when_absent(expr), |_| false)
            }
        };
        self.settle(expr, found)
    }

    fn outcomes(&self, states: States, meant: bool, fails: impl Fn(States) -> bool) -> Outcomes {
        let mut found = Outcomes::NONE;
        if states.has(States::VALUE.or(States::NULL))
            || (states.has(States::EMPTY) && !fails(states))
        {
            found = found.or(Outcomes::FREE);
        }
        if fails(states) {
            found = found.or(Outcomes::FALSE);
        }
        if states.has(States::ERROR) {
            found = found.or(Outcomes::one(Given::Error, meant));
        }
        if states.has(States::LOST) {
            found = found
                .or(Outcomes::one(Given::Error, false))
                .or(Outcomes::one(Given::Error, true));
        }
        found
    }

    /// Notes a failing test; one that is taken as mended gives what was meant.
    fn settle(&mut self, expr: &Expr, found: Outcomes) -> Outcomes {
        if !found.fails() {
            return found;
        }
        if !self.failing.contains(&expr.id) {
            self.failing.push(expr.id);
        }
        if self.mended.contains(&expr.id) {
            found.mended()
        } else {
            found
        }
    }

    pub(super) fn assumed(&self, expr: &Expr) -> Option<How> {
        let site = self.sites.site(expr)?;
        (site.path == self.assumption.path).then_some(self.assumption.how)
    }

    fn has(&mut self, expr: &'a Expr, operand: &'a Expr) -> Outcomes {
        let states = self.value(operand);
        let mut found = Outcomes::NONE;
        if states.has(States::ERROR.or(States::LOST)) {
            found = found.or(Outcomes::one(Given::Error, false));
        }
        if states.has(States::NULL.or(States::EMPTY)) {
            found = found.or(Outcomes::FALSE);
        }
        if states.has(States::VALUE) {
            found = found.or(match self.assumed(expr) {
                Some(How::Absent) => Outcomes::FALSE,
                Some(How::Null) => Outcomes::TRUE,
                None => Outcomes::FREE,
            });
        }
        found
    }

    fn macro_condition(&mut self, expr: &'a Expr, comprehension: &'a Comprehension) -> Outcomes {
        let kind = comprehension.kind;
        let (ComprehensionKind::All | ComprehensionKind::Exists, Some(condition)) =
            (kind, &comprehension.condition)
        else {
            return self.test(expr);
        };
        let range = self.value(&comprehension.range);
        let mut found = Outcomes::NONE;
        if range.has(States::ERROR.or(States::NULL)) {
            found = found.or(Outcomes::one(Given::Error, false));
        }
        if range.has(States::LOST) {
            found = found
                .or(Outcomes::one(Given::Error, false))
                .or(Outcomes::one(Given::Error, true));
        }
        // An error of the range is this test's own; errors of elements belong to the tests inside.
        let mut found = self.settle(expr, found);
        if !range.has(States::VALUE.or(States::EMPTY)) {
            return found;
        }
        let element = self.elements(comprehension, |evaluation| evaluation.condition(condition));
        let each = element.or(Outcomes::FREE);
        let exists = kind == ComprehensionKind::Exists;
        let mut all = if exists {
            Outcomes::FALSE
        } else {
            Outcomes::TRUE
        };
        // Few steps reach the fixed point: there are six members.
        for _ in 0..6 {
            all = all.or(if exists {
                all.either(each)
            } else {
                all.and(each)
            });
        }
        found = found.or(all);
        found
    }

    pub(super) fn elements<R>(
        &mut self,
        comprehension: &'a Comprehension,
        inner: impl FnOnce(&mut Self) -> R,
    ) -> R {
        let before = self.scopes.len();
        self.scopes.push((&comprehension.variable, States::VALUE));
        if let Some(second) = &comprehension.variable_second {
            self.scopes.push((second, States::VALUE));
        }
        let result = inner(self);
        self.scopes.truncate(before);
        result
    }

    pub(super) fn scoped<R>(
        &mut self,
        name: &'a str,
        states: States,
        inner: impl FnOnce(&mut Self) -> R,
    ) -> R {
        self.scopes.push((name, states));
        let result = inner(self);
        self.scopes.pop();
        result
    }
}

/// What the author means by a test whose field is absent.
fn meant_when_absent(expr: &Expr) -> bool {
    let ExprKind::Binary(operator, left, right) = &expr.kind else {
        return false;
    };
    let empty = |expr: &Expr| match &expr.kind {
        ExprKind::Literal(Literal::String(text)) => text.is_empty(),
        ExprKind::Literal(Literal::Null) => true,
        _ => false,
    };
    let nothing = |expr: &Expr| {
        empty(expr)
            || matches!(
                &expr.kind,
                ExprKind::Literal(Literal::Bool(false) | Literal::Int(0))
            )
    };
    let is_size = |expr: &Expr| match &expr.kind {
        ExprKind::Call { function, .. } | ExprKind::MemberCall { function, .. } => {
            function == "size"
        }
        _ => false,
    };
    match operator {
        BinaryOp::NotEqual => !nothing(left) && !nothing(right),
        BinaryOp::Equal => {
            empty(left)
                || empty(right)
                || (is_size(left) && nothing(right))
                || (is_size(right) && nothing(left))
        }
        _ => false,
    }
}
