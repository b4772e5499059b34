//! Images and snapshots of volumes: no longer sharing them with those with whom an event shared them.
//!
//! A copy may have been taken already: that is for people, who must be told.

use super::building::{change, check, codes, has, has_not, step};
use super::reading::{list, look};
use super::recipe::{About, Asked, Context, Draft, Drafted, Kind, Recipe, nothing, required};
use super::{PlanFault, Reads, naming};
use crate::plan::{Class, Risk, Step};
use serde_json::{Map, Value, json};

const EC2: &str = "ec2.amazonaws.com";
/// Whom something can be shared with, as events and as requests name it.
const WHOM: [(&str, &str); 4] = [
    ("userId", "UserId"),
    ("group", "Group"),
    ("organizationArn", "OrganizationArn"),
    ("organizationalUnitArn", "OrganizationalUnitArn"),
];

pub(super) const IMAGE: Recipe = Recipe {
    name: "aws.ec2.unshare_image",
    about: "No longer shares an image with those with whom the event shared it.",
    risk: Risk::Low,
    kind: "aws.ec2.image",
    is_containment: true,
    is_rolled_back: false,
    triggers: &[(EC2, "ModifyImageAttribute")],
    makes: &[(EC2, "ModifyImageAttribute")],
    operations: &["ec2.DescribeImageAttribute", "ec2.ModifyImageAttribute"],
    parameters: &[
        required("image_id", Kind::Text, "the image"),
        required(
            "shared_with",
            Kind::Json,
            "a list of {\"UserId\": …} or {\"Group\": \"all\"}",
        ),
    ],
    from_event: |event| {
        let items = event.list("/requestParameters/launchPermission/add/items")?;
        let id = event.needs("which image", &["/requestParameters/imageId"])?;
        shared(&items, "image_id", id)
    },
    subject: |asked| {
        let image = asked.id("image_id", "ami-")?;
        let arn = asked.arn("ec2", &format!("image/{image}"));
        Ok(About::regional(arn, json!({"shared_with": whom(asked)?})))
    },
    plan: unshare_image,
};

pub(super) const SNAPSHOT: Recipe = Recipe {
    name: "aws.ec2.unshare_snapshot",
    about: "No longer shares a snapshot of a volume with those with whom the event shared it.",
    risk: Risk::Low,
    kind: "aws.ec2.snapshot",
    is_containment: true,
    is_rolled_back: false,
    triggers: &[(EC2, "ModifySnapshotAttribute")],
    makes: &[(EC2, "ModifySnapshotAttribute")],
    operations: &[
        "ec2.DescribeSnapshotAttribute",
        "ec2.ModifySnapshotAttribute",
    ],
    parameters: &[
        required("snapshot_id", Kind::Text, "the snapshot"),
        required(
            "shared_with",
            Kind::Json,
            "a list of {\"UserId\": …} or {\"Group\": \"all\"}",
        ),
    ],
    from_event: |event| {
        let items = event.list("/requestParameters/createVolumePermission/add/items")?;
        let id = event.needs("which snapshot", &["/requestParameters/snapshotId"])?;
        shared(&items, "snapshot_id", id)
    },
    subject: |asked| {
        let snapshot = asked.id("snapshot_id", "snap-")?;
        let arn = asked.arn("ec2", &format!("snapshot/{snapshot}"));
        Ok(About::regional(arn, json!({"shared_with": whom(asked)?})))
    },
    plan: unshare_snapshot,
};

/// Parameters from what an event added.
fn shared(items: &[&Value], name: &str, id: &str) -> Result<Map<String, Value>, PlanFault> {
    let mut shared = Vec::new();
    for item in items {
        for (written, named) in WHOM {
            if let Some(whom) = item.get(written).and_then(Value::as_str) {
                let mut one = Map::new();
                one.insert(named.to_owned(), json!(whom));
                shared.push(Value::Object(one));
            }
        }
    }
    if shared.is_empty() {
        let why = "the event shares nothing with anybody";
        return Err(PlanFault::Refused(why.to_owned()));
    }
    let mut parameters = Map::new();
    parameters.insert(name.to_owned(), json!(id));
    parameters.insert("shared_with".to_owned(), Value::Array(shared));
    Ok(parameters)
}

/// With whom it was shared: checked, sorted, each once.
fn whom(asked: &Asked<'_>) -> Result<Vec<Value>, PlanFault> {
    let mut all = Vec::new();
    for one in asked.list("shared_with") {
        let member = one.as_object().filter(|members| members.len() == 1);
        let member = member.and_then(|members| members.iter().next());
        let member = member.and_then(|(name, whom)| {
            let (name, whom) = (name.as_str(), whom.as_str()?);
            let is_it = match name {
                "UserId" => naming::account(whom).is_ok(),
                "Group" => whom == "all",
                "OrganizationArn" | "OrganizationalUnitArn" => {
                    naming::arn(whom, "organizations").is_ok()
                }
                _ => false,
            };
            is_it.then_some(())
        });
        if member.is_none() {
            let one = naming::shown(&one.to_string());
            return Err(PlanFault::Refused(format!("nothing is shared with {one}")));
        }
        if !all.contains(one) {
            all.push(one.clone());
        }
    }
    if all.is_empty() {
        return Err(PlanFault::Lacks("shared_with".to_owned()));
    }
    all.sort_by_cached_key(Value::to_string);
    Ok(all)
}

