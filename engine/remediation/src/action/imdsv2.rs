//! The metadata service of instances: having it ask for session tokens, which requests that were tricked out of a server lack.

use super::building::{change, check, codes, is, step};
use super::isolate_instance::{INSTANCE, described};
use super::reading::text;
use super::recipe::{About, Context, Draft, Drafted, Kind, Recipe, nothing, required};
use super::{PlanFault, Reads};
use crate::plan::{Class, Risk, Step};
use serde_json::{Map, json};

const EC2: &str = "ec2.amazonaws.com";

pub(super) const REQUIRE: Recipe = Recipe {
    name: "aws.ec2.require_imdsv2",
    about: "Has an instance's metadata service ask for session tokens. Old SDKs on it get no credentials then.",
    risk: Risk::Medium,
    kind: "aws.ec2.instance",
    is_containment: false,
    is_rolled_back: false,
    triggers: &[
        (EC2, "ModifyInstanceMetadataOptions"),
        (EC2, "RunInstances"),
    ],
    makes: &[(EC2, "ModifyInstanceMetadataOptions")],
    operations: &["ec2.DescribeInstances", "ec2.ModifyInstanceMetadataOptions"],
    parameters: &[required("instance_id", Kind::Text, "the instance")],
    from_event: |event| {
        let asked = "/requestParameters/ModifyInstanceMetadataOptionsRequest";
        let tokens = event.first(&[
            &format!("{asked}/HttpTokens"),
            "/requestParameters/httpTokens",
            "/responseElements/instancesSet/items/0/metadataOptions/httpTokens",
        ]);
        if tokens == Some("required") {
            let why = "the event asks for tokens already";
            return Err(PlanFault::Refused(why.to_owned()));
        }
        if event.list("/responseElements/instancesSet/items")?.len() > 1 {
            let why = "the event is about several instances";
            return Err(PlanFault::Refused(why.to_owned()));
        }
        let instance = event.text(&format!("{asked}/InstanceId"));
        let instance = instance.or_else(|| event.instance());
        let lacks = || PlanFault::Lacks("which instance".to_owned());
        let mut parameters = Map::new();
        let instance = json!(instance.ok_or_else(lacks)?);
        parameters.insert("instance_id".to_owned(), instance);
        Ok(parameters)
    },
    subject: |asked| {
        let instance = asked.id("instance_id", "i-")?;
        let arn = asked.arn("ec2", &format!("instance/{instance}"));
        Ok(About::regional(arn, json!("tokens optional")))
    },
    plan,
};

fn plan(context: &Context<'_>, reads: &mut dyn Reads) -> Result<Drafted, PlanFault> {
    let asked = context.asked()?;
    let instance = asked.id("instance_id", "i-")?;
    let (question, found) = described(&asked, reads, instance)?;
    let Some(found) = found else {
        return nothing("the instance is gone");
    };
    let before = match text(&found, "/MetadataOptions/HttpTokens") {
        "required" => return nothing("tokens are asked for already"),
        "" => "optional",
        before => before,
    };
    let set = |tokens: &str| {
        let parameters = json!({"InstanceId": instance, "HttpTokens": tokens});
        asked.call("ec2.ModifyInstanceMetadataOptions", parameters)
    };
    let back = step(
        "undo",
        format!("let the metadata service of {instance} ask for tokens as before"),
        Class::Set,
        set(before),
    );
    let summary = format!("have the metadata service of {instance} ask for session tokens");
    let one = Step {
        done_codes: codes(&["InvalidInstanceID.NotFound"]),
        inverse: vec![back],
        ..step("require", summary.clone(), Class::Set, set("required"))
    };
    let pointer = format!("{INSTANCE}/MetadataOptions/HttpTokens");
    let held = found.pointer("/MetadataOptions/HttpTokens").cloned();
    Ok(Drafted::Draft(Draft {
        summary,
        diff: vec![change("tokens", before, "required")],
        preconditions: vec![check(
            &question,
            vec![is(&pointer, held.unwrap_or_default())],
        )],
        steps: vec![one],
        verify: vec![check(&question, vec![is(&pointer, "required")])],
    }))
}
