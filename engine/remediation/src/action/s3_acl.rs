//! ACLs of buckets: removing the grants to everybody, and only those.

use super::building::{change, check, has_not, is, step};
use super::events::Event;
use super::reading::{lacks, list, look, text};
use super::recipe::{About, Context, Draft, Drafted, Kind, Recipe, nothing, required};
use super::{PlanFault, Reads, naming};
use crate::plan::{Class, Risk, Step};
use serde_json::{Map, Value, json};

const S3: &str = "s3.amazonaws.com";
const EVERYBODY: [&str; 2] = [
    "http://acs.amazonaws.com/groups/global/AllUsers",
    "http://acs.amazonaws.com/groups/global/AuthenticatedUsers",
];

pub(super) const REMOVE: Recipe = Recipe {
    name: "aws.s3.remove_public_grants",
    about: "Removes the grants to everybody from a bucket's ACL, and leaves the others.",
    risk: Risk::Medium,
    kind: "aws.s3.bucket",
    is_containment: true,
    is_rolled_back: false,
    triggers: &[(S3, "PutBucketAcl")],
    makes: &[(S3, "PutBucketAcl")],
    operations: &["s3.GetBucketAcl", "s3.PutBucketAcl"],
    parameters: &[required("bucket", Kind::Text, "the bucket")],
    from_event: |event| {
        let bucket = event.needs("which bucket", &["/requestParameters/bucketName"])?;
        if !is_public_acl(event) {
            return Err(PlanFault::Refused("the ACL is not public".to_owned()));
        }
        let mut parameters = Map::new();
        parameters.insert("bucket".to_owned(), json!(bucket));
        Ok(parameters)
    },
    subject: |asked| {
        let bucket = naming::bucket(asked.text("bucket")?)?;
        Ok(About::regional(
            asked.bucket_arn(bucket),
            json!("public ACL"),
        ))
    },
    plan,
};

/// Whether a request gives something to everybody: by the name of an ACL, by a header, or by a list of grants.
pub(super) fn is_public_acl(event: &Event<'_>) -> bool {
    fn says(value: &Value, depth: usize) -> bool {
        match value {
            Value::String(text) => {
                matches!(
                    text.as_str(),
                    "public-read" | "public-read-write" | "authenticated-read"
                ) || EVERYBODY.iter().any(|group| text.contains(group))
            }
            Value::Array(items) if depth > 0 => items.iter().any(|item| says(item, depth - 1)),
            Value::Object(members) if depth > 0 => {
                members.values().any(|member| says(member, depth - 1))
            }
            _ => false,
        }
    }
    event
        .at("/requestParameters")
        .is_some_and(|asked| says(asked, 8))
}

fn plan(context: &Context<'_>, reads: &mut dyn Reads) -> Result<Drafted, PlanFault> {
    let asked = context.asked()?;
    let bucket = asked.text("bucket")?;
    let question = asked.call("s3.GetBucketAcl", json!({"Bucket": bucket}));
    let Some(answer) = look(reads, &question, &["NoSuchBucket"])? else {
        return nothing("the bucket is gone");
    };
    let owner = answer
        .get("Owner")
        .ok_or_else(|| lacks(&question, "Owner"))?;
    let grants = list(&answer, "/Grants");
    let is_open = |grant: &&Value| EVERYBODY.contains(&text(grant, "/Grantee/URI"));
    let (open, kept): (Vec<&Value>, Vec<&Value>) = grants.iter().partition(is_open);
    if open.is_empty() {
        return nothing("the ACL gives nothing to everybody");
    }
    let put = |grants: Value| {
        let policy = json!({"Owner": owner, "Grants": grants});
        let parameters = json!({"Bucket": bucket, "AccessControlPolicy": policy});
        asked.call("s3.PutBucketAcl", parameters)
    };
    let back = step(
        "undo",
        format!("give the bucket {bucket} the ACL that it had"),
        Class::Set,
        put(json!(grants)),
    );
    let summary = format!(
        "remove {} public grants from the ACL of {bucket}",
        open.len()
    );
    let one = Step {
        inverse: vec![back],
        ..step("remove", summary.clone(), Class::Set, put(json!(kept)))
    };
    let gone = EVERYBODY.map(|group| has_not("/Grants", json!({"Grantee": {"URI": group}})));
    let diff = open.iter().map(|grant| {
        let field = format!("grant of {}", text(grant, "/Permission"));
        change(field, (*grant).clone(), Value::Null)
    });
    Ok(Drafted::Draft(Draft {
        summary,
        diff: diff.collect(),
        preconditions: vec![check(&question, vec![is("/Grants", json!(grants))])],
        steps: vec![one],
        verify: vec![check(&question, gone.to_vec())],
    }))
}
