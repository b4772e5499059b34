//! Instances: stopping those that should not have been started.

use super::building::{change, check, codes, is, step};
use super::events::Event;
use super::isolate_instance::{INSTANCE, described};
use super::reading::text;
use super::recipe::{About, Context, Draft, Drafted, Kind, Recipe, nothing, required};
use super::{PlanFault, Reads};
use crate::plan::{Class, Risk, Step};
use serde_json::{Map, Value, json};

const EC2: &str = "ec2.amazonaws.com";

pub(super) const STOP: Recipe = Recipe {
    name: "aws.ec2.stop_instances",
    about: "Stops instances. What is on disks of their own hosts is lost.",
    risk: Risk::High,
    kind: "aws.ec2.instance",
    is_containment: true,
    is_rolled_back: false,
    triggers: &[(EC2, "RunInstances"), (EC2, "StartInstances")],
    makes: &[(EC2, "StopInstances"), (EC2, "StartInstances")],
    operations: &[
        "ec2.DescribeInstances",
        "ec2.StartInstances",
        "ec2.StopInstances",
    ],
    parameters: &[required("instance_ids", Kind::Texts, "the instances")],
    from_event,
    // The resource is the first of them, so that an action has one; the fingerprint tells all.
    subject: |asked| {
        let instances = asked.ids("instance_ids", "i-")?;
        let arn = asked.arn("ec2", &format!("instance/{}", instances[0]));
        Ok(About::regional(arn, json!({"running": instances})))
    },
    plan,
};

fn from_event(event: &Event<'_>) -> Result<Map<String, Value>, PlanFault> {
    let items = event.list("/responseElements/instancesSet/items")?;
    let instances = items
        .iter()
        .filter_map(|item| item.get("instanceId")?.as_str());
    let instances: Vec<_> = instances.collect();
    if instances.is_empty() {
        return Err(PlanFault::Lacks("which instances".to_owned()));
    }
    let mut parameters = Map::new();
    parameters.insert("instance_ids".to_owned(), json!(instances));
    Ok(parameters)
}

fn plan(context: &Context<'_>, reads: &mut dyn Reads) -> Result<Drafted, PlanFault> {
    let asked = context.asked()?;
    let mut draft = Draft::default();
    for (place, instance) in asked.ids("instance_ids", "i-")?.into_iter().enumerate() {
        let (question, found) = described(&asked, reads, instance)?;
        let state = found
            .as_ref()
            .map_or("", |found| text(found, "/State/Name"));
        if !matches!(state, "running" | "pending") {
            continue;
        }
        let call = |operation| asked.call(operation, json!({"InstanceIds": [instance]}));
        let back = step(
            "start",
            format!("start the instance {instance} again"),
            Class::Set,
            call("ec2.StartInstances"),
        );
        draft.steps.push(Step {
            done_codes: codes(&["InvalidInstanceID.NotFound"]),
            inverse: vec![back],
            ..step(
                &format!("stop_{}", place + 1),
                format!("stop the instance {instance}; what is on disks of its host is lost"),
                Class::Set,
                call("ec2.StopInstances"),
            )
        });
        let pointer = format!("{INSTANCE}/State/Name");
        draft
            .diff
            .push(change(format!("state of {instance}"), state, "stopped"));
        draft
            .preconditions
            .push(check(&question, vec![is(&pointer, state)]));
        draft
            .verify
            .push(check(&question, vec![is(&pointer, "stopped")]));
    }
    if draft.steps.is_empty() {
        return nothing("none of the instances is running");
    }
    draft.summary = format!("stop {} instances", draft.steps.len());
    Ok(Drafted::Draft(draft))
}
