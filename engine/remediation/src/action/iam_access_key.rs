//! Access keys: switching one off, and deleting one that was switched off.
//!
//! A key is never deleted while it is on: switching off can be taken back, deleting cannot, and whoever uses the key for work
//! must have had the time to say so.

use super::building::{change, check, codes, has, has_not, step};
use super::events::Event;
use super::reading::{find, list, look, text};
use super::recipe::{
    About, Asked, Context, Draft, Drafted, Kind, Parameter, Recipe, nothing, required,
};
use super::{PlanFault, Reads};
use crate::plan::{Call, Class, Risk, Step};
use serde_json::{Map, Value, json};

const PARAMETERS: &[Parameter] = &[
    required("user_name", Kind::Text, "whose key it is"),
    required("access_key_id", Kind::Text, "the key"),
];
const TRIGGERS: &[(&str, &str)] = &[("iam.amazonaws.com", "CreateAccessKey")];

pub(super) const DEACTIVATE: Recipe = Recipe {
    name: "aws.iam.deactivate_access_key",
    about: "Switches off an access key, so that it can be switched on again when its owner is found.",
    risk: Risk::Medium,
    kind: "aws.iam.access_key",
    is_containment: true,
    is_rolled_back: false,
    triggers: TRIGGERS,
    makes: &[("iam.amazonaws.com", "UpdateAccessKey")],
    operations: &["iam.ListAccessKeys", "iam.UpdateAccessKey"],
    parameters: PARAMETERS,
    from_event,
    subject,
    plan: deactivate,
};

pub(super) const DELETE: Recipe = Recipe {
    name: "aws.iam.delete_access_key",
    about: "Deletes an access key that was switched off before. Nobody can bring it back.",
    risk: Risk::High,
    kind: "aws.iam.access_key",
    is_containment: true,
    is_rolled_back: false,
    triggers: TRIGGERS,
    makes: &[("iam.amazonaws.com", "DeleteAccessKey")],
    operations: &["iam.DeleteAccessKey", "iam.ListAccessKeys"],
    parameters: PARAMETERS,
    from_event,
    subject,
    plan: delete,
};

fn from_event(event: &Event<'_>) -> Result<Map<String, Value>, PlanFault> {
    if event.text("/userIdentity/type") == Some("Root")
        && event.text("/requestParameters/userName").is_none()
    {
        let why = "keys of the root user can be switched off by nobody else";
        return Err(PlanFault::Refused(why.to_owned()));
    }
    let key = event.needs("the key's id", &["/responseElements/accessKey/accessKeyId"])?;
    // Without a name in the request it is the caller's own.
    let user = event.needs(
        "whose key it is",
        &[
            "/requestParameters/userName",
            "/responseElements/accessKey/userName",
            "/userIdentity/userName",
        ],
    )?;
    let mut parameters = Map::new();
    parameters.insert("user_name".to_owned(), json!(user));
    parameters.insert("access_key_id".to_owned(), json!(key));
    Ok(parameters)
}

fn subject(asked: &Asked<'_>) -> Result<About, PlanFault> {
    let user = asked.iam_name("user_name")?;
    let key = asked.id("access_key_id", "AKIA")?;
    let arn = asked.iam_arn("user", user);
    Ok(About::global(arn, json!({"access_key": key})))
}

/// The question, and the key's status; none when there is no such key.
fn status(asked: &Asked<'_>, reads: &mut dyn Reads) -> Result<(Call, Option<String>), PlanFault> {
    let key = asked.text("access_key_id")?;
    let question = json!({"UserName": asked.text("user_name")?});
    let question = asked.global("iam.ListAccessKeys", question);
    let Some(answer) = look(reads, &question, &["NoSuchEntity"])? else {
        return Ok((question, None));
    };
    let found = find(list(&answer, "/AccessKeyMetadata"), "AccessKeyId", key);
    let status = found.map(|key| text(key, "/Status").to_owned());
    Ok((question, status))
}

fn deactivate(context: &Context<'_>, reads: &mut dyn Reads) -> Result<Drafted, PlanFault> {
    let asked = context.asked()?;
    let (user, key) = (asked.text("user_name")?, asked.text("access_key_id")?);
    let (question, status) = status(&asked, reads)?;
    match status.as_deref() {
        None => return nothing("the key is gone"),
        Some("Active") => {}
        Some(_) => return nothing("the key is switched off already"),
    }
    let set = |to: &str| {
        let parameters = json!({"UserName": user, "AccessKeyId": key, "Status": to});
        asked.global("iam.UpdateAccessKey", parameters)
    };
    let active = json!({"AccessKeyId": key, "Status": "Active"});
    let back = step(
        "activate",
        format!("switch the access key {key} of {user} on again"),
        Class::Set,
        set("Active"),
    );
    let summary = format!("switch off the access key {key} of {user}");
    let one = Step {
        done_codes: codes(&["NoSuchEntity"]),
        inverse: vec![back],
        ..step("deactivate", summary.clone(), Class::Set, set("Inactive"))
    };
    Ok(Drafted::Draft(Draft {
        summary,
        diff: vec![change(format!("status of {key}"), "Active", "Inactive")],
        preconditions: vec![check(
            &question,
            vec![has("/AccessKeyMetadata", active.clone())],
        )],
        steps: vec![one],
        verify: vec![check(
            &question,
            vec![has_not("/AccessKeyMetadata", active)],
        )],
    }))
}

fn delete(context: &Context<'_>, reads: &mut dyn Reads) -> Result<Drafted, PlanFault> {
    let asked = context.asked()?;
    let (user, key) = (asked.text("user_name")?, asked.text("access_key_id")?);
    let (question, status) = status(&asked, reads)?;
    match status.as_deref() {
        None => return nothing("the key is gone"),
        Some("Inactive") => {}
        Some(_) => {
            let why = format!("the key {key} is in use: it must be switched off first");
            return Err(PlanFault::Refused(why));
        }
    }
    let parameters = json!({"UserName": user, "AccessKeyId": key});
    let summary = format!("delete the access key {key} of {user}; nobody can bring it back");
    let one = Step {
        done_codes: codes(&["NoSuchEntity"]),
        ..step(
            "delete",
            summary.clone(),
            Class::Irreversible,
            asked.global("iam.DeleteAccessKey", parameters),
        )
    };
    let inactive = json!({"AccessKeyId": key, "Status": "Inactive"});
    let any = json!({"AccessKeyId": key});
    Ok(Drafted::Draft(Draft {
        summary,
        diff: vec![change(key, "Inactive", Value::Null)],
        preconditions: vec![check(&question, vec![has("/AccessKeyMetadata", inactive)])],
        steps: vec![one],
        verify: vec![check(&question, vec![has_not("/AccessKeyMetadata", any)])],
    }))
}
