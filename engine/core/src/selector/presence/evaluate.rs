//! What a condition can give, and what was meant, when one field is absent or null.
//!
//! Sets instead of values: a test that does not touch the field may go either way. The sets are over-approximations
//! (free tests are independent), so a hole that exists is found; see the module above for what that costs.

use super::paths::Sites;
use super::{Assumption, How};
use crate::selector::ast::{
    BinaryOp, Comprehension, ComprehensionKind, Expr, ExprId, ExprKind, Literal, UnaryOp,
};
use crate::selector::check::Checked;
use crate::selector::types::Type;

/// What a condition gives: true, false or an error.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Given {
    True,
    False,
    Error,
}

const GIVEN: [Given; 3] = [Given::True, Given::False, Given::Error];

/// A set of (what is given, what was meant).
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Outcomes(u8);

impl Outcomes {
    const NONE: Outcomes = Outcomes(0);
    const TRUE: Outcomes = Outcomes::one(Given::True, true);
    const FALSE: Outcomes = Outcomes::one(Given::False, false);
    const FREE: Outcomes = Outcomes(Self::TRUE.0 | Self::FALSE.0);

    const fn one(given: Given, meant: bool) -> Outcomes {
        Outcomes(1 << (given as u8 * 2 + meant as u8))
    }

    fn or(self, other: Outcomes) -> Outcomes {
        Outcomes(self.0 | other.0)
    }

    fn members(self) -> impl Iterator<Item = (Given, bool)> {
        GIVEN
            .into_iter()
            .flat_map(|given| [(given, false), (given, true)])
            .filter(move |(given, meant)| self.0 & Outcomes::one(*given, *meant).0 != 0)
    }

    /// An error where a match was meant: the rule is silent.
    pub(super) fn misses(self) -> bool {
        self.0 & Outcomes::one(Given::Error, true).0 != 0
    }

    fn fails(self) -> bool {
        self.members().any(|(given, _)| given == Given::Error)
    }

    /// As if every error had been what was meant.
    fn mended(self) -> Outcomes {
        self.members().fold(Outcomes::NONE, |all, (given, meant)| {
            let given = match given {
                Given::Error if meant => Given::True,
                Given::Error => Given::False,
                other => other,
            };
            all.or(Outcomes::one(given, meant))
        })
    }

    fn negated(self) -> Outcomes {
        self.members().fold(Outcomes::NONE, |all, (given, meant)| {
            let given = match given {
                Given::True => Given::False,
                Given::False => Given::True,
                Given::Error => Given::Error,
            };
            all.or(Outcomes::one(given, !meant))
        })
    }

    /// `&&` of independent conditions.
    fn and(self, other: Outcomes) -> Outcomes {
        let mut all = Outcomes::NONE;
        for (left, left_meant) in self.members() {
            for (right, right_meant) in other.members() {
                let given = match (left, right) {
                    (Given::False, _) | (_, Given::False) => Given::False,
                    (Given::Error, _) | (_, Given::Error) => Given::Error,
                    _ => Given::True,
                };
                all = all.or(Outcomes::one(given, left_meant && right_meant));
            }
        }
        all
    }

    /// `||` of independent conditions.
    fn either(self, other: Outcomes) -> Outcomes {
        self.negated().and(other.negated()).negated()
    }
}

/// A set of what a value can be.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct States(u8);

impl States {
    const NONE: States = States(0);
    /// An ordinary value.
    const VALUE: States = States(1);
    /// Reading it is an error.
    const ERROR: States = States(2);
    /// An optional without a value.
    const EMPTY: States = States(4);
    /// JSON null.
    const NULL: States = States(8);
    /// An error of a single element that takes the others with it.
    const LOST: States = States(16);

    fn or(self, other: States) -> States {
        States(self.0 | other.0)
    }

    fn has(self, other: States) -> bool {
        self.0 & other.0 != 0
    }
}

/// One walk over a selector under one assumption.
pub(super) struct Evaluation<'a> {
    sites: &'a Sites<'a>,
    checked: &'a Checked,
    assumption: &'a Assumption,
    scopes: Vec<(&'a str, States)>,
    /// Tests that were an error.
    pub(super) failing: Vec<ExprId>,
    /// Every other test is taken as mended.
    pub(super) only: Option<ExprId>,
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
            only: None,
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

    /// Notes a failing test, or takes it as mended when another is looked at.
    fn settle(&mut self, expr: &Expr, found: Outcomes) -> Outcomes {
        if !found.fails() {
            return found;
        }
        if !self.failing.contains(&expr.id) {
            self.failing.push(expr.id);
        }
        match self.only {
            Some(only) if only != expr.id => found.mended(),
            _ => found,
        }
    }

    fn assumed(&self, expr: &Expr) -> Option<How> {
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

    fn elements<R>(
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

    fn scoped<R>(
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

    fn value(&mut self, expr: &'a Expr) -> States {
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
                    States(states.0 & !States::NULL.0).or(States::EMPTY)
                } else {
                    states
                }
            }
            ExprKind::OptMap {
                target, name, body, ..
            } => {
                let states = self.value(target);
                let mut found =
                    States(states.0 & (States::ERROR.or(States::EMPTY).or(States::LOST)).0);
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
            ExprKind::Struct { .. } | ExprKind::Block { .. } => States::VALUE,
        }
    }

    /// A condition inside a test: its errors are the test's, not tests of their own.
    fn silently<R>(&mut self, inner: impl FnOnce(&mut Self) -> R) -> R {
        let failing = self.failing.len();
        let only = self.only.take();
        let result = inner(self);
        self.failing.truncate(failing);
        self.only = only;
        result
    }

    fn field(&self, expr: &Expr, operand: &Expr, states: States, optional: bool) -> States {
        let lenient = optional || matches!(self.checked.type_of(operand.id), Type::Optional(_));
        let mut found = States(states.0 & (States::ERROR.or(States::EMPTY).or(States::LOST)).0);
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
                let mut found = States(states.0 & !States::EMPTY.0);
                if states.has(States::EMPTY) {
                    found = found.or(self.strict(args, true));
                }
                found
            }
            "value" if optional && states.has(States::EMPTY) => {
                States(states.0 & !States::EMPTY.0).or(States::ERROR)
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

/// The state of something that needs all its parts.
fn joined(parts: impl IntoIterator<Item = States>, null_is_fine: bool) -> States {
    let mut found = States::VALUE;
    for part in parts {
        found = found.or(States(part.0 & (States::ERROR.or(States::LOST)).0));
        if part.has(States::NULL) && !null_is_fine {
            found = found.or(States::ERROR);
        }
        // A part that is nothing but an error leaves no value.
        if !part.has(States::VALUE.or(States::EMPTY).or(States::NULL)) {
            found = States(found.0 & !States::VALUE.0);
        }
    }
    found
}

fn chosen(condition: Outcomes, then: Outcomes, otherwise: Outcomes) -> Outcomes {
    condition
        .members()
        .fold(Outcomes::NONE, |all, (given, meant)| match given {
            Given::True => all.or(then),
            Given::False => all.or(otherwise),
            Given::Error => {
                let branch = if meant { then } else { otherwise };
                branch.members().fold(all, |all, (_, meant)| {
                    all.or(Outcomes::one(Given::Error, meant))
                })
            }
        })
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
