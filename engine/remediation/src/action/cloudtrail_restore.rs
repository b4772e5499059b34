//! What trails record, and where: putting selectors and settings back as they were before an event.

use super::building::{change, check, is, picked, refused, step};
use super::cloudtrail::{FIELDS, GONE, TRAIL, Trail, settings, trail_of};
use super::events::{Event, as_asked};
use super::reading::{self, ask, lacks, look};
use super::recipe::{
    About, Asked, Context, Draft, Drafted, Kind, Parameter, Recipe, nothing, optional,
};
use super::{PlanFault, Reads};
use crate::plan::{Answer, Class, Risk, Step, is_like};
use serde_json::{Map, Value, json};

const CLOUDTRAIL: &str = "cloudtrail.amazonaws.com";
const BAD: Parameter = optional(
    "bad",
    Kind::Json,
    "what the event set: what differs from it by now is left alone",
);

pub(super) const EVENT_SELECTORS: Recipe = Recipe {
    name: "aws.cloudtrail.restore_event_selectors",
    about: "Puts back the event selectors that a trail had before the event.",
    risk: Risk::Low,
    kind: "aws.cloudtrail.trail",
    is_containment: false,
    is_rolled_back: true,
    triggers: &[(CLOUDTRAIL, "PutEventSelectors")],
    makes: &[(CLOUDTRAIL, "PutEventSelectors")],
    operations: &[
        "cloudtrail.GetEventSelectors",
        "cloudtrail.PutEventSelectors",
    ],
    parameters: &[TRAIL, BAD],
    from_event: |event| selectors_of(event, &["eventSelectors", "advancedEventSelectors"]),
    subject,
    plan: |context, reads| restore_selectors(context, reads, &EVENT),
};

pub(super) const INSIGHT_SELECTORS: Recipe = Recipe {
    name: "aws.cloudtrail.restore_insight_selectors",
    about: "Puts back the insight selectors that a trail had before the event.",
    risk: Risk::Low,
    kind: "aws.cloudtrail.trail",
    is_containment: false,
    is_rolled_back: true,
    triggers: &[(CLOUDTRAIL, "PutInsightSelectors")],
    makes: &[(CLOUDTRAIL, "PutInsightSelectors")],
    operations: &[
        "cloudtrail.GetInsightSelectors",
        "cloudtrail.PutInsightSelectors",
    ],
    parameters: &[TRAIL, BAD],
    from_event: |event| selectors_of(event, &["insightSelectors"]),
    subject,
    plan: |context, reads| restore_selectors(context, reads, &INSIGHT),
};

pub(super) const TRAIL_SETTINGS: Recipe = Recipe {
    name: "aws.cloudtrail.restore_trail",
    about: "Puts back the settings that a trail had before the event.",
    risk: Risk::Medium,
    kind: "aws.cloudtrail.trail",
    is_containment: false,
    is_rolled_back: true,
    triggers: &[(CLOUDTRAIL, "UpdateTrail")],
    makes: &[(CLOUDTRAIL, "UpdateTrail")],
    operations: &["cloudtrail.GetTrail", "cloudtrail.UpdateTrail"],
    parameters: &[TRAIL, BAD],
    from_event: |event| {
        let mut parameters = trail_of(event)?;
        if let Some(set) = event.at("/responseElements").map(as_asked) {
            parameters.insert("bad".to_owned(), Value::Object(picked(&set, FIELDS)));
        }
        Ok(parameters)
    },
    subject,
    plan: restore_trail,
};

fn subject(asked: &Asked<'_>) -> Result<About, PlanFault> {
    let bad = asked.json("bad").map(plain);
    Ok(About::regional(Trail::of(asked)?.arn, json!(bad)))
}

fn selectors_of(event: &Event<'_>, names: &[&str]) -> Result<Map<String, Value>, PlanFault> {
    let mut parameters = trail_of(event)?;
    let mut set = Map::new();
    for name in names {
        let given = ["responseElements", "requestParameters"];
        let given = given
            .iter()
            .find_map(|part| event.at(&format!("/{part}/{name}")));
        if let Some(given) = given {
            set.insert((*name).to_owned(), given.clone());
        }
    }
    if !set.is_empty() {
        parameters.insert("bad".to_owned(), as_asked(&Value::Object(set)));
    }
    Ok(parameters)
}

/// JSON without what says nothing: `null` and empty lists, which services leave out or write as they like.
fn plain(value: &Value) -> Value {
    let says = |value: &Value| !value.is_null() && !value.as_array().is_some_and(Vec::is_empty);
    match value {
        Value::Object(members) => {
            let members = members
                .iter()
                .map(|(name, value)| (name.clone(), plain(value)));
            Value::Object(members.filter(|member| says(&member.1)).collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(plain).collect()),
        other => other.clone(),
    }
}

fn is_same(one: &Value, other: &Value) -> bool {
    let (one, other) = (plain(one), plain(other));
    is_like(&one, &other) && is_like(&other, &one)
}

/// Selectors of a kind.
struct Selectors {
    aspect: &'static str,
    words: &'static str,
    get: &'static str,
    put: &'static str,
    members: &'static [&'static str],
    none: &'static [&'static str],
}

const EVENT: Selectors = Selectors {
    aspect: "event_selectors",
    words: "event selectors",
    get: "cloudtrail.GetEventSelectors",
    put: "cloudtrail.PutEventSelectors",
    members: &["EventSelectors", "AdvancedEventSelectors"],
    none: &[],
};

const INSIGHT: Selectors = Selectors {
    aspect: "insight_selectors",
    words: "insight selectors",
    get: "cloudtrail.GetInsightSelectors",
    put: "cloudtrail.PutInsightSelectors",
    members: &["InsightSelectors"],
    none: &["InsightNotEnabledException"],
};

