//! Flow logs: making deleted ones again as they were. The event tells only their ids, so what they were comes from what was seen
//! before.

use super::building::{change, check, codes, from_step, has, has_not, picked, step};
use super::events::{Event, content};
use super::reading::{list, look};
use super::recipe::{About, Asked, Context, Draft, Drafted, Kind, Recipe, nothing, required};
use super::{PlanFault, Reads};
use crate::plan::{Class, Risk, Step, is_like};
use serde_json::{Map, Value, json};

const EC2: &str = "ec2.amazonaws.com";
/// What tells one flow log of a resource from another, as answers name it.
const TELLING: &[&str] = &[
    "ResourceId",
    "TrafficType",
    "LogDestinationType",
    "LogDestination",
];
/// What requests take of a definition.
const ASKED: &[&str] = &[
    "DeliverLogsPermissionArn",
    "DeliverCrossAccountRole",
    "LogGroupName",
    "ResourceType",
    "TrafficType",
    "LogDestinationType",
    "LogDestination",
    "LogFormat",
    "MaxAggregationInterval",
    "DestinationOptions",
];

pub(super) const RECREATE: Recipe = Recipe {
    name: "aws.ec2.recreate_flow_logs",
    about: "Makes deleted flow logs again as they were.",
    risk: Risk::Low,
    kind: "aws.ec2.flow_log",
    is_containment: false,
    is_rolled_back: true,
    triggers: &[(EC2, "DeleteFlowLogs")],
    makes: &[(EC2, "CreateFlowLogs"), (EC2, "DeleteFlowLogs")],
    operations: &[
        "ec2.CreateFlowLogs",
        "ec2.DeleteFlowLogs",
        "ec2.DescribeFlowLogs",
    ],
    parameters: &[required(
        "flow_log_ids",
        Kind::Texts,
        "the deleted flow logs",
    )],
    from_event,
    // The resource is the first of them, so that an action has one; the fingerprint tells all.
    subject: |asked| {
        let ids = asked.ids("flow_log_ids", "fl-")?;
        Ok(About::regional(arn(asked, ids[0]), json!({"deleted": ids})))
    },
    plan,
};

fn arn(asked: &Asked<'_>, id: &str) -> String {
    asked.arn("ec2", &format!("vpc-flow-log/{id}"))
}

fn from_event(event: &Event<'_>) -> Result<Map<String, Value>, PlanFault> {
    let items = event.list("/requestParameters/DeleteFlowLogsRequest/FlowLogId")?;
    let ids: Vec<_> = items.into_iter().filter_map(content).collect();
    if ids.is_empty() {
        return Err(PlanFault::Lacks("which flow logs".to_owned()));
    }
    let mut parameters = Map::new();
    parameters.insert("flow_log_ids".to_owned(), json!(ids));
    Ok(parameters)
}

fn plan(context: &Context<'_>, reads: &mut dyn Reads) -> Result<Drafted, PlanFault> {
    let asked = context.asked()?;
    let mut draft = Draft::default();
    for (place, id) in asked.ids("flow_log_ids", "fl-")?.into_iter().enumerate() {
        let definition = context.known(&arn(&asked, id), "flow_log")?;
        let unknown = || PlanFault::Unknown(format!("what the flow log {id} was of"));
        let resource = definition.get("ResourceId").and_then(Value::as_str);
        let resource = resource.ok_or_else(unknown)?;
        let telling = Value::Object(picked(&definition, TELLING));
        let question = json!({"Filter": [{"Name": "resource-id", "Values": [resource]}]});
        let question = asked.call("ec2.DescribeFlowLogs", question);
        let answer = look(reads, &question, &[])?.unwrap_or_default();
        let pointer = "/FlowLogs";
        if list(&answer, pointer)
            .iter()
            .any(|one| is_like(one, &telling))
        {
            continue;
        }
        let name = format!("create_{}", place + 1);
        let mut parameters = picked(&definition, ASKED);
        parameters.insert("ClientToken".to_owned(), json!(context.token(&name)));
        parameters.insert("ResourceIds".to_owned(), json!([resource]));
        let tags = json!([{"ResourceType": "vpc-flow-log", "Tags": context.tags()}]);
        parameters.insert("TagSpecifications".to_owned(), tags);
        let made = json!({"FlowLogIds": [from_step(&name, "/FlowLogIds/0")]});
        let back = Step {
            done_codes: codes(&["InvalidFlowLogId.NotFound"]),
            ..step(
                "delete",
                format!("delete the new flow log of {resource}"),
                Class::Remove,
                asked.call("ec2.DeleteFlowLogs", made),
            )
        };
        draft.steps.push(Step {
            inverse: vec![back],
            ..step(
                &name,
                format!("make the flow log of {resource} again that was {id}"),
                Class::Token,
                asked.call("ec2.CreateFlowLogs", Value::Object(parameters)),
            )
        });
        draft.diff.push(change(
            format!("flow log of {resource}"),
            Value::Null,
            definition,
        ));
        draft
            .preconditions
            .push(check(&question, vec![has_not(pointer, telling.clone())]));
        draft
            .verify
            .push(check(&question, vec![has(pointer, telling)]));
    }
    if draft.steps.is_empty() {
        return nothing("there are flow logs like those that were deleted");
    }
    draft.summary = format!("make {} deleted flow logs again", draft.steps.len());
    Ok(Drafted::Draft(draft))
}
