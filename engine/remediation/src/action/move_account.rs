//! Accounts: moving one to a unit whose policies let nothing be done. Nothing else here can do as much harm.

use super::building::{change, check, codes, has, step};
use super::naming;
use super::reading::{lacks, look, text};
use super::recipe::{About, Asked, Context, Draft, Drafted, Kind, Recipe, nothing, required};
use super::{PlanFault, Reads};
use crate::plan::{Call, Class, Risk, Step};
use serde_json::{Map, Value, json};

const ORGANIZATIONS: &str = "organizations.amazonaws.com";

pub(super) const MOVE: Recipe = Recipe {
    name: "aws.organizations.move_account",
    about: "Moves an account to a quarantine unit of its organization.",
    risk: Risk::High,
    kind: "aws.account",
    is_containment: true,
    is_rolled_back: false,
    triggers: &[],
    makes: &[(ORGANIZATIONS, "MoveAccount")],
    operations: &["organizations.ListParents", "organizations.MoveAccount"],
    parameters: &[
        required("account_id", Kind::Text, "the account"),
        required(
            "quarantine_unit",
            Kind::Text,
            "the unit, as ou-ab12-11111111",
        ),
        required(
            "management_account",
            Kind::Text,
            "the account that manages the organization: only it may move others",
        ),
    ],
    from_event: |event| {
        let account = ["/recipientAccountId", "/userIdentity/accountId", "/account"];
        let mut parameters = Map::new();
        if let Some(account) = event.first(&account) {
            parameters.insert("account_id".to_owned(), json!(account));
        }
        Ok(parameters)
    },
    subject: |asked| {
        let account = naming::account(asked.text("account_id")?)?;
        let partition = naming::partition(asked.region);
        let arn = naming::account_arn(partition, account);
        Ok(About::global(arn, json!("free")))
    },
    plan,
};

fn call(asked: &Asked<'_>, operation: &str, parameters: Value) -> Result<Call, PlanFault> {
    let mut call = asked.global(operation, parameters);
    call.account = naming::account(asked.text("management_account")?)?.to_owned();
    Ok(call)
}

fn plan(context: &Context<'_>, reads: &mut dyn Reads) -> Result<Drafted, PlanFault> {
    let asked = context.asked()?;
    let account = naming::account(asked.text("account_id")?)?;
    let unit = asked.text("quarantine_unit")?;
    let is_unit = naming::region(unit).is_ok() && unit.starts_with("ou-");
    if !is_unit {
        let why = format!("{} is no unit", naming::shown(unit));
        return Err(PlanFault::Refused(why));
    }
    if asked.text("management_account")? == account {
        let why = "the management account cannot be moved";
        return Err(PlanFault::Refused(why.to_owned()));
    }
    let child = json!({"ChildId": account});
    let question = call(&asked, "organizations.ListParents", child)?;
    let gone = ["ChildNotFoundException", "AccountNotFoundException"];
    let Some(answer) = look(reads, &question, &gone)? else {
        return nothing("the account is not in the organization");
    };
    let parent = text(&answer, "/Parents/0/Id");
    if parent.is_empty() {
        return Err(lacks(&question, "Parents"));
    }
    if parent == unit {
        return nothing("the account is in the quarantine unit already");
    }
    let to = |from: &str, to: &str| {
        let parameters = json!({
            "AccountId": account,
            "SourceParentId": from,
            "DestinationParentId": to,
        });
        call(&asked, "organizations.MoveAccount", parameters)
    };
    // Where it is already, the service says that it is there twice.
    let done = codes(&["DuplicateAccountException"]);
    let back = Step {
        done_codes: done.clone(),
        ..step(
            "back",
            format!("move the account {account} back to {parent}"),
            Class::Set,
            to(unit, parent)?,
        )
    };
    let summary = format!("move the account {account} from {parent} to the quarantine unit {unit}");
    let one = Step {
        done_codes: done,
        inverse: vec![back],
        ..step("move", summary.clone(), Class::Set, to(parent, unit)?)
    };
    let state = |parent: &str| check(&question, vec![has("/Parents", json!({"Id": parent}))]);
    Ok(Drafted::Draft(Draft {
        summary,
        diff: vec![change("parent", parent, unit)],
        preconditions: vec![state(parent)],
        steps: vec![one],
        verify: vec![state(unit)],
    }))
}
