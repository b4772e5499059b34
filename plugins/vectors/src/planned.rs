//! Plans as the vectors write them: the form in which the host shows them.

use serde_json::{Value as Json, json};
use tripline_plugin::propose::{Change, Check, Class, Draft, Expect, InverseStep, Risk, Step};

fn parsed(text: &str) -> Json {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// A plan.
pub(crate) fn draft(draft: &Draft) -> Json {
    let risk = match draft.risk {
        Risk::Low => "low",
        Risk::Medium => "medium",
        Risk::High => "high",
    };
    json!({
        "summary": draft.summary,
        "risk": risk,
        "diff": draft.changes.iter().map(change).collect::<Vec<_>>(),
        "preconditions": draft.preconditions.iter().map(check).collect::<Vec<_>>(),
        "steps": draft.steps.iter().map(step).collect::<Vec<_>>(),
        "verify": draft.verify.iter().map(check).collect::<Vec<_>>(),
        "is_rolled_back": draft.is_rolled_back,
    })
}

fn change(change: &Change) -> Json {
    json!({
        "field": change.field,
        "before": parsed(&change.before),
        "after": parsed(&change.after),
    })
}

fn call(operation: &str, parameters: &str) -> Json {
    let parameters = parsed(parameters);
    assert!(parameters.is_object(), "parameters of {operation}");
    json!({"operation": operation, "parameters": parameters})
}

fn check(check: &Check) -> Json {
    let expect = check.expect.iter().map(|one| match one {
        Expect::Refused(codes) => json!({"refused": codes}),
        Expect::Is(at) => json!({"is": [at.path, parsed(&at.value)]}),
        Expect::IsNot(at) => json!({"is_not": [at.path, parsed(&at.value)]}),
        Expect::Has(at) => json!({"has": [at.path, parsed(&at.value)]}),
        Expect::HasNot(at) => json!({"has_not": [at.path, parsed(&at.value)]}),
    });
    json!({
        "call": call(&check.operation, &check.parameters),
        "expect": expect.collect::<Vec<_>>(),
    })
}

fn class(class: Class) -> &'static str {
    match class {
        Class::Set => "set",
        Class::Remove => "remove",
        Class::Token => "token",
        Class::Create => "create",
        Class::Blind => "blind",
        Class::Irreversible => "irreversible",
    }
}

fn step(step: &Step) -> Json {
    json!({
        "id": step.id,
        "summary": step.summary,
        "call": call(&step.operation, &step.parameters),
        "class": class(step.class),
        "done_codes": step.done_codes,
        "probe": step.probe.as_ref().map(check),
        "inverse": step.inverse.iter().map(inverse).collect::<Vec<_>>(),
    })
}

fn inverse(step: &InverseStep) -> Json {
    json!({
        "id": step.id,
        "summary": step.summary,
        "call": call(&step.operation, &step.parameters),
        "class": class(step.class),
        "done_codes": step.done_codes,
        "probe": step.probe.as_ref().map(check),
    })
}

/// Whether what is wanted is there: of objects what is named, of lists every element.
pub(crate) fn is_within(wanted: &Json, is: &Json) -> bool {
    match (wanted, is) {
        (Json::Object(wanted), Json::Object(is)) => wanted
            .iter()
            .all(|(name, wanted)| is_within(wanted, is.get(name).unwrap_or(&Json::Null))),
        (Json::Array(wanted), Json::Array(is)) => {
            let mut pairs = wanted.iter().zip(is);
            wanted.len() == is.len() && pairs.all(|(wanted, is)| is_within(wanted, is))
        }
        _ => wanted == is,
    }
}
