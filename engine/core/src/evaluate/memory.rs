//! What rules that remember need compiled: the conditions of their inputs, keys and values.
//!
//! A condition that asks about earlier steps has two forms. The part of it that is about the event alone is filed in
//! the index like any other condition; the whole is asked when the step is taken, with the events of the
//! earlier steps at hand. Relies on the checker for having refused steps that do not exist.

use super::ask::{DETECT, ENRICH, POLICY, PluginIndex, asks_plugins};
use super::group_key::KeyId;
use crate::diagnostic::Span;
use crate::rule::kind::{ENTITY_VARIABLE, INSIGHT_VARIABLE};
use crate::selector::ast::{Expr, ExprKind, Literal};
use crate::selector::{Environment, NodeId};

/// The variable by which conditions ask about the events of earlier steps.
pub(super) const STEP: &str = "step";
/// The variable by which titles and the like ask about what was found.
pub(super) const WINDOW: &str = "window";

/// The environment of conditions and findings of rules that remember.
pub(super) fn environment() -> Environment {
    Environment {
        variables: vec![
            STEP.to_owned(),
            WINDOW.to_owned(),
            ENRICH.to_owned(),
            DETECT.to_owned(),
            POLICY.to_owned(),
            INSIGHT_VARIABLE.to_owned(),
            ENTITY_VARIABLE.to_owned(),
        ],
        ..Environment::event()
    }
}

/// One input, compiled.
pub(super) struct InputPre {
    /// The whole condition.
    pub(super) when: Option<NodeId>,
    /// The condition asks about earlier steps, or about what is known of the event.
    pub(super) asks: bool,
    /// Filed in the index: what of the condition is about the event alone. Inputs that take detections have none.
    pub(super) filed: Option<Expr>,
    /// The parts of the key.
    pub(super) group_by: KeyId,
    /// Without a key, each value is a group by itself, so that state can be divided.
    pub(super) grouped_by_value: bool,
    /// What is computed of the event when it is observed.
    pub(super) captures: CapturePre,
    /// How inputs of the same time are ordered.
    pub(super) rank: u16,
    /// The plugins that decide whether the event counts.
    pub(super) asks_of: Vec<PluginIndex>,
}

/// What is computed of an event when it is observed.
pub(super) enum CapturePre {
    Nothing,
    /// The hash of these values together, which must be there: one for each element of those that are lists.
    Values(KeyId),
    /// The hash of what later steps ask, where one that is absent is a value like others.
    Asked(Vec<NodeId>),
    /// A number.
    Number(NodeId),
    /// Whether it holds.
    Flag(NodeId),
    /// The score of the detection's rule.
    Score,
    /// What a series counts.
    Counted(CountedPre),
    /// What an entity does, and with whom it is compared.
    Sight {
        of: KeyId,
        peers: KeyId,
    },
}

/// What a series counts of an event, and whose it is.
pub(super) struct CountedPre {
    pub(super) of: CountedValue,
    /// Which events are errors.
    pub(super) fails: Option<NodeId>,
    /// Events that are no errors are not counted.
    pub(super) only_errors: bool,
    pub(super) names: Vec<NodeId>,
}

/// What is counted.
pub(super) enum CountedValue {
    One,
    Number(NodeId),
    /// A number that may be below 0.
    Measured(NodeId),
    Distinct(NodeId),
}

/// Whether `expr` mentions a variable of the rule: one that a macro makes of the same name is another.
pub(super) fn mentions(expr: &Expr, name: &str) -> bool {
    expr.mentions(name)
}

/// The macros in `expr` that make a variable of this name.
pub(super) fn hidden_by(expr: &Expr, name: &str) -> Vec<Span> {
    let mut found = Vec::new();
    expr.for_each_child(&mut |child| found.extend(hidden_by(child, name)));
    if expr.binds(name) {
        found.insert(0, expr.span);
    }
    found
}

/// Whether a condition holds of everything.
pub(super) fn is_true(expr: &Expr) -> bool {
    matches!(expr.kind, ExprKind::Literal(Literal::Bool(true)))
}

