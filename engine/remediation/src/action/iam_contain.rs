//! Containing who did something: denying a principal everything, or only the sessions of a role from before the event.
//!
//! Both add an inline policy, which no other policy can outweigh. Denying sessions leaves a role to the workloads that get new
//! ones; it does not keep the same person from getting a new one as well, so it goes with taking away how they got it.

use super::building::{change, check, codes, is, refused, step};
use super::document::deny_everything;
use super::events::Doer;
use super::principal::{self, Principal};
use super::reading::{list, look, text};
use super::recipe::{About, Context, Draft, Drafted, Kind, Recipe, nothing, required};
use super::{PlanFault, Reads};
use crate::plan::{Class, Risk, Step};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

const IAM: &str = "iam.amazonaws.com";
const MINE: &str = "contain-";
const OLDER_SESSIONS: &str = "AWSRevokeOlderSessions";

pub(super) const DENY_ALL: Recipe = Recipe {
    name: "aws.iam.deny_all",
    about: "Denies a user or role everything, by an inline policy.",
    risk: Risk::High,
    kind: "aws.iam.principal",
    is_containment: true,
    is_rolled_back: false,
    triggers: &[],
    makes: &[
        (IAM, "PutUserPolicy"),
        (IAM, "PutRolePolicy"),
        (IAM, "DeleteUserPolicy"),
        (IAM, "DeleteRolePolicy"),
    ],
    operations: &[
        "iam.DeleteRolePolicy",
        "iam.DeleteUserPolicy",
        "iam.GetRolePolicy",
        "iam.GetUserPolicy",
        "iam.ListRolePolicies",
        "iam.ListUserPolicies",
        "iam.PutRolePolicy",
        "iam.PutUserPolicy",
    ],
    parameters: &[principal::KIND, principal::NAME],
    from_event: |event| Ok(principal::doing(event)),
    subject: |asked| {
        let principal = Principal::of(asked)?;
        if principal.kind == "group" {
            let why = "a group is not denied everything: its members are";
            return Err(PlanFault::Refused(why.to_owned()));
        }
        Ok(About::global(principal.arn(asked), json!("free")))
    },
    plan: deny_all,
};

fn deny_all(context: &Context<'_>, reads: &mut dyn Reads) -> Result<Drafted, PlanFault> {
    let asked = context.asked()?;
    let principal = Principal::of(&asked)?;
    let who = principal.shown();
    let document = deny_everything();
    let all = principal.call(&asked, "iam.List{}Policies", []);
    let Some(answer) = look(reads, &all, &["NoSuchEntity"])? else {
        return nothing(format!("the {} is gone", principal.kind));
    };
    // What an earlier action put there counts as well, when it still says what it said.
    for name in list(&answer, "/PolicyNames") {
        let name = name.as_str().unwrap_or_default();
        if name.starts_with(MINE) {
            let get = principal.call(&asked, "iam.Get{}Policy", [("PolicyName", json!(name))]);
            let found = look(reads, &get, &["NoSuchEntity"])?;
            if found.and_then(|found| found.get("PolicyDocument").cloned())
                == Some(document.clone())
            {
                return nothing(format!("{who} is denied everything already"));
            }
        }
    }
    let name = format!("{MINE}{}", context.action_id);
    let named = [("PolicyName", json!(name))];
    let get = principal.call(&asked, "iam.Get{}Policy", named.clone());
    let back = Step {
        done_codes: codes(&["NoSuchEntity"]),
        ..step(
            "allow",
            format!("no longer deny {who} everything"),
            Class::Remove,
            principal.call(&asked, "iam.Delete{}Policy", named),
        )
    };
    let put = [
        ("PolicyName", json!(name)),
        ("PolicyDocument", document.clone()),
    ];
    let summary = format!("deny {who} everything");
    let one = Step {
        inverse: vec![back],
        ..step(
            "deny",
            summary.clone(),
            Class::Set,
            principal.call(&asked, "iam.Put{}Policy", put),
        )
    };
    Ok(Drafted::Draft(Draft {
        summary,
        diff: vec![change(
            format!("inline policy {name}"),
            Value::Null,
            document.clone(),
        )],
        preconditions: vec![check(&get, vec![refused(&["NoSuchEntity"])])],
        steps: vec![one],
        verify: vec![check(&get, vec![is("/PolicyDocument", document)])],
    }))
}

