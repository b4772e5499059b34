//! Managed policies: making the version default again that was it before the event.

use super::building::{change, check, is, step};
use super::events::Event;
use super::reading::{look, text};
use super::recipe::{About, Context, Draft, Drafted, Kind, Recipe, nothing, optional, required};
use super::{PlanFault, Reads, naming};
use crate::plan::{Class, Risk, Step};
use serde_json::{Map, Value, json};

const IAM: &str = "iam.amazonaws.com";

pub(super) const RESTORE: Recipe = Recipe {
    name: "aws.iam.restore_policy_version",
    about: "Makes the version of a managed policy the default again that was it before the event.",
    risk: Risk::Medium,
    kind: "aws.iam.policy",
    is_containment: false,
    is_rolled_back: true,
    triggers: &[
        (IAM, "CreatePolicyVersion"),
        (IAM, "SetDefaultPolicyVersion"),
    ],
    makes: &[(IAM, "SetDefaultPolicyVersion")],
    operations: &[
        "iam.GetPolicy",
        "iam.GetPolicyVersion",
        "iam.SetDefaultPolicyVersion",
    ],
    parameters: &[
        required("policy_arn", Kind::Text, "the policy"),
        required("version_id", Kind::Text, "the bad version"),
        optional(
            "good_version_id",
            Kind::Text,
            "the version to go back to, when it is not what was seen before",
        ),
    ],
    from_event,
    subject: |asked| {
        let policy = own_policy(asked.text("policy_arn")?)?;
        let version = naming::id(asked.text("version_id")?, "v")?;
        Ok(About::global(
            policy.to_owned(),
            json!({"default": version}),
        ))
    },
    plan,
};

/// A policy that is not one of AWS.
fn own_policy(arn: &str) -> Result<&str, PlanFault> {
    let arn = naming::arn(arn, "iam")?;
    match naming::Arn::of(arn).is_some_and(|arn| arn.account == "aws") {
        true => Err(PlanFault::Refused(format!("{arn} is a policy of AWS"))),
        false => Ok(arn),
    }
}

fn from_event(event: &Event<'_>) -> Result<Map<String, Value>, PlanFault> {
    let is_default = event.name() == "SetDefaultPolicyVersion"
        || event.flag("/requestParameters/setAsDefault") == Some(true);
    if !is_default {
        let why = "the new version is not the default one";
        return Err(PlanFault::Refused(why.to_owned()));
    }
    let policy = event.needs("which policy", &["/requestParameters/policyArn"])?;
    let version = event.needs(
        "which version",
        &[
            "/responseElements/policyVersion/versionId",
            "/requestParameters/versionId",
        ],
    )?;
    let mut parameters = Map::new();
    parameters.insert("policy_arn".to_owned(), json!(policy));
    parameters.insert("version_id".to_owned(), json!(version));
    Ok(parameters)
}

fn plan(context: &Context<'_>, reads: &mut dyn Reads) -> Result<Drafted, PlanFault> {
    let asked = context.asked()?;
    let (policy, bad) = (asked.text("policy_arn")?, asked.text("version_id")?);
    let question = asked.global("iam.GetPolicy", json!({"PolicyArn": policy}));
    let Some(answer) = look(reads, &question, &["NoSuchEntity"])? else {
        return nothing("the policy is gone");
    };
    if text(&answer, "/Policy/DefaultVersionId") != bad {
        return nothing("the version is not the default one any more");
    }
    let known = match asked.optional("good_version_id") {
        Some(version) => json!(version),
        None => context.known(policy, "default_version")?,
    };
    let good = known.as_str().filter(|version| *version != bad);
    let unknown = || PlanFault::Unknown(format!("a good version of {policy}"));
    let good = naming::id(good.ok_or_else(unknown)?, "v")?;
    let version = json!({"PolicyArn": policy, "VersionId": good});
    let version = asked.global("iam.GetPolicyVersion", version);
    if look(reads, &version, &["NoSuchEntity"])?.is_none() {
        let why = format!("the version {good} of {policy} was deleted");
        return Err(PlanFault::Refused(why));
    }
    let set = |version: &str| {
        let parameters = json!({"PolicyArn": policy, "VersionId": version});
        asked.global("iam.SetDefaultPolicyVersion", parameters)
    };
    let back = step(
        "undo",
        format!("make {bad} the default version of {policy} again"),
        Class::Set,
        set(bad),
    );
    let summary = format!("make {good} the default version of {policy}, as before the event");
    let one = Step {
        inverse: vec![back],
        ..step("restore", summary.clone(), Class::Set, set(good))
    };
    let pointer = "/Policy/DefaultVersionId";
    Ok(Drafted::Draft(Draft {
        summary,
        diff: vec![change("default version", bad, good)],
        preconditions: vec![check(&question, vec![is(pointer, bad)])],
        steps: vec![one],
        verify: vec![check(&question, vec![is(pointer, good)])],
    }))
}
