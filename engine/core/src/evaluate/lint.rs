//! Checking a catalog: every selector of every rule against the schema of its source.
//!
//! Relies on the selector floor for what is wrong and on the rule floor for where it stands. Gives reports
//! only; which rules are then left out is the rule set's decision.

use crate::diagnostic::Level;
use crate::rule::{Catalog, Condition, Report, Rule, Selector};
use crate::selector::{CheckEnv, Schema, Type, check};

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
    let mut reports = Vec::new();
    let mut run = |selector: &Selector, expected: Option<Type>| {
        let mut env = CheckEnv::value(&selector.text, schema).with_lists(lists);
        env.expected = expected;
        let checked = check(&selector.expr, &env);
        reports.extend(
            checked
                .diagnostics
                .into_iter()
                .map(|one| selector.report(one)),
        );
    };
    run(&rule.when, Some(Type::Bool));
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

/// Whether any of the reports is an error.
pub(super) fn has_errors(reports: &[Report]) -> bool {
    reports
        .iter()
        .any(|report| report.diagnostic.level == Level::Error)
}
