//! Trust policies of roles: putting back the one from before the event.
//!
//! The event says only the new one, so the old one comes from what was seen before. It is put back only while the current one is
//! the bad one: somebody who has changed it since knows more.

use super::building::{change, check, is, step};
use super::document;
use super::reading::{lacks, look};
use super::recipe::{About, Context, Draft, Drafted, Kind, Recipe, nothing, required};
use super::{PlanFault, Reads};
use crate::plan::{Class, Risk, Step};
use serde_json::{Map, Value, json};

const IAM: &str = "iam.amazonaws.com";

pub(super) const RESTORE: Recipe = Recipe {
    name: "aws.iam.restore_trust_policy",
    about: "Puts back the trust policy that a role had before the event.",
    risk: Risk::Medium,
    kind: "aws.iam.role",
    is_containment: false,
    is_rolled_back: true,
    triggers: &[(IAM, "UpdateAssumeRolePolicy")],
    makes: &[(IAM, "UpdateAssumeRolePolicy")],
    operations: &["iam.GetRole", "iam.UpdateAssumeRolePolicy"],
    parameters: &[
        required("role_name", Kind::Text, "the role"),
        required("document", Kind::Json, "the bad document"),
    ],
    from_event: |event| {
        let role = event.needs("which role", &["/requestParameters/roleName"])?;
        let document = event.at("/requestParameters/policyDocument");
        let document = document.and_then(document::parse);
        let document = document.ok_or_else(|| PlanFault::Lacks("the document".to_owned()))?;
        let mut parameters = Map::new();
        parameters.insert("role_name".to_owned(), json!(role));
        parameters.insert("document".to_owned(), document);
        Ok(parameters)
    },
    subject: |asked| {
        let role = asked.iam_name("role_name")?;
        let document = asked.json("document").and_then(document::parse);
        let document = document.ok_or_else(|| PlanFault::Lacks("document".to_owned()))?;
        let arn = asked.iam_arn("role", role);
        Ok(About::global(arn, json!({"trusts": document})))
    },
    plan,
};

fn plan(context: &Context<'_>, reads: &mut dyn Reads) -> Result<Drafted, PlanFault> {
    let asked = context.asked()?;
    let role = asked.text("role_name")?;
    let bad = asked.json("document").and_then(document::parse);
    let bad = bad.ok_or_else(|| PlanFault::Lacks("document".to_owned()))?;
    let pointer = "/Role/AssumeRolePolicyDocument";
    let question = asked.global("iam.GetRole", json!({"RoleName": role}));
    let Some(answer) = look(reads, &question, &["NoSuchEntity"])? else {
        return nothing("the role is gone");
    };
    let current = answer.pointer(pointer).filter(|found| found.is_object());
    let current = current.ok_or_else(|| lacks(&question, "document"))?;
    if *current != bad {
        return nothing("the trust policy was changed since the event");
    }
    let arn = asked.iam_arn("role", role);
    let good = context.known(&arn, "assume_role_policy")?;
    if !good.is_object() || good == bad {
        let what = format!("a good trust policy of {arn}");
        return Err(PlanFault::Unknown(what));
    }
    let put = |document: &Value| {
        let parameters = json!({"RoleName": role, "PolicyDocument": document});
        asked.global("iam.UpdateAssumeRolePolicy", parameters)
    };
    let back = step(
        "undo",
        format!("let the role {role} trust whom it trusted after the event"),
        Class::Set,
        put(&bad),
    );
    let summary = format!("put back the trust policy that the role {role} had before the event");
    let one = Step {
        inverse: vec![back],
        ..step("restore", summary.clone(), Class::Set, put(&good))
    };
    Ok(Drafted::Draft(Draft {
        summary,
        diff: vec![change("trust policy", bad.clone(), good.clone())],
        preconditions: vec![check(&question, vec![is(pointer, bad)])],
        steps: vec![one],
        verify: vec![check(&question, vec![is(pointer, good)])],
    }))
}
