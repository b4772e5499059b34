//! Documents of Systems Manager: no longer sharing one with those with whom an event shared it.

use super::building::{change, check, codes, has, has_not, step};
use super::naming;
use super::reading::{list, look};
use super::recipe::{About, Asked, Context, Draft, Drafted, Kind, Recipe, nothing, required};
use super::{PlanFault, Reads};
use crate::plan::{Class, Risk, Step};
use serde_json::{Map, Value, json};

const SSM: &str = "ssm.amazonaws.com";

pub(super) const UNSHARE: Recipe = Recipe {
    name: "aws.ssm.unshare_document",
    about: "No longer shares an SSM document with those with whom the event shared it.",
    risk: Risk::Low,
    kind: "aws.ssm.document",
    is_containment: true,
    is_rolled_back: false,
    triggers: &[(SSM, "ModifyDocumentPermission")],
    makes: &[(SSM, "ModifyDocumentPermission")],
    operations: &[
        "ssm.DescribeDocumentPermission",
        "ssm.ModifyDocumentPermission",
    ],
    parameters: &[
        required("document", Kind::Text, "the document"),
        required("shared_with", Kind::Texts, "accounts, or \"all\""),
    ],
    from_event: |event| {
        let document = event.needs("which document", &["/requestParameters/name"])?;
        let added = event.list("/requestParameters/accountIdsToAdd")?;
        let added: Vec<_> = added.into_iter().filter_map(Value::as_str).collect();
        if added.is_empty() {
            let why = "the event shares nothing with anybody";
            return Err(PlanFault::Refused(why.to_owned()));
        }
        let mut parameters = Map::new();
        parameters.insert("document".to_owned(), json!(document));
        parameters.insert("shared_with".to_owned(), json!(added));
        Ok(parameters)
    },
    subject: |asked| {
        let document = naming::plain_name(asked.text("document")?)?;
        let arn = asked.arn("ssm", &format!("document/{document}"));
        Ok(About::regional(arn, json!({"shared_with": whom(asked)?})))
    },
    plan,
};

fn whom<'a>(asked: &Asked<'a>) -> Result<Vec<&'a str>, PlanFault> {
    let all = asked.texts("shared_with");
    if all.is_empty() {
        return Err(PlanFault::Lacks("shared_with".to_owned()));
    }
    for &one in &all {
        if !one.eq_ignore_ascii_case("all") {
            naming::account(one)?;
        }
    }
    Ok(all)
}

fn plan(context: &Context<'_>, reads: &mut dyn Reads) -> Result<Drafted, PlanFault> {
    let asked = context.asked()?;
    let document = asked.text("document")?;
    let share = json!({"Name": document, "PermissionType": "Share"});
    let question = asked.call("ssm.DescribeDocumentPermission", share);
    let Some(answer) = look(reads, &question, &["InvalidDocument"])? else {
        return nothing("the document is gone");
    };
    let pointer = "/AccountIds";
    let mut shared = whom(&asked)?;
    shared.retain(|&one| list(&answer, pointer).contains(&json!(one)));
    if shared.is_empty() {
        return nothing("the document is not shared with them");
    }
    let modify = |member: &str| {
        let mut parameters = Map::new();
        parameters.insert("Name".to_owned(), json!(document));
        parameters.insert("PermissionType".to_owned(), json!("Share"));
        parameters.insert(member.to_owned(), json!(shared));
        asked.call("ssm.ModifyDocumentPermission", Value::Object(parameters))
    };
    let with = shared.join(", ");
    let back = step(
        "share",
        format!("share the document {document} with {with} again"),
        Class::Set,
        modify("AccountIdsToAdd"),
    );
    let summary = format!("no longer share the document {document} with {with}");
    let one = Step {
        done_codes: codes(&["InvalidDocument"]),
        inverse: vec![back],
        ..step(
            "unshare",
            summary.clone(),
            Class::Set,
            modify("AccountIdsToRemove"),
        )
    };
    let held = shared.iter().map(|&one| has(pointer, one));
    let gone = shared.iter().map(|&one| has_not(pointer, one));
    Ok(Drafted::Draft(Draft {
        summary,
        diff: vec![change("shared with", json!(shared), json!([]))],
        preconditions: vec![check(&question, held.collect())],
        steps: vec![one],
        verify: vec![check(&question, gone.collect())],
    }))
}
