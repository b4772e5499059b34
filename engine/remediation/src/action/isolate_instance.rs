//! Instances: keeping what is on their volumes, then shutting them off from the network.
//!
//! All volumes are snapshotted by one request, so that they are of one moment. The snapshots are taken first: whoever is on the
//! instance may notice that it is shut off.

use super::building::{change, check, codes, from_step, has, is, step};
use super::reading::{lacks, list, look, text};
use super::recipe::{
    About, Asked, Context, Draft, Drafted, Kind, Recipe, nothing, optional, required,
};
use super::{ITEMS_MAX, PlanFault, Reads};
use crate::plan::{Call, Class, Expect, Risk, Step};
use serde_json::{Map, Value, json};

const EC2: &str = "ec2.amazonaws.com";
pub(super) const INSTANCE: &str = "/Reservations/0/Instances/0";

pub(super) const ISOLATE: Recipe = Recipe {
    name: "aws.ec2.isolate_instance",
    about: "Snapshots an instance's volumes and puts all its interfaces behind a quarantine group.",
    risk: Risk::High,
    kind: "aws.ec2.instance",
    is_containment: true,
    is_rolled_back: false,
    triggers: &[],
    makes: &[
        (EC2, "CreateSnapshots"),
        (EC2, "DeleteSnapshot"),
        (EC2, "ModifyInstanceAttribute"),
        (EC2, "ModifyNetworkInterfaceAttribute"),
    ],
    operations: &[
        "ec2.CreateSnapshots",
        "ec2.DeleteSnapshot",
        "ec2.DescribeInstances",
        "ec2.DescribeSecurityGroups",
        "ec2.DescribeSnapshots",
        "ec2.ModifyInstanceAttribute",
        "ec2.ModifyNetworkInterfaceAttribute",
    ],
    parameters: &[
        required("instance_id", Kind::Text, "the instance"),
        required(
            "quarantine_group",
            Kind::Text,
            "a security group of the same network that lets nothing in or out",
        ),
        optional(
            "snapshots",
            Kind::Bool,
            "whether volumes are snapshotted; yes unless false",
        ),
    ],
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
        Ok(About::regional(arn, json!("reachable")))
    },
    plan,
};

/// What describes an instance, and the instance; none when it is gone or going.
pub(super) fn described(
    asked: &Asked<'_>,
    reads: &mut dyn Reads,
    instance: &str,
) -> Result<(Call, Option<Value>), PlanFault> {
    let question = asked.call("ec2.DescribeInstances", json!({"InstanceIds": [instance]}));
    let answer = look(reads, &question, &["InvalidInstanceID.NotFound"])?;
    let found = answer.and_then(|answer| answer.pointer(INSTANCE).cloned());
    let found =
        found.filter(|found| !matches!(text(found, "/State/Name"), "terminated" | "shutting-down"));
    Ok((question, found))
}

/// Where groups are set: at the instance while it has one interface, else at each of them. The service takes groups of an instance
/// with several from nobody.
struct Door<'a> {
    interface: Option<&'a str>,
    before: Vec<&'a str>,
}

impl<'a> Door<'a> {
    fn of(found: &'a Value, interfaces: &'a [Value]) -> Vec<Self> {
        let ids = |of: &'a Value, pointer: &str| -> Vec<&'a str> {
            let groups = list(of, pointer).iter();
            groups.map(|group| text(group, "/GroupId")).collect()
        };
        if interfaces.len() == 1 {
            return vec![Self {
                interface: None,
                before: ids(found, "/SecurityGroups"),
            }];
        }
        let one = |interface: &'a Value| Self {
            interface: Some(text(interface, "/NetworkInterfaceId")),
            before: ids(interface, "/Groups"),
        };
        interfaces.iter().map(one).collect()
    }

    fn words(&self, instance: &str) -> String {
        match self.interface {
            Some(id) => format!("interface {id} of {instance}"),
            None => format!("instance {instance}"),
        }
    }

    fn call(&self, asked: &Asked<'_>, instance: &str, groups: &[&str]) -> Call {
        match self.interface {
            Some(id) => {
                let parameters = json!({"NetworkInterfaceId": id, "Groups": groups});
                asked.call("ec2.ModifyNetworkInterfaceAttribute", parameters)
            }
            None => {
                let parameters = json!({"InstanceId": instance, "Groups": groups});
                asked.call("ec2.ModifyInstanceAttribute", parameters)
            }
        }
    }

    fn state(&self, groups: &[&str]) -> Expect {
        let groups = groups.iter().map(|group| json!({"GroupId": group}));
        let groups: Vec<_> = groups.collect();
        match self.interface {
            Some(id) => has(
                &format!("{INSTANCE}/NetworkInterfaces"),
                json!({"NetworkInterfaceId": id, "Groups": groups}),
            ),
            None => is(&format!("{INSTANCE}/SecurityGroups"), groups),
        }
    }
}

