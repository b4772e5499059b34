//! Databases: no longer sharing a snapshot, and no longer being reachable from the internet.

use super::building::{change, check, codes, has, has_not, is, step};
use super::naming;
use super::reading::{list, look, text};
use super::recipe::{About, Asked, Context, Draft, Drafted, Kind, Recipe, nothing, required};
use super::{PlanFault, Reads};
use crate::plan::{Class, Risk, Step};
use serde_json::{Map, Value, json};

const RDS: &str = "rds.amazonaws.com";

pub(super) const UNSHARE: Recipe = Recipe {
    name: "aws.rds.unshare_snapshot",
    about: "No longer shares a snapshot of a database with those with whom the event shared it.",
    risk: Risk::Low,
    kind: "aws.rds.snapshot",
    is_containment: true,
    is_rolled_back: false,
    triggers: &[(RDS, "ModifyDBSnapshotAttribute")],
    makes: &[(RDS, "ModifyDBSnapshotAttribute")],
    operations: &[
        "rds.DescribeDBSnapshotAttributes",
        "rds.ModifyDBSnapshotAttribute",
    ],
    parameters: &[
        required("snapshot", Kind::Text, "the snapshot"),
        required("shared_with", Kind::Texts, "accounts, or \"all\""),
    ],
    from_event: |event| {
        let attribute = event.text("/requestParameters/attributeName");
        let added = event.list("/requestParameters/valuesToAdd")?;
        let added: Vec<_> = added.into_iter().filter_map(Value::as_str).collect();
        if attribute != Some("restore") || added.is_empty() {
            let why = "the event shares nothing with anybody";
            return Err(PlanFault::Refused(why.to_owned()));
        }
        let snapshot = "/requestParameters/dBSnapshotIdentifier";
        let snapshot = event.needs("which snapshot", &[snapshot])?;
        let mut parameters = Map::new();
        parameters.insert("snapshot".to_owned(), json!(snapshot));
        parameters.insert("shared_with".to_owned(), json!(added));
        Ok(parameters)
    },
    subject: |asked| {
        let snapshot = naming::plain_name(asked.text("snapshot")?)?;
        let arn = asked.arn("rds", &format!("snapshot:{snapshot}"));
        Ok(About::regional(arn, json!({"shared_with": whom(asked)?})))
    },
    plan: unshare,
};

fn whom<'a>(asked: &Asked<'a>) -> Result<Vec<&'a str>, PlanFault> {
    let all = asked.texts("shared_with");
    if all.is_empty() {
        return Err(PlanFault::Lacks("shared_with".to_owned()));
    }
    for &one in &all {
        if one != "all" {
            naming::account(one)?;
        }
    }
    Ok(all)
}

fn unshare(context: &Context<'_>, reads: &mut dyn Reads) -> Result<Drafted, PlanFault> {
    let asked = context.asked()?;
    let snapshot = asked.text("snapshot")?;
    let named = json!({"DBSnapshotIdentifier": snapshot});
    let question = asked.call("rds.DescribeDBSnapshotAttributes", named);
    let Some(answer) = look(
        reads,
        &question,
        &["DBSnapshotNotFound", "DBSnapshotNotFoundFault"],
    )?
    else {
        return nothing("the snapshot is gone");
    };
    let pointer = "/DBSnapshotAttributesResult/DBSnapshotAttributes";
    let attributes = list(&answer, pointer);
    let place = attributes
        .iter()
        .position(|one| text(one, "/AttributeName") == "restore");
    let pointer = format!("{pointer}/{}/AttributeValues", place.unwrap_or_default());
    let mut shared = whom(&asked)?;
    shared.retain(|&one| list(&answer, &pointer).contains(&json!(one)));
    if place.is_none() || shared.is_empty() {
        return nothing("the snapshot is not shared with them");
    }
    let modify = |member: &str| {
        let mut parameters = Map::new();
        parameters.insert("DBSnapshotIdentifier".to_owned(), json!(snapshot));
        parameters.insert("AttributeName".to_owned(), json!("restore"));
        parameters.insert(member.to_owned(), json!(shared));
        asked.call("rds.ModifyDBSnapshotAttribute", Value::Object(parameters))
    };
    let with = shared.join(", ");
    let back = step(
        "share",
        format!("share the snapshot {snapshot} with {with} again"),
        Class::Set,
        modify("ValuesToAdd"),
    );
    let summary = format!("no longer share the snapshot {snapshot} with {with}");
    let one = Step {
        done_codes: codes(&["DBSnapshotNotFound"]),
        inverse: vec![back],
        ..step(
            "unshare",
            summary.clone(),
            Class::Set,
            modify("ValuesToRemove"),
        )
    };
    let held = shared.iter().map(|&one| has(&pointer, one));
    let gone = shared.iter().map(|&one| has_not(&pointer, one));
    Ok(Drafted::Draft(Draft {
        summary,
        diff: vec![change("shared with", json!(shared), json!([]))],
        preconditions: vec![check(&question, held.collect())],
        steps: vec![one],
        verify: vec![check(&question, gone.collect())],
    }))
}

