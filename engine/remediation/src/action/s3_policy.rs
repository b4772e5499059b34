//! Policies of buckets: removing the statements that let everybody in, and only those.

use super::building::{change, check, codes, is, refused, step};
use super::document::{is_public, parse, statements, with_statements};
use super::events::Event;
use super::reading::{lacks, look};
use super::recipe::{About, Context, Draft, Drafted, Kind, Recipe, nothing, optional, required};
use super::{PlanFault, Reads, naming};
use crate::plan::{Class, Risk, Step};
use serde_json::{Map, Value, json};

const S3: &str = "s3.amazonaws.com";
const NONE: &[&str] = &["NoSuchBucketPolicy"];
const GONE: &[&str] = &["NoSuchBucketPolicy", "NoSuchBucket"];

pub(super) const REMOVE: Recipe = Recipe {
    name: "aws.s3.remove_public_statements",
    about: "Removes the statements that let everybody in from a bucket's policy, and leaves the others.",
    risk: Risk::Medium,
    kind: "aws.s3.bucket",
    is_containment: true,
    is_rolled_back: false,
    triggers: &[(S3, "PutBucketPolicy")],
    makes: &[(S3, "PutBucketPolicy"), (S3, "DeleteBucketPolicy")],
    operations: &[
        "s3.DeleteBucketPolicy",
        "s3.GetBucketPolicy",
        "s3.PutBucketPolicy",
    ],
    parameters: &[
        required("bucket", Kind::Text, "the bucket"),
        optional(
            "statements",
            Kind::Json,
            "the offending statements; all public ones when it is not given",
        ),
    ],
    from_event,
    subject: |asked| {
        let bucket = naming::bucket(asked.text("bucket")?)?;
        let bad = json!({"statements": asked.json("statements")});
        Ok(About::regional(asked.bucket_arn(bucket), bad))
    },
    plan,
};

fn from_event(event: &Event<'_>) -> Result<Map<String, Value>, PlanFault> {
    let bucket = event.needs("which bucket", &["/requestParameters/bucketName"])?;
    let policy = event.at("/requestParameters/bucketPolicy").and_then(parse);
    let policy = policy.ok_or_else(|| PlanFault::Lacks("the policy".to_owned()))?;
    let mut open = statements(&policy);
    open.retain(|statement| is_public(statement));
    if open.is_empty() {
        let why = "the policy has no public statement";
        return Err(PlanFault::Refused(why.to_owned()));
    }
    let mut parameters = Map::new();
    parameters.insert("bucket".to_owned(), json!(bucket));
    parameters.insert("statements".to_owned(), json!(open));
    Ok(parameters)
}

fn plan(context: &Context<'_>, reads: &mut dyn Reads) -> Result<Drafted, PlanFault> {
    let asked = context.asked()?;
    let bucket = asked.text("bucket")?;
    let question = asked.call("s3.GetBucketPolicy", json!({"Bucket": bucket}));
    let Some(answer) = look(reads, &question, GONE)? else {
        return nothing("the bucket has no policy");
    };
    let policy = answer.get("Policy").and_then(parse);
    let policy = policy.ok_or_else(|| lacks(&question, "Policy"))?;
    let offending = asked.list("statements");
    // A statement that was public before the event is somebody's choice, and not what is answered.
    let is_bad = |statement: &&Value| {
        is_public(statement) && (offending.is_empty() || offending.contains(statement))
    };
    let (bad, kept): (Vec<&Value>, Vec<&Value>) = statements(&policy).into_iter().partition(is_bad);
    if bad.is_empty() {
        return nothing("the policy has none of the public statements");
    }
    let put = |policy: &Value| {
        let parameters = json!({"Bucket": bucket, "Policy": policy});
        asked.call("s3.PutBucketPolicy", parameters)
    };
    let back = step(
        "undo",
        format!("give the bucket {bucket} the policy that it had"),
        Class::Set,
        put(&policy),
    );
    let summary = format!(
        "remove {} of {} statements from the policy of {bucket}: they let everybody in",
        bad.len(),
        bad.len() + kept.len()
    );
    let (one, verify) = match kept.is_empty() {
        true => {
            let call = asked.call("s3.DeleteBucketPolicy", json!({"Bucket": bucket}));
            let one = Step {
                done_codes: codes(NONE),
                ..step("remove", summary.clone(), Class::Remove, call)
            };
            (one, vec![refused(NONE)])
        }
        false => {
            let wanted = is("/Policy/Statement", json!(kept));
            let rest = with_statements(&policy, kept);
            let one = step("remove", summary.clone(), Class::Set, put(&rest));
            (one, vec![wanted])
        }
    };
    let diff = bad.iter().map(|&bad| {
        let name = bad
            .get("Sid")
            .and_then(Value::as_str)
            .unwrap_or("without a name");
        change(format!("statement {name}"), bad.clone(), Value::Null)
    });
    Ok(Drafted::Draft(Draft {
        summary,
        diff: diff.collect(),
        preconditions: vec![check(&question, vec![is("/Policy", policy.clone())])],
        steps: vec![Step {
            inverse: vec![back],
            ..one
        }],
        verify: vec![check(&question, verify)],
    }))
}
