//! Secrets: keeping one from deletion.

use super::building::{change, check, codes, is, step};
use super::naming::{self, Arn};
use super::reading::look;
use super::recipe::{About, Asked, Context, Draft, Drafted, Kind, Recipe, nothing, required};
use super::{PlanFault, Reads};
use crate::plan::{Class, Risk, Step};
use serde_json::{Map, Value, json};

const SECRETS: &str = "secretsmanager.amazonaws.com";

pub(super) const RESTORE: Recipe = Recipe {
    name: "aws.secretsmanager.restore_secret",
    about: "Keeps a secret from deletion.",
    risk: Risk::Low,
    kind: "aws.secretsmanager.secret",
    is_containment: false,
    is_rolled_back: false,
    triggers: &[(SECRETS, "DeleteSecret")],
    makes: &[(SECRETS, "RestoreSecret"), (SECRETS, "DeleteSecret")],
    operations: &[
        "secretsmanager.DeleteSecret",
        "secretsmanager.DescribeSecret",
        "secretsmanager.RestoreSecret",
    ],
    parameters: &[required("secret", Kind::Text, "the secret's ARN or name")],
    from_event: |event| {
        if event.flag("/requestParameters/forceDeleteWithoutRecovery") == Some(true) {
            let why = "the secret was deleted for good";
            return Err(PlanFault::Refused(why.to_owned()));
        }
        let secret = [
            "/responseElements/aRN",
            "/responseElements/arn",
            "/requestParameters/secretId",
        ];
        let secret = event.needs("which secret", &secret)?;
        let mut parameters = Map::new();
        parameters.insert("secret".to_owned(), json!(secret));
        Ok(parameters)
    },
    subject: |asked| Ok(About::regional(arn(asked)?, json!("going"))),
    plan,
};

fn arn(asked: &Asked<'_>) -> Result<String, PlanFault> {
    let text = asked.text("secret")?;
    match Arn::of(text) {
        Some(arn) if arn.account != asked.account || arn.region != asked.region => {
            let why = format!("{text} is of another account or region");
            Err(PlanFault::Refused(why))
        }
        Some(_) => naming::arn(text, "secretsmanager").map(str::to_owned),
        None => {
            let name = naming::plain_name(text)?;
            Ok(asked.arn("secretsmanager", &format!("secret:{name}")))
        }
    }
}

fn plan(context: &Context<'_>, reads: &mut dyn Reads) -> Result<Drafted, PlanFault> {
    let asked = context.asked()?;
    let secret = asked.text("secret")?;
    let named = json!({"SecretId": secret});
    let question = asked.call("secretsmanager.DescribeSecret", named.clone());
    let Some(answer) = look(reads, &question, &["ResourceNotFoundException"])? else {
        return nothing("the secret is gone");
    };
    let pointer = "/DeletedDate";
    let date = answer.pointer(pointer).cloned().unwrap_or_default();
    if date.is_null() {
        return nothing("the secret is not being deleted");
    }
    let back = json!({"SecretId": secret, "RecoveryWindowInDays": 30});
    let back = Step {
        // It says so of a secret that is being deleted already.
        done_codes: codes(&["InvalidRequestException"]),
        ..step(
            "delete",
            format!("have the secret {secret} deleted again, in 30 days"),
            Class::Set,
            asked.call("secretsmanager.DeleteSecret", back),
        )
    };
    let summary = format!("keep the secret {secret} from deletion");
    let one = Step {
        inverse: vec![back],
        ..step(
            "restore",
            summary.clone(),
            Class::Set,
            asked.call("secretsmanager.RestoreSecret", named),
        )
    };
    Ok(Drafted::Draft(Draft {
        summary,
        diff: vec![change("deleted on", date.clone(), Value::Null)],
        preconditions: vec![check(&question, vec![is(pointer, date)])],
        steps: vec![one],
        verify: vec![check(&question, vec![is(pointer, Value::Null)])],
    }))
}