pub(super) const MAKE_PRIVATE: Recipe = Recipe {
    name: "aws.rds.make_private",
    about: "Has a database no longer be reachable from the internet. Its address changes, which takes minutes.",
    risk: Risk::High,
    kind: "aws.rds.instance",
    is_containment: true,
    is_rolled_back: false,
    triggers: &[(RDS, "ModifyDBInstance"), (RDS, "CreateDBInstance")],
    makes: &[(RDS, "ModifyDBInstance")],
    operations: &["rds.DescribeDBInstances", "rds.ModifyDBInstance"],
    parameters: &[required("instance", Kind::Text, "the database")],
    from_event: |event| {
        let is_public = event
            .flag("/requestParameters/publiclyAccessible")
            .or_else(|| event.flag("/responseElements/publiclyAccessible"));
        if is_public != Some(true) {
            let why = "the event makes no database public";
            return Err(PlanFault::Refused(why.to_owned()));
        }
        let instance = "/requestParameters/dBInstanceIdentifier";
        let instance = event.needs("which database", &[instance])?;
        let mut parameters = Map::new();
        parameters.insert("instance".to_owned(), json!(instance));
        Ok(parameters)
    },
    subject: |asked| {
        let instance = naming::plain_name(asked.text("instance")?)?;
        let arn = asked.arn("rds", &format!("db:{instance}"));
        Ok(About::regional(arn, json!("public")))
    },
    plan: make_private,
};

fn make_private(context: &Context<'_>, reads: &mut dyn Reads) -> Result<Drafted, PlanFault> {
    let asked = context.asked()?;
    let instance = asked.text("instance")?;
    let named = json!({"DBInstanceIdentifier": instance});
    let question = asked.call("rds.DescribeDBInstances", named);
    let Some(answer) = look(
        reads,
        &question,
        &["DBInstanceNotFound", "DBInstanceNotFoundFault"],
    )?
    else {
        return nothing("the database is gone");
    };
    let pointer = "/DBInstances/0/PubliclyAccessible";
    if answer.pointer(pointer) != Some(&Value::Bool(true)) {
        return nothing("the database is not public");
    }
    let set = |is_public: bool| {
        let parameters = json!({
            "DBInstanceIdentifier": instance,
            "PubliclyAccessible": is_public,
            "ApplyImmediately": true,
        });
        asked.call("rds.ModifyDBInstance", parameters)
    };
    let back = step(
        "publish",
        format!("have the database {instance} be reachable from the internet again"),
        Class::Set,
        set(true),
    );
    let summary = format!("have the database {instance} no longer be reachable from the internet");
    let one = Step {
        done_codes: codes(&["DBInstanceNotFound"]),
        inverse: vec![back],
        ..step("make_private", summary.clone(), Class::Set, set(false))
    };
    Ok(Drafted::Draft(Draft {
        summary,
        diff: vec![change("publicly accessible", true, false)],
        preconditions: vec![check(&question, vec![is(pointer, true)])],
        steps: vec![one],
        verify: vec![check(&question, vec![is(pointer, false)])],
    }))
}
