//! Inline policies: putting back what was there before one was put, or removing it where nothing was.

use super::building::{change, check, codes, is, refused, step};
use super::document;
use super::events::Event;
use super::principal::{self, Principal};
use super::reading::{lacks, look};
use super::recipe::{About, Context, Draft, Drafted, Kind, Recipe, nothing, optional, required};
use super::{PlanFault, Reads};
use crate::plan::{Class, Risk, Step};
use serde_json::{Map, Value, json};

const IAM: &str = "iam.amazonaws.com";

pub(super) const REMOVE: Recipe = Recipe {
    name: "aws.iam.remove_inline_policy",
    about: "Puts back an inline policy as it was before the event, or removes it where none is known to have been.",
    risk: Risk::Medium,
    kind: "aws.iam.principal",
    is_containment: true,
    is_rolled_back: false,
    triggers: &[
        (IAM, "PutUserPolicy"),
        (IAM, "PutRolePolicy"),
        (IAM, "PutGroupPolicy"),
    ],
    makes: &[
        (IAM, "DeleteUserPolicy"),
        (IAM, "DeleteRolePolicy"),
        (IAM, "DeleteGroupPolicy"),
        (IAM, "PutUserPolicy"),
        (IAM, "PutRolePolicy"),
        (IAM, "PutGroupPolicy"),
    ],
    operations: &[
        "iam.DeleteGroupPolicy",
        "iam.DeleteRolePolicy",
        "iam.DeleteUserPolicy",
        "iam.GetGroupPolicy",
        "iam.GetRolePolicy",
        "iam.GetUserPolicy",
        "iam.PutGroupPolicy",
        "iam.PutRolePolicy",
        "iam.PutUserPolicy",
    ],
    parameters: &[
        principal::KIND,
        principal::NAME,
        required("policy_name", Kind::Text, "the inline policy"),
        optional(
            "document",
            Kind::Json,
            "the bad document: what differs from it by now is left alone",
        ),
    ],
    from_event,
    subject: |asked| {
        let principal = Principal::of(asked)?;
        let name = asked.iam_name("policy_name")?;
        let bad = json!({"policy": name, "document": asked.json("document")});
        Ok(About::global(principal.arn(asked), bad))
    },
    plan,
};

fn from_event(event: &Event<'_>) -> Result<Map<String, Value>, PlanFault> {
    let mut parameters = principal::named(event)?;
    let name = event.needs("which policy", &["/requestParameters/policyName"])?;
    parameters.insert("policy_name".to_owned(), json!(name));
    let document = event.at("/requestParameters/policyDocument");
    if let Some(document) = document.and_then(document::parse) {
        parameters.insert("document".to_owned(), document);
    }
    Ok(parameters)
}

fn plan(context: &Context<'_>, reads: &mut dyn Reads) -> Result<Drafted, PlanFault> {
    let asked = context.asked()?;
    let principal = Principal::of(&asked)?;
    let (who, name) = (principal.shown(), asked.text("policy_name")?);
    let named = [("PolicyName", json!(name))];
    let get = principal.call(&asked, "iam.Get{}Policy", named.clone());
    let Some(answer) = look(reads, &get, &["NoSuchEntity"])? else {
        return nothing("the policy is gone");
    };
    let current = answer
        .get("PolicyDocument")
        .filter(|found| found.is_object());
    let current = current.ok_or_else(|| lacks(&get, "document"))?.clone();
    if asked.json("document").is_some_and(|bad| *bad != current) {
        return nothing("the policy was changed since the event");
    }
    let aspect = format!("inline_policy/{name}");
    let good = context.known(&principal.arn(&asked), &aspect).ok();
    let good = good.filter(|good| good.is_object() && *good != current);
    let put = |document: &Value| {
        let more = [
            ("PolicyName", json!(name)),
            ("PolicyDocument", document.clone()),
        ];
        principal.call(&asked, "iam.Put{}Policy", more)
    };
    let back = step(
        "put",
        format!("put the inline policy {name} on {who} again"),
        Class::Set,
        put(&current),
    );
    let (summary, one, wanted) = match &good {
        Some(good) => {
            let summary = format!("put back the inline policy {name} of {who} as it was");
            let one = step("restore", summary.clone(), Class::Set, put(good));
            (summary, one, is("/PolicyDocument", good.clone()))
        }
        None => {
            let summary = format!("remove the inline policy {name} from {who}");
            let call = principal.call(&asked, "iam.Delete{}Policy", named);
            let one = Step {
                done_codes: codes(&["NoSuchEntity"]),
                ..step("remove", summary.clone(), Class::Remove, call)
            };
            (summary, one, refused(&["NoSuchEntity"]))
        }
    };
    Ok(Drafted::Draft(Draft {
        summary,
        diff: vec![change(
            format!("inline policy {name}"),
            current.clone(),
            good.unwrap_or_default(),
        )],
        preconditions: vec![check(&get, vec![is("/PolicyDocument", current)])],
        steps: vec![Step {
            inverse: vec![back],
            ..one
        }],
        verify: vec![check(&get, vec![wanted])],
    }))
}
