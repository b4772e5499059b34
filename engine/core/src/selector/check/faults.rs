//! Parts that are an error whatever the event holds: `1 / 0`, `[1, 2][5]`, `event.count % 0`.
//!
//! Relies on types being right and on the cost of the whole being within bounds. Evaluates what depends on nothing but
//! the text, as the evaluator would; knows of no function how it fails. Says nothing of an error that the rest
//! absorbs within such a part (`true || 1 / 0 == 1`), nor of what depends on the site's lists.

use crate::diagnostic::{Code, Diagnostic};
use crate::event::{Parser, Slots};
use crate::selector::ast::{BinaryOp, Expr, ExprKind, Literal};
use crate::selector::{
    Environment, EvalError, Evaluation, EventView, ProgramBuilder, Scratch, Why, print,
};

/// Most evaluations for one selector. Each looks at other text, or at a part of what was found to err.
const EVALUATIONS_MAX: usize = 200;

/// Longer parts are not repeated in the message; the caret shows them.
const SHOWN_BYTES_MAX: usize = 60;

/// A warning for every part that always errs, at its innermost part that does.
pub(super) fn find(expr: &Expr, diagnostics: &mut Vec<Diagnostic>) {
    let mut search = Search {
        scopes: Vec::new(),
        constant: Vec::new(),
        zeros: Vec::new(),
    };
    search.level(expr);
    let mut evaluations = EVALUATIONS_MAX;
    for part in search.constant {
        if let Some((place, why)) = failing(part, &mut evaluations) {
            diagnostics.push(warning(place, why));
        }
    }
    for division in search.zeros {
        diagnostics.push(warning(division, Why::DivisionByZero));
    }
}

fn warning(expr: &Expr, why: Why) -> Diagnostic {
    let text = print(expr);
    let part = if text.len() <= SHOWN_BYTES_MAX {
        format!("`{text}`")
    } else {
        "this part".to_owned()
    };
    let message = format!("{part} always errs: {why}");
    Diagnostic::new(Code::AlwaysErrs, expr.span, message)
        .with_caret("this has no value, whatever the event holds")
        .with_help("an error decides nothing, so no rule fires by it: mend it or take it out")
}

/// Looks for the largest parts that depend on nothing.
struct Search<'e> {
    scopes: Vec<&'e str>,
    constant: Vec<&'e Expr>,
    /// Divisions of something by the constant zero.
    zeros: Vec<&'e Expr>,
}

impl<'e> Search<'e> {
    /// The outermost variable that `expr` reads, from 1; 0 stands for the event, and what depends on nothing is
    /// above all.
    fn level(&mut self, expr: &'e Expr) -> usize {
        let (constants, zeros) = (self.constant.len(), self.zeros.len());
        let level = self.level_of_parts(expr);
        if level > self.scopes.len() {
            self.constant.truncate(constants);
            self.zeros.truncate(zeros);
            if may_err(expr) {
                self.constant.push(expr);
            }
        } else if is_division_by_zero(expr) {
            self.zeros.push(expr);
        }
        level
    }

    fn level_of_parts(&mut self, expr: &'e Expr) -> usize {
        match &expr.kind {
            ExprKind::Ident(name) => {
                let at = self.scopes.iter().rposition(|scope| scope == name);
                at.map_or(0, |at| at + 1)
            }
            ExprKind::Call { function, args, .. } if is_of_the_site(function) => {
                for arg in args {
                    self.level(arg);
                }
                0
            }
            ExprKind::Comprehension(comprehension) => {
                let range = self.level(&comprehension.range);
                let second = comprehension.variable_second.as_deref();
                let names = [Some(comprehension.variable.as_str()), second];
                let parts = [&comprehension.condition, &comprehension.transform];
                let inner = self.scoped(names, parts.into_iter().flatten());
                range.min(inner)
            }
            ExprKind::Bind { name, value, body }
            | ExprKind::OptMap {
                target: value,
                name,
                body,
                ..
            } => {
                let value = self.level(value);
                value.min(self.scoped([Some(name), None], [&**body]))
            }
            _ => {
                let mut least = usize::MAX;
                expr.for_each_child(&mut |child| least = least.min(self.level(child)));
                least
            }
        }
    }

    fn scoped(
        &mut self,
        names: [Option<&'e str>; 2],
        parts: impl IntoIterator<Item = &'e Expr>,
    ) -> usize {
        let before = self.scopes.len();
        self.scopes.extend(names.into_iter().flatten());
        let levels = parts.into_iter().map(|part| self.level(part));
        let least = levels.min().unwrap_or(usize::MAX);
        self.scopes.truncate(before);
        least
    }
}

/// What a site's lists or an enclosing block decide.
fn is_of_the_site(function: &str) -> bool {
    matches!(function, "inList" | "cel.index")
}

fn is_division_by_zero(expr: &Expr) -> bool {
    matches!(
        &expr.kind,
        ExprKind::Binary(BinaryOp::Divide | BinaryOp::Remainder, _, right)
            if matches!(right.kind, ExprKind::Literal(Literal::Int(0) | Literal::Uint(0)))
    )
}

/// Whether evaluating a part that depends on nothing is worth it.
fn may_err(expr: &Expr) -> bool {
    match &expr.kind {
        ExprKind::Literal(_) => false,
        ExprKind::List(items) => items.iter().any(|item| may_err(&item.value)),
        _ => true,
    }
}

/// The innermost part that errs by itself, and why, when `expr` does.
fn failing<'e>(expr: &'e Expr, evaluations: &mut usize) -> Option<(&'e Expr, Why)> {
    let why = fault(expr, evaluations)?;
    Some(failing_below(expr, evaluations).unwrap_or((expr, why)))
}

fn failing_below<'e>(expr: &'e Expr, evaluations: &mut usize) -> Option<(&'e Expr, Why)> {
    let mut found = None;
    expr.for_each_child(&mut |child| {
        if found.is_some() || !may_err(child) {
            return;
        }
        let mut search = Search {
            scopes: Vec::new(),
            constant: Vec::new(),
            zeros: Vec::new(),
        };
        found = if search.level(child) > 0 {
            failing(child, evaluations)
        } else {
            failing_below(child, evaluations)
        };
    });
    found
}

/// Why a part that depends on nothing has no value.
fn fault(expr: &Expr, evaluations: &mut usize) -> Option<Why> {
    *evaluations = evaluations.checked_sub(1)?;
    let mut builder = ProgramBuilder::new();
    let node = builder.compile(expr, &Environment::event()).ok()?;
    let program = builder.build();
    let mut parser = Parser::new();
    let root = parser.parse(b"{}").ok()?.root();
    let mut slots = Slots::default();
    program.fields().plan().extract(root, &mut slots);
    let view = EventView {
        root,
        slots: &slots,
    };
    let mut scratch = Scratch::default();
    let result = Evaluation::new(&program, view, &mut scratch).eval(node);
    match result {
        Err(EvalError { why, .. }) if is_certain(why) => Some(why),
        _ => None,
    }
}

/// Whether the error is the part's own, not one of a bound or of the surroundings.
fn is_certain(why: Why) -> bool {
    !matches!(
        why,
        Why::AbsentField(_) | Why::CostExceeded | Why::UnknownName | Why::UnknownFunction
    )
}