pub(super) const REVOKE_SESSIONS: Recipe = Recipe {
    name: "aws.iam.revoke_sessions",
    about: "Denies everything to sessions of a role that are older than the event. All that use the role need new ones.",
    risk: Risk::Medium,
    kind: "aws.iam.role",
    is_containment: true,
    is_rolled_back: false,
    triggers: &[],
    makes: &[(IAM, "PutRolePolicy"), (IAM, "DeleteRolePolicy")],
    operations: &[
        "iam.DeleteRolePolicy",
        "iam.GetRolePolicy",
        "iam.ListRolePolicies",
        "iam.PutRolePolicy",
    ],
    parameters: &[required("role_name", Kind::Text, "the role")],
    from_event: |event| {
        let mut parameters = Map::new();
        if let (Some(Doer::Role(name)), false) = (event.doer(), event.is_by_role_of_aws()) {
            parameters.insert("role_name".to_owned(), json!(name));
        }
        Ok(parameters)
    },
    subject: |asked| {
        let role = asked.iam_name("role_name")?;
        Ok(About::global(
            asked.iam_arn("role", role),
            json!("sessions"),
        ))
    },
    plan: revoke_sessions,
};

fn revoke_sessions(context: &Context<'_>, reads: &mut dyn Reads) -> Result<Drafted, PlanFault> {
    let asked = context.asked()?;
    let role = asked.text("role_name")?;
    let odd = |_| PlanFault::Lacks("when it happened".to_owned());
    let cutoff = Timestamp::from_microsecond(context.event_time).map_err(odd)?;
    // Tokens know seconds. A part of one counts as a whole, so that no older session is left.
    let whole = cutoff.as_second() + i64::from(cutoff.subsec_nanosecond() > 0);
    let cutoff = Timestamp::from_second(whole).map_err(odd)?;
    let document = json!({
        "Version": "2012-10-17",
        "Statement": [{
            "Effect": "Deny",
            "Action": ["*"],
            "Resource": ["*"],
            "Condition": {"DateLessThan": {"aws:TokenIssueTime": cutoff.to_string()}},
        }],
    });
    let named = json!({"RoleName": role, "PolicyName": OLDER_SESSIONS});
    let all = asked.global("iam.ListRolePolicies", json!({"RoleName": role}));
    let Some(_) = look(reads, &all, &["NoSuchEntity"])? else {
        return nothing("the role is gone");
    };
    let get = asked.global("iam.GetRolePolicy", named.clone());
    let before = look(reads, &get, &["NoSuchEntity"])?;
    let before = before.map(|found| found["PolicyDocument"].clone());
    let pointer = "/Statement/0/Condition/DateLessThan/aws:TokenIssueTime";
    let older = before.as_ref().map(|before| text(before, pointer));
    let older = older.and_then(|text| text.parse::<Timestamp>().ok());
    if older.is_some_and(|older| older >= cutoff) {
        return nothing("sessions from before the event are denied already");
    }
    let put = |document: &Value| {
        let parameters = json!({
            "RoleName": role,
            "PolicyName": OLDER_SESSIONS,
            "PolicyDocument": document,
        });
        asked.global("iam.PutRolePolicy", parameters)
    };
    let back = match &before {
        Some(before) => step(
            "restore",
            format!("deny sessions of {role} as before"),
            Class::Set,
            put(before),
        ),
        None => Step {
            done_codes: codes(&["NoSuchEntity"]),
            ..step(
                "restore",
                format!("no longer deny older sessions of {role}"),
                Class::Remove,
                asked.global("iam.DeleteRolePolicy", named),
            )
        },
    };
    let summary = format!("deny everything to sessions of the role {role} from before {cutoff}");
    let one = Step {
        inverse: vec![back],
        ..step("revoke", summary.clone(), Class::Set, put(&document))
    };
    let held = match &before {
        Some(before) => is("/PolicyDocument", before.clone()),
        None => refused(&["NoSuchEntity"]),
    };
    Ok(Drafted::Draft(Draft {
        summary,
        diff: vec![change(
            format!("inline policy {OLDER_SESSIONS}"),
            before.unwrap_or_default(),
            document.clone(),
        )],
        preconditions: vec![check(&get, vec![held])],
        steps: vec![one],
        verify: vec![check(&get, vec![is("/PolicyDocument", document)])],
    }))
}
