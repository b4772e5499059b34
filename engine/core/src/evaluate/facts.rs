//! What tests say that plugins said, held against what these plugins answer.
//!
//! A test whose facts no plugin would ever give passes for ever, also when the plugin was changed. Without a file that
//! declares plugins nothing is known of their answers, and nothing is said here. The answers of plugins that are not
//! there are reported where rules ask for them.

use super::ask::{asked_as, decision_type, hit_type, type_of};
use crate::diagnostic::{Code, Diagnostic, did_you_mean};
use crate::rule::{Answer, Catalog, Effect, Plugins, Report, Scenario, TestFacts};
use crate::selector::Type;
use serde_json::{Map, Value};

/// The mistakes in the facts of all tests.
pub(super) fn wrong_facts(catalog: &Catalog) -> Vec<Report> {
    if catalog.plugins.is_empty() {
        return Vec::new();
    }
    let tests = catalog.suites.iter().flat_map(|suite| &suite.tests);
    let mut reports = Vec::new();
    for test in tests {
        let facts: Vec<&TestFacts> = match &test.scenario {
            Scenario::Event(test) => test.facts.iter().collect(),
            Scenario::Timeline(timeline) => {
                let moments = timeline.moments.iter();
                moments.filter_map(|one| one.facts.as_ref()).collect()
            }
        };
        for facts in facts {
            for (message, help) in mistakes(facts, &catalog.plugins) {
                let span = facts.place.span;
                let diagnostic = Diagnostic::new(Code::TestFacts, span, message).with_help(help);
                reports.push(Report {
                    source: facts.place.source.clone(),
                    diagnostic,
                });
            }
        }
    }
    reports
}

/// What is wrong, and what to do.
fn mistakes(facts: &TestFacts, plugins: &Plugins) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let answers: Map<String, Value> = serde_json::from_str(&facts.json).unwrap_or_default();
    for (variable, said) in &answers {
        for (name, said) in said.as_object().into_iter().flatten() {
            of_plugin(variable, name, said, plugins, &mut found);
        }
    }
    for failure in &facts.failed {
        if !plugins.contains_key(&failure.plugin) {
            found.push(unknown(&failure.plugin, plugins));
        }
    }
    found
}

fn of_plugin(
    variable: &str,
    name: &str,
    said: &Value,
    plugins: &Plugins,
    found: &mut Vec<(String, String)>,
) {
    let columns: Vec<(String, Type)> = match (variable, plugins.get(name)) {
        (_, None) => return found.push(unknown(name, plugins)),
        ("enrich", Some(Answer::Columns(columns))) => {
            let columns = columns.iter();
            columns
                .map(|(name, kind)| (name.clone(), type_of(*kind)))
                .collect()
        }
        ("enrich", Some(Answer::Score)) => vec![("score".to_owned(), Type::Double)],
        ("detect", Some(Answer::Hit)) => hit_type(),
        ("policy", Some(Answer::Decision)) => decision_type(),
        (_, Some(Answer::Unasked { job, .. })) => {
            let message = format!("`{name}` is {job}, which no rule asks");
            return found.push((message, "Take it out.".to_owned()));
        }
        (_, Some(Answer::Off { reason })) => {
            let message = format!("the plugin `{name}` is off");
            return found.push((message, reason.clone()));
        }
        (_, Some(answer)) => {
            let other = asked_as(answer).map_or(variable, |(other, _)| other);
            let message = format!("`{name}` gives no `{variable}`");
            return found.push((message, format!("It is written as `{other}.{name}`.")));
        }
    };
    let Some(said) = said.as_object() else {
        let message = format!("what `{name}` says is no table");
        let names: Vec<&str> = columns.iter().map(|(name, _)| name.as_str()).collect();
        return found.push((message, format!("It says {}.", names.join(", "))));
    };
    if variable == "policy" {
        found.extend(wrong_effect(name, said.get("effect")));
    }
    for (column, value) in said {
        match columns.iter().find(|(one, _)| one == column) {
            None => {
                let names = || columns.iter().map(|(name, _)| name.as_str());
                let help = match did_you_mean(column, names()) {
                    Some(near) => format!("Did you mean `{near}`?"),
                    None => format!("It says {}.", names().collect::<Vec<_>>().join(", ")),
                };
                found.push((format!("`{name}` never says `{column}`"), help));
            }
            Some((_, wanted)) if !is_of(value, wanted) => {
                let message = format!("`{name}` says `{column}` as another type than {value}");
                found.push((message, format!("It is of type {wanted}.")));
            }
            Some(_) => {}
        }
    }
}

/// A decision has one of three effects: a policy that abstains decides nothing.
fn wrong_effect(name: &str, effect: Option<&Value>) -> Option<(String, String)> {
    let words = Effect::WORDS.join(", ");
    match effect {
        None => {
            let message = format!("`{name}` decides without an effect");
            Some((message, format!("Its `effect` is one of {words}.")))
        }
        Some(Value::String(word)) if word == "abstain" => {
            let message = format!("`{name}` never says `abstain`");
            let help = "A policy that abstains says nothing: leave it out.".to_owned();
            Some((message, help))
        }
        Some(Value::String(word)) if Effect::from_word(word).is_none() => {
            let message = format!("`{name}` never decides `{word}`");
            Some((message, format!("Its `effect` is one of {words}.")))
        }
        Some(_) => None,
    }
}

fn unknown(name: &str, plugins: &Plugins) -> (String, String) {
    let names = || plugins.keys().map(String::as_str);
    let help = match did_you_mean(name, names()) {
        Some(near) => format!("Did you mean `{near}`?"),
        None => format!(
            "The plugins are {}.",
            names().collect::<Vec<_>>().join(", ")
        ),
    };
    (format!("there is no plugin `{name}`"), help)
}

/// Whether a plugin could say so. What may be null is not told apart: TOML has no null.
fn is_of(value: &Value, wanted: &Type) -> bool {
    if *wanted == Type::Dyn {
        return true;
    }
    let fits = |one: Type| *wanted == one || *wanted == Type::nullable(one);
    match value {
        Value::Bool(_) => fits(Type::Bool),
        Value::Number(number) => {
            fits(Type::Double) || (fits(Type::Int) && (number.is_i64() || number.is_u64()))
        }
        Value::String(_) => fits(Type::String),
        Value::Object(_) => *wanted == Type::map(Type::String, Type::Dyn),
        Value::Null => true,
        Value::Array(_) => false,
    }
}
