//! Keys: keeping one from deletion, and enabling it. A key that is kept from deletion comes back disabled, so both are done.

use super::building::{change, check, codes, is, step};
use super::naming::{self, Arn};
use super::reading::{look, text};
use super::recipe::{About, Asked, Context, Draft, Drafted, Kind, Recipe, nothing, required};
use super::{PlanFault, Reads};
use crate::plan::{Class, Risk, Step};
use serde_json::{Map, Value, json};

const KMS: &str = "kms.amazonaws.com";

pub(super) const RESTORE: Recipe = Recipe {
    name: "aws.kms.restore_key",
    about: "Keeps a key from deletion and enables it, so that what is encrypted with it can be read.",
    risk: Risk::Low,
    kind: "aws.kms.key",
    is_containment: false,
    is_rolled_back: false,
    triggers: &[(KMS, "ScheduleKeyDeletion"), (KMS, "DisableKey")],
    makes: &[
        (KMS, "CancelKeyDeletion"),
        (KMS, "EnableKey"),
        (KMS, "ScheduleKeyDeletion"),
        (KMS, "DisableKey"),
    ],
    operations: &[
        "kms.CancelKeyDeletion",
        "kms.DescribeKey",
        "kms.DisableKey",
        "kms.EnableKey",
        "kms.ScheduleKeyDeletion",
    ],
    parameters: &[required("key_id", Kind::Text, "the key's id or ARN")],
    from_event: |event| {
        let key = ["/requestParameters/keyId", "/responseElements/keyId"];
        let key = event.needs("which key", &key)?;
        let mut parameters = Map::new();
        parameters.insert("key_id".to_owned(), json!(key));
        Ok(parameters)
    },
    subject: |asked| Ok(About::regional(key(asked)?.1, json!("unusable"))),
    plan,
};

/// A key's id and ARN.
fn key<'a>(asked: &Asked<'a>) -> Result<(&'a str, String), PlanFault> {
    let text = asked.text("key_id")?;
    let id = match Arn::of(text) {
        Some(arn) => {
            naming::arn(text, "kms")?;
            if arn.account != asked.account || arn.region != asked.region {
                let why = format!("{text} is of another account or region");
                return Err(PlanFault::Refused(why));
            }
            arn.rest.strip_prefix("key/").unwrap_or_default()
        }
        None => text,
    };
    // Ids of keys in several regions begin with `mrk-`; all are digits, letters and dashes.
    let id = naming::region(id)
        .map_err(|_| PlanFault::Refused(format!("{} is no key", naming::shown(text))))?;
    Ok((id, asked.arn("kms", &format!("key/{id}"))))
}

fn plan(context: &Context<'_>, reads: &mut dyn Reads) -> Result<Drafted, PlanFault> {
    let asked = context.asked()?;
    let (id, _) = key(&asked)?;
    let call = |operation, more: Value| {
        let mut parameters = json!({"KeyId": id});
        if let (Some(parameters), Value::Object(more)) = (parameters.as_object_mut(), more) {
            parameters.extend(more);
        }
        asked.call(operation, parameters)
    };
    let question = call("kms.DescribeKey", json!({}));
    let Some(answer) = look(reads, &question, &["NotFoundException"])? else {
        return nothing("the key is gone");
    };
    let pointer = "/KeyMetadata/KeyState";
    let state = text(&answer, pointer);
    let mut steps = Vec::new();
    match state {
        "Enabled" => return nothing("the key is enabled"),
        "PendingDeletion" | "PendingReplicaDeletion" => {
            let back = step(
                "schedule",
                format!("have the key {id} deleted again, in 30 days"),
                Class::Set,
                call(
                    "kms.ScheduleKeyDeletion",
                    json!({"PendingWindowInDays": 30}),
                ),
            );
            steps.push(Step {
                done_codes: codes(&["KMSInvalidStateException"]),
                inverse: vec![back],
                ..step(
                    "cancel",
                    format!("keep the key {id} from deletion"),
                    Class::Set,
                    call("kms.CancelKeyDeletion", json!({})),
                )
            });
        }
        "Disabled" => {}
        other => {
            let why = format!("the key {id} is {}", naming::shown(other));
            return Err(PlanFault::Refused(why));
        }
    }
    let back = step(
        "disable",
        format!("disable the key {id} again"),
        Class::Set,
        call("kms.DisableKey", json!({})),
    );
    steps.push(Step {
        inverse: vec![back],
        ..step(
            "enable",
            format!("enable the key {id}"),
            Class::Set,
            call("kms.EnableKey", json!({})),
        )
    });
    Ok(Drafted::Draft(Draft {
        summary: match state {
            "Disabled" => format!("enable the key {id}"),
            _ => format!("keep the key {id} from deletion, and enable it"),
        },
        diff: vec![change("state", state, "Enabled")],
        preconditions: vec![check(&question, vec![is(pointer, state)])],
        steps,
        verify: vec![check(&question, vec![is(pointer, "Enabled")])],
    }))
}
