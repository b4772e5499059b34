//! What rules that remember need compiled: the conditions of their inputs, keys, values, and who feeds whom.
//!
//! A condition that asks about earlier steps has two forms. The part of it that is about the event alone is filed in
//! the index like any other condition; the whole is asked when the step is taken, with the events of the
//! earlier steps at hand. Relies on the checker for having refused steps that do not exist.

use super::group_key::KeyId;
use super::rule_set::{RuleIndex, RulePre};
use crate::diagnostic::{Code, Diagnostic, Span, did_you_mean};
use crate::rule::kind::{Kind, RuleRef};
use crate::rule::{Place, Report, Rule};
use crate::selector::ast::{Expr, ExprKind, Literal};
use crate::selector::{Environment, NodeId};
use std::collections::{BTreeMap, BTreeSet};

/// The variable by which conditions ask about the events of earlier steps.
pub(super) const STEP: &str = "step";
/// The variable by which titles and the like ask about what was found.
pub(super) const WINDOW: &str = "window";

/// The environment of conditions and findings of rules that remember.
pub(super) fn environment() -> Environment {
    Environment {
        variables: vec![STEP.to_owned(), WINDOW.to_owned()],
        ..Environment::event()
    }
}

/// One input, compiled.
pub(super) struct InputPre {
    /// The whole condition.
    pub(super) when: Option<NodeId>,
    /// The condition asks about earlier steps.
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
}

/// Whether `expr` mentions a variable.
pub(super) fn mentions(expr: &Expr, name: &str) -> bool {
    if let ExprKind::Ident(ident) = &expr.kind {
        return ident == name;
    }
    let mut found = false;
    expr.for_each_child(&mut |child| found |= mentions(child, name));
    found
}

/// What of a condition is about the event alone: the conjuncts that do not ask about steps.
pub(super) fn event_part(expr: &Expr) -> Expr {
    let truth = |expr: &Expr| Expr {
        id: expr.id,
        span: expr.span,
        kind: ExprKind::Literal(Literal::Bool(true)),
    };
    if !mentions(expr, STEP) {
        return expr.clone();
    }
    let ExprKind::And(parts) = &expr.kind else {
        return truth(expr);
    };
    let mut own: Vec<Expr> = parts
        .iter()
        .filter(|part| !mentions(part, STEP))
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
    expr.for_each_child(&mut |child| collect(child, name, found));
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
        expr.for_each_child(&mut |child| walk(child, out));
    }
    let mut out = Vec::new();
    walk(expr, &mut out);
    out
}

/// Who is fed by whose detections, and an order in which every rule comes after those that feed it.
#[derive(Default)]
pub(super) struct Feeds {
    /// For each rule the inputs that take its detections.
    pub(super) of: Vec<Vec<(RuleIndex, u16)>>,
    /// The rules that remember, those that feed others first.
    pub(super) order: Vec<RuleIndex>,
}

/// Finds the rules that inputs name. What is missing or circular is reported, and does not feed.
pub(super) fn feeds(rules: &[RulePre], known: &BTreeSet<String>) -> (Feeds, Vec<Report>) {
    let mut reports = Vec::new();
    let mut of: Vec<Vec<(RuleIndex, u16)>> = vec![Vec::new(); rules.len()];
    let by_id: BTreeMap<&str, usize> = rules
        .iter()
        .enumerate()
        .map(|(at, rule)| (rule.rule.id.as_str(), at))
        .collect();
    for (at, rule) in rules.iter().enumerate() {
        for (number, input) in (0u16..).zip(&rule.rule.inputs) {
            for reference in &input.rules {
                for from in named(reference, rules, &by_id) {
                    if from != at {
                        of[from].push((RuleIndex(at as u32), number));
                    }
                }
                reports.extend(unknown(reference, known));
            }
            let fed = input
                .rules
                .iter()
                .any(|one| !named(one, rules, &by_id).is_empty());
            let all_known = input
                .rules
                .iter()
                .all(|one| known.iter().any(|id| one.names(id)));
            if !input.rules.is_empty() && !fed && all_known {
                reports.push(silent(&input.place));
            }
        }
    }
    for inputs in &mut of {
        inputs.sort_unstable();
        inputs.dedup();
    }
    let order = order_of(rules, &mut of, &mut reports);
    (Feeds { of, order }, reports)
}

