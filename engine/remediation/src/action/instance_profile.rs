//! Instance profiles: taking one from an instance, so that it gets no new credentials.
//!
//! Credentials that it has got stay valid until they end, so this goes with denying older sessions of the role.

use super::building::{change, check, codes, has, has_not, step};
use super::reading::{list, look, text};
use super::recipe::{About, Context, Draft, Drafted, Kind, Recipe, nothing, required};
use super::{PlanFault, Reads, naming};
use crate::plan::{Class, Risk, Step};
use serde_json::{Map, Value, json};

const EC2: &str = "ec2.amazonaws.com";

pub(super) const DISASSOCIATE: Recipe = Recipe {
    name: "aws.ec2.disassociate_instance_profile",
    about: "Takes the instance profile from an instance, so that it gets no new credentials.",
    risk: Risk::High,
    kind: "aws.ec2.instance",
    is_containment: true,
    is_rolled_back: false,
    triggers: &[],
    makes: &[
        (EC2, "DisassociateIamInstanceProfile"),
        (EC2, "AssociateIamInstanceProfile"),
    ],
    operations: &[
        "ec2.AssociateIamInstanceProfile",
        "ec2.DescribeIamInstanceProfileAssociations",
        "ec2.DisassociateIamInstanceProfile",
    ],
    parameters: &[required("instance_id", Kind::Text, "the instance")],
    from_event: |event| {
        let mut parameters = Map::new();
        if let Some(instance) = event.instance() {
            parameters.insert("instance_id".to_owned(), json!(instance));
        }
        Ok(parameters)
    },
    subject: |asked| {
        let instance = asked.id("instance_id", "i-")?;
        let arn = asked.arn("ec2", &format!("instance/{instance}"));
        Ok(About::regional(arn, json!("has a profile")))
    },
    plan,
};

fn plan(context: &Context<'_>, reads: &mut dyn Reads) -> Result<Drafted, PlanFault> {
    let asked = context.asked()?;
    let instance = asked.id("instance_id", "i-")?;
    let filters = json!([{"Name": "instance-id", "Values": [instance]}]);
    let question = json!({"Filters": filters});
    let question = asked.call("ec2.DescribeIamInstanceProfileAssociations", question);
    let answer = look(reads, &question, &["InvalidInstanceID.NotFound"])?;
    let pointer = "/IamInstanceProfileAssociations";
    let answer = answer.unwrap_or_default();
    let is_on = |one: &&Value| {
        text(one, "/InstanceId") == instance
            && matches!(text(one, "/State"), "associated" | "associating")
    };
    let Some(found) = list(&answer, pointer).iter().find(is_on) else {
        return nothing("the instance has no profile");
    };
    let id = naming::id(text(found, "/AssociationId"), "iip-assoc-")?;
    let profile = text(found, "/IamInstanceProfile/Arn");
    let back = json!({"IamInstanceProfile": {"Arn": profile}, "InstanceId": instance});
    // The service refuses a second one with a code that it has for other troubles as well, so it is asked what is there.
    let is_there = json!({
        "InstanceId": instance,
        "IamInstanceProfile": {"Arn": profile},
        "State": "associated",
    });
    let back = Step {
        probe: Some(check(&question, vec![has(pointer, is_there)])),
        ..step(
            "associate",
            format!("give the instance {instance} the profile {profile} again"),
            Class::Create,
            asked.call("ec2.AssociateIamInstanceProfile", back),
        )
    };
    let summary = format!("take the profile {profile} from the instance {instance}");
    let one = Step {
        done_codes: codes(&["InvalidAssociationID.NotFound"]),
        inverse: vec![back],
        ..step(
            "disassociate",
            summary.clone(),
            Class::Remove,
            asked.call(
                "ec2.DisassociateIamInstanceProfile",
                json!({"AssociationId": id}),
            ),
        )
    };
    let its = |state: &str| json!({"AssociationId": id, "State": state});
    Ok(Drafted::Draft(Draft {
        summary,
        diff: vec![change("instance profile", profile, Value::Null)],
        preconditions: vec![check(
            &question,
            vec![has(pointer, its(text(found, "/State")))],
        )],
        steps: vec![one],
        verify: vec![check(
            &question,
            vec![
                has_not(pointer, its("associated")),
                has_not(pointer, its("disassociating")),
            ],
        )],
    }))
}
