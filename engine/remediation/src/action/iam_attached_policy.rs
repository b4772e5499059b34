//! Managed policies: detaching one from a user, role or group, and attaching the one by which AWS quarantines users.

use super::building::{change, check, codes, has, has_not, step};
use super::events::{Doer, Event};
use super::principal::{self, Principal};
use super::reading::{find, list, look};
use super::recipe::{
    About, Asked, Context, Draft, Drafted, Kind, Recipe, nothing, optional, required,
};
use super::{PlanFault, Reads, naming};
use crate::plan::{Class, Risk, Step};
use serde_json::{Map, Value, json};

const IAM: &str = "iam.amazonaws.com";

pub(super) const DETACH: Recipe = Recipe {
    name: "aws.iam.detach_policy",
    about: "Detaches a managed policy from a user, role or group.",
    risk: Risk::Medium,
    kind: "aws.iam.principal",
    is_containment: true,
    is_rolled_back: false,
    triggers: &[
        (IAM, "AttachUserPolicy"),
        (IAM, "AttachRolePolicy"),
        (IAM, "AttachGroupPolicy"),
    ],
    makes: &[
        (IAM, "DetachUserPolicy"),
        (IAM, "DetachRolePolicy"),
        (IAM, "DetachGroupPolicy"),
        (IAM, "AttachUserPolicy"),
        (IAM, "AttachRolePolicy"),
        (IAM, "AttachGroupPolicy"),
    ],
    operations: &[
        "iam.AttachGroupPolicy",
        "iam.AttachRolePolicy",
        "iam.AttachUserPolicy",
        "iam.DetachGroupPolicy",
        "iam.DetachRolePolicy",
        "iam.DetachUserPolicy",
        "iam.ListAttachedGroupPolicies",
        "iam.ListAttachedRolePolicies",
        "iam.ListAttachedUserPolicies",
    ],
    parameters: &[
        principal::KIND,
        principal::NAME,
        required("policy_arn", Kind::Text, "the policy"),
    ],
    from_event: |event| {
        let mut parameters = principal::named(event)?;
        let policy = event.needs("which policy", &["/requestParameters/policyArn"])?;
        parameters.insert("policy_arn".to_owned(), json!(policy));
        Ok(parameters)
    },
    subject: |asked| {
        let principal = Principal::of(asked)?;
        let policy = naming::arn(asked.text("policy_arn")?, "iam")?;
        Ok(About::global(
            principal.arn(asked),
            json!({"attached": policy}),
        ))
    },
    plan: detach,
};

fn detach(context: &Context<'_>, reads: &mut dyn Reads) -> Result<Drafted, PlanFault> {
    let asked = context.asked()?;
    let principal = Principal::of(&asked)?;
    let policy = asked.text("policy_arn")?;
    let question = principal.call(&asked, "iam.ListAttached{}Policies", []);
    let Some(answer) = look(reads, &question, &["NoSuchEntity"])? else {
        return nothing(format!("the {} is gone", principal.kind));
    };
    if find(list(&answer, "/AttachedPolicies"), "PolicyArn", policy).is_none() {
        return nothing("the policy is not attached");
    }
    let who = principal.shown();
    let about = |operation| principal.call(&asked, operation, [("PolicyArn", json!(policy))]);
    let back = step(
        "attach",
        format!("attach {policy} to {who} again"),
        Class::Set,
        about("iam.Attach{}Policy"),
    );
    let summary = format!("detach {policy} from {who}");
    let one = Step {
        done_codes: codes(&["NoSuchEntity"]),
        inverse: vec![back],
        ..step(
            "detach",
            summary.clone(),
            Class::Remove,
            about("iam.Detach{}Policy"),
        )
    };
    let attached = json!({"PolicyArn": policy});
    Ok(Drafted::Draft(Draft {
        summary,
        diff: vec![change("attached policy", policy, Value::Null)],
        preconditions: vec![check(
            &question,
            vec![has("/AttachedPolicies", attached.clone())],
        )],
        steps: vec![one],
        verify: vec![check(
            &question,
            vec![has_not("/AttachedPolicies", attached)],
        )],
    }))
}

