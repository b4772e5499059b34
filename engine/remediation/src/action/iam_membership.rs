//! Groups: taking a user from one.

use super::building::{change, check, codes, has, has_not, step};
use super::reading::{find, list, look};
use super::recipe::{About, Context, Draft, Drafted, Kind, Recipe, nothing, required};
use super::{PlanFault, Reads};
use crate::plan::{Class, Risk, Step};
use serde_json::{Map, Value, json};

const IAM: &str = "iam.amazonaws.com";

pub(super) const REMOVE: Recipe = Recipe {
    name: "aws.iam.remove_user_from_group",
    about: "Takes a user from a group.",
    risk: Risk::Medium,
    kind: "aws.iam.user",
    is_containment: true,
    is_rolled_back: false,
    triggers: &[(IAM, "AddUserToGroup")],
    makes: &[(IAM, "RemoveUserFromGroup"), (IAM, "AddUserToGroup")],
    operations: &[
        "iam.AddUserToGroup",
        "iam.ListGroupsForUser",
        "iam.RemoveUserFromGroup",
    ],
    parameters: &[
        required("user_name", Kind::Text, "the user"),
        required("group_name", Kind::Text, "the group"),
    ],
    from_event: |event| {
        let user = event.needs("which user", &["/requestParameters/userName"])?;
        let group = event.needs("which group", &["/requestParameters/groupName"])?;
        let mut parameters = Map::new();
        parameters.insert("user_name".to_owned(), json!(user));
        parameters.insert("group_name".to_owned(), json!(group));
        Ok(parameters)
    },
    subject: |asked| {
        let user = asked.iam_name("user_name")?;
        let group = asked.iam_name("group_name")?;
        let arn = asked.iam_arn("user", user);
        Ok(About::global(arn, json!({"member_of": group})))
    },
    plan,
};

fn plan(context: &Context<'_>, reads: &mut dyn Reads) -> Result<Drafted, PlanFault> {
    let asked = context.asked()?;
    let (user, group) = (asked.text("user_name")?, asked.text("group_name")?);
    let question = asked.global("iam.ListGroupsForUser", json!({"UserName": user}));
    let Some(answer) = look(reads, &question, &["NoSuchEntity"])? else {
        return nothing("the user is gone");
    };
    if find(list(&answer, "/Groups"), "GroupName", group).is_none() {
        return nothing("the user is not in the group");
    }
    let both = json!({"UserName": user, "GroupName": group});
    let back = step(
        "add",
        format!("add {user} to the group {group} again"),
        Class::Set,
        asked.global("iam.AddUserToGroup", both.clone()),
    );
    let summary = format!("take the user {user} from the group {group}");
    let one = Step {
        done_codes: codes(&["NoSuchEntity"]),
        inverse: vec![back],
        ..step(
            "remove",
            summary.clone(),
            Class::Remove,
            asked.global("iam.RemoveUserFromGroup", both),
        )
    };
    let member = json!({"GroupName": group});
    Ok(Drafted::Draft(Draft {
        summary,
        diff: vec![change(format!("groups of {user}"), group, Value::Null)],
        preconditions: vec![check(&question, vec![has("/Groups", member.clone())])],
        steps: vec![one],
        verify: vec![check(&question, vec![has_not("/Groups", member)])],
    }))
}
