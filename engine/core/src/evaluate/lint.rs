//! Checking a catalog: every selector of every rule against the schema of its source.
//!
//! Relies on the selector floor for what is wrong and on the rule floor for where it stands. Gives reports
//! only; which rules are then left out is the rule set's decision.

use super::memory::{STEP, WINDOW, event_part, mentions, steps_asked};
use crate::diagnostic::{Code, Diagnostic, Level};
use crate::rule::kind::{Kind, Measure};
use crate::rule::{Catalog, Condition, Report, Rule, Selector};
use crate::selector::ast::{Expr, ExprKind, Literal};
use crate::selector::{CheckEnv, Schema, Type, check};
use std::sync::Arc;

/// Checks every selector of every rule, disabled ones too: they may be enabled again.
pub fn check_rules(catalog: &Catalog) -> Vec<Report> {
    let lists = list_names(catalog);
    catalog
        .rules
        .iter()
        .flat_map(|rule| check_rule(rule, schema_of(rule, catalog), &lists))
        .collect()
}

/// The schema of a rule's source.
pub(super) fn schema_of<'c>(rule: &Rule, catalog: &'c Catalog) -> Option<&'c Schema> {
    rule.source
        .as_deref()
        .and_then(|source| catalog.schema(source))
}

/// The names of all site lists.
pub(super) fn list_names(catalog: &Catalog) -> Vec<String> {
    catalog
        .lists
        .values()
        .map(|list| list.name.clone())
        .collect()
}

/// Checks the selectors of one rule.
pub(super) fn check_rule(rule: &Rule, schema: Option<&Schema>, lists: &[String]) -> Vec<Report> {
    let mut reports = steps(rule);
    reports.extend(everything(rule));
    let mut run = |selector: &Selector, expected: Option<Type>| {
        let mut env = CheckEnv::value(&selector.text, schema).with_lists(lists);
        env.expected = expected;
        if rule.memory.is_some() {
            let event = env.variables.get("event").cloned().unwrap_or(Type::Dyn);
            let steps = Type::Map(Arc::new(Type::String), Arc::new(event));
            let window = Type::Map(Arc::new(Type::String), Arc::new(Type::Dyn));
            env.variables.insert(STEP.to_owned(), steps);
            env.variables.insert(WINDOW.to_owned(), window);
        }
        let checked = check(&selector.expr, &env);
        reports.extend(
            checked
                .diagnostics
                .into_iter()
                .map(|one| selector.report(one)),
        );
    };
    for input in &rule.inputs {
        if let Some(when) = &input.when {
            run(when, Some(Type::Bool));
        }
        input
            .group_by
            .iter()
            .flatten()
            .for_each(|part| run(part, None));
    }
    if let Some(memory) = &rule.memory {
        memory.group_by.iter().for_each(|part| run(part, None));
        let expected = match &memory.kind {
            Kind::Threshold(threshold) if threshold.measure == Measure::Share => Some(Type::Bool),
            _ => None,
        };
        for selector in memory.kind.selectors() {
            run(selector, expected.clone());
        }
    }
    rule.suppress
        .iter()
        .flat_map(|suppress| suppress.by.iter().flatten())
        .for_each(|part| run(part, None));
    for exception in &rule.exceptions {
        match &exception.condition {
            Condition::When(selector) => run(selector, Some(Type::Bool)),
            Condition::Listed { value, .. } => run(value, None),
        }
    }
    if let Some(severity) = &rule.finding.severity {
        run(severity, Some(Type::String));
    }
    let title = rule
        .finding
        .title
        .iter()
        .flat_map(|title| title.selectors());
    let key = rule.finding.dedup_key.iter().flatten();
    let context = rule.finding.context.iter().map(|(_, selector)| selector);
    title
        .chain(key)
        .chain(context)
        .for_each(|selector| run(selector, None));
    reports
}

/// Steps whose condition says nothing of the event alone, so that every event is kept for them.
fn everything(rule: &Rule) -> Vec<Report> {
    let of_events = rule.inputs.iter().filter(|input| input.rules.is_empty());
    of_events
        .filter_map(|input| input.when.as_ref())
        .filter(|when| mentions(&when.expr, STEP) && is_true(&event_part(&when.expr)))
        .map(|when| {
            let message = "nothing in this condition is about the event alone";
            let help = "Every event is kept until the step is asked. Say what the event itself must be, such as \
                        `event.eventName == \"…\" && …`.";
            let diagnostic = Diagnostic::new(Code::AlwaysMatches, when.expr.span, message);
            when.report(diagnostic.with_help(help))
        })
        .collect()
}

fn is_true(expr: &Expr) -> bool {
    matches!(expr.kind, ExprKind::Literal(Literal::Bool(true)))
}

/// Steps that are asked about where they are not known.
fn steps(rule: &Rule) -> Vec<Report> {
    let mut reports = Vec::new();
    let Some(memory) = &rule.memory else {
        return reports;
    };
    let mut refuse = |selector: &Selector, known: &[&str], windowed: bool| {
        for (span, name) in steps_asked(&selector.expr) {
            let message = match &name {
                Some(name) if known.contains(&name.as_str()) => continue,
                Some(name) => format!("there is no step `{name}` to ask about here"),
                None => "`step` is followed by the name of a step".to_owned(),
            };
            let help = match known {
                [] => "Nothing has happened before this.".to_owned(),
                known => format!("Steps that are known here: {}.", known.join(", ")),
            };
            reports.push(
                selector.report(Diagnostic::new(Code::StepUnknown, span, message).with_help(help)),
            );
        }
        if !windowed && mentions(&selector.expr, WINDOW) {
            let message = "`window` is only known when the rule has found something";
            let help = "Titles, keys, severity and context may ask about it.";
            let diagnostic = Diagnostic::new(Code::StepUnknown, selector.expr.span, message);
            reports.push(selector.report(diagnostic.with_help(help)));
        }
    };
    let names: Vec<&str> = rule
        .inputs
        .iter()
        .map(|input| input.name.as_str())
        .collect();
    let names: Vec<&str> = names.into_iter().filter(|name| !name.is_empty()).collect();
    for (number, input) in rule.inputs.iter().enumerate() {
        let before: &[&str] = match &memory.kind {
            Kind::Sequence(sequence) if sequence.until == Some(number) => &names[..1],
            Kind::Sequence(_) | Kind::Absence(_) => &names[..number.min(names.len())],
            _ => &[],
        };
        input
            .when
            .iter()
            .for_each(|when| refuse(when, before, false));
        input
            .group_by
            .iter()
            .flatten()
            .for_each(|part| refuse(part, &[], false));
    }
    let values = memory.kind.selectors();
    memory
        .group_by
        .iter()
        .chain(values)
        .for_each(|part| refuse(part, &[], false));
    let found: &[&str] = match &memory.kind {
        Kind::Sequence(_) | Kind::Temporal(_) => &names,
        Kind::Absence(_) => &names[..1],
        _ => &[],
    };
    let finding = &rule.finding;
    let by = rule
        .suppress
        .iter()
        .flat_map(|suppress| suppress.by.iter().flatten());
    finding
        .title
        .iter()
        .flat_map(|title| title.selectors())
        .chain(finding.dedup_key.iter().flatten())
        .chain(&finding.severity)
        .chain(finding.context.iter().map(|(_, selector)| selector))
        .chain(by)
        .for_each(|part| refuse(part, found, true));
    reports
}

/// Whether any of the reports is an error.
pub(super) fn has_errors(reports: &[Report]) -> bool {
    reports
        .iter()
        .any(|report| report.diagnostic.level == Level::Error)
}