fn named(reference: &RuleRef, rules: &[RulePre], by_id: &BTreeMap<&str, usize>) -> Vec<usize> {
    if !reference.is_pattern() {
        return by_id
            .get(reference.pattern.as_str())
            .copied()
            .into_iter()
            .collect();
    }
    // A pattern takes what stands by itself: rules of risk would otherwise feed one another.
    let all = rules.iter().enumerate();
    all.filter(|(_, rule)| reference.names(rule.rule.id.as_str()) && !adds_up(&rule.rule))
        .map(|(at, _)| at)
        .collect()
}

fn adds_up(rule: &Rule) -> bool {
    rule.memory
        .as_ref()
        .is_some_and(|memory| matches!(memory.kind, Kind::Risk(_)))
}

/// A report about an input whose rules are all off or have mistakes.
fn silent(place: &Place) -> Report {
    let message = "the rules whose detections this takes are all off or have mistakes";
    let help = "It never happens as long as none of them is in force.";
    Report {
        source: place.source.clone(),
        diagnostic: Diagnostic::new(Code::RuleSilent, place.span, message).with_help(help),
    }
}

/// A report when no rule is called so, not even one that is off or has mistakes.
fn unknown(reference: &RuleRef, known: &BTreeSet<String>) -> Option<Report> {
    if known.iter().any(|id| reference.names(id)) {
        return None;
    }
    let message = format!("there is no rule `{}`", reference.pattern);
    let near = did_you_mean(&reference.pattern, known.iter().map(String::as_str));
    let help = match near {
        Some(near) => format!("Did you mean `{near}`?"),
        None => "Give the path of its file too, or correct the id.".to_owned(),
    };
    let diagnostic =
        Diagnostic::new(Code::RuleUnknown, reference.place.span, message).with_help(help);
    Some(Report {
        source: reference.place.source.clone(),
        diagnostic,
    })
}

/// Orders the rules that remember; edges that close a circle are taken out and reported.
fn order_of(
    rules: &[RulePre],
    of: &mut [Vec<(RuleIndex, u16)>],
    reports: &mut Vec<Report>,
) -> Vec<RuleIndex> {
    let mut waits: Vec<usize> = vec![0; rules.len()];
    for inputs in of.iter() {
        let mut fed: Vec<usize> = inputs.iter().map(|(rule, _)| rule.0 as usize).collect();
        fed.dedup();
        fed.into_iter().for_each(|rule| waits[rule] += 1);
    }
    let mut ready: BTreeSet<usize> = (0..rules.len()).filter(|at| waits[*at] == 0).collect();
    let (mut order, mut done) = (Vec::new(), vec![false; rules.len()]);
    while let Some(at) = ready.pop_first() {
        done[at] = true;
        if rules[at].rule.remembers() {
            order.push(RuleIndex(at as u32));
        }
        let mut fed: Vec<usize> = of[at].iter().map(|(rule, _)| rule.0 as usize).collect();
        fed.dedup();
        for rule in fed {
            waits[rule] -= 1;
            if waits[rule] == 0 {
                ready.insert(rule);
            }
        }
    }
    for at in (0..rules.len()).filter(|at| !done[*at]) {
        let rule = &rules[at].rule;
        let message = format!(
            "`{}` takes detections that come from itself in the end",
            rule.id
        );
        let diagnostic = Diagnostic::new(Code::RuleCycle, rule.place.span, message)
            .with_help("Let one of the rules in the circle look at events instead.");
        reports.push(Report {
            source: rule.place.source.clone(),
            diagnostic,
        });
        if rule.remembers() {
            order.push(RuleIndex(at as u32));
        }
    }
    for inputs in of.iter_mut() {
        inputs.retain(|(rule, _)| done[rule.0 as usize]);
    }
    order
}