fn restore_selectors(
    context: &Context<'_>,
    reads: &mut dyn Reads,
    kind: &Selectors,
) -> Result<Drafted, PlanFault> {
    let asked = context.asked()?;
    let trail = Trail::of(&asked)?;
    let question = trail.call(&asked, kind.get, "TrailName", Map::new());
    let (current, held) = match ask(reads, &question)? {
        Answer::Done(answer) => {
            let current = picked(&answer, kind.members);
            let held = current
                .iter()
                .map(|(name, value)| is(&format!("/{name}"), value.clone()));
            (Value::Object(current.clone()), held.collect())
        }
        Answer::Refused { code, .. } if GONE.contains(&code.as_str()) => {
            return nothing("the trail is gone");
        }
        Answer::Refused { code, .. } if kind.none.contains(&code.as_str()) => {
            (json!({}), vec![refused(kind.none)])
        }
        Answer::Refused { code, message } => {
            return Err(reading::refused(&question, &code, &message));
        }
    };
    if asked.json("bad").is_some_and(|bad| !is_same(bad, &current)) {
        return nothing(format!("the {} were changed since the event", kind.words));
    }
    let good = context.known(&trail.arn, kind.aspect)?;
    let good = picked(&good, kind.members);
    if good.is_empty() {
        return Err(PlanFault::Unknown(format!(
            "{} of {}",
            kind.words, trail.arn
        )));
    }
    if is_same(&Value::Object(good.clone()), &current) {
        return nothing(format!("the {} are as before", kind.words));
    }
    let put = |selectors: Map<String, Value>| trail.call(&asked, kind.put, "TrailName", selectors);
    // An answer may hold an empty list of the kind that is not in use, which no request takes beside the other.
    let mut earlier = current.as_object().cloned().unwrap_or_default();
    earlier.retain(|_, list| list.as_array().is_some_and(|list| !list.is_empty()));
    if earlier.is_empty() {
        earlier.insert(kind.members[0].to_owned(), json!([]));
    }
    let back = step(
        "undo",
        format!("give {} the {} of the event again", trail.name, kind.words),
        Class::Set,
        put(earlier),
    );
    let summary = format!("put back the {} of the trail {}", kind.words, trail.name);
    let one = Step {
        inverse: vec![back],
        ..step("restore", summary.clone(), Class::Set, put(good.clone()))
    };
    let wanted = good.iter();
    let wanted = wanted.map(|(name, value)| is(&format!("/{name}"), plain(value)));
    let verify = vec![check(&question, wanted.collect())];
    Ok(Drafted::Draft(Draft {
        summary,
        diff: vec![change(kind.words, current, Value::Object(good))],
        preconditions: vec![check(&question, held)],
        steps: vec![one],
        verify,
    }))
}

fn restore_trail(context: &Context<'_>, reads: &mut dyn Reads) -> Result<Drafted, PlanFault> {
    let asked = context.asked()?;
    let trail = Trail::of(&asked)?;
    let question = trail.call(&asked, "cloudtrail.GetTrail", "Name", Map::new());
    let Some(answer) = look(reads, &question, GONE)? else {
        return nothing("the trail is gone");
    };
    let current = answer.get("Trail").filter(|trail| trail.is_object());
    let current = picked(current.ok_or_else(|| lacks(&question, "Trail"))?, FIELDS);
    let whole = Value::Object(current.clone());
    if asked.json("bad").is_some_and(|bad| !is_like(&whole, bad)) {
        return nothing("the trail was changed since the event");
    }
    let good = picked(&context.known(&trail.arn, "trail")?, FIELDS);
    if !good.contains_key("S3BucketName") {
        return Err(PlanFault::Unknown(format!("settings of {}", trail.arn)));
    }
    let (mut now, mut then, mut diff) = (Map::new(), Map::new(), Vec::new());
    for &field in FIELDS {
        // A text that a trail did not have is taken away by an empty one.
        let unset = |value: Option<&Value>, other: Option<&Value>| match (value, other) {
            (Some(value), _) => Some(value.clone()),
            (None, Some(Value::String(_))) => Some(json!("")),
            (None, _) => None,
        };
        let (had, has) = (good.get(field), current.get(field));
        let (Some(to), Some(from)) = (unset(had, has), unset(has, had)) else {
            continue;
        };
        if to != from {
            diff.push(change(field, from.clone(), to.clone()));
            then.insert(field.to_owned(), from);
            now.insert(field.to_owned(), to);
        }
    }
    if diff.is_empty() {
        return nothing("the trail is as before");
    }
    let wanted = now.iter().map(|(field, value)| {
        let is_unset = value.as_str() == Some("");
        let value = if is_unset { Value::Null } else { value.clone() };
        is(&format!("/Trail/{field}"), value)
    });
    let verify = vec![check(&question, wanted.collect())];
    let update = |fields: &Map<String, Value>| {
        let fields = settings(&Value::Object(fields.clone()));
        trail.call(&asked, "cloudtrail.UpdateTrail", "Name", fields)
    };
    let back = step(
        "undo",
        format!(
            "give the trail {} the settings of the event again",
            trail.name
        ),
        Class::Set,
        update(&then),
    );
    let summary = format!("put back the settings of the trail {}", trail.name);
    let one = Step {
        inverse: vec![back],
        ..step("restore", summary.clone(), Class::Set, update(&now))
    };
    Ok(Drafted::Draft(Draft {
        summary,
        diff,
        preconditions: vec![check(&question, vec![is("/Trail", whole)])],
        steps: vec![one],
        verify,
    }))
}