pub(super) const QUARANTINE: Recipe = Recipe {
    name: "aws.iam.quarantine_user",
    about: "Attaches the policy by which AWS itself quarantines users of leaked keys. It denies much, not everything.",
    risk: Risk::Medium,
    kind: "aws.iam.user",
    is_containment: true,
    is_rolled_back: false,
    triggers: &[],
    makes: &[(IAM, "AttachUserPolicy"), (IAM, "DetachUserPolicy")],
    operations: &[
        "iam.AttachUserPolicy",
        "iam.DetachUserPolicy",
        "iam.ListAttachedUserPolicies",
    ],
    parameters: &[
        required("user_name", Kind::Text, "the user"),
        optional(
            "policy_arn",
            Kind::Text,
            "another policy than AWSCompromisedKeyQuarantineV3",
        ),
    ],
    from_event: quarantined,
    subject: |asked| {
        let user = asked.iam_name("user_name")?;
        let policy = quarantine_policy(asked)?;
        let arn = asked.iam_arn("user", user);
        Ok(About::global(arn, json!({"not_attached": policy})))
    },
    plan: quarantine,
};

/// The user whom AWS quarantined by an older version of its policy, or who did it.
fn quarantined(event: &Event<'_>) -> Result<Map<String, Value>, PlanFault> {
    let policy = event.text("/requestParameters/policyArn");
    let is_by_aws = policy.is_some_and(|arn| arn.contains(":policy/AWSCompromisedKeyQuarantine"));
    let user = match event.doer() {
        _ if is_by_aws => event.text("/requestParameters/userName"),
        Some(Doer::User(name)) => Some(name),
        _ => None,
    };
    let mut parameters = Map::new();
    if let Some(user) = user {
        parameters.insert("user_name".to_owned(), json!(user));
    }
    Ok(parameters)
}

fn quarantine_policy(asked: &Asked<'_>) -> Result<String, PlanFault> {
    match asked.optional("policy_arn") {
        Some(policy) => naming::arn(policy, "iam").map(str::to_owned),
        None => Ok(format!(
            "arn:{}:iam::aws:policy/AWSCompromisedKeyQuarantineV3",
            naming::partition(asked.region)
        )),
    }
}

fn quarantine(context: &Context<'_>, reads: &mut dyn Reads) -> Result<Drafted, PlanFault> {
    let asked = context.asked()?;
    let user = asked.text("user_name")?;
    let policy = quarantine_policy(&asked)?;
    let question = asked.global("iam.ListAttachedUserPolicies", json!({"UserName": user}));
    let Some(answer) = look(reads, &question, &["NoSuchEntity"])? else {
        return nothing("the user is gone");
    };
    if find(list(&answer, "/AttachedPolicies"), "PolicyArn", &policy).is_some() {
        return nothing("the user is quarantined already");
    }
    let both = json!({"UserName": user, "PolicyArn": policy});
    let back = Step {
        done_codes: codes(&["NoSuchEntity"]),
        ..step(
            "detach",
            format!("end the quarantine of {user}"),
            Class::Remove,
            asked.global("iam.DetachUserPolicy", both.clone()),
        )
    };
    let summary = format!("quarantine the user {user} by {policy}");
    let one = Step {
        inverse: vec![back],
        ..step(
            "attach",
            summary.clone(),
            Class::Set,
            asked.global("iam.AttachUserPolicy", both),
        )
    };
    let attached = json!({"PolicyArn": policy});
    Ok(Drafted::Draft(Draft {
        summary,
        diff: vec![change("attached policy", Value::Null, policy)],
        preconditions: vec![check(
            &question,
            vec![has_not("/AttachedPolicies", attached.clone())],
        )],
        steps: vec![one],
        verify: vec![check(&question, vec![has("/AttachedPolicies", attached)])],
    }))
}
