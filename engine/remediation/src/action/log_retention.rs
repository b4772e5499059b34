//! Log groups: keeping logs as long again as before an event.

use super::building::{change, check, has, step};
use super::naming;
use super::reading::{find, list, look};
use super::recipe::{
    About, Asked, Context, Draft, Drafted, Kind, Recipe, nothing, optional, required,
};
use super::{PlanFault, Reads};
use crate::plan::{Class, Risk, Step};
use serde_json::{Map, Value, json};

const LOGS: &str = "logs.amazonaws.com";

pub(super) const RESTORE: Recipe = Recipe {
    name: "aws.logs.restore_retention",
    about: "Has a log group keep its logs as long again as before the event.",
    risk: Risk::Low,
    kind: "aws.logs.group",
    is_containment: false,
    is_rolled_back: true,
    triggers: &[(LOGS, "PutRetentionPolicy")],
    makes: &[
        (LOGS, "PutRetentionPolicy"),
        (LOGS, "DeleteRetentionPolicy"),
    ],
    operations: &[
        "logs.DeleteRetentionPolicy",
        "logs.DescribeLogGroups",
        "logs.PutRetentionPolicy",
    ],
    parameters: &[
        required("log_group", Kind::Text, "the log group"),
        optional(
            "days",
            Kind::Json,
            "how long the event has logs be kept: another time by now is left alone",
        ),
    ],
    from_event: |event| {
        let group = event.needs("which log group", &["/requestParameters/logGroupName"])?;
        let mut parameters = Map::new();
        parameters.insert("log_group".to_owned(), json!(group));
        if let Some(days) = event.at("/requestParameters/retentionInDays") {
            parameters.insert("days".to_owned(), days.clone());
        }
        Ok(parameters)
    },
    subject: |asked| {
        let bad = json!({"days": asked.json("days")});
        Ok(About::regional(arn(asked)?, bad))
    },
    plan,
};

fn arn(asked: &Asked<'_>) -> Result<String, PlanFault> {
    let group = naming::plain_name(asked.text("log_group")?)?;
    Ok(asked.arn("logs", &format!("log-group:{group}")))
}

fn plan(context: &Context<'_>, reads: &mut dyn Reads) -> Result<Drafted, PlanFault> {
    let asked = context.asked()?;
    let group = asked.text("log_group")?;
    let question = json!({"logGroupNamePrefix": group});
    let question = asked.call("logs.DescribeLogGroups", question);
    let answer = look(reads, &question, &["ResourceNotFoundException"])?.unwrap_or_default();
    let Some(found) = find(list(&answer, "/logGroups"), "logGroupName", group) else {
        return nothing("the log group is gone");
    };
    let before = found.get("retentionInDays").cloned().unwrap_or_default();
    if asked.json("days").is_some_and(|days| *days != before) {
        return nothing("how long logs are kept was changed since the event");
    }
    let arn = arn(&asked)?;
    let good = context.known(&arn, "retention")?;
    // Longer is never worse: a time that was longer already is not what is answered.
    let days = |value: &Value| match value.is_null() {
        true => u64::MAX,
        false => value.as_u64().unwrap_or_default(),
    };
    if days(&good) <= days(&before) {
        return nothing("logs are kept no shorter than before the event");
    }
    let set = |days: &Value| match days.is_null() {
        true => asked.call("logs.DeleteRetentionPolicy", json!({"logGroupName": group})),
        false => {
            let parameters = json!({"logGroupName": group, "retentionInDays": days});
            asked.call("logs.PutRetentionPolicy", parameters)
        }
    };
    let words = |days: &Value| match days.as_u64() {
        Some(days) => format!("{days} days"),
        None => "ever".to_owned(),
    };
    let back = step(
        "undo",
        format!("have {group} keep its logs for {} again", words(&before)),
        Class::Set,
        set(&before),
    );
    let summary = format!("have {group} keep its logs for {}", words(&good));
    let one = Step {
        inverse: vec![back],
        ..step("restore", summary.clone(), Class::Set, set(&good))
    };
    let state = |days: &Value| {
        let group = json!({"logGroupName": group, "retentionInDays": days});
        has("/logGroups", group)
    };
    Ok(Drafted::Draft(Draft {
        summary,
        diff: vec![change("days", before.clone(), good.clone())],
        preconditions: vec![check(&question, vec![state(&before)])],
        steps: vec![one],
        verify: vec![check(&question, vec![state(&good)])],
    }))
}