fn words(shared: &[Value]) -> String {
    let one = |one: &Value| {
        let whom = one.as_object().and_then(|members| members.values().next());
        match whom.and_then(Value::as_str).unwrap_or_default() {
            "all" => "everybody".to_owned(),
            whom => whom.to_owned(),
        }
    };
    shared.iter().map(one).collect::<Vec<_>>().join(", ")
}

fn unshare_image(context: &Context<'_>, reads: &mut dyn Reads) -> Result<Drafted, PlanFault> {
    let asked = context.asked()?;
    let image = asked.id("image_id", "ami-")?;
    let attribute = json!({"ImageId": image, "Attribute": "launchPermission"});
    let question = asked.call("ec2.DescribeImageAttribute", attribute);
    let gone = ["InvalidAMIID.NotFound", "InvalidAMIID.Unavailable"];
    let Some(answer) = look(reads, &question, &gone)? else {
        return nothing("the image is gone");
    };
    let pointer = "/LaunchPermissions";
    let mut shared = whom(&asked)?;
    shared.retain(|one| list(&answer, pointer).contains(one));
    if shared.is_empty() {
        return nothing("the image is not shared with them");
    }
    let modify = |what: &str| {
        let mut permission = Map::new();
        permission.insert(what.to_owned(), json!(shared));
        let parameters = json!({"ImageId": image, "LaunchPermission": permission});
        asked.call("ec2.ModifyImageAttribute", parameters)
    };
    let with = words(&shared);
    let back = step(
        "share",
        format!("share the image {image} with {with} again"),
        Class::Set,
        modify("Add"),
    );
    let summary = format!("no longer share the image {image} with {with}");
    let one = Step {
        done_codes: codes(&gone),
        inverse: vec![back],
        ..step("unshare", summary.clone(), Class::Set, modify("Remove"))
    };
    let held = shared.iter().map(|one| has(pointer, one.clone()));
    let gone = shared.iter().map(|one| has_not(pointer, one.clone()));
    Ok(Drafted::Draft(Draft {
        summary,
        diff: vec![change("shared with", json!(shared), json!([]))],
        preconditions: vec![check(&question, held.collect())],
        steps: vec![one],
        verify: vec![check(&question, gone.collect())],
    }))
}

fn unshare_snapshot(context: &Context<'_>, reads: &mut dyn Reads) -> Result<Drafted, PlanFault> {
    let asked = context.asked()?;
    let snapshot = asked.id("snapshot_id", "snap-")?;
    let attribute = json!({"SnapshotId": snapshot, "Attribute": "createVolumePermission"});
    let question = asked.call("ec2.DescribeSnapshotAttribute", attribute);
    let gone = ["InvalidSnapshot.NotFound"];
    let Some(answer) = look(reads, &question, &gone)? else {
        return nothing("the snapshot is gone");
    };
    let pointer = "/CreateVolumePermissions";
    let mut shared = whom(&asked)?;
    shared.retain(|one| list(&answer, pointer).contains(one));
    let mut steps = Vec::new();
    // The service takes users and groups by parameters of their own, and only one kind in a request.
    for (id, parameter, member) in [
        ("groups", "GroupNames", "Group"),
        ("users", "UserIds", "UserId"),
    ] {
        let those: Vec<_> = shared
            .iter()
            .filter(|one| one.get(member).is_some())
            .cloned()
            .collect();
        if those.is_empty() {
            continue;
        }
        let names: Vec<_> = those.iter().map(|one| one[member].clone()).collect();
        let modify = |what: &str| {
            let mut parameters = Map::new();
            parameters.insert("SnapshotId".to_owned(), json!(snapshot));
            parameters.insert("Attribute".to_owned(), json!("createVolumePermission"));
            parameters.insert("OperationType".to_owned(), json!(what));
            parameters.insert(parameter.to_owned(), json!(names));
            asked.call("ec2.ModifySnapshotAttribute", Value::Object(parameters))
        };
        let with = words(&those);
        let back = step(
            "share",
            format!("share the snapshot {snapshot} with {with} again"),
            Class::Set,
            modify("add"),
        );
        steps.push(Step {
            done_codes: codes(&gone),
            inverse: vec![back],
            ..step(
                &format!("unshare_{id}"),
                format!("no longer share the snapshot {snapshot} with {with}"),
                Class::Set,
                modify("remove"),
            )
        });
    }
    if steps.is_empty() {
        return nothing("the snapshot is not shared with them");
    }
    let held = shared.iter().map(|one| has(pointer, one.clone()));
    let gone = shared.iter().map(|one| has_not(pointer, one.clone()));
    Ok(Drafted::Draft(Draft {
        summary: format!(
            "no longer share the snapshot {snapshot} with {}",
            words(&shared)
        ),
        diff: vec![change("shared with", json!(shared), json!([]))],
        preconditions: vec![check(&question, held.collect())],
        steps,
        verify: vec![check(&question, gone.collect())],
    }))
}