/// Whether a condition asks what is known of the event only when its time has come.
pub(super) fn asks_state(expr: &Expr) -> bool {
    let variables = [STEP, INSIGHT_VARIABLE, ENTITY_VARIABLE];
    variables.iter().any(|variable| mentions(expr, variable))
}

/// What of a condition is about the event alone: the conjuncts that ask neither about steps nor plugins nor what is known.
pub(super) fn event_part(expr: &Expr) -> Expr {
    let truth = |expr: &Expr| Expr {
        id: expr.id,
        span: expr.span,
        kind: ExprKind::Literal(Literal::Bool(true)),
    };
    let is_later = |expr: &Expr| asks_state(expr) || asks_plugins(expr);
    if !is_later(expr) {
        return expr.clone();
    }
    let ExprKind::And(parts) = &expr.kind else {
        return truth(expr);
    };
    let mut own: Vec<Expr> = parts
        .iter()
        .filter(|part| !is_later(part))
        .cloned()
        .collect();
    match own.len() {
        0 => truth(expr),
        1 => own.remove(0),
        _ => Expr {
            id: expr.id,
            span: expr.span,
            kind: ExprKind::And(own),
        },
    }
}

/// What later inputs ask of the step `name`: `step.name.a.b` as `event.a.b`, each once, in order.
pub(super) fn asked_of(name: &str, conditions: &[&Expr]) -> Vec<Expr> {
    let mut found: Vec<(String, Expr)> = Vec::new();
    for condition in conditions {
        collect(condition, name, &mut found);
    }
    found.sort_by(|left, right| left.0.cmp(&right.0));
    found.dedup_by(|left, right| left.0 == right.0);
    found.into_iter().map(|(_, expr)| expr).collect()
}

fn collect(expr: &Expr, name: &str, found: &mut Vec<(String, Expr)>) {
    if let Some(of_event) = as_of_event(expr, name) {
        found.push((crate::selector::print(&of_event), of_event));
        return;
    }
    expr.for_each_child_seeing(STEP, &mut |child| collect(child, name, found));
}

/// `step.name.a.b` as `event.a.b`; a part of a chain that begins elsewhere gives nothing.
fn as_of_event(expr: &Expr, name: &str) -> Option<Expr> {
    let mut whole = expr.clone();
    let mut at = &mut whole;
    loop {
        if is_step(at, name) {
            at.kind = ExprKind::Ident("event".to_owned());
            return Some(whole);
        }
        at = match &mut at.kind {
            ExprKind::Select { operand, .. } | ExprKind::Index { operand, .. } => operand,
            _ => return None,
        };
    }
}

/// Whether `expr` is `step.name` or `step["name"]`.
fn is_step(expr: &Expr, name: &str) -> bool {
    step_named(expr).is_some_and(|found| found == name)
}

fn step_named(expr: &Expr) -> Option<&str> {
    let (operand, name) = match &expr.kind {
        ExprKind::Select { operand, field, .. } => (operand, field),
        ExprKind::Index { operand, index, .. } => match &index.kind {
            ExprKind::Literal(Literal::String(name)) => (operand, name),
            _ => return None,
        },
        _ => return None,
    };
    matches!(&operand.kind, ExprKind::Ident(ident) if ident == STEP).then_some(name)
}

/// The parts of `expr` that ask about a step, with its name: nothing for one that cannot be told.
pub(super) fn steps_asked(expr: &Expr) -> Vec<(Span, Option<String>)> {
    fn walk(expr: &Expr, out: &mut Vec<(Span, Option<String>)>) {
        if let Some(name) = step_named(expr) {
            out.push((expr.span, Some(name.to_owned())));
            return;
        }
        if matches!(&expr.kind, ExprKind::Ident(ident) if ident == STEP) {
            out.push((expr.span, None));
            return;
        }
        expr.for_each_child_seeing(STEP, &mut |child| walk(child, out));
    }
    let mut out = Vec::new();
    walk(expr, &mut out);
    out
}