fn plan(context: &Context<'_>, reads: &mut dyn Reads) -> Result<Drafted, PlanFault> {
    let asked = context.asked()?;
    let instance = asked.id("instance_id", "i-")?;
    let quarantine = asked.id("quarantine_group", "sg-")?;
    let (question, found) = described(&asked, reads, instance)?;
    let Some(found) = found else {
        return nothing("the instance is gone");
    };
    let interfaces = list(&found, "/NetworkInterfaces");
    if interfaces.is_empty() {
        return Err(lacks(&question, "NetworkInterfaces"));
    }
    if interfaces.len() > ITEMS_MAX {
        let why = format!("{instance} has more than {ITEMS_MAX} interfaces");
        return Err(PlanFault::Refused(why));
    }
    let mut doors = Door::of(&found, interfaces);
    doors.retain(|door| door.before != [quarantine]);
    if doors.is_empty() {
        return nothing("the instance is in quarantine already");
    }
    check_network(&asked, reads, quarantine, text(&found, "/VpcId"))?;
    let mut draft = Draft {
        summary: format!("isolate the instance {instance} behind {quarantine}"),
        ..Draft::default()
    };
    if asked.json("snapshots") != Some(&Value::Bool(false)) {
        draft
            .steps
            .extend(snapshots(context, &asked, instance, &found)?);
    }
    let (mut held, mut wanted) = (Vec::new(), Vec::new());
    for (place, door) in doors.iter().enumerate() {
        let (words, before) = (door.words(instance), &door.before);
        let back = step(
            "release",
            format!("give the {words} its groups again"),
            Class::Set,
            door.call(&asked, instance, before),
        );
        draft.steps.push(Step {
            inverse: vec![back],
            ..step(
                &format!("isolate_{}", place + 1),
                format!("put the {words} behind {quarantine}; open connections stay open"),
                Class::Set,
                door.call(&asked, instance, &[quarantine]),
            )
        });
        held.push(door.state(before));
        wanted.push(door.state(&[quarantine]));
        let field = format!("groups of the {words}");
        draft
            .diff
            .push(change(field, json!(before), json!([quarantine])));
    }
    draft.preconditions = vec![check(&question, held)];
    draft.verify = vec![check(&question, wanted)];
    Ok(Drafted::Draft(draft))
}

/// The quarantine group must be there and of the same network: else nothing would be shut off, after the snapshots.
fn check_network(
    asked: &Asked<'_>,
    reads: &mut dyn Reads,
    quarantine: &str,
    network: &str,
) -> Result<(), PlanFault> {
    let question = json!({"GroupIds": [quarantine]});
    let question = asked.call("ec2.DescribeSecurityGroups", question);
    let found = look(
        reads,
        &question,
        &["InvalidGroup.NotFound", "InvalidGroupId.Malformed"],
    )?;
    let its = found
        .as_ref()
        .and_then(|found| found.pointer("/SecurityGroups/0"));
    match its {
        Some(group) if text(group, "/VpcId") == network => Ok(()),
        Some(_) => Err(PlanFault::Refused(format!(
            "{quarantine} is of another network"
        ))),
        None => Err(PlanFault::Refused(format!(
            "there is no security group {quarantine}"
        ))),
    }
}

/// The step that snapshots all volumes; none for an instance without any.
fn snapshots(
    context: &Context<'_>,
    asked: &Asked<'_>,
    instance: &str,
    found: &Value,
) -> Result<Option<Step>, PlanFault> {
    let volumes = list(found, "/BlockDeviceMappings").iter();
    let volumes: Vec<_> = volumes
        .map(|volume| text(volume, "/Ebs/VolumeId"))
        .filter(|volume| !volume.is_empty())
        .collect();
    if volumes.is_empty() {
        return Ok(None);
    }
    if volumes.len() > ITEMS_MAX {
        let why = format!("{instance} has more than {ITEMS_MAX} volumes");
        return Err(PlanFault::Refused(why));
    }
    let create = json!({
        "InstanceSpecification": {"InstanceId": instance},
        "Description": format!("tripline {} of {instance}", context.action_id),
        "TagSpecifications": [{"ResourceType": "snapshot", "Tags": context.tags()}],
    });
    let tagged = json!({
        "OwnerIds": ["self"],
        "Filters": [{"Name": "tag:tripline-action", "Values": [context.action_id]}],
    });
    let tagged = asked.call("ec2.DescribeSnapshots", tagged);
    let all = volumes
        .iter()
        .map(|volume| has("/Snapshots", json!({"VolumeId": volume})));
    // Both what creates and what finds answer with a list of the same name, so one place tells an id in either.
    let back = (0..volumes.len()).map(|place| {
        let id = from_step("snapshots", &format!("/Snapshots/{place}/SnapshotId"));
        Step {
            done_codes: codes(&["InvalidSnapshot.NotFound"]),
            ..step(
                &format!("delete_{}", place + 1),
                format!("delete a snapshot of {instance}"),
                Class::Remove,
                asked.call("ec2.DeleteSnapshot", json!({"SnapshotId": id})),
            )
        }
    });
    Ok(Some(Step {
        probe: Some(check(&tagged, all.collect())),
        inverse: back.collect(),
        ..step(
            "snapshots",
            format!(
                "snapshot {} volumes of the instance {instance}",
                volumes.len()
            ),
            Class::Create,
            asked.call("ec2.CreateSnapshots", create),
        )
    }))
}
