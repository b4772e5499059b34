//! How people sign in: deleting a password, and taking an MFA device away. Neither can be given back: the password is not
//! known to anybody but its owner, and a device's seed is known to nobody.

use super::building::{change, check, codes, has, has_not, is, refused, step};
use super::reading::{find, list, look};
use super::recipe::{About, Context, Draft, Drafted, Kind, Recipe, nothing, required};
use super::{PlanFault, Reads, naming};
use crate::plan::{Class, Risk, Step};
use serde_json::{Map, Value, json};

const IAM: &str = "iam.amazonaws.com";

pub(super) const DELETE_LOGIN_PROFILE: Recipe = Recipe {
    name: "aws.iam.delete_login_profile",
    about: "Deletes a user's password for the console. A new one can be given, the old one is lost.",
    risk: Risk::Medium,
    kind: "aws.iam.user",
    is_containment: true,
    is_rolled_back: false,
    triggers: &[(IAM, "CreateLoginProfile"), (IAM, "UpdateLoginProfile")],
    makes: &[(IAM, "DeleteLoginProfile")],
    operations: &["iam.DeleteLoginProfile", "iam.GetLoginProfile"],
    parameters: &[required("user_name", Kind::Text, "the user")],
    from_event: |event| {
        // Without a name in the request it is the caller's own.
        let user = event.needs(
            "which user",
            &[
                "/requestParameters/userName",
                "/responseElements/loginProfile/userName",
                "/userIdentity/userName",
            ],
        )?;
        let mut parameters = Map::new();
        parameters.insert("user_name".to_owned(), json!(user));
        Ok(parameters)
    },
    subject: |asked| {
        let user = asked.iam_name("user_name")?;
        Ok(About::global(
            asked.iam_arn("user", user),
            json!("password"),
        ))
    },
    plan: delete_login_profile,
};

fn delete_login_profile(
    context: &Context<'_>,
    reads: &mut dyn Reads,
) -> Result<Drafted, PlanFault> {
    let asked = context.asked()?;
    let user = asked.text("user_name")?;
    let question = asked.global("iam.GetLoginProfile", json!({"UserName": user}));
    let Some(answer) = look(reads, &question, &["NoSuchEntity"])? else {
        return nothing("the user has no password");
    };
    let created = answer.pointer("/LoginProfile/CreateDate");
    let created = created.cloned().unwrap_or_default();
    let summary = format!("delete the password of the user {user}; it cannot be given back");
    // Soon after a password was made the service refuses with `EntityTemporarilyUnmodifiable`: that is tried again.
    let one = Step {
        done_codes: codes(&["NoSuchEntity"]),
        ..step(
            "delete",
            summary.clone(),
            Class::Remove,
            asked.global("iam.DeleteLoginProfile", json!({"UserName": user})),
        )
    };
    Ok(Drafted::Draft(Draft {
        summary,
        diff: vec![change("password", "there", Value::Null)],
        preconditions: vec![check(
            &question,
            vec![is("/LoginProfile/CreateDate", created)],
        )],
        steps: vec![one],
        verify: vec![check(&question, vec![refused(&["NoSuchEntity"])])],
    }))
}

pub(super) const DEACTIVATE_MFA_DEVICE: Recipe = Recipe {
    name: "aws.iam.deactivate_mfa_device",
    about: "Takes an MFA device that was added from a user. The user must be contained as well.",
    risk: Risk::Medium,
    kind: "aws.iam.user",
    is_containment: true,
    is_rolled_back: false,
    triggers: &[(IAM, "EnableMFADevice")],
    makes: &[(IAM, "DeactivateMFADevice")],
    operations: &["iam.DeactivateMFADevice", "iam.ListMFADevices"],
    parameters: &[
        required("user_name", Kind::Text, "the user"),
        required("serial_number", Kind::Text, "the device"),
    ],
    from_event: |event| {
        let user = event.needs(
            "which user",
            &["/requestParameters/userName", "/userIdentity/userName"],
        )?;
        let device = event.needs("which device", &["/requestParameters/serialNumber"])?;
        let mut parameters = Map::new();
        parameters.insert("user_name".to_owned(), json!(user));
        parameters.insert("serial_number".to_owned(), json!(device));
        Ok(parameters)
    },
    subject: |asked| {
        let user = asked.iam_name("user_name")?;
        let device = naming::plain_name(asked.text("serial_number")?)?;
        let arn = asked.iam_arn("user", user);
        Ok(About::global(arn, json!({"device": device})))
    },
    plan: deactivate_mfa_device,
};

fn deactivate_mfa_device(
    context: &Context<'_>,
    reads: &mut dyn Reads,
) -> Result<Drafted, PlanFault> {
    let asked = context.asked()?;
    let (user, device) = (asked.text("user_name")?, asked.text("serial_number")?);
    let question = asked.global("iam.ListMFADevices", json!({"UserName": user}));
    let Some(answer) = look(reads, &question, &["NoSuchEntity"])? else {
        return nothing("the user is gone");
    };
    if find(list(&answer, "/MFADevices"), "SerialNumber", device).is_none() {
        return nothing("the user does not have the device");
    }
    let summary = format!("take the MFA device {device} from the user {user}");
    let both = json!({"UserName": user, "SerialNumber": device});
    let one = Step {
        done_codes: codes(&["NoSuchEntity"]),
        ..step(
            "deactivate",
            summary.clone(),
            Class::Remove,
            asked.global("iam.DeactivateMFADevice", both),
        )
    };
    let its = json!({"SerialNumber": device});
    Ok(Drafted::Draft(Draft {
        summary,
        diff: vec![change("MFA device", device, Value::Null)],
        preconditions: vec![check(&question, vec![has("/MFADevices", its.clone())])],
        steps: vec![one],
        verify: vec![check(&question, vec![has_not("/MFADevices", its)])],
    }))
}
