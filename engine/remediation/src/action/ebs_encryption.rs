//! Volumes: encrypting new ones by default, in an account and region.

use super::building::{change, check, is, step};
use super::reading::{lacks, look};
use super::recipe::{About, Context, Draft, Drafted, Recipe, nothing};
use super::{PlanFault, Reads};
use crate::plan::{Class, Risk, Step};
use serde_json::{Map, Value, json};

const EC2: &str = "ec2.amazonaws.com";
const POINTER: &str = "/EbsEncryptionByDefault";

pub(super) const ENABLE: Recipe = Recipe {
    name: "aws.ec2.enable_ebs_encryption",
    about: "Has new volumes of an account and region be encrypted by default.",
    risk: Risk::Low,
    kind: "aws.account",
    is_containment: false,
    is_rolled_back: false,
    triggers: &[(EC2, "DisableEbsEncryptionByDefault")],
    makes: &[
        (EC2, "EnableEbsEncryptionByDefault"),
        (EC2, "DisableEbsEncryptionByDefault"),
    ],
    operations: &[
        "ec2.DisableEbsEncryptionByDefault",
        "ec2.EnableEbsEncryptionByDefault",
        "ec2.GetEbsEncryptionByDefault",
    ],
    parameters: &[],
    from_event: |_| Ok(Map::new()),
    subject: |asked| {
        let bad = json!({"encryption off in": asked.region});
        Ok(About::regional(asked.account_arn(), bad))
    },
    plan,
};

fn plan(context: &Context<'_>, reads: &mut dyn Reads) -> Result<Drafted, PlanFault> {
    let asked = context.asked()?;
    let question = asked.call("ec2.GetEbsEncryptionByDefault", json!({}));
    let answer = look(reads, &question, &[])?.unwrap_or_default();
    match answer.pointer(POINTER).and_then(Value::as_bool) {
        Some(true) => return nothing("new volumes are encrypted"),
        Some(false) => {}
        None => return Err(lacks(&question, "EbsEncryptionByDefault")),
    }
    let back = step(
        "disable",
        format!(
            "no longer encrypt new volumes in {} by default",
            asked.region
        ),
        Class::Set,
        asked.call("ec2.DisableEbsEncryptionByDefault", json!({})),
    );
    let summary = format!("encrypt new volumes in {} by default", asked.region);
    let one = Step {
        inverse: vec![back],
        ..step(
            "enable",
            summary.clone(),
            Class::Set,
            asked.call("ec2.EnableEbsEncryptionByDefault", json!({})),
        )
    };
    Ok(Drafted::Draft(Draft {
        summary,
        diff: vec![change("encryption by default", false, true)],
        preconditions: vec![check(&question, vec![is(POINTER, false)])],
        steps: vec![one],
        verify: vec![check(&question, vec![is(POINTER, true)])],
    }))
}
