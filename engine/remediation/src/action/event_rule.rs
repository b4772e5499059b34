//! Rules of EventBridge: enabling one again.

use super::building::{change, check, is, step};
use super::naming;
use super::reading::{look, text};
use super::recipe::{
    About, Asked, Context, Draft, Drafted, Kind, Recipe, nothing, optional, required,
};
use super::{PlanFault, Reads};
use crate::plan::{Class, Risk, Step};
use serde_json::{Map, Value, json};

const EVENTS: &str = "events.amazonaws.com";

pub(super) const ENABLE: Recipe = Recipe {
    name: "aws.events.enable_rule",
    about: "Enables an EventBridge rule again.",
    risk: Risk::Low,
    kind: "aws.events.rule",
    is_containment: false,
    is_rolled_back: false,
    triggers: &[(EVENTS, "DisableRule")],
    makes: &[(EVENTS, "EnableRule"), (EVENTS, "DisableRule")],
    operations: &[
        "events.DescribeRule",
        "events.DisableRule",
        "events.EnableRule",
    ],
    parameters: &[
        required("rule", Kind::Text, "the rule"),
        optional("bus", Kind::Text, "its bus, when it is not the default one"),
    ],
    from_event: |event| {
        let rule = event.needs("which rule", &["/requestParameters/name"])?;
        let mut parameters = Map::new();
        parameters.insert("rule".to_owned(), json!(rule));
        if let Some(bus) = event.text("/requestParameters/eventBusName") {
            parameters.insert("bus".to_owned(), json!(bus));
        }
        Ok(parameters)
    },
    subject: |asked| {
        let (rule, bus) = named(asked)?;
        let bus = bus.filter(|&bus| bus != "default").map(|bus| {
            let name = bus.rsplit('/').next().unwrap_or_default();
            format!("{name}/")
        });
        let rest = format!("rule/{}{rule}", bus.unwrap_or_default());
        Ok(About::regional(
            asked.arn("events", &rest),
            json!("disabled"),
        ))
    },
    plan,
};

fn named<'a>(asked: &Asked<'a>) -> Result<(&'a str, Option<&'a str>), PlanFault> {
    let rule = naming::iam_name(asked.text("rule")?)?;
    let bus = asked.optional("bus").map(naming::plain_name).transpose()?;
    Ok((rule, bus))
}

fn plan(context: &Context<'_>, reads: &mut dyn Reads) -> Result<Drafted, PlanFault> {
    let asked = context.asked()?;
    let (rule, bus) = named(&asked)?;
    let mut parameters = Map::new();
    parameters.insert("Name".to_owned(), json!(rule));
    if let Some(bus) = bus {
        parameters.insert("EventBusName".to_owned(), json!(bus));
    }
    let call = |operation| asked.call(operation, Value::Object(parameters.clone()));
    let question = call("events.DescribeRule");
    let Some(answer) = look(reads, &question, &["ResourceNotFoundException"])? else {
        return nothing("the rule is gone");
    };
    let before = text(&answer, "/State");
    if before != "DISABLED" {
        return nothing("the rule is enabled");
    }
    let back = step(
        "disable",
        format!("disable the rule {rule} again"),
        Class::Set,
        call("events.DisableRule"),
    );
    let summary = format!("enable the rule {rule}");
    let one = Step {
        inverse: vec![back],
        ..step(
            "enable",
            summary.clone(),
            Class::Set,
            call("events.EnableRule"),
        )
    };
    Ok(Drafted::Draft(Draft {
        summary,
        diff: vec![change("state", before, "ENABLED")],
        preconditions: vec![check(&question, vec![is("/State", before)])],
        steps: vec![one],
        verify: vec![check(&question, vec![is("/State", "ENABLED")])],
    }))
}
